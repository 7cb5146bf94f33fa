package clientauth

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	strict "github.com/go-jose/go-jose/v4/json"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/store"
)

// Limits of an assertion. Real ones stay under two thousand bytes.
const (
	maxAssertion = 16 << 10
	maxJTI       = 256
	maxKeyID     = 512 // as registration has it
)

// kind is what an assertion is for. One that is good as one kind is refused as
// any other, by its typ, iss and sub; and each kind has its own record of jti.
type kind struct {
	// name is what events and descriptions call it; the others name the checks
	// that pass, so that nothing is put together on the way.
	name, signature, audience, times, jti string
	// typ is the explicit type of draft-ietf-oauth-rfc7523bis.
	typ string
	// refuse makes a refusal; vague is the public text where a clear one would tell
	// a stranger which credential was nearly right.
	refuse func(format string, args ...any) oauth.Error
	vague  string
}

// failed is the one public text for everything that the kind does not say.
func (k *kind) failed(format string, args ...any) oauth.Error {
	return k.refuse("%s", k.vague).Because(format, args...)
}

// assertionClaims are the claims of an assertion (RFC 7523 section 3).
type assertionClaims struct {
	Issuer   string          `json:"iss"`
	Subject  string          `json:"sub"`
	Audience json.RawMessage `json:"aud"`
	ID       string          `json:"jti"`
	Expires  *float64        `json:"exp"`
	IssuedAt *float64        `json:"iat"`
	NotUntil *float64        `json:"nbf"`
}

// finder finds the keys that may have signed what has this header.
type finder func(*assertionHeader) ([]any, error)

// publicKeys finds them in the client's JWKS.
func publicKeys(ctx context.Context, client *registration.Client) finder {
	return func(header *assertionHeader) ([]any, error) {
		keys, err := client.Keys.Find(ctx, header.KeyID, header.Algorithm)
		if err != nil {
			return nil, err
		}
		candidates := make([]any, len(keys))
		for i := range keys {
			candidates[i] = keys[i].Key
		}
		return candidates, nil
	}
}

// bySecretJWT is client_secret_jwt: an assertion keyed with the client secret.
func (a *Authenticator) bySecretJWT(ctx context.Context, client *registration.Client, attempt *Attempt) error {
	return a.byAssertion(ctx, client, attempt, func(*assertionHeader) ([]any, error) {
		key, err := client.SecretKey()
		return []any{key}, err
	})
}

// malformed refuses what is no assertion at all.
func malformed(k *kind, client *registration.Client, err error, event *oauth.Event) error {
	event.Fail(k.name, "a compact JWS", err.Error(), "sign a JWT with "+strings.Join(client.AssertionAlgs, " or "))
	return k.failed("malformed assertion: %w", err)
}

// verifySignature checks header, key and signature, and after these that there
// are claims to be read.
func verifySignature(k *kind, read *assertion, client *registration.Client, find finder, event *oauth.Event) error {
	header := &read.header
	if err := checkHeader(k, header, client.AssertionAlgs, event); err != nil {
		return err
	}
	keys, err := find(header)
	if err != nil {
		event.Fail(k.name+" key", "a registered key", "kid "+oauth.Clip(header.KeyID), err.Error())
		return k.failed("key: %w", err)
	}
	if !slices.ContainsFunc(keys, func(key any) bool {
		return oauth.VerifySignature(header.Algorithm, key, read.Signed, read.Signature)
	}) {
		event.Fail(k.signature, "a signature by a registered key", "one that does not verify", oauth.SigningAdvice("the private key whose public half is registered", header.Algorithm))
		return k.failed("the signature does not verify")
	}
	event.Pass(k.signature, header.Algorithm, header.Algorithm)
	return read.decoded(k, event)
}

// decoded refuses an assertion whose claims could not be read.
func (read *assertion) decoded(k *kind, event *oauth.Event) error {
	if err := read.claimsErr; err != nil {
		event.Fail(k.name+" claims", "one JSON object", err.Error(), "send each claim once and with its type")
		return k.failed("claims: %w", err)
	}
	return nil
}

// assertion is an assertion taken apart; nothing in it is to be believed before
// its signature is verified.
type assertion struct {
	oauth.Compact
	header    assertionHeader
	claimsErr error
}

// assertionHeader is what is looked at in a JOSE header. Of the RawMessages it
// counts only that they are there.
type assertionHeader struct {
	Algorithm string          `json:"alg"`
	KeyID     string          `json:"kid"`
	Type      json.RawMessage `json:"typ"`
	Critical  json.RawMessage `json:"crit"`
	Base64    json.RawMessage `json:"b64"`
	Key       json.RawMessage `json:"jwk"`
	KeySetURL json.RawMessage `json:"jku"`
	ChainURL  json.RawMessage `json:"x5u"`
}

