package clientauth

import (
	"context"
	"encoding/json"
	"time"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
)

// grantAssertion is an authorization grant (RFC 7523 section 2.1). RFC 7521
// section 4.1.1: whatever is wrong with it is an invalid_grant.
var grantAssertion = &kind{
	name: "assertion", signature: "assertion signature", audience: "assertion aud", times: "assertion times", jti: "assertion jti",
	typ: "authorization-grant+jwt", refuse: oauth.InvalidGrant, vague: "the assertion is not valid",
}

// Grant is an authorization grant that a client has signed: its word that whoever
// it is given to may act for the subject.
type Grant struct {
	Client  *registration.Client // who has signed
	Subject string               // the client itself, or who it says
	// Scope is what the client limits it to; nil for all that the client may have.
	Scope oauth.Scope
	// MayAct is who alone may act; nil for anybody.
	MayAct  *oauth.Party
	Expires time.Time

	claims assertionClaims
}

// grantClaims are the claims of an authorization grant.
type grantClaims struct {
	assertionClaims
	Scope  string          `json:"scope"`
	MayAct json.RawMessage `json:"may_act"` // RFC 8693 section 4.4
}

// Grant verifies an authorization grant, all but that it was not used before:
// [Authenticator.Spend] does that, when nothing else can be refused.
func (a *Authenticator) Grant(ctx context.Context, text string, event *oauth.Event) (*Grant, error) {
	k := grantAssertion
	var read assertion
	var claims grantClaims
	if err := read.parse(text, &claims); err != nil {
		event.Fail(k.name, "a compact JWS", err.Error(), "send a JWT that the client in its iss has signed")
		return nil, k.failed("malformed assertion: %w", err)
	}
	if err := read.decoded(k, event); err != nil {
		return nil, err // nobody knows whose it is
	}
	client, ok := a.Clients.Get(claims.Issuer)
	if !ok {
		event.Fail("assertion iss", "the client_id of a registered client", oauth.Clip(claims.Issuer), "set iss to the client that signs")
		return nil, k.failed("no client has the id in iss")
	}
	event.Pass("assertion iss", client.ID, client.ID)
	if client.Keys == nil || len(client.AssertionAlgs) == 0 {
		event.Fail("assertion key", "a key that "+client.ID+" signs with", "none is registered", "register the client's public key in its jwks, under a policy with a signature algorithm")
		return nil, k.failed("client %s has no key to sign with", client.ID)
	}
	if err := verifySignature(k, &read, client, publicKeys(ctx, client), event); err != nil {
		return nil, err
	}
	if suspended := a.standing(client, event); suspended != nil {
		return nil, k.failed("%w", suspended)
	}
	if err := apart(&read, &claims, event); err != nil {
		return nil, err
	}
	if err := a.checkClaims(k, &claims.assertionClaims, client, nil, event); err != nil {
		return nil, err
	}
	return claims.grant(client, event)
}

// apart keeps authorization grants and client assertions apart. Both are JWTs for
// this server by the client's key, and a grant is given to others: were one that
// names the client itself a client assertion, too, whoever holds it could
// authenticate as the client. So it has its own typ, which no client assertion has.
func apart(read *assertion, claims *grantClaims, event *oauth.Event) error {
	if claims.Subject != claims.Issuer || read.header.typed(grantAssertion.typ) {
		return nil
	}
	event.Fail("assertion typ", grantAssertion.typ+" where sub is iss", oauth.Clip(string(read.header.Type)), "a JWT with iss and sub of the client authenticates it; give an authorization grant its own typ (draft-ietf-oauth-rfc7523bis)")
	return grantAssertion.failed("it could be a client assertion")
}

// grant reads the claims that limit what is granted.
func (c *grantClaims) grant(client *registration.Client, event *oauth.Event) (*Grant, error) {
	scope, err := oauth.ParseScope(c.Scope)
	if err != nil {
		event.Fail("assertion scope", "scope tokens with one space between", oauth.Clip(c.Scope), "correct the scope, or leave it out")
		return nil, grantAssertion.failed("scope: %w", err)
	}
	granted := &Grant{Client: client, Subject: c.Subject, Scope: scope, Expires: time.Unix(int64(*c.Expires), 0), claims: c.assertionClaims}
	if c.MayAct != nil {
		if granted.MayAct, err = oauth.ParseParty(c.MayAct); err != nil {
			event.Fail("assertion may_act", "an object with sub or client_id of who may act", err.Error(), "name the party that may act (RFC 8693 section 4.4), or leave it out")
			return nil, grantAssertion.failed("may_act: %w", err)
		}
	}
	return granted, nil
}

// Spend uses an authorization grant up: of any number of requests one wins.
func (a *Authenticator) Spend(ctx context.Context, granted *Grant, event *oauth.Event) error {
	return spend(ctx, grantAssertion, a.Grants, &granted.claims, granted.Client, event)
}
