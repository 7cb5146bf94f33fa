package scim

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/fapid/fapid/server/users"
)

// Limits of a filter, far above what clients ask for.
const (
	maxFilter = 2048 // bytes
	maxDepth  = 16   // of parentheses, brackets and nots
)

// parseFilter reads a filter by the grammar of RFC 7644 section 3.4.2.2, of which
// "and" binds stronger than "or". The error is an oauth.Error of code
// invalid_filter that says where.
func parseFilter(text string) (node, error) {
	p, err := newParser(text)
	if err != nil {
		return nil, invalidFilter("%s", err.Error())
	}
	root, err := p.or()
	if err == nil && p.rest() != "" {
		err = p.fail("expected and, or, or the end")
	}
	if err != nil {
		return nil, invalidFilter("%s", err.Error())
	}
	return root, nil
}

// parser reads filters and the paths of patches.
type parser struct {
	text  string
	at    int
	depth int
	// within is where the attributes of a filter in brackets are; nil outside.
	within path
}

func newParser(text string) (*parser, error) {
	if len(text) > maxFilter {
		return nil, fmt.Errorf("it is longer than %d bytes", maxFilter)
	}
	if !utf8.ValidString(text) {
		return nil, fmt.Errorf("it is not valid UTF-8")
	}
	return &parser{text: text}, nil
}

// fail is an error at the place that is read next.
func (p *parser) fail(format string, args ...any) error {
	p.rest()
	return fmt.Errorf("at character %d: %s", utf8.RuneCountInString(p.text[:p.at])+1, fmt.Sprintf(format, args...))
}

// rest is what is left, after spaces.
func (p *parser) rest() string {
	for p.at < len(p.text) && p.text[p.at] == ' ' {
		p.at++
	}
	return p.text[p.at:]
}

// take goes past a character if it is next.
func (p *parser) take(character byte) bool {
	if rest := p.rest(); rest == "" || rest[0] != character {
		return false
	}
	p.at++
	return true
}

// word gives the name or operator that is next, without going past it.
func (p *parser) word() string {
	rest := p.rest()
	end := 0
	for end < len(rest) && nameCharacter(rest[end]) {
		end++
	}
	return rest[:end]
}

// nameCharacter is one of an attribute's path (RFC 7643 section 2.1), of its URN,
// or of "$ref".
func nameCharacter(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-_$.:", c) >= 0
}

// takeWord goes past a word, in any case, if it is next.
func (p *parser) takeWord(word string) bool {
	if !strings.EqualFold(p.word(), word) {
		return false
	}
	p.at += len(word)
	return true
}

// deeper bounds how deep a filter nests.
func (p *parser) deeper() (shallower func(), err error) {
	if p.depth++; p.depth > maxDepth {
		return nil, p.fail("nested deeper than %d levels", maxDepth)
	}
	return func() { p.depth-- }, nil
}

func (p *parser) or() (node, error) {
	left, err := p.and()
	for err == nil && p.takeWord("or") {
		var right node
		if right, err = p.and(); err == nil {
			left = either{left, right}
		}
	}
	return left, err
}

func (p *parser) and() (node, error) {
	left, err := p.term()
	for err == nil && p.takeWord("and") {
		var right node
		if right, err = p.term(); err == nil {
			left = both{left, right}
		}
	}
	return left, err
}

// term reads a filter in parentheses, one that is negated, or an expression.
func (p *parser) term() (node, error) {
	if p.take('(') {
		return p.group()
	}
	if at := p.at; p.takeWord("not") {
		if !p.take('(') {
			p.at = at
			return nil, p.fail("expected ( after not")
		}
		inner, err := p.group()
		return not{inner}, err
	}
	return p.expression()
}

// group reads up to the parenthesis that closes.
func (p *parser) group() (node, error) {
	shallower, err := p.deeper()
	if err != nil {
		return nil, err
	}
	defer shallower()
	inner, err := p.or()
	if err == nil && !p.take(')') {
		err = p.fail("expected )")
	}
	return inner, err
}

