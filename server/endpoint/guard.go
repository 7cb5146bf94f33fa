package endpoint

import (
	"context"
	"strings"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/server/binding"
	"github.com/fapid/fapid/server/resource"
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
	// RequireBound refuses tokens that are bound to nothing.
	RequireBound bool
}

// Admit lets a sender in who has a token with all of the scope; the checks are
// those of package resource.
func (g *Guard) Admit(ctx context.Context, sender *binding.Sender, scope oauth.Scope) (*token.Claims, error) {
	gate := resource.Gate{Audience: g.Audience, AnyAudience: g.AnyAudience, Binder: g.Binder, RequireBound: g.RequireBound}
	tokens := ownTokens{issuer: g.Issuer}
	if err := gate.Admit(ctx, &tokens, sender, scope); err != nil {
		return nil, err
	}
	return tokens.claims, nil
}

// admit lets a request in, and notes what the token says, if it has the scope of
// the route: one token of that will do.
func (g *Guard) admit(ctx context.Context, r *Request, scope string) (err error) {
	if r.Claims, err = g.Admit(ctx, r.Sender(), nil); err != nil {
		return err
	}
	held, err := oauth.ParseScope(r.Claims.Scope)
	if err != nil {
		return err
	}
	for enough := range strings.FieldsSeq(scope) {
		if held.Has(enough) {
			r.Event.Pass("scope", enough, r.Claims.Scope)
			return nil
		}
	}
	wanted := strings.ReplaceAll(scope, " ", " or ")
	r.Event.Fail("scope", wanted, r.Claims.Scope, "fetch a token with scope "+wanted)
	return oauth.InsufficientScope("the access token lacks scope %s", wanted)
}

// ownTokens are those of the realm, which knows at once of everything that ends
// one. It keeps what the last one said.
type ownTokens struct {
	issuer *token.Issuer
	claims *token.Claims
}

// Verify says what a token says.
func (o *ownTokens) Verify(ctx context.Context, presented string, event *oauth.Event) (resource.Access, error) {
	claims, err := o.issuer.Verify(ctx, presented, event)
	if err != nil {
		return resource.Access{}, err
	}
	o.claims = claims
	return resource.Access{
		ClientID: claims.ClientID, Audience: claims.Audience, Scope: claims.Scope,
		Confirmation: claims.Confirmation, Policy: claims.Client.Policy,
	}, nil
}
