package server

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Bounds of a file. The parser takes time that grows with the square of the
// keys in one mapping, so tokens are counted as well as bytes.
const (
	maxFileBytes  = 1 << 20
	maxFileTokens = 20_000
	maxFileDepth  = 16
)

// decoder sets a configuration from a YAML file. It goes through the syntax
// tree itself, because only there every value has its position.
type decoder struct {
	loader *loader
	file   string
	lines  []string
}

func (d *decoder) at(t *token.Token) Origin {
	origin := Origin{Name: d.file}
	if t == nil || t.Position == nil || t.Position.Line < 1 {
		return origin
	}
	origin.Line, origin.Column = t.Position.Line, max(t.Position.Column, 1)
	if origin.Line <= len(d.lines) {
		origin.line = d.lines[origin.Line-1]
	}
	return origin
}

func (d *decoder) decode(source []byte, config reflect.Value) {
	d.loader.origins.set("", Origin{Name: d.file})
	if len(source) > maxFileBytes {
		d.loader.refuse(Origin{Name: d.file}, "", "is larger than %d bytes", maxFileBytes)
		return
	}
	if !utf8.Valid(source) {
		d.loader.refuse(Origin{Name: d.file}, "", "is not UTF-8 text")
		return
	}
	// The parser miscounts lines that end with CR LF.
	text := strings.ReplaceAll(strings.TrimPrefix(string(source), "\ufeff"), "\r\n", "\n")
	d.lines = strings.Split(text, "\n")
	body, ok := d.parse(text)
	if ok && body != nil {
		d.value("", body, Origin{Name: d.file}, config)
	}
}

// parse returns the document of the file, nil if it holds nothing but comments.
func (d *decoder) parse(text string) (ast.Node, bool) {
	tokens := lexer.Tokenize(text)
	if !d.plain(tokens) {
		return nil, false
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		origin, message := Origin{Name: d.file}, err.Error()
		var positioned yaml.Error
		if errors.As(err, &positioned) {
			origin, message = d.at(positioned.GetToken()), positioned.GetMessage()
		}
		d.loader.refuse(origin, "", "not YAML: %s", message)
		return nil, false
	}
	switch len(file.Docs) {
	case 0:
		return nil, true
	case 1:
		return file.Docs[0].Body, true
	}
	d.loader.refuse(d.at(file.Docs[1].Start), "", "a second document; a configuration is one")
	return nil, false
}

// plain refuses what lets a small file stand for an enormous one or takes the
// parser into deep recursion, before the parser sees it.
func (d *decoder) plain(tokens token.Tokens) bool {
	count, depth, dashes, line := 0, 0, 0, 0
	for _, t := range tokens {
		if t.Position.Line != line {
			line, dashes = t.Position.Line, 0
		}
		switch t.Type {
		case token.CommentType:
			continue
		case token.AnchorType, token.AliasType, token.MergeKeyType, token.TagType, token.MappingKeyType, token.DirectiveType:
			d.loader.refuse(d.at(t), "", "plain YAML only: no anchors, aliases, merge keys, tags, directives or complex keys")
			return false
		case token.MappingStartType, token.SequenceStartType:
			depth++
		case token.MappingEndType, token.SequenceEndType:
			depth--
		case token.SequenceEntryType:
			dashes++
		}
		count++
		if max(depth, dashes) > maxFileDepth {
			d.loader.refuse(d.at(t), "", "nested deeper than %d levels", maxFileDepth)
			return false
		}
		if count > maxFileTokens {
			d.loader.refuse(d.at(t), "", "more keys and values than a configuration has")
			return false
		}
	}
	return true
}

// value sets v from a node that was written at origin.
func (d *decoder) value(path string, node ast.Node, origin Origin, v reflect.Value) {
	d.loader.origins.set(path, origin)
	_, absent := node.(*ast.NullNode)
	switch kindOf(v.Type()) {
	case kindSection:
		d.section(path, node, origin, settle(v))
	case kindNamed:
		d.named(path, node, origin, v)
	case kindList:
		d.list(path, node, origin, v)
	case kindSwitch:
		on, ok := node.(*ast.BoolNode)
		if !ok {
			d.loader.refuse(origin, path, "expected true or false, not %s", describe(node))
			return
		}
		settle(v).SetBool(on.Value)
	case kindText:
		if absent {
			d.loader.refuse(origin, path, "is empty; leave it out for the default")
			return
		}
		d.text(path, node, origin, v)
	}
}

