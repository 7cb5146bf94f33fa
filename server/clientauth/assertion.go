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

// assertionType is the only client_assertion_type (RFC 7523 section 2.2).
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// Limits of an assertion. Real ones stay under two thousand bytes.
const (
	maxAssertion = 16 << 10
	maxJTI       = 256
	maxKeyID     = 512 // as registration has it
)

// assertionClaims are the claims of a client assertion (RFC 7523 section 3).
type assertionClaims struct {
	Issuer   string          `json:"iss"`
	Subject  string          `json:"sub"`
	Audience json.RawMessage `json:"aud"`
	ID       string          `json:"jti"`
	Expires  *float64        `json:"exp"`
	IssuedAt *float64        `json:"iat"`
	NotUntil *float64        `json:"nbf"`
}

// byPrivateKeyJWT is private_key_jwt: an assertion signed with a key from the
// client's JWKS.
func (a *Authenticator) byPrivateKeyJWT(ctx context.Context, client *registration.Client, attempt *Attempt) error {
	return a.byAssertion(ctx, client, attempt, func(header *assertionHeader) ([]any, error) {
		keys, err := client.Keys.Find(ctx, header.KeyID, header.Algorithm)
		if err != nil {
			return nil, err
		}
		candidates := make([]any, len(keys))
		for i := range keys {
			candidates[i] = keys[i].Key
		}
		return candidates, nil
	})
}

// bySecretJWT is client_secret_jwt: an assertion keyed with the client secret.
func (a *Authenticator) bySecretJWT(ctx context.Context, client *registration.Client, attempt *Attempt) error {
	return a.byAssertion(ctx, client, attempt, func(*assertionHeader) ([]any, error) {
		key, err := client.SecretKey()
		return []any{key}, err
	})
}

// byAssertion verifies an assertion, in the order: form, header, key and
// signature, claims, and last the one-time claim of its jti, so that a stranger
// cannot spend anybody's.
func (a *Authenticator) byAssertion(ctx context.Context, client *registration.Client, attempt *Attempt, find func(*assertionHeader) ([]any, error)) error {
	read, err := attempt.readAssertion()
	if err != nil {
		attempt.Event.Fail("client assertion", "a compact JWS", err.Error(), "sign a JWT with "+strings.Join(client.AssertionAlgs, " or "))
		return failed("malformed assertion: %w", err)
	}
	header := &read.header
	if err := checkHeader(header, client.AssertionAlgs, attempt.Event); err != nil {
		return err
	}
	keys, err := find(header)
	if err != nil {
		attempt.Event.Fail("client assertion key", "a registered key", "kid "+oauth.Clip(header.KeyID), err.Error())
		return failed("key: %w", err)
	}
	if !slices.ContainsFunc(keys, func(key any) bool {
		return oauth.VerifySignature(header.Algorithm, key, read.Signed, read.Signature)
	}) {
		attempt.Event.Fail("client assertion signature", "a signature by a registered key", "one that does not verify", "sign with the private key whose public half is registered")
		return failed("the signature does not verify")
	}
	attempt.Event.Pass("client assertion signature", header.Algorithm, header.Algorithm)
	if err := read.claimsErr; err != nil {
		attempt.Event.Fail("client assertion claims", "one JSON object", err.Error(), "send each claim once and with its type")
		return failed("claims: %w", err)
	}
	if err := a.checkClaims(&read.claims, client, attempt); err != nil {
		return err
	}
	return a.spend(ctx, &read.claims, client, attempt.Event)
}

