package faults

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
)

// ask sets a member of the request; nil removes it.
func ask(name string, value any) func(*Attempt) {
	return func(a *Attempt) { set(a.Request.Claims, name, value) }
}

// body sends other bytes, of the media type as it is.
func body(text string) func(*Attempt) {
	return func(a *Attempt) { a.Body, a.Signed = []byte(text), false }
}

// media sends the request as another type.
func media(of string) func(*Attempt) {
	return func(a *Attempt) { a.MediaType = of }
}

// unsigned sends the metadata as JSON.
func unsigned(a *Attempt) { a.Signed, a.MediaType = false, registration.MediaJSON }

// bodies are requests that cannot be read.
var bodies = []row{
	{nil, Case{
		"media-type", "text/plain", oauth.CodeUnsupportedMediaType, "registration request Content-Type", "RFC 7591 section 3.1",
		all(media("text/plain"), body("{}")),
	}},
	{signing, Case{
		"request-unsigned", "JSON, where the request must be signed", metadata, "registration request Content-Type", cdrJWT + "; OBIE DCR 3.3, Of JWS & JWKS",
		unsigned,
	}},
	{plain, Case{
		"request-signed", "a JWT, where the request is JSON", metadata, "registration request Content-Type", "Open Finance Brasil DCR 1.0 section 9.1",
		func(a *Attempt) {
			a.Signed, a.MediaType = true, registration.MediaJWT
			a.Request.Header, a.Request.By = map[string]any{"alg": "PS256", "typ": "JWT"}, Software
		},
	}},
	{plain, Case{
		"body-malformed", "half a JSON object", metadata, "registration request", "RFC 7591 section 3.1",
		body(`{"redirect_uris": [`),
	}},
	{plain, Case{
		"body-empty", "no body", metadata, "registration request", "RFC 7591 section 3.1",
		body(""),
	}},
	{plain, Case{
		"body-array", "an array", metadata, "registration request", "RFC 7591 section 3.1",
		body(`[]`),
	}},
	{plain, Case{
		"body-null", "null", metadata, "registration request", "RFC 7591 section 3.1",
		body(`null`),
	}},
	{plain, Case{
		"body-member-twice", "scope twice", metadata, "registration request", "RFC 7591 section 3.2.2",
		body(`{"scope":"openid","scope":"admin"}`),
	}},
	{plain, Case{
		"body-no-utf8", "bytes that are not UTF-8", metadata, "registration request", "RFC 8259 section 8.1",
		body("{\"client_name\":\"\xff\"}"),
	}},
	{nil, Case{
		"body-huge", "a megabyte", metadata, "registration request", "",
		func(a *Attempt) { a.Body, a.Signed = bytes.Repeat([]byte("{"), 1<<20), false },
	}},
	{signing, Case{
		"request-no-jws", "a signed request that is none", metadata, "registration request", cdrJWT,
		body("e30.e30"),
	}},
	{signing, Case{
		"request-member-twice", "scope twice, under the software's signature", metadata, "registration request", "RFC 7519 section 4",
		all(ask("scope", "openid"), func(a *Attempt) { a.Request.Twice = "scope" }),
	}},
}

// many are more redirect URIs than anybody has.
func many() []string {
	return strings.Split(strings.Repeat("https://tpp.example/cb ", 999)+"https://tpp.example/cb", " ")
}

