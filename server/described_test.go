package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/fapid/fapid/server/servertest"
)

// described is an OpenAPI document as a server gives it.
type described struct {
	t        testing.TB
	document map[string]any
	schemas  *jsonschema.Compiler
}

// readDescription reads a description in both its forms, which must be the same.
func readDescription(t testing.TB, get func(name string) servertest.Answer) *described {
	t.Helper()
	asJSON, asYAML := get("openapi.json"), get("openapi.yaml")
	if asJSON.JSON["openapi"] != "3.1.0" || asYAML.Header.Get("Content-Type") != "application/yaml" {
		t.Fatalf("%s, %v", asJSON, asYAML.Header)
	}
	converted, err := yaml.YAMLToJSON([]byte(asYAML.Body))
	if err != nil {
		t.Fatal(err)
	}
	var fromYAML map[string]any
	if err := json.Unmarshal(converted, &fromYAML); err != nil || fmt.Sprint(fromYAML) != fmt.Sprint(asJSON.JSON) {
		t.Errorf("the two forms differ (%v)", err)
	}
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(asJSON.Body))
	if err != nil {
		t.Fatal(err)
	}
	d := &described{t, asJSON.JSON, jsonschema.NewCompiler()}
	d.schemas.AssertFormat()
	if err := d.schemas.AddResource("openapi.json", document); err != nil {
		t.Fatal(err)
	}
	return d
}

// operations are the methods and paths that are described, with their scopes.
func (d *described) operations() map[string]string {
	all := map[string]string{}
	for path, item := range d.document["paths"].(map[string]any) {
		for method, operation := range item.(map[string]any) {
			if method == "parameters" {
				continue
			}
			scope := "-"
			for _, scheme := range operation.(map[string]any)["security"].([]any) {
				if scopes, ok := scheme.(map[string]any)["token"].([]any); ok {
					scope = strings.Trim(fmt.Sprint(scopes), "[]")
				}
			}
			all[strings.ToUpper(method)+" "+path] = scope
		}
	}
	return all
}

// wellFormed checks what a reader of any OpenAPI document relies on: references
// lead somewhere, every schema compiles, ids are unique, every variable of a path
// is a parameter, and every operation says what it is and what comes back.
func (d *described) wellFormed() {
	d.t.Helper()
	var walk func(at string, value any)
	walk = func(at string, value any) {
		switch value := value.(type) {
		case map[string]any:
			if ref, ok := value["$ref"].(string); ok && d.resolve(ref) == nil {
				d.t.Errorf("%s: %s leads nowhere", at, ref)
			}
			for name, member := range value {
				walk(at+"/"+strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1"), member)
			}
		case []any:
			for i, entry := range value {
				walk(fmt.Sprintf("%s/%d", at, i), entry)
			}
		}
	}
	walk("#", d.document)
	for name := range d.document["components"].(map[string]any)["schemas"].(map[string]any) {
		if _, err := d.schemas.Compile("openapi.json#/components/schemas/" + name); err != nil {
			d.t.Errorf("schema %s: %v", name, err)
		}
	}
	ids := map[any]bool{}
	for path, item := range d.document["paths"].(map[string]any) {
		item := item.(map[string]any)
		for method, operation := range item {
			operation, ok := operation.(map[string]any)
			if !ok {
				continue
			}
			if id := operation["operationId"]; id == nil || ids[id] || operation["summary"] == nil || len(operation["responses"].(map[string]any)) == 0 {
				d.t.Errorf("%s %s: operationId %v is missing or not unique, or there is no summary or response", method, path, id)
			}
			ids[operation["operationId"]] = true
			own, _ := operation["parameters"].([]any)
			shared, _ := item["parameters"].([]any)
			declared := map[string]bool{}
			for _, parameter := range slices.Concat(own, shared) {
				parameter := parameter.(map[string]any)
				if ref, ok := parameter["$ref"].(string); ok {
					parameter = d.resolve(ref).(map[string]any)
				}
				if parameter["in"] == "path" {
					declared[parameter["name"].(string)] = true
				}
			}
			if got := strings.Count(path, "{"); got != len(declared) {
				d.t.Errorf("%s %s: %d variables, parameters %v", method, path, got, declared)
			}
		}
	}
}

// resolve finds what a reference within the document leads to, nil if nothing.
func (d *described) resolve(ref string) any {
	var at any = d.document
	for _, name := range strings.Split(strings.TrimPrefix(ref, "#/"), "/") {
		members, ok := at.(map[string]any)
		if !ok {
			return nil
		}
		at = members[strings.ReplaceAll(strings.ReplaceAll(name, "~1", "/"), "~0", "~")]
	}
	return at
}

// conforms holds a real answer against what is described of it.
func (d *described) conforms(method, path string, answer servertest.Answer) {
	d.t.Helper()
	operation, _ := d.resolve("#/paths/" + strings.ReplaceAll(path, "/", "~1") + "/" + strings.ToLower(method)).(map[string]any)
	if operation == nil {
		d.t.Errorf("%s %s is not described", method, path)
		return
	}
	responses := operation["responses"].(map[string]any)
	response, ok := responses[fmt.Sprint(answer.Status)].(map[string]any)
	if !ok && answer.Status >= 400 {
		response, ok = responses["default"].(map[string]any)
	}
	if !ok {
		d.t.Errorf("%s %s: %d is not described", method, path, answer.Status)
		return
	}
	at := "#/paths/" + strings.ReplaceAll(path, "/", "~1") + "/" + strings.ToLower(method) + "/responses/" + fmt.Sprint(answer.Status)
	if ref, ok := response["$ref"].(string); ok {
		at, response = ref, d.resolve(ref).(map[string]any)
	}
	content, _ := response["content"].(map[string]any)
	if len(content) == 0 {
		if answer.Body != "" {
			d.t.Errorf("%s %s: a body that is not described: %s", method, path, answer)
		}
		return
	}
	media, _, _ := strings.Cut(answer.Header.Get("Content-Type"), ";")
	described, ok := content[media].(map[string]any)
	if !ok {
		d.t.Errorf("%s %s: %s is not described", method, path, media)
		return
	}
	if described["schema"] == nil {
		return
	}
	schema, err := d.schemas.Compile("openapi.json" + at + "/content/" + strings.ReplaceAll(media, "/", "~1") + "/schema")
	if err != nil {
		d.t.Fatal(err)
	}
	body := []byte(answer.Body)
	if strings.HasSuffix(media, "yaml") {
		if body, err = yaml.YAMLToJSON(body); err != nil {
			d.t.Fatal(err)
		}
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	if err := schema.Validate(value); err != nil {
		d.t.Errorf("%s %s: %v\n%s", method, path, err, body)
	}
	for name := range mapOf(response["headers"]) {
		if answer.Header.Get(name) == "" && (name != "Location" || method == "POST") {
			d.t.Errorf("%s %s: no header %s", method, path, name)
		}
	}
}

func mapOf(value any) map[string]any {
	members, _ := value.(map[string]any)
	return members
}
