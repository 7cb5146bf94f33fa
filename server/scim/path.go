package scim

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/fapid/fapid/server/users"
)

// path leads from a user to one of its attributes: the attribute, its
// sub-attribute and so on.
type path []*users.Attribute

// findPath reads an attribute's name (RFC 7644 section 3.10): with or without the
// URN of its schema, in any case. The error is a text for a refusal.
func findPath(text string) (path, error) {
	rest, at := text, path(nil)
	if hasPrefix(text, "urn:") {
		switch {
		case hasPrefix(text, users.CoreSchema+":"):
			rest = text[len(users.CoreSchema)+1:]
		case strings.EqualFold(text, users.EnterpriseSchema):
			return path{enterprise}, nil
		case hasPrefix(text, users.EnterpriseSchema+":"):
			rest, at = text[len(users.EnterpriseSchema)+1:], path{enterprise}
		default:
			return nil, fmt.Errorf("%s is of no schema that users have", shown(text))
		}
	}
	return at.extend(rest, text)
}

func hasPrefix(text, prefix string) bool {
	return len(text) >= len(prefix) && strings.EqualFold(text[:len(prefix)], prefix)
}

// enterprise is the extension, an attribute whose name is a URN.
var enterprise = users.Attributes.Find(users.EnterpriseSchema)

// extend goes on from an attribute by names with dots between.
func (p path) extend(names, whole string) (path, error) {
	for name := range strings.SplitSeq(names, ".") {
		parent := users.Attributes
		if len(p) > 0 {
			parent = p.last()
		}
		sub := parent.Find(name)
		if sub == nil || sub.Private {
			near := parent.Nearest(name)
			if near != "" {
				near = fmt.Sprintf("; did you mean %s?", near)
			}
			return nil, fmt.Errorf("there is no attribute %s%s", shown(whole), near)
		}
		p = append(slices.Clip(p), sub)
	}
	return p, nil
}

func (p path) last() *users.Attribute { return p[len(p)-1] }

// String is the name to show.
func (p path) String() string {
	var text strings.Builder
	for i, attribute := range p {
		switch {
		case i == 0:
		case p[i-1] == enterprise:
			text.WriteByte(':')
		default:
			text.WriteByte('.')
		}
		text.WriteString(attribute.Name)
	}
	return text.String()
}

// has reports whether the path leads through an attribute of some kind.
func (p path) has(is func(*users.Attribute) bool) bool { return slices.ContainsFunc(p, is) }

// each calls visit for every value at the end of the path, until it returns true,
// and reports whether it did. What is not assigned has no value.
func (p path) each(v reflect.Value, visit func(reflect.Value) bool) bool {
	if len(p) == 0 {
		return visit(v)
	}
	field := p[0].In(v)
	if !p[0].Multi {
		if field.IsZero() && !p[0].Present {
			return false
		}
		return p[1:].each(field, visit)
	}
	for i := range field.Len() {
		if p[1:].each(field.Index(i), visit) {
			return true
		}
	}
	return false
}

// shown is a foreign text in a refusal.
func shown(text string) string {
	const most = 80
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "..."
	}
	return fmt.Sprintf("%q", text)
}
