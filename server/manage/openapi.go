package manage

import (
	_ "embed"
	"fmt"
	"strings"

	"github.com/fapid/fapid/server/endpoint"
	"github.com/fapid/fapid/server/users"
)

var (
	//go:embed openapi.yaml
	openAPI []byte
	//go:embed openapi_aidbox.yaml
	openAPIAidbox []byte
)

// describe serves the description of what is served on the realm's listeners. The
// texts are embedded and the same in every process, so a fault in one is a
// mistake that every test finds.
func (a *API) describe(site *endpoint.Site) {
	bases := map[string][]string{endpointName: {site.Path(endpointName)}}
	parts := [][]byte{openAPI}
	for _, foreign := range aidbox {
		if paths := site.Layout.Paths(foreign.name, site.Realm); len(paths) > 0 {
			bases[foreign.name] = paths
			parts = [][]byte{openAPI, openAPIAidbox}
		}
	}
	site.Describe(site.Path(endpointName), "management/openapi", func() endpoint.Description {
		document := description(parts, bases, func(operation map[string]any) bool {
			delete(operation, holderMark)
			return true
		})
		document["servers"] = []any{
			map[string]any{"url": site.StandardURL, "description": "for tokens bound by DPoP, or unbound ones where the realm takes them"},
			map[string]any{"url": site.MTLSURL, "description": "for tokens bound to a client certificate"},
		}
		flow := document["components"].(map[string]any)["securitySchemes"].(map[string]any)["token"].(map[string]any)["flows"].(map[string]any)["clientCredentials"].(map[string]any)
		flow["tokenUrl"] = site.StandardURL + site.Path("token_endpoint")
		return document
	})
}

// holderMark marks operations for whoever has a token, which the operator's
// listener does not serve.
const holderMark = "x-fapid-holder"

// OperatorKey is the security scheme of the operator's listener.
const OperatorKey = "operator_key"

// Description describes the [Operations] of the operator's listener, as a part of
// its description. Its security scheme, [OperatorKey], is not in it.
func Description() endpoint.Description {
	document := description([][]byte{openAPI}, map[string][]string{endpointName: {operatorPath}}, func(operation map[string]any) bool {
		operation["security"] = []any{map[string]any{OperatorKey: []any{}}}
		return operation[holderMark] == nil
	})
	for _, item := range document["paths"].(map[string]any) {
		parameters, _ := item.(map[string]any)["parameters"].([]any)
		item.(map[string]any)["parameters"] = append(parameters, map[string]any{
			"name": "realm", "in": "path", "required": true, "schema": map[string]any{"type": "string"}, "description": "The name of the realm.",
		})
	}
	delete(document["components"].(map[string]any), "securitySchemes")
	return document
}

// description joins parts, and gives the endpoints that their paths name the paths
// where they are. keep adapts an operation, and says whether it is served at all.
func description(parts [][]byte, bases map[string][]string, keep func(operation map[string]any) bool) endpoint.Description {
	document := endpoint.Description{}
	for _, text := range parts {
		part, err := endpoint.ParseDescription(text)
		if err != nil {
			panic(fmt.Sprintf("manage: OpenAPI description: %v", err))
		}
		document.Add(part)
	}
	document.Add(userSchemas())
	paths := map[string]any{}
	for path, item := range document["paths"].(map[string]any) {
		operations := item.(map[string]any)
		for method, operation := range operations {
			if operation, ok := operation.(map[string]any); ok && !keep(operation) {
				delete(operations, method)
			}
		}
		name, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
		if rest != "" {
			rest = "/" + rest
		}
		for i, base := range bases[name] {
			if paths[base+rest] = operations; i > 0 {
				paths[base+rest] = again(operations, i)
			}
		}
	}
	document["paths"] = paths
	return document
}

// again is what is served at a path, for another path of the same: operation ids
// are unique in a document.
func again(operations map[string]any, number int) map[string]any {
	copied := map[string]any{}
	for method, operation := range operations {
		if operation, ok := operation.(map[string]any); ok {
			further := map[string]any{}
			for name, value := range operation {
				further[name] = value
			}
			further["operationId"] = fmt.Sprintf("%v%d", operation["operationId"], number+1)
			copied[method] = further
			continue
		}
		copied[method] = operation
	}
	return copied
}

// userSchemas are the schemas of users, of which the attributes say everything.
func userSchemas() endpoint.Description {
	input := schemaOf(users.Attributes, true)
	delete(input, "required") // a userName may be that of the path
	input["properties"].(map[string]any)["schemas"] = map[string]any{"type": "array", "items": map[string]any{"type": "string"}, "description": "SCIM's, which is not looked at."}
	shown := schemaOf(users.Attributes, false)
	shown["required"] = []any{"id", "userName", "active", "meta"}
	return endpoint.Description{"components": map[string]any{"schemas": map[string]any{"UserInput": input, "User": shown}}}
}

// schemaOf is the schema of an attribute as it is written, or as it is shown.
func schemaOf(a *users.Attribute, written bool) map[string]any {
	schema := map[string]any{"type": "string"}
	switch a.Kind {
	case users.Boolean:
		schema["type"] = "boolean"
	case users.DateTime:
		schema["format"] = "date-time"
	case users.Binary64:
		schema["contentEncoding"] = "base64"
	case users.Complex:
		properties, required := map[string]any{}, []any{}
		for _, sub := range a.Sub {
			if sub.WriteOnly && !written {
				continue
			}
			properties[sub.Name] = schemaOf(sub, written)
			if written && sub.Required || !written && sub.Present {
				required = append(required, sub.Name)
			}
		}
		schema = map[string]any{"type": "object", "additionalProperties": false, "properties": properties, "required": required}
	}
	if a.ReadOnly {
		schema["readOnly"] = true
	}
	if a.Multi {
		schema = map[string]any{"type": "array", "items": schema}
	}
	if a.Doc != "" {
		schema["description"] = a.Doc
	}
	return schema
}