// members are registrations that want what they may not have.
var members = []row{
	{stated, Case{
		"member-in-other-case", "Scope instead of scope", metadata, "scope", "RFC 7591 section 2",
		ask("Scope", "openid"),
	}},
	{stated, Case{
		"member-of-other-type", "client_name as a number", metadata, "client_name", "RFC 7591 section 2",
		ask("client_name", 5),
	}},
	{stated, Case{
		"member-null", "scope null", metadata, "scope", "RFC 7591 section 2",
		ask("scope", json.RawMessage("null")),
	}},
	{stated, Case{
		"redirects-many", "a thousand redirect URIs", redirect, "redirect_uris", "",
		ask("redirect_uris", many()),
	}},
	{stated, Case{
		"policy", "chooses its own security profile", metadata, "policy", "",
		ask("policy", "unrestricted"),
	}},
	{stated, Case{
		"vouched-by-itself", "says who vouches for it", metadata, "software_statement_issuer", "",
		ask("software_statement_issuer", "directory"),
	}},
	{stated, Case{
		"secret", "chooses its own secret", metadata, "client_secret", "RFC 7591 section 3.2.1",
		ask("client_secret", "verysecret"),
	}},
	{where(func(e *registration.Ecosystem) bool { return !e.Scope.Drop }), Case{
		"scope-of-operators", "a scope that nobody gets by registering", metadata, "scope", "RFC 7591 section 5",
		ask("scope", "directory:software"),
	}},
	// Where scopes beyond are dropped, one that is malformed is refused still.
	{where(func(e *registration.Ecosystem) bool { return e.Scope.Drop }), Case{
		"scope-malformed", "a scope with two spaces", metadata, "scope", "RFC 6749 section 3.3",
		ask("scope", "directory:software  twice"),
	}},
	{where(func(e *registration.Ecosystem) bool { return e.Scope.Roles != nil }), Case{
		"scope-beyond-role", "a scope of a role that the software has not", metadata, "scope", brazil71 + " (9); OBIE DCR 3.3, data mapping: scope",
		ask("scope", "openid payments"),
	}},
	{where(func(e *registration.Ecosystem) bool { return !e.InlineKeys }), Case{
		"keys-by-value", "jwks", metadata, "jwks", brazil71 + " (4)",
		ask("jwks", map[string]any{"keys": []any{}}),
	}},
	{named("rfc7591"), Case{
		"keys-by-value", "jwks beside the jwks_uri of the statement", metadata, "jwks", "RFC 7591 sections 2 and 2.3",
		ask("jwks", map[string]any{"keys": []any{}}),
	}},
	{named("brazil", "raidiam"), Case{
		"keys-by-value-alone", "jwks, where the statement says nothing of keys", metadata, "jwks", brazil71 + " (4)",
		all(say("software_jwks_uri", nil), ask("jwks", map[string]any{"keys": []any{}})),
	}},
	{named("uk"), Case{
		"keys-nowhere", "a statement that does not say where the software's keys are", invalid, "software statement keys", ukJWS,
		say("software_jwks_endpoint", nil),
	}},
	{named("cdr"), Case{
		"keys-nowhere", "a statement that does not say where the software's keys are", invalid, "software statement keys", cdrSSA,
		say("jwks_uri", nil),
	}},
	{named("brazil", "raidiam"), Case{
		"keys-elsewhere", "another jwks_uri than the statement's", metadata, "jwks_uri", brazil71 + " (5)",
		ask("jwks_uri", "https://keys.elsewhere.example/jwks"),
	}},
	{where(func(e *registration.Ecosystem) bool { return e.Name != "rfc7591" }), Case{
		"redirect-elsewhere", "a redirect URI that is not in the statement", redirect, "redirect_uris", brazil71 + " (6); OBIE DCR 3.3, redirect_uris; CDR, redirect_uris",
		ask("redirect_uris", []string{"https://elsewhere.example/cb"}),
	}},
	{named("brazil"), Case{
		"redirect-missing", "no redirect_uris", redirect, "redirect_uris", brazil71 + " (6)",
		ask("redirect_uris", nil),
	}},
	{named("uk"), Case{
		"redirect-localhost", "a redirect URI to localhost, as in the statement", redirect, "redirect_uris", "OBIE DCR 3.3, redirect_uris",
		all(say("software_redirect_uris", []string{"https://localhost/cb"}), ask("redirect_uris", []string{"https://localhost/cb"})),
	}},
	{named("brazil", "raidiam"), Case{
		"webhook-elsewhere", "another webhook than the statement's", oauth.CodeInvalidWebhookURIs, "webhook_uris", brazil71 + " (18)",
		ask("webhook_uris", []string{"https://elsewhere.example/hook"}),
	}},
	{where(func(e *registration.Ecosystem) bool { return e.Name != "rfc7591" }), Case{
		"software-id-of-another", "another software_id than the statement's", metadata, "software_id", "OBIE DCR 3.3, software_id",
		ask("software_id", "another"),
	}},
	{where(func(e *registration.Ecosystem) bool { return len(e.AuthMethods) > 0 }), Case{
		"method-with-secret", "client_secret_basic", metadata, "token_endpoint_auth_method", "FAPI 1.0 Advanced section 5.2.2",
		ask("token_endpoint_auth_method", oauth.AuthSecretBasic),
	}},
	{named("cdr"), Case{
		"method-with-certificate", "tls_client_auth", metadata, "token_endpoint_auth_method", cdrJWT,
		all(ask("token_endpoint_auth_method", oauth.AuthTLS), ask("tls_client_auth_subject_dn", "CN=x")),
	}},
	{where(func(e *registration.Ecosystem) bool { return len(e.CertificateNames) > 0 }), Case{
		"method-with-san", "tls_client_auth by an alternative name", metadata, "tls_client_auth_san_dns", brazil71 + " (12)",
		all(ask("token_endpoint_auth_method", oauth.AuthTLS), ask("tls_client_auth_san_dns", "tpp.example")),
	}},
	{named("uk"), Case{
		"dn-by-two-names", "tls_client_auth_dn and tls_client_auth_subject_dn", metadata, "tls_client_auth_dn", "OBIE DCR 3.1 and 3.2",
		all(ask("tls_client_auth_dn", "CN=a"), ask("tls_client_auth_subject_dn", "CN=b")),
	}},
	{where(func(e *registration.Ecosystem) bool { return e.AssertionAlg }), Case{
		"assertion-alg-missing", "no token_endpoint_auth_signing_alg", metadata, "token_endpoint_auth_signing_alg", "OBIE DCR 3.3, token_endpoint_auth_signing_alg",
		ask("token_endpoint_auth_signing_alg", nil),
	}},
	{named("uk"), Case{
		"application-type-missing", "no application_type", metadata, "application_type", "OBIE DCR 3.3, OBClientRegistrationRequest1",
		ask("application_type", nil),
	}},
	{named("uk", "cdr"), Case{
		"method-missing", "no token_endpoint_auth_method", metadata, "token_endpoint_auth_method", "OBIE DCR 3.3, OBClientRegistrationRequest1; " + cdrJWT,
		ask("token_endpoint_auth_method", nil),
	}},
	{named("cdr"), Case{
		"id-token-alg-missing", "no id_token_signed_response_alg", metadata, "id_token_signed_response_alg", cdrJWT,
		ask("id_token_signed_response_alg", nil),
	}},
	{where(func(e *registration.Ecosystem) bool {
		return e.Duplicates.Do == registration.RefuseDuplicates && e.Name == "brazil"
	}), Case{
		"software-registered", "software that is registered already", unapproved, "duplicate software", "Open Finance Brasil DCR 1.0, one registration of a software statement",
		all(again, renewRequest, renewStatement),
	}},
	{named("cdr"), Case{
		"software-registered", "software that is registered already", invalid, "duplicate software", "CDR, DCR API: 400 for duplicates",
		all(again, renewRequest, renewStatement),
	}},
}

