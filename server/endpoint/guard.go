package endpoint

import (
	"context"
	"strings"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/binding"
	"github.com/fapid/fapid/server/clientauth"
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
	// Holds says what a client may do here whose token, or whose registration, has
	// a scope; nil means what the scope says.
	Holds func(client *registration.Client, scope oauth.Scope) oauth.Scope
	// Basic also takes HTTP Basic authentication (RFC 7617) of clients that are
	// registered for the grant type basic; nil takes none.
	Basic *clientauth.Authenticator
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

// admit checks who comes and what they may do, and notes both in the request. Of
// the scope of the route one token will do, and nobody needs any where it is empty.
func (g *Guard) admit(ctx context.Context, r *Request, scope string) error {
	identify := g.byToken
	if g.Basic != nil && isBasic(r.Header["Authorization"]) {
		identify = g.byBasic
	}
	client, held, err := identify(ctx, r)
	if err != nil {
		return err
	}
	if r.Held, err = oauth.ParseScope(held); err != nil {
		return err
	}
	if g.Holds != nil {
		r.Held = g.Holds(client, r.Held)
		held = r.Held.String()
	}
	if scope == "" {
		return nil
	}
	for enough := range strings.FieldsSeq(scope) {
		if r.Held.Has(enough) {
			r.Event.Pass("scope", enough, held)
			return nil
		}
	}
	wanted := strings.ReplaceAll(scope, " ", " or ")
	who, advice := "access token", "fetch a token with scope "+wanted
	if r.Claims == nil {
		who, advice = "client", "register the client for scope "+wanted
	}
	if g.Holds != nil {
		advice += ", or name the client in an access policy"
	}
	r.Event.Fail("scope", wanted, held, advice)
	return oauth.InsufficientScope("the %s lacks scope %s", who, wanted)
}

// byToken wants an access token, whose scope the client has then.
func (g *Guard) byToken(ctx context.Context, r *Request) (client *registration.Client, scope string, err error) {
	if r.Claims, err = g.Admit(ctx, r.Sender(), nil); err != nil {
		return nil, "", err
	}
	return r.Claims.Client, r.Claims.Scope, nil
}

// byBasic authenticates the client itself, which then has the scope it is
// registered for. A client whose tokens are bound cannot leave the binding out so.
func (g *Guard) byBasic(ctx context.Context, r *Request) (client *registration.Client, scope string, err error) {
	identity, err := g.Basic.Authenticate(ctx, &clientauth.Attempt{Authorization: r.Header["Authorization"], Certificate: r.Certificate, Event: r.Event})
	if err != nil {
		return nil, "", err
	}
	client = identity.Client
	if !client.MayUse(registration.GrantBasic) || client.BoundTokens {
		r.Event.Fail("grant type", registration.GrantBasic+", and tokens that are not bound", strings.Join(client.GrantTypes, ", "), "fetch a token, or add basic to the client's grant_types")
		return nil, "", oauth.InvalidClient("the client is not registered for HTTP Basic authentication at APIs").Because("grant_types %s", client.GrantTypes)
	}
	return client, client.Metadata.Scope, nil
}

// isBasic reports whether a request authenticates by HTTP Basic.
func isBasic(headers []string) bool {
	if len(headers) != 1 {
		return false
	}
	scheme, _, _ := strings.Cut(headers[0], " ")
	return strings.EqualFold(scheme, oauth.SchemeBasic)
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
