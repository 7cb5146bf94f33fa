package users

import (
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/fapid/fapid/oauth"
)

// Kind is the data type of an attribute (RFC 7643 section 2.3).
type Kind string

// The data types that users have.
const (
	String    Kind = "string"
	Boolean   Kind = "boolean"
	DateTime  Kind = "dateTime"
	Binary64  Kind = "binary"
	Reference Kind = "reference"
	Complex   Kind = "complex"
)

// Attribute is an attribute of a user, or of one of its attributes, with its
// characteristics (RFC 7643 section 2.2).
type Attribute struct {
	Name  string
	Doc   string
	Kind  Kind
	Multi bool // it has a list of values

	Required, Exact, Unique, ReadOnly, WriteOnly bool
	// Present says that it has a value always, Always that it is returned even to
	// those who ask for others only.
	Present, Always bool
	// Common is an attribute of every resource, Private one that SCIM does not know.
	Common, Private bool
	Lines           bool     // a text that may have several lines
	Values          []string // that are usual
	Sub             []*Attribute

	byName map[string]*Attribute
	field  int
}

// Attributes are those of a user: the sub-attributes of what is returned.
var Attributes = newAttribute(reflect.TypeFor[User]())

// newAttribute reads a type's fields and their tags.
func newAttribute(of reflect.Type) *Attribute {
	a := &Attribute{}
	if of.Kind() == reflect.Slice {
		a.Multi, of = true, of.Elem()
	}
	switch {
	case of == reflect.TypeFor[time.Time]():
		a.Kind = DateTime
	case of == reflect.TypeFor[Flag]():
		a.Kind = Boolean
	case of.Kind() == reflect.String:
		a.Kind = String
	default:
		a.Kind, a.byName = Complex, map[string]*Attribute{}
		for i := range of.NumField() {
			if !of.Field(i).IsExported() {
				continue
			}
			sub := newAttribute(of.Field(i).Type)
			sub.describe(of.Field(i), i)
			a.Sub = append(a.Sub, sub)
			a.byName[strings.ToLower(sub.Name)] = sub
		}
	}
	return a
}

// describe takes an attribute's characteristics from the tags of its field.
func (a *Attribute) describe(field reflect.StructField, index int) {
	name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
	if input := field.Tag.Get("input"); input != "" {
		name = input // what is never written
	}
	words := strings.Fields(field.Tag.Get("scim"))
	has := func(word string) bool { return slices.Contains(words, word) }
	a.Name, a.Doc, a.field = name, field.Tag.Get("doc"), index
	a.Present = options == ""
	a.Required, a.Exact, a.Unique = has("required"), has("exact"), has("unique")
	a.ReadOnly, a.WriteOnly, a.Always = has("readOnly"), has("writeOnly"), has("always")
	a.Common, a.Private, a.Lines = has("common"), has("private"), has("lines")
	switch {
	case has("reference"):
		a.Kind = Reference
	case has("binary"):
		a.Kind = Binary64
	}
	if kind, ok := a.byName["type"]; ok {
		kind.Values = strings.Fields(field.Tag.Get("values"))
	}
}

// Find gives a sub-attribute by its name, in any case (RFC 7643 section 2.1); nil
// for none.
func (a *Attribute) Find(name string) *Attribute { return a.byName[strings.ToLower(name)] }

// In is the attribute's value within that of the attribute it belongs to.
func (a *Attribute) In(parent reflect.Value) reflect.Value { return parent.Field(a.field) }

// Nearest is the name of the sub-attribute that is most like another name, for
// "did you mean"; empty when none is.
func (a *Attribute) Nearest(name string) string {
	const longest = 64
	if len(name) > longest {
		return ""
	}
	best, distance := "", max(1, len(name)/3)+1
	for _, sub := range a.Sub {
		if d := oauth.Distance(strings.ToLower(name), strings.ToLower(sub.Name)); d < distance {
			best, distance = sub.Name, d
		}
	}
	return best
}