// again comes after the good attempt.
func again(a *Attempt) { a.Second = true }

// update changes what the good attempt has registered.
func update(a *Attempt) { a.Second, a.Update = true, true }

// ofOther brings the good statement of other software.
func ofOther(a *Attempt) { a.OfOther = true }

// renewRequest and renewStatement give another jti, where there is one.
func renewRequest(a *Attempt)   { renew(a.Request.Claims) }
func renewStatement(a *Attempt) { renew(a.Statement.Claims) }

func renew(claims map[string]any) {
	if id, there := claims["jti"].(string); there {
		claims["jti"] = "another-" + id
	}
}

// updates are changes of a registration that is not there to be changed so.
var updates = []row{
	{stated, Case{
		"update-without-statement", "an update without a statement", invalid, "software statement", "OpenID conformance, Brazil DCR: update-client-config",
		all(update, renewRequest, func(a *Attempt) { a.Statement = nil }),
	}},
	{where(func(e *registration.Ecosystem) bool { return e.Name == "rfc7591" }), Case{
		"update-to-other-software", "an update with the statement of other software", unapproved, "software", "",
		all(update, ofOther, present(NoCertificate)),
	}},
	{stated, Case{
		"update-of-another-client", "an update with another client_id", metadata, "client_id", "RFC 7592 section 2.2",
		all(update, renewRequest, renewStatement, ask("client_id", "another")),
	}},
	{stated, Case{
		"update-of-policy", "an update to another security profile", metadata, "policy", "",
		all(update, renewRequest, renewStatement, ask("policy", "unrestricted")),
	}},
	{where(func(e *registration.Ecosystem) bool { return e.Name != "rfc7591" }), Case{
		"update-redirect-elsewhere", "an update to a redirect URI that is not in the statement", redirect, "redirect_uris", "OpenID conformance, Brazil DCR: update-client-config-invalid-redirect-uri",
		all(update, renewRequest, renewStatement, ask("redirect_uris", []string{"https://elsewhere.example/cb"})),
	}},
	{where(func(e *registration.Ecosystem) bool { return !e.InlineKeys }), Case{
		"update-keys-by-value", "an update with jwks", metadata, "jwks", "OpenID conformance, Brazil DCR: update-client-config-invalid-jwks-by-value",
		all(update, renewRequest, renewStatement, ask("jwks", map[string]any{"keys": []any{}})),
	}},
	{named("brazil", "raidiam"), Case{
		"update-keys-elsewhere", "an update with another jwks_uri", metadata, "jwks_uri", "OpenID conformance, Brazil DCR: update-client-config-bad-jwks-uri",
		all(update, renewRequest, renewStatement, ask("jwks_uri", "https://keys.elsewhere.example/jwks")),
	}},
}

// requestHead sets a member of the request's header.
func requestHead(name string, value any) func(*Attempt) {
	return func(a *Attempt) { set(a.Request.Header, name, value) }
}

// requestBy has another sign the request, under the header as it is.
func requestBy(signer Signer) func(*Attempt) {
	return func(a *Attempt) { a.Request.By = signer }
}

