package admin

import (
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fapid/fapid/certs"
	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/endpoint"
	"github.com/fapid/fapid/server/manage"
	"github.com/fapid/fapid/server/token"
	"github.com/fapid/fapid/server/users"
	"github.com/fapid/fapid/store"
)

const (
	operatorKey = "the-operator-key"
	host        = "localhost:9000"
)

// operated is an operator's listener with one realm and a CA behind it.
type operated struct {
	*Operator
	realm   *manage.Realm
	handler http.Handler
	ready   error
	named   []string // who a certificate request would be
}

func newOperated(t *testing.T) *operated {
	t.Helper()
	ctx := context.Background()
	db, err := store.Open(filepath.Join(t.TempDir(), "db"), store.Options{Ephemeral: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	sealer, err := store.NewSealer(make([]byte, 32), "test")
	if err != nil {
		t.Fatal(err)
	}
	policy := oauth.Policy{
		Name: "sandbox", AuthMethods: []string{oauth.AuthTLS, oauth.AuthSecretBasic},
		TokenAlgs: token.Algs, AccessTokenLifetime: time.Minute, MaxAccessTokenLifetime: time.Hour,
	}
	clients, err := registration.Open(ctx, registration.Config{
		Realm: "default", Store: db, Sealer: sealer, DefaultPolicy: "sandbox", Scopes: oauth.Scope{"accounts", "payments"},
		Policies: func(name string) (*oauth.Policy, bool) { return &policy, name == "sandbox" },
		Grants:   func(grant string) bool { return grant == "client_credentials" },
	})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := token.OpenKeyring(ctx, token.KeyringConfig{
		Realm: "default", Store: db, Sealer: sealer, Now: time.Now, LongestToken: time.Hour, Generate: generate,
	})
	if err != nil {
		t.Fatal(err)
	}
	people, err := users.Open(ctx, "default", db, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := certs.Create(ctx, certs.Config{Dir: filepath.Join(t.TempDir(), "ca"), Store: db}, "Test")
	if err != nil {
		t.Fatal(err)
	}
	apis, err := registration.OpenAPIs(ctx, "default", db, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	access, err := registration.OpenAccessPolicies(ctx, "default", db, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	lists := &endpoint.Lists{Sealer: sealer}
	o := &operated{realm: &manage.Realm{
		Name: "default", Clients: clients, APIs: apis, AccessPolicies: access, Users: people, Keys: keys, Lists: lists,
		Sessions: token.NewSessions("default", db, sealer, time.Now),
		Describe: func() manage.InForce {
			return manage.InForce{Name: "default", Discovery: json.RawMessage(discovery)}
		},
	}}
	o.Operator = &Operator{
		Version: "v1.2.3", Started: time.Now().Add(-time.Hour), Now: time.Now,
		Realms: []Realm{{
			Name: "default", Issuer: "https://as.example", Sandbox: true,
			Discovery: func() []byte { return []byte(discovery) },
		}},
		Lists: lists, ManagedDescription: manage.Description,
		CA: ca, Named: func(mtls.Name, *certs.Subject) []string { return o.named }, Traces: endpoint.NewTraces(50, 50), Metrics: NewMetrics(prometheus.NewRegistry(), "v1.2.3"),
		KeyHash: sha256.Sum256([]byte(operatorKey)), Hosts: []string{"localhost"}, Open: true,
		Ready: func(context.Context) error { return o.ready },
	}
	for _, operation := range manage.Operations([]*manage.Realm{o.realm}) {
		access := Read
		if operation.Changes {
			access = Change
		}
		o.Managed = append(o.Managed, Route{operation.Method, operation.Path, operation.Label, access, operation.Serve})
	}
	o.mount(t)
	return o
}

const discovery = `{
  "issuer": "https://as.example",
  "token_endpoint": "https://as.example/token",
  "jwks_uri": "https://as.example/jwks",
  "grant_types_supported": ["client_credentials"],
  "mtls_endpoint_aliases": {"token_endpoint": "https://mtls.as.example/token"}
}`

// generate makes a key that is quick to make; nothing is signed here.
func generate(string) (crypto.Signer, error) { return token.Generate("ES256") }

// mount serves the operator through the router that the server uses.
func (o *operated) mount(t *testing.T) {
	t.Helper()
	site := &endpoint.Site{Issuer: "http://" + host}
	o.Install(site)
	router := &endpoint.Router{
		Listener: endpoint.Admin, AnyHost: true, Traces: endpoint.NewTraces(8, 8),
		Finished: []func(*oauth.Event){o.Metrics.Observe},
	}
	if err := router.Mount(site); err != nil {
		t.Fatal(err)
	}
	o.handler = router
}

// request sends one request, with headers as name, value pairs.
func (o *operated) request(t *testing.T, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Host = host
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		}
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	o.handler.ServeHTTP(w, r)
	return w
}

// client is what the verbs use.
func (o *operated) client() *Client {
	return &Client{Base: "http://" + host, Key: operatorKey, Transport: InProcess(o.handler)}
}

func wantStatus(t *testing.T, w *httptest.ResponseRecorder, status int) {
	t.Helper()
	if w.Code != status {
		t.Fatalf("status %d, want %d: %s", w.Code, status, w.Body)
	}
}

func decodeBody[T any](t *testing.T, body io.Reader) T {
	t.Helper()
	var value T
	if err := json.NewDecoder(body).Decode(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

func wantRefusal(t *testing.T, err error, status int, code string) {
	t.Helper()
	refusal, ok := errors.AsType[*APIError](err)
	if !ok || refusal.Status != status || refusal.Code != code {
		t.Fatalf("got %v, want %d %s", err, status, code)
	}
}
