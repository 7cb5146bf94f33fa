package server_test

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"crypto/x509"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/server"
	"github.com/fapid/fapid/server/servertest"
	"github.com/fapid/fapid/testkeys"
)

// directoryElsewhere has the default realm believe an issuer whose key is the third
// P-256 test key, by the rules of an ecosystem.
func directoryElsewhere(t *testing.T, ecosystem string, single bool) func(*server.Config) {
	return func(c *server.Config) {
		c.Realms["default"].Registration = &server.Registration{Issuers: map[string]*server.StatementIssuer{
			"elsewhere": {Ecosystem: ecosystem, Issuer: "https://directory.example", Keys: keys(t, "k", &testkeys.P256(3).PublicKey), SingleUse: single},
		}}
	}
}

// vouchedFor signs claims as that issuer does.
func vouchedFor(t *testing.T, claims map[string]any) string {
	t.Helper()
	return compact(t, "ES256", testkeys.P256(3), `{"alg":"ES256","kid":"k","typ":"JWT"}`, encode(t, claims))
}

// J7: a software statement that is not its issuer's, or not for now, registers
// nothing; one that may be used once does once; what it says wins.
func TestAttackJ7Statements(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, directoryElsewhere(t, "rfc7591", true))
	now := s.Clock.Now().Unix()
	claims := func(changes ...any) map[string]any {
		return but(map[string]any{
			"iss": "https://directory.example", "iat": now, "exp": now + 600, "jti": rand.Text(),
			"software_id": "app-1", "client_name": "As the directory has it", "redirect_uris": []string{"https://tpp.example/cb"},
		}, changes...)
	}
	header := func(changes ...any) string {
		return encode(t, but(map[string]any{"alg": "ES256", "kid": "k", "typ": "JWT"}, changes...))
	}
	issuer := testkeys.P256(3)
	good := encode(t, claims())
	sign := func(header, payload string) string { return compact(t, "ES256", issuer, header, payload) }
	public, err := x509.MarshalPKIXPublicKey(&issuer.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	everywhere(t, s, func(t *testing.T, r *servertest.Registrant) {
		for name, row := range map[string]struct{ statement, code, check string }{
			"none":             {compact(t, "", nil, header("alg", "none"), good), oauth.CodeInvalidStatement, "software statement alg"},
			"none, signed":     {sign(header("alg", "none"), good), oauth.CodeInvalidStatement, "software statement alg"},
			"no signature":     {compact(t, "", nil, header(), good), oauth.CodeInvalidStatement, "software statement signature"},
			"the public key":   {compact(t, "HS256", public, header("alg", "HS256"), good), oauth.CodeInvalidStatement, "software statement alg"},
			"RS256":            {compact(t, "RS256", testkeys.RSA(3), header("alg", "RS256"), good), oauth.CodeInvalidStatement, "software statement alg"},
			"a stranger's key": {compact(t, "ES256", testkeys.P256(4), header(), good), oauth.CodeInvalidStatement, "software statement signature"},
			"an unknown kid":   {compact(t, "ES256", testkeys.P256(4), header("kid", "x"), good), oauth.CodeInvalidStatement, "software statement key"},
			"a key it brings":  {sign(header("jwk", map[string]any{"kty": "EC"}), good), oauth.CodeInvalidStatement, "software statement header"},
			"crit":             {sign(header("crit", []string{"exp"}), good), oauth.CodeInvalidStatement, "software statement header"},
			"an access token":  {sign(header("typ", "at+jwt"), good), oauth.CodeInvalidStatement, "software statement typ"},
			"another issuer":   {sign(header(), encode(t, claims("iss", "https://evil.example"))), oauth.CodeUnapprovedStatement, "software statement iss"},
			"another case":     {sign(header(), encode(t, claims("iss", "https://DIRECTORY.example"))), oauth.CodeUnapprovedStatement, "software statement iss"},
			"no issuer":        {sign(header(), encode(t, claims("iss", nil))), oauth.CodeInvalidStatement, "software statement iss"},
			"expired":          {sign(header(), encode(t, claims("exp", now-1))), oauth.CodeInvalidStatement, "software statement exp"},
			"no end":           {sign(header(), encode(t, claims("exp", nil))), oauth.CodeInvalidStatement, "software statement exp"},
			"not yet":          {sign(header(), encode(t, claims("nbf", now+300))), oauth.CodeInvalidStatement, "software statement nbf"},
			"from the future":  {sign(header(), encode(t, claims("iat", now+300))), oauth.CodeInvalidStatement, "software statement iat"},
			"no jti":           {sign(header(), encode(t, claims("jti", nil))), oauth.CodeInvalidStatement, "software statement jti"},
			"of no software":   {sign(header(), encode(t, claims("software_id", nil))), oauth.CodeInvalidStatement, "software_id"},
			"a claim twice":    {sign(header(), strings.Replace(good, "{", `{"software_id":"app-2",`, 1)), oauth.CodeInvalidStatement, "software statement"},
			"a wrong type":     {sign(header(), encode(t, claims("redirect_uris", "https://tpp.example/cb"))), oauth.CodeInvalidStatement, "software statement claims"},
			"encrypted":        {"e30.e30.e30.e30.e30", oauth.CodeInvalidStatement, "software statement"},
			"padded":           {sign(header(), good) + "=", oauth.CodeInvalidStatement, "software statement"},
			"no JWS":           {"app-1", oauth.CodeInvalidStatement, "software statement"},
			"JSON of a JWS":    {`{"payload":"e30","signatures":[]}`, oauth.CodeInvalidStatement, "software statement"},
			"missing":          {"", oauth.CodeInvalidStatement, "software statement"},
			"5 MB of dots":     {strings.Repeat(".", 50_000), oauth.CodeInvalidStatement, "software statement"},
			"a long name":      {sign(header(), encode(t, claims("client_name", strings.Repeat("x", 30_000)))), oauth.CodeInvalidClientMetadata, "client metadata"},
			"ES384":            {sign(header("typ", "JWT", "alg", "ES384"), good), oauth.CodeInvalidStatement, "software statement alg"},
		} {
			t.Run(name, func(t *testing.T) {
				before := countClients(s)
				answer := r.Register(servertest.WithSecret("software_statement", row.statement, "redirect_uris", nil))
				wantFailed(t, s, answer, 400, row.code, row.check)
				checkRules(t, s, answer, nil)
				if there := countClients(s); there != before {
					t.Errorf("%d clients more", there-before)
				}
			})
		}
		// What the body says against the statement is not registered, and no claim
		// says what is the operator's.
		statement := vouchedFor(t, claims("policy", "sandbox", "scope", "payments", "client_secret", "chosen"))
		answer := want(t, r.Register(servertest.Plain("software_statement", statement, "token_endpoint_auth_method", oauth.AuthPrivateKeyJWT,
			"jwks", parsed(t, []byte(keys(t, "c", &testkeys.P256(4).PublicKey))), "software_id", "app-2", "client_name", "Bank of England", "redirect_uris", []string{"https://evil.example/cb"})), 201)
		client, _ := s.Clients("default").Get(r.ClientID)
		if m := client.Metadata; m.SoftwareID != "app-1" || m.ClientName != "As the directory has it" || !slices.Equal(m.RedirectURIs, []string{"https://tpp.example/cb"}) ||
			m.SoftwareStatementIssuer != "elsewhere" || m.Scope != "payments" || m.ClientSecret != "" || m.Policy != s.Config().Realms["default"].Policy {
			t.Errorf("the statement does not win: %s\n%+v", answer, m)
		}
		// Once is once: for the second, for one of many, and after a restart.
		registration := func(statement string) map[string]any {
			return servertest.Plain("software_statement", statement, "token_endpoint_auth_method", oauth.AuthPrivateKeyJWT, "jwks", parsed(t, []byte(keys(t, "c", &testkeys.P256(4).PublicKey))))
		}
		wantFailed(t, s, r.Register(registration(statement)), 400, oauth.CodeInvalidStatement, "software statement jti")
		wantFailed(t, s, r.Register(registration(vouchedFor(t, claims("jti", client.ID)))), 201, "", "")
		var crowd []*servertest.Registrant
		for i := range racers {
			crowd = append(crowd, s.Registrant([]string{s.Issuer, s.MTLS}[i%2]))
		}
		var once string
		for range rounds(t, 2) {
			once = vouchedFor(t, claims())
			before := countClients(s)
			var next atomic.Int32
			created := 0
			for _, answer := range race(func() servertest.Answer { return crowd[next.Add(1)-1].Register(registration(once)) }) {
				if answer.Status == 201 {
					created++
				} else {
					wantAnswer(t, answer, 400, oauth.CodeInvalidStatement)
				}
			}
			if there := countClients(s) - before; created != 1 || there != 1 {
				t.Fatalf("%d registered with one statement, %d clients are there", created, there)
			}
			for _, r := range crowd { // there is an end to the clients of one software
				if r.ClientID != "" {
					want(t, r.Delete(), 204)
					r.ClientID = ""
				}
			}
		}
		s.Restart()
		wantAnswer(t, s.Registrant(s.Issuer).Register(registration(once)), 400, oauth.CodeInvalidStatement)
	})
}

