package endpoint

import (
	"context"
	"strings"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/server/binding"
	"github.com/fapid/fapid/server/token"
)

// Guard stands before a protected resource: it wants an access token of the
// realm that is meant for this resource, used by whom it is bound to.
type Guard struct {
	Issuer *token.Issuer
	// Audience is what aud must name.
	Audience string
	Binder   *binding.Binder
}

// admit checks the token in the order a resource server should: presence, form,
// signature, life, audience, binding, scope (RFC 6750, RFC 8705 section 3,
// RFC 9449 section 7).
func (g *Guard) admit(ctx context.Context, r *Request, scope string) (*token.Claims, error) {
	scheme, presented, err := r.Token()
	if err != nil {
		return nil, err
	}
	claims, err := g.Issuer.Verify(ctx, presented, r.Event)
	if err != nil {
		return nil, err
	}
	r.Event.ClientID = claims.ClientID
	if !claims.Audience.Has(g.Audience) {
		r.Event.Fail("access token audience", g.Audience, strings.Join(claims.Audience, " "), "fetch a token for this API")
		return nil, oauth.InvalidToken("the access token is for another API")
	}
	use := &binding.Use{Scheme: scheme, Token: presented, Confirmation: claims.Confirmation, Policy: claims.Client.Policy}
	if err := g.Binder.Enforce(ctx, use, r.Sender()); err != nil {
		return nil, err
	}
	granted, err := oauth.ParseScope(claims.Scope)
	if err != nil {
		return nil, err
	}
	if !granted.Has(scope) {
		r.Event.Fail("scope", scope, claims.Scope, "fetch a token with scope "+scope)
		return nil, oauth.InsufficientScope("the access token lacks scope %s", scope)
	}
	r.Event.Pass("scope", scope, claims.Scope)
	return claims, nil
}
