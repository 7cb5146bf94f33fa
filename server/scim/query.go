package scim

import (
	"cmp"
	"fmt"
	"math"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fapid/fapid/server/users"
)

// Sizes of answers.
const (
	usualCount = 100
	maxResults = 200    // of one answer; stated by ServiceProviderConfig
	maxSorted  = 10_000 // users that are sorted for one
)

// query is what a list or search asks for (RFC 7644 sections 3.4.2 and 3.4.3).
type query struct {
	filter         node // nil for all
	start, count   int
	sortBy         path // nil for the order of creation
	descending     bool
	shown          *selection
	filterText     string
	sortText       string
	sortOrder      string
	only, excluded []string
}

// fromURL reads the parameters of a list. Others are ignored: clients bring those
// of their own servers.
func fromURL(raw string) (*query, error) {
	values, err := parameters(raw)
	if err != nil {
		return nil, err
	}
	q := &query{start: 1, count: usualCount, filterText: values.Get("filter"), sortText: values.Get("sortBy"), sortOrder: values.Get("sortOrder")}
	for name, into := range map[string]*int{"startIndex": &q.start, "count": &q.count} {
		if !values.Has(name) {
			continue
		}
		if *into, err = strconv.Atoi(values.Get(name)); err != nil {
			return nil, users.InvalidValue(name, "is a whole number")
		}
	}
	q.only, q.excluded = attributeLists(values)
	return q, q.settle()
}

// parameters reads those of a URL, each at most once.
func parameters(raw string) (url.Values, error) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil, users.InvalidSyntax("the query is malformed")
	}
	for name, list := range values {
		if len(list) > 1 {
			return nil, users.InvalidSyntax("parameter %s is given %d times", shown(name), len(list))
		}
	}
	return values, nil
}

func attributeLists(values url.Values) (only, excluded []string) {
	split := func(text string) []string {
		return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
	}
	return split(values.Get("attributes")), split(values.Get("excludedAttributes"))
}

// fromBody reads the body of a search.
func fromBody(body string) (*query, error) {
	object, err := message(body, "urn:ietf:params:scim:api:messages:2.0:SearchRequest")
	if err != nil {
		return nil, err
	}
	q := &query{start: 1, count: usualCount}
	for name, into := range map[string]any{
		"filter": &q.filterText, "sortBy": &q.sortText, "sortOrder": &q.sortOrder, "startIndex": &q.start, "count": &q.count,
		"attributes": &q.only, "excludedAttributes": &q.excluded,
	} {
		value, err := users.Take(object, name)
		if err != nil {
			return nil, err
		}
		if value != nil && !assign(into, value) {
			return nil, users.InvalidValue(name, "has the wrong type")
		}
	}
	return q, q.settle()
}

// assign sets a text, whole number or list of texts to a decoded JSON value.
func assign(into, value any) (ok bool) {
	switch into := into.(type) {
	case *string:
		*into, ok = value.(string)
	case *int:
		var number float64
		if number, ok = value.(float64); ok {
			*into = int(max(math.MinInt32, min(math.MaxInt32, number)))
			ok = number == math.Trunc(number)
		}
	case *[]string:
		list, isList := value.([]any)
		for _, one := range list {
			text, isText := one.(string)
			if !isText {
				return false
			}
			*into = append(*into, text)
		}
		ok = isList
	}
	return ok
}

// message decodes the body of a request that has a schema of its own. One that
// names no schema at all is taken for what it is sent as; some clients do so.
func message(body, schema string) (map[string]any, error) {
	object, err := users.Object([]byte(body))
	if err != nil {
		return nil, err
	}
	return object, checkSchemas(object, schema)
}

// checkSchemas takes the schemas out of a body, in which one has to be named.
func checkSchemas(object map[string]any, schema string) error {
	value, err := users.Take(object, "schemas")
	if err != nil || value == nil {
		return err
	}
	var named []string
	if !assign(&named, value) {
		return users.InvalidSyntax("schemas must be an array of strings")
	}
	is := func(name string) bool { return strings.EqualFold(name, schema) }
	if len(named) > 0 && !slices.ContainsFunc(named, is) {
		return users.InvalidSyntax("schemas does not name %s", schema)
	}
	return nil
}

