package server

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestSchema(t *testing.T) {
	text, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	var schema map[string]any
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	good := func() map[string]any {
		text, err := json.Marshal(everything(t))
		if err != nil {
			t.Fatal(err)
		}
		var config map[string]any
		if err := json.Unmarshal(text, &config); err != nil {
			t.Fatal(err)
		}
		return config
	}
	if problem := judge(schema, schema, good()); problem != "" {
		t.Errorf("everything: %s", problem)
	}
	at := func(config map[string]any, keys ...string) map[string]any {
		for _, key := range keys {
			config = config[key].(map[string]any)
		}
		return config
	}
	for want, spoil := range map[string]func(map[string]any){
		"log.levl: unknown":                                           func(c map[string]any) { at(c, "log")["levl"] = "x" },
		"log.level: not in the enumeration":                           func(c map[string]any) { at(c, "log")["level"] = "loud" },
		"tls.rsa.key: missing":                                        func(c map[string]any) { delete(at(c, "tls", "rsa"), "key") },
		"dir: integer, not [string]":                                  func(c map[string]any) { c["dir"] = 1.0 },
		"realms.true.registration.max_clients: number, not [integer]": func(c map[string]any) { at(c, "realms", "true", "registration")["max_clients"] = 1.5 },
		"realms.UK: does not match the pattern":                       func(c map[string]any) { at(c, "realms")["UK"] = nil },
		"policies.mine.clock_skew: does not match the pattern":        func(c map[string]any) { at(c, "policies", "mine")["clock_skew"] = "10" },
		"realms.true.policy: none of anyOf":                           func(c map[string]any) { at(c, "realms", "true")["policy"] = "A B" },
		"proxy.trusted.0: does not match the pattern":                 func(c map[string]any) { at(c, "proxy")["trusted"] = []any{"10.0.0.1"} },
		"realms.true.scopes: string, not [array]":                     func(c map[string]any) { at(c, "realms", "true")["scopes"] = "openid" },
	} {
		config := good()
		spoil(config)
		if got := judge(schema, schema, config); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// judge says what the schema has against a value, in as much of JSON Schema as
// is used here.
func judge(root, schema map[string]any, value any) string {
	if ref, ok := schema["$ref"].(string); ok {
		return judge(root, root["$defs"].(map[string]any)[strings.TrimPrefix(ref, "#/$defs/")].(map[string]any), value)
	}
	if types := asList(schema["type"]); !slices.Contains(types, any(typeOf(value))) {
		return fmt.Sprintf(": %s, not %v", typeOf(value), types)
	}
	switch value := value.(type) {
	case map[string]any:
		return judgeObject(root, schema, value)
	case []any:
		for i, item := range value {
			if problem := judge(root, schema["items"].(map[string]any), item); problem != "" {
				return below(fmt.Sprint(i), problem)
			}
		}
	case string:
		return judgeText(schema, value)
	}
	return ""
}

func typeOf(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case map[string]any:
		return "object"
	case []any:
		return "array"
	case string:
		return "string"
	case bool:
		return "boolean"
	}
	if number, ok := value.(float64); ok && number == math.Trunc(number) {
		return "integer"
	}
	return "number"
}

func judgeObject(root, schema, value map[string]any) string {
	for _, key := range asList(schema["required"]) {
		if _, there := value[key.(string)]; !there {
			return below(key.(string), ": missing")
		}
	}
	properties, _ := schema["properties"].(map[string]any)
	for _, key := range sortedKeys(value) {
		property, known := properties[key].(map[string]any)
		if !known {
			property, known = schema["additionalProperties"].(map[string]any)
		}
		if !known {
			return below(key, ": unknown")
		}
		if names, ok := schema["propertyNames"].(map[string]any); ok {
			if problem := judgeText(names, key); problem != "" {
				return below(key, problem)
			}
		}
		if problem := judge(root, property, value[key]); problem != "" {
			return below(key, problem)
		}
	}
	return ""
}

func judgeText(schema map[string]any, text string) string {
	if words := asList(schema["enum"]); words != nil && !slices.Contains(words, any(text)) {
		return ": not in the enumeration"
	}
	if pattern, ok := schema["pattern"].(string); ok && !regexp.MustCompile(pattern).MatchString(text) {
		return ": does not match the pattern"
	}
	alternatives := asList(schema["anyOf"])
	for _, one := range alternatives {
		if judgeText(one.(map[string]any), text) == "" {
			return ""
		}
	}
	if alternatives != nil {
		return ": none of anyOf"
	}
	return ""
}

// asList is what the schema lists, or its only word.
func asList(value any) []any {
	switch value := value.(type) {
	case []any:
		return value
	case string:
		return []any{value}
	}
	return nil
}

func below(key, problem string) string {
	if strings.HasPrefix(problem, ":") {
		return key + problem
	}
	return key + "." + problem
}
