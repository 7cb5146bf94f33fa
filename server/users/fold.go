package users

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// Fold gives all spellings of a text that differ in case only the same form: what
// attributes without case are compared by (RFC 7643 section 2.2, caseExact). It
// goes by way of the upper case because the long s is lower case already, and an
// s to a reader.
func Fold(text string) string {
	for i := range len(text) {
		if c := text[i]; c >= 0x80 || c >= 'A' && c <= 'Z' {
			return strings.Map(func(r rune) rune { return unicode.ToLower(unicode.ToUpper(r)) }, norm.NFC.String(text))
		}
	}
	return text
}
