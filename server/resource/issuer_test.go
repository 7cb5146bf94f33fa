package resource_test

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/server/resource"
	"github.com/fapid/fapid/server/servertest"
	"github.com/fapid/fapid/testkeys"
)

// epoch is the time of the tests with an issuer of their own.
var epoch = time.Unix(1_800_000_000, 0)

// idp is an issuer that is not fapid, and may be anything but good.
type idp struct {
	*httptest.Server
	t       testing.TB
	fetches atomic.Int64 // of the JWKS

	mu       sync.Mutex
	now      time.Time
	keys     map[string]crypto.PublicKey // by kid
	metadata func(map[string]any)        // changes the document
	down     bool
	hold     chan struct{} // when set, the JWKS waits for it
}

func newIDP(t testing.TB, introspect http.HandlerFunc) *idp {
	t.Helper()
	i := &idp{t: t, now: epoch, keys: map[string]crypto.PublicKey{"ec": testkeys.P256(1).Public(), "rsa": testkeys.RSA(1).Public(), "ed": testkeys.Ed25519(1).Public()}}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", i.document)
	mux.HandleFunc("/jwks", i.jwks)
	if introspect != nil {
		mux.HandleFunc("/introspect", introspect)
	}
	i.Server = httptest.NewUnstartedServer(mux)
	i.Config.ErrorLog = log.New(io.Discard, "", 0)
	i.StartTLS()
	t.Cleanup(i.Close)
	return i
}

func (i *idp) set(change func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	change()
}

func (i *idp) pass(d time.Duration) { i.set(func() { i.now = i.now.Add(d) }) }

func (i *idp) document(w http.ResponseWriter, _ *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.down {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	metadata := map[string]any{"issuer": i.URL, "jwks_uri": i.URL + "/jwks", "introspection_endpoint": i.URL + "/introspect"}
	if i.metadata != nil {
		i.metadata(metadata)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(metadata)
}

func (i *idp) jwks(w http.ResponseWriter, _ *http.Request) {
	i.fetches.Add(1)
	i.mu.Lock()
	var set jose.JSONWebKeySet
	for kid, key := range i.keys {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: key, KeyID: kid, Use: "sig"})
	}
	hold := i.hold
	i.mu.Unlock()
	if hold != nil {
		<-hold
	}
	w.Header().Set("Content-Type", "application/jwk-set+json")
	_ = json.NewEncoder(w).Encode(set)
}

func (i *idp) config() resource.Config {
	return resource.Config{
		Issuer: i.URL, Audience: audience, Roots: i.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs,
		Now:     func() time.Time { i.mu.Lock(); defer i.mu.Unlock(); return i.now },
		Refused: func(*http.Request, *resource.Refusal) {},
	}
}

func (i *idp) guard(config resource.Config) *resource.Guard {
	i.t.Helper()
	guard, err := resource.New(config)
	if err != nil {
		i.t.Fatal(err)
	}
	return guard
}

// try sends a request with a token through a guard.
func (i *idp) try(guard *resource.Guard, token, scope string) *httptest.ResponseRecorder {
	i.t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, "https://api.example.com/accounts", nil)
	r.TLS = nil
	r.Header.Set("Authorization", "Bearer "+token)
	guard.Protect(scope, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte("client " + resource.Token(r.Context()).ClientID))
	})).ServeHTTP(w, r)
	return w
}

// claims are those of a good token, some changed; nil leaves one out.
func (i *idp) claims(changes ...any) map[string]any {
	claims := map[string]any{
		"iss": i.URL, "aud": audience, "sub": "alice", "client_id": "tpp", "scope": "accounts",
		"jti": "1", "iat": epoch.Unix(), "exp": epoch.Add(time.Hour).Unix(),
	}
	for n := 0; n < len(changes); n += 2 {
		claims[changes[n].(string)] = changes[n+1]
		if changes[n+1] == nil {
			delete(claims, changes[n].(string))
		}
	}
	return claims
}

