package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server"
	"github.com/fapid/fapid/server/participant"
	"github.com/fapid/fapid/server/servertest"
	"github.com/fapid/fapid/server/token"
)

// chain are APIs that call one another: a shop that is called, its stock, and the
// bank behind both. The stock may have the shop's tokens exchanged and no others.
func chain(t testing.TB, s *servertest.Server) {
	t.Helper()
	anybody := registration.AnyClient
	for _, api := range []registration.API{
		{ID: "shop-api", Client: "shop", Clients: map[string]registration.Access{anybody: {}}},
		{
			ID: "stock-api", Client: "stock", Scopes: []string{"accounts", "payments"}, Roles: []string{"reader", "writer"},
			Clients: map[string]registration.Access{"tpp": {Roles: []string{"writer"}}, "shop": {Roles: []string{"reader"}, Exchange: []string{"tpp", "signer"}}, "stranger": {}},
		},
		{ID: "hidden-api", AccessTokenFormat: oauth.FormatOpaque, Clients: map[string]registration.Access{"shop": {Exchange: []string{anybody}}}},
		{ID: s.MTLS + "/bank", Clients: map[string]registration.Access{anybody: {}, "shop": {Exchange: []string{"tpp", "signer", "shop"}}, "stock": {Exchange: []string{"shop"}}}},
	} {
		if _, err := s.APIs("default").Put(t.Context(), api); err != nil {
			t.Fatal(err)
		}
	}
}

// wide gives a TPP more scope than one word.
func wide(m *registration.Metadata) { m.Scope = "accounts payments openid" }

// received is a token of a TPP as an API gets it.
func received(tpp *servertest.TPP, api string, more ...string) string {
	form := door{endpoint: "token_endpoint"}.form(more...)
	form["audience"] = []string{api}
	return tpp.Token(form)
}

// exchanged is the token of a good answer.
func exchanged(t testing.TB, answer servertest.Answer) string {
	t.Helper()
	issued, _ := answer.JSON["access_token"].(string)
	if answer.Status != http.StatusOK || issued == "" || answer.JSON["refresh_token"] != nil {
		t.Fatalf("no exchanged token: %s", answer)
	}
	return issued
}

// actors names those who act by a token, the newest first.
func actors(claims map[string]any) (names []string) {
	for act, _ := claims["act"].(map[string]any); act != nil; act, _ = act["act"].(map[string]any) {
		names = append(names, fmt.Sprintf("%v/%v", act["sub"], act["client_id"]))
	}
	return names
}

// introspected asks as the token's own client.
func introspected(tpp *servertest.TPP, token string) map[string]any {
	return tpp.Post("introspection_endpoint", url.Values{"token": {token}}).JSON
}

// TestExchange: an API exchanges the token it was called with, and the next API
// that one: the subject stays, the actors are shown, everything else is narrowed.
func TestExchange(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	chain(t, s)
	tpp, shop, stock := s.TPP("tpp", wide), s.TPP("shop", servertest.Exchanging, wide), s.TPP("stock", servertest.Exchanging, opaque)
	first := received(tpp, "shop-api", "scope", "accounts openid")
	answer := shop.Exchange(first, "audience", "stock-api")
	second := exchanged(t, answer)
	got := claims(t, second)
	for claim, want := range map[string]any{
		"sub": "tpp", "client_id": "shop", "aud": "stock-api", "scope": "accounts", "roles": []any{"reader"},
		"cnf": map[string]any{"x5t#S256": certificateThumbprint(shop)}, "act": map[string]any{"sub": "shop", "client_id": "shop"},
	} {
		if !reflect.DeepEqual(got[claim], want) {
			t.Errorf("%s is %v, want %v", claim, got[claim], want)
		}
	}
	for member, want := range map[string]any{"issued_token_type": participant.TypeAccessToken, "token_type": "Bearer", "scope": "accounts"} {
		if answer.JSON[member] != want {
			t.Errorf("%s is %v, want %v", member, answer.JSON[member], want)
		}
	}
	if got["exp"].(float64) > claims(t, first)["exp"].(float64) {
		t.Error("it lives longer than the token it was exchanged for")
	}
	third := exchanged(t, stock.Exchange(second))
	if !strings.HasPrefix(third, "fapid_at.") {
		t.Errorf("not opaque: %s", third)
	}
	if answer := stock.Bank(third); answer.Status != http.StatusOK {
		t.Errorf("the bank: %s", answer)
	}
	report := introspected(stock, third)
	if got := actors(report); !slices.Equal(got, []string{"stock/stock", "shop/shop"}) || report["sub"] != "tpp" {
		t.Errorf("introspection shows %v acting for %v", got, report["sub"])
	}
	if origins, _ := report["origins"].([]any); len(origins) != 2 {
		t.Errorf("origins are %v", report["origins"])
	}
	page, _, err := s.Sessions("default").List(t.Context(), token.Filter{Client: "stock"}, "", 10)
	if err != nil || len(page) != 1 || page[0].Act.String() != "stock, before shop" || len(page[0].Origins) != 2 {
		t.Errorf("the session list has %+v, %v", page, err)
	}
	if !alive(tpp, tpp.Token()) || introspected(tpp, first)["active"] != true {
		t.Error("the exchange cost the token that was exchanged")
	}
}

