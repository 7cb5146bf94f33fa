package endpoint

import (
	"context"
	"slices"
	"strings"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/binding"
	"github.com/fapid/fapid/server/clientauth"
	"github.com/fapid/fapid/server/token"
)

// Guard stands before a protected resource: it wants an access token of the
// realm that is meant for this resource, used by whom it is bound to.
type Guard struct {
	Issuer *token.Issuer
	// Audience is what aud must name; AnyAudience takes a token for whatever API.
	Audience    string
	AnyAudience bool
	Binder      *binding.Binder
	// Bound refuses tokens that are bound to nothing.
	Bound bool
	// Holds says what a client may do here whose token, or whose registration, has
	// a scope; nil means what the scope says.
	Holds func(client *registration.Client, scope oauth.Scope) oauth.Scope
	// Basic also takes HTTP Basic authentication (RFC 7617) of clients that are
	// registered for the grant type basic; nil takes none.
	Basic *clientauth.Authenticator
}

// admit checks who comes and what they may do, and notes both in the request.
// scope is what the route asks for, empty for nothing.
func (g *Guard) admit(ctx context.Context, r *Request, scope string) error {
	identify := g.byToken
	if g.Basic != nil && isBasic(r.Header["Authorization"]) {
		identify = g.byBasic
	}
	client, held, err := identify(ctx, r)
	if err != nil {
		return err
	}
	if r.Held = held; g.Holds != nil {
		r.Held = g.Holds(client, held)
	}
	if scope != "" && !r.Held.Has(scope) {
		who := "access token"
		if r.Claims == nil {
			who = "client"
		}
		r.Event.Fail("scope", scope, r.Held.String(), "fetch a token with scope "+scope)
		return oauth.InsufficientScope("the %s lacks scope %s", who, scope)
	}
	r.Event.Pass("scope", scope, r.Held.String())
	return nil
}

// byToken checks the token in the order a resource server should: presence, form,
// signature, life, audience, binding; its scope comes then (RFC 6750, RFC 8705
// section 3, RFC 9449 section 7).
func (g *Guard) byToken(ctx context.Context, r *Request) (*registration.Client, oauth.Scope, error) {
	scheme, presented, err := r.Token()
	if err != nil {
		return nil, nil, err
	}
	claims, err := g.Issuer.Verify(ctx, presented, r.Event)
	if err != nil {
		return nil, nil, err
	}
	r.Event.ClientID = claims.ClientID
	if !g.AnyAudience && !claims.Audience.Has(g.Audience) {
		r.Event.Fail("access token audience", g.Audience, strings.Join(claims.Audience, " "), "fetch a token for this API: audience="+g.Audience)
		return nil, nil, oauth.InvalidToken("the access token is for another API")
	}
	if g.Bound && claims.Confirmation == nil {
		r.Event.Fail("token binding", "a token bound to a certificate or to a DPoP key", "a token that is bound to nothing", "register the client for bound tokens, or send a DPoP proof with the token request")
		return nil, nil, oauth.InvalidToken("the access token must be bound to a certificate or to a DPoP key here").Because("no cnf")
	}
	use := &binding.Use{Scheme: scheme, Token: presented, Confirmation: claims.Confirmation, Policy: claims.Client.Policy}
	if err := g.Binder.Enforce(ctx, use, r.Sender()); err != nil {
		return nil, nil, err
	}
	r.Claims = claims
	granted, err := oauth.ParseScope(claims.Scope)
	return claims.Client, granted, err
}

// byBasic authenticates the client itself, which then has the scope it is
// registered for. A client whose tokens are bound cannot leave the binding out so.
func (g *Guard) byBasic(ctx context.Context, r *Request) (*registration.Client, oauth.Scope, error) {
	identity, err := g.Basic.Authenticate(ctx, &clientauth.Attempt{Authorization: r.Header["Authorization"], Certificate: r.Certificate, Event: r.Event})
	if err != nil {
		return nil, nil, err
	}
	client := identity.Client
	if !client.MayUse(registration.GrantBasic) || client.BoundTokens {
		r.Event.Fail("grant type", registration.GrantBasic+", and tokens that are not bound", strings.Join(client.GrantTypes, ", "), "fetch a token, or add basic to the client's grant_types")
		return nil, nil, oauth.InvalidClient("the client is not registered for HTTP Basic authentication at APIs").Because("grant_types %s", client.GrantTypes)
	}
	return client, slices.Clone(client.Scope), nil
}

// isBasic reports whether a request authenticates by HTTP Basic.
func isBasic(headers []string) bool {
	if len(headers) != 1 {
		return false
	}
	scheme, _, _ := strings.Cut(headers[0], " ")
	return strings.EqualFold(scheme, oauth.SchemeBasic)
}