// settle parses what was asked for and brings it into bounds.
func (q *query) settle() (err error) {
	q.start, q.count = max(1, q.start), min(max(0, q.count), maxResults)
	if q.filterText != "" {
		if q.filter, err = parseFilter(q.filterText); err != nil {
			return err
		}
	}
	switch {
	case strings.EqualFold(q.sortOrder, "descending"):
		q.descending = true
	case q.sortOrder != "" && !strings.EqualFold(q.sortOrder, "ascending"):
		return users.InvalidValue("sortOrder", "is ascending or descending")
	}
	if q.sortText != "" {
		if q.sortBy, err = sortPath(q.sortText); err != nil {
			return err
		}
	}
	q.shown, err = newSelection(q.only, q.excluded)
	return err
}

// sortPath finds an attribute to sort by; one with several values stands for their
// value.
func sortPath(text string) (path, error) {
	at, err := findPath(text)
	if err != nil {
		return nil, invalidPath("sortBy: %s", err.Error())
	}
	if value := at.last().Find("value"); value != nil && at.last().Multi {
		at = append(at, value)
	}
	if at.last().Kind == users.Complex || at.has(func(a *users.Attribute) bool { return a.WriteOnly }) {
		return nil, invalidPath("nobody can sort by %s", at)
	}
	return at, nil
}

// run selects and sorts, and gives a page with the number of all results.
func (q *query) run(in *users.Users) (page []*users.User, total int, err error) {
	found := in.List()
	if q.filter != nil {
		from, indexed := candidates(q.filter, in)
		if !indexed {
			from = found
		}
		found = nil
		for _, user := range from {
			if q.filter.match(reflect.ValueOf(user).Elem()) {
				found = append(found, user)
			}
		}
	}
	if q.sortBy != nil {
		if len(found) > maxSorted {
			return nil, 0, tooMany("%d users are more than are sorted here, %d; narrow the filter or leave sortBy out", len(found), maxSorted)
		}
		found = q.sorted(found)
	}
	from := min(q.start-1, len(found))
	return found[from:min(from+q.count, len(found))], len(found), nil
}

// key is what a user is sorted by.
type key struct {
	user *users.User
	none bool
	text string
	time time.Time
}

// sorted orders users by an attribute: those without it come last, or first when
// descending (RFC 7644 section 3.4.2.3).
func (q *query) sorted(found []*users.User) []*users.User {
	keys := make([]key, len(found))
	for i, user := range found {
		keys[i] = q.key(user)
	}
	slices.SortStableFunc(keys, func(a, b key) int {
		order := cmp.Or(compareBools(a.none, b.none), a.time.Compare(b.time), cmp.Compare(a.text, b.text))
		if q.descending {
			return -order
		}
		return order
	})
	ordered := make([]*users.User, len(keys))
	for i := range keys {
		ordered[i] = keys[i].user
	}
	return ordered
}

func compareBools(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// key takes the primary value of an attribute that has several, or the first.
func (q *query) key(user *users.User) key {
	k := key{user: user, none: true}
	v := reflect.ValueOf(user).Elem()
	at := q.sortBy
	if first := at[0]; first.Multi {
		if primary := primaryOf(first, first.In(v)); primary.IsValid() {
			v, at = primary, at[1:]
		}
	}
	at.each(v, func(found reflect.Value) bool {
		k.none = false
		switch last := at.last(); {
		case last.Kind == users.DateTime:
			k.time, _ = reflect.TypeAssert[time.Time](found)
		case last.Kind == users.Boolean:
			k.text = fmt.Sprint(found.Interface() == users.Yes)
		case last.Exact:
			k.text = found.String()
		default:
			k.text = users.Fold(found.String())
		}
		return true
	})
	return k
}

// primaryOf is the value of a list that is marked as primary; not valid if none is.
func primaryOf(a *users.Attribute, list reflect.Value) reflect.Value {
	primary := a.Find("primary")
	for i := range list.Len() {
		if primary != nil && primary.In(list.Index(i)).Interface() == users.Yes {
			return list.Index(i)
		}
	}
	return reflect.Value{}
}
