package server_test

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server"
	"github.com/fapid/fapid/server/participant"
	"github.com/fapid/fapid/server/servertest"
)

// apiURL is where clients call the API behind the gateway.
const apiURL = "https://api.example.com"

// guarded is a server with a gateway in front of the API target-api. The gateway
// is the front of [gateway] too: only at the check is it believed.
type guarded struct {
	gateway
	tpp, other *servertest.TPP
}

func guardedBy(t *testing.T, trusted ...string) guarded {
	t.Helper()
	s := servertest.Start(t, func(config *server.Config) {
		config.Gateways = &server.Proxy{Format: "pem-escaped"}
		for _, prefix := range trusted {
			config.Gateways.Trusted = append(config.Gateways.Trusted, netip.MustParsePrefix(prefix))
		}
		config.Realms["in-keycloak"] = &server.Realm{Layout: "keycloak", Policy: "sandbox", Scopes: []string{"accounts"}, Trust: server.Trust{SandboxCA: true}}
	})
	protect(t, s)
	g := gateway{s, (&participant.Participant{}).Client(s.Roots()), "X-SSL-Client-Cert", formats[1].write}
	wide := func(m *registration.Metadata) { m.Scope = "accounts payments" }
	return guarded{g, s.TPP("tpp", wide), s.TPP("other", wide)}
}

// check asks as the gateway does. from is whose certificate it has taken from the
// connection, nil for none.
func (g guarded) check(query string, from *servertest.TPP, header http.Header) servertest.Answer {
	g.s.T.Helper()
	sent := header.Clone()
	if sent == nil {
		sent = http.Header{}
	}
	if from != nil {
		sent[http.CanonicalHeaderKey(g.header)] = []string{g.write(from.Transport)}
	}
	return g.s.Do(g.http, http.MethodGet, g.s.Issuer+"/authz?"+query, sent, "")
}

const wanted = "audience=target-api&scope=accounts"

func forTarget(scope string) url.Values {
	return url.Values{"audience": {"target-api"}, "scope": {scope}}
}

func withBearer(token string) http.Header {
	return http.Header{"Authorization": {"Bearer " + token}}
}