// J7: a statement that is written in the names of RFC 7591 has precedence with every
// member that it names, not only with those that say which software it is (section
// 3.1.1); and so it has in an update.
func TestAttackJ7StatementHasPrecedence(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, directoryElsewhere(t, "rfc7591", false))
	now := s.Clock.Now().Unix()
	claims := func(changes ...any) map[string]any {
		return but(map[string]any{"iss": "https://directory.example", "exp": now + 600, "software_id": "app-1", "client_name": "Accounting"}, changes...)
	}
	software := parsed(t, []byte(keys(t, "software", &testkeys.P256(4).PublicKey)))
	statement := vouchedFor(t, claims(
		"client_name#fr", "Comptabilité", "policy_uri#de", "https://tpp.example/de", "contacts", []string{"ops@tpp.example"}, "scope", "payments", "jwks", software,
		"token_endpoint_auth_method", oauth.AuthPrivateKeyJWT, "grant_types", []string{"client_credentials"}, "tls_client_certificate_bound_access_tokens", true,
	))
	wanted := func(answer servertest.Answer) {
		t.Helper()
		for member, value := range map[string]any{
			"client_name": "Accounting", "client_name#fr": "Comptabilité", "policy_uri#de": "https://tpp.example/de", "policy_uri#DE": nil, "contacts": []any{"ops@tpp.example"}, "scope": "payments", "jwks": software,
			"token_endpoint_auth_method": oauth.AuthPrivateKeyJWT, "tls_client_certificate_bound_access_tokens": true, "tos_uri": "https://tpp.example/tos",
		} {
			if !reflect.DeepEqual(answer.JSON[member], value) {
				t.Errorf("%s is %v, and the statement says %v", member, answer.JSON[member], value)
			}
		}
	}
	mallory := []any{
		"software_statement", statement, "contacts", []string{"mallory@evil.example"}, "scope", "accounts", "client_name#fr", "Banque de France", "policy_uri#DE", "https://evil.example/de",
		"token_endpoint_auth_method", oauth.AuthSecretBasic, "jwks", parsed(t, []byte(keys(t, "mallory", &testkeys.P256(2).PublicKey))),
		"tls_client_certificate_bound_access_tokens", false, "tos_uri", "https://tpp.example/tos",
	}
	r := s.Registrant(s.Issuer)
	wanted(want(t, r.Register(servertest.Plain(mallory...)), 201))
	wanted(want(t, r.Update(servertest.Plain(mallory...)), 200))
	uri := but(servertest.Plain(mallory...), "jwks", nil, "jwks_uri", "https://evil.example/jwks")
	wantFailed(t, s, r.Update(uri), 400, oauth.CodeInvalidClientMetadata, "jwks_uri")
	for name, claim := range map[string]any{"contacts": "ops@tpp.example", "jwks": "none", "jwks_uri": "https://directory.example/keys", "scope": []string{"payments"}, "client_name#fr": 1} {
		answer := r.Update(servertest.Plain("software_statement", vouchedFor(t, claims("jwks", software, name, claim))))
		wantFailed(t, s, answer, 400, oauth.CodeInvalidStatement, "software statement "+name)
	}
}