func (d *decoder) text(path string, node ast.Node, origin Origin, v reflect.Value) {
	var text string
	switch node := node.(type) {
	case *ast.StringNode:
		text = node.Value
	case *ast.LiteralNode:
		text = strings.TrimSuffix(node.Value.Value, "\n")
	default:
		if bare(v.Type()) == reflect.TypeFor[Count]() && isScalar(node) {
			text = node.GetToken().Value
			break
		}
		hint := ""
		switch {
		case bare(v.Type()).ConvertibleTo(reflect.TypeFor[time.Duration]()):
			hint = "; write a length of time with its unit, such as 90s, 10m or 1h30m"
		case isScalar(node):
			hint = fmt.Sprintf("; put it in quotes: %q", node.GetToken().Value)
		}
		d.loader.refuse(origin, path, "expected text, not %s%s", describe(node), hint)
		return
	}
	if err := setText(v, text); err != nil {
		d.loader.refuse(origin, path, "%s", err)
	}
}

func (d *decoder) list(path string, node ast.Node, origin Origin, v reflect.Value) {
	sequence, ok := node.(*ast.SequenceNode)
	if !ok {
		d.loader.refuse(origin, path, "expected a list, not %s", describe(node))
		return
	}
	if len(sequence.Values) == 0 {
		d.loader.refuse(origin, path, "is empty; leave it out for the default")
	}
	items := reflect.MakeSlice(v.Type(), len(sequence.Values), len(sequence.Values))
	for i, item := range sequence.Values {
		itemPath, itemOrigin := fmt.Sprintf("%s[%d]", path, i), d.at(item.GetToken())
		d.value(itemPath, item, itemOrigin, items.Index(i))
	}
	v.Set(items)
}

// members calls each for every key of a mapping, and refuses a key that comes
// twice. Nothing below the key is an empty mapping: all of it may be commented out.
func (d *decoder) members(path string, node ast.Node, origin Origin, each func(key string, value ast.Node, origin Origin)) {
	if _, empty := node.(*ast.NullNode); empty {
		return
	}
	mapping, ok := node.(*ast.MappingNode)
	if !ok {
		d.loader.refuse(origin, path, "expected keys and their values, not %s", describe(node))
		return
	}
	seen := make(map[string]Origin, len(mapping.Values))
	for _, member := range mapping.Values {
		at := d.at(member.Key.GetToken())
		key := member.Key.GetToken().Value
		if first, again := seen[key]; again {
			d.loader.refuse(at, join(path, key), "is written twice, first in line %d", first.Line)
			continue
		}
		seen[key] = at
		each(key, member.Value, at)
	}
}

func (d *decoder) section(path string, node ast.Node, origin Origin, v reflect.Value) {
	d.members(path, node, origin, func(key string, value ast.Node, at Origin) {
		f, known := fieldNamed(v.Type(), key)
		if !known {
			d.loader.refuse(at, join(path, key), "unknown key; %s", suggest(key, keysOf(v.Type())))
			return
		}
		d.value(join(path, key), value, at, v.Field(f.index))
	})
}

func (d *decoder) named(path string, node ast.Node, origin Origin, v reflect.Value) {
	if v.IsNil() {
		v.Set(reflect.MakeMap(v.Type()))
	}
	d.members(path, node, origin, func(name string, value ast.Node, at Origin) {
		entry := reflect.New(v.Type().Elem()).Elem()
		d.value(join(path, name), value, at, entry)
		v.SetMapIndex(reflect.ValueOf(name).Convert(v.Type().Key()), entry)
	})
}

func isScalar(node ast.Node) bool {
	switch node.(type) {
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return true
	}
	return false
}

// describe names what was written instead of what was expected.
func describe(node ast.Node) string {
	switch node := node.(type) {
	case *ast.StringNode:
		if len(node.Value) < 40 {
			return strconv.Quote(node.Value)
		}
		return "text"
	case *ast.LiteralNode:
		return "text"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "the number " + node.GetToken().Value
	case *ast.BoolNode:
		return node.GetToken().Value
	case *ast.SequenceNode:
		return "a list"
	case *ast.MappingNode:
		return "keys and their values"
	case *ast.NullNode:
		return "nothing"
	}
	return strings.ToLower(node.Type().String())
}
