package server_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server"
	"github.com/fapid/fapid/server/servertest"
	"github.com/fapid/fapid/server/users"
)

// startWithAlice starts a server whose default realm has the user alice, and bob,
// who may not log in.
func startWithAlice(t testing.TB, change ...func(*server.Config)) *servertest.Server {
	t.Helper()
	s := servertest.Start(t, change...)
	for _, user := range []users.User{{UserName: "alice", Active: users.Yes}, {UserName: "bob", Active: users.No}} {
		if _, err := s.Users("default").Create(t.Context(), user); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// TestBearer: who signs, who brings it and who it is about, in every combination.
func TestBearer(t *testing.T) {
	t.Parallel()
	s := startWithAlice(t, func(c *server.Config) { c.Realms["default"].Subject = "service-account-{client_id}" })
	chain(t, s)
	signer, shop := s.TPP("signer", wide), s.TPP("shop", servertest.Exchanging, wide)
	bank := s.MTLS + "/bank"
	for _, test := range []struct {
		name      string
		assertion string
		form      []string
		sub, aud  string
		scope     string
		actors    []string
	}{
		{"another's word for itself", signer.Grant("signer"), nil, "service-account-signer", bank, "accounts payments openid", []string{"service-account-shop/shop"}},
		{"another's word for a user", signer.Grant("alice"), []string{"audience", "stock-api"}, "alice", "stock-api", "accounts payments", []string{"service-account-shop/shop"}},
		{"its own word for itself", shop.Grant("shop"), []string{"scope", "accounts"}, "service-account-shop", bank, "accounts", nil},
		{"its own word for a user", shop.Grant("alice"), nil, "alice", bank, "accounts payments openid", []string{"service-account-shop/shop"}},
		{"limited by its scope", signer.Grant("alice", "scope", "accounts openid"), nil, "alice", bank, "accounts openid", []string{"service-account-shop/shop"}},
	} {
		answer := shop.Bearer(test.assertion, test.form...)
		got := claims(t, exchanged(t, answer))
		if got["sub"] != test.sub || got["aud"] != test.aud || got["client_id"] != "shop" || got["scope"] != test.scope || !slices.Equal(actors(got), test.actors) {
			t.Errorf("%s: %v", test.name, got)
		}
		if answer.JSON["issued_token_type"] != nil {
			t.Errorf("%s: %s", test.name, answer)
		}
		if bound, _ := got["cnf"].(map[string]any); bound["x5t#S256"] != certificateThumbprint(shop) {
			t.Errorf("%s: bound to %v", test.name, bound)
		}
		wantAnswer(t, shop.Bearer(test.assertion, test.form...), http.StatusBadRequest, "invalid_grant")
	}
	if answer := shop.Bank(exchanged(t, shop.Bearer(signer.Grant("alice")))); answer.Status != http.StatusOK {
		t.Errorf("the bank: %s", answer)
	}
	// A token outlives the assertion by the policy's usual life at most.
	metadata := shop.Metadata
	metadata.AccessTokenExpiration = 24 * 3600
	if _, _, err := s.Clients("default").Put(t.Context(), metadata); err != nil {
		t.Fatal(err)
	}
	if life := shop.Bearer(signer.Grant("alice")).JSON["expires_in"].(float64); life > 660 || life < 600 {
		t.Errorf("it lives %v s", life)
	}
}

// TestBearerRefuses is the table of what is wrong with an assertion: all of it is
// invalid_grant (RFC 7521 section 4.1.1), and nothing is spent.
func TestBearerRefuses(t *testing.T) {
	t.Parallel()
	s := startWithAlice(t)
	chain(t, s)
	signer, shop := s.TPP("signer", wide), s.TPP("shop", servertest.Exchanging, wide)
	s.TPP("keyless", servertest.Under("oauth2"), func(m *registration.Metadata) {
		m.TokenEndpointAuthMethod, m.ClientSecret, m.JWKS, m.CertificateBoundTokens = oauth.AuthSecretBasic, "secret-secret-secret", nil, false
	})
	const secret = "secret-secret-secret-secret-secret-secret"
	s.TPP("shared", servertest.Under("oauth2"), func(m *registration.Metadata) {
		m.TokenEndpointAuthMethod, m.ClientSecret, m.JWKS, m.CertificateBoundTokens = oauth.AuthSecretJWT, secret, nil, false
	})
	now := s.Clock.Now().Unix()
	good := func(changes ...any) map[string]any {
		return but(claimsOf(signer), append([]any{"sub", "alice"}, changes...)...)
	}
	made := func(header map[string]any, claims map[string]any) string { return assertion(t, signer, header, claims) }
	rows := map[string]string{
		"no JWS": "x", "three dots": "...", "JWE": encrypted(t, encode(t, good()), nil), "padded": signer.Grant("alice") + "=", "huge": strings.Repeat("a", 20_000),
		"another's key":    compact(t, "ES256", freshKey(t), encode(t, headerOf(signer)), encode(t, good())),
		"no signature":     compact(t, "", nil, encode(t, headerOf(signer, "alg", "none")), encode(t, good())),
		"another alg":      made(headerOf(signer, "alg", "ES384"), good()),
		"unknown kid":      made(headerOf(signer, "kid", "x"), good()),
		"its own key":      made(headerOf(signer, "jwk", map[string]any{"kty": "EC"}), good()),
		"crit":             made(headerOf(signer, "crit", []string{"b64"}), good()),
		"DPoP typ":         made(headerOf(signer, "typ", "dpop+jwt"), good()),
		"assertion typ":    made(headerOf(signer, "typ", "client-authentication+jwt"), good()),
		"token typ":        made(headerOf(signer, "typ", "at+jwt"), good()),
		"no iss":           made(headerOf(signer), good("iss", nil)),
		"unknown iss":      made(headerOf(signer), good("iss", "nobody")),
		"iss of no keys":   made(headerOf(signer), good("iss", "keyless")),
		"by a secret":      compact(t, "HS256", []byte(secret), encode(t, map[string]any{"alg": "HS256"}), encode(t, good("iss", "shared"))),
		"iss a number":     made(headerOf(signer), good("iss", 5)),
		"no sub":           made(headerOf(signer), good("sub", nil)),
		"unknown sub":      made(headerOf(signer), good("sub", "mallory")),
		"inactive sub":     made(headerOf(signer), good("sub", "bob")),
		"sub in capitals":  made(headerOf(signer), good("sub", "ALICE")),
		"another client":   made(headerOf(signer), good("sub", "shop")),
		"long sub":         made(headerOf(signer), good("sub", strings.Repeat("a", 256))),
		"as itself, JWT":   made(headerOf(signer), good("sub", "signer")),
		"as itself, none":  made(headerOf(signer, "typ", nil), good("sub", "signer")),
		"no aud":           made(headerOf(signer), good("aud", nil)),
		"another aud":      made(headerOf(signer), good("aud", "https://as.example.com")),
		"realm's aud":      made(headerOf(signer), good("aud", s.Issuer+"/realms/strict")),
		"aud a number":     made(headerOf(signer), good("aud", 5)),
		"no exp":           made(headerOf(signer), good("exp", nil)),
		"exp a text":       made(headerOf(signer), good("exp", "1")),
		"expired":          made(headerOf(signer), good("exp", now-31)),
		"exp in a day":     made(headerOf(signer), good("exp", now+86_400)),
		"iat ahead":        made(headerOf(signer), good("iat", now+61)),
		"nbf ahead":        made(headerOf(signer), good("nbf", now+61)),
		"nbf negative":     made(headerOf(signer), good("nbf", -1)),
		"no jti":           made(headerOf(signer), good("jti", nil)),
		"long jti":         made(headerOf(signer), good("jti", strings.Repeat("a", 257))),
		"jti a number":     made(headerOf(signer), good("jti", 5)),
		"scope of quotes":  made(headerOf(signer), good("scope", `"`)),
		"scope a list":     made(headerOf(signer), good("scope", []string{"accounts"})),
		"scope it has not": made(headerOf(signer), good("scope", "accounts directory:software")),
		"a claim twice":    compact(t, "ES256", signer.SigningKey, encode(t, headerOf(signer)), strings.Replace(encode(t, good()), `{`, `{"sub":"alice",`, 1)),
		"claims a list":    compact(t, "ES256", signer.SigningKey, encode(t, headerOf(signer)), `[]`),
		"claims no JSON":   compact(t, "ES256", signer.SigningKey, encode(t, headerOf(signer)), `x`),
		"not UTF-8":        compact(t, "ES256", signer.SigningKey, encode(t, headerOf(signer)), strings.Replace(encode(t, good()), "alice", "al\xffice", 1)),
	}
	ask := func(assertion string, more ...string) servertest.Answer {
		form := door{}.form(append([]string{"token", "", "client_id", "shop", "grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion", assertion}, more...)...)
		return post(t, s, shop.HTTP, s.MTLS+"/token", form)
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			answer := ask(row)
			wantAnswer(t, answer, http.StatusBadRequest, "invalid_grant")
			event := s.Explain(answer)
			if check, failed := event.Failed(); !failed || !strings.HasPrefix(check.Name, "assertion") || check.Advice == "" {
				t.Errorf("the trace says %+v", check)
			}
		})
	}
	wantAnswer(t, ask(""), http.StatusBadRequest, "invalid_request")
	// What is wrong with the request leaves the assertion good.
	held := made(headerOf(signer), good("aud", []string{s.Issuer + "/token"}, "nbf", now+8))
	wantAnswer(t, ask(held, "audience", "nowhere"), http.StatusBadRequest, "invalid_target")
	wantAnswer(t, ask(held, "audience", "shop-api"), http.StatusBadRequest, "invalid_target") // no permission there
	wantAnswer(t, ask(held, "scope", "directory:software"), http.StatusBadRequest, "invalid_scope")
	wantAnswer(t, ask(held, "requested_token_type", "x", "scope", `"`), http.StatusBadRequest, "invalid_scope")
	wantAnswer(t, ask(held), http.StatusOK, "")
	wantAnswer(t, ask(held), http.StatusBadRequest, "invalid_grant")
}

