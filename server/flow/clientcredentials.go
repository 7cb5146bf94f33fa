package flow

import (
	"context"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/server/binding"
	"github.com/fapid/fapid/server/token"
)

// ClientCredentials is the client credentials grant (RFC 6749 section 4.4): the
// client acts for itself, so it is the subject (RFC 9068 section 2.2).
type ClientCredentials struct {
	Subject Subject
}

// Type is the grant_type.
func (ClientCredentials) Type() string { return "client_credentials" }

// Redeem grants the requested scope, or all the client is registered for when
// it asks for none (RFC 6749 section 3.3).
func (g ClientCredentials) Redeem(_ context.Context, r *Redemption) (token.Authorization, error) {
	client := r.Client.Client
	scope := r.Scope
	if len(scope) == 0 {
		scope = client.Scope
	}
	if missing, any := client.Scope.Missing(scope); any {
		r.Event.Fail("scope", client.Scope.String(), missing, "ask only for scopes the client is registered for")
		return token.Authorization{}, oauth.InvalidScope("the client is not registered for every requested scope").Because("scope %s", missing)
	}
	r.Event.Pass("scope", client.Metadata.Scope, r.Form.Get("scope"))
	authorization := token.Authorization{
		Subject: g.Subject.Of(client.ID), Scope: scope,
		Refresh: client.RefreshTokens, // RFC 6749 section 4.4.3 advises against it; the registration says otherwise
	}
	if client.RefreshTokens && r.Client.Certificate != nil {
		holder := binding.IdentityOf(r.Client.Certificate)
		authorization.CertificateSubject, authorization.CertificateIssuer = holder.Subject, holder.Issuer
	}
	return authorization, nil
}