// requestOff moves a date of the request.
func requestOff(claim string, by time.Duration) func(*Attempt) {
	return func(a *Attempt) {
		now, _ := a.Request.Claims["iat"].(int64)
		a.Request.Claims[claim] = now + int64(by/time.Second)
	}
}

// signedRequests are requests that the software has not signed, or not for now and
// for this server.
var signedRequests = []row{
	{signing, Case{
		"request-alg-none", "not signed at all", metadata, "registration request alg", ukJWS,
		all(requestHead("alg", "none"), requestBy(Nobody)),
	}},
	{signing, Case{
		"request-alg-hs256", "HMAC keyed with the software's public key", metadata, "registration request alg", "RFC 8725 section 2.1",
		requestHead("alg", "HS256"),
	}},
	{signing, Case{
		"request-alg-rs256", "RS256", metadata, "registration request alg", "FAPI 1.0 Advanced section 8.6",
		requestHead("alg", "RS256"),
	}},
	{signing, Case{
		"request-other-key", "signed by somebody else", metadata, "registration request signature", "OBIE DCR 3.3, Of JWS & JWKS",
		requestBy(Stranger),
	}},
	{signing, Case{
		"request-unknown-key", "a kid that the software does not publish", metadata, "registration request key", "OBIE DCR 3.3, Of JWS & JWKS",
		all(requestHead("kid", "nobodys"), requestBy(Stranger)),
	}},
	{signing, Case{
		"request-by-the-directory", "signed by who issued the statement", metadata, "registration request signature", "OBIE DCR 3.3, Of JWS & JWKS",
		requestBy(Issuer),
	}},
	{signing, Case{
		"request-header-jku", "says in the header where to fetch the key", metadata, "registration request header", ukJWS,
		all(requestHead("jku", "https://keys.example/jwks"), requestBy(Stranger)),
	}},
	{signing, Case{
		"request-header-x5c", "brings its own certificate in the header", metadata, "registration request header", ukJWS,
		all(requestHead("x5c", []string{"MIIB"}), requestBy(Stranger)),
	}},
	{signing, Case{
		"request-typ", "typ of a request object", metadata, "registration request typ", "RFC 8725 section 3.11",
		requestHead("typ", "oauth-authz-req+jwt"),
	}},
	{signing, Case{
		"request-is-assertion", "a client assertion instead", invalid, "software statement", "",
		all(ask("sub", "client"), func(a *Attempt) { a.Statement = nil }),
	}},
	{signing, Case{
		"request-issuer", "iss of other software", metadata, "registration request iss", "OBIE DCR 3.3, iss; " + cdrJWT,
		ask("iss", "another"),
	}},
	{signing, Case{
		"request-audience", "meant for another bank", metadata, "registration request aud", "OBIE DCR 3.3, aud; " + cdrJWT,
		ask("aud", "https://as.elsewhere.example"),
	}},
	{signing, Case{
		"request-audience-missing", "no aud", metadata, "registration request aud", "OBIE DCR 3.3, aud; " + cdrJWT,
		ask("aud", nil),
	}},
	{signing, Case{
		"request-expired", "expired a minute ago", metadata, "registration request exp", "OBIE DCR 3.3, exp",
		requestOff("exp", -time.Minute),
	}},
	{signing, Case{
		"request-without-exp", "no exp", metadata, "registration request exp", "OBIE DCR 3.3, exp; " + cdrJWT,
		ask("exp", nil),
	}},
	{named("uk"), Case{
		"request-lives-long", "expires in an hour", metadata, "registration request exp", "",
		requestOff("exp", time.Hour),
	}},
	{signing, Case{
		"request-without-iat", "no iat", metadata, "registration request iat", "OBIE DCR 3.3, iat; " + cdrJWT,
		ask("iat", nil),
	}},
	{signing, Case{
		"request-iat-text", "iat as a string", metadata, "registration request iat", "RFC 7519 section 2",
		ask("iat", "1700000000"),
	}},
	{signing, Case{
		"request-exp-endless", "exp after the end of all numbers", metadata, "registration request exp", "RFC 7519 section 2",
		ask("exp", json.RawMessage("1e400")),
	}},
	{signing, Case{
		"request-from-the-future", "issued in two minutes", metadata, "registration request iat", "",
		requestOff("iat", 2*time.Minute),
	}},
	{signing, Case{
		"request-not-yet", "valid in five minutes", metadata, "registration request nbf", "RFC 7519 section 4.1.5",
		requestOff("nbf", 5*time.Minute),
	}},
	{signing, Case{
		"request-without-jti", "no jti", metadata, "registration request jti", "OBIE DCR 3.3, jti; " + cdrJWT,
		ask("jti", nil),
	}},
	{signing, Case{
		"request-used", "a request that was used before, with another statement", metadata, "registration request jti", cdrJWT,
		all(update, renewStatement),
	}},
}
