package scim

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/fapid/fapid/server/users"
)

// maxOperations is the most operations of one patch.
const maxOperations = 100

// operation is one of a patch (RFC 7644 section 3.5.2).
type operation struct {
	op    string // add, remove or replace
	at    *target
	value any
	// given says that there is a value, be it null.
	given bool
}

// target is what the path of an operation leads to.
type target struct {
	path path
	// only selects among the values at the end of the path; nil for all.
	only node
	// sub is the attribute that is meant of the selected values; nil for all of each.
	sub  *users.Attribute
	text string // the path as it was written
}

// parsePatch reads the body of a patch.
func parsePatch(body string) ([]operation, error) {
	object, err := message(body, "urn:ietf:params:scim:api:messages:2.0:PatchOp")
	if err != nil {
		return nil, err
	}
	value, err := users.Take(object, "Operations")
	if err != nil {
		return nil, err
	}
	list, ok := value.([]any)
	if !ok || len(list) == 0 || len(list) > maxOperations {
		return nil, users.InvalidSyntax("Operations must be an array of 1 to %d operations", maxOperations)
	}
	var operations []operation
	for i, one := range list {
		object, ok := one.(map[string]any)
		if !ok {
			return nil, users.InvalidSyntax("operation %d is no object", i+1)
		}
		parsed, err := parseOperation(object)
		if err != nil {
			return nil, err
		}
		operations = append(operations, parsed...)
	}
	return operations, nil
}

// parseOperation reads an operation. One without a path stands for one for each
// attribute in its value.
func parseOperation(object map[string]any) ([]operation, error) {
	var o operation
	var where string
	for name, into := range map[string]*string{"op": &o.op, "path": &where} {
		value, err := users.Take(object, name)
		if err != nil {
			return nil, err
		}
		if value != nil && !assign(into, value) {
			return nil, users.InvalidSyntax("%s must be a string", name)
		}
	}
	// The words have no case: RFC 7643 section 2.2 has caseExact false by default.
	o.op = strings.ToLower(o.op)
	if !slices.Contains([]string{"add", "remove", "replace"}, o.op) {
		return nil, users.InvalidSyntax("op must be add, remove or replace")
	}
	var err error
	before := len(object)
	if o.value, err = users.Take(object, "value"); err != nil {
		return nil, err
	}
	o.given = len(object) < before
	if where != "" {
		if o.at, err = parseTarget(where); err != nil {
			return nil, err
		}
		return []operation{o}, o.check()
	}
	return o.split()
}

// check refuses what could not be meant.
func (o *operation) check() error {
	if o.op != "remove" {
		if !o.given {
			return users.InvalidValue(shown(o.at.text), "is to be changed by %s, but the operation has no value", o.op)
		}
		return nil
	}
	if o.value != nil && o.at.path.last().Multi && o.at.only == nil {
		return users.InvalidValue(shown(o.at.text), "is to be removed with all of its values; to remove some, select them in brackets in the path")
	}
	return nil
}

// split makes an operation of each attribute in the value of one without a path.
// What is no attribute is ignored, as in a whole record.
func (o *operation) split() ([]operation, error) {
	if o.op == "remove" {
		return nil, noTarget("remove needs a path") // RFC 7644 section 3.5.2.2
	}
	object, ok := o.value.(map[string]any)
	if !ok {
		return nil, users.InvalidValue("value", "must be an object of attributes where the operation has no path")
	}
	var operations []operation
	named := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		at, err := findPath(name)
		if err != nil {
			continue
		}
		if other, twice := named[at.String()]; twice {
			return nil, users.InvalidSyntax("%s and %s are one attribute", shown(other), shown(name))
		}
		named[at.String()] = name
		operations = append(operations, operation{op: o.op, at: &target{path: at, text: name}, value: object[name], given: true})
	}
	return operations, nil
}

// parseTarget reads a path: an attribute, and after it perhaps a filter in brackets
// and a sub-attribute.
func parseTarget(text string) (*target, error) {
	p, err := newParser(text)
	if err != nil {
		return nil, invalidPath("%s", err.Error())
	}
	t := &target{text: text}
	name := p.word()
	if t.path, err = findPath(name); err != nil {
		return nil, invalidPath("%s", err.Error())
	}
	p.at += len(name)
	if p.take('[') {
		if !t.path.last().Multi {
			return nil, invalidPath("%s has one value; there is nothing to select", t.path)
		}
		selected, err := p.element(t.path)
		if err != nil {
			return nil, invalidFilter("%s", err.Error())
		}
		t.only = selected.(some).inner
		if err := t.takeSub(p); err != nil {
			return nil, err
		}
	}
	if p.rest() != "" {
		return nil, invalidPath("%s", p.fail("expected the end of the path").Error())
	}
	return t, nil
}

// takeSub reads the sub-attribute after the brackets.
func (t *target) takeSub(p *parser) error {
	name := p.word()
	if name == "" {
		return nil
	}
	p.at += len(name)
	sub, ok := strings.CutPrefix(name, ".")
	if t.sub = t.path.last().Find(sub); !ok || t.sub == nil {
		return invalidPath("%s has no attribute %s", t.path, shown(name))
	}
	return nil
}

// apply changes the user.
func (o *operation) apply(user *users.User) error {
	if o.at.path.has(func(a *users.Attribute) bool { return a.ReadOnly }) {
		if o.at.path.String() == "id" && o.value == user.ID {
			return nil // some clients say whom they mean
		}
		return mutability("%s is set by the server only", o.at.path)
	}
	return o.descend(o.at.path, reflect.ValueOf(user).Elem())
}