// assertion is a client assertion taken apart; nothing in it is to be believed
// before its signature is verified.
type assertion struct {
	oauth.Compact
	header    assertionHeader
	claims    assertionClaims
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

// readAssertion takes the request's assertion apart, once: who it claims to be
// from is needed before its signature can be verified, the claims are afterwards.
func (attempt *Attempt) readAssertion() (*assertion, error) {
	if attempt.assertion != nil {
		return attempt.assertion, nil
	}
	read, err := parseAssertion(attempt.Form.Get("client_assertion"))
	if err == nil {
		attempt.assertion = read
	}
	return read, err
}

// parseAssertion reads one compact JWS and nothing else; sizes are capped
// before anything is split or decoded.
func parseAssertion(text string) (*assertion, error) {
	switch {
	case text == "":
		return nil, errors.New("client_assertion is missing")
	case len(text) > maxAssertion:
		return nil, fmt.Errorf("it has %d bytes, at most %d are read", len(text), maxAssertion)
	case strings.Count(text, ".") == 4:
		return nil, errors.New("it is encrypted (JWE)")
	}
	var read assertion
	var err error
	if read.Compact, err = oauth.ParseCompact(text); err != nil {
		return nil, err
	}
	if err := strict.Unmarshal(read.Header, &read.header); err != nil {
		return nil, fmt.Errorf("its header: %w", err)
	}
	read.claimsErr = decodeClaims(read.Payload, &read.claims)
	return &read, nil
}

// checkHeader looks at what the header claims before any key is used. Key
// references in it (jku, x5u, jwk, x5c) are never followed: the key is the
// registered one (RFC 8725 section 3.10).
func checkHeader(header *assertionHeader, algs []string, event *oauth.Event) error {
	if !slices.Contains(algs, header.Algorithm) {
		event.Fail("client assertion alg", strings.Join(algs, " or "), oauth.Clip(header.Algorithm), "sign with an algorithm the client is registered for")
		return failed("alg %s is not allowed", header.Algorithm)
	}
	if len(header.KeyID) > maxKeyID {
		event.Fail("client assertion kid", fmt.Sprintf("at most %d bytes", maxKeyID), fmt.Sprintf("%d bytes", len(header.KeyID)), "use the kid of the registered key")
		return failed("kid is too long")
	}
	if header.Type != nil && !assertionTyp(header.Type) {
		event.Fail("client assertion typ", "JWT or client-authentication+jwt", oauth.Clip(string(header.Type)), "this is another kind of JWT; make one for client authentication")
		return failed("typ %s is another kind of JWT", oauth.Clip(string(header.Type)))
	}
	if header.Critical != nil || header.Base64 != nil {
		event.Fail("client assertion header", "no crit and no b64", "one of them", "leave them out: no extension is understood here (RFC 7515 section 4.1.11)")
		return failed("the header uses an extension")
	}
	if header.Key != nil || header.KeySetURL != nil || header.ChainURL != nil {
		event.Fail("client assertion header", "no jwk, jku or x5u", "one of them", "leave it out: the registered key is used")
		return failed("the header brings its own key")
	}
	return nil
}

// assertionTyp accepts the generic type and the explicit one of
// draft-ietf-oauth-rfc7523bis section 4, with or without "application/".
func assertionTyp(encoded []byte) bool {
	if string(encoded) == `"JWT"` { // nearly all of them, without a decoder
		return true
	}
	var typ string
	if err := strict.Unmarshal(encoded, &typ); err != nil {
		return false
	}
	typ = strings.TrimPrefix(strings.ToLower(typ), "application/")
	return typ == "jwt" || typ == "client-authentication+jwt"
}

// decodeClaims is strict about names, repetitions and, unlike the decoder, which
// would put U+FFFD in its place, about what is not UTF-8 (RFC 7515 section 5.2).
func decodeClaims(payload []byte, claims *assertionClaims) error {
	if !utf8.Valid(payload) {
		return errors.New("not UTF-8")
	}
	return strict.Unmarshal(payload, claims)
}

// checkClaims holds the claims against the client, the policy and the clock.
func (a *Authenticator) checkClaims(claims *assertionClaims, client *registration.Client, attempt *Attempt) error {
	event := attempt.Event
	if claims.Issuer != client.ID || claims.Subject != client.ID {
		event.Fail("client assertion iss and sub", "both "+client.ID, fmt.Sprintf("iss %s, sub %s", claims.Issuer, claims.Subject), "set iss and sub to the client_id (RFC 7523 section 3)")
		return failed("iss or sub is not the client_id")
	}
	if err := a.checkAudience(claims, client, attempt); err != nil {
		return err
	}
	if err := checkTimes(claims, client.Policy, a.Now(), event); err != nil {
		return err
	}
	if claims.ID == "" || len(claims.ID) > maxJTI {
		event.Fail("client assertion jti", fmt.Sprintf("1 to %d bytes", maxJTI), fmt.Sprintf("%d bytes", len(claims.ID)), "give every assertion a fresh, random jti")
		return failed("jti is missing or too long")
	}
	return nil
}

// checkAudience applies the policy's rule for aud.
func (a *Authenticator) checkAudience(claims *assertionClaims, client *registration.Client, attempt *Attempt) error {
	if !a.acceptsAudience(claims.Audience, client.Policy.AssertionAudience, attempt.Endpoints) {
		expected := "the string " + a.Issuer
		if client.Policy.AssertionAudience == oauth.AudienceEndpoints {
			expected = a.Issuer + ", the token endpoint or the endpoint called"
		}
		presented := oauth.Clip(string(claims.Audience))
		attempt.Event.Fail("client assertion aud", expected, presented, "set aud to the issuer exactly as discovery spells it, as a single string")
		return oauth.InvalidClient("aud of the client assertion is not accepted").Because("aud is not accepted under policy %s", client.Policy.Name)
	}
	attempt.Event.Pass("client assertion aud", a.Issuer, a.Issuer)
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
func checkTimes(claims *assertionClaims, policy *oauth.Policy, clock time.Time, event *oauth.Event) error {
	now, skew := float64(clock.UnixMilli())/1000, policy.ClockSkew.Seconds()
	switch {
	case claims.Expires == nil:
		event.Fail("client assertion exp", "an exp", "none", "let assertions live for about a minute")
		return failed("exp is missing")
	case now >= *claims.Expires+skew:
		event.Fail("client assertion exp", "in the future", seconds(*claims.Expires-now), "make a new assertion for every request; check the clock")
		return oauth.InvalidClient("the client assertion has expired").Because("exp is %s", seconds(*claims.Expires-now))
	case *claims.Expires > now+policy.AssertionLifetime.Seconds()+skew:
		event.Fail("client assertion exp", fmt.Sprintf("at most %.0f s ahead", policy.AssertionLifetime.Seconds()), seconds(*claims.Expires-now), "let assertions live for about a minute")
		return oauth.InvalidClient("the client assertion lives too long").Because("exp is %s", seconds(*claims.Expires-now))
	}
	if err := notAhead("iat", claims.IssuedAt, now, skew, event); err != nil {
		return err
	}
	if err := notAhead("nbf", claims.NotUntil, now, skew, event); err != nil {
		return err
	}
	event.Pass("client assertion times", "", "")
	return nil
}

// notAhead refuses an iat or nbf that lies further ahead than clocks differ, or
// before there were any.
func notAhead(name string, when *float64, now, skew float64, event *oauth.Event) error {
	switch {
	case when == nil || 0 <= *when && *when <= now+skew:
		return nil
	case *when < 0:
		event.Fail("client assertion "+name, "seconds since 1970", seconds(*when-now), "set "+name+" to the time")
		return failed("%s lies before 1970", name)
	}
	event.Fail("client assertion "+name, fmt.Sprintf("at most %.0f s ahead", skew), seconds(*when-now), "set the client's clock")
	return oauth.InvalidClient("%s of the client assertion is in the future", name).Because("%s is %s", name, seconds(*when-now))
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
func (a *Authenticator) spend(ctx context.Context, claims *assertionClaims, client *registration.Client, event *oauth.Event) error {
	until := time.Unix(int64(math.Ceil(*claims.Expires)), 0).Add(client.Policy.ClockSkew + time.Second)
	hash := sha256.Sum256([]byte(client.ID + "\x00" + claims.ID))
	err := a.Assertions.Claim(ctx, string(hash[:]), until)
	if errors.Is(err, store.ErrExists) {
		event.Fail("client assertion jti", "one that was not used before", "used before", "make a new assertion for every request")
		return oauth.InvalidClient("the client assertion was used before").Because("jti is spent")
	}
	if err != nil {
		return oauth.TemporarilyUnavailable().Because("claim jti: %w", err)
	}
	event.Pass("client assertion jti", "", "")
	return nil
}

// assertionID reads which client an assertion claims to be from, before it is
// verified; what is read here decides only whose keys it is verified with.
func assertionID(attempt *Attempt) (string, error) {
	if kind := attempt.Form.Get("client_assertion_type"); kind != assertionType {
		attempt.Event.Fail("client_assertion_type", assertionType, oauth.Clip(kind), "send both client_assertion_type and client_assertion")
		return "", failed("client_assertion_type is not jwt-bearer")
	}
	if id := attempt.Form.Get("client_id"); id != "" {
		return id, nil // compared with iss and sub once the signature is verified
	}
	read, err := attempt.readAssertion()
	if err != nil || read.claims.Subject == "" {
		attempt.Event.Fail("client assertion", "a JWT whose sub is the client_id", "none that could be read", "send client_id, or an assertion with iss and sub")
		return "", failed("the assertion names no client")
	}
	return read.claims.Subject, nil
}
