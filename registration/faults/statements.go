package faults

import (
	"bytes"
	"encoding/base64"
	"strings"
	"time"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
)

const (
	invalid    = oauth.CodeInvalidStatement
	unapproved = oauth.CodeUnapprovedStatement
	metadata   = oauth.CodeInvalidClientMetadata
	redirect   = oauth.CodeInvalidRedirectURI
)

// Sources of demands that several cases share.
const (
	rfc7591  = "RFC 7591 section 3.2.2"
	ukJWS    = "OBIE DCR 3.3, Of JWS & JWKS"
	brazil71 = "Open Finance Brasil DCR 1.0 section 7.1"
	brazil72 = "Open Finance Brasil DCR 1.0 section 7.2"
	cdrSSA   = "CDR Register, SSA definition"
	cdrJWT   = "CDR Register, registration request"
)

// head sets a member of the statement's header, say a claim; nil removes it.
func head(name string, value any) func(*Attempt) {
	return func(a *Attempt) { set(a.Statement.Header, name, value) }
}

func say(name string, value any) func(*Attempt) {
	return func(a *Attempt) { set(a.Statement.Claims, name, value) }
}

func set(in map[string]any, name string, value any) {
	if value == nil {
		delete(in, name)
		return
	}
	in[name] = value
}

// all makes several changes.
func all(changes ...func(*Attempt)) func(*Attempt) {
	return func(a *Attempt) {
		for _, change := range changes {
			change(a)
		}
	}
}

// mangle changes the statement after it was signed.
func mangle(change func(string) string) func(*Attempt) {
	return func(a *Attempt) { a.Statement.Mangle = change }
}

// by has another sign the statement, under the header as it is.
func by(signer Signer) func(*Attempt) {
	return func(a *Attempt) { a.Statement.By = signer }
}

// off moves a date of the statement.
func off(claim string, by time.Duration) func(*Attempt) {
	return func(a *Attempt) {
		now, _ := a.Statement.Claims["iat"].(int64)
		a.Statement.Claims[claim] = now + int64(by/time.Second)
	}
}

// signatures are statements that their issuer has not made.
var signatures = []row{
	{where(func(e *registration.Ecosystem) bool { return e.Statement.From == registration.FromRequest }), Case{
		"statement-missing", "no software statement", invalid, "software statement", brazil71 + " (2)",
		func(a *Attempt) { a.Statement = nil },
	}},
	{stated, Case{
		"statement-no-jws", "text that is no JWS", invalid, "software statement", rfc7591,
		mangle(func(string) string { return "software" }),
	}},
	{stated, Case{
		"statement-cut", "the signature is lost", invalid, "software statement", rfc7591,
		mangle(func(text string) string { return text[:strings.LastIndexByte(text, '.')] }),
	}},
	{stated, Case{
		"statement-padded", "base64 with padding", invalid, "software statement", "RFC 7515 section 2",
		mangle(func(text string) string { return text + "==" }),
	}},
	{stated, Case{
		"statement-encrypted", "a JWE", invalid, "software statement", "",
		mangle(func(text string) string { return text + ".e30.e30" }),
	}},
	{stated, Case{
		"statement-object", "the claims instead of a JWS", invalid, "software statement", rfc7591,
		func(a *Attempt) { a.Request.Claims["software_statement"], a.Statement = a.Statement.Claims, nil },
	}},
	{stated, Case{
		"statement-claim-twice", "iss twice", invalid, "software statement", "RFC 7519 section 4",
		func(a *Attempt) { a.Statement.Twice = "iss" },
	}},
	{stated, Case{
		"statement-alg-none", "not signed at all", invalid, "software statement alg", ukJWS,
		all(head("alg", "none"), by(Nobody)),
	}},
	{stated, Case{
		"statement-alg-hs256", "HMAC keyed with the issuer's public key", invalid, "software statement alg", "RFC 8725 section 2.1",
		head("alg", "HS256"),
	}},
	{stated, Case{
		"statement-alg-rs256", "RS256", invalid, "software statement alg", brazil71 + " (2); CDR Register, SSA",
		head("alg", "RS256"),
	}},
	{stated, Case{
		"statement-other-key", "signed by somebody else", invalid, "software statement signature", brazil71 + " (2)",
		by(Stranger),
	}},
	{stated, Case{
		"statement-unknown-key", "a kid that the issuer does not publish", invalid, "software statement key", "",
		all(head("kid", "nobodys"), by(Stranger)),
	}},
	{stated, Case{
		"statement-changed", "a claim changed after signing", invalid, "software statement signature", "",
		mangle(func(text string) string {
			parts := strings.Split(text, ".")
			payload, _ := base64.RawURLEncoding.DecodeString(parts[1]) // made a moment ago
			parts[1] = base64.RawURLEncoding.EncodeToString(bytes.Replace(payload, []byte(`software_id":"`), []byte(`software_id":"x`), 1))
			return strings.Join(parts, ".")
		}),
	}},
	{stated, Case{
		"statement-header-jwk", "brings its own key in the header", invalid, "software statement header", ukJWS,
		func(a *Attempt) {
			a.Statement.Header["jwk"] = map[string]any{"kty": "oct", "k": "AA"}
			a.Statement.By = Stranger
		},
	}},
	{stated, Case{
		"statement-header-jku", "says in the header where to fetch the key", invalid, "software statement header", ukJWS,
		all(head("jku", "https://keys.example/jwks"), by(Stranger)),
	}},
	{stated, Case{
		"statement-header-x5u", "says in the header where to fetch the certificate", invalid, "software statement header", ukJWS,
		all(head("x5u", "https://keys.example/chain.pem"), by(Stranger)),
	}},
	{stated, Case{
		"statement-header-x5c", "brings its own certificate in the header", invalid, "software statement header", ukJWS,
		all(head("x5c", []string{"MIIB"}), by(Stranger)),
	}},
	{stated, Case{
		"statement-header-crit", "an extension in the header", invalid, "software statement header", "RFC 7515 section 4.1.11",
		head("crit", []string{"exp"}),
	}},
	{stated, Case{
		"statement-typ-access-token", "typ of an access token", invalid, "software statement typ", "RFC 8725 section 3.11",
		head("typ", "at+jwt"),
	}},
	{stated, Case{
		"statement-typ-request-object", "typ of a request object", invalid, "software statement typ", "RFC 8725 section 3.11",
		head("typ", "oauth-authz-req+jwt"),
	}},
	{stated, Case{
		"statement-typ-dpop", "typ of a DPoP proof", invalid, "software statement typ", "RFC 8725 section 3.11",
		head("typ", "dpop+jwt"),
	}},
	{stated, Case{
		"statement-issuer-unknown", "an issuer that is not trusted here", unapproved, "software statement iss", rfc7591,
		say("iss", "https://directory.elsewhere.example"),
	}},
	{stated, Case{
		"statement-issuer-missing", "no iss", invalid, "software statement iss", "RFC 7591 section 2.3",
		say("iss", nil),
	}},
	{stated, Case{
		"statement-is-assertion", "a client assertion of the software instead", unapproved, "software statement iss", "",
		func(a *Attempt) {
			a.Statement.By = Software
			a.Statement.Claims = map[string]any{"iss": "client", "sub": "client", "aud": "https://as.example", "jti": "1", "exp": a.Statement.Claims["iat"]}
		},
	}},
	{where(func(e *registration.Ecosystem) bool { return len(e.Statement.Algs) == 1 }), Case{
		"statement-alg-es256", "ES256, where the ecosystem takes PS256 alone", invalid, "software statement alg", brazil71 + " (2); CDR Register, SSA",
		head("alg", "ES256"),
	}},
}

