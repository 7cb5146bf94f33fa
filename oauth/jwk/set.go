// Package jwk reads public keys that others have published: JWKs and JWK Sets
// (RFC 7517), held to one set of rules, and a cache of the sets behind a URI.
package jwk

import (
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"

	"github.com/fapid/fapid/oauth"
)

// MaxSet is the most bytes a key set may have.
const MaxSet = 64 << 10

// MaxKeys is how many keys a set may have.
const MaxKeys = 50

// Limits of a key set.
const (
	maxKIDBytes = 512
	maxKeyOps   = 100
	// maxCandidates is how many signature checks an assertion without a kid
	// may cost.
	maxCandidates = 5
)

// Set is a parsed JWK Set: the keys that may be used, in an order in which all
// keys of one kid and type lie side by side, so that a lookup is a slice of it.
type Set struct {
	keys []jose.JSONWebKey // without certificates, which are large
	// thumbprints are the base64url SHA-256 of each key's x5c[0].
	thumbprints []string
	// refused says why a key of a fetched set is not used, by kid.
	refused map[string]error
}

// Origin is where a key set comes from, which decides how it is judged.
type Origin int

const (
	// Registered: a key that breaks a rule is an error.
	Registered Origin = iota
	// Fetched: such a key is left out and the reason kept, so that one odd
	// key does not take the others with it (RFC 7517 section 5).
	Fetched
	// Stored: as Registered, but moduli are not searched for factors again.
	// That is most of the work, and what it found once it finds for ever.
	Stored
)

// Refuse says what is wrong with a key that breaks no rule: that everybody has its
// private half. Nil takes them all.
type Refuse func(key crypto.PublicKey) error

