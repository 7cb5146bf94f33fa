package users

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4/json"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
)

// Door is where a record comes in.
type Door int

const (
	// SCIM ignores what is no attribute (RFC 7644 section 3.3), and so the
	// private ones.
	SCIM Door = iota
	// Management takes the private attributes, and refuses what is none.
	Management
)

// maxRecord is the most a record may have, in bytes of JSON.
const maxRecord = 64 << 10

// Parse reads a record as those who manage a realm write it: attribute names in any case, but
// each once, of the right type, and none that is unknown. Of what the server gives,
// the id is returned, as the one that is meant. A refusal begins with line and
// column where there is more than one line to look at.
func Parse(data []byte, in registration.Syntax) (User, error) {
	text, positions, broken := data, map[string]string(nil), ""
	var err error
	if in == registration.YAML {
		if text, positions, err = registration.JSONFromYAML("record", data); err != nil {
			return User{}, InvalidSyntax("%s", err.Error())
		}
	}
	user, err := parse(text)
	if err == nil {
		return user, nil
	}
	if in == registration.JSON {
		positions, broken = registration.LocateJSON(data)
	}
	refusal := oauth.AsError(err)
	if at := positionOf(err, positions, broken); at != "" {
		refusal.Description = at + ": " + refusal.Description
	}
	return User{}, refusal
}

// positionOf is where the attribute of a fault is, which may be written in any
// case; or where there is no strict JSON any more.
func positionOf(err error, positions map[string]string, broken string) string {
	wrong, ok := errors.AsType[*fault](err)
	if !ok {
		return broken
	}
	if position, ok := positions[wrong.path]; ok {
		return position
	}
	for path, position := range positions {
		if strings.EqualFold(path, wrong.path) {
			return position
		}
	}
	return ""
}

func parse(text []byte) (User, error) {
	object, err := Object(text)
	if err != nil {
		return User{}, err
	}
	if _, err := Take(object, "schemas"); err != nil {
		return User{}, err
	}
	id, err := Take(object, "id")
	if err != nil {
		return User{}, err
	}
	given, ok := id.(string)
	if !ok && id != nil {
		return User{}, invalid("id", "must be a string, not %s", kindOf(id))
	}
	user, err := Read(object, Management)
	user.ID = given
	return user, err
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
		return nil, InvalidSyntax("the body is not strict JSON: %s", oauth.JSONText(err))
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
			return nil, twice("", found, name)
		}
		found, value = name, object[name]
	}
	if found != "" {
		delete(object, found)
	}
	return value, nil
}

func twice(path, one, other string) error {
	return &fault{join(path, other), InvalidSyntax("%s and %s are one attribute, whose name has no case", quote(one), quote(other))}
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
		return invalid(path, "must be an array, not %s", kindOf(value))
	}
	if len(list) > maxValues {
		return invalid(path, "has %d values, more than %d", len(list), maxValues)
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
			return invalid(path, "must be true or false without quotes, not %s", kindOf(value))
		}
		into.Set(reflect.ValueOf(FlagOf(yes)))
	case Complex:
		object, ok := value.(map[string]any)
		if !ok {
			return invalid(path, "must be an object, not %s", kindOf(value))
		}
		into.SetZero()
		return a.merge(into, object, door, path)
	case DateTime:
		return invalid(path, "is set by the server")
	default:
		text, ok := value.(string)
		if !ok {
			return invalid(path, "must be a string, not %s", kindOf(value))
		}
		into.SetString(text)
	}
	return nil
}

func (a *Attribute) merge(into reflect.Value, object map[string]any, door Door, path string) error {
	seen := make(map[*Attribute]string, len(object))
	for _, name := range slices.Sorted(maps.Keys(object)) {
		sub := a.Find(name)
		if sub == nil || sub.Private && door != Management {
			if door == Management {
				return a.unknown(name, path)
			}
			continue
		}
		if other, already := seen[sub]; already {
			return twice(path, other, name)
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
	path = join(path, name)
	return &fault{path, InvalidValue(quote(path), "is no attribute of a user%s", near)}
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