// TestExchangeOwn: a client narrows its own token without anybody's permission,
// and nobody is said to act for anybody; more than it has takes permission.
func TestExchangeOwn(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	chain(t, s)
	tpp, shop := s.TPP("tpp", servertest.Exchanging, wide), s.TPP("shop", servertest.Exchanging)
	both := tpp.Token(url.Values{"audience": {"shop-api", "stock-api"}, "scope": {"accounts payments"}})
	for _, test := range []struct {
		name  string
		form  []string
		aud   any
		scope string
		roles []any
	}{
		{"the same", nil, []any{"shop-api", "stock-api"}, "accounts payments", []any{"writer"}},
		{"one API", []string{"audience", "stock-api"}, "stock-api", "accounts payments", []any{"writer"}},
		{"less scope", []string{"resource", "shop-api", "scope", "payments"}, "shop-api", "payments", nil},
	} {
		got := claims(t, exchanged(t, tpp.Exchange(both, test.form...)))
		if !reflect.DeepEqual(got["aud"], test.aud) || got["scope"] != test.scope || got["act"] != nil || got["sub"] != "tpp" || !same(got["roles"], any(test.roles)) {
			t.Errorf("%s: %v", test.name, got)
		}
	}
	wantAnswer(t, tpp.Exchange(both, "audience", s.MTLS+"/bank"), 400, "invalid_target")
	wantAnswer(t, tpp.Exchange(both, "scope", "accounts openid"), 400, "invalid_scope")
	// The shop is allowed to have its own exchanged for the bank; it is its own still.
	if got := claims(t, exchanged(t, shop.Exchange(received(shop, "shop-api"), "audience", s.MTLS+"/bank"))); got["act"] != nil || got["sub"] != "shop" {
		t.Errorf("its own token: %v", got)
	}
	// What it had exchanged, it narrows, and stays the one who acts.
	acting := exchanged(t, shop.Exchange(received(tpp, "shop-api"), "audience", s.MTLS+"/bank"))
	if got := claims(t, exchanged(t, shop.Exchange(acting, "scope", "accounts"))); !slices.Equal(actors(got), []string{"shop/shop"}) || got["sub"] != "tpp" {
		t.Errorf("exchanged again: %v", got)
	}
}

