package server_test

import (
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server"
	"github.com/fapid/fapid/server/servertest"
	"github.com/fapid/fapid/server/token"
)

// further gives the default realm further claims.
func further(claims ...string) func(*server.Config) {
	return func(config *server.Config) { config.Realms["default"].FurtherClaims = claims }
}

// furtherOf are the further claims among others.
func furtherOf(claims map[string]any) map[string]any {
	some := map[string]any{}
	for _, name := range token.FurtherClaims {
		if value, there := claims[name]; there {
			some[name] = value
		}
	}
	return some
}

// wantFurther wants exactly these further claims, in names and values.
func wantFurther(t testing.TB, what string, claims map[string]any, want ...any) {
	t.Helper()
	if got, want := furtherOf(claims), but(map[string]any{}, want...); !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\n%v, want\n%v", what, got, want)
	}
}

// TestFurtherClaims: each realm's tokens, in either format, and its answers to
// introspection have the claims that it names and no others; nothing else about a
// token is another for them.
func TestFurtherClaims(t *testing.T) {
	t.Parallel()
	rolesAt := func(roles ...any) map[string]any { return map[string]any{"roles": roles} }
	for name, row := range map[string]struct {
		claims  []string
		subject string
		want    []any // but for nbf
	}{
		"none": {},
		"Keycloak's": {[]string{"azp", "typ", "preferred_username", "resource_access"}, "", []any{
			"azp", "tpp", "typ", "Bearer", "preferred_username", "service-account-tpp", "resource_access", map[string]any{"stock-api": rolesAt("writer")},
		}},
		"CERN's": {[]string{"resource_access", "cern_roles", "azp", "typ", "preferred_username"}, "service-account-{client_id}", []any{
			"azp", "tpp", "typ", "Bearer", "preferred_username", "service-account-tpp",
			"resource_access", map[string]any{"stock-api": rolesAt("writer")}, "cern_roles", []any{"writer"},
		}},
		"Asgardeo's": {[]string{"azp", "aut", "nbf"}, "", []any{"azp", "tpp", "aut", "APPLICATION"}},
	} {
		s := servertest.Start(t, further(row.claims...), func(config *server.Config) { config.Realms["default"].Subject = row.subject })
		chain(t, s)
		tpp, stock := s.TPP("tpp", wide), s.TPP("stock")
		issued := received(tpp, "stock-api")
		got := claims(t, issued)
		want := row.want
		if slices.Contains(row.claims, "nbf") {
			want = append(want, "nbf", got["iat"])
		}
		wantFurther(t, name, got, want...)
		subject := strings.ReplaceAll(row.subject, "{client_id}", "tpp")
		if subject == "" {
			subject = "tpp"
		}
		rest := map[string]any{
			"iss": s.Issuer, "sub": subject, "aud": "stock-api", "client_id": "tpp", "scope": "accounts payments", "roles": []any{"writer"},
			"cnf": map[string]any{"x5t#S256": certificateThumbprint(tpp)}, "jti": got["jti"], "iat": got["iat"], "exp": got["exp"],
		}
		if got := but(got, slices.Collect(pairs(furtherOf(got)))...); !reflect.DeepEqual(got, rest) {
			t.Errorf("%s: the rest is\n%v, want\n%v", name, got, rest)
		}
		wantFurther(t, name+", introspected", introspected(stock, issued), want...)

		// The bank gave no roles; the token for it is opaque.
		unlisted := s.TPP("opaque", opaque)
		handle := unlisted.Token()
		got = introspected(unlisted, handle)
		var said []string
		for _, claim := range row.claims {
			if claim != "resource_access" && claim != "cern_roles" {
				said = append(said, claim)
			}
		}
		if found := furtherOf(got); got["active"] != true || len(found) != len(said) || row.claims != nil && found["azp"] != "opaque" {
			t.Errorf("%s, opaque: %v, want %v", name, got, said)
		}
		for caller, issued := range map[*servertest.TPP]string{tpp: tpp.Token(), unlisted: handle} {
			if answer := caller.Bank(issued); answer.Status != http.StatusOK {
				t.Errorf("%s: the bank: %s", name, answer)
			}
		}
	}
}

// pairs are names with nil, for [but].
func pairs(claims map[string]any) func(func(any) bool) {
	return func(yield func(any) bool) {
		for name := range claims {
			if !yield(name) || !yield(nil) {
				return
			}
		}
	}
}

