package server

import (
	"encoding"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"unicode"
	"unicode/utf8"
)

// field is one key of the configuration, read from the tags of its struct. The
// loader, the printer and the schema all walk the same fields.
type field struct {
	index    int
	key      string
	doc      string
	choices  string
	required bool
	from, to Duration // bounds of a length of time; 0 for anything else
}

// fieldsOf returns the keys of a section, in the order of the struct.
func fieldsOf(section reflect.Type) []field {
	var fields []field
	for i := range section.NumField() {
		member := section.Field(i)
		if !member.IsExported() {
			continue
		}
		key, _, _ := strings.Cut(member.Tag.Get("json"), ",")
		f := field{
			index: i, key: key,
			doc: member.Tag.Get("doc"), choices: member.Tag.Get("choices"),
			required: member.Tag.Get("required") != "",
		}
		if bare(member.Type) == reflect.TypeFor[Duration]() {
			f.from, f.to = bound(member.Tag, "from"), bound(member.Tag, "to")
			f.doc += fmt.Sprintf(" From %s to %s.", f.from, f.to)
		}
		fields = append(fields, f)
	}
	return fields
}

// bound reads a tag with a length of time. A tag that is not one is a mistake in
// [Config] that every test finds.
func bound(tag reflect.StructTag, name string) Duration {
	var length Duration
	if err := length.UnmarshalText([]byte(tag.Get(name))); err != nil {
		panic("server: " + name + ": " + err.Error())
	}
	return length
}

func fieldNamed(section reflect.Type, key string) (field, bool) {
	for _, f := range fieldsOf(section) {
		if f.key == key {
			return f, true
		}
	}
	return field{}, false
}

func keysOf(section reflect.Type) []string {
	var keys []string
	for _, f := range fieldsOf(section) {
		keys = append(keys, f.key)
	}
	return keys
}

// kind is how a value of the configuration is written.
type kind int

const (
	kindText    kind = iota // a string, or a type with a text form
	kindSwitch              // true or false
	kindList                // texts
	kindSection             // keys that are known
	kindNamed               // sections by a name of the user's
)

// kindOf looks through pointers. A field of a type that is not listed here is a
// mistake in [Config] that every test finds.
func kindOf(t reflect.Type) kind {
	t = bare(t)
	if reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		return kindText
	}
	switch t.Kind() {
	case reflect.String:
		return kindText
	case reflect.Bool:
		return kindSwitch
	case reflect.Slice:
		return kindList
	case reflect.Map:
		return kindNamed
	case reflect.Struct:
		return kindSection
	}
	panic("server: a configuration cannot hold a " + t.String())
}

func bare(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return t
}

// settle returns what v points to, made if there is nothing yet.
func settle(v reflect.Value) reflect.Value {
	if v.Kind() != reflect.Pointer {
		return v
	}
	if v.IsNil() {
		v.Set(reflect.New(v.Type().Elem()))
	}
	return v.Elem()
}

// maxText bounds a single value.
const maxText = 4096

// setText sets a text from the form in which it is written everywhere.
func setText(v reflect.Value, text string) error {
	switch {
	case text == "":
		return errors.New("is empty; leave it out for the default")
	case len(text) > maxText:
		return fmt.Errorf("is longer than %d bytes", maxText)
	case !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl):
		return errors.New("must be one line of UTF-8 text without control characters")
	}
	v = settle(v)
	switch into := v.Addr().Interface().(type) {
	case *netip.Prefix:
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return fmt.Errorf("%q is not a prefix such as 10.0.0.5/32", text)
		}
		*into = prefix
	case encoding.TextUnmarshaler:
		return into.UnmarshalText([]byte(text))
	default:
		v.SetString(text)
	}
	return nil
}

// textOf is the form that setText reads.
func textOf(v reflect.Value) string {
	if marshaler, ok := v.Interface().(encoding.TextMarshaler); ok {
		if text, err := marshaler.MarshalText(); err == nil {
			return string(text)
		}
	}
	return v.String()
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
