// Package bank is a small protected API to call: accounts, balances,
// transactions and payments of the sandbox's users. It enforces a token as a
// real resource server must.
package bank

import (
	"context"
	"net/http"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/server/endpoint"
	"github.com/fapid/fapid/server/users"
)

// Scopes that let a client see the list of accounts: that of most ecosystems, and
// that of Australia's Consumer Data Right.
const (
	ScopeAccounts    = "accounts"
	ScopeAccountsCDR = "bank:accounts.basic:read"
)

// Bank serves one realm's bank.
type Bank struct {
	Guard *endpoint.Guard
	// Users own the accounts.
	Users *users.Users
}

// Install opens the bank on both listeners; a token that is bound to a
// certificate is of use on the mTLS listener only, and the other one says so.
func (b *Bank) Install(site *endpoint.Site) {
	base := site.Path("bank")
	for _, route := range []struct {
		method, path, scope string
		serve               func(*endpoint.Request) (any, error)
	}{
		{http.MethodGet, "/accounts", ScopeAccounts + " " + ScopeAccountsCDR, b.accounts},
		{http.MethodGet, "/accounts/{AccountId}", ScopeAccounts + " bank:accounts.detail:read", b.account},
		{http.MethodGet, "/accounts/{AccountId}/balances", ScopeAccounts + " " + ScopeAccountsCDR, b.balances},
		{http.MethodGet, "/accounts/{AccountId}/transactions", ScopeAccounts + " bank:transactions:read", b.transactions},
	} {
		site.Open(endpoint.Route{
			Path: base + route.path, Label: "bank" + route.path, Methods: []string{route.method},
			Guard: b.Guard, Scope: route.scope, Serve: answering(route.serve),
		})
	}
}

// answering answers in the manner of open banking APIs: with Date, and with the
// interaction id of the request or one of its own.
func answering(serve func(*endpoint.Request) (any, error)) endpoint.Handler {
	return func(_ context.Context, r *endpoint.Request) (*endpoint.Answer, error) {
		body, err := serve(r)
		if err != nil {
			return nil, err
		}
		return &endpoint.Answer{JSON: body, Header: http.Header{"X-Fapi-Interaction-Id": {interactionID(r)}}}, nil
	}
}

// interactionID echoes the caller's x-fapi-interaction-id if it is a UUID, and
// makes one otherwise (FAPI 1 Baseline section 6.2.1).
func interactionID(r *endpoint.Request) string {
	if given := r.Header.Get("X-Fapi-Interaction-Id"); isUUID(given) {
		return given
	}
	return oauth.NewUUID()
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
