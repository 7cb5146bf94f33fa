package oauth

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// CheckCompact wants the one spelling that a compact JWS has (RFC 7515 sections
// 2 and 7.1): three parts in base64url without padding, line breaks or stray
// bits in the last character, and a header in UTF-8. Decoders let these pass and
// verify what they encode again, so one signature would be good for many texts.
func CheckCompact(compact string) error {
	header, rest, first := strings.Cut(compact, ".")
	payload, signature, second := strings.Cut(rest, ".")
	if !first || !second {
		return errors.New("it is no compact JWS")
	}
	for i, part := range [...]string{header, payload, signature} {
		if !strictBase64URL(part) {
			return fmt.Errorf("part %d of it is not base64url without padding", i+1)
		}
	}
	var room [512]byte
	text, err := base64.RawURLEncoding.AppendDecode(room[:0], []byte(header))
	if err != nil || !utf8.Valid(text) {
		return errors.New("its header is not UTF-8")
	}
	return nil
}

// strictBase64URL reports whether text is what an encoder writes. Two characters
// carry four bits too many, three carry two; an encoder leaves them zero.
func strictBase64URL(text string) bool {
	var value byte
	for i := range len(text) {
		switch c := text[i]; {
		case 'A' <= c && c <= 'Z':
			value = c - 'A'
		case 'a' <= c && c <= 'z':
			value = c - 'a' + 26
		case '0' <= c && c <= '9':
			value = c - '0' + 52
		case c == '-':
			value = 62
		case c == '_':
			value = 63
		default:
			return false
		}
	}
	switch len(text) % 4 {
	case 1:
		return false
	case 2:
		return value&0x0f == 0
	case 3:
		return value&0x03 == 0
	}
	return true
}
