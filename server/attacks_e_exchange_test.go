package server_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fapid/fapid/certs"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/participant"
	"github.com/fapid/fapid/server/servertest"
	"github.com/fapid/fapid/testkeys"
)

// TestExchangeRefuses is the table of what is wrong with a request to exchange a
// token. RFC 8693 section 2.2.2: a token that is not good is an invalid_request.
// Nothing happens to the tokens.
func TestExchangeRefuses(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	chain(t, s)
	tpp, shop, stranger := s.TPP("tpp", wide), s.TPP("shop", servertest.Exchanging, wide), s.TPP("stranger", servertest.Exchanging, wide)
	first, foreign := received(tpp, "shop-api"), tpp.Token()
	short := s.TPP("short", func(m *registration.Metadata) { m.AccessTokenExpiration = 10 })
	expired := received(short, "shop-api")
	s.Clock.Move(11 * time.Second)
	revoked := received(tpp, "shop-api")
	tpp.Post("revocation_endpoint", url.Values{"token": {revoked}})
	gone := received(s.TPP("gone"), "shop-api")
	if err := s.Clients("default").Delete(t.Context(), "gone"); err != nil {
		t.Fatal(err)
	}
	const kind = "&subject_token_type=" + participant.TypeAccessToken
	const lead = "client_id=shop&grant_type=" + participant.GrantExchange
	huge := strings.Repeat("a", 9_000)
	for name, row := range map[string]struct{ body, code string }{
		"no subject_token":           {kind, "invalid_request"},
		"empty subject_token":        {"&subject_token=" + kind, "invalid_request"},
		"no subject_token_type":      {"&subject_token=" + first, "invalid_request"},
		"two subject_tokens":         {"&subject_token=" + first + "&subject_token=" + first + kind, "invalid_request"},
		"two types":                  {"&subject_token=" + first + kind + kind, "invalid_request"},
		"id_token":                   {"&subject_token=" + first + "&subject_token_type=urn:ietf:params:oauth:token-type:id_token", "invalid_request"},
		"refresh_token":              {"&subject_token=" + first + "&subject_token_type=urn:ietf:params:oauth:token-type:refresh_token", "invalid_request"},
		"SAML":                       {"&subject_token=" + first + "&subject_token_type=urn:ietf:params:oauth:token-type:saml2", "invalid_request"},
		"type in another case":       {"&subject_token=" + first + "&subject_token_type=" + strings.ToUpper(participant.TypeAccessToken), "invalid_request"},
		"requested_token_type":       {"&subject_token=" + first + kind + "&requested_token_type=id_token", "invalid_request"},
		"actor_token, no type":       {"&subject_token=" + first + kind + "&actor_token=" + first, "invalid_request"},
		"type, no actor_token":       {"&subject_token=" + first + kind + "&actor_token_type=" + participant.TypeAccessToken, "invalid_request"},
		"another's actor_token":      {"&subject_token=" + first + kind + "&actor_token=" + first + "&actor_token_type=" + participant.TypeAccessToken, "invalid_request"},
		"nonsense":                   {"&subject_token=x" + kind, "invalid_request"},
		"huge":                       {"&subject_token=" + huge + kind, "invalid_request"},
		"cut":                        {"&subject_token=" + first[:len(first)-2] + kind, "invalid_request"},
		"opaque nonsense":            {"&subject_token=fapid_at.c2hvcA.x.y" + kind, "invalid_request"},
		"not for the shop":           {"&subject_token=" + foreign + kind, "invalid_request"},
		"expired":                    {"&subject_token=" + expired + kind, "invalid_request"},
		"revoked":                    {"&subject_token=" + revoked + kind, "invalid_request"},
		"of a client that is gone":   {"&subject_token=" + gone + kind, "invalid_request"},
		"unknown API":                {"&subject_token=" + first + kind + "&audience=nowhere", "invalid_target"},
		"API that does not allow it": {"&subject_token=" + first + kind + "&audience=shop-api", "invalid_target"},
		"one of two":                 {"&subject_token=" + first + kind + "&audience=stock-api&resource=shop-api", "invalid_target"},
		"scope it has not":           {"&subject_token=" + first + kind + "&scope=directory:software", "invalid_scope"},
		"scope that is none":         {"&subject_token=" + first + kind + "&scope=%22", "invalid_scope"},
		"no scope of the API":        {"&subject_token=" + first + kind + "&audience=stock-api&scope=openid", "invalid_scope"},
	} {
		t.Run(name, func(t *testing.T) {
			wantAnswer(t, postRaw(t, s, shop.HTTP, s.MTLS+"/token", lead+row.body), http.StatusBadRequest, row.code)
		})
	}
	// A stranger learns of a good token what he learns of a bad one.
	good, bad := stranger.Exchange(first), stranger.Exchange("x")
	wantAnswer(t, good, http.StatusBadRequest, "invalid_request")
	if good.JSON["error_description"] != bad.JSON["error_description"] {
		t.Errorf("a stranger can tell: %s\n%s", good, bad)
	}
	exchanged(t, shop.Exchange(first, "audience", "stock-api"))
	if !alive(tpp, foreign) {
		t.Error("a refusal cost the token")
	}
}