// J2: nor does the key set that a statement names for its software lead inside, when
// a request is to be verified with it.
func TestAttackJ2StatementGoesNowherePrivate(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, directoryElsewhere(t, "uk", false), func(c *server.Config) { c.Realms["default"].JWKS.AllowPrivate = nil })
	port, connections := trapdoor(t)
	tpp := s.TPP("org-1")
	now := s.Clock.Now().Unix()
	for _, target := range privateTargets(port) {
		statement := vouchedFor(t, map[string]any{
			"iss": "https://directory.example", "iat": now, "jti": rand.Text(), "software_id": "app-1", "org_id": "org-1", "org_status": "Active",
			"software_roles": []string{"AISP"}, "software_redirect_uris": []string{"https://tpp.example/cb"}, "software_jwks_endpoint": target,
		})
		request := compact(t, "ES256", testkeys.P256(4), `{"alg":"ES256","kid":"c"}`, encode(t, map[string]any{
			"iss": "app-1", "aud": s.Issuer, "iat": now, "exp": now + 60, "jti": rand.Text(), "software_statement": statement,
		}))
		answer := s.Do(tpp.HTTP, http.MethodPost, s.MTLS+"/reg", http.Header{"Content-Type": {"application/jwt"}}, request)
		wantFailed(t, s, answer, 400, oauth.CodeInvalidClientMetadata, "registration request key")
	}
	time.Sleep(20 * time.Millisecond) // a connection made is counted by then
	if n := connections.Load(); n != 0 {
		t.Errorf("%d connections were made", n)
	}
}