// sign makes a token; the header is typ at+jwt and kid, and what is changed.
func (i *idp) sign(alg jose.SignatureAlgorithm, kid string, key any, claims any, header ...any) string {
	i.t.Helper()
	options := (&jose.SignerOptions{}).WithType("at+jwt")
	if kid != "" {
		options = options.WithHeader("kid", kid)
	}
	for n := 0; n < len(header); n += 2 {
		options = options.WithHeader(jose.HeaderKey(header[n].(string)), header[n+1])
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, options)
	if err != nil {
		i.t.Fatal(err)
	}
	payload, ok := claims.(string)
	if !ok {
		text, err := json.Marshal(claims)
		if err != nil {
			i.t.Fatal(err)
		}
		payload = string(text)
	}
	jws, err := signer.Sign([]byte(payload))
	if err != nil {
		i.t.Fatal(err)
	}
	token, err := jws.CompactSerialize()
	if err != nil {
		i.t.Fatal(err)
	}
	return token
}

func (i *idp) good() string { return i.sign(jose.ES256, "ec", testkeys.P256(1), i.claims()) }

func encode(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// TestJWT: what is the issuer's access token, and what is not.
func TestJWT(t *testing.T) {
	i := newIDP(t, nil)
	guard := i.guard(i.config())
	ec, rsa := testkeys.P256(1), testkeys.RSA(1)
	es := func(changes ...any) string { return i.sign(jose.ES256, "ec", ec, i.claims(changes...)) }
	der, err := x509.MarshalPKIXPublicKey(rsa.Public())
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(i.claims())
	if err != nil {
		t.Fatal(err)
	}
	good := i.good()
	parts := strings.Split(good, ".")
	for _, row := range []struct {
		name, token string
		status      int
	}{
		{"ES256", good, 200},
		{"PS256", i.sign(jose.PS256, "rsa", rsa, i.claims()), 200},
		{"EdDSA", i.sign(jose.EdDSA, "ed", testkeys.Ed25519(1), i.claims()), 200},
		{"no kid", i.sign(jose.ES256, "", ec, i.claims()), 200},
		{"typ in full", i.sign(jose.ES256, "ec", ec, i.claims(), "typ", "application/AT+JWT"), 200},
		{"a few seconds of skew", es("iat", epoch.Unix()+9, "nbf", epoch.Unix()+9, "exp", epoch.Unix()-9), 200},
		{"fractions", es("iat", 1799999999.5, "exp", 1800000001.5), 200},
		{"several audiences", es("aud", []string{"x", audience}), 200},
		{"azp for client_id", es("client_id", nil, "azp", "tpp"), 200},
		{"scope an array", es("scope", []string{"payments", "accounts"}), 200},
		{"other claims", es("realm_access", map[string]any{"roles": []string{"a"}}, "roles", "none"), 200},
		{"what other servers say, too", es("azp", "other", "typ", "DPoP", "preferred_username", "service-account-other",
			"resource_access", map[string]any{audience: map[string]any{"roles": []string{"a"}}}, "cern_roles", []string{"a"}, "aut", "APPLICATION", "nbf", epoch.Unix()), 200},
		{"a key in the header is not looked at", i.sign(jose.ES256, "ec", ec, i.claims(), "jku", "https://evil.example/jwks"), 200},

		{"RS256, which is not listed", i.sign(jose.RS256, "rsa", rsa, i.claims()), 401},
		{"none", encode(`{"alg":"none","typ":"at+jwt"}`) + "." + parts[1] + ".", 401},
		{"HMAC by the public key", i.sign(jose.HS256, "rsa", der, i.claims()), 401},
		{"another key", i.sign(jose.ES256, "ec", testkeys.P256(2), i.claims()), 401},
		{"a key of its own", i.sign(jose.ES256, "", testkeys.P256(2), i.claims(), "jwk", jose.JSONWebKey{Key: testkeys.P256(2).Public()}), 401},
		{"a kid that is not there", i.sign(jose.ES256, "nope", ec, i.claims()), 401},
		{"a kid of another kind of key", i.sign(jose.ES256, "rsa", ec, i.claims()), 401},
		{"typ JWT", i.sign(jose.ES256, "ec", ec, i.claims(), "typ", "JWT"), 401},
		{"typ of a proof", i.sign(jose.ES256, "ec", ec, i.claims(), "typ", "dpop+jwt"), 401},
		{"crit", encode(`{"alg":"ES256","typ":"at+jwt","kid":"ec","crit":["exp"]}`) + "." + parts[1] + "." + parts[2], 401},
		{"crit, signed", i.sign(jose.ES256, "ec", ec, i.claims(), "crit", []string{"exp"}), 401},
		{"alg twice", encode(`{"alg":"ES256","alg":"none","typ":"at+jwt","kid":"ec"}`) + "." + parts[1] + "." + parts[2], 401},
		{"payload changed", parts[0] + "." + encode(strings.Replace(string(payload), "accounts", "payments", 1)) + "." + parts[2], 401},
		{"padded", good + "=", 401},
		{"another spelling of the signature", good[:len(good)-1] + string(good[len(good)-1]+1), 401},
		{"four parts", good + ".x", 401},
		{"larger than 16 KiB", es("x", strings.Repeat("x", 16<<10)), 401},

		{"another issuer", es("iss", "https://evil.example"), 401},
		{"no issuer", es("iss", nil), 401},
		{"issuer with a slash", es("iss", i.URL+"/"), 401},
		{"another audience", es("aud", audience+"/"), 401},
		{"no audience", es("aud", nil), 401},
		{"no exp", es("exp", nil), 401},
		{"expired", es("exp", epoch.Unix()-10), 401},
		{"exp a text", es("exp", "2027"), 401},
		{"exp null", es("exp", json.RawMessage("null")), 401},
		{"nbf ahead", es("nbf", epoch.Unix()+11), 401},
		{"iat ahead", es("iat", epoch.Unix()+11), 401},
		{"scope of another", es("scope", "accounts-admin"), 403},
		{"no scope", es("scope", nil), 403},
		{"scope in another case", es("scope", "ACCOUNTS"), 403},
		{"Scope", es("scope", nil, "Scope", "accounts"), 403},
		{"scope with a quote", es("scope", `accounts "x"`), 401},
		{"claims twice", i.sign(jose.ES256, "ec", ec, strings.Replace(string(payload), `{`, `{"aud":"x",`, 1)), 401},
		{"claims an array", i.sign(jose.ES256, "ec", ec, `[]`), 401},
		{"claims not UTF-8", i.sign(jose.ES256, "ec", ec, strings.Replace(string(payload), "alice", "\xff", 1)), 401},
		{"bound to an unknown thing", es("cnf", map[string]any{"kid": "x"}), 401},
		{"bound to nothing known", es("cnf", map[string]any{}), 401},
	} {
		got := i.try(guard, row.token, "accounts")
		if got.Code != row.status {
			t.Errorf("%s: %d, want %d: %s", row.name, got.Code, row.status, got.Body)
		}
		if row.status == 200 && got.Body.String() != "client tpp" {
			t.Errorf("%s: %s", row.name, got.Body)
		}
	}
}

// TestPlainJWT: for an issuer whose access tokens say JWT, the claims keep its
// other tokens out.
func TestPlainJWT(t *testing.T) {
	i := newIDP(t, nil)
	config := i.config()
	config.Types, config.Algs = []string{"JWT"}, []string{"RS256"}
	guard := i.guard(config)
	rs := func(changes ...any) string {
		return i.sign(jose.RS256, "rsa", testkeys.RSA(1), i.claims(changes...), "typ", "JWT")
	}
	for _, row := range []struct {
		name, token string
		status      int
	}{
		{"Keycloak's", rs("typ", "Bearer", "azp", "tpp", "client_id", nil), 200},
		{"without a type claim", rs(), 200},
		{"for DPoP", rs("typ", "DPoP"), 200},
		{"Cognito's", rs("token_use", "access"), 200},
		{"an ID token by its type", rs("typ", "ID"), 401},
		{"a refresh token", rs("typ", "Refresh"), 401},
		{"a logout token", rs("events", map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}), 401},
		{"an ID token by at_hash", rs("at_hash", "x"), 401},
		{"an ID token by c_hash", rs("c_hash", "x"), 401},
		{"Cognito's ID token", rs("token_use", "id"), 401},
		{"at+jwt, which is not listed", i.sign(jose.RS256, "rsa", testkeys.RSA(1), i.claims()), 401},
	} {
		if got := i.try(guard, row.token, "accounts"); got.Code != row.status {
			t.Errorf("%s: %d, want %d: %s", row.name, got.Code, row.status, got.Body)
		}
	}
}