// Parse reads a JWK Set (RFC 7517) strictly.
func Parse(data []byte, from Origin, refuse Refuse) (*Set, error) {
	if len(data) > MaxSet {
		return nil, fmt.Errorf("key set longer than %d bytes", MaxSet)
	}
	if !utf8.Valid(data) {
		return nil, errors.New("key set is not valid UTF-8")
	}
	var document struct {
		Keys []stdjson.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(data, &document); err != nil {
		return nil, fmt.Errorf("not a JWK Set: %s", oauth.JSONText(err))
	}
	switch {
	case document.Keys == nil:
		return nil, errors.New(`not a JWK Set: it has no "keys" array`)
	case len(document.Keys) > MaxKeys:
		return nil, fmt.Errorf("key set has %d keys, more than %d", len(document.Keys), MaxKeys)
	}
	set := &Set{}
	for i, raw := range document.Keys {
		if err := set.add(raw, from, refuse); err != nil {
			kid := kidOf(raw)
			if from != Fetched {
				return nil, fmt.Errorf("key %d (kid %s): %w", i+1, oauth.Quote(kid), err)
			}
			set.leaveOut(kid, err)
		}
	}
	slices.SortStableFunc(set.keys, func(a, b jose.JSONWebKey) int {
		return cmp.Or(cmp.Compare(a.KeyID, b.KeyID), cmp.Compare(keyType(a), keyType(b)))
	})
	return set, nil
}

func (s *Set) leaveOut(kid string, reason error) {
	if s.refused == nil {
		s.refused = make(map[string]error)
	}
	s.refused[kid] = reason
}

// add checks one key and keeps it.
func (s *Set) add(raw []byte, from Origin, refuse Refuse) error {
	members, err := checkMembers(raw)
	if err != nil {
		return err
	}
	var key jose.JSONWebKey
	if err := key.UnmarshalJSON(raw); err != nil {
		return errors.New(Fault(err))
	}
	if err := checkKey(&key, from); err != nil {
		return err
	}
	if refuse != nil {
		if err := refuse(key.Key); err != nil {
			return err
		}
	}
	// RFC 7517 section 4.5: one kid for two keys only if their types differ.
	if slices.ContainsFunc(s.keys, func(k jose.JSONWebKey) bool {
		return k.KeyID != "" && k.KeyID == key.KeyID && fmt.Sprintf("%T", k.Key) == fmt.Sprintf("%T", key.Key)
	}) {
		return errors.New("another key of the same kty has the same kid")
	}
	if len(key.Certificates) > 0 {
		sum := sha256.Sum256(key.Certificates[0].Raw)
		s.thumbprints = append(s.thumbprints, base64.RawURLEncoding.EncodeToString(sum[:]))
	}
	key.Certificates, key.CertificatesURL = nil, nil
	key.CertificateThumbprintSHA1, key.CertificateThumbprintSHA256 = nil, nil
	if !members.verifies() {
		key.Use = "other than verify"
	}
	s.keys = append(s.keys, key)
	return nil
}

// Fault is what is wrong with a JWK that go-jose does not decode, for who wrote it:
// without the names of the packages that found it, and of their types.
func Fault(err error) string { return packages.Replace(oauth.JSONText(err)) }

var packages = strings.NewReplacer("go-jose/go-jose: ", "", "json: ", "", "x509: ", "", "asn1: ", "")

// keyMembers are the members of a JWK that are checked before it is decoded.
type keyMembers struct {
	kty, crv, use, kid, e string
	keyOps                []string
}

// verifies is false when key_ops excludes verification (RFC 7517 section 4.3).
func (m *keyMembers) verifies() bool {
	return m.keyOps == nil || slices.Contains(m.keyOps, "verify")
}

// checkMembers looks at what decoding would hide: private and symmetric
// material, null and wrongly typed members, unsupported types.
func checkMembers(raw []byte) (*keyMembers, error) {
	var all map[string]stdjson.RawMessage
	if err := json.Unmarshal(raw, &all); err != nil || all == nil {
		return nil, errors.New("not a JSON object with each member once")
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		switch name {
		case "d", "p", "q", "dp", "dq", "qi", "oth", "priv":
			return nil, fmt.Errorf("private key member %q in a public key set; replace this key, it is exposed", name)
		case "k":
			return nil, errors.New("a symmetric key; only public keys belong here")
		}
	}
	var m keyMembers
	for _, member := range []struct {
		name string
		into *string
	}{{"kty", &m.kty}, {"crv", &m.crv}, {"use", &m.use}, {"kid", &m.kid}, {"e", &m.e}} {
		if value, given := all[member.name]; given {
			if err := oauth.DecodeString(value, member.into); err != nil {
				return nil, fmt.Errorf("%s %w", member.name, err)
			}
		}
	}
	if value, given := all["key_ops"]; given {
		if err := oauth.DecodeStrings(value, &m.keyOps, maxKeyOps); err != nil {
			return nil, fmt.Errorf("key_ops %w", err)
		}
	}
	switch {
	case len(m.kid) > maxKIDBytes:
		return nil, fmt.Errorf("kid is longer than %d bytes", maxKIDBytes)
	// There are other uses (RFC 7517 section 4.2): directories publish transport keys
	// as tls. One that somebody could take for these is none.
	case m.use != "sig" && m.use != "enc" && (strings.EqualFold(m.use, "sig") || strings.EqualFold(m.use, "enc")):
		return nil, fmt.Errorf("use %s, expected sig or enc", oauth.Quote(m.use))
	}
	return &m, m.checkType()
}

func (m *keyMembers) checkType() error {
	switch m.kty {
	case "RSA":
		// Boulder and FAPI practice: 65537 and no other spelling of it.
		if m.e != "AQAB" {
			return fmt.Errorf("RSA exponent e is %s, expected \"AQAB\" (65537)", oauth.Quote(m.e))
		}
		return nil
	case "EC":
		if m.crv != "P-256" && m.crv != "P-384" && m.crv != "P-521" {
			return fmt.Errorf("curve %s, expected P-256, P-384 or P-521", oauth.Quote(m.crv))
		}
		return nil
	case "OKP":
		if m.crv != "Ed25519" {
			return fmt.Errorf("curve %s, expected Ed25519", oauth.Quote(m.crv))
		}
		return nil
	case "oct":
		return errors.New("a symmetric key; only public keys belong here")
	}
	return fmt.Errorf("kty %s, expected RSA, EC or OKP", oauth.Quote(m.kty))
}

func checkKey(key *jose.JSONWebKey, from Origin) error {
	switch public := key.Key.(type) {
	case *rsa.PublicKey:
		if err := checkRSA(public); err != nil {
			return err
		}
		if from == Stored {
			break
		}
		if err := checkFactors(public.N); err != nil {
			return err
		}
	case *ecdsa.PublicKey:
		// Also refuses the point at infinity and points off the curve.
		if _, err := public.ECDH(); err != nil {
			return fmt.Errorf("not a point of its curve")
		}
	case ed25519.PublicKey: // checked when decoded: length and low order
	default:
		return fmt.Errorf("not a public key fapid can use")
	}
	if family, signs := signatureAlgs[key.Algorithm]; signs && family != keyType(*key) {
		return fmt.Errorf("alg %s does not go with this key's type (%s)", key.Algorithm, keyType(*key))
	}
	return nil
}

func kidOf(raw []byte) string {
	var m struct {
		Kid string `json:"kid"`
	}
	_ = json.Unmarshal(raw, &m) // for an error text only: no kid is fine
	return m.Kid
}
