package jwk

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/fapid/fapid/oauth"
)

// signatureAlgs are the JWS algorithms of public keys and the type of key each
// needs (RFC 7518 section 3.1, RFC 8037, RFC 9864).
var signatureAlgs = map[string]string{
	"RS256": "RSA", "RS384": "RSA", "RS512": "RSA",
	"PS256": "RSA", "PS384": "RSA", "PS512": "RSA",
	"ES256": "P-256", "ES384": "P-384", "ES512": "P-521",
	"EdDSA": "Ed25519", "Ed25519": "Ed25519",
}

// Signs reports whether a JWS algorithm is one of public keys that is known here.
func Signs(alg string) bool { return signatureAlgs[alg] != "" }

// keyType is what decides which algorithms a key can verify: RSA or a curve.
func keyType(key jose.JSONWebKey) string {
	switch public := key.Key.(type) {
	case *rsa.PublicKey:
		return "RSA"
	case *ecdsa.PublicKey:
		return public.Curve.Params().Name
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return ""
}

// usable reports whether the key may verify a signature of this algorithm.
func usable(key *jose.JSONWebKey, alg, family string) bool {
	if key.Use != "" && key.Use != "sig" || keyType(*key) != family {
		return false
	}
	return key.Algorithm == "" || key.Algorithm == alg ||
		family == "Ed25519" && signatureAlgs[key.Algorithm] == family
}

// find returns the keys that may verify alg and carry kid; with an empty kid all
// that may. The result is part of the set and not to be changed.
func (s *Set) find(kid, alg, where string) ([]jose.JSONWebKey, error) {
	family, known := signatureAlgs[alg]
	if !known {
		return nil, fmt.Errorf("%s is not a signature algorithm fapid verifies", oauth.Quote(alg))
	}
	among := s.keys
	if kid != "" {
		among = s.named(kid)
		if len(among) == 0 {
			return nil, s.noSuchKey(kid, where)
		}
	}
	found := pick(among, alg, family)
	switch {
	case len(found) == 0 && kid != "":
		return nil, fmt.Errorf("the key with kid %s in %s cannot verify %s: %s", oauth.Quote(kid), where, alg, describe(among))
	case len(found) == 0:
		return nil, fmt.Errorf("no key in %s can verify %s (has: %s)", where, alg, s.known())
	case len(found) > maxCandidates:
		return nil, fmt.Errorf("%d keys in %s could verify %s; name one with kid", len(found), where, alg)
	}
	return found, nil
}

// named returns the keys with this kid, which lie side by side.
func (s *Set) named(kid string) []jose.JSONWebKey {
	first := 0
	for first < len(s.keys) && s.keys[first].KeyID != kid {
		first++
	}
	last := first
	for last < len(s.keys) && s.keys[last].KeyID == kid {
		last++
	}
	return s.keys[first:last]
}

// pick returns the usable keys, without allocating where they lie side by side.
func pick(keys []jose.JSONWebKey, alg, family string) []jose.JSONWebKey {
	first, last, count := -1, -1, 0
	for i := range keys {
		if usable(&keys[i], alg, family) {
			if first < 0 {
				first = i
			}
			last = i
			count++
		}
	}
	switch {
	case count == 0:
		return nil
	case count == last-first+1:
		return keys[first : last+1 : last+1]
	}
	var found []jose.JSONWebKey
	for i := first; i <= last; i++ {
		if usable(&keys[i], alg, family) {
			found = append(found, keys[i])
		}
	}
	return found
}

func (s *Set) noSuchKey(kid, where string) error {
	if reason, ok := s.refused[kid]; ok {
		return fmt.Errorf("the key with kid %s in %s is not used: %w", oauth.Quote(kid), where, reason)
	}
	return fmt.Errorf("no key with kid %s in %s (has: %s)", oauth.Quote(kid), where, s.known())
}

// known lists the kids for an explanation.
func (s *Set) known() string {
	var kids []string
	for _, key := range s.keys {
		kid := "one without kid"
		if key.KeyID != "" {
			kid = oauth.Shown(key.KeyID)
		}
		kids = append(kids, kid)
	}
	for _, kid := range slices.Sorted(maps.Keys(s.refused)) {
		kids = append(kids, fmt.Sprintf("%s, not used: %v", oauth.Quote(kid), s.refused[kid]))
	}
	return oauth.List(kids)
}

func describe(keys []jose.JSONWebKey) string {
	var all []string
	for _, key := range keys {
		text := keyType(key)
		if key.Use != "" {
			text += ", use " + oauth.Shown(key.Use)
		}
		if key.Algorithm != "" {
			text += ", alg " + oauth.Shown(key.Algorithm)
		}
		all = append(all, "it is "+text)
	}
	return strings.Join(all, "; ")
}

// Empty reports whether no key of the set may be used.
func (s *Set) Empty() bool { return len(s.keys) == 0 }

// Certified reports whether a key of the set came with its certificate.
func (s *Set) Certified() bool { return len(s.thumbprints) > 0 }

// Verifies reports whether a key of the set may verify alg.
func (s *Set) Verifies(alg string) bool { return pick(s.keys, alg, signatureAlgs[alg]) != nil }

// String says what the keys are, for an error.
func (s *Set) String() string { return describe(s.keys) }

// Keys are somebody's public keys: a set, or what a [Cache] has of a URI. They
// are safe for concurrent use.
type Keys struct {
	set   *Set
	where string // they are, for error texts

	cache  *Cache // nil for a set
	remote source
}

// In are the keys of a set that came along as jwks.
func In(set *Set) *Keys { return &Keys{set: set, where: "jwks"} }

// Set is the set that came along; nil for keys behind a URI.
func (k *Keys) Set() *Set { return k.set }

// Find returns the keys that may verify a signature by alg: type, curve, use,
// key_ops and the key's own alg agree. With an empty kid these are all such
// keys, at most five. A kid that a remote set does not hold causes one fetch,
// at most every 10 seconds. The error says why there is no key, a [FetchError]
// among its causes where the set could not be had, and is for the trace, not for
// the wire. The result is shared: do not change it.
func (k *Keys) Find(ctx context.Context, kid, alg string) ([]jose.JSONWebKey, error) {
	if k.set != nil {
		return k.set.find(kid, alg, k.where)
	}
	set, err := k.cache.get(ctx, k.remote, false)
	if err != nil {
		return nil, err
	}
	found, err := set.find(kid, alg, k.where)
	if err == nil {
		return found, nil
	}
	// A key may have been published since: look again, if it is time.
	newer, fetchErr := k.cache.get(ctx, k.remote, true)
	if fetchErr != nil {
		return nil, fmt.Errorf("%w; looking again: %w", err, fetchErr)
	}
	if newer == set {
		return nil, err
	}
	return newer.find(kid, alg, k.where)
}

// Fetch makes sure that the keys are there; the error is a [FetchError].
func (k *Keys) Fetch(ctx context.Context) error {
	if k.set != nil {
		return nil
	}
	_, err := k.cache.get(ctx, k.remote, false)
	return err
}

// HasCertificate reports whether a certificate with this base64url SHA-256
// thumbprint is the first in the x5c of a registered key (RFC 8705 section
// 2.2.2), and which thumbprints are, for the explanation. A certificate taken
// out of a jwks_uri stops counting within 60 seconds, or within 5 minutes while
// the jwks_uri cannot be fetched.
func (k *Keys) HasCertificate(ctx context.Context, thumbprint string) (bool, []string, error) {
	if k.set != nil {
		return slices.Contains(k.set.thumbprints, thumbprint), k.set.thumbprints, nil
	}
	set, err := k.cache.get(ctx, k.remote, false)
	if err != nil {
		return false, nil, err
	}
	if slices.Contains(set.thumbprints, thumbprint) {
		return true, set.thumbprints, nil
	}
	newer, err := k.cache.get(ctx, k.remote, true)
	if err != nil {
		return false, set.thumbprints, err
	}
	return slices.Contains(newer.thumbprints, thumbprint), newer.thumbprints, nil
}
