package admin

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/fapid/fapid/certs"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/token"
)

const tppYAML = `
token_endpoint_auth_method: tls_client_auth
tls_client_auth_subject_dn: CN=tpp,O=Example,C=GB
grant_types: [client_credentials]
scope: accounts
`

func TestClientRoundTrip(t *testing.T) {
	o := newOperated(t)
	c, ctx := o.client(), t.Context()
	for _, id := range []string{"tpp", "https://tpp.example/a?b#c", "..", "a%2Fb"} {
		text, created, err := c.PutClient(ctx, "", id, []byte(tppYAML))
		if err != nil || !created {
			t.Fatalf("%s: created %v, %v", id, created, err)
		}
		if _, created, err = c.PutClient(ctx, "default", "", text); err != nil || created {
			t.Fatalf("%s again, as JSON: created %v, %v", id, created, err)
		}
		shown, err := c.Client(ctx, "", id, false)
		if err != nil || string(shown) != string(text) {
			t.Fatalf("%s: shown %s, %v", id, shown, err)
		}
	}
	page, err := c.Clients(ctx, "")
	if err != nil || len(page.Clients) != 4 {
		t.Fatalf("%+v, %v", page, err)
	}
	if err := c.DeleteClient(ctx, "", "a%2Fb"); err != nil {
		t.Fatal(err)
	}
	wantRefusal(t, c.DeleteClient(ctx, "", "a%2Fb"), http.StatusNotFound, "not_found")
	_, err = c.Client(ctx, "elsewhere", "tpp", false)
	wantRefusal(t, err, http.StatusNotFound, "not_found")
}

type clientPage struct {
	ClientList
	Next string `json:"next"`
}

func TestClientListIsPaged(t *testing.T) {
	o := newOperated(t)
	for _, id := range []string{"a", "b", "c"} {
		if _, _, err := o.client().PutClient(t.Context(), "", id, []byte(tppYAML)); err != nil {
			t.Fatal(err)
		}
	}
	w := o.request(t, http.MethodGet, "/realms/default/clients?limit=2", "")
	first := decodeBody[clientPage](t, w.Body)
	w = o.request(t, http.MethodGet, "/realms/default/clients?limit=2&cursor="+first.Next, "")
	second := decodeBody[clientPage](t, w.Body)
	if len(first.Clients) != 2 || first.Next == "" || len(second.Clients) != 1 || second.Next != "" {
		t.Fatalf("%+v, %+v", first, second)
	}
	for _, bad := range []string{"limit=0", "limit=1001", "limit=x", "limit=1&limit=2", "sort=id", "limit=%zz", "cursor=b", "after=b"} {
		wantStatus(t, o.request(t, http.MethodGet, "/realms/default/clients?"+bad, ""), http.StatusBadRequest)
	}
}

func TestClientBodyIsChecked(t *testing.T) {
	o := newOperated(t)
	put := func(media, body string) int {
		return o.request(t, http.MethodPut, "/realms/default/clients/tpp", body,
			"Authorization", "Bearer "+operatorKey, "Content-Type", media).Code
	}
	for body, status := range map[string]int{
		`{"client_id":"other","token_endpoint_auth_method":"tls_client_auth","tls_client_auth_san_dns":"a.example",` +
			`"grant_types":["client_credentials"],"scope":"accounts"}`: http.StatusBadRequest,
		`{"client_idd":"tpp"}`: http.StatusBadRequest,
		`not json`:             http.StatusBadRequest,
		``:                     http.StatusBadRequest,
		`{"client_name":"` + strings.Repeat("x", 1<<17) + `"}`: http.StatusRequestEntityTooLarge,
	} {
		if got := put("application/json", body); got != status {
			t.Errorf("%.40s: %d, want %d", body, got, status)
		}
	}
	for _, media := range []string{"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"} {
		if got := put(media, tppYAML); got != http.StatusUnsupportedMediaType {
			t.Errorf("%q: %d", media, got)
		}
	}
	for _, media := range []string{"application/yaml; charset=utf-8", "application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml"} {
		if got := put(media, tppYAML); got != http.StatusCreated && got != http.StatusOK {
			t.Errorf("%q: %d", media, got)
		}
	}
}