// TestBearerUnderFAPI: the policy of the client that signs says what aud may be,
// that of the one who brings it that the token is bound.
func TestBearerUnderFAPI(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	chain(t, s)
	signer := s.TPP("signer", servertest.Under("fapi2"))
	shop := s.TPP("shop", servertest.Exchanging, servertest.JWT, servertest.Under("fapi2"))
	wantAnswer(t, shop.Bearer(signer.Grant("signer", "aud", s.Issuer+"/token")), http.StatusBadRequest, "invalid_grant")
	wantAnswer(t, shop.Bearer(signer.Grant("signer", "aud", []string{s.Issuer})), http.StatusBadRequest, "invalid_grant")
	held := signer.Grant("signer")
	wantAnswer(t, shop.Bearer(held), http.StatusBadRequest, "invalid_request") // nothing to bind to
	form := withAssertion(map[string][]string{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {held}}, claiming()(t, shop))
	exchanged(t, s.Do(shop.HTTP, http.MethodPost, s.MTLS+"/token", servertest.Form, form.Encode()))
}

// TestBearerOnce: of sixteen that bring one assertion at once, one gets a token;
// and nobody does later, also after a restart, as long as it would be accepted.
func TestBearerOnce(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	chain(t, s)
	signer, shop := s.TPP("signer"), s.TPP("shop", servertest.Exchanging)
	defer s.Clock.Freeze()()
	var held string
	for range rounds(t, 5) {
		held = signer.Grant("signer", "exp", s.Clock.Now().Unix()+300)
		won := 0
		for _, answer := range race(func() servertest.Answer { return shop.Bearer(held) }) {
			if answer.Status == http.StatusOK {
				won++
				continue
			}
			wantAnswer(t, answer, http.StatusBadRequest, "invalid_grant")
		}
		if won != 1 {
			t.Fatalf("%d winners", won)
		}
	}
	s.Restart()
	shop.Connect()
	answer := shop.Bearer(held)
	wantAnswer(t, answer, http.StatusBadRequest, "invalid_grant")
	event := s.Explain(answer)
	if check, _ := event.Failed(); check.Name != "assertion jti" {
		t.Errorf("the trace says %+v", check)
	}
	s.Clock.Move(305 * time.Second) // behind exp, within the skew
	event = s.Explain(shop.Bearer(held))
	if check, _ := event.Failed(); check.Name != "assertion jti" {
		t.Errorf("at the end of its life the trace says %+v", check)
	}
	// The same jti of another client is another.
	jti := signer.Grant("signer", "jti", "one")
	exchanged(t, shop.Bearer(jti))
	exchanged(t, shop.Bearer(shop.Grant("shop", "jti", "one")))
	wantAnswer(t, shop.Bearer(signer.Grant("signer", "jti", "one")), http.StatusBadRequest, "invalid_grant")
}

