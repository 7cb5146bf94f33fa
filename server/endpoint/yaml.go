package endpoint

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/fapid/fapid/oauth"
)

// YAML writes a JSON document as YAML: the members in their order, texts in
// quotes wherever a reader of some version of YAML might take them for something
// else.
func YAML(document []byte) ([]byte, error) {
	w := yamlWriter{tokens: json.NewDecoder(bytes.NewReader(document))}
	w.tokens.UseNumber()
	token, err := w.tokens.Token()
	if err == nil {
		err = w.value(token, "", "\n")
	}
	if err != nil {
		return nil, fmt.Errorf("encode answer as YAML: %w", err)
	}
	return append(bytes.TrimLeft(w.out.Bytes(), " \n"), '\n'), nil
}

type yamlWriter struct {
	tokens *json.Decoder
	out    bytes.Buffer
}

// value writes the value that begins with a token. The parts of a list or a
// mapping stand below each other, at the indent; first is what comes before the
// first of them, where it is not a line of its own.
func (w *yamlWriter) value(token json.Token, indent, first string) error {
	switch token := token.(type) {
	case json.Delim:
		if !w.tokens.More() {
			w.out.WriteString(map[json.Delim]string{'{': " {}", '[': " []"}[token])
			_, err := w.tokens.Token()
			return err
		}
		if token == '{' {
			return w.mapping(indent, first)
		}
		return w.sequence(indent, first)
	case string:
		w.out.WriteString(" " + yamlText(token))
	case nil:
		w.out.WriteString(" null")
	case json.Number:
		w.out.WriteString(" " + yamlNumber(token))
	default:
		fmt.Fprintf(&w.out, " %v", token)
	}
	return nil
}

func (w *yamlWriter) mapping(indent, first string) error {
	for w.tokens.More() {
		name, err := w.tokens.Token()
		if err != nil {
			return err
		}
		w.out.WriteString(first + yamlText(name.(string)) + ":")
		first = "\n" + indent
		token, err := w.tokens.Token()
		if err != nil {
			return err
		}
		deeper := indent + "  "
		if token == json.Delim('[') {
			deeper = indent // entries of a list stand below its name
		}
		if err := w.value(token, deeper, "\n"+deeper); err != nil {
			return err
		}
	}
	_, err := w.tokens.Token()
	return err
}

func (w *yamlWriter) sequence(indent, first string) error {
	for w.tokens.More() {
		w.out.WriteString(first + "-")
		first = "\n" + indent
		token, err := w.tokens.Token()
		if err != nil {
			return err
		}
		if err := w.value(token, indent+"  ", " "); err != nil {
			return err
		}
	}
	_, err := w.tokens.Token()
	return err
}

// What every reader of YAML takes for the text it is, without quotes.
var (
	plainYAML = regexp.MustCompile(`^[A-Za-z/][A-Za-z0-9_./=,+@-]*([: ][A-Za-z0-9_./=,+@-]+)*$`)
	// otherWords are no text, to some version of YAML.
	otherWords = regexp.MustCompile(`(?i)^(true|false|yes|no|on|off|y|n|null|nan|inf|infinity)$`)
)

// yamlNumber writes what is no integer of 64 bits with a fraction, and a sign
// before an exponent: without, some readers take it for a text.
func yamlNumber(number json.Number) string {
	text := number.String()
	if _, err := strconv.ParseInt(text, 10, 64); err == nil {
		return text
	}
	digits, exponent, scaled := strings.Cut(strings.ToLower(text), "e")
	if !strings.Contains(digits, ".") {
		digits += ".0"
	}
	if !scaled {
		return digits
	}
	if exponent[0] != '-' && exponent[0] != '+' {
		exponent = "+" + exponent
	}
	return digits + "e" + exponent
}

// yamlText writes a text in one line, what cannot be seen as escapes.
func yamlText(text string) string {
	if plainYAML.MatchString(text) && !otherWords.MatchString(text) {
		return text
	}
	var out strings.Builder
	out.WriteByte('"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			out.WriteString(`\` + string(r))
		case r > 0xffff && oauth.Hidden(r):
			fmt.Fprintf(&out, `\U%08x`, r)
		case oauth.Hidden(r):
			fmt.Fprintf(&out, `\u%04x`, r)
		default:
			out.WriteRune(r)
		}
	}
	out.WriteByte('"')
	return out.String()
}