// The secret goes in and never comes out again.
func TestClientSecretIsNotShown(t *testing.T) {
	o := newOperated(t)
	text, _, err := o.client().PutClient(t.Context(), "", "api", []byte(
		`{"client_secret":"verysecret","token_endpoint_auth_method":"client_secret_basic","grant_types":["client_credentials"],"scope":"accounts"}`))
	if err != nil || strings.Contains(string(text), "verysecret") {
		t.Fatalf("%s, %v", text, err)
	}
	var metadata registration.Metadata
	if err := json.Unmarshal(text, &metadata); err != nil || metadata.ClientID != "api" {
		t.Fatalf("%+v, %v", metadata, err)
	}
	if client, _ := o.realm.Clients.Get("api"); !client.CheckSecret("verysecret") {
		t.Error("the secret was not taken")
	}
}

func TestKeysRotate(t *testing.T) {
	o := newOperated(t)
	c, ctx := o.client(), t.Context()
	before := o.realm.Keys.Active("ES256").ID
	keys, err := c.RotateKeys(ctx, "", "ES256")
	if err != nil {
		t.Fatal(err)
	}
	states := map[string]token.State{}
	for _, key := range keys.Keys {
		states[key.ID] = key.State
		if key.Sealed != nil {
			t.Error("a private key is shown")
		}
	}
	if states[before] != token.Retired || o.realm.Keys.Active("ES256").ID == before {
		t.Errorf("states %v", states)
	}
	if _, err := c.RotateKeys(ctx, "", "none"); err == nil {
		t.Error("rotated a key of alg none")
	}
}

func TestCertificateLife(t *testing.T) {
	o := newOperated(t)
	c, ctx := o.client(), t.Context()
	issued, err := c.Issue(ctx, IssueRequest{
		Subject: "CN=tpp,O=Example,C=GB", Owner: "tpp", Key: certs.P256,
		SANs: []string{"tpp.example", "DNS:b.example", "192.0.2.1", "::1", "https://tpp.example/", "URI:urn:x:y", "me@tpp.example"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"DNS:tpp.example", "DNS:b.example", "IP:192.0.2.1", "IP:::1",
		"URI:https://tpp.example/", "URI:urn:x:y", "email:me@tpp.example",
	}
	if !slices.Equal(issued.SANs, want) || issued.Subject != "CN=tpp,O=Example,C=GB" {
		t.Errorf("%s, %v", issued.Subject, issued.SANs)
	}
	files, err := issued.Files("tpp", "fapid")
	if err != nil || len(files) != 3 || files[1].Name != "tpp.key" || files[1].Mode != 0o600 {
		t.Fatalf("%v, %v", files, err)
	}
	renewed, err := c.Renew(ctx, issued.Serial, RenewRequest{})
	if err != nil || renewed.Replaces != issued.Serial || renewed.PrivateKey != "" {
		t.Fatalf("%+v, %v", renewed, err)
	}
	record, err := c.Revoke(ctx, issued.Serial, certs.ReasonKeyCompromise)
	if err != nil || record.Status != certs.StatusRevoked || record.Revoked.Reason != certs.ReasonKeyCompromise {
		t.Fatalf("%+v, %v", record, err)
	}
	page, err := c.Certificates(ctx, certs.Filter{Owner: "tpp", Status: certs.StatusValid})
	if err != nil || len(page.Certificates) != 1 || page.Certificates[0].Serial != renewed.Serial {
		t.Fatalf("%+v, %v", page, err)
	}
}

func TestCSRNamesAreTakenUnlessGiven(t *testing.T) {
	o := newOperated(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "asked"}, DNSNames: []string{"asked.example"},
	}, key)
	if err != nil {
		t.Fatal(err)
	}
	csr := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
	asked, err := o.client().Issue(t.Context(), IssueRequest{CSR: csr})
	if err != nil || asked.Subject != "CN=asked" || !slices.Equal(asked.SANs, []string{"DNS:asked.example"}) || asked.PrivateKey != "" {
		t.Fatalf("%+v, %v", asked, err)
	}
	given, err := o.client().Issue(t.Context(), IssueRequest{CSR: csr, Subject: "CN=given", SANs: []string{"given.example"}})
	if err != nil || given.Subject != "CN=given" || !slices.Equal(given.SANs, []string{"DNS:given.example"}) {
		t.Fatalf("%+v, %v", given, err)
	}
}

