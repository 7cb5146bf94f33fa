package registration

import (
	stdjson "encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/fapid/fapid/oauth"
)

// ParseMetadataYAML reads a registration written in YAML by the rules of
// [ParseMetadata]; errors begin with the line and column. One document, plain
// values only: anchors, aliases, tags and merge keys are refused, because they
// let a small file stand for an enormous one.
func ParseMetadataYAML(data []byte) (Metadata, error) {
	var m Metadata
	if err := decodeYAML(data, &m); err != nil {
		return Metadata{}, oauth.InvalidClientMetadata("%s", err.Error())
	}
	return m, nil
}

func decodeYAML(data []byte, m *Metadata) error {
	text, positions, err := JSONFromYAML(data)
	if err != nil {
		return err
	}
	if err := decodeMetadata(text, m); err != nil {
		var fault *memberError
		if errors.As(err, &fault) {
			return fmt.Errorf("%s: %w", positions[fault.member], err)
		}
		return err
	}
	return nil
}

// JSONFromYAML turns a record written in YAML into JSON, and says where each of
// its members stands. One document, plain values only, at most 64 KiB: what
// [ParseMetadataYAML] says of registrations holds for every record.
func JSONFromYAML(data []byte) (text []byte, positions map[string]string, err error) {
	if len(data) > maxMetadataBytes {
		return nil, nil, fmt.Errorf("the record is longer than %d bytes", maxMetadataBytes)
	}
	if !utf8.Valid(data) {
		return nil, nil, errors.New("the record is not valid UTF-8")
	}
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("YAML: %s", firstLine(yaml.FormatError(err, false, false)))
	}
	if len(file.Docs) != 1 || file.Docs[0].Body == nil {
		return nil, nil, errors.New("expected one YAML document with the record in it")
	}
	root, ok := file.Docs[0].Body.(*ast.MappingNode)
	if !ok {
		return nil, nil, errors.New("the record must be a YAML mapping of members")
	}
	positions = make(map[string]string, len(root.Values))
	for _, value := range root.Values {
		positions[keyText(value.Key)] = position(value.Key)
	}
	var out strings.Builder
	if err := writeJSON(&out, root, 0); err != nil {
		return nil, nil, err
	}
	return []byte(out.String()), positions, nil
}

// maxYAMLDepth is deeper than a key set in a registration ever nests.
const maxYAMLDepth = 16

// writeJSON turns a node into the JSON it stands for. Repeated keys are left to
// the strict JSON decoder, except that here they have a position.
func writeJSON(out *strings.Builder, node ast.Node, depth int) error {
	if depth > maxYAMLDepth {
		return fmt.Errorf("%s: nested deeper than %d levels", position(node), maxYAMLDepth)
	}
	switch node := node.(type) {
	case *ast.MappingNode:
		return writeMapping(out, node, depth)
	case *ast.SequenceNode:
		out.WriteByte('[')
		for i, value := range node.Values {
			if i > 0 {
				out.WriteByte(',')
			}
			if err := writeJSON(out, value, depth+1); err != nil {
				return err
			}
		}
		out.WriteByte(']')
	case *ast.StringNode:
		return writeText(out, node.Value)
	case *ast.LiteralNode:
		return writeText(out, node.Value.Value)
	case *ast.IntegerNode:
		fmt.Fprint(out, node.Value)
	case *ast.FloatNode:
		out.WriteString(strconv.FormatFloat(node.Value, 'g', -1, 64))
	case *ast.BoolNode:
		out.WriteString(strconv.FormatBool(node.Value))
	case *ast.NullNode:
		out.WriteString("null")
	default:
		return fmt.Errorf("%s: only plain YAML values are read here, not %s", position(node), strings.ToLower(node.Type().String()))
	}
	return nil
}

func writeMapping(out *strings.Builder, node *ast.MappingNode, depth int) error {
	seen := make(map[string]bool, len(node.Values))
	out.WriteByte('{')
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
			out.WriteByte(',')
		}
		if err := writeText(out, name); err != nil {
			return err
		}
		out.WriteByte(':')
		if err := writeJSON(out, value.Value, depth+1); err != nil {
			return err
		}
	}
	out.WriteByte('}')
	return nil
}

func writeText(out *strings.Builder, text string) error {
	encoded, err := stdjson.Marshal(text)
	out.Write(encoded)
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
