package resource_test

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/resource"
	"github.com/fapid/fapid/server/servertest"
)

func opaque(m *registration.Metadata) { m.AccessTokenFormat = oauth.FormatOpaque }

func revoke(t *testing.T, tpp *servertest.TPP, token string) {
	t.Helper()
	if answer := tpp.Post("revocation_endpoint", url.Values{"token": {token}}); answer.Status != http.StatusOK {
		t.Fatalf("revocation: %s", answer)
	}
}

// pairOf is a TPP's certificate as an API would load it.
func pairOf(tpp *servertest.TPP) *tls.Certificate {
	pair := &tls.Certificate{PrivateKey: tpp.TransportKey}
	for _, link := range tpp.Transport {
		pair.Certificate = append(pair.Certificate, link.Raw)
	}
	return pair
}

// TestIntrospection: the API authenticates by each of its three ways; an opaque
// token is held to everything that a JWT is, and dies at once.
func TestIntrospection(t *testing.T) {
	s := play(t)
	for name, way := range map[string]struct {
		change []func(*registration.Metadata)
		ask    func(own *servertest.TPP) *resource.Introspection
	}{
		"tls_client_auth": {nil, func(own *servertest.TPP) *resource.Introspection {
			return &resource.Introspection{Certificate: pairOf(own)}
		}},
		"private_key_jwt": {[]func(*registration.Metadata){servertest.JWT}, func(own *servertest.TPP) *resource.Introspection {
			return &resource.Introspection{Key: own.SigningKey, KeyID: own.KeyID}
		}},
		"client_secret_basic": {[]func(*registration.Metadata){servertest.Under("oauth2"), func(m *registration.Metadata) {
			m.TokenEndpointAuthMethod, m.ClientSecret, m.CertificateBoundTokens = oauth.AuthSecretBasic, "very secret: 100%+&=", false
		}}, func(own *servertest.TPP) *resource.Introspection {
			return &resource.Introspection{Secret: own.Secret}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			own := s.TPP("the-api", way.change...)
			config := s.config()
			config.Introspection = way.ask(own)
			config.Introspection.ClientID = "the-api"
			a := serve(t, config)
			tpp, other := s.TPP("tpp", both, opaque), s.TPP("other", both)
			token := tpp.Token(target("accounts"))
			answer := a.call(tpp.Participant, http.MethodGet, "/accounts", bearer(token))
			claims, _ := answer.JSON["claims"].(map[string]any)
			if answer.Status != http.StatusOK || claims["ClientID"] != "tpp" || claims["Issuer"] != s.Issuer || claims["Scope"] != "accounts" {
				t.Fatalf("%s\n%+v", answer, a.refusals())
			}
			wantRefusal(t, "another certificate", a.call(other.Participant, http.MethodGet, "/accounts", bearer(token)), http.StatusUnauthorized, "invalid_token", "another certificate")
			wantRefusal(t, "too little scope", a.call(tpp.Participant, http.MethodGet, "/payments", bearer(token)), http.StatusForbidden, "insufficient_scope", "")
			wantRefusal(t, "another API", a.call(tpp.Participant, http.MethodGet, "/accounts", bearer(tpp.Token())), http.StatusUnauthorized, "invalid_token", "not valid")
			wantRefusal(t, "an invented one", a.call(tpp.Participant, http.MethodGet, "/accounts", bearer("invented")), http.StatusUnauthorized, "invalid_token", "not valid")
			wantRefusal(t, "no token at all", a.call(tpp.Participant, http.MethodGet, "/accounts", bearer("{not;a;token}")), http.StatusUnauthorized, "invalid_token", "not valid")
			revoke(t, tpp, token)
			wantRefusal(t, "revoked", a.call(tpp.Participant, http.MethodGet, "/accounts", bearer(token)), http.StatusUnauthorized, "invalid_token", "not valid")
		})
	}
}