// TestDiscovery: keys are taken from the configured issuer or not at all, and a
// token cannot help it.
func TestDiscovery(t *testing.T) {
	for name, row := range map[string]struct {
		change func(map[string]any)
		want   string
	}{
		"good":              {nil, ""},
		"another issuer":    {func(m map[string]any) { m["issuer"] = "https://evil.example" }, `of issuer "https://evil.example"`},
		"a slash more":      {func(m map[string]any) { m["issuer"] = m["issuer"].(string) + "/" }, "of issuer"},
		"no issuer":         {func(m map[string]any) { delete(m, "issuer") }, `of issuer ""`},
		"Issuer":            {func(m map[string]any) { m["Issuer"] = m["issuer"]; delete(m, "issuer") }, `of issuer ""`},
		"keys over http":    {func(m map[string]any) { m["jwks_uri"] = "http://keys.example/jwks" }, "does not begin with https://"},
		"keys from a file":  {func(m map[string]any) { m["jwks_uri"] = "file:///etc/passwd" }, "is not an absolute URL"},
		"keys that are not": {func(m map[string]any) { m["jwks_uri"] = m["issuer"].(string) + "/nowhere" }, "answered 404"},
		"HTML for keys":     {func(m map[string]any) { m["jwks_uri"] = m["issuer"].(string) + "/html" }, "not JSON"},
		"a redirect":        {func(m map[string]any) { m["jwks_uri"] = m["issuer"].(string) + "/moved" }, "answered 302"},
	} {
		t.Run(name, func(t *testing.T) {
			i := newIDP(t, nil)
			mux := i.Config.Handler.(*http.ServeMux)
			mux.HandleFunc("/html", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) })
			mux.Handle("/moved", http.RedirectHandler("/jwks", http.StatusFound))
			i.metadata = row.change
			guard := i.guard(i.config())
			err := guard.Ready(t.Context())
			if row.want == "" && err != nil || row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)) {
				t.Errorf("%v, want %q", err, row.want)
			}
			want := http.StatusOK
			if row.want != "" {
				want = http.StatusServiceUnavailable
			}
			if got := i.try(guard, i.good(), "accounts"); got.Code != want || want == 503 && got.Header().Get("WWW-Authenticate") != "" {
				t.Errorf("a token: %d %s, want %d", got.Code, got.Body, want)
			}
		})
	}
	t.Run("another CA", func(t *testing.T) {
		i := newIDP(t, nil)
		config := i.config()
		config.Roots = x509.NewCertPool()
		if err := i.guard(config).Ready(t.Context()); err == nil || !errors.As(err, new(*tls.CertificateVerificationError)) {
			t.Errorf("%v", err)
		}
	})
}