func TestCertificateRequestsAreChecked(t *testing.T) {
	o := newOperated(t)
	for _, body := range []string{
		`{}`, `{"subject":"CN=a","subject":"CN=b"}`, `{"Subject":"CN=a"}`, `{"subject":"CN=a","dayz":3}`,
		`{"subject":"nonsense"}`, `{"subject":"CN=a","profile":"root"}`, `{"subject":"CN=a","sans":["IP:x"]}`,
		`{"subject":"CN=a","csr":"x"}`, `[]`, `null`, `{"subject":1}`,
	} {
		w := o.request(t, http.MethodPost, "/certificates", body, "Authorization", "Bearer "+operatorKey, "Content-Type", "application/json")
		if w.Code != http.StatusBadRequest {
			t.Errorf("%s: %d %s", body, w.Code, w.Body)
		}
	}
	wantStatus(t, o.request(t, http.MethodGet, "/certificates?status=odd", ""), http.StatusBadRequest)
	o.CA = nil
	wantStatus(t, o.request(t, http.MethodGet, "/certificates", ""), http.StatusNotFound)
}

func TestHealth(t *testing.T) {
	o := newOperated(t)
	wantStatus(t, o.request(t, http.MethodGet, "/healthz", ""), http.StatusOK)
	wantStatus(t, o.request(t, http.MethodGet, "/readyz", ""), http.StatusOK)
	o.ready = errors.Join(errors.New("store: /var/fapid.db is gone"), errors.New("no CA"))
	wantStatus(t, o.request(t, http.MethodGet, "/healthz", ""), http.StatusOK)
	w := o.request(t, http.MethodGet, "/readyz", "")
	wantStatus(t, w, http.StatusServiceUnavailable)
	if got := decodeBody[readiness](t, w.Body); len(got.Reasons) != 2 {
		t.Errorf("%+v", got)
	}
	o.Open = false
	if w := o.request(t, http.MethodGet, "/readyz", ""); strings.Contains(w.Body.String(), "var") {
		t.Errorf("a stranger learns %s", w.Body)
	}
	if w := o.request(t, http.MethodGet, "/readyz", "", "Authorization", "Bearer "+operatorKey); !strings.Contains(w.Body.String(), "var") {
		t.Errorf("the operator learns only %s", w.Body)
	}
	o.Open = true
	version := decodeBody[map[string]any](t, o.request(t, http.MethodGet, "/version", "").Body)
	if version["version"] != "v1.2.3" || version["uptime_seconds"].(float64) < 3600 {
		t.Errorf("%v", version)
	}
}

func TestMetricsAreReadable(t *testing.T) {
	o := newOperated(t)
	o.request(t, http.MethodGet, "/healthz", "")
	w := o.request(t, http.MethodGet, "/metrics", "")
	wantStatus(t, w, http.StatusOK)
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"fapid_requests_total", "fapid_request_duration_seconds", "fapid_handshake_failures_total",
		"fapid_signing_seconds", "fapid_build_info", "go_goroutines", "process_resident_memory_bytes",
	} {
		if families[name] == nil {
			t.Errorf("%s is missing", name)
		}
	}
}

func TestRealmsListEndpoints(t *testing.T) {
	o := newOperated(t)
	answer := decodeBody[struct{ Realms []RealmView }](t, o.request(t, http.MethodGet, "/realms", "").Body)
	want := []endpointView{
		{Name: "jwks_uri", URL: "https://as.example/jwks"},
		{Name: "token_endpoint", URL: "https://as.example/token", MTLS: "https://mtls.as.example/token"},
	}
	if len(answer.Realms) != 1 || !answer.Realms[0].Default || !slices.Equal(answer.Realms[0].Endpoints, want) {
		t.Errorf("%+v", answer)
	}
}

func parseLeaf(t *testing.T, text []byte) *x509.Certificate {
	t.Helper()
	leaf, err := certs.ParseCertificate(text)
	if err != nil {
		t.Fatal(err)
	}
	return leaf
}

// A request made by hand has its host in the URL only.
func TestInProcessHost(t *testing.T) {
	o := newOperated(t)
	address := &url.URL{Scheme: "http", Host: host, Path: "/healthz"}
	answer, err := InProcess(o.handler).RoundTrip((&http.Request{Method: http.MethodGet, URL: address, Header: http.Header{}}).WithContext(t.Context()))
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%+v, %v", answer, err)
	}
	if err := answer.Body.Close(); err != nil {
		t.Fatal(err)
	}
}
