package flow

import (
	"context"
	"errors"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/server/clientauth"
	"github.com/fapid/fapid/server/endpoint"
	"github.com/fapid/fapid/server/token"
)

// Revoke is token revocation (RFC 7009). It bites on JWT access tokens, too:
// their end is remembered until they would have expired.
type Revoke struct {
	Clients *Clients
	Issuer  *token.Issuer
}

// Install opens the revocation endpoint.
func (v *Revoke) Install(site *endpoint.Site) {
	v.Clients.open(site, "revocation_endpoint", v.serve)
}

func (v *Revoke) serve(ctx context.Context, r *endpoint.Request, identity clientauth.Identity) (*endpoint.Answer, error) {
	presented := r.Form.Get("token")
	if presented == "" {
		return nil, oauth.InvalidRequest("token is missing")
	}
	// The token says what it is; token_type_hint is for servers that would have to
	// search (RFC 7009 section 2.1).
	parse := v.Issuer.Parse
	if token.IsRefresh(presented) {
		parse = v.revokeRefresh
	}
	claims, err := parse(ctx, presented)
	if err != nil && !errors.Is(err, token.ErrForeign) {
		// RFC 7009 section 2.2.1: 503, so that the client tries again.
		return nil, oauth.TemporarilyUnavailable().Because("revoke: %w", err)
	}
	if err != nil {
		// RFC 7009 section 2.2: an unknown token is an answer, not an error.
		r.Event.Fail("token", "a token issued by "+v.Issuer.ID, "", err.Error())
		return &endpoint.Answer{}, nil
	}
	if claims.ClientID != identity.Client.ID {
		r.Event.Fail("token's client", claims.ClientID, identity.Client.ID, "a client revokes its own tokens only")
		return nil, oauth.InvalidGrant("the token was not issued to this client")
	}
	if v.Issuer.Now().Unix() >= claims.Expires && !token.IsRefresh(presented) {
		r.Event.Pass("token", "", "already expired")
		return &endpoint.Answer{}, nil
	}
	if err := v.Issuer.Revoke(ctx, claims); err != nil {
		return nil, oauth.TemporarilyUnavailable().Because("revoke: %w", err)
	}
	r.Event.Pass("token", "", "revoked "+claims.ID)
	return &endpoint.Answer{}, nil
}
