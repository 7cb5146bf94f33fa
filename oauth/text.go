package oauth

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	strict "github.com/go-jose/go-jose/v4/json"
)

// maxShown is how many bytes of a foreign value an error quotes.
const maxShown = 80

// Shown cuts a foreign value to what an error may show of it.
func Shown(text string) string {
	if len(text) <= maxShown {
		return text
	}
	return strings.ToValidUTF8(text[:maxShown], "") + "..."
}

// Quote shows a foreign value in an error: cut, escaped, in quotes.
func Quote(text string) string { return strconv.Quote(Shown(text)) }

// List shows values that the reader may choose from.
func List[S ~string](values []S) string {
	if len(values) == 0 {
		return "(none)"
	}
	const most = 20
	var list strings.Builder
	for i, value := range values {
		if i > 0 {
			list.WriteString(", ")
		}
		if i == most {
			list.WriteString("...")
			break
		}
		list.WriteString(string(value))
	}
	return list.String()
}

// JSONText is the text of a decoder's error for who wrote the JSON: without the
// decoder's own prefix, and without the Go types that it would name.
func JSONText(err error) string {
	mismatch, ok := errors.AsType[*strict.UnmarshalTypeError](err)
	if !ok {
		return strings.TrimPrefix(err.Error(), "json: ")
	}
	wanted := "another type"
	switch mismatch.Type.Kind() {
	case reflect.String:
		wanted = "a string"
	case reflect.Bool:
		wanted = "a boolean"
	case reflect.Map, reflect.Struct:
		wanted = "an object"
	case reflect.Slice, reflect.Array:
		wanted = "an array"
	case reflect.Int, reflect.Int64, reflect.Float64:
		wanted = "a number that fits"
	}
	return "expected " + wanted + ", not: " + mismatch.Value // such as: number 1e400
}

// JSONKind names the type of a JSON value in words for an error.
func JSONKind(raw []byte) string {
	if len(raw) == 0 {
		return "nothing"
	}
	switch raw[0] {
	case '"':
		return "a string"
	case '{':
		return "an object"
	case '[':
		return "an array"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "a number"
}

// DecodeString reads a JSON string, and nothing else: a decoder takes null for an
// empty one.
func DecodeString(raw []byte, into *string) error {
	if kind := JSONKind(raw); kind != "a string" {
		return fmt.Errorf("must be a string, not %s", kind)
	}
	if end := len(raw) - 1; end > 0 && raw[end] == '"' && bytes.IndexByte(raw[1:end], '\\') < 0 && utf8.Valid(raw) {
		*into = string(raw[1:end]) // part of a document that was read: nothing to decode
	} else if err := strict.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("is not a JSON string: %s", JSONText(err))
	}
	// The decoder turns a lone surrogate (\ud800) into U+FFFD; two different
	// texts must never become the same.
	if strings.ContainsRune(*into, utf8.RuneError) {
		return fmt.Errorf("holds U+FFFD or half of a surrogate pair")
	}
	return nil
}

// DecodeStrings reads a JSON array of at most so many strings.
func DecodeStrings(raw []byte, into *[]string, most int) error {
	if kind := JSONKind(raw); kind != "an array" {
		return fmt.Errorf("must be an array of strings, not %s", kind)
	}
	var elements []json.RawMessage
	if err := strict.Unmarshal(raw, &elements); err != nil {
		return fmt.Errorf("is not a JSON array: %s", JSONText(err))
	}
	if len(elements) > most {
		return fmt.Errorf("has %d entries, more than %d", len(elements), most)
	}
	*into = make([]string, len(elements))
	for i, element := range elements {
		if err := DecodeString(element, &(*into)[i]); err != nil {
			return fmt.Errorf("entry %d %w", i+1, err)
		}
	}
	return nil
}
