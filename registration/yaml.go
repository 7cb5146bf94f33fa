package registration

import (
	stdjson "encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// yaml reads a YAML document as [JSONFromYAML] does. Errors begin with the line and
// column.
func (d *decoding) yaml(into any) error {
	text, positions, err := JSONFromYAML(d.what, d.data)
	if err != nil {
		return err
	}
	err = d.object("", text, reflect.ValueOf(into).Elem())
	var fault *memberError
	if errors.As(err, &fault) {
		return at(positions[fault.path], err)
	}
	return err
}

// JSONFromYAML turns one YAML document with one object in it into JSON, and says
// where each member stands, by its path: "accounts[0].balance". Plain values only:
// anchors, aliases, tags and merge keys are refused, because they let a small file
// stand for an enormous one. More than 64 KiB and what is not UTF-8 is refused, too.
// what says in errors what the document is.
func JSONFromYAML(what string, data []byte) (text []byte, positions map[string]string, err error) {
	if err := checkDocument(what, data); err != nil {
		return nil, nil, err
	}
	if err := emptyLines(data); err != nil {
		return nil, nil, err
	}
	tokens := lexer.Tokenize(string(data))
	if err := bounded(tokens); err != nil {
		return nil, nil, err
	}
	file, err := parser.Parse(tokens, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("YAML: %s", firstLine(yaml.FormatError(err, false, false)))
	}
	if len(file.Docs) != 1 || file.Docs[0].Body == nil {
		return nil, nil, fmt.Errorf("expected one YAML document with the %s in it", what)
	}
	root, ok := file.Docs[0].Body.(*ast.MappingNode)
	if !ok {
		return nil, nil, fmt.Errorf("the %s must be a YAML mapping of members", what)
	}
	converted := conversion{positions: map[string]string{}}
	if err := converted.write("", root, 0); err != nil {
		return nil, nil, err
	}
	return []byte(converted.out.String()), converted.positions, nil
}

// Bounds of a document: deeper than a key set in a registration ever nests, and
// more words than an API with a thousand clients has.
const (
	maxYAMLDepth  = 16
	maxYAMLTokens = 20_000
)

// maxEmptyLines is how many lines in a row may have nothing in them.
const maxEmptyLines = 100

// emptyLines refuses what would take the lexer into time that grows with the square
// of the input: it removes the empty lines behind a block scalar one by one, and
// copies the whole scalar for each.
func emptyLines(data []byte) error {
	line, empty := 1, 0
	for i, b := range data {
		switch b {
		case ' ', '\t':
		case '\r', '\n': // each of them ends a line, and both together
			if b == '\n' && i > 0 && data[i-1] == '\r' {
				continue
			}
			line++
			if empty++; empty > maxEmptyLines {
				return fmt.Errorf("line %d: more than %d empty lines in a row", line, maxEmptyLines)
			}
		default:
			empty = 0
		}
	}
	return nil
}

// bounded refuses what would take the parser into deep recursion, or into time
// that grows with the square of the input, before the parser sees it.
func bounded(tokens token.Tokens) error {
	if len(tokens) > maxYAMLTokens {
		return errors.New("YAML: more members and values than are read")
	}
	depth, dashes, line := 0, 0, 0
	for _, t := range tokens {
		if t.Position.Line != line {
			line, dashes = t.Position.Line, 0
		}
		switch t.Type {
		case token.MappingStartType, token.SequenceStartType:
			depth++
		case token.MappingEndType, token.SequenceEndType:
			depth--
		case token.SequenceEntryType:
			dashes++
		}
		if max(depth, dashes) > maxYAMLDepth {
			return fmt.Errorf("line %d, column %d: nested deeper than %d levels", t.Position.Line, t.Position.Column, maxYAMLDepth)
		}
	}
	return nil
}

// conversion turns a node into the JSON it stands for, and notes where the members
// are, by their paths.
type conversion struct {
	out       strings.Builder
	positions map[string]string
}

func (c *conversion) write(path string, node ast.Node, depth int) error {
	if depth > maxYAMLDepth {
		return fmt.Errorf("%s: nested deeper than %d levels", position(node), maxYAMLDepth)
	}
	switch node := node.(type) {
	case *ast.MappingNode:
		return c.mapping(path, node, depth)
	case *ast.SequenceNode:
		c.out.WriteByte('[')
		for i, value := range node.Values {
			if i > 0 {
				c.out.WriteByte(',')
			}
			c.positions[element(path, i)] = position(value)
			if err := c.write(element(path, i), value, depth+1); err != nil {
				return err
			}
		}
		c.out.WriteByte(']')
	case *ast.StringNode:
		return c.text(node.Value)
	case *ast.LiteralNode:
		return c.text(node.Value.Value)
	case *ast.IntegerNode:
		fmt.Fprint(&c.out, node.Value)
	case *ast.FloatNode:
		c.out.WriteString(strconv.FormatFloat(node.Value, 'g', -1, 64))
	case *ast.BoolNode:
		c.out.WriteString(strconv.FormatBool(node.Value))
	case *ast.NullNode:
		c.out.WriteString("null")
	default:
		return fmt.Errorf("%s: only plain YAML values are read here, not %s", position(node), strings.ToLower(node.Type().String()))
	}
	return nil
}

func (c *conversion) mapping(path string, node *ast.MappingNode, depth int) error {
	seen := make(map[string]bool, len(node.Values))
	c.out.WriteByte('{')
	for i, value := range node.Values {
		switch value.Key.(type) {
		case *ast.StringNode, *ast.IntegerNode, *ast.BoolNode:
		default:
			return fmt.Errorf("%s: expected a plain member name", position(value.Key))
		}
		name := keyText(value.Key)
		if seen[name] {
			return fmt.Errorf("%s: %s is written twice", position(value.Key), quote(name))
		}
		seen[name] = true
		if i > 0 {
			c.out.WriteByte(',')
		}
		if err := c.text(name); err != nil {
			return err
		}
		c.out.WriteByte(':')
		c.positions[below(path, name)] = position(value.Key)
		if err := c.write(below(path, name), value.Value, depth+1); err != nil {
			return err
		}
	}
	c.out.WriteByte('}')
	return nil
}

func (c *conversion) text(text string) error {
	encoded, err := stdjson.Marshal(text)
	c.out.Write(encoded)
	return err
}

func keyText(key ast.MapKeyNode) string {
	if text, ok := key.(*ast.StringNode); ok {
		return text.Value
	}
	return key.GetToken().Value
}

func position(node ast.Node) string {
	if node == nil || node.GetToken() == nil || node.GetToken().Position == nil {
		return "YAML"
	}
	at := node.GetToken().Position
	return fmt.Sprintf("line %d, column %d", at.Line, at.Column)
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}