// TestRevokedJWT: a JWT that was revoked is good to an API that does not ask, and
// no good at once to one that always asks.
func TestRevokedJWT(t *testing.T) {
	s := play(t)
	own := s.TPP("the-api")
	config := s.config()
	alone := serve(t, config)
	config.Introspection = &resource.Introspection{ClientID: "the-api", Certificate: pairOf(own), Always: true}
	asking := serve(t, config)
	token := s.tpp.Token(target("accounts"))
	for name, a := range map[string]*api{"alone": alone, "asking": asking} {
		if answer := a.call(s.tpp.Participant, http.MethodGet, "/accounts", bearer(token)); answer.Status != http.StatusOK {
			t.Errorf("%s: %s", name, answer)
		}
	}
	wantRefusal(t, "asking, for another API", asking.call(s.tpp.Participant, http.MethodGet, "/accounts", bearer(s.tpp.Token())), http.StatusUnauthorized, "invalid_token", "for another API")
	revoke(t, s.tpp, token)
	if answer := alone.call(s.tpp.Participant, http.MethodGet, "/accounts", bearer(token)); answer.Status != http.StatusOK {
		t.Errorf("alone, revoked: %s", answer)
	}
	wantRefusal(t, "asking, revoked", asking.call(s.tpp.Participant, http.MethodGet, "/accounts", bearer(token)), http.StatusUnauthorized, "invalid_token", "not valid")
}

// introspector is an issuer that answers what it is told to.
func introspector(t *testing.T, answer *atomic.Pointer[string], asked *atomic.Int64) *idp {
	return newIDP(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		text := *answer.Load()
		if status, refused := map[string]int{"": http.StatusServiceUnavailable, "too many": http.StatusTooManyRequests}[text]; refused {
			w.WriteHeader(status)
			return
		}
		if strings.HasPrefix(text, "<") {
			w.Header().Set("Content-Type", "text/html")
		} else {
			w.Header().Set("Content-Type", "application/json")
		}
		_, _ = w.Write([]byte(text))
	})
}

func TestAnswersAreKept(t *testing.T) {
	var answer atomic.Pointer[string]
	var asked atomic.Int64
	say := func(text string) { answer.Store(&text) }
	i := introspector(t, &answer, &asked)
	config := i.config()
	config.Introspection = &resource.Introspection{ClientID: "api", Secret: "secret", Keep: 30 * time.Second}
	guard := i.guard(config)
	const good = `{"active":true,"aud":"https://api.example.com","scope":"accounts","client_id":"tpp","exp":1800000020}`
	say(good)
	step := func(what string, token string, status int, wanted int64) {
		t.Helper()
		if got := i.try(guard, token, "accounts"); got.Code != status || asked.Load() != wanted {
			t.Errorf("%s: %d after %d questions, want %d after %d: %s", what, got.Code, asked.Load(), status, wanted, got.Body)
		}
	}
	step("asked", "one", 200, 1)
	step("kept", "one", 200, 1)
	if got := i.try(guard, "one", "payments"); got.Code != 403 {
		t.Errorf("a kept answer is held to nothing: %d", got.Code)
	}
	step("another token", "two", 200, 2)
	say(`{"active":false}`)
	step("kept while it may be", "one", 200, 2)
	i.pass(20 * time.Second) // its exp, sooner than Keep
	step("not beyond exp", "one", 401, 3)
	step("inactive is not kept", "one", 401, 4)

	say(strings.Replace(good, ",\"exp\":1800000020", "", 1))
	step("without exp", "three", 200, 5)
	i.pass(29 * time.Second)
	step("kept for a while", "three", 200, 5)
	i.pass(time.Second)
	step("and no longer", "three", 200, 6)
	step("what is no token is not asked about", "{not;a;token}", 401, 6)
}