// parse reads one compact JWS and nothing else; sizes are capped before anything
// is split or decoded.
func (read *assertion) parse(text string, claims any) (err error) {
	switch {
	case text == "":
		return errors.New("it is missing")
	case len(text) > maxAssertion:
		return fmt.Errorf("it has %d bytes, at most %d are read", len(text), maxAssertion)
	case strings.Count(text, ".") == 4:
		return errors.New("it is encrypted (JWE)")
	}
	if read.Compact, err = oauth.ParseCompact(text); err != nil {
		return err
	}
	if err := strict.Unmarshal(read.Header, &read.header); err != nil {
		return fmt.Errorf("its header: %w", err)
	}
	read.claimsErr = decodeClaims(read.Payload, claims)
	return nil
}

// checkHeader looks at what the header claims before any key is used. Key
// references in it (jku, x5u, jwk, x5c) are never followed: the key is the
// registered one (RFC 8725 section 3.10).
func checkHeader(k *kind, header *assertionHeader, algs []string, event *oauth.Event) error {
	if !slices.Contains(algs, header.Algorithm) {
		event.Fail(k.name+" alg", strings.Join(algs, " or "), oauth.Clip(header.Algorithm), "sign with an algorithm the client is registered for")
		return k.failed("alg %s is not allowed", header.Algorithm)
	}
	if len(header.KeyID) > maxKeyID {
		event.Fail(k.name+" kid", fmt.Sprintf("at most %d bytes", maxKeyID), fmt.Sprintf("%d bytes", len(header.KeyID)), "use the kid of the registered key")
		return k.failed("kid is too long")
	}
	if header.Type != nil && !header.generic() && !header.typed(k.typ) {
		event.Fail(k.name+" typ", "JWT or "+k.typ, oauth.Clip(string(header.Type)), "this is another kind of JWT")
		return k.failed("typ %s is another kind of JWT", oauth.Clip(string(header.Type)))
	}
	if header.Critical != nil || header.Base64 != nil {
		event.Fail(k.name+" header", "no crit and no b64", "one of them", "leave them out: no extension is understood here (RFC 7515 section 4.1.11)")
		return k.failed("the header uses an extension")
	}
	if header.Key != nil || header.KeySetURL != nil || header.ChainURL != nil {
		event.Fail(k.name+" header", "no jwk, jku or x5u", "one of them", "leave it out: the registered key is used")
		return k.failed("the header brings its own key")
	}
	return nil
}

// generic reports whether typ is JWT, as nearly all have it.
func (h *assertionHeader) generic() bool {
	return string(h.Type) == `"JWT"` || h.typed("jwt") // without a decoder, if possible
}

// typed reports whether typ is that one, with or without "application/" (RFC 7515
// section 4.1.9).
func (h *assertionHeader) typed(wanted string) bool {
	var typ string
	if err := strict.Unmarshal(h.Type, &typ); err != nil {
		return false
	}
	return strings.TrimPrefix(strings.ToLower(typ), "application/") == wanted
}

// decodeClaims is strict about names, repetitions and, unlike the decoder, which
// would put U+FFFD in its place, about what is not UTF-8 (RFC 7515 section 5.2).
func decodeClaims(payload []byte, claims any) error {
	if !utf8.Valid(payload) {
		return errors.New("not UTF-8")
	}
	return strict.Unmarshal(payload, claims)
}

// checkClaims holds the claims against the policy of the client that has signed,
// and the clock. Endpoints are the addresses of the one that is called.
func (a *Authenticator) checkClaims(k *kind, claims *assertionClaims, client *registration.Client, endpoints []string, event *oauth.Event) error {
	if !a.acceptsAudience(claims.Audience, client.Policy.AssertionAudience, endpoints) {
		expected := "the string " + a.Issuer
		if client.Policy.AssertionAudience == oauth.AudienceEndpoints {
			expected = a.Issuer + ", the token endpoint or the endpoint called"
		}
		event.Fail(k.audience, expected, oauth.Clip(string(claims.Audience)), "set aud to the issuer exactly as discovery spells it, as a single string")
		return k.refuse("aud of the %s is not accepted", k.name).Because("aud is not accepted under policy %s", client.Policy.Name)
	}
	event.Pass(k.audience, a.Issuer, a.Issuer)
	if err := checkTimes(k, claims, client.Policy, a.Now(), event); err != nil {
		return err
	}
	if claims.ID == "" || len(claims.ID) > maxJTI {
		event.Fail(k.jti, fmt.Sprintf("1 to %d bytes", maxJTI), fmt.Sprintf("%d bytes", len(claims.ID)), "give every assertion a fresh, random jti")
		return k.failed("jti is missing or too long")
	}
	return nil
}

