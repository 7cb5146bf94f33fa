package directory

import (
	"bytes"
	"cmp"
	stdjson "encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4/json"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
)

// Limits of a record: far above what participants have.
const (
	maxText    = 2048 // bytes of one text
	maxEntries = 100  // of one list
)

// decode reads a record strictly: member names are case-sensitive and must be
// known, one that is there twice is refused, and so are texts that are too long,
// hold control characters or are no UTF-8. A member that is null counts as left
// out, because that is how generated clients write what they do not have.
func decode(text []byte, into any) error {
	if !utf8.Valid(text) {
		return oauth.InvalidRequest("the body is not valid UTF-8")
	}
	if trimmed := bytes.TrimLeft(text, " \t\r\n"); len(trimmed) == 0 || trimmed[0] != '{' {
		return oauth.InvalidRequest("the body is not a JSON object")
	}
	if err := known(text, reflect.TypeOf(into).Elem(), ""); err != nil {
		return oauth.InvalidRequest("%s", err.Error())
	}
	if err := json.Unmarshal(text, into); err != nil {
		return oauth.InvalidRequest("the body: %s", oauth.JSONText(err))
	}
	if err := texts(reflect.ValueOf(into).Elem(), ""); err != nil {
		return oauth.InvalidRequest("%s", err.Error())
	}
	return nil
}

// known walks through the objects of a document beside the type it is for, and
// refuses members that the type does not have.
func known(text []byte, t reflect.Type, at string) error {
	text = bytes.TrimSpace(text)
	switch {
	case string(text) == "null":
		return nil
	case t.Kind() == reflect.Slice:
		var elements []stdjson.RawMessage
		if err := json.Unmarshal(text, &elements); err != nil {
			return fmt.Errorf("%s must be a list, not %s", strings.TrimPrefix(at, "."), oauth.JSONKind(text))
		}
		for i, element := range elements {
			if err := known(element, t.Elem(), fmt.Sprintf("%s[%d]", at, i)); err != nil {
				return err
			}
		}
		return nil
	case t.Kind() != reflect.Struct:
		return fits(text, t, strings.TrimPrefix(at, "."))
	}
	name := cmp.Or(strings.TrimPrefix(at, "."), "the body")
	if kind := oauth.JSONKind(text); kind != "an object" {
		return fmt.Errorf("%s must be an object, not %s", name, kind)
	}
	var members map[string]stdjson.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		return fmt.Errorf("%s: %s", name, oauth.JSONText(err))
	}
	fields := membersOf(t)
	for _, name := range slices.Sorted(maps.Keys(members)) {
		field, ok := fields[name]
		if !ok {
			return fmt.Errorf("unknown member %s; there are %s", oauth.Clip(strings.TrimPrefix(at+"."+name, ".")), strings.Join(slices.Sorted(maps.Keys(fields)), ", "))
		}
		if err := known(members[name], field, at+"."+name); err != nil {
			return err
		}
	}
	return nil
}

// fits refuses a value of another kind than its member is; the decoder would name
// neither the member nor anything that a caller knows. Types that read themselves do so.
func fits(text []byte, t reflect.Type, name string) error {
	kind := oauth.JSONKind(text)
	switch {
	case reflect.PointerTo(t).Implements(reflect.TypeFor[stdjson.Unmarshaler]()):
	case t.Kind() == reflect.String && kind != "a string":
		return fmt.Errorf("%s must be a string, not %s", name, kind)
	case t.Kind() == reflect.Bool && kind != "a boolean":
		return fmt.Errorf("%s must be true or false, not %s", name, kind)
	}
	return nil
}

// membersOf are the members of a type's objects with the types of their values.
func membersOf(t reflect.Type) map[string]reflect.Type {
	members := map[string]reflect.Type{}
	for i := range t.NumField() {
		field := t.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case field.Anonymous && name == "":
			maps.Copy(members, membersOf(field.Type))
		case name != "" && name != "-":
			members[name] = field.Type
		}
	}
	return members
}

// texts holds every string of a record to the same limits.
func texts(v reflect.Value, at string) error {
	switch v.Kind() {
	case reflect.String:
		return checkText(v.String(), at)
	case reflect.Slice:
		if v.Len() > maxEntries && v.Type().Elem().Kind() != reflect.Uint8 {
			return fmt.Errorf("%s has %d entries, more than %d", at, v.Len(), maxEntries)
		}
		for i := range v.Len() {
			if err := texts(v.Index(i), fmt.Sprintf("%s[%d]", at, i)); err != nil {
				return err
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
			if err := texts(v.Field(i), strings.TrimPrefix(at+"."+name, ".")); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkText(text, at string) error {
	switch {
	case len(text) > maxText:
		return fmt.Errorf("%s is longer than %d bytes", at, maxText)
	case strings.ContainsFunc(text, unicode.IsControl) || strings.ContainsRune(text, utf8.RuneError):
		return fmt.Errorf("%s holds a control character, U+FFFD or half of a surrogate pair", at)
	}
	return nil
}

// uuid is how the directory writes ids.
var uuid = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// rules collects what is wrong with a record; the first of it is told.
type rules struct{ err error }

func (r *rules) refuse(format string, args ...any) {
	if r.err == nil {
		r.err = oauth.InvalidRequest(format, args...)
	}
}

func (r *rules) needed(member, value string) {
	if value == "" {
		r.refuse("%s is missing", member)
	}
}

func (r *rules) oneOf(member, value string, choices ...string) {
	if !slices.Contains(choices, value) {
		r.refuse("%s is %q, expected %s", member, oauth.Clip(value), strings.Join(choices, ", "))
	}
}

func (r *rules) uri(member, value string) {
	if value == "" {
		return
	}
	if err := registration.CheckURI(value); err != nil {
		r.refuse("%s: %s", member, err)
	}
}

func (r *rules) uris(member string, values []string, check func(string) error) {
	for i, value := range values {
		if err := check(value); err != nil {
			r.refuse("%s: %s", member, err)
		}
		if slices.Contains(values[:i], value) {
			r.refuse("%s has %q twice", member, oauth.Clip(value))
		}
	}
}

// same refuses a record whose own id is another than the one it is put under.
func (r *rules) same(member, value, path string) {
	if value != "" && value != path {
		r.refuse("%s is %q in the body and %q in the path", member, oauth.Clip(value), path)
	}
}
