package flow

import (
	"context"
	"strings"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/binding"
	"github.com/fapid/fapid/server/clientauth"
	"github.com/fapid/fapid/server/endpoint"
	"github.com/fapid/fapid/server/token"
)

// Token is the token endpoint (RFC 6749 section 3.2): the one pipeline every
// grant passes.
type Token struct {
	Clients *Clients
	Issuer  *token.Issuer
	Grants  []Grant
	Targets *Targets
	Binder  *binding.Binder
	// Scope is what the realm offers.
	Scope oauth.Scope
}

// Grant is one way to a token. It establishes who may have it for what; client
// authentication, binding, audience and signing are the pipeline's.
type Grant interface {
	// Type is the grant_type.
	Type() string
	// Redeem checks what the client brought, and says how it is spent: the
	// pipeline does that when nothing can be refused any more. It returns an
	// [oauth.Error] for every refusal.
	Redeem(ctx context.Context, r *Redemption) (token.Authorization, error)
}

// Redemption is what a grant may look at.
type Redemption struct {
	Client clientauth.Identity
	Form   oauth.Form
	Event  *oauth.Event
	// Scope is the requested scope, parsed; empty when none was asked for.
	Scope oauth.Scope
}

// narrowed is the scope of a token that comes of something granted before: what
// was asked for, within that (else it is the refusal more), or of that what the
// client may have; the refusal none is for when that is nothing.
func (r *Redemption) narrowed(granted oauth.Scope, more, none oauth.Error) (oauth.Scope, error) {
	if missing, too := granted.Missing(r.Scope); too {
		r.Event.Fail("scope", granted.String(), missing, "ask for what was granted at first, or for less")
		return nil, more.Because("scope %s", missing)
	}
	allowed := r.Client.Client.Scope
	if missing, too := allowed.Missing(r.Scope); too {
		r.Event.Fail("scope", allowed.String(), missing, "ask only for scopes the client is registered for")
		return nil, oauth.InvalidScope("the client is not registered for every requested scope").Because("scope %s", missing)
	}
	if len(r.Scope) > 0 {
		r.Event.Pass("scope", granted.String(), r.Scope.String())
		return r.Scope, nil
	}
	kept := granted.Within(allowed)
	if len(granted) > 0 && len(kept) == 0 {
		r.Event.Fail("scope", allowed.String(), granted.String(), "register the client for the scope, or begin with a token or an assertion that has more")
		return nil, none
	}
	r.Event.Pass("scope", granted.String(), kept.String())
	return kept, nil
}

// Install opens the token endpoint and lists its grants.
func (t *Token) Install(site *endpoint.Site) {
	t.Clients.open(site, tokenEndpoint, t.serve)
	for _, grant := range t.Grants {
		site.PublishOneOf("grant_types_supported", grant.Type())
	}
	listed(site, t.Scope)
	site.Publish("tls_client_certificate_bound_access_tokens", true) // RFC 8705 section 3.3
	if len(t.Binder.Algs) > 0 {
		site.PublishOneOf("dpop_signing_alg_values_supported", t.Binder.Algs...) // RFC 9449 section 5.1
	}
}

// answer is a successful response (RFC 6749 section 5.1).
type answer struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"` // seconds
	Scope        string `json:"scope,omitempty"`
	RefreshToken string `json:"refresh_token,omitempty"`
	IssuedType   string `json:"issued_token_type,omitempty"` // RFC 8693 section 2.2.1
}

// serve is the pipeline. What a grant spends is spent after the last check, so
// that a mistake costs nothing, and before anything is signed, so that no token
// exists for a proof that was used twice.
func (t *Token) serve(ctx context.Context, r *endpoint.Request, identity clientauth.Identity) (*endpoint.Answer, error) {
	grant, err := t.grant(r, identity)
	if err != nil {
		return nil, err
	}
	scope, err := oauth.ParseScope(r.Form.Get("scope"))
	if err != nil {
		return nil, err
	}
	authorization, err := grant.Redeem(ctx, &Redemption{Client: identity, Form: r.Form, Event: r.Event, Scope: scope})
	if err != nil {
		return nil, err
	}
	if identity.Unproven { // until now
		if err := t.Clients.Authenticator.Proven(identity.Client, r.Event); err != nil {
			return nil, err
		}
	}
	target, err := t.Targets.choose(r.Form, &authorization, identity.Client, r.Event)
	if err != nil {
		return nil, err
	}
	if authorization.Scope, err = target.narrow(authorization.Scope, scope, r.Event); err != nil {
		return nil, err
	}
	if authorization.Scope, err = t.Issuer.Held(identity.Client, authorization.Scope, scope, r.Event); err != nil {
		return nil, err
	}
	if err := t.bind(ctx, r, identity.Client, &authorization); err != nil {
		return nil, err
	}
	authorization.Client = identity.Client
	authorization.Audience, authorization.Roles, authorization.Lifetime = target.audience, target.roles, target.lifetime
	authorization.RolesAt = target.rolesAt
	if authorization.Format = target.format; authorization.Format == "" {
		authorization.Format = identity.Client.TokenFormat
	}
	if authorization.Spend != nil {
		if err := authorization.Spend(ctx, &authorization); err != nil {
			return nil, err
		}
	}
	issued, expiresIn, err := t.Issuer.Issue(ctx, &authorization)
	if err != nil {
		return nil, err
	}
	return &endpoint.Answer{JSON: &answer{
		AccessToken: issued, TokenType: authorization.Confirmation.TokenType(), ExpiresIn: expiresIn, Scope: authorization.Scope.String(),
		RefreshToken: authorization.RefreshToken, IssuedType: authorization.IssuedType,
	}}, nil
}

// bind says what the new token is bound to: what the client and its policy want,
// and what the grant makes of that.
func (t *Token) bind(ctx context.Context, r *endpoint.Request, client *registration.Client, a *token.Authorization) (err error) {
	a.Confirmation, err = t.Binder.Bind(ctx, bindingOf(client), r.Sender())
	if err == nil && a.Bind != nil {
		a.Confirmation, err = a.Bind(a.Confirmation)
	}
	return err
}

// bindingOf is what binding has to know of a client.
func bindingOf(client *registration.Client) *binding.Client {
	return &binding.Client{
		Policy: client.Policy, AuthMethod: client.AuthMethod,
		Certificate: client.Metadata.CertificateBoundTokens, DPoP: client.Metadata.DPoPBoundTokens, Bound: client.BoundTokens,
	}
}

// grant finds the grant that was asked for, if this client may use it.
func (t *Token) grant(r *endpoint.Request, identity clientauth.Identity) (Grant, error) {
	wanted := r.Form.Get("grant_type")
	if wanted == "" {
		return nil, oauth.InvalidRequest("grant_type is missing")
	}
	for _, grant := range t.Grants {
		if grant.Type() != wanted {
			continue
		}
		r.Event.GrantType = grant.Type()
		if !identity.Client.MayUse(wanted) {
			r.Event.Fail("grant type", strings.Join(identity.Client.Metadata.GrantTypes, ", "), wanted, "add the grant to the client's grant_types")
			return nil, oauth.UnauthorizedClient("the client is not registered for this grant_type")
		}
		r.Event.Pass("grant type", wanted, wanted)
		return grant, nil
	}
	r.Event.Fail("grant type", "one of grant_types_supported", wanted, "see discovery")
	return nil, oauth.UnsupportedGrantType("this grant_type is not served here")
}
