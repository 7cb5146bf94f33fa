package admin

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Visible makes a text that anybody may have sent fit for one line of a page,
// a log or a terminal: control characters, bidirectional marks, zero-width
// characters and broken UTF-8 are written as escapes.
func Visible(text string) string {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c >= 0x7f {
			return escape(text)
		}
	}
	return text
}

func escape(text string) string {
	var out strings.Builder
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&out, `\x%02x`, text[0])
		case hidden(r):
			fmt.Fprintf(&out, `\u%04x`, r)
		default:
			out.WriteString(text[:size])
		}
		text = text[size:]
	}
	return out.String()
}

// hidden reports characters that a reader cannot see or that change how those
// around them look: controls, formats (bidi, zero width), line separators,
// private use.
func hidden(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co)
}

// escapeJSON writes the hidden characters of an encoded JSON text as \u escapes,
// which leaves its meaning and keeps a terminal from obeying them.
func escapeJSON(encoded []byte) []byte {
	var out strings.Builder
	for _, r := range string(encoded) {
		switch {
		case r < 0x7f || !hidden(r): // the encoder escapes those below
			out.WriteRune(r)
		case r > 0xffff:
			high, low := (r-0x10000)>>10+0xd800, (r-0x10000)&0x3ff+0xdc00
			fmt.Fprintf(&out, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&out, `\u%04x`, r)
		}
	}
	return []byte(out.String())
}
