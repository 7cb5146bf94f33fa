package server

import (
	"bytes"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// YAML is the configuration as a file that [Load] reads back to the same;
// commented, with what each key means above it. Defaults are in it once they
// are filled in.
func (c Config) YAML(commented bool) ([]byte, error) {
	p := printer{commented: commented}
	p.section(reflect.ValueOf(c), "")
	return p.out.Bytes(), nil
}

type printer struct {
	out       bytes.Buffer
	commented bool
}

func (p *printer) section(v reflect.Value, indent string) {
	for _, f := range fieldsOf(v.Type()) {
		member := v.Field(f.index)
		if !written(member) {
			continue
		}
		if p.commented {
			p.comment(f.doc, indent)
		}
		p.member(f.key, reflect.Indirect(member), indent)
	}
}

// written reports whether there is anything to print: false says something,
// an empty text or list does not.
func written(v reflect.Value) bool {
	if v.Kind() == reflect.Pointer {
		return !v.IsNil()
	}
	switch kindOf(v.Type()) {
	case kindSwitch:
		return true
	case kindSection:
		for _, f := range fieldsOf(v.Type()) {
			if written(v.Field(f.index)) {
				return true
			}
		}
		return false
	case kindList:
		return v.Len() > 0
	case kindNamed:
		return !v.IsNil()
	default:
		return !v.IsZero()
	}
}

func (p *printer) member(key string, v reflect.Value, indent string) {
	p.out.WriteString(indent + quote(key) + ":")
	switch kindOf(v.Type()) {
	case kindSection:
		p.out.WriteByte('\n')
		p.section(v, indent+"  ")
	case kindNamed:
		p.out.WriteByte('\n')
		names := v.MapKeys()
		slices.SortFunc(names, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
		for _, name := range names {
			p.member(name.String(), reflect.Indirect(v.MapIndex(name)), indent+"  ")
		}
	case kindList:
		p.out.WriteByte('\n')
		for i := range v.Len() {
			p.out.WriteString(indent + "  - " + quote(textOf(v.Index(i))) + "\n")
		}
	case kindSwitch:
		p.out.WriteString(" " + strconv.FormatBool(v.Bool()) + "\n")
	default:
		text := textOf(v)
		if v.Type() != reflect.TypeFor[Count]() {
			text = quote(text)
		}
		p.out.WriteString(" " + text + "\n")
	}
}

// commentWidth is where comments are broken, indentation included.
const commentWidth = 80

func (p *printer) comment(text, indent string) {
	line := indent + "#"
	for word := range strings.FieldsSeq(text) {
		if len(line)+1+len(word) > commentWidth {
			p.out.WriteString(line + "\n")
			line = indent + "#"
		}
		line += " " + word
	}
	p.out.WriteString(line + "\n")
}

// What YAML reads as text without quotes, whatever its version.
var (
	plainText = regexp.MustCompile(`^[A-Za-z/][A-Za-z0-9_./-]*(:[A-Za-z0-9_./-]+)*$`)
	// otherWords are no text, to some version of YAML.
	otherWords = regexp.MustCompile(`(?i)^(true|false|yes|no|on|off|y|n|null|nan|inf|infinity)$`)
	// plainDigits are lengths of time and prefixes.
	plainDigits = regexp.MustCompile(`^(([0-9]+[smh])+|[0-9]+(\.[0-9]+){3}/[0-9]+)$`)
)

func quote(text string) string {
	if plainDigits.MatchString(text) || plainText.MatchString(text) && !otherWords.MatchString(text) {
		return text
	}
	return strconv.QuoteToASCII(text)
}