// TestExchangeActor: with an actor token, whoever that is about acts; it is the
// client's own, and good, and nobody who acts for another.
func TestExchangeActor(t *testing.T) {
	t.Parallel()
	s := startWithAlice(t)
	chain(t, s)
	tpp, shop, signer, unbound := s.TPP("tpp"), s.TPP("shop", servertest.Exchanging), s.TPP("signer"), s.TPP("unbound", servertest.JWT)
	subject := received(tpp, "shop-api")
	own := shop.Token()
	actor := func(token string, more ...string) servertest.Answer {
		return shop.Exchange(subject, append([]string{"audience", "stock-api", "actor_token", token, "actor_token_type", participant.TypeAccessToken}, more...)...)
	}
	if got := actors(claims(t, exchanged(t, actor(own)))); !slices.Equal(got, []string{"shop/shop"}) {
		t.Errorf("acting: %v", got)
	}
	// A user's token that the shop holds: the user acts, through the shop.
	users := exchanged(t, shop.Bearer(signer.Grant("alice"), "audience", s.MTLS+"/bank"))
	wantAnswer(t, actor(users), 400, "invalid_request") // the shop acts in it already
	shops := exchanged(t, shop.Bearer(shop.Grant("alice"), "audience", s.MTLS+"/bank"))
	wantAnswer(t, actor(shops), 400, "invalid_request")
	wantAnswer(t, actor(tpp.Token()), 400, "invalid_request")
	wantAnswer(t, actor(received(unbound, "shop-api")), 400, "invalid_request")
	wantAnswer(t, actor("x"), 400, "invalid_request")
	wantAnswer(t, actor(own, "actor_token_type", ""), 400, "invalid_request")
	wantAnswer(t, actor(own, "actor_token_type", "urn:ietf:params:oauth:token-type:id_token"), 400, "invalid_request")
	wantAnswer(t, actor(""), 400, "invalid_request") // the type alone
	shop.Post("revocation_endpoint", url.Values{"token": {own}})
	wantAnswer(t, actor(own), 400, "invalid_request")
	s.Clock.Move(time.Minute)
	if got := claims(t, exchanged(t, actor(shop.Token()))); got["exp"] != claims(t, subject)["exp"] {
		t.Errorf("it expires at %v, the first of the tokens at %v", got["exp"], claims(t, subject)["exp"])
	}
}

// TestExchangeTypes: a token is what was asked for, in a form that the API takes.
func TestExchangeTypes(t *testing.T) {
	t.Parallel()
	const jwtType = "urn:ietf:params:oauth:token-type:jwt"
	s := servertest.Start(t)
	chain(t, s)
	tpp, hidden, shop := s.TPP("tpp"), s.TPP("hidden", opaque), s.TPP("shop", servertest.Exchanging, opaque)
	first := received(tpp, "shop-api")
	for _, test := range []struct {
		name, token string
		form        []string
		error, kind string // of the token
		answered    string
	}{
		{"as registered", first, nil, "", "opaque", participant.TypeAccessToken},
		{"an access token", first, []string{"requested_token_type", participant.TypeAccessToken}, "", "opaque", participant.TypeAccessToken},
		{"a JWT", first, []string{"requested_token_type", jwtType}, "", "jwt", jwtType},
		{"a JWT for one", first, []string{"subject_token_type", jwtType}, "", "opaque", participant.TypeAccessToken},
		{"a JWT of an API of opaque ones", first, []string{"requested_token_type", jwtType, "audience", "hidden-api"}, "invalid_target", "", ""},
		{"a refresh token", first, []string{"requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token"}, "invalid_request", "", ""},
		{"an opaque one as JWT", received(hidden, "shop-api"), []string{"audience", "hidden-api", "subject_token_type", jwtType}, "invalid_request", "", ""},
		{"an opaque one", received(hidden, "shop-api"), []string{"audience", "hidden-api"}, "", "opaque", participant.TypeAccessToken},
	} {
		answer := shop.Exchange(test.token, test.form...)
		if test.error != "" {
			wantAnswer(t, answer, http.StatusBadRequest, test.error)
			continue
		}
		if kind := map[bool]string{true: "jwt", false: "opaque"}[strings.Count(exchanged(t, answer), ".") == 2]; kind != test.kind || answer.JSON["issued_token_type"] != test.answered {
			t.Errorf("%s: %s of type %v", test.name, kind, answer.JSON["issued_token_type"])
		}
	}
}

