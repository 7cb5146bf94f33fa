package oauth

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Compact is a compact JWS (RFC 7515 section 7.1) taken apart. Nothing of it is
// verified yet; [VerifySignature] does that.
type Compact struct {
	Signed    string // header and payload as they were signed
	Header    []byte // JSON, UTF-8
	Payload   []byte
	Signature []byte
}

// ParseCompact takes a compact JWS apart. It wants the one spelling that there
// is (RFC 7515 section 2): three parts in base64url without padding, line breaks
// or stray bits in the last character. Lenient decoders let these pass, so that
// one signature is good for many texts.
func ParseCompact(text string) (c Compact, err error) {
	header, rest, first := strings.Cut(text, ".")
	payload, signature, second := strings.Cut(rest, ".")
	if !first || !second {
		return c, errors.New("it is no compact JWS")
	}
	c.Signed = text[:len(header)+1+len(payload)]
	for i, part := range [...]struct {
		text string
		into *[]byte
	}{{header, &c.Header}, {payload, &c.Payload}, {signature, &c.Signature}} {
		// The decoder skips line breaks.
		*part.into, err = spelling.DecodeString(part.text)
		if err != nil || strings.IndexByte(part.text, '\n') >= 0 || strings.IndexByte(part.text, '\r') >= 0 {
			return Compact{}, fmt.Errorf("part %d of it is not base64url without padding", i+1)
		}
	}
	if !utf8.Valid(c.Header) {
		return Compact{}, errors.New("its header is not UTF-8")
	}
	return c, nil
}

// spelling refuses stray bits in the last character.
var spelling = base64.RawURLEncoding.Strict()