// TestAttackE7Kinds uses each artefact at each place that takes one: each is taken
// at its own and refused at every other, and none is consumed by being refused.
func TestAttackE7Kinds(t *testing.T) {
	t.Parallel()
	s := startWithAlice(t)
	everybody := map[string]registration.Access{registration.AnyClient: {Exchange: []string{registration.AnyClient}}}
	for _, api := range []registration.API{{ID: s.MTLS + "/bank", Clients: everybody}, {ID: "opaque-api", AccessTokenFormat: "opaque", Clients: everybody}} {
		if _, err := s.APIs("default").Put(t.Context(), api); err != nil {
			t.Fatal(err)
		}
	}
	tpp := s.TPP("jwt", servertest.JWT, servertest.Exchanging, refreshing)
	first := begin(t, tpp)
	proof, err := tpp.Proof(http.MethodPost, s.Issuer+"/token", participant.Proof{})
	if err != nil {
		t.Fatal(err)
	}
	artefacts := map[string]string{
		"client assertion":        claiming()(t, tpp),
		"typed client assertion":  assertion(t, tpp, headerOf(tpp, "typ", "client-authentication+jwt"), claimsOf(tpp)),
		"grant":                   tpp.Grant("jwt"),
		"grant for a user":        tpp.Grant("alice"),
		"grant of the common typ": assertion(t, tpp, headerOf(tpp), but(claimsOf(tpp), "sub", "alice")),
		"request object":          assertion(t, tpp, headerOf(tpp, "typ", "oauth-authz-req+jwt"), claimsOf(tpp)),
		"logout token":            assertion(t, tpp, headerOf(tpp, "typ", "logout+jwt"), claimsOf(tpp)),
		"access token":            first.access,
		"exchanged token":         exchanged(t, tpp.Exchange(first.access)),
		"token by grant":          exchanged(t, tpp.Bearer(tpp.Grant("jwt"))),
		"opaque token":            tpp.Token(url.Values{"audience": {"opaque-api"}}),
		"refresh token":           first.refresh,
		"DPoP proof":              proof,
		"introspection answer":    signedIntrospection(t, tpp, first.access),
		"client_id":               "jwt",
	}
	authenticated := func(grant string, more ...string) url.Values {
		return withAssertion(door{endpoint: "token_endpoint"}.form(append([]string{"grant_type", grant}, more...)...), claiming()(t, tpp))
	}
	type ask = func(artefact string) servertest.Answer
	at := func(grant, name string, more ...string) ask {
		return func(artefact string) servertest.Answer {
			return post(t, s, tpp.HTTP, s.Issuer+"/token", authenticated(grant, append([]string{name, artefact}, more...)...))
		}
	}
	tokens := []string{"access token", "exchanged token", "token by grant", "opaque token"}
	// Each place, with what it takes and what it says to the rest.
	places := []struct {
		name   string
		takes  []string
		status int
		code   string
		ask    ask
	}{
		{"client_assertion", []string{"client assertion", "typed client assertion"}, 401, "invalid_client", func(artefact string) servertest.Answer {
			return post(t, s, tpp.HTTP, s.Issuer+"/token", withAssertion(url.Values{"grant_type": {"client_credentials"}, "client_id": {"jwt"}}, artefact))
		}},
		{"assertion", []string{"grant", "grant for a user", "grant of the common typ"}, 400, "invalid_grant", at(participant.GrantJWTBearer, "assertion")},
		{"subject_token", tokens, 400, "invalid_request", at(participant.GrantExchange, "subject_token", "subject_token_type", participant.TypeAccessToken)},
		{"actor_token", tokens, 400, "invalid_request", at(participant.GrantExchange, "actor_token", "actor_token_type", participant.TypeAccessToken,
			"subject_token", first.access, "subject_token_type", participant.TypeAccessToken)},
		{"refresh_token", []string{"refresh token"}, 400, "invalid_grant", at("refresh_token", "refresh_token")},
		{"the bank", tokens[:3], 401, "invalid_token", func(artefact string) servertest.Answer { return callBank(t, s, tpp.HTTP, s.MTLS, artefact) }},
		{"DPoP header", []string{"DPoP proof"}, 400, "invalid_dpop_proof", func(artefact string) servertest.Answer {
			header := servertest.Form.Clone()
			header["Dpop"] = []string{artefact}
			return exchange(t, s, tpp.HTTP, http.MethodPost, s.Issuer+"/token", header, authenticated("client_credentials").Encode())
		}},
	}
	for _, place := range places {
		for kind, artefact := range artefacts {
			if slices.Contains(place.takes, kind) {
				continue
			}
			if answer := place.ask(artefact); answer.Status != place.status || answer.Error() != place.code {
				t.Errorf("%s as %s: %s", kind, place.name, answer)
			}
		}
	}
	for _, place := range places {
		for _, kind := range place.takes {
			if answer := place.ask(artefacts[kind]); answer.Status != http.StatusOK {
				t.Errorf("%s as %s, after it was refused elsewhere: %s", kind, place.name, answer)
			}
		}
	}
}