// TestBearerEndsWithTheUser: a token that is about a user is good while the user is
// active, and so is what it was exchanged for, in every format; somebody new of the
// same name is somebody else. Tokens about nobody do not mind.
func TestBearerEndsWithTheUser(t *testing.T) {
	t.Parallel()
	s := startWithAlice(t)
	chain(t, s)
	signer, shop, stock := s.TPP("signer", wide), s.TPP("shop", servertest.Exchanging, wide), s.TPP("stock", servertest.Exchanging, wide)
	people := s.Users("default")
	alice, _ := people.ByUserName("alice")
	about := map[string]string{
		"another's word": exchanged(t, shop.Bearer(signer.Grant("alice"))),
		"its own word":   exchanged(t, shop.Bearer(shop.Grant("alice"))),
		"exchanged":      exchanged(t, stock.Exchange(exchanged(t, shop.Bearer(signer.Grant("alice"), "audience", "stock-api")), "audience", s.MTLS+"/bank")),
	}
	less := shop.Metadata
	less.AccessTokenFormat = oauth.FormatOpaque
	if _, _, err := s.Clients("default").Put(t.Context(), less); err != nil {
		t.Fatal(err)
	}
	about["opaque"] = exchanged(t, shop.Bearer(shop.Grant("alice")))
	others := []string{shop.Token(), exchanged(t, shop.Bearer(signer.Grant("signer")))}
	want := func(when string, good bool) {
		t.Helper()
		for name, token := range about {
			holder := shop
			if name == "exchanged" {
				holder = stock
			}
			if good {
				wantAnswer(t, holder.Bank(token), http.StatusOK, "")
			} else {
				answer := holder.Bank(token)
				wantAnswer(t, answer, http.StatusUnauthorized, "invalid_token")
				event := s.Explain(answer)
				if check, _ := event.Failed(); check.Name != "exchanged token's origin" || check.Expected != "user "+alice.ID+" is active" {
					t.Errorf("%s, %s: the trace says %+v", when, name, check)
				}
			}
			if active := introspected(holder, token)["active"]; active != good {
				t.Errorf("%s, %s: active %v", when, name, active)
			}
		}
		for _, token := range others {
			wantAnswer(t, shop.Bank(token), http.StatusOK, "")
		}
	}
	activate := func(flag users.Flag) {
		t.Helper()
		if _, err := people.Update(t.Context(), alice.ID, func(user *users.User) error { user.Active = flag; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	want("at first", true)
	activate(users.No)
	want("not active", false)
	wantAnswer(t, shop.Bearer(signer.Grant("alice")), http.StatusBadRequest, "invalid_grant")
	activate(users.Yes)
	want("active again", true)
	if err := people.Delete(t.Context(), alice.ID, func(*users.User) error { return nil }); err != nil {
		t.Fatal(err)
	}
	want("deleted", false)
	if _, err := people.Create(t.Context(), users.User{UserName: "alice", Active: users.Yes}); err != nil {
		t.Fatal(err)
	}
	want("somebody of the same name", false)
}
