package registration

import (
	"bytes"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4/json"

	"github.com/fapid/fapid/oauth"
)

// maxDocument is the largest document that is read at all, in bytes.
const maxDocument = 64 << 10

// Syntax is what a document is written in.
type Syntax int

// The syntaxes of documents.
const (
	JSON Syntax = iota
	YAML
)

// ParseMetadata reads a registration as [Decode] does. Every error is an
// invalid_client_metadata that names the member and what was expected.
func ParseMetadata(data []byte, in Syntax) (Metadata, error) {
	var m Metadata
	if err := Decode("registration", data, in, &m); err != nil {
		return Metadata{}, oauth.InvalidClientMetadata("%s", err.Error())
	}
	return m, nil
}

// Decode reads a document that holds one object into a struct, strictly: member
// names are case-sensitive and must be those of the struct's tags; a repeated or
// null member, a wrong type, invalid UTF-8, trailing bytes and more than 64 KiB
// are refused. The error names the member, with line and column where there is
// more than one line to look at, and what was expected. what says in errors what
// the document is: "registration".
func Decode(what string, data []byte, in Syntax, into any) error {
	d := decoding{what: what, data: data}
	if in == YAML {
		return d.yaml(into)
	}
	return d.json(into)
}

// checkDocument refuses what is not worth a parser.
func checkDocument(what string, data []byte) error {
	if len(data) > maxDocument {
		return fmt.Errorf("the %s is longer than %d bytes", what, maxDocument)
	}
	if !utf8.Valid(data) {
		return fmt.Errorf("the %s is not valid UTF-8", what)
	}
	return nil
}

// decoding is a document on its way into a struct.
type decoding struct {
	what string
	data []byte
}

// memberError is a fault of one member, so that its line can be added.
type memberError struct{ path, text string }

func (e *memberError) Error() string { return e.text }

func (d *decoding) json(into any) error {
	if err := checkDocument(d.what, d.data); err != nil {
		return err
	}
	if trimmed := bytes.TrimLeft(d.data, " \t\r\n"); len(trimmed) > 0 && trimmed[0] != '{' {
		return fmt.Errorf("the %s must be a JSON object, not %s", d.what, oauth.JSONKind(trimmed))
	}
	err := d.object("", d.data, reflect.ValueOf(into).Elem())
	if err == nil {
		return nil
	}
	positions, broken := LocateJSON(d.data)
	var fault *memberError
	if errors.As(err, &fault) {
		return at(positions[fault.path], err)
	}
	return at(broken, err)
}

// at puts a position before an error.
func at(position string, err error) error {
	if position == "" {
		return err
	}
	return fmt.Errorf("%s: %w", position, err)
}

// object reads the members of an object into the fields of a struct. The path is
// that of the object, empty for the whole document.
func (d *decoding) object(path string, raw []byte, into reflect.Value) error {
	var members map[string]stdjson.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		return fmt.Errorf("the %s is not a strict JSON object: %s", d.what, oauth.JSONText(err))
	}
	fields := fieldsOf(into.Type())
	for _, name := range slices.Sorted(maps.Keys(members)) {
		at := below(path, name)
		field, known := fields[name]
		if !known {
			return &memberError{at, d.unknownMember(at, name, fields)}
		}
		if err := d.member(at, members[name], into.Field(field)); err != nil {
			return err
		}
	}
	return nil
}

