package clientauth

import (
	"context"
	"fmt"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
)

// assertionType is the only client_assertion_type (RFC 7523 section 2.2).
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// clientAssertion is a client assertion: iss and sub are the client's own.
var clientAssertion = &kind{
	name: "client assertion", signature: "client assertion signature", audience: "client assertion aud",
	times: "client assertion times", jti: "client assertion jti",
	typ: "client-authentication+jwt", refuse: oauth.InvalidClient, vague: failedText,
}

// readAssertion is a client assertion with its claims.
type readAssertion struct {
	assertion
	claims assertionClaims
}

// byPrivateKeyJWT is private_key_jwt: an assertion signed with a key from the
// client's JWKS.
func (a *Authenticator) byPrivateKeyJWT(ctx context.Context, client *registration.Client, attempt *Attempt) error {
	return a.byAssertion(ctx, client, attempt, publicKeys(ctx, client))
}

// byAssertion verifies a client assertion. Its jti is claimed last, so that a
// stranger cannot spend anybody's.
func (a *Authenticator) byAssertion(ctx context.Context, client *registration.Client, attempt *Attempt, find finder) error {
	read, err := attempt.readAssertion()
	if err != nil {
		return malformed(clientAssertion, client, err, attempt.Event)
	}
	if err := verifySignature(clientAssertion, &read.assertion, client, find, attempt.Event); err != nil {
		return err
	}
	claims := &read.claims
	if claims.Issuer != client.ID || claims.Subject != client.ID {
		attempt.Event.Fail("client assertion iss and sub", "both "+client.ID, fmt.Sprintf("iss %s, sub %s", claims.Issuer, claims.Subject), "set iss and sub to the client_id (RFC 7523 section 3)")
		return failed("iss or sub is not the client_id")
	}
	if err := a.checkClaims(clientAssertion, claims, client, attempt.Endpoints, attempt.Event); err != nil {
		return err
	}
	return spend(ctx, clientAssertion, a.Assertions, claims, client, attempt.Event)
}

// readAssertion takes the request's assertion apart, once: who it claims to be
// from is needed before its signature can be verified, the claims are afterwards.
func (attempt *Attempt) readAssertion() (*readAssertion, error) {
	if attempt.assertion != nil {
		return attempt.assertion, nil
	}
	var read readAssertion
	if err := read.parse(attempt.Form.Get("client_assertion"), &read.claims); err != nil {
		return nil, err
	}
	attempt.assertion = &read
	return attempt.assertion, nil
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
