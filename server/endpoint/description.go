package endpoint

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"

	"github.com/goccy/go-yaml"
)

// Description is an OpenAPI document (version 3.1), or a part of one.
type Description map[string]any

// ParseDescription reads a description that is written in YAML.
func ParseDescription(text []byte) (Description, error) {
	asJSON, err := yaml.YAMLToJSON(text)
	if err != nil {
		return nil, err
	}
	var d Description
	return d, json.Unmarshal(asJSON, &d)
}

// Add puts what another part describes into this one: the members of its objects
// and the entries of its lists.
func (d Description) Add(part Description) { join(d, part) }

func join(into, part map[string]any) {
	for name, value := range part {
		switch value := value.(type) {
		case map[string]any:
			if there, ok := into[name].(map[string]any); ok {
				join(there, value)
				continue
			}
		case []any:
			if there, ok := into[name].([]any); ok {
				into[name] = append(there, value...)
				continue
			}
		}
		into[name] = value
	}
}

// Described serves a description as JSON and as YAML. It is made when somebody asks
// for the first time: few do, and it is as large as all else that an idle server has
// in memory.
func Described(describe func() Description) (asJSON, asYAML Handler) {
	type written struct{ asJSON, asYAML []byte }
	write := sync.OnceValues(func() (w written, err error) {
		if w.asJSON, err = json.MarshalIndent(describe(), "", "  "); err != nil {
			return w, fmt.Errorf("OpenAPI description: %w", err)
		}
		w.asYAML, err = YAML(w.asJSON)
		w.asJSON = append(w.asJSON, '\n')
		return w, err
	})
	asJSON = func(context.Context, *Request) (*Answer, error) {
		w, err := write()
		return &Answer{Body: w.asJSON, Type: jsonType}, err
	}
	asYAML = func(context.Context, *Request) (*Answer, error) {
		w, err := write()
		return &Answer{Body: w.asYAML, Type: yamlTypes[0]}, err
	}
	return asJSON, asYAML
}

// Describe serves a description below a path, for everybody.
func (s *Site) Describe(base, label string, describe func() Description) {
	asJSON, asYAML := Described(describe)
	get := []string{http.MethodGet}
	s.Open(Route{Path: base + "/openapi.json", Label: label, Methods: get, Open: true, Serve: asJSON})
	s.Open(Route{Path: base + "/openapi.yaml", Label: label, Methods: get, Open: true, Serve: asYAML})
}
