package jwk

import (
	"crypto"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"

	"github.com/fapid/fapid/oauth"
)

// ProofKey is a public key that a DPoP proof brings along.
type ProofKey struct {
	Public any // *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey
	// Thumbprint is its RFC 7638 thumbprint by SHA-256, base64url: the jkt.
	Thumbprint string
}

// maxProofKey bounds a jwk in bytes. The largest there is, RSA-4096, has some
// seven hundred; what is longer is refused before it is decoded.
const maxProofKey = 2 << 10

// ParseProofKey reads the jwk of a DPoP proof's header and holds it to the rules
// for registered keys: public members only, type, curve and size, and that it
// verifies alg. What costs a caller nothing to send costs little to refuse: size
// and exponent are looked at before anything is computed with them. A modulus is
// not searched for factors, since whoever brings a bad key harms himself alone.
func ParseProofKey(jwk []byte, alg string, refuse Refuse) (*ProofKey, error) {
	if len(jwk) > maxProofKey {
		return nil, fmt.Errorf("it has %d bytes, a key has at most %d", len(jwk), maxProofKey)
	}
	members, err := checkMembers(jwk)
	if err != nil {
		return nil, err
	}
	var key jose.JSONWebKey
	if err := key.UnmarshalJSON(jwk); err != nil {
		return nil, errors.New(Fault(err))
	}
	if err := checkKey(&key, Stored); err != nil {
		return nil, err
	}
	if !members.verifies() || !usable(&key, alg, signatureAlgs[alg]) {
		return nil, fmt.Errorf("the key cannot verify %s: %s", oauth.Quote(alg), describe([]jose.JSONWebKey{key}))
	}
	if refuse != nil {
		if err := refuse(key.Key); err != nil {
			return nil, err
		}
	}
	sum, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, err
	}
	return &ProofKey{Public: key.Key, Thumbprint: base64.RawURLEncoding.EncodeToString(sum)}, nil
}
