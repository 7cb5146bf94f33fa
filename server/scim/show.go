package scim

import (
	"bytes"
	"encoding/json"
	"reflect"

	"github.com/fapid/fapid/server/endpoint"
	"github.com/fapid/fapid/server/users"
)

// mediaType is SCIM's (RFC 7644 section 8.1).
const mediaType = "application/scim+json"

// document is an answer that is not a user.
func document(value any) *endpoint.Answer {
	return &endpoint.Answer{JSON: value, Type: mediaType}
}

// selection says which attributes are shown (RFC 7644 section 3.9).
type selection struct {
	only     map[*users.Attribute]extent // nil for all
	excluded map[*users.Attribute]bool
}

// extent is how much of an attribute was asked for.
type extent int

const (
	parts extent = iota + 1 // some of its sub-attributes
	whole
)

// newSelection finds the attributes by name. A name that is none selects nothing.
func newSelection(only, excluded []string) (*selection, error) {
	if len(only) > 0 && len(excluded) > 0 {
		return nil, users.InvalidSyntax("attributes and excludedAttributes exclude each other")
	}
	s := &selection{excluded: map[*users.Attribute]bool{}}
	if len(only) > 0 {
		s.only = map[*users.Attribute]extent{}
	}
	for _, name := range only {
		at, err := findPath(name)
		if err != nil {
			continue
		}
		for _, parent := range at[:len(at)-1] {
			s.only[parent] = max(s.only[parent], parts)
		}
		s.only[at.last()] = whole
	}
	for _, name := range excluded {
		if at, err := findPath(name); err == nil {
			s.excluded[at.last()] = true
		}
	}
	return s, nil
}

// writer writes users as SCIM shows them.
type writer struct {
	bytes.Buffer
	shown *selection
	// base is the address of the provider, for locations.
	base string
}

// user writes a record: the schemas first, then the attributes in the order of the
// schema.
func (w *writer) user(user *users.User) error {
	v := reflect.ValueOf(user).Elem()
	w.WriteString(`{"schemas":["` + users.CoreSchema + `"`)
	if !enterprise.In(v).IsZero() {
		w.WriteString(`,"` + users.EnterpriseSchema + `"`)
	}
	w.WriteString("],")
	if err := w.attributes(users.Attributes, v, false, user.ID); err != nil {
		return err
	}
	w.WriteByte('}')
	return nil
}

// attributes writes the members of an object, and nothing if there are none.
func (w *writer) attributes(of *users.Attribute, v reflect.Value, all bool, id string) error {
	first := true
	for _, a := range of.Sub {
		field := a.In(v)
		extent := w.extent(a, all)
		if extent == 0 || field.IsZero() && !a.Present {
			continue
		}
		before := w.Len()
		if !first {
			w.WriteByte(',')
		}
		w.WriteString(`"` + a.Name + `":`)
		start := w.Len()
		if err := w.value(a, field, extent == whole, id); err != nil {
			return err
		}
		if w.Len() == start {
			w.Truncate(before)
			continue
		}
		first = false
	}
	return nil
}

// extent says how much of an attribute is shown, given that all of what it belongs
// to is.
func (w *writer) extent(a *users.Attribute, all bool) extent {
	switch {
	case a.Private || a.WriteOnly:
		return 0
	case a.Always || all && !w.shown.excluded[a]:
		return whole
	case w.shown.excluded[a]:
		return 0
	case w.shown.only == nil:
		return whole
	}
	return w.shown.only[a]
}

func (w *writer) value(a *users.Attribute, v reflect.Value, all bool, id string) error {
	if a.Multi {
		return w.list(a, v, all)
	}
	if a.Kind != users.Complex {
		text, err := json.Marshal(v.Interface())
		w.Write(text)
		return err
	}
	return w.object(a, v, all, id)
}

func (w *writer) object(a *users.Attribute, v reflect.Value, all bool, id string) error {
	w.WriteByte('{')
	start := w.Len()
	if err := w.attributes(a, v, all, ""); err != nil {
		return err
	}
	if id != "" && a.Name == "meta" && all {
		w.WriteString(`,"location":"` + w.base + "/Users/" + id + `"`)
	}
	if w.Len() == start {
		w.Truncate(start - 1)
		return nil
	}
	w.WriteByte('}')
	return nil
}

func (w *writer) list(a *users.Attribute, v reflect.Value, all bool) error {
	w.WriteByte('[')
	start := w.Len()
	for i := range v.Len() {
		before := w.Len()
		if before > start {
			w.WriteByte(',')
		}
		begun := w.Len()
		if err := w.object(a, v.Index(i), all, ""); err != nil {
			return err
		}
		if w.Len() == begun {
			w.Truncate(before)
		}
	}
	if w.Len() == start {
		w.Truncate(start - 1)
		return nil
	}
	w.WriteByte(']')
	return nil
}

// base is the address of the provider as the request has it.
func base(r *endpoint.Request) string {
	if r.Listener == endpoint.MTLS {
		return r.Site.MTLSURL + r.Site.Path("scim")
	}
	return r.Site.StandardURL + r.Site.Path("scim")
}
