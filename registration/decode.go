package registration

import (
	"bytes"
	stdjson "encoding/json"
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

// maxMetadataBytes is the largest registration that is read at all.
const maxMetadataBytes = 64 << 10

// ParseMetadata reads a registration strictly: member names are case-sensitive
// and must be known, a repeated or null member, a wrong type, invalid UTF-8,
// trailing bytes and more than 64 KiB are refused. Every error is an
// invalid_client_metadata that names the member and what was expected.
func ParseMetadata(data []byte) (Metadata, error) {
	var m Metadata
	if err := decodeMetadata(data, &m); err != nil {
		return Metadata{}, oauth.InvalidClientMetadata("%s", err.Error())
	}
	return m, nil
}

// memberError is a fault of one member, so that a YAML reader can add its line.
type memberError struct{ member, text string }

func (e *memberError) Error() string { return e.text }

func decodeMetadata(data []byte, m *Metadata) error {
	if len(data) > maxMetadataBytes {
		return fmt.Errorf("the registration is longer than %d bytes", maxMetadataBytes)
	}
	if !utf8.Valid(data) {
		return fmt.Errorf("the registration is not valid UTF-8")
	}
	if trimmed := bytes.TrimLeft(data, " \t\r\n"); len(trimmed) > 0 && trimmed[0] != '{' {
		return fmt.Errorf("the registration must be a JSON object, not %s", oauth.JSONKind(trimmed))
	}
	var members map[string]stdjson.RawMessage
	if err := json.Unmarshal(data, &members); err != nil {
		return fmt.Errorf("the registration is not a strict JSON object: %s", oauth.JSONText(err))
	}
	target := reflect.ValueOf(m).Elem()
	for _, name := range slices.Sorted(maps.Keys(members)) {
		field, known := memberFields[name]
		if !known {
			return &memberError{name, unknownMember(name)}
		}
		if err := decodeMember(members[name], target.Field(field).Addr().Interface()); err != nil {
			return &memberError{name, name + " " + err.Error()}
		}
	}
	return nil
}

// memberFields maps member names to the fields of Metadata: the struct's tags
// are the only place that says which members exist.
var memberFields = func() map[string]int {
	fields := make(map[string]int)
	for i, t := 0, reflect.TypeFor[Metadata](); i < t.NumField(); i++ {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if input := t.Field(i).Tag.Get("input"); input != "" {
			name = input
		}
		fields[name] = i
	}
	return fields
}()

// memberNames are the known names, sorted.
var memberNames = slices.Sorted(maps.Keys(memberFields))

func decodeMember(raw []byte, field any) error {
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

// misnamed are members that real registrations get wrong in a way that no
// spelling distance finds.
var misnamed = map[string]string{
	"tls_client_auth_dn":      "tls_client_auth_subject_dn",
	"scopes":                  "scope",
	"redirect_uri":            "redirect_uris",
	"grant_type":              "grant_types",
	"certificate_bound_token": "tls_client_certificate_bound_access_tokens",
	"dpop_bound_tokens":       "dpop_bound_access_tokens",
}

func unknownMember(name string) string {
	text := fmt.Sprintf("%s is not a registration member fapid knows", quote(name))
	if near := nearest(name); near != "" {
		text += fmt.Sprintf("; did you mean %q?", near)
	}
	return text
}

// nearest returns the known member most like name, or nothing when none is
// within a third of its letters.
func nearest(name string) string {
	if near, ok := misnamed[name]; ok {
		return near
	}
	const longest = 64
	if len(name) > longest {
		return ""
	}
	folded := strings.ToLower(strings.ReplaceAll(name, "-", "_"))
	best, bestDistance := "", max(1, len(name)/3)+1
	for _, known := range memberNames {
		if d := oauth.Distance(folded, known); d < bestDistance {
			best, bestDistance = known, d
		}
	}
	return best
}