// descend goes along the path to the attributes that are meant.
func (o *operation) descend(rest path, v reflect.Value) error {
	a, field := rest[0], rest[0].In(v)
	switch {
	case len(rest) == 1 && o.at.only != nil:
		return o.onSelected(a, field)
	case len(rest) == 1:
		return o.on(a, field)
	case !a.Multi:
		return o.descend(rest[1:], field)
	}
	if field.Len() == 0 {
		return noTarget("%s has no value", a.Name)
	}
	for i := range field.Len() {
		if err := o.descend(rest[1:], field.Index(i)); err != nil {
			return err
		}
	}
	dropEmpty(field)
	return nil
}

// on carries the operation out on an attribute.
func (o *operation) on(a *users.Attribute, field reflect.Value) error {
	if o.op == "remove" || o.value == nil {
		if a.Required || a.WriteOnly {
			return mutability("%s can be replaced, not removed", a.Name)
		}
		field.SetZero()
		return nil
	}
	if object, ok := o.value.(map[string]any); ok && a.Kind == users.Complex && !a.Multi {
		return a.Merge(field, object, users.SCIM) // RFC 7644 section 3.5.2.3: others are left unchanged
	}
	if !a.Multi {
		return a.Set(field, o.value, users.SCIM)
	}
	values, err := o.values(a, field.Type())
	if err != nil {
		return err
	}
	if o.op == "replace" {
		field.Set(values)
		return nil
	}
	for i := range values.Len() {
		addValue(a, field, values.Index(i))
	}
	return nil
}

// values reads what is added to an attribute: several values or one.
func (o *operation) values(a *users.Attribute, list reflect.Type) (reflect.Value, error) {
	given := o.value
	if _, one := given.(map[string]any); one {
		given = []any{given}
	}
	values := reflect.New(list).Elem()
	return values, a.Set(values, given, users.SCIM)
}

// addValue adds a value that is not there yet. There is one primary value, and it
// is the newest (RFC 7644 section 3.5.2).
func addValue(a *users.Attribute, list, value reflect.Value) {
	for i := range list.Len() {
		if list.Index(i).Equal(value) {
			return
		}
	}
	if primary := a.Find("primary"); primary != nil && primary.In(value).Interface() == users.Yes {
		onlyPrimary(a, list, nil)
	}
	list.Set(reflect.Append(list, value))
}

// onlyPrimary takes the mark from all values but some.
func onlyPrimary(a *users.Attribute, list reflect.Value, but []int) {
	for i := range list.Len() {
		if !slices.Contains(but, i) {
			if mark := a.Find("primary").In(list.Index(i)); mark.Interface() == users.Yes {
				mark.Set(reflect.ValueOf(users.No))
			}
		}
	}
}

// onSelected carries the operation out on the values that the filter selects.
func (o *operation) onSelected(a *users.Attribute, list reflect.Value) error {
	var selected []int
	for i := range list.Len() {
		if o.at.only.match(list.Index(i)) {
			selected = append(selected, i)
		}
	}
	if len(selected) == 0 {
		return o.onNone(a, list)
	}
	for _, i := range selected {
		if err := o.onValue(a, list.Index(i)); err != nil {
			return err
		}
	}
	primary := a.Find("primary")
	if primary != nil && slices.ContainsFunc(selected, func(i int) bool { return primary.In(list.Index(i)).Interface() == users.Yes }) {
		onlyPrimary(a, list, selected)
	}
	dropEmpty(list)
	return nil
}

// onValue carries the operation out on one value, or on an attribute of it.
func (o *operation) onValue(a *users.Attribute, value reflect.Value) error {
	if o.at.sub != nil {
		return o.on(o.at.sub, o.at.sub.In(value))
	}
	if o.op == "remove" || o.value == nil {
		value.SetZero() // and dropped with the empty ones
		return nil
	}
	object, ok := o.value.(map[string]any)
	if !ok {
		return users.InvalidValue(shown(o.at.text), "must be an object")
	}
	if o.op == "replace" {
		value.SetZero()
	}
	return a.Merge(value, object, users.SCIM)
}

// onNone is for a filter that selects nothing. Where it says by eq what the value
// would be like, add makes it: clients set what they take for granted so.
func (o *operation) onNone(a *users.Attribute, list reflect.Value) error {
	fresh := reflect.New(list.Type().Elem()).Elem()
	if o.op != "add" || !describes(o.at.only, fresh) {
		return noTarget("no value of %s is selected by %s", a.Name, shown(o.at.text))
	}
	if err := o.onValue(a, fresh); err != nil {
		return err
	}
	addValue(a, list, fresh)
	return nil
}

// describes gives a value the attributes that a filter says it has; false if the
// filter says something else.
func describes(n node, value reflect.Value) bool {
	switch n := n.(type) {
	case both:
		return describes(n.left, value) && describes(n.right, value)
	case comparison:
		if n.operator != "eq" || len(n.at) != 1 {
			return false
		}
		switch field := n.at[0].In(value); n.at[0].Kind {
		case users.Boolean:
			field.Set(reflect.ValueOf(n.flag))
		case users.String:
			field.SetString(n.written)
		default:
			return false
		}
		return true
	}
	return false
}

// dropEmpty removes values that nothing is left of.
func dropEmpty(list reflect.Value) {
	kept := reflect.MakeSlice(list.Type(), 0, list.Len())
	for i := range list.Len() {
		if !list.Index(i).IsZero() {
			kept = reflect.Append(kept, list.Index(i))
		}
	}
	list.Set(kept)
}