// TestExchangeBinding: a client's own token is exchanged by whom it is bound to
// only, and nothing that is bound becomes something that is not.
func TestExchangeBinding(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	chain(t, s)
	own := s.TPP("own", servertest.Exchanging)
	token, before := own.Token(), *own.Participant
	exchanged(t, own.Exchange(token))
	own.Renew()
	wantAnswer(t, own.Exchange(token), 400, "invalid_request")
	wantAnswer(t, own.Exchange(own.Token(), "actor_token", token, "actor_token_type", participant.TypeAccessToken), 400, "invalid_request")
	*own.Participant = before
	own.Connect()
	exchanged(t, own.Exchange(token)) // nothing was spent

	proving := s.TPP("proving", servertest.DPoP, servertest.Exchanging)
	token = proving.Token()
	answer := proving.Exchange(token)
	if exchanged(t, answer); answer.JSON["token_type"] != "DPoP" {
		t.Errorf("token_type is %v", answer.JSON["token_type"])
	}
	proving.DPoPKey = freshKey(t)
	wantAnswer(t, proving.Exchange(token), 400, "invalid_request")
	wantAnswer(t, proving.Exchange(proving.Token(), "actor_token", token, "actor_token_type", participant.TypeAccessToken), 400, "invalid_request")
	proving.DPoPKey = nil
	exchanged(t, proving.Exchange(token))

	// The shop's tokens need not be bound, but the TPP's is.
	tpp, shop := s.TPP("tpp"), s.TPP("shop", servertest.JWT, servertest.Exchanging)
	token = received(tpp, "shop-api")
	wantAnswer(t, shop.Exchange(token), 400, "invalid_request")
	form := withAssertion(participant.Exchange(token), claiming()(t, shop))
	answer = s.Do(shop.HTTP, http.MethodPost, s.MTLS+"/token", servertest.Form, form.Encode())
	if bound, _ := claims(t, exchanged(t, answer))["cnf"].(map[string]any); bound["x5t#S256"] != certificateThumbprint(shop) {
		t.Errorf("bound to %v", bound)
	}
	if got := claims(t, exchanged(t, shop.Exchange(received(s.TPP("signer", servertest.JWT), "shop-api")))); got["cnf"] != nil {
		t.Errorf("nothing was bound, this is: %v", got["cnf"])
	}
}

func freshKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// TestExchangeEnds: what was exchanged dies with any session it came of, at once
// and for good, whoever ends that; and takes nothing with it when it is ended.
func TestExchangeEnds(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	chain(t, s)
	shop, stock := s.TPP("shop", servertest.Exchanging), s.TPP("stock", servertest.Exchanging, opaque)
	signer := s.TPP("signer", opaque, refreshing)
	tpp := s.TPP("tpp", refreshing)
	first := received(tpp, "shop-api")
	second := exchanged(t, shop.Exchange(first, "audience", "stock-api"))
	third := exchanged(t, stock.Exchange(second))
	if answer := stock.Post("revocation_endpoint", url.Values{"token": {third}}); answer.Status != http.StatusOK {
		t.Fatal(answer)
	}
	if introspected(stock, third)["active"] == true || introspected(shop, second)["active"] != true || introspected(tpp, first)["active"] != true {
		t.Error("ending what came of a token ended the token")
	}
	for name, end := range map[string]func(token string, p pair){
		"revoked by its client": func(token string, _ pair) { tpp.Post("revocation_endpoint", url.Values{"token": {token}}) },
		"ended by the operator": func(text string, _ pair) {
			id, _ := introspected(tpp, text)["jti"].(string)
			if err := s.Sessions("default").End(t.Context(), id, token.EndedByOperator); err != nil {
				t.Error(err)
			}
		},
		"its refresh token revoked": func(_ string, p pair) { tpp.Post("revocation_endpoint", url.Values{"token": {p.refresh}}) },
		"its refresh token reused": func(_ string, p pair) {
			pairOf(t, refresh(tpp, p.refresh))
			s.Clock.Move(11 * time.Second)
			wantAnswer(t, refresh(tpp, p.refresh), 400, "invalid_grant")
		},
	} {
		t.Run(name, func(t *testing.T) {
			began := begin(t, tpp, "audience", "shop-api")
			second := exchanged(t, shop.Exchange(began.access, "audience", "stock-api"))
			third := exchanged(t, stock.Exchange(second))
			if !alive(stock, third) {
				t.Fatal("it is dead before")
			}
			id, _ := introspected(stock, third)["jti"].(string)
			end(began.access, began)
			for range 2 {
				if alive(stock, third) || introspected(stock, third)["active"] == true || introspected(shop, second)["active"] == true {
					t.Error("what was exchanged is alive")
				}
				wantAnswer(t, stock.Exchange(second), 400, "invalid_request")
				session, err := s.Sessions("default").Get(t.Context(), id)
				if err != nil || session.State() != token.Ended || session.Ended.By != token.EndedByOrigin || session.Ended.At == 0 {
					t.Errorf("the session is %+v, %v", session, err)
				}
				s.Restart()
				tpp.Connect()
				shop.Connect()
				stock.Connect()
			}
		})
	}
	// A token whose session holds no JWT is remembered all the same.
	began := begin(t, signer, "audience", "shop-api")
	second = exchanged(t, shop.Exchange(began.access, "audience", "stock-api"))
	signer.Post("revocation_endpoint", url.Values{"token": {began.access}})
	if introspected(shop, second)["active"] == true {
		t.Error("what came of an opaque token outlived it")
	}
}