func TestAuthorizationCheck(t *testing.T) {
	g := guardedBy(t, here...)
	token := g.tpp.Token(forTarget("accounts"))
	answer := g.check(wanted, g.tpp, withBearer(token))
	if answer.Status != http.StatusOK || answer.Body != "" {
		t.Fatalf("%s: %+v", answer, g.s.Explain(answer).Checks)
	}
	id, _ := claims(t, token)["jti"].(string)
	for name, want := range map[string]string{
		"X-Fapid-Client-Id": "tpp", "X-Fapid-Subject": "tpp", "X-Fapid-Scope": "accounts", "X-Fapid-Roles": "reader", "X-Fapid-Token-Id": id,
	} {
		if got := answer.Header[name]; len(got) != 1 || got[0] != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if event := g.s.Explain(answer); event.Endpoint != "authorization_check" || event.ClientID != "tpp" || event.Path != "/authz" {
		t.Errorf("the event is %+v", event)
	}

	both := g.tpp.Token(url.Values{"resource": {"target-api", "https://other.example.com"}})
	for _, row := range []struct {
		name, query string
		from        *servertest.TPP
		header      http.Header
		status      int
		code        string
		challenge   string
	}{
		{"another certificate", wanted, g.other, withBearer(token), 401, "invalid_token", "another certificate"},
		{"no certificate", wanted, nil, withBearer(token), 401, "invalid_token", "none was presented"},
		{"too little scope", "audience=target-api&scope=accounts+payments", g.tpp, withBearer(token), 403, "insufficient_scope", "lacks scope payments"},
		{"another API", "audience=https://other.example.com&scope=", g.tpp, withBearer(token), 401, "invalid_token", "another API"},
		{"the realm's own API", "scope=accounts", g.tpp, withBearer(token), 401, "invalid_token", "another API"},
		{"no token", wanted, g.tpp, nil, 401, "invalid_token", `Bearer realm="` + g.s.Issuer + `"`},
		{"two tokens", wanted, g.tpp, http.Header{"Authorization": {"Bearer " + token, "Bearer " + token}}, 401, "invalid_request", "more than one"},
		{"a token in the URL", wanted + "&request=GET:/accounts?access_token=" + token, g.tpp, nil, 401, "invalid_request", "not in the URL"},
		{"Basic", wanted, g.tpp, http.Header{"Authorization": {"Basic eDp5"}}, 401, "invalid_token", ""},
		{"another realm's", wanted, nil, withBearer(g.s.TPPIn("strict", "tpp").Token()), 401, "invalid_token", "not valid"},
		{"for two APIs, one of them this", wanted, g.tpp, withBearer(both), 200, "", ""},
		{"for any scope", "audience=target-api&scope=", g.tpp, withBearer(token), 200, "", ""},
		{"the realm's own token", "scope=accounts", g.tpp, withBearer(g.tpp.Token()), 200, "", ""},
	} {
		answer := g.check(row.query, row.from, row.header)
		if answer.Status != row.status || answer.Error() != row.code {
			t.Errorf("%s: %s, want %d %s", row.name, answer, row.status, row.code)
			continue
		}
		if got := strings.Join(answer.Header["Www-Authenticate"], ", "); !strings.Contains(got, row.challenge) || (row.status == 200) != (got == "") {
			t.Errorf("%s: WWW-Authenticate %q, want %q", row.name, got, row.challenge)
		}
		if untold := row.name == "no token" || row.name == "Basic"; untold && strings.Contains(strings.Join(answer.Header["Www-Authenticate"], ""), "error") {
			t.Errorf("%s: WWW-Authenticate %q", row.name, answer.Header["Www-Authenticate"]) // RFC 6750 section 3.1
		}
		if row.status != 200 && (answer.Header.Get("X-Fapid-Subject") != "" || answer.Header.Get("X-Fapid-Trace") == "" || failedCheck(g.s, answer).Advice == "") {
			t.Errorf("%s: %v, %+v", row.name, answer.Header, failedCheck(g.s, answer))
		}
	}

	// Dead at once, and later in its time.
	if answer := g.tpp.Post("revocation_endpoint", url.Values{"token": {token}}); answer.Status != 200 {
		t.Fatal(answer)
	}
	refused(t, "revoked", g.check(wanted, g.tpp, withBearer(token)), 401, "invalid_token")
	token = g.tpp.Token(forTarget("accounts"))
	g.s.Clock.Move(time.Hour)
	refused(t, "expired", g.check(wanted, g.tpp, withBearer(token)), 401, "invalid_token")
}

// TestAuthorizationCheckOfOpaqueTokens: they are held to the same, and die at once.
func TestAuthorizationCheckOfOpaqueTokens(t *testing.T) {
	g := guardedBy(t, here...)
	tpp := g.s.TPP("tpp", func(m *registration.Metadata) { m.AccessTokenFormat = oauth.FormatOpaque })
	token := tpp.Token(forTarget("accounts"))
	if answer := g.check(wanted, tpp, withBearer(token)); answer.Status != 200 || answer.Header.Get("X-Fapid-Client-Id") != "tpp" {
		t.Fatal(answer)
	}
	refused(t, "another certificate", g.check(wanted, g.other, withBearer(token)), 401, "invalid_token")
	if answer := tpp.Post("revocation_endpoint", url.Values{"token": {token}}); answer.Status != 200 {
		t.Fatal(answer)
	}
	refused(t, "revoked", g.check(wanted, tpp, withBearer(token)), 401, "invalid_token")
}

// TestAuthorizationCheckOfUnboundTokens: a token bound to nothing is good where
// the gateway's address does not ask for more.
func TestAuthorizationCheckOfUnboundTokens(t *testing.T) {
	g := guardedBy(t, here...)
	token := g.s.TPP("unbound", servertest.JWT).Token(url.Values{"audience": {"https://other.example.com"}})
	const query = "audience=https://other.example.com&scope=accounts"
	for suffix, status := range map[string]int{"": 200, "&bound=false": 200, "&bound=true": 401} {
		if answer := g.check(query+suffix, nil, withBearer(token)); answer.Status != status {
			t.Errorf("%s: %s, want %d", suffix, answer, status)
		}
	}
}

// TestAuthorizationCheckIsForGateways: whoever is not listed learns nothing of any
// token, whatever it brings and on whichever listener.
func TestAuthorizationCheckIsForGateways(t *testing.T) {
	g := guardedBy(t, "192.0.2.1/32")
	token := g.tpp.Token(forTarget("accounts"))
	for name, from := range map[string]*servertest.TPP{"with the certificate in the header": g.tpp, "without": nil} {
		answer := g.check(wanted, from, withBearer(token))
		refused(t, name, answer, 400, "invalid_request")
		if check := failedCheck(g.s, answer); check.Name != "gateway" || !strings.Contains(check.Advice, "gateways.trusted") {
			t.Errorf("%s: %+v", name, check)
		}
	}
	refused(t, "on the mTLS listener", g.s.Do(g.tpp.HTTP, http.MethodGet, g.s.MTLS+"/authz?"+wanted, withBearer(token), ""), 400, "invalid_request")

	// A gateway may say whose certificate it was at the check, and nowhere else.
	g = guardedBy(t, here...)
	refused(t, "a gateway at the token endpoint", g.token("tpp", g.forwards(g.tpp)), 400, "invalid_request")
	refused(t, "a gateway at the bank", g.s.Do(g.http, http.MethodGet, g.s.MTLS+"/bank/accounts", g.forwards(g.tpp), ""), 400, "invalid_request")

	// Where none is listed there is no check.
	s := servertest.Start(t)
	if answer := s.Do(s.TPP("tpp").HTTP, http.MethodGet, s.Issuer+"/authz?"+wanted, withBearer(token), ""); answer.Status != 404 {
		t.Errorf("without gateways: %s", answer)
	}
}

// TestAuthorizationCheckHeader: a certificate header that the gateway did not
// write counts for nothing.
func TestAuthorizationCheckHeader(t *testing.T) {
	g := guardedBy(t, here...)
	token := g.tpp.Token(forTarget("accounts"))
	good := g.write(g.tpp.Transport)
	for name, row := range map[string]struct {
		header http.Header
		status int
	}{
		"another header, from the client": {http.Header{"Client-Cert": {":AAAA:"}, "X-Client-Cert": {good}}, 401},
		"twice":                           {http.Header{"X-Ssl-Client-Cert": {good, g.write(g.other.Transport)}}, 400},
		"and one with _":                  {http.Header{"X-Ssl-Client-Cert": {g.write(g.other.Transport)}, "X_ssl_client_cert": {good}}, 400},
		"nonsense":                        {http.Header{"X-Ssl-Client-Cert": {"nonsense"}}, 400},
	} {
		header := row.header.Clone()
		header.Set("Authorization", "Bearer "+token)
		if answer := g.check(wanted, nil, header); answer.Status != row.status {
			t.Errorf("%s: %s, want %d", name, answer, row.status)
		}
	}
}

// TestAuthorizationCheckQuery: what an operator may have meant by mistake is
// refused, with 400, which no gateway takes for an answer about the token.
func TestAuthorizationCheckQuery(t *testing.T) {
	g := guardedBy(t, here...)
	header := withBearer(g.tpp.Token(forTarget("accounts")))
	header.Set("X-Original-Method", "GET")
	for query, want := range map[string]string{
		"":                                         "scope is missing",
		"audience=target-api":                      "scope is missing",
		"audience=nowhere&scope=":                  "audience is not an API",
		"audience=target-api&audience=x&scope=":    "audience is given 2 times",
		wanted + "&scope=":                         "scope is given 2 times",
		wanted + "&scopes=payments":                "scopes is no parameter",
		wanted + ";x=y":                            "cannot be read",
		"audience=target-api&scope=%zz":            "cannot be read",
		"audience=target-api&scope=a%20%20b":       "scope is malformed",
		wanted + "&bound=yes":                      "bound is true or false",
		wanted + "&url=api.example.com":            "url is where clients call the API",
		wanted + "&url=https://api.example.com/":   "url is where clients call the API",
		"request=GET:/accounts&" + wanted:          "scope is missing",
		"audience=target-api&request=GET:/&scope=": "scope is missing",
		wanted + "&request=/accounts":              "request is METHOD:TARGET",
		wanted + "&request=/a:b":                   "request is METHOD:TARGET",
		wanted + "&request=GET:accounts":           "a target begins with a slash",
		wanted + "&request=get:/accounts":          "request is METHOD:TARGET",
		wanted + "&request=GET:https://x/accounts": "a target begins with a slash",
		wanted + "&request=x-forwarded":            "X-Forwarded-Method and X-Forwarded-Uri, each once",
		wanted + "&request=x-original":             "X-Original-Method and X-Original-Uri, each once",
	} {
		answer := g.check(query, g.tpp, header)
		refused(t, query, answer, 400, "invalid_request")
		if text, _ := answer.JSON["error_description"].(string); !strings.Contains(text, want) {
			t.Errorf("%s: %q, want %q", query, text, want)
		}
	}
}

// TestAuthorizationCheckDPoP: the proof is held to the configured URL and to the
// original request, which comes in each of the ways that gateways have.
func TestAuthorizationCheckDPoP(t *testing.T) {
	g := guardedBy(t, here...)
	tpp := g.s.TPP("tpp", servertest.DPoP)
	token := tpp.Token(forTarget("accounts"))
	proof := func(method, address string) http.Header {
		text, err := tpp.Proof(method, address, participant.Proof{Token: token})
		if err != nil {
			t.Fatal(err)
		}
		return http.Header{"Authorization": {"DPoP " + token}, "Dpop": {text}}
	}
	with := func(header http.Header, more ...string) http.Header {
		for i := 0; i < len(more); i += 2 {
			header.Add(more[i], more[i+1])
		}
		return header
	}
	const base = wanted + "&url=" + apiURL
	good := func() http.Header { return proof("POST", apiURL+"/accounts/1") }
	for _, row := range []struct {
		name, method, query string
		header              http.Header
		status              int
	}{
		{"nginx", "GET", base + "&request=POST:/accounts/1", good(), 200},
		{"with a query", "GET", base + "&request=POST:/accounts/1?page=2&scope=admin&audience=x&url=https://evil.example", good(), 200},
		{"Envoy", "POST", base + "&request=:/accounts/1", good(), 200},
		{"Traefik, Caddy", "GET", base + "&request=x-forwarded", with(good(), "X-Forwarded-Method", "POST", "X-Forwarded-Uri", "/accounts/1?x=y"), 200},
		{"nginx by headers", "GET", base + "&request=x-original", with(good(), "X-Original-Method", "POST", "X-Original-URI", "/accounts/1"), 200},

		{"another method", "GET", base + "&request=GET:/accounts/1", good(), 401},
		{"another method by Envoy", "GET", base + "&request=:/accounts/1", good(), 401},
		{"another path", "GET", base + "&request=POST:/payments", good(), 401},
		{"a path in the query", "GET", base + "&request=POST:/payments?request=POST:/accounts/1", good(), 401},
		{"headers of the client beside the configured request", "GET", base + "&request=POST:/payments", with(good(), "X-Original-Method", "POST", "X-Original-URI", "/accounts/1", "X-Forwarded-Uri", "/accounts/1"), 401},
		{"of another family", "GET", base + "&request=x-forwarded", with(good(), "X-Forwarded-Method", "POST", "X-Forwarded-Uri", "/payments", "X-Original-Method", "POST", "X-Original-URI", "/accounts/1"), 401},
		{"one more of the client's", "GET", base + "&request=x-original", with(good(), "X-Original-Method", "POST", "X-Original-URI", "/accounts/1", "X-Original-URI", "/payments"), 400},
		{"another host, which headers name", "GET", base + "&request=POST:/accounts/1", with(proof("POST", "https://evil.example/accounts/1"), "X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "https"), 401},
		{"a check that does not say where the API is", "GET", wanted + "&request=POST:/accounts/1", good(), 401},
		{"a check that does not say what was asked", "GET", base, good(), 401},
		{"as Bearer", "GET", base + "&request=POST:/accounts/1", with(good(), "X-Nothing", ""), 401},
		{"without proof", "GET", base + "&request=POST:/accounts/1", http.Header{"Authorization": {"DPoP " + token}}, 401},
	} {
		if row.name == "as Bearer" {
			row.header.Set("Authorization", "Bearer "+token)
		}
		answer := g.s.Do(g.http, row.method, g.s.Issuer+"/authz?"+row.query, row.header, "")
		if answer.Status != row.status {
			t.Errorf("%s: %s, want %d", row.name, answer, row.status)
		}
		offers := strings.Contains(strings.Join(answer.Header["Www-Authenticate"], ", "), "DPoP realm")
		if takes := strings.Contains(row.query, "url=") && strings.Contains(row.query, "request="); row.status == 401 && offers != takes {
			t.Errorf("%s: WWW-Authenticate %q", row.name, answer.Header["Www-Authenticate"])
		}
	}
	used := good()
	for i, status := range []int{200, 401} {
		if answer := g.check(base+"&request=POST:/accounts/1", nil, used); answer.Status != status {
			t.Errorf("use %d of a proof: %s", i+1, answer)
		}
	}
}

// TestAuthorizationCheckNonce: a nonce that the policy wants goes through the
// gateway.
func TestAuthorizationCheckNonce(t *testing.T) {
	yes := true
	s := servertest.Start(t, func(config *server.Config) {
		config.Gateways = &server.Proxy{Format: "pem-escaped", Trusted: []netip.Prefix{netip.MustParsePrefix(here[0]), netip.MustParsePrefix(here[1])}}
		config.Policies = map[string]server.Policy{"nonces": {Base: "sandbox", DPoPNonce: &yes}}
		config.Realms["default"].Policies = append(config.Realms["default"].Policies, "nonces")
	})
	protect(t, s)
	tpp := s.TPP("tpp", servertest.DPoP, servertest.Under("nonces"))
	g := guarded{gateway: gateway{s, (&participant.Participant{}).Client(s.Roots()), "X-SSL-Client-Cert", formats[1].write}}
	token := tpp.Token(forTarget("accounts"))
	ask := func(nonce string) servertest.Answer {
		text, err := tpp.Proof("GET", apiURL+"/accounts", participant.Proof{Token: token, Nonce: nonce})
		if err != nil {
			t.Fatal(err)
		}
		return g.check(wanted+"&url="+apiURL+"&request=GET:/accounts", nil, http.Header{"Authorization": {"DPoP " + token}, "Dpop": {text}})
	}
	answer := ask("")
	refused(t, "no nonce", answer, 401, "use_dpop_nonce")
	if answer := ask(answer.Header.Get("DPoP-Nonce")); answer.Status != 200 {
		t.Errorf("with the nonce: %s", answer)
	}
}

// TestAuthorizationCheckInLayouts: each layout has the check, for its own realm's
// tokens.
func TestAuthorizationCheckInLayouts(t *testing.T) {
	g := guardedBy(t, here...)
	tpp := g.s.TPPIn("in-keycloak", "tpp")
	token := tpp.Token()
	header := withBearer(token)
	header.Set(g.header, g.write(tpp.Transport))
	for path, status := range map[string]int{"/realms/in-keycloak/authz": 200, "/realms/strict/authz": 401, "/authz": 401} {
		if answer := g.s.Do(g.http, http.MethodGet, g.s.Issuer+path+"?scope=accounts", header, ""); answer.Status != status {
			t.Errorf("%s: %s, want %d", path, answer, status)
		}
	}
}