// TestDiscoveryElsewhere: a document by RFC 8414, for an issuer with a path.
func TestDiscoveryElsewhere(t *testing.T) {
	i := newIDP(t, nil)
	mux := i.Config.Handler.(*http.ServeMux)
	mux.HandleFunc("/.well-known/oauth-authorization-server/t/one", i.document)
	i.metadata = func(m map[string]any) { m["issuer"] = i.URL + "/t/one" }
	config := i.config()
	config.Issuer += "/t/one"
	guard := i.guard(config)
	if got := i.try(guard, i.sign(jose.ES256, "ec", testkeys.P256(1), i.claims("iss", config.Issuer)), "accounts"); got.Code != 200 {
		t.Errorf("%d %s, %v", got.Code, got.Body, guard.Ready(t.Context()))
	}
}

// TestKeysAreCached: one fetch for everybody, another for a key that is not known,
// but not for each that somebody invents; a copy while the issuer is away.
func TestKeysAreCached(t *testing.T) {
	i := newIDP(t, nil)
	guard := i.guard(i.config())
	i.hold = make(chan struct{})
	var group sync.WaitGroup
	var good atomic.Int64
	token := i.good()
	for range 50 {
		group.Go(func() {
			if i.try(guard, token, "accounts").Code == 200 {
				good.Add(1)
			}
		})
	}
	for i.fetches.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	close(i.hold)
	group.Wait()
	if good.Load() != 50 || i.fetches.Load() != 1 {
		t.Fatalf("%d of 50 with %d fetches", good.Load(), i.fetches.Load())
	}
	next := i.sign(jose.ES256, "next", testkeys.P256(2), i.claims())
	for range 20 {
		if got := i.try(guard, next, "accounts"); got.Code != 401 {
			t.Fatalf("a key that is not published: %d", got.Code)
		}
	}
	if i.fetches.Load() != 1 {
		t.Errorf("%d fetches within the cool-down", i.fetches.Load())
	}
	i.set(func() { i.hold, i.keys["next"] = nil, testkeys.P256(2).Public() })
	i.pass(10 * time.Second)
	if got := i.try(guard, next, "accounts"); got.Code != 200 || i.fetches.Load() != 2 {
		t.Errorf("a new key: %d after %d fetches", got.Code, i.fetches.Load())
	}

	i.set(func() { i.down = true })
	i.pass(59 * time.Minute)
	if got := i.try(guard, i.sign(jose.ES256, "ec", testkeys.P256(1), i.claims("exp", epoch.Add(3*time.Hour).Unix())), "accounts"); got.Code != 200 {
		t.Errorf("while the issuer is away: %d %s", got.Code, got.Body)
	}
	if got := i.try(guard, i.sign(jose.ES256, "newest", testkeys.P256(3), i.claims()), "accounts"); got.Code != 503 {
		t.Errorf("a key that cannot be looked for: %d", got.Code)
	}
	i.pass(2 * time.Minute)
	late := i.sign(jose.ES256, "ec", testkeys.P256(1), i.claims("exp", epoch.Add(3*time.Hour).Unix()))
	if got := i.try(guard, late, "accounts"); got.Code != 503 {
		t.Errorf("when it is away for too long: %d", got.Code)
	}
	i.set(func() {
		i.down = false
		maps.DeleteFunc(i.keys, func(kid string, _ crypto.PublicKey) bool { return kid == "ec" })
	})
	i.pass(10 * time.Second)
	if got := i.try(guard, late, "accounts"); got.Code != 401 {
		t.Errorf("a key that is gone: %d", got.Code)
	}
}

