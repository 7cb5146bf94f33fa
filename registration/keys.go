package registration

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// signatureAlgs are the JWS algorithms a client may sign with and the type of
// key each needs (RFC 7518 section 3.1, RFC 8037, RFC 9864).
var signatureAlgs = map[string]string{
	"RS256": "RSA", "RS384": "RSA", "RS512": "RSA",
	"PS256": "RSA", "PS384": "RSA", "PS512": "RSA",
	"ES256": "P-256", "ES384": "P-384", "ES512": "P-521",
	"EdDSA": "Ed25519", "Ed25519": "Ed25519",
}

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
	if key.Use == "enc" || keyType(*key) != family {
		return false
	}
	return key.Algorithm == "" || key.Algorithm == alg ||
		family == "Ed25519" && signatureAlgs[key.Algorithm] == family
}

// find returns the keys that may verify alg and carry kid; with an empty kid all
// that may. The result is part of the set and not to be changed.
func (s *keySet) find(kid, alg, where string) ([]jose.JSONWebKey, error) {
	family, known := signatureAlgs[alg]
	if !known {
		return nil, fmt.Errorf("%s is not a signature algorithm fapid verifies", quote(alg))
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
		return nil, fmt.Errorf("the key with kid %s in %s cannot verify %s: %s", quote(kid), where, alg, describe(among))
	case len(found) == 0:
		return nil, fmt.Errorf("no key in %s can verify %s (has: %s)", where, alg, s.known())
	case len(found) > maxCandidates:
		return nil, fmt.Errorf("%d keys in %s could verify %s; name one with kid", len(found), where, alg)
	}
	return found, nil
}

// named returns the keys with this kid, which lie side by side.
func (s *keySet) named(kid string) []jose.JSONWebKey {
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

func (s *keySet) noSuchKey(kid, where string) error {
	if reason, ok := s.refused[kid]; ok {
		return fmt.Errorf("the key with kid %s in %s is not used: %w", quote(kid), where, reason)
	}
	return fmt.Errorf("no key with kid %s in %s (has: %s)", quote(kid), where, s.known())
}

// known lists the kids for an explanation.
func (s *keySet) known() string {
	var kids []string
	for _, key := range s.keys {
		kid := "one without kid"
		if key.KeyID != "" {
			kid = clip(key.KeyID)
		}
		kids = append(kids, kid)
	}
	for _, kid := range slices.Sorted(maps.Keys(s.refused)) {
		kids = append(kids, fmt.Sprintf("%s, not used: %v", quote(kid), s.refused[kid]))
	}
	return list(kids)
}

func describe(keys []jose.JSONWebKey) string {
	var all []string
	for _, key := range keys {
		text := keyType(key)
		if key.Use != "" {
			text += ", use " + key.Use
		}
		if key.Algorithm != "" {
			text += ", alg " + clip(key.Algorithm)
		}
		all = append(all, "it is "+text)
	}
	return strings.Join(all, "; ")
}

// Keys are the public keys of a client or of an issuer of software statements: a
// key set, or one that is fetched through the cache of a [Fetcher]. They are safe
// for concurrent use.
type Keys struct {
	set *keySet // jwks

	remote  source // jwks_uri
	where   string // it is, for error texts: made once
	fetcher *Fetcher
}

// unfetched says that there are no keys because they could not be fetched.
type unfetched struct{ error }

func (e unfetched) Unwrap() error { return e.error }

// InlineKeys are those of a JWK Set, held to the rules for registered ones.
func InlineKeys(jwks []byte, allowTestKeys bool) (*Keys, error) {
	set, err := parseJWKS(jwks, registered, allowTestKeys)
	if err != nil {
		return nil, err
	}
	if len(set.keys) == 0 {
		return nil, errors.New("the key set has no keys")
	}
	return &Keys{set: set}, nil
}

// RemoteKeys are fetched from an https URL when they are needed.
func RemoteKeys(fetcher *Fetcher, uri string, allowTestKeys bool) (*Keys, error) {
	if err := webURI(uri); err != nil {
		return nil, err
	}
	return remoteKeys(fetcher, uri, allowTestKeys), nil
}

func remoteKeys(fetcher *Fetcher, uri string, allowTestKeys bool) *Keys {
	return &Keys{remote: source{uri, allowTestKeys}, where: "jwks_uri " + uri, fetcher: fetcher}
}

// Find returns the keys that may verify a signature by alg: type, curve, use,
// key_ops and the key's own alg agree. With an empty kid these are all such
// keys, at most five. A kid that a remote set does not hold causes one fetch,
// at most every 10 seconds. The error says why there is no key and is for the
// trace, not for the wire. The result is shared: do not change it.
func (k *Keys) Find(ctx context.Context, kid, alg string) ([]jose.JSONWebKey, error) {
	if k.set != nil {
		return k.set.find(kid, alg, "jwks")
	}
	set, err := k.fetcher.cached(ctx, k.remote, false)
	if err != nil {
		return nil, unfetched{err}
	}
	found, err := set.find(kid, alg, k.where)
	if err == nil {
		return found, nil
	}
	// The client may have published a key since: look again, if it is time.
	newer, fetchErr := k.fetcher.cached(ctx, k.remote, true)
	if fetchErr != nil {
		return nil, fmt.Errorf("%w; looking again: %w", err, fetchErr)
	}
	if newer == set {
		return nil, err
	}
	return newer.find(kid, alg, k.where)
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
	set, err := k.fetcher.cached(ctx, k.remote, false)
	if err != nil {
		return false, nil, err
	}
	if slices.Contains(set.thumbprints, thumbprint) {
		return true, set.thumbprints, nil
	}
	newer, err := k.fetcher.cached(ctx, k.remote, true)
	if err != nil {
		return false, set.thumbprints, err
	}
	return slices.Contains(newer.thumbprints, thumbprint), newer.thumbprints, nil
}