// below is the path of a member.
func below(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// element is the path of an entry of an array.
func element(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// member reads the value of one member.
func (d *decoding) member(path string, raw []byte, into reflect.Value) error {
	switch into.Kind() {
	case reflect.Pointer:
		into.Set(reflect.New(into.Type().Elem()))
		return d.member(path, raw, into.Elem())
	case reflect.Struct:
		if kind := oauth.JSONKind(raw); kind != "an object" {
			return &memberError{path, oauth.Shown(path) + " must be an object, not " + kind}
		}
		return d.object(path, raw, into)
	case reflect.Map:
		return d.named(path, raw, into)
	case reflect.Slice:
		if into.Type().Elem().Kind() == reflect.Struct {
			return d.list(path, raw, into)
		}
	}
	if err := decodeValue(raw, into.Addr().Interface()); err != nil {
		return &memberError{path, oauth.Shown(path) + " " + err.Error()}
	}
	return nil
}

// list reads an array of objects.
func (d *decoding) list(path string, raw []byte, into reflect.Value) error {
	var elements []stdjson.RawMessage
	if kind := oauth.JSONKind(raw); kind != "an array" {
		return &memberError{path, oauth.Shown(path) + " must be an array of objects, not " + kind}
	}
	if err := json.Unmarshal(raw, &elements); err != nil {
		return &memberError{path, oauth.Shown(path) + " is not a JSON array: " + oauth.JSONText(err)}
	}
	if len(elements) > maxListLength {
		return &memberError{path, fmt.Sprintf("%s has %d entries, more than %d", oauth.Shown(path), len(elements), maxListLength)}
	}
	into.Set(reflect.MakeSlice(into.Type(), len(elements), len(elements)))
	for i, raw := range elements {
		if err := d.member(element(path, i), raw, into.Index(i)); err != nil {
			return err
		}
	}
	return nil
}

// named reads an object whose member names are the writer's own.
func (d *decoding) named(path string, raw []byte, into reflect.Value) error {
	var members map[string]stdjson.RawMessage
	if kind := oauth.JSONKind(raw); kind != "an object" {
		return &memberError{path, oauth.Shown(path) + " must be an object, not " + kind}
	}
	if err := json.Unmarshal(raw, &members); err != nil {
		return &memberError{path, oauth.Shown(path) + " is not a JSON object: " + oauth.JSONText(err)}
	}
	into.Set(reflect.MakeMap(into.Type()))
	for _, name := range slices.Sorted(maps.Keys(members)) {
		value := reflect.New(into.Type().Elem()).Elem()
		if err := d.member(below(path, name), members[name], value); err != nil {
			return err
		}
		into.SetMapIndex(reflect.ValueOf(name), value)
	}
	return nil
}

// fieldsOf maps member names to the fields of a struct: its tags are the only
// place that says which members exist.
func fieldsOf(t reflect.Type) map[string]int {
	fields := make(map[string]int)
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if input := t.Field(i).Tag.Get("input"); input != "" {
			name = input
		}
		if name != "-" {
			fields[name] = i
		}
	}
	return fields
}

// memberFields are the members of a registration, memberNames their names, sorted.
var (
	memberFields = fieldsOf(reflect.TypeFor[Metadata]())
	memberNames  = slices.Sorted(maps.Keys(memberFields))
)

func decodeValue(raw []byte, field any) error {
	switch field := field.(type) {
	case *string:
		return oauth.DecodeString(raw, field)
	case *Secret:
		return oauth.DecodeString(raw, (*string)(field))
	case *[]string:
		return oauth.DecodeStrings(raw, field, maxListLength)
	case *bool:
		if kind := oauth.JSONKind(raw); kind != "a boolean" {
			return fmt.Errorf("must be true or false, not %s", kind)
		}
		*field = raw[0] == 't'
	case *int64:
		return decodeSeconds(raw, field)
	case **int64:
		*field = new(int64)
		return decodeSeconds(raw, *field)
	case *stdjson.RawMessage:
		if kind := oauth.JSONKind(raw); kind != "an object" {
			return fmt.Errorf("must be an object, not %s", kind)
		}
		*field = bytes.Clone(raw)
	default:
		panic(fmt.Sprintf("registration: a document cannot hold a %T", field))
	}
	return nil
}

// decodeSeconds takes plain integers only: 1e9 and 3.0 are integers to JSON but
// not to every reader.
func decodeSeconds(raw []byte, into *int64) error {
	if kind := oauth.JSONKind(raw); kind != "a number" {
		return fmt.Errorf("must be a whole number of seconds, not %s", kind)
	}
	value, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil {
		return fmt.Errorf("must be a whole number of seconds, not %s", oauth.Shown(string(raw)))
	}
	*into = value
	return nil
}

// olderSubjectDN is what Open Banking's DCR 3.1 calls tls_client_auth_subject_dn.
const olderSubjectDN = "tls_client_auth_dn"

// misnamed are members that real registrations get wrong in a way that no
// spelling distance finds.
var misnamed = map[string]string{
	olderSubjectDN:            "tls_client_auth_subject_dn",
	"scopes":                  "scope",
	"redirect_uri":            "redirect_uris",
	"grant_type":              "grant_types",
	"certificate_bound_token": "tls_client_certificate_bound_access_tokens",
	"dpop_bound_tokens":       "dpop_bound_access_tokens",
	"id":                      "identifier",
}

func (d *decoding) unknownMember(path, name string, fields map[string]int) string {
	article := "a"
	if strings.ContainsAny(d.what[:1], "aeioAEIO") {
		article = "an"
	}
	text := fmt.Sprintf("%s is not %s %s member fapid knows", quote(path), article, d.what)
	if near := nearest(name, fields); near != "" {
		text += fmt.Sprintf("; did you mean %q?", near)
	}
	return text
}

// nearest returns the known member most like name, or nothing when none is
// within a third of its letters.
func nearest(name string, fields map[string]int) string {
	near, ok := misnamed[name]
	if isLocalized(name) {
		near, ok = memberLocalized, true
	}
	if _, known := fields[near]; ok && known {
		return near
	}
	const longest = 64
	if len(name) > longest {
		return ""
	}
	folded := strings.ToLower(strings.ReplaceAll(name, "-", "_"))
	best, bestDistance := "", max(1, len(name)/3)+1
	for _, known := range slices.Sorted(maps.Keys(fields)) {
		if d := oauth.Distance(folded, known); d < bestDistance {
			best, bestDistance = known, d
		}
	}
	return best
}
