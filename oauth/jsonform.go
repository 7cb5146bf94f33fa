package oauth

import (
	stdjson "encoding/json"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4/json"
)

// ParseJSONForm reads a JSON object as the parameters of a request, by the rules
// of [ParseForm]: member names are case-sensitive and given once, values are
// strings. A parameter that a form may repeat is a string or an array of strings.
func ParseJSONForm(body string) (Form, error) {
	if !utf8.ValidString(body) {
		return nil, InvalidRequest("the body is not UTF-8")
	}
	if !strings.HasPrefix(strings.TrimLeft(body, " \t\r\n"), "{") {
		return nil, InvalidRequest("the body must be a JSON object")
	}
	var members map[string]stdjson.RawMessage
	if err := json.Unmarshal([]byte(body), &members); err != nil {
		return nil, InvalidRequest("the body is not a JSON object with each member once").Because("%w", err)
	}
	form := make(Form, 0, len(members))
	for _, name := range slices.Sorted(maps.Keys(members)) {
		values, err := jsonTexts(name, members[name])
		if err != nil {
			return nil, err
		}
		for _, value := range values {
			form = append(form, Parameter{name, value})
		}
		if len(form) > MaxFormParameters {
			return nil, InvalidRequest("the body has more than %d parameters", MaxFormParameters)
		}
	}
	return form, nil
}

// jsonTexts reads the value of a member.
func jsonTexts(name string, raw []byte) ([]string, error) {
	expected := "a string"
	var values []string
	var err error
	switch {
	case raw[0] == '"':
		values = []string{""}
		err = json.Unmarshal(raw, &values[0])
	case repeatable(name):
		expected = "a string or an array of strings"
		values, err = jsonList(raw)
	}
	if values == nil || err != nil || !plainText(name) {
		return nil, InvalidRequest("member %s must be %s", Clip(name), expected)
	}
	for _, value := range values {
		if !plainText(value) {
			return nil, InvalidRequest("member %s holds a NUL or half of a surrogate pair", Clip(name))
		}
	}
	return values, nil
}

// jsonList reads an array of strings; nil for anything else. The decoder would
// take null for an empty string.
func jsonList(raw []byte) ([]string, error) {
	var elements []stdjson.RawMessage
	if raw[0] != '[' {
		return nil, nil
	}
	if err := json.Unmarshal(raw, &elements); err != nil {
		return nil, err
	}
	values := make([]string, len(elements))
	for i, element := range elements {
		if element[0] != '"' {
			return nil, nil
		}
		if err := json.Unmarshal(element, &values[i]); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// plainText reports whether a text is what was written: the decoder turns half of
// a surrogate pair into U+FFFD, and two texts must never become the same.
func plainText(text string) bool { return !strings.ContainsAny(text, "\x00\ufffd") }
