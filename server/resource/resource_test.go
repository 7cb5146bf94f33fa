package resource_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/oauth/jwk"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server"
	"github.com/fapid/fapid/server/participant"
	"github.com/fapid/fapid/server/resource"
	"github.com/fapid/fapid/server/servertest"
)

// audience is the identifier of the API under test.
const audience = "https://api.example.com"

// api is somebody's API: an HTTPS server that knows of fapid's server no more
// than its issuer.
type api struct {
	*httptest.Server
	t     testing.TB
	guard *resource.Guard

	mu      sync.Mutex
	refused []*resource.Refusal
}

// refusals are those since the last call.
func (a *api) refusals() []*resource.Refusal {
	a.mu.Lock()
	defer a.mu.Unlock()
	defer func() { a.refused = nil }()
	return a.refused
}

// serve starts an API that protects /accounts and /payments of an issuer's tokens.
func serve(t testing.TB, config resource.Config) *api {
	t.Helper()
	a := &api{t: t}
	mux := http.NewServeMux()
	a.Server = httptest.NewUnstartedServer(mux)
	a.Config.ErrorLog = log.New(io.Discard, "", 0)
	if config.URL == "" {
		config.URL = "https://" + a.Listener.Addr().String()
	}
	if config.Refused == nil {
		config.Refused = func(_ *http.Request, refusal *resource.Refusal) {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.refused = append(a.refused, refusal)
		}
	}
	var err error
	if a.guard, err = resource.New(config); err != nil {
		t.Fatal(err)
	}
	show := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims := resource.Token(r.Context())
		var all map[string]any
		if err := claims.Decode(&all); err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"claims": claims, "all": all})
	})
	mux.Handle("/accounts", a.guard.Protect("accounts", show))
	mux.Handle("/payments", a.guard.Protect("accounts payments", show))
	mux.Handle("/open/", http.StripPrefix("/open", a.guard.Protect("", show)))
	if len(config.ClientCAs) > 0 {
		a.Config.ConnContext = resource.ConnContext // with which a chain is built once a connection
	}
	a.TLS = &tls.Config{ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS12}
	a.StartTLS()
	t.Cleanup(a.Close)
	return a
}

// admits wants a token to be let in.
func (a *api) admits(p *participant.Participant, what, token string) {
	a.t.Helper()
	if answer := a.call(p, http.MethodGet, "/accounts", bearer(token)); answer.Status != http.StatusOK {
		a.t.Errorf("%s: %s", what, answer)
	}
}

// call sends a request of a participant, which presents its certificate.
func (a *api) call(p *participant.Participant, method, path string, header http.Header) servertest.Answer {
	a.t.Helper()
	roots := a.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	client := p.Client(roots)
	defer client.CloseIdleConnections()
	return (&servertest.Server{T: a.t}).Do(client, method, a.URL+path, header, "")
}

func bearer(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }

// scene is a server with an API, and a client whose tokens are bound.
type scene struct {
	*servertest.Server
	tpp *servertest.TPP
}

