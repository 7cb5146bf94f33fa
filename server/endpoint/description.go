package endpoint

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

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

// Handlers serve the description as JSON and as YAML.
func (d Description) Handlers() (asJSON, asYAML Handler, err error) {
	document, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return nil, nil, fmt.Errorf("OpenAPI description: %w", err)
	}
	text, err := YAML(document)
	if err != nil {
		return nil, nil, err
	}
	serve := func(body []byte, media string) Handler {
		return func(context.Context, *Request) (*Answer, error) { return &Answer{Body: body, Type: media}, nil }
	}
	return serve(append(document, '\n'), jsonType), serve(text, yamlTypes[0]), nil
}

// Describe serves a description below a path, for everybody.
func (s *Site) Describe(base, label string, d Description) error {
	asJSON, asYAML, err := d.Handlers()
	if err != nil {
		return err
	}
	get := []string{http.MethodGet}
	s.Open(Route{Path: base + "/openapi.json", Label: label, Methods: get, Open: true, Serve: asJSON})
	s.Open(Route{Path: base + "/openapi.yaml", Label: label, Methods: get, Open: true, Serve: asYAML})
	return nil
}
