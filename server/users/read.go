package users

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4/json"

	"github.com/fapid/fapid/registration"
)

// Door is where a record comes in.
type Door int

const (
	// SCIM ignores what is no attribute (RFC 7644 section 3.3), and so the
	// private ones.
	SCIM Door = iota
	// Operator takes the private attributes, and refuses what is none.
	Operator
)

// maxRecord is the most a record may have, in bytes of JSON.
const maxRecord = 64 << 10

// Parse reads the operator's JSON: attribute names in any case, but each once, of
// the right type, and none that is unknown. What the server gives (id, meta) is
// returned in given and not set.
func Parse(data []byte) (user User, given string, err error) {
	object, err := Object(data)
	if err != nil {
		return user, "", err
	}
	return fromObject(object)
}

// ParseYAML is [Parse] for YAML: plain values, one document.
func ParseYAML(data []byte) (user User, given string, err error) {
	text, _, err := registration.JSONFromYAML("record", data)
	if err != nil {
		return user, "", InvalidSyntax("%s", err.Error())
	}
	return Parse(text)
}

func fromObject(object map[string]any) (user User, given string, err error) {
	if _, err := Take(object, "schemas"); err != nil {
		return user, "", err
	}
	for name, value := range object {
		if strings.EqualFold(name, "id") {
			given, _ = value.(string)
		}
	}
	user, err = Read(object, Operator)
	return user, given, err
}

// Read makes a user of a decoded record. One that does not say otherwise is active.
func Read(object map[string]any, door Door) (User, error) {
	var user User
	err := Attributes.Merge(reflect.ValueOf(&user).Elem(), object, door)
	if user.Active == Unset {
		user.Active = Yes
	}
	return user, err
}

// Object decodes a JSON object strictly: UTF-8, nothing after it, no member twice.
func Object(data []byte) (map[string]any, error) {
	if !utf8.Valid(data) {
		return nil, InvalidSyntax("the body is not valid UTF-8")
	}
	var value any
	if err := json.Unmarshal(data, &value); err != nil {
		return nil, InvalidSyntax("the body is not strict JSON: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	object, ok := value.(map[string]any)
	if !ok {
		return nil, InvalidSyntax("the body must be a JSON object, not %s", kindOf(value))
	}
	return object, nil
}

// Take removes a member from an object, in whatever case it is written, and gives
// its value; nil where there is none. Two spellings of it are refused.
func Take(object map[string]any, member string) (value any, err error) {
	found := ""
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if !strings.EqualFold(name, member) {
			continue
		}
		if found != "" {
			return nil, twice(found, name)
		}
		found, value = name, object[name]
	}
	if found != "" {
		delete(object, found)
	}
	return value, nil
}

func twice(one, other string) error {
	return InvalidSyntax("%s and %s are one attribute, whose name has no case", quote(one), quote(other))
}

// Set gives an attribute the value of a decoded JSON value; null clears it.
func (a *Attribute) Set(into reflect.Value, value any, door Door) error {
	return a.set(into, value, door, a.Name)
}

// Merge sets the attributes that an object has, and leaves the others as they
// are. Those that only the server sets are ignored (RFC 7644 section 3.5.1).
func (a *Attribute) Merge(into reflect.Value, object map[string]any, door Door) error {
	return a.merge(into, object, door, a.Name)
}

func (a *Attribute) set(into reflect.Value, value any, door Door, path string) error {
	if value == nil {
		into.SetZero()
		return nil
	}
	if !a.Multi {
		return a.setOne(into, value, door, path)
	}
	list, ok := value.([]any)
	if !ok {
		return InvalidValue(path, "must be an array, not %s", kindOf(value))
	}
	if len(list) > maxValues {
		return InvalidValue(path, "has %d values, more than %d", len(list), maxValues)
	}
	values := reflect.MakeSlice(into.Type(), len(list), len(list))
	for i, one := range list {
		if err := a.setOne(values.Index(i), one, door, fmt.Sprintf("%s[%d]", path, i)); err != nil {
			return err
		}
	}
	into.Set(values)
	return nil
}

func (a *Attribute) setOne(into reflect.Value, value any, door Door, path string) error {
	switch a.Kind {
	case Boolean:
		yes, ok := value.(bool)
		if !ok {
			return InvalidValue(path, "must be true or false without quotes, not %s", kindOf(value))
		}
		into.Set(reflect.ValueOf(FlagOf(yes)))
	case Complex:
		object, ok := value.(map[string]any)
		if !ok {
			return InvalidValue(path, "must be an object, not %s", kindOf(value))
		}
		into.SetZero()
		return a.merge(into, object, door, path)
	case DateTime:
		return InvalidValue(path, "is set by the server")
	default:
		text, ok := value.(string)
		if !ok {
			return InvalidValue(path, "must be a string, not %s", kindOf(value))
		}
		into.SetString(text)
	}
	return nil
}

func (a *Attribute) merge(into reflect.Value, object map[string]any, door Door, path string) error {
	seen := make(map[*Attribute]string, len(object))
	for _, name := range slices.Sorted(maps.Keys(object)) {
		sub := a.Find(name)
		if sub == nil || sub.Private && door != Operator {
			if door == Operator {
				return a.unknown(name, path)
			}
			continue
		}
		if other, already := seen[sub]; already {
			return twice(other, name)
		}
		seen[sub] = name
		if sub.ReadOnly {
			continue
		}
		if err := sub.set(sub.In(into), object[name], door, join(path, sub.Name)); err != nil {
			return err
		}
	}
	return nil
}

func (a *Attribute) unknown(name, path string) error {
	near := a.Nearest(name)
	if near != "" {
		near = fmt.Sprintf("; did you mean %q?", near)
	}
	return InvalidValue(quote(join(path, name)), "is no attribute of a user%s", near)
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// quote shows a foreign name in a refusal.
func quote(text string) string {
	const most = 80
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "..."
	}
	return fmt.Sprintf("%q", text)
}

// kindOf names the type of a decoded JSON value in words for an error.
func kindOf(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case string:
		return "a string"
	case bool:
		return "a boolean"
	case []any:
		return "an array"
	case map[string]any:
		return "an object"
	}
	return "a number"
}
