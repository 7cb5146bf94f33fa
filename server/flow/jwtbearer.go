package flow

import (
	"context"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/server/clientauth"
	"github.com/fapid/fapid/server/token"
)

// JWTBearer is the JWT bearer grant (RFC 7523 section 2.1): a client brings the
// signed word of a client, another or itself, that it may act for a subject. There
// is no refresh token with it (RFC 7521 section 4.1).
type JWTBearer struct {
	// Clients authenticate by assertions, which are verified in the same place.
	Clients *Clients
	// Issuer knows what of its scope the client that has signed has still.
	Issuer *token.Issuer
	// Subject is who a client is that acts for itself.
	Subject Subject
	// User gives the id of a user by name, if the realm has one who may be acted for;
	// any other subject is the client that has signed.
	User func(name string) (id string, ok bool)
}

// Type is the grant_type.
func (JWTBearer) Type() string { return "urn:ietf:params:oauth:grant-type:jwt-bearer" }

// Redeem verifies the assertion, which is spent later: of any number of requests
// with it, one gets a token.
func (g JWTBearer) Redeem(ctx context.Context, r *Redemption) (token.Authorization, error) {
	var none token.Authorization
	text := r.Form.Get("assertion")
	if text == "" {
		return none, oauth.InvalidRequest("assertion is missing")
	}
	granted, err := g.Clients.Authenticator.Grant(ctx, text, r.Event)
	if err != nil {
		return none, err
	}
	subject, user, err := g.subject(granted, r)
	if err != nil {
		return none, err
	}
	act, err := g.act(granted, r)
	if err != nil {
		return none, err
	}
	limit, err := scopeOf(granted, r.Event)
	if err != nil {
		return none, err
	}
	if limit, err = g.Issuer.Held(granted.Client, limit, r.Scope, r.Event); err != nil {
		return none, err
	}
	scope, err := r.narrowed(limit, oauth.InvalidScope("the assertion does not give every requested scope"), oauth.InvalidScope("the client is registered for no scope of the assertion"))
	if err != nil {
		return none, err
	}
	client := r.Client.Client
	authorization := token.Authorization{
		Subject: subject, Scope: scope, From: granted.Client.ID, Act: act, MayAct: granted.MayAct,
		// RFC 7521 section 4.1: a token should not outlive the assertion by much.
		Until: granted.Expires.Add(client.Policy.AccessTokenLifetime),
		Spend: func(ctx context.Context, _ *token.Authorization) error {
			return g.Clients.Authenticator.Spend(ctx, granted, r.Event)
		},
	}
	if granted.Client.ID != client.ID || user != "" {
		authorization.Origins = []token.Origin{{ClientID: granted.Client.ID, User: user}}
	}
	return authorization, nil
}

// subject is the sub of the token: the client that has signed, or a user, whose id
// is given, too.
func (g JWTBearer) subject(granted *clientauth.Grant, r *Redemption) (sub, user string, err error) {
	const check, expected = "assertion sub", "the client that has signed, or a user of the realm"
	if granted.Subject == granted.Client.ID {
		r.Event.Pass(check, expected, granted.Subject)
		return g.Subject.Of(granted.Client.ID), "", nil
	}
	user, ok := g.User(granted.Subject)
	if !ok {
		r.Event.Fail(check, expected, granted.Subject, "set sub to the name of a user, or to the client_id that is in iss")
		return "", "", badAssertion("no user has the name in sub")
	}
	r.Event.Pass(check, expected, granted.Subject)
	return granted.Subject, user, nil
}

// scopeOf is what the client that has signed can give: what it says, or all that
// it may have itself.
func scopeOf(granted *clientauth.Grant, event *oauth.Event) (oauth.Scope, error) {
	allowed := granted.Client.Scope
	if len(granted.Scope) == 0 {
		return allowed, nil
	}
	if missing, too := allowed.Missing(granted.Scope); too {
		event.Fail("assertion scope", allowed.String(), missing, "name only scopes that the client that signs is registered for")
		return nil, badAssertion("its client is not registered for scope %s", missing)
	}
	return granted.Scope, nil
}

// act is who acts for the subject: the client that brings the assertion, unless
// that is the subject itself.
func (g JWTBearer) act(granted *clientauth.Grant, r *Redemption) (*oauth.Actor, error) {
	client := r.Client.Client.ID
	if client == granted.Client.ID && granted.Subject == client {
		r.Event.Pass("delegation", "", (*oauth.Actor)(nil).String())
		return nil, nil
	}
	party := oauth.Party{Subject: g.Subject.Of(client), ClientID: client}
	act, err := delegate(granted.MayAct, party, g.Clients.Authenticator.Issuer, nil, r.Event)
	if err != nil {
		return nil, badAssertion("%w", err)
	}
	return act, nil
}

// badAssertion is a refusal of the assertion (RFC 7521 section 4.1.1).
func badAssertion(format string, args ...any) oauth.Error {
	return oauth.InvalidGrant("the assertion is not valid").Because(format, args...)
}