// J3: what a client publishes is fetched in a bounded time and size, once for all
// who want it, and what fails is not tried again at once.
func TestAttackJ3Fetches(t *testing.T) {
	t.Parallel()
	s := servertest.StartWith(t, t.TempDir(), func(o *server.Options) { o.Limits.Fetch = 2 * time.Second }, servertest.Registering())
	s.Clock.Freeze() // what fails may be tried again after ten seconds
	var zipped bytes.Buffer
	bomb := gzip.NewWriter(&zipped)
	_, _ = bomb.Write(make([]byte, 10<<20))
	_ = bomb.Close()
	many := make([]any, 0, 20_000)
	for range 10_000 {
		many = append(many, "a", &testkeys.P256(4).PublicKey)
	}
	tooMany := keys(t, many...)
	endless := func(pause time.Duration) func(*publisher, http.ResponseWriter, *http.Request) {
		return func(_ *publisher, w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := w.Write([]byte(" ")); err != nil {
					return
				}
				if pause > 0 {
					_ = http.NewResponseController(w).Flush()
					time.Sleep(pause)
				}
			}
		}
	}
	for name, serve := range map[string]func(*publisher, http.ResponseWriter, *http.Request){
		"10 MB": func(_ *publisher, w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 10<<20)) },
		"gzip bomb": func(_ *publisher, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(zipped.Bytes())
		},
		"a byte a moment": endless(20 * time.Millisecond), "endless": endless(0),
		"10,000 keys": func(_ *publisher, w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(tooMany)) },
		"HTML": func(_ *publisher, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte(`{"keys":[]}`))
		},
		"500":        func(_ *publisher, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) },
		"a redirect": func(_ *publisher, w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", 302) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := publishingBy(t, s, serve)
			r := s.Registrant(s.Issuer)
			begun := time.Now()
			answer := r.Register(servertest.WithSecret("redirect_uris", []string{"https://tpp.example/cb"}, "sector_identifier_uri", p.URL))
			wantAnswer(t, answer, 400, oauth.CodeInvalidClientMetadata)
			want(t, r.Register(servertest.Plain("token_endpoint_auth_method", oauth.AuthPrivateKeyJWT, "jwks_uri", p.URL+"/keys")), 201)
			form := "grant_type=client_credentials&client_id=" + r.ClientID + "&client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer&client_assertion="
			before := p.Requests.Load()
			var asking sync.WaitGroup
			for range 16 {
				text := foreignAssertion(t, s, r.ClientID)
				asking.Go(func() {
					wantAnswer(t, s.Do(r.HTTP, "POST", s.Issuer+"/token", servertest.Form, form+text), 401, oauth.CodeInvalidClient)
				})
			}
			asking.Wait()
			wantAnswer(t, s.Do(r.HTTP, "POST", s.Issuer+"/token", servertest.Form, form+foreignAssertion(t, s, r.ClientID)), 401, oauth.CodeInvalidClient)
			if fetches := p.Requests.Load() - before; fetches != 1 {
				t.Errorf("%d fetches for all of them, want 1", fetches)
			}
			// Twice two seconds, and what a busy machine needs.
			if took := time.Since(begun); took > time.Minute {
				t.Errorf("took %s", took)
			}
		})
	}
}