// expression reads an attribute and what is asked of it.
func (p *parser) expression() (node, error) {
	if p.within == nil && p.takeWord("schemas") {
		return p.schemas()
	}
	attribute, err := p.attribute()
	if err != nil {
		return nil, err
	}
	if p.take('[') {
		return p.element(attribute)
	}
	operator, value, err := p.question()
	if err != nil {
		return nil, err
	}
	if operator == isPresent {
		return present{attribute}, nil
	}
	compared, err := compare(attribute, operator, value)
	if err != nil {
		return nil, p.fail("%s", err.Error())
	}
	return compared, nil
}

// schemas reads what is asked of the schemas of a user, which no attribute of the
// record holds.
func (p *parser) schemas() (node, error) {
	operator, value, err := p.question()
	if err != nil {
		return nil, err
	}
	name, ok := value.(string)
	if !ok && operator != isPresent {
		return nil, p.fail("schemas is compared with a string in quotes")
	}
	return inSchema{operator, users.Fold(name)}, nil
}

// question reads an operator and, for all but one, the value it compares with.
func (p *parser) question() (operator string, value any, err error) {
	operator = strings.ToLower(p.word())
	if operator != isPresent && !slices.Contains(operators, operator) {
		return "", nil, p.fail("expected one of %s, %s", strings.Join(operators, ", "), isPresent)
	}
	p.at += len(operator)
	if operator == isPresent {
		return operator, nil, nil
	}
	if rest := p.rest(); rest != "" && p.text[p.at-1] != ' ' {
		return "", nil, p.fail("expected a space after %s", operator)
	}
	value, err = p.value()
	return operator, value, err
}

// isPresent is the operator without a value.
const isPresent = "pr"

// operators compare with a value.
var operators = []string{"eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"}

// attribute reads the path of one that can be searched.
func (p *parser) attribute() (path, error) {
	name := p.word()
	if name == "" {
		return nil, p.fail("expected the name of an attribute")
	}
	var found path
	var err error
	if p.within != nil {
		if found, err = p.within.extend(name, name); err == nil {
			found = found[len(p.within):]
		}
	} else {
		found, err = findPath(name)
	}
	if err == nil && found.has(func(a *users.Attribute) bool { return a.WriteOnly }) {
		err = fmt.Errorf("nobody can search by %s", found)
	}
	if err != nil {
		return nil, p.fail("%s", err.Error())
	}
	p.at += len(name)
	return found, nil
}

// element reads a filter in brackets: one that a single value has to pass whole.
func (p *parser) element(attribute path) (node, error) {
	if p.within != nil || attribute.last().Kind != users.Complex {
		return nil, p.fail("a filter in brackets belongs to an attribute that has attributes")
	}
	shallower, err := p.deeper()
	if err != nil {
		return nil, err
	}
	defer shallower()
	p.within = attribute
	inner, err := p.or()
	p.within = nil
	if err == nil && !p.take(']') {
		err = p.fail("expected ]")
	}
	return some{attribute, inner}, err
}

// value reads false, null, true, a number or a string, as JSON has them; or a
// text without quotes, as the clients of WSO2's servers write it.
func (p *parser) value() (any, error) {
	rest := p.rest()
	end := strings.IndexAny(rest, ` ()[]{}"'\`)
	if end < 0 {
		end = len(rest)
	}
	if bare := rest[:end]; bare != "" && !json.Valid([]byte(bare)) {
		if strings.ContainsFunc(bare, unicode.IsControl) || end < len(rest) && strings.IndexByte(" )]", rest[end]) < 0 {
			return nil, p.fail("expected a value; write texts in quotes")
		}
		p.at += end
		return bare, nil
	}
	decoder := json.NewDecoder(strings.NewReader(rest))
	token, err := decoder.Token()
	if _, delimiter := token.(json.Delim); err != nil || delimiter {
		return nil, p.fail("expected a value: a text in quotes, true, false, null or a number")
	}
	end = int(decoder.InputOffset())
	if end < len(rest) && strings.IndexByte(" )]", rest[end]) < 0 {
		return nil, p.fail("expected a space after the value")
	}
	p.at += end
	return token, nil
}

// parseTime reads a date (RFC 7643 section 2.3.5).
func parseTime(text string) (time.Time, error) { return time.Parse(time.RFC3339Nano, text) }
