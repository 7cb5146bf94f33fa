package scim

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/fapid/fapid/server/users"
)

// node is a part of a filter: it matches a user, or one value of an attribute.
type node interface{ match(v reflect.Value) bool }

type both struct{ left, right node }

func (n both) match(v reflect.Value) bool { return n.left.match(v) && n.right.match(v) }

type either struct{ left, right node }

func (n either) match(v reflect.Value) bool { return n.left.match(v) || n.right.match(v) }

type not struct{ inner node }

func (n not) match(v reflect.Value) bool { return !n.inner.match(v) }

// present is "pr": there is a value, and it is not empty.
type present struct{ at path }

func (n present) match(v reflect.Value) bool {
	last := n.at.last()
	return n.at.each(v, func(found reflect.Value) bool { return last.Present || !found.IsZero() })
}

// inSchema compares the schemas that a user is described by (RFC 7643 section 3).
type inSchema struct{ operator, name string }

func (n inSchema) match(v reflect.Value) bool {
	named := []string{users.CoreSchema}
	if !enterprise.In(v).IsZero() {
		named = append(named, users.EnterpriseSchema)
	}
	return slices.ContainsFunc(named, func(name string) bool {
		name = users.Fold(name)
		switch n.operator {
		case isPresent:
			return true
		case "ne":
			return name != n.name
		}
		return compares(n.operator, name, n.name)
	})
}

// some is a filter in brackets: one value of the attribute passes all of it.
type some struct {
	at    path
	inner node
}

func (n some) match(v reflect.Value) bool { return n.at.each(v, n.inner.match) }

// comparison compares an attribute with a value. Of several values of an attribute
// one has to pass (RFC 7644 section 3.4.2.2).
type comparison struct {
	at       path
	operator string
	text     string    // of a string: folded unless case matters
	written  string    // the same as it was written
	time     time.Time // of a date
	flag     users.Flag
}

// compare settles a comparison. An attribute with several values that have
// attributes themselves stands for their value.
func compare(at path, operator string, value any) (node, error) {
	if value := at.last().Find("value"); value != nil && at.last().Multi {
		at = append(at[:len(at):len(at)], value)
	}
	last := at.last()
	if last.Kind == users.Complex {
		return nil, fmt.Errorf("%s has attributes; compare one of those", at)
	}
	if value == nil {
		switch operator {
		case "eq":
			return not{present{at}}, nil
		case "ne":
			return present{at}, nil
		}
		return nil, fmt.Errorf("%s does not go with null", operator)
	}
	n := comparison{at: at, operator: operator}
	switch last.Kind {
	case users.Boolean:
		yes, ok := value.(bool)
		if !ok || operator != "eq" && operator != "ne" {
			return nil, fmt.Errorf("%s is true or false, and compared by eq and ne", at)
		}
		n.flag = users.FlagOf(yes)
		return n, nil
	case users.Binary64:
		if operator != "eq" && operator != "ne" {
			return nil, fmt.Errorf("%s is binary, and compared by eq and ne", at)
		}
	}
	text, ok := value.(string)
	if !ok {
		return nil, fmt.Errorf("%s is compared with a string in quotes", at)
	}
	return n.withText(text)
}

func (n comparison) withText(text string) (node, error) {
	last := n.at.last()
	n.written = text
	switch {
	case last.Kind == users.DateTime:
		var err error
		if n.time, err = parseTime(text); err != nil {
			return nil, fmt.Errorf("%s is compared with a date such as 2026-01-31T12:00:00Z", n.at)
		}
		if n.operator == "co" || n.operator == "sw" || n.operator == "ew" {
			return nil, fmt.Errorf("%s is a date; %s is for texts", n.at, n.operator)
		}
	case last.Exact:
		n.text = text
	default:
		n.text = users.Fold(text)
	}
	return n, nil
}

func (n comparison) match(v reflect.Value) bool {
	if n.operator == "ne" {
		assigned := false
		differs := n.at.each(v, func(found reflect.Value) bool {
			assigned = true
			return !n.holds("eq", found)
		})
		return differs || !assigned
	}
	return n.at.each(v, func(found reflect.Value) bool { return n.holds(n.operator, found) })
}

func (n comparison) holds(operator string, found reflect.Value) bool {
	switch n.at.last().Kind {
	case users.Boolean:
		return found.Interface() == n.flag
	case users.DateTime:
		at, _ := reflect.TypeAssert[time.Time](found)
		return ordered(operator, at.Compare(n.time))
	}
	text := found.String()
	if !n.at.last().Exact {
		text = users.Fold(text)
	}
	return compares(operator, text, n.text)
}

// compares reports whether a text is to another what an operator asks for.
func compares(operator, text, with string) bool {
	switch operator {
	case "co":
		return strings.Contains(text, with)
	case "sw":
		return strings.HasPrefix(text, with)
	case "ew":
		return strings.HasSuffix(text, with)
	}
	return ordered(operator, strings.Compare(text, with))
}

// ordered reports whether an order of two values is the one an operator asks for.
func ordered(operator string, order int) bool {
	switch operator {
	case "eq":
		return order == 0
	case "gt":
		return order > 0
	case "ge":
		return order >= 0
	case "lt":
		return order < 0
	}
	return order <= 0
}

// candidates are the users that a filter can match, where an index says which; ok
// is false if none does.
func candidates(n node, in *users.Users) (found []*users.User, ok bool) {
	switch n := n.(type) {
	case both:
		if found, ok = candidates(n.left, in); !ok {
			found, ok = candidates(n.right, in)
		}
		return found, ok
	case comparison:
		if n.operator != "eq" || len(n.at) != 1 {
			return nil, false
		}
		find, indexed := map[string]func(string) (*users.User, bool){
			"id": in.Get, "externalId": in.ByExternalID, "userName": in.ByUserName,
		}[n.at[0].Name]
		if !indexed {
			return nil, false
		}
		if user, there := find(n.text); there {
			found = append(found, user)
		}
		return found, true
	}
	return nil, false
}