func play(t testing.TB) scene {
	t.Helper()
	s := servertest.Start(t, func(config *server.Config) {
		config.Realms["default"].Scopes = append(config.Realms["default"].Scopes, "other")
	})
	_, err := s.APIs("default").Put(t.Context(), registration.API{
		ID: audience, Scopes: []string{"accounts", "payments"}, Roles: []string{"reader"}, Client: "the-api",
		Clients: map[string]registration.Access{registration.AnyClient: {Roles: []string{"reader"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return scene{s, s.TPP("tpp", both)}
}

func both(m *registration.Metadata) { m.Scope = "accounts payments" }

// config is what the API's developer writes.
func (s scene) config() resource.Config {
	return resource.Config{Issuer: s.Issuer, Audience: audience, Roots: s.Roots(), Now: s.Clock.Now}
}

// for this API, with a scope.
func target(scope string) url.Values {
	return url.Values{"audience": {audience}, "scope": {scope}}
}

// wantRefusal checks status, code and challenge.
func wantRefusal(t testing.TB, what string, answer servertest.Answer, status int, code, challenge string) {
	t.Helper()
	if answer.Status != status || answer.Error() != code {
		t.Errorf("%s: %s, want %d %s", what, answer, status, code)
	}
	if got := strings.Join(answer.Header["Www-Authenticate"], "\n"); !strings.Contains(got, challenge) {
		t.Errorf("%s: WWW-Authenticate %q, want %q", what, got, challenge)
	}
}

func TestBoundToken(t *testing.T) {
	s := play(t)
	a := serve(t, s.config())
	token := s.tpp.Token(target("accounts"))

	answer := a.call(s.tpp.Participant, http.MethodGet, "/accounts", bearer(token))
	if answer.Status != http.StatusOK {
		t.Fatalf("%s\n%+v", answer, a.refusals())
	}
	claims, _ := answer.JSON["claims"].(map[string]any)
	all, _ := answer.JSON["all"].(map[string]any)
	if claims["ClientID"] != "tpp" || claims["Subject"] != "tpp" || claims["Issuer"] != s.Issuer || claims["Scope"] != "accounts" ||
		claims["CertificateThumbprint"] == "" || all["client_id"] != "tpp" || all["cnf"] == nil || claims["ID"] != all["jti"] {
		t.Errorf("the handler was told %s", answer.Body)
	}
	if roles, _ := claims["Roles"].([]any); len(roles) != 1 || roles[0] != "reader" {
		t.Errorf("roles: %v", claims["Roles"])
	}

	other, bare := s.TPP("other", both), &participant.Participant{}
	const invalid, about = http.StatusUnauthorized, `error="invalid_token"`
	untold := `Bearer realm="` + s.Issuer + `"` + "\n" + `DPoP realm=` // RFC 6750 section 3.1
	for _, row := range []struct {
		name      string
		who       *participant.Participant
		path      string
		header    http.Header
		status    int
		code      string
		challenge string
	}{
		{"another certificate", other.Participant, "/accounts", bearer(token), invalid, "invalid_token", about},
		{"no certificate", bare, "/accounts", bearer(token), invalid, "invalid_token", about},
		{"another API", s.tpp.Participant, "/accounts", bearer(s.tpp.Token()), invalid, "invalid_token", about},
		{"another issuer", s.tpp.Participant, "/accounts", bearer(s.TPPIn("strict", "tpp").Token()), invalid, "invalid_token", about},
		{"too little scope", s.tpp.Participant, "/payments", bearer(token), http.StatusForbidden, "insufficient_scope", `error="insufficient_scope"`},
		{"no token", s.tpp.Participant, "/accounts", nil, invalid, "invalid_token", untold},
		{"an empty token", s.tpp.Participant, "/accounts", bearer(""), invalid, "invalid_token", about},
		{"another scheme", s.tpp.Participant, "/accounts", http.Header{"Authorization": {"Basic eDp5"}}, invalid, "invalid_token", untold},
		{"two tokens", s.tpp.Participant, "/accounts", http.Header{"Authorization": {"Bearer " + token, "Bearer " + token}}, http.StatusBadRequest, "invalid_request", `error="invalid_request"`},
		{"a token in the URL", s.tpp.Participant, "/accounts?access_token=" + token, nil, http.StatusBadRequest, "invalid_request", `error="invalid_request"`},
		{"as DPoP", s.tpp.Participant, "/accounts", http.Header{"Authorization": {"DPoP " + token}}, invalid, "invalid_token", `DPoP realm="`},
		{"opaque", s.tpp.Participant, "/accounts", bearer("fapid_at.dHBw.x.y"), invalid, "invalid_token", about},
		{"cut short", s.tpp.Participant, "/accounts", bearer(token[:len(token)-3]), invalid, "invalid_token", about},
		{"5 MB of dots", s.tpp.Participant, "/accounts", bearer(strings.Repeat(".", 20<<10)), invalid, "invalid_token", about},
	} {
		answer := a.call(row.who, http.MethodGet, row.path, row.header)
		wantRefusal(t, row.name, answer, row.status, row.code, row.challenge)
		told := a.refusals()
		if len(told) != 1 || told[0].Status != row.status || told[0].Reason == "" && len(told[0].Checks) == 0 {
			t.Errorf("%s: the developer was told %+v", row.name, told)
			continue
		}
		last := told[0].Checks[len(told[0].Checks)-1]
		if last.OK || last.Advice == "" {
			t.Errorf("%s: the last check is %+v", row.name, last)
		}
		if text := told[0].LogValue().String(); strings.Contains(text, token) || strings.Contains(answer.Body, token) {
			t.Errorf("%s: the token is told: %s", row.name, text)
		}
	}
	if answer := a.call(s.tpp.Participant, http.MethodGet, "/accounts?my_access_token=x", bearer(token)); answer.Status != http.StatusOK {
		t.Errorf("a parameter of another name: %s", answer)
	}

	s.Clock.Move(time.Hour)
	wantRefusal(t, "expired", a.call(s.tpp.Participant, http.MethodGet, "/accounts", bearer(token)), invalid, "invalid_token", about)
}

// TestRequireBound: a token that whoever has it can use is refused where the API
// says so.
func TestRequireBound(t *testing.T) {
	s := play(t)
	unbound := s.TPP("unbound", servertest.JWT).Token(target("accounts"))
	who := &participant.Participant{}
	if answer := serve(t, s.config()).call(who, http.MethodGet, "/accounts", bearer(unbound)); answer.Status != http.StatusOK {
		t.Errorf("where it is not asked for: %s", answer)
	}
	config := s.config()
	config.RequireBound = true
	a := serve(t, config)
	wantRefusal(t, "unbound", a.call(who, http.MethodGet, "/accounts", bearer(unbound)), http.StatusUnauthorized, "invalid_token", "bound to nothing")
	if answer := a.call(s.tpp.Participant, http.MethodGet, "/accounts", bearer(s.tpp.Token(target("accounts")))); answer.Status != http.StatusOK {
		t.Errorf("bound: %s", answer)
	}
}

// prove makes the headers of a request with a DPoP token.
func prove(t testing.TB, tpp *servertest.TPP, token, method, address, nonce string) http.Header {
	t.Helper()
	proof, err := tpp.Proof(method, address, participant.Proof{Token: token, Nonce: nonce})
	if err != nil {
		t.Fatal(err)
	}
	return http.Header{"Authorization": {"DPoP " + token}, "Dpop": {proof}}
}

func TestDPoP(t *testing.T) {
	s := play(t)
	a := serve(t, s.config())
	tpp := s.TPP("dpop", servertest.DPoP)
	token := tpp.Token(target("accounts"))
	good := func() http.Header { return prove(t, tpp, token, http.MethodGet, a.URL+"/accounts", "") }
	who := &participant.Participant{}

	used := good()
	if answer := a.call(who, http.MethodGet, "/accounts?page=2", used); answer.Status != http.StatusOK {
		t.Fatalf("%s\n%+v", answer, a.refusals())
	}
	if answer := a.call(who, http.MethodGet, "/open/accounts", prove(t, tpp, token, http.MethodGet, a.URL+"/open/accounts", "")); answer.Status != http.StatusOK {
		t.Errorf("behind StripPrefix: %s", answer)
	}
	without, twice := good(), good()
	delete(without, "Dpop")
	twice["Dpop"] = append(twice["Dpop"], good()["Dpop"]...)
	asBearer := good()
	asBearer.Set("Authorization", "Bearer "+token)
	forwarded := prove(t, tpp, token, http.MethodGet, "https://evil.example/accounts", "")
	forwarded.Set("X-Forwarded-Host", "evil.example")
	forwarded.Set("Host", "evil.example")
	for _, row := range []struct {
		name, path string
		header     http.Header
		code       string
	}{
		{"the proof again", "/accounts", used, "invalid_dpop_proof"},
		{"no proof", "/accounts", without, "invalid_dpop_proof"},
		{"two proofs", "/accounts", twice, "invalid_dpop_proof"},
		{"for another method", "/accounts", prove(t, tpp, token, http.MethodPost, a.URL+"/accounts", ""), "invalid_dpop_proof"},
		{"for another path", "/accounts", prove(t, tpp, token, http.MethodGet, a.URL+"/payments", ""), "invalid_dpop_proof"},
		{"for no host", "/accounts", prove(t, tpp, token, http.MethodGet, "/accounts", ""), "invalid_dpop_proof"},
		{"for another host, which a header names", "/accounts", forwarded, "invalid_dpop_proof"},
		{"for another token", "/accounts", func() http.Header {
			header := good()
			header["Dpop"] = prove(t, tpp, "another", http.MethodGet, a.URL+"/accounts", "")["Dpop"]
			return header
		}(), "invalid_dpop_proof"},
		{"as Bearer", "/accounts", asBearer, "invalid_token"},
		{"of another key", "/accounts", func() http.Header {
			thief := *tpp
			stolen := *tpp.Participant
			stolen.SigningKey = s.TPP("thief").TransportKey
			thief.Participant = &stolen
			return prove(t, &thief, token, http.MethodGet, a.URL+"/accounts", "")
		}(), "invalid_token"},
	} {
		answer := a.call(who, http.MethodGet, row.path, row.header)
		scheme := "DPoP realm="
		if row.name == "as Bearer" {
			scheme = "Bearer realm="
		}
		wantRefusal(t, row.name, answer, http.StatusUnauthorized, row.code, scheme)
		wantRefusal(t, row.name, answer, http.StatusUnauthorized, row.code, `error="`+row.code+`"`)
		if challenges := answer.Header["Www-Authenticate"]; (len(challenges) == 1) != (scheme == "DPoP realm=") {
			t.Errorf("%s: WWW-Authenticate %q", row.name, challenges)
		}
	}

	// An API that has not said where it is takes none, and says so nowhere.
	config := s.config()
	config.Refused = func(*http.Request, *resource.Refusal) {}
	guard, err := resource.New(config)
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, "https://api.example.com/accounts", nil)
	r.Header = prove(t, tpp, token, http.MethodGet, "https://api.example.com/accounts", "")
	if _, ok := guard.Admit(w, r, "accounts"); ok || w.Code != http.StatusUnauthorized || strings.Contains(w.Header().Get("WWW-Authenticate"), "DPoP realm") ||
		!strings.Contains(w.Body.String(), "takes no access tokens that are bound by DPoP") {
		t.Errorf("without URL: %t, %d %v", ok, w.Code, w.Header())
	}
}

// TestDPoPNonce: where the API wants its nonce, a proof without one is answered
// with it, and the next is let in.
func TestDPoPNonce(t *testing.T) {
	s := play(t)
	config := s.config()
	config.NonceKey = []byte(strings.Repeat("k", 32))
	a := serve(t, config)
	defer s.Clock.Freeze()() // or five minutes could end in between
	tpp := s.TPP("dpop", servertest.DPoP, func(m *registration.Metadata) { m.AccessTokenExpiration = 1200 })
	token := tpp.Token(target("accounts"))
	ask := func(nonce string) servertest.Answer {
		return a.call(&participant.Participant{}, http.MethodGet, "/accounts", prove(t, tpp, token, http.MethodGet, a.URL+"/accounts", nonce))
	}
	answer := ask("")
	nonce := answer.Header.Get("DPoP-Nonce")
	wantRefusal(t, "no nonce", answer, http.StatusUnauthorized, "use_dpop_nonce", `error="use_dpop_nonce"`)
	if answer := ask(nonce); answer.Status != http.StatusOK || answer.Header.Get("DPoP-Nonce") != "" {
		t.Errorf("with the nonce: %s", answer)
	}
	s.Clock.Move(5 * time.Minute)
	answer = ask(nonce)
	next := answer.Header.Get("DPoP-Nonce")
	if answer.Status != http.StatusOK || next == "" || next == nonce {
		t.Errorf("with the one before: %s, DPoP-Nonce %q", answer, next)
	}
	wantRefusal(t, "an invented one", ask("invented"), http.StatusUnauthorized, "use_dpop_nonce", "")
}

// TestBothBindings: a token that is bound twice wants both proofs.
func TestBothBindings(t *testing.T) {
	s := play(t)
	a := serve(t, s.config())
	tpp := s.TPP("both", servertest.DPoP, func(m *registration.Metadata) { m.CertificateBoundTokens = true })
	token := tpp.Token(target("accounts"))
	good := func() http.Header { return prove(t, tpp, token, http.MethodGet, a.URL+"/accounts", "") }
	if answer := a.call(tpp.Participant, http.MethodGet, "/accounts", good()); answer.Status != http.StatusOK {
		t.Fatalf("both: %s", answer)
	}
	wantRefusal(t, "without the certificate", a.call(&participant.Participant{}, http.MethodGet, "/accounts", good()), http.StatusUnauthorized, "invalid_token", "")
	header := good()
	delete(header, "Dpop")
	wantRefusal(t, "without the proof", a.call(tpp.Participant, http.MethodGet, "/accounts", header), http.StatusUnauthorized, "invalid_dpop_proof", "")
}

// TestKeyRotation: tokens by the next key are good at once, and those by the
// retired one go on.
func TestKeyRotation(t *testing.T) {
	s := play(t)
	a := serve(t, s.config())
	before := s.tpp.Token(target("accounts"))
	a.admits(s.tpp.Participant, "before", before)
	for range 2 {
		if err := s.RotateKey(context.Background(), "default", "PS256"); err != nil {
			t.Fatal(err)
		}
		s.Clock.Move(11 * time.Second) // past the cool-down between two looks at the JWKS
		a.admits(s.tpp.Participant, "after", s.tpp.Token(target("accounts")))
	}
	a.admits(s.tpp.Participant, "the old one", before)
}

// TestRotationsEnd: however often the keys are rotated, there are never more than a set
// may have, because no API could read that any more; the rest is refused until the
// first of them has gone.
func TestRotationsEnd(t *testing.T) {
	s := play(t)
	a := serve(t, s.config())
	before := s.tpp.Token(target("accounts"))
	a.admits(s.tpp.Participant, "before", before)
	var err error
	rotations := 0
	for err == nil && rotations < 100 {
		if err = s.RotateKey(t.Context(), "default", "EdDSA"); err == nil {
			rotations++
		}
	}
	refusal, _ := errors.AsType[oauth.Error](err)
	if rotations != jwk.MaxKeys-6 || refusal.Status != http.StatusTooManyRequests || refusal.RetryAfter < time.Hour {
		t.Errorf("%d rotations, then %v, wait %s", rotations, err, refusal.RetryAfter)
	}
	if err := s.RotateKey(t.Context(), "default", "PS256"); err == nil {
		t.Error("another algorithm has more room")
	}
	s.Restart()
	s.tpp.Connect()
	s.Clock.Move(11 * time.Second) // past the cool-down between two looks at the JWKS
	a = serve(t, s.config())
	a.admits(s.tpp.Participant, "the old one", before)
	a.admits(s.tpp.Participant, "after", s.tpp.Token(target("accounts")))
	s.Clock.Move(refusal.RetryAfter)
	if err := s.RotateKey(t.Context(), "default", "PS256"); err != nil {
		t.Errorf("when the first has gone: %v", err)
	}
}

// TestClientCAs: where the API names CAs, the certificate is from one of them.
func TestClientCAs(t *testing.T) {
	s := play(t)
	config := s.config()
	config.ClientCAs = append(config.ClientCAs, s.CA().Root(), s.CA().Issuing())
	a := serve(t, config)
	token := s.tpp.Token(target("accounts"))
	if answer := a.call(s.tpp.Participant, http.MethodGet, "/accounts", bearer(token)); answer.Status != http.StatusOK {
		t.Errorf("of a CA that is named: %s", answer)
	}
	config.ClientCAs = config.ClientCAs[:0:0]
	config.ClientCAs = append(config.ClientCAs, servertest.Start(t).CA().Root())
	a = serve(t, config)
	wantRefusal(t, "of another CA", a.call(s.tpp.Participant, http.MethodGet, "/accounts", bearer(token)), http.StatusUnauthorized, "invalid_token", "the client certificate is not acceptable")
}