// TestCertificateMustBeGoodStill: a token names a certificate, whose dates count.
func TestCertificateMustBeGoodStill(t *testing.T) {
	i := newIDP(t, nil)
	guard := i.guard(i.config())
	tpp := servertest.Start(t).TPP("tpp")
	token := i.sign(jose.ES256, "ec", testkeys.P256(1), i.claims("cnf", map[string]any{"x5t#S256": mtls.Thumbprint(tpp.Transport[0])}, "exp", epoch.AddDate(30, 0, 0).Unix(), "iat", 0))
	for name, row := range map[string]struct {
		at     time.Time
		status int
	}{
		"now":    {tpp.Transport[0].NotBefore.Add(time.Minute), 200},
		"before": {tpp.Transport[0].NotBefore.Add(-time.Minute), 401},
		"after":  {tpp.Transport[0].NotAfter.Add(time.Minute), 401},
	} {
		i.set(func() { i.now = row.at })
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, "https://api.example.com/accounts", nil)
		r.TLS = &tls.ConnectionState{PeerCertificates: tpp.Transport}
		r.Header.Set("Authorization", "Bearer "+token)
		if _, ok := guard.Admit(w, r, "accounts"); ok != (row.status == 200) || w.Code != row.status {
			t.Errorf("%s: %t, %d %s", name, ok, w.Code, w.Body)
		}
	}
}
