package token

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
)

// The first part of the tokens that are no JWT. It says what a text found in a
// log or a repository is.
const (
	kindAccess  = "fapid_at"
	kindRefresh = "fapid_rt"
)

// handle is a token that is no JWT, taken apart: what kind it is, where its
// record is, and the proof that its holder was given it. To clients it is opaque.
type handle struct {
	kind   string
	client string // client_id
	id     string
	secret string // base64url of 256 bits
}

// secretBytes is the length of a secret: twice what RFC 6749 section 10.10 and
// FAPI 2 section 5.3.2.2 ask for.
const secretBytes = 32

// newSecret makes a random secret.
func newSecret() string {
	var secret [secretBytes]byte
	_, _ = rand.Read(secret[:]) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(secret[:])
}

// String is the token. Its characters are those of b64token (RFC 6750 section 2.1).
func (h handle) String() string {
	return h.kind + "." + base64.RawURLEncoding.EncodeToString([]byte(h.client)) + "." + h.id + "." + h.secret
}

// hash is what is kept of the token.
func (h handle) hash() []byte {
	sum := sha256.Sum256([]byte(h.String()))
	return sum[:]
}

// parseHandle takes a token of a kind apart. It wants the one spelling that
// [handle.String] has.
func parseHandle(text, kind string) (h handle, err error) {
	if len(text) > MaxToken {
		return h, fmt.Errorf("%w: it has %d bytes, ours have at most %d", ErrForeign, len(text), MaxToken)
	}
	parts := strings.Split(text, ".")
	if len(parts) != 4 || parts[0] != kind {
		return h, fmt.Errorf("%w: it does not look like one", ErrForeign)
	}
	client, err := base64.RawURLEncoding.DecodeString(parts[1])
	h = handle{kind: kind, client: string(client), id: parts[2], secret: parts[3]}
	if err != nil || h.String() != text || h.id == "" || strings.Contains(h.client, separator) {
		return h, fmt.Errorf("%w: it is damaged", ErrForeign)
	}
	return h, nil
}

// IsOpaque reports whether a text is meant to be an opaque access token.
func IsOpaque(text string) bool { return strings.HasPrefix(text, kindAccess+".") }

// IsRefresh reports whether a text is meant to be a refresh token.
func IsRefresh(text string) bool { return strings.HasPrefix(text, kindRefresh+".") }