// dates are statements of another time.
var dates = []row{
	{where(func(e *registration.Ecosystem) bool { return e.Statement.MaxAge == 5*time.Minute }), Case{
		"statement-old", "issued six minutes ago", invalid, "software statement iat", brazil71 + " (3)",
		off("iat", -6*time.Minute),
	}},
	{where(func(e *registration.Ecosystem) bool { return e.Statement.MaxAge == 30*time.Minute }), Case{
		"statement-old", "issued 31 minutes ago", invalid, "software statement iat", "",
		off("iat", -31*time.Minute),
	}},
	{where(func(e *registration.Ecosystem) bool { return e.Statement.MaxAge > 0 }), Case{
		"statement-without-iat", "no iat", invalid, "software statement iat", brazil71 + " (3)",
		say("iat", nil),
	}},
	{stated, Case{
		"statement-from-the-future", "issued in two minutes", invalid, "software statement iat", "",
		off("iat", 2*time.Minute),
	}},
	{stated, Case{
		"statement-iat-milliseconds", "iat in milliseconds", invalid, "software statement iat", "RFC 7519 section 2",
		func(a *Attempt) {
			now, _ := a.Statement.Claims["iat"].(int64)
			a.Statement.Claims["iat"] = now * 1000
		},
	}},
	{stated, Case{
		"statement-exp-milliseconds", "exp in milliseconds", invalid, "software statement exp", "RFC 7519 section 2",
		func(a *Attempt) {
			now, _ := a.Statement.Claims["iat"].(int64)
			a.Statement.Claims["exp"] = (now + 60) * 1000
		},
	}},
	{stated, Case{
		"statement-iat-text", "iat as a string", invalid, "software statement claims", "RFC 7519 section 2",
		say("iat", "1700000000"),
	}},
	{stated, Case{
		"statement-expired", "expired a minute ago", invalid, "software statement exp", "RFC 7519 section 4.1.4",
		off("exp", -time.Minute),
	}},
	{where(func(e *registration.Ecosystem) bool { return e.Statement.Expires }), Case{
		"statement-without-exp", "no exp", invalid, "software statement exp", cdrSSA,
		say("exp", nil),
	}},
	{stated, Case{
		"statement-not-yet", "valid in five minutes", invalid, "software statement nbf", "RFC 7519 section 4.1.5",
		off("nbf", 5*time.Minute),
	}},
	{stated, Case{
		"statement-nbf-text", "nbf in words", invalid, "software statement nbf", "RFC 7519 section 2",
		say("nbf", "tomorrow"),
	}},
	{where(func(e *registration.Ecosystem) bool { return e.Statement.ID }), Case{
		"statement-without-jti", "no jti", invalid, "software statement jti", cdrSSA,
		say("jti", nil),
	}},
	{stated, Case{
		"statement-jti-long", "a jti of 1000 bytes", invalid, "software statement jti", "",
		say("jti", strings.Repeat("x", 1000)),
	}},
	{named("cdr"), Case{
		"statement-used", "a statement that was used before, for an update", invalid, "software statement jti", cdrSSA,
		all(again, update, renewRequest),
	}},
}