// TestAttackE12Grants: what a grant rests on is looked at when it is redeemed, not
// when it was given. (The rows of refresh tokens are in TestAttackE12.)
func TestAttackE12Grants(t *testing.T) {
	t.Parallel()
	s := startWithAlice(t)
	clients := s.Clients("default")
	change := func(tpp *servertest.TPP, change func(*registration.Metadata)) {
		metadata := tpp.Metadata
		change(&metadata)
		if _, _, err := clients.Put(t.Context(), metadata); err != nil {
			t.Fatal(err)
		}
	}
	permit := func(access map[string]registration.Access) {
		if _, err := s.APIs("default").Put(t.Context(), registration.API{ID: "target", Scopes: []string{"accounts", "payments"}, Clients: access}); err != nil {
			t.Fatal(err)
		}
	}
	all := map[string]registration.Access{registration.AnyClient: {Exchange: []string{registration.AnyClient}}}
	deleted := func(tpp *servertest.TPP) {
		if err := clients.Delete(t.Context(), tpp.Metadata.ClientID); err != nil {
			t.Fatal(err)
		}
	}
	unscoped := func(tpp *servertest.TPP) { change(tpp, func(m *registration.Metadata) { m.Scope = "payments" }) }
	uncertified := func(tpp *servertest.TPP) {
		if err := s.CA().Revoke(t.Context(), certs.SerialOf(tpp.Transport[0]), certs.ReasonKeyCompromise); err != nil {
			t.Fatal(err)
		}
	}
	type scene struct {
		giver, taker *servertest.TPP // of the token or the assertion
		held         string
	}
	giver := func(do func(*servertest.TPP)) func(*scene) { return func(now *scene) { do(now.giver) } }
	taker := func(do func(*servertest.TPP)) func(*scene) { return func(now *scene) { do(now.taker) } }
	api := func(access map[string]registration.Access) func(*scene) {
		return func(*scene) { permit(access) }
	}
	to := []string{"audience", "target", "scope", "accounts"}
	credentials := func(now *scene) servertest.Answer {
		return now.taker.Post("token_endpoint", door{endpoint: "token_endpoint"}.form(to...))
	}
	trade := func(now *scene) servertest.Answer { return now.taker.Exchange(now.held, to...) }
	tradeAll := func(now *scene) servertest.Answer { return now.taker.Exchange(now.held, "audience", "target") }
	bearer := func(now *scene) servertest.Answer { return now.taker.Bearer(now.held, to...) }
	token := func(now *scene) { now.held = received(now.giver, now.taker.Metadata.ClientID) }
	word := func(now *scene) { now.held = now.giver.Grant("alice") }
	nothing := func(*scene) {}
	for _, row := range []struct {
		name   string
		give   func(*scene)
		gone   func(*scene)
		redeem func(*scene) servertest.Answer
		status int
		code   string
	}{
		{"client credentials, client deleted", nothing, taker(deleted), credentials, 401, "invalid_client"},
		{"client credentials, API withdrawn", nothing, api(nil), credentials, 400, "invalid_target"},
		{"client credentials, scope removed", nothing, taker(unscoped), credentials, 400, "invalid_scope"},
		{"client credentials, certificate revoked", nothing, taker(uncertified), credentials, 401, "invalid_client"},
		{"client credentials, grant withdrawn", nothing, taker(func(tpp *servertest.TPP) {
			change(tpp, func(m *registration.Metadata) { m.GrantTypes = []string{participant.GrantExchange} })
		}), credentials, 400, "unauthorized_client"},

		{"exchange, its client deleted", token, taker(deleted), trade, 401, "invalid_client"},
		{"exchange, the subject's client deleted", token, giver(deleted), trade, 400, "invalid_request"},
		{"exchange, API withdrawn", token, api(nil), trade, 400, "invalid_target"},
		{"exchange, permission withdrawn", token, api(map[string]registration.Access{registration.AnyClient: {}}), trade, 400, "invalid_target"},
		{"exchange, permission for others only", token, api(map[string]registration.Access{registration.AnyClient: {Exchange: []string{"somebody"}}}), trade, 400, "invalid_target"},
		{"exchange, its client's scope removed", token, taker(unscoped), trade, 400, "invalid_scope"},
		{"exchange, the subject's client's scope removed", token, giver(unscoped), trade, 400, "invalid_scope"},
		{"exchange, the subject's client's every scope removed", token, giver(unscoped), tradeAll, 400, "invalid_scope"},
		{"exchange, its certificate revoked", token, taker(uncertified), trade, 401, "invalid_client"},
		{"exchange, the subject's certificate revoked", token, giver(uncertified), trade, 400, "invalid_request"},
		{"exchange, session ended", token, func(now *scene) { _ = now.giver.Post("revocation_endpoint", url.Values{"token": {now.held}}) }, trade, 400, "invalid_request"},
		{"exchange, grant withdrawn", token, taker(func(tpp *servertest.TPP) {
			change(tpp, func(m *registration.Metadata) { m.GrantTypes = []string{"client_credentials"} })
		}), trade, 400, "unauthorized_client"},

		{"JWT bearer, its client deleted", word, taker(deleted), bearer, 401, "invalid_client"},
		{"JWT bearer, the signer deleted", word, giver(deleted), bearer, 400, "invalid_grant"},
		{"JWT bearer, the signer's key replaced", word, giver(func(tpp *servertest.TPP) {
			tpp.SigningKey = testkeys.P256(2)
			if err := tpp.Publish(false); err != nil {
				t.Fatal(err)
			}
			change(tpp, func(*registration.Metadata) {})
		}), bearer, 400, "invalid_grant"},
		{"JWT bearer, API withdrawn", word, api(nil), bearer, 400, "invalid_target"},
		{"JWT bearer, permission withdrawn", word, api(map[string]registration.Access{registration.AnyClient: {}}), bearer, 400, "invalid_target"},
		{"JWT bearer, its client's scope removed", word, taker(unscoped), bearer, 400, "invalid_scope"},
		{"JWT bearer, the signer's scope removed", word, giver(unscoped), bearer, 400, "invalid_scope"},
		{"JWT bearer, its certificate revoked", word, taker(uncertified), bearer, 401, "invalid_client"},

		// And what was exchanged rests on it still.
		{"exchanged, the subject's client deleted", token, giver(deleted), nil, 0, ""},
		{"exchanged, the subject's certificate revoked", token, giver(uncertified), nil, 0, ""},
		{"exchanged, its client deleted", token, taker(deleted), nil, 0, ""},
		{"by grant, the signer deleted", word, giver(deleted), nil, 0, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			permit(all)
			name := strings.NewReplacer(" ", "-", ",", "", "'", "").Replace(strings.ToLower(row.name))
			now := &scene{giver: s.TPP(name + "-gives"), taker: s.TPP(name+"-takes", servertest.Exchanging)}
			owner := registration.API{ID: now.taker.Metadata.ClientID, Clients: all}
			if _, err := s.APIs("default").Put(t.Context(), owner); err != nil {
				t.Fatal(err)
			}
			row.give(now)
			if row.redeem != nil {
				row.gone(now)
				wantAnswer(t, row.redeem(now), row.status, row.code)
				return
			}
			redeem := trade
			if strings.HasPrefix(row.name, "by grant") {
				redeem = bearer
			}
			issued := exchanged(t, redeem(now))
			asks := s.TPP(name + "-asks")
			target := registration.API{ID: "target", Client: name + "-asks", Clients: all}
			if _, err := s.APIs("default").Put(t.Context(), target); err != nil {
				t.Fatal(err)
			}
			if introspected(asks, issued)["active"] != true {
				t.Fatal("it is dead before")
			}
			row.gone(now)
			if got := introspected(asks, issued); got["active"] == true {
				t.Errorf("it is alive: %v", got)
			}
		})
	}
}
