package oauth

import (
	"net/url"
	"strings"
	"unicode/utf8"
)

// Form is the parameters of one request body, each present at most once but for
// those that may name several targets.
type Form []Parameter

// repeatable may be given several times: resource (RFC 8707 section 2) and
// audience (RFC 8693 section 2.1).
func repeatable(name string) bool { return name == "resource" || name == "audience" }

// Parameter is one name and value, decoded.
type Parameter struct{ Name, Value string }

// MaxFormParameters bounds a body; the largest legitimate request, a pushed
// authorization request, has about thirty.
const MaxFormParameters = 100

// longForm is the body size from which values are copied, so that a short value
// kept in a trace does not keep the whole body in memory.
const longForm = 2048

// ParseForm reads an application/x-www-form-urlencoded body. It refuses what
// RFC 6749 section 3.2 and plain sense refuse: a repeated parameter, a
// malformed escape, a semicolon as separator, NUL, bytes that are not UTF-8. A
// parameter without a value is treated as omitted, but still counts as given
// when it is repeated.
func ParseForm(body string) (Form, error) {
	if body == "" {
		return nil, nil
	}
	form := make(Form, 0, 8)
	for pair := range strings.SplitSeq(body, "&") {
		if len(form) == MaxFormParameters {
			return nil, InvalidRequest("the body has more than %d parameters", MaxFormParameters)
		}
		name, value, _ := strings.Cut(pair, "=")
		name, err := decodeFormText(name)
		if err != nil {
			return nil, InvalidRequest("a parameter name is malformed").Because("%w", err)
		}
		value, err = decodeFormText(value)
		if err != nil {
			return nil, InvalidRequest("a parameter value is malformed").Because("parameter %s: %w", brief(name), err)
		}
		if form.given(name) && !repeatable(name) {
			return nil, InvalidRequest("parameter %s is given more than once", brief(name))
		}
		if len(body) > longForm {
			name, value = strings.Clone(name), strings.Clone(value)
		}
		form = append(form, Parameter{name, value})
	}
	return form, nil
}

// brief cuts a parameter's name to what a refusal may repeat of it: the longest
// registered one has 36 bytes, and an error must stay small.
func brief(name string) string {
	if len(name) <= 40 {
		return name
	}
	return name[:40] + "..."
}

func decodeFormText(text string) (string, error) {
	if strings.ContainsRune(text, ';') {
		return "", InvalidRequest("an unescaped semicolon")
	}
	decoded, err := url.QueryUnescape(text)
	switch {
	case err != nil:
		return "", err
	case strings.ContainsRune(decoded, 0):
		return "", InvalidRequest("a NUL byte")
	case !utf8.ValidString(decoded):
		return "", InvalidRequest("bytes that are not UTF-8")
	}
	return decoded, nil
}

// Get returns the value of a parameter, empty when it was omitted or had none.
func (f Form) Get(name string) string {
	for _, parameter := range f {
		if parameter.Name == name {
			return parameter.Value
		}
	}
	return ""
}

// All returns the values of a parameter that may be repeated.
func (f Form) All(name string) (values []string) {
	for _, parameter := range f {
		if parameter.Name == name && parameter.Value != "" {
			values = append(values, parameter.Value)
		}
	}
	return values
}

// Has reports whether the parameter was given a value.
func (f Form) Has(name string) bool { return f.Get(name) != "" }

func (f Form) given(name string) bool {
	for _, parameter := range f {
		if parameter.Name == name {
			return true
		}
	}
	return false
}
