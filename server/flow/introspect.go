package flow

import (
	"context"
	"errors"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/binding"
	"github.com/fapid/fapid/server/clientauth"
	"github.com/fapid/fapid/server/endpoint"
	"github.com/fapid/fapid/server/token"
)

// Introspect is token introspection, plain (RFC 7662) and signed (RFC 9701).
type Introspect struct {
	Clients *Clients
	Issuer  *token.Issuer
	APIs    *registration.APIs
	Binder  *binding.Binder
	// Algs are those that the realm's policies sign answers with, for discovery.
	Algs []string

	guesses guesses
}

// Install opens the introspection endpoint.
func (i *Introspect) Install(site *endpoint.Site) {
	i.Clients.open(site, "introspection_endpoint", i.serve)
	site.PublishOneOf("introspection_signing_alg_values_supported", i.Algs...)
}

// introspection is the answer (RFC 7662 section 2.2). Inactive means nothing
// else: no claim of a token that is not good, or not the caller's, gets out.
type introspection struct {
	Active       bool                `json:"active"`
	Scope        string              `json:"scope,omitempty"`
	ClientID     string              `json:"client_id,omitempty"`
	TokenType    string              `json:"token_type,omitempty"`
	Expires      int64               `json:"exp,omitempty"`
	IssuedAt     int64               `json:"iat,omitempty"`
	Subject      string              `json:"sub,omitempty"`
	Audience     oauth.Audience      `json:"aud,omitempty"`
	Issuer       string              `json:"iss,omitempty"`
	ID           string              `json:"jti,omitempty"`
	Roles        []string            `json:"roles,omitempty"`
	Confirmation *oauth.Confirmation `json:"cnf,omitempty"`
	Act          *oauth.Actor        `json:"act,omitempty"`     // RFC 8693 section 4.1
	MayAct       *oauth.Party        `json:"may_act,omitempty"` // RFC 8693 section 4.4
	Origins      []token.Origin      `json:"origins,omitempty"`
	*token.Further
}

// signedIntrospection are the claims of a signed answer (RFC 9701 section 5).
type signedIntrospection struct {
	Issuer        string         `json:"iss"`
	Audience      string         `json:"aud"` // the caller
	IssuedAt      int64          `json:"iat"`
	Introspection *introspection `json:"token_introspection"`
}

const signedIntrospectionType = "application/token-introspection+jwt"

// introspectionTypes are what a caller can ask for (RFC 9701 section 4); plain JSON
// is the one without a name, since nobody has to ask for it.
var introspectionTypes = map[string]string{"application/json": "", signedIntrospectionType: signedIntrospectionType}

func (i *Introspect) serve(ctx context.Context, r *endpoint.Request, identity clientauth.Identity) (*endpoint.Answer, error) {
	presented := r.Form.Get("token")
	if presented == "" {
		return nil, oauth.InvalidRequest("token is missing")
	}
	report, err := i.examine(ctx, presented, identity, r)
	if err != nil {
		return nil, err
	}
	alg := identity.Client.Metadata.IntrospectionSignedResponseAlg
	if alg == "" && r.Prefers(introspectionTypes, "") == "" {
		return &endpoint.Answer{JSON: report}, nil
	}
	if alg == "" {
		alg = identity.Client.TokenAlg
	}
	compact, err := i.Issuer.SignIntrospection(ctx, alg, &signedIntrospection{
		Issuer: i.Issuer.ID, Audience: identity.Client.ID, IssuedAt: i.Issuer.Now().Unix(), Introspection: report,
	})
	if err != nil {
		return nil, err
	}
	return &endpoint.Answer{Body: []byte(compact), Type: signedIntrospectionType}, nil
}

// examine says what the caller may know of the token. A refusal of the token is
// an answer here; a failure of the store is not.
func (i *Introspect) examine(ctx context.Context, presented string, identity clientauth.Identity, r *endpoint.Request) (*introspection, error) {
	if token.IsRefresh(presented) {
		return i.introspectRefresh(ctx, presented, identity.Client.ID, r.Event)
	}
	claims, err := i.Issuer.Verify(ctx, presented, r.Event)
	if err != nil {
		if errors.Is(err, token.ErrForeign) {
			return &introspection{}, i.guesses.count(identity.Client.ID, i.Issuer.Now(), r.Event)
		}
		if oauth.AsError(err).Code == oauth.CodeInvalidToken {
			return &introspection{}, nil
		}
		return nil, err
	}
	if mayIntrospect, err := i.mayIntrospect(ctx, claims, identity, r); err != nil || !mayIntrospect {
		return &introspection{}, err
	}
	return &introspection{
		Active:       true,
		Scope:        claims.Scope,
		ClientID:     claims.ClientID,
		TokenType:    claims.Confirmation.TokenType(),
		Expires:      claims.Expires,
		IssuedAt:     claims.IssuedAt,
		Subject:      claims.Subject,
		Audience:     claims.Audience,
		Issuer:       claims.Issuer,
		ID:           claims.ID,
		Roles:        claims.Roles,
		Confirmation: claims.Confirmation,
		Act:          claims.Act,
		MayAct:       claims.MayAct,
		Origins:      claims.Origins,
		Further:      claims.Further,
	}, nil
}

// mayIntrospect: a token is the business of the API it is meant for and of the
// client it was issued to. That client must hold what the token is bound to:
// otherwise its token is not active.
func (i *Introspect) mayIntrospect(ctx context.Context, claims *token.Claims, identity clientauth.Identity, r *endpoint.Request) (bool, error) {
	caller := identity.Client.ID
	if speaksFor(i.APIs, caller, claims.Audience) {
		r.Event.Pass("introspection audience", caller, caller)
		return true, nil
	}
	if claims.ClientID != caller {
		r.Event.Fail("introspection audience", "a caller named in aud, or the token's own client", caller, "introspect with the client of the API the token is meant for")
		return false, nil
	}
	r.Event.Pass("introspection audience", claims.ClientID, caller)
	return i.Binder.Held(ctx, claims.Confirmation, identity.Client.Policy, r.Sender())
}