// TestIntrospectionFails: what is no answer is nobody's token's fault.
func TestIntrospectionFails(t *testing.T) {
	var answer atomic.Pointer[string]
	var asked atomic.Int64
	i := introspector(t, &answer, &asked)
	config := i.config()
	config.Introspection = &resource.Introspection{ClientID: "api", Secret: "secret"}
	guard := i.guard(config)
	for text, status := range map[string]int{
		"":                               503,
		"too many":                       429, // of what callers send
		"<html>":                         503,
		"nonsense":                       503,
		`{"active":true,"active":false}`: 503,
		`{"active":"true"}`:              503,
		`{"active":true,"x":"` + strings.Repeat("x", 70<<10) + `"}`:                                        503,
		`{"active":true,"aud":"https://api.example.com","scope":"accounts"}` + strings.Repeat(" ", 70<<10): 503,
		`{"Active":true,"aud":"https://api.example.com"}`:                                                  401,
		`{}`:              401,
		`{"active":true}`: 401, // for whom?
		`{"active":true,"aud":"https://api.example.com","iss":"https://evil.example","scope":"accounts"}`:     401,
		`{"active":true,"aud":"https://api.example.com","exp":1799999980,"scope":"accounts"}`:                 401,
		`{"active":true,"aud":"https://api.example.com","nbf":1800000060,"scope":"accounts"}`:                 401,
		`{"active":true,"aud":"https://api.example.com","cnf":{"x5t#S256":"AA"},"scope":"accounts"}`:          401,
		`{"active":true,"aud":"https://api.example.com","cnf":{"jkt":"AA"},"scope":"accounts"}`:               401,
		`{"active":true,"aud":"https://api.example.com","cnf":{"tb":"AA"},"scope":"accounts"}`:                401,
		`{"active":true,"aud":["x","https://api.example.com"],"scope":["accounts","payments"],"roles":{}}`:    200,
		`{"active":true,"aud":"https://api.example.com","scope":"accounts","exp":1800000060.5,"roles":["a"]}`: 200,
	} {
		answer.Store(&text)
		got := i.try(guard, "token", "accounts")
		if got.Code != status {
			t.Errorf("%.90s: %d, want %d: %s", text, got.Code, status, got.Body)
		}
		if retry := got.Header().Get("Retry-After"); (status == 503 || status == 429) != (retry == "1") {
			t.Errorf("%.90s: Retry-After %q", text, retry)
		}
	}
}

// TestWrongIntrospectionClient: the API's log says what the issuer said, and the
// client learns nothing.
func TestWrongIntrospectionClient(t *testing.T) {
	s := play(t)
	config := s.config()
	config.Introspection = &resource.Introspection{ClientID: "the-api", Secret: "a-wrong-secret"}
	a := serve(t, config)
	answer := a.call(s.tpp.Participant, http.MethodGet, "/accounts", bearer("opaque"))
	wantRefusal(t, "a wrong secret", answer, http.StatusServiceUnavailable, "temporarily_unavailable", "")
	told := a.refusals()
	if len(told) != 1 || !strings.Contains(told[0].Reason, "answered 401 invalid_client") || strings.Contains(told[0].Reason, "a-wrong-secret") || strings.Contains(answer.Body, "invalid_client") {
		t.Errorf("told %+v, answered %s", told, answer)
	}
}

// TestGivesUp: a caller that has gone does not wait for the issuer.
func TestGivesUp(t *testing.T) {
	hold := make(chan struct{})
	i := newIDP(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hold:
		case <-r.Context().Done():
		}
	})
	defer close(hold)
	config := i.config()
	config.Introspection = &resource.Introspection{ClientID: "api", Secret: "secret"}
	guard := i.guard(config)
	if err := guard.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/accounts", nil)
	r.Header.Set("Authorization", "Bearer opaque")
	if _, ok := guard.Admit(w, r, "accounts"); ok || w.Code != http.StatusServiceUnavailable {
		t.Errorf("%t, %d", ok, w.Code)
	}
}