// TestExchangeRacesEnd: when a revocation has been answered, nothing that came of
// the token is left, whatever exchanges it raced with.
func TestExchangeRacesEnd(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	chain(t, s)
	tpp, shop := s.TPP("tpp"), s.TPP("shop", servertest.Exchanging)
	for round := range rounds(t, 20) {
		first := received(tpp, "shop-api")
		var answers []servertest.Answer
		done := make(chan struct{})
		go func() {
			defer close(done)
			answers = race(func() servertest.Answer { return shop.Exchange(first, "audience", "stock-api") })
		}()
		if answer := tpp.Post("revocation_endpoint", url.Values{"token": {first}}); answer.Status != http.StatusOK {
			t.Fatalf("revocation: %s", answer)
		}
		<-done
		for _, answer := range answers {
			if answer.Status != http.StatusOK {
				wantAnswer(t, answer, http.StatusBadRequest, "invalid_request")
			} else if got := introspected(shop, exchanged(t, answer)); got["active"] == true {
				t.Fatalf("round %d: one survived: %v", round, got)
			}
		}
	}
}

// TestExchangeDepth: a chain ends somewhere, by actors and by exchanges.
func TestExchangeDepth(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	everybody := map[string]registration.Access{registration.AnyClient: {Exchange: []string{registration.AnyClient}}}
	var links []*servertest.TPP
	for i := range 7 {
		name := fmt.Sprintf("link-%d", i)
		links = append(links, s.TPP(name, servertest.Exchanging))
		if _, err := s.APIs("default").Put(t.Context(), registration.API{ID: name, Clients: everybody}); err != nil {
			t.Fatal(err)
		}
	}
	held := received(links[0], "link-1")
	for i := 1; i < 6; i++ {
		held = exchanged(t, links[i].Exchange(held, "audience", links[i+1].Metadata.ClientID))
	}
	if got := actors(claims(t, held)); len(got) != 5 || got[4] != "link-1/link-1" {
		t.Errorf("acting: %v", got)
	}
	refused := links[6].Exchange(held, "audience", "link-0")
	wantAnswer(t, refused, 400, "invalid_request")
	event := s.Explain(refused)
	if check, _ := event.Failed(); check.Name != "delegation" {
		t.Errorf("the trace says %+v", check)
	}
	// The chain of origins ends, too, where nobody new acts.
	held = links[0].Token()
	for range 10 {
		held = exchanged(t, links[0].Exchange(held))
	}
	refused = links[0].Exchange(held)
	wantAnswer(t, refused, 400, "invalid_request")
	event = s.Explain(refused)
	if check, _ := event.Failed(); check.Name != "exchanged token's origin" {
		t.Errorf("the trace says %+v", check)
	}
}