// acceptsAudience reads an encoded aud, a string or an array of strings. Nearly
// all are the issuer, which every rule accepts and which needs no decoder.
func (a *Authenticator) acceptsAudience(encoded []byte, rule oauth.AudienceRule, endpoints []string) bool {
	if n := len(encoded); n == len(a.Issuer)+2 && encoded[0] == '"' && string(encoded[1:n-1]) == a.Issuer {
		return true
	}
	var one string
	if json.Unmarshal(encoded, &one) == nil && one != "" {
		return one == a.Issuer || rule == oauth.AudienceEndpoints && a.ownAddress(one, endpoints)
	}
	var several []string
	if rule != oauth.AudienceEndpoints || json.Unmarshal(encoded, &several) != nil {
		return false
	}
	return slices.ContainsFunc(several, func(aud string) bool { return aud == a.Issuer || a.ownAddress(aud, endpoints) })
}

// ownAddress reports whether aud is the token endpoint or the one called.
func (a *Authenticator) ownAddress(aud string, endpoints []string) bool {
	return slices.Contains(a.TokenEndpoints, aud) || slices.Contains(endpoints, aud)
}

// checkTimes judges exp, nbf and iat by the realm's clock and the policy's skew.
// RFC 7519 section 2: a NumericDate may have a fraction.
func checkTimes(k *kind, claims *assertionClaims, policy *oauth.Policy, clock time.Time, event *oauth.Event) error {
	now, skew := float64(clock.UnixMilli())/1000, policy.ClockSkew.Seconds()
	switch {
	case claims.Expires == nil:
		event.Fail(k.name+" exp", "an exp", "none", "let assertions live for about a minute")
		return k.failed("exp is missing")
	case now >= *claims.Expires+skew:
		event.Fail(k.name+" exp", "in the future", seconds(*claims.Expires-now), "make a new assertion for every request; check the clock")
		return k.refuse("the %s has expired", k.name).Because("exp is %s", seconds(*claims.Expires-now))
	case *claims.Expires > now+policy.AssertionLifetime.Seconds()+skew:
		event.Fail(k.name+" exp", fmt.Sprintf("at most %.0f s ahead", policy.AssertionLifetime.Seconds()), seconds(*claims.Expires-now), "let assertions live for about a minute")
		return k.refuse("the %s lives too long", k.name).Because("exp is %s", seconds(*claims.Expires-now))
	}
	if err := notAhead(k, "iat", claims.IssuedAt, now, skew, event); err != nil {
		return err
	}
	if err := notAhead(k, "nbf", claims.NotUntil, now, skew, event); err != nil {
		return err
	}
	event.Pass(k.times, "", "")
	return nil
}

// notAhead refuses an iat or nbf that lies further ahead than clocks differ, or
// before there were any.
func notAhead(k *kind, name string, when *float64, now, skew float64, event *oauth.Event) error {
	switch {
	case when == nil || 0 <= *when && *when <= now+skew:
		return nil
	case *when < 0:
		event.Fail(k.name+" "+name, "seconds since 1970", seconds(*when-now), "set "+name+" to the time")
		return k.failed("%s lies before 1970", name)
	}
	event.Fail(k.name+" "+name, fmt.Sprintf("at most %.0f s ahead", skew), seconds(*when-now), "set the client's clock")
	return k.refuse("%s of the %s is in the future", name, k.name).Because("%s is %s", name, seconds(*when-now))
}

// seconds says how far ahead or behind a time is, for people.
func seconds(delta float64) string {
	if delta < 0 {
		return fmt.Sprintf("%.0f s ago", -delta)
	}
	return fmt.Sprintf("%.0f s ahead", delta)
}

// spend claims the assertion's jti: of any number of requests one wins. The
// record is the client's own, so nobody can burn another's jti, and it outlives
// the time in which the assertion would be accepted.
func spend(ctx context.Context, k *kind, spent store.Claims, claims *assertionClaims, client *registration.Client, event *oauth.Event) error {
	until := time.Unix(int64(math.Ceil(*claims.Expires)), 0).Add(client.Policy.ClockSkew + time.Second)
	hash := sha256.Sum256([]byte(client.ID + "\x00" + claims.ID))
	err := spent.Claim(ctx, string(hash[:]), until)
	if errors.Is(err, store.ErrExists) {
		event.Fail(k.jti, "one that was not used before", "used before", "make a new assertion for every request")
		return k.refuse("the %s was used before", k.name).Because("jti is spent")
	}
	if err != nil {
		return oauth.TemporarilyUnavailable().Because("claim jti: %w", err)
	}
	event.Pass(k.jti, "", "")
	return nil
}