// TestFurtherClaimsOfOthers: of whom a token is, after refreshing, exchange, and an
// assertion; how it is sent; and which of several APIs gave which role.
func TestFurtherClaimsOfOthers(t *testing.T) {
	t.Parallel()
	s := startWithAlice(t, further(token.FurtherClaims...), func(config *server.Config) { config.Realms["default"].Subject = "{client_id}-itself" })
	chain(t, s)
	if _, err := s.APIs("default").Put(t.Context(), registration.API{
		ID: "other-api", Roles: []string{"reader", "writer"}, Clients: map[string]registration.Access{"tpp": {Roles: []string{"reader"}}},
	}); err != nil {
		t.Fatal(err)
	}
	tpp, shop, stock := s.TPP("tpp", wide), s.TPP("shop", servertest.Exchanging, wide), s.TPP("stock", servertest.Exchanging, wide)
	signer, dpop := s.TPP("signer", wide), s.TPP("dpop", servertest.DPoP)
	refreshed := pairOf(t, refresh(s.TPP("again", refreshing), begin(t, s.TPP("again", refreshing)).refresh)).access

	first := received(tpp, "shop-api")
	second := exchanged(t, shop.Exchange(first, "audience", "stock-api"))
	third := exchanged(t, stock.Exchange(second, "audience", s.MTLS+"/bank"))
	word := exchanged(t, shop.Bearer(signer.Grant("signer"), "audience", "stock-api"))
	alices := exchanged(t, shop.Bearer(signer.Grant("alice"), "audience", "stock-api"))
	exchangedAlices := exchanged(t, stock.Exchange(alices, "audience", s.MTLS+"/bank"))

	reader := []any{"reader"}
	atStock := map[string]any{"stock-api": map[string]any{"roles": reader}}
	for _, row := range []struct {
		name, token, client, typ, username, aut string
		more                                    []any
	}{
		{"refreshed", refreshed, "again", "Bearer", "service-account-again", "APPLICATION", nil},
		{"DPoP", dpop.Token(), "dpop", "DPoP", "service-account-dpop", "APPLICATION", nil},
		{"exchanged", second, "shop", "Bearer", "service-account-tpp", "APPLICATION", []any{"resource_access", atStock, "cern_roles", reader}},
		{"exchanged again", third, "stock", "Bearer", "service-account-tpp", "APPLICATION", nil},
		{"a client's word", word, "shop", "Bearer", "service-account-signer", "APPLICATION", []any{"resource_access", atStock, "cern_roles", reader}},
		{"a user's", alices, "shop", "Bearer", "alice", "APPLICATION_USER", []any{"resource_access", atStock, "cern_roles", reader}},
		{"exchanged, a user's", exchangedAlices, "stock", "Bearer", "alice", "APPLICATION_USER", nil},
	} {
		got := claims(t, row.token)
		want := append([]any{"azp", row.client, "typ", row.typ, "preferred_username", row.username, "aut", row.aut, "nbf", got["iat"]}, row.more...)
		wantFurther(t, row.name, got, want...)
	}

	// Neither API's role is the other's: roles has none of them, resource_access both.
	several := claims(t, tpp.Token(url.Values{"audience": {"stock-api", "other-api"}}))
	want := map[string]any{"stock-api": map[string]any{"roles": []any{"writer"}}, "other-api": map[string]any{"roles": reader}}
	if several["roles"] != nil || several["cern_roles"] != nil || !reflect.DeepEqual(several["resource_access"], want) {
		t.Errorf("for several APIs: roles %v, resource_access %v", several["roles"], several["resource_access"])
	}
}

// TestFurtherClaimsAreBounded: a token that only they make too long is refused.
func TestFurtherClaimsAreBounded(t *testing.T) {
	t.Parallel()
	var roles []string
	for i := range 60 {
		roles = append(roles, fmt.Sprintf("a-role-of-a-length-that-fills-%03d", i))
	}
	for _, claims := range [][]string{nil, {"resource_access", "cern_roles"}} {
		s := servertest.Start(t, further(claims...))
		if _, err := s.APIs("default").Put(t.Context(), registration.API{ID: "api", Roles: roles, Clients: map[string]registration.Access{"tpp": {Roles: roles}}}); err != nil {
			t.Fatal(err)
		}
		answer := s.TPP("tpp").Post("token_endpoint", door{endpoint: "token_endpoint"}.form("audience", "api"))
		if claims == nil {
			want(t, answer, http.StatusOK)
		} else {
			wantAnswer(t, answer, http.StatusBadRequest, "invalid_request")
		}
	}
}

// TestFurtherClaimsAreChecked: a claim that no token has, or one that is named twice,
// is a mistake in the configuration.
func TestFurtherClaimsAreChecked(t *testing.T) {
	t.Parallel()
	for claims, wanted := range map[string]string{"email": `"email"`, "sub": `"sub"`, "azp azp": "azp"} {
		err := servertest.Refused(t, further(strings.Fields(claims)...))
		if err == nil || !strings.Contains(err.Error(), "realms.default.further_claims") || !strings.Contains(err.Error(), wanted) {
			t.Errorf("%s: %v", claims, err)
		}
	}
}