// TestExchangeMayAct: whom an assertion names as the one who may act is the one
// who may, also in what is exchanged later.
func TestExchangeMayAct(t *testing.T) {
	t.Parallel()
	s := startWithAlice(t)
	chain(t, s)
	signer, shop, stock := s.TPP("signer"), s.TPP("shop", servertest.Exchanging), s.TPP("stock", servertest.Exchanging)
	for name, row := range map[string]struct {
		mayAct any
		code   string
	}{
		"by sub": {map[string]any{"sub": "shop"}, ""}, "by client_id": {map[string]any{"client_id": "shop"}, ""},
		"by all":       {map[string]any{"sub": "shop", "client_id": "shop", "iss": s.Issuer}, ""},
		"another":      {map[string]any{"sub": "stock"}, "invalid_grant"},
		"half another": {map[string]any{"sub": "shop", "client_id": "stock"}, "invalid_grant"},
		"elsewhere":    {map[string]any{"sub": "shop", "iss": "https://as.example.com"}, "invalid_grant"},
		"nobody":       {map[string]any{"iss": s.Issuer}, "invalid_grant"}, "empty": {map[string]any{}, "invalid_grant"}, "null": {[]any{}, "invalid_grant"},
		"something else too": {map[string]any{"sub": "shop", "email": "shop@example.com"}, "invalid_grant"},
		"a text":             {"shop", "invalid_grant"}, "a number": {map[string]any{"sub": 5}, "invalid_grant"},
	} {
		answer := shop.Bearer(signer.Grant("alice", "may_act", row.mayAct), "audience", "stock-api")
		if answer.Error() != row.code {
			t.Errorf("%s: %s", name, answer)
		}
	}
	held := exchanged(t, shop.Bearer(signer.Grant("alice", "may_act", map[string]any{"sub": "shop"}), "audience", "stock-api"))
	if got := claims(t, held)["may_act"]; !reflect.DeepEqual(got, map[string]any{"sub": "shop"}) {
		t.Errorf("may_act is %v", got)
	}
	for _, held := range []string{held, exchanged(t, shop.Exchange(held))} { // narrowed, by who acts already
		wantAnswer(t, stock.Exchange(held), 400, "invalid_request")
	}
	free := exchanged(t, shop.Bearer(signer.Grant("alice"), "audience", "stock-api"))
	exchanged(t, stock.Exchange(free))
}

// TestPolicyGrants: a policy says which grants its clients may register.
func TestPolicyGrants(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, func(config *server.Config) {
		config.Policies = map[string]server.Policy{"narrow": {Base: "sandbox", GrantTypes: []string{"client_credentials", participant.GrantExchange}}}
		realm := config.Realms["default"]
		realm.Policies = append(realm.Policies, "narrow")
	})
	metadata := s.TPP("tpp", servertest.Under("narrow")).Metadata
	for grant, code := range map[string]string{participant.GrantExchange: "", participant.GrantJWTBearer: "invalid_client_metadata", "refresh_token": "invalid_client_metadata"} {
		metadata.GrantTypes = []string{"client_credentials", grant}
		if got := s.Refuses("default", metadata); got != code {
			t.Errorf("%s: %q, want %q", grant, got, code)
		}
	}
	metadata.GrantTypes, metadata.RefreshToken = []string{"client_credentials"}, true
	if got := s.Refuses("default", metadata); got != "invalid_client_metadata" {
		t.Errorf("refresh_token: true: %q", got)
	}
	for _, policy := range []string{"fapi2", "fapi1-advanced", "sandbox", "oauth2"} {
		s.TPP("under-"+policy, servertest.Exchanging, servertest.Under(policy))
	}
}

// TestTokenTooLong: nobody is given a token that is longer than any that is read.
func TestTokenTooLong(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	tpp := s.TPP("tpp")
	form := url.Values{"grant_type": {"client_credentials"}}
	for i := range 20 {
		id := fmt.Sprintf("%02d-%s", i, strings.Repeat("a", 500))
		if _, err := s.APIs("default").Put(t.Context(), registration.API{ID: id, Clients: map[string]registration.Access{registration.AnyClient: {}}}); err != nil {
			t.Fatal(err)
		}
		form.Add("audience", id)
	}
	wantAnswer(t, tpp.Post("token_endpoint", form), http.StatusBadRequest, "invalid_request")
	form["audience"] = form["audience"][:2]
	wantAnswer(t, tpp.Post("token_endpoint", form), http.StatusOK, "")
}
