// Package bank is a small protected API to call: accounts, balances,
// transactions and payments of the sandbox's users. It enforces a token as a
// real resource server must.
package bank

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/server/binding"
	"github.com/fapid/fapid/server/endpoint"
	"github.com/fapid/fapid/server/token"
)

// Bank serves one realm's bank.
type Bank struct {
	Issuer *token.Issuer
	// Audience is what aud must name.
	Audience string
	Binder   *binding.Binder
	Now      func() time.Time
	// Users own the accounts.
	Users []User
}

// Install opens the bank on both listeners; a token that is bound to a
// certificate is of use on the mTLS listener only, and the other one says so.
func (b *Bank) Install(site *endpoint.Site) {
	base := site.Path("bank")
	for _, route := range []struct {
		method, path, scope string
		serve               func(*endpoint.Request) (any, error)
	}{
		{http.MethodGet, "/accounts", "accounts", b.accounts},
		{http.MethodGet, "/accounts/{AccountId}", "accounts", b.account},
		{http.MethodGet, "/accounts/{AccountId}/balances", "accounts", b.balances},
		{http.MethodGet, "/accounts/{AccountId}/transactions", "accounts", b.transactions},
	} {
		site.Open(endpoint.Route{
			Path: base + route.path, Label: "bank" + route.path, Methods: []string{route.method}, Bearer: true, DPoP: b.Binder.Algs,
			Serve: func(ctx context.Context, r *endpoint.Request) (*endpoint.Answer, error) {
				return b.protect(ctx, r, route.scope, route.serve)
			},
		})
	}
}

// protect admits a request with a good token and answers in the manner of open
// banking APIs: with Date, and with the interaction id of the request or one of
// its own.
func (b *Bank) protect(ctx context.Context, r *endpoint.Request, scope string, serve func(*endpoint.Request) (any, error)) (*endpoint.Answer, error) {
	if err := b.admit(ctx, r, scope); err != nil {
		return nil, err
	}
	body, err := serve(r)
	if err != nil {
		return nil, err
	}
	return &endpoint.Answer{JSON: body, Header: http.Header{"X-Fapi-Interaction-Id": {interactionID(r)}}}, nil
}

// admit checks the token in the order a resource server should: presence, form,
// signature, life, audience, binding, scope (RFC 6750, RFC 8705 section 3,
// RFC 9449 section 7).
func (b *Bank) admit(ctx context.Context, r *endpoint.Request, scope string) error {
	scheme, presented, err := r.Token()
	if err != nil {
		return err
	}
	claims, err := b.Issuer.Verify(ctx, presented, r.Event)
	if err != nil {
		return err
	}
	r.Event.ClientID = claims.ClientID
	if !claims.Audience.Has(b.Audience) {
		r.Event.Fail("access token audience", b.Audience, strings.Join(claims.Audience, " "), "fetch a token for this API")
		return oauth.InvalidToken("the access token is for another API")
	}
	use := &binding.Use{Scheme: scheme, Token: presented, Confirmation: claims.Confirmation, Policy: claims.Client.Policy}
	if err := b.Binder.Enforce(ctx, use, r.Sender()); err != nil {
		return err
	}
	granted, err := oauth.ParseScope(claims.Scope)
	if err != nil {
		return err
	}
	if !granted.Has(scope) {
		r.Event.Fail("scope", scope, claims.Scope, "fetch a token with scope "+scope)
		return oauth.InsufficientScope("the access token lacks scope %s", scope)
	}
	r.Event.Pass("scope", scope, claims.Scope)
	return nil
}

// interactionID echoes the caller's x-fapi-interaction-id if it is a UUID, and
// makes one otherwise (FAPI 1 Baseline section 6.2.1).
func interactionID(r *endpoint.Request) string {
	if given := r.Header.Get("X-Fapi-Interaction-Id"); isUUID(given) {
		return given
	}
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails (crypto/rand)
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}

func isUUID(text string) bool {
	if len(text) != 36 {
		return false
	}
	for i := range len(text) {
		c := text[i]
		dash := i == 8 || i == 13 || i == 18 || i == 23
		hex := c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
		if dash && c != '-' || !dash && !hex {
			return false
		}
	}
	return true
}
