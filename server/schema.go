package server

import (
	"encoding/json"
	"net/netip"
	"reflect"
)

// Schema is the JSON Schema (draft 2020-12) of a configuration, for editors. It
// is made from the same fields and tags as the loader and its checks.
func Schema() ([]byte, error) {
	definitions := map[string]any{}
	schema := sectionSchema(reflect.TypeFor[Config](), definitions)
	schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	schema["title"] = "fapid configuration"
	schema["$defs"] = definitions
	text, err := json.MarshalIndent(schema, "", "  ")
	return append(text, '\n'), err
}

// sectionSchema is the schema of a section; those below it go to definitions.
func sectionSchema(section reflect.Type, definitions map[string]any) map[string]any {
	properties, required := map[string]any{}, []string{}
	for _, f := range fieldsOf(section) {
		property := valueSchema(section.Field(f.index).Type, f, definitions)
		property["description"] = f.doc
		properties[f.key] = property
		if f.required {
			required = append(required, f.key)
		}
	}
	schema := map[string]any{
		"type":                 "object",
		"properties":           properties,
		"additionalProperties": false,
	}
	if len(required) > 0 {
		schema["required"] = required
		return schema
	}
	// All of its keys may be left out, or commented out.
	schema["type"] = []string{"object", "null"}
	return schema
}

func valueSchema(t reflect.Type, f field, definitions map[string]any) map[string]any {
	t = bare(t)
	switch kindOf(t) {
	case kindSection:
		if _, made := definitions[t.Name()]; !made {
			definitions[t.Name()] = sectionSchema(t, definitions)
		}
		return map[string]any{"$ref": "#/$defs/" + t.Name()}
	case kindNamed:
		schema := map[string]any{
			"type":                 []string{"object", "null"},
			"additionalProperties": valueSchema(t.Elem(), field{}, definitions),
		}
		if kindOf(t.Elem()) == kindSection {
			schema["propertyNames"] = map[string]any{"pattern": names.String()}
		}
		return schema
	case kindList:
		return map[string]any{
			"type": "array", "minItems": 1, "uniqueItems": true,
			"items": valueSchema(t.Elem(), f, definitions),
		}
	case kindSwitch:
		return map[string]any{"type": "boolean"}
	default:
		return textSchema(t, choices[f.choices])
	}
}

func textSchema(t reflect.Type, set choice) map[string]any {
	schema := map[string]any{"type": "string", "minLength": 1}
	switch {
	case set.elsewhere != "":
		schema["anyOf"] = []any{map[string]any{"enum": set.words}, map[string]any{"pattern": names.String()}}
	case set.words != nil:
		schema["enum"] = set.words
	case t == reflect.TypeFor[Duration]():
		schema["pattern"] = `^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$`
		schema["examples"] = []string{"90s", "10m", "1h30m"}
	case t == reflect.TypeFor[Count]():
		return map[string]any{"type": "integer", "minimum": 1, "maximum": maxCount}
	case t == reflect.TypeFor[Offset]():
		schema["pattern"] = `^-?([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$`
		schema["examples"] = []string{"720h", "-24h"}
	case t == reflect.TypeFor[netip.Prefix]():
		schema["pattern"] = `^[0-9A-Fa-f.:]+/[0-9]{1,3}$`
	}
	return schema
}
