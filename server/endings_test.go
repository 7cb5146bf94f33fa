package server_test

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/server"
	"github.com/fapid/fapid/server/participant"
	"github.com/fapid/fapid/server/servertest"
)

const day = 24 * time.Hour

// expiresIn is the announcement of an answer in days; -1 for none.
func expiresIn(t *testing.T, answer servertest.Answer) int {
	t.Helper()
	text := answer.Header.Get("Fapid-Cert-Expires-In")
	if text == "" {
		return -1
	}
	seconds, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("Fapid-Cert-Expires-In: %s", text)
	}
	return seconds / int(day/time.Second)
}

// TestEndIsAnnounced: a client is told, wherever it presents a certificate that ends
// within 30 days, and the operator too.
func TestEndIsAnnounced(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	defer s.Clock.Freeze()()
	tpp := s.TPP("tpp")
	stranger := holder(t, s, tpp.TransportKey, tpp.Transport...) // the certificate, and no client_id
	metric := func() string {
		for line := range strings.Lines(s.Do(http.DefaultClient, http.MethodGet, s.Admin+"/metrics", nil, "").Body) {
			if strings.HasPrefix(line, `fapid_certificate_days_left{kind="client"`) {
				return strings.TrimSpace(line)
			}
		}
		return ""
	}
	const warning = "a client certificate ends soon"
	if answer := tpp.Post("token_endpoint", map[string][]string{"grant_type": {"client_credentials"}}); expiresIn(t, answer) != -1 || metric() != "" {
		t.Errorf("announced a year ahead: %v, %s", answer.Header, metric())
	}
	s.Clock.Move(335*day - time.Minute)
	if answer := tpp.Post("token_endpoint", map[string][]string{"grant_type": {"client_credentials"}}); expiresIn(t, answer) != -1 {
		t.Errorf("announced more than 30 days ahead: %v", answer.Header)
	}
	s.Clock.Move(5 * day)
	if answer := s.Do(stranger, http.MethodGet, s.MTLS+"/jwks", nil, ""); expiresIn(t, answer) != 25 {
		t.Errorf("to whoever has it: %v", answer.Header)
	}
	if s.Log.Count(warning) != 0 {
		t.Error("a stranger's certificate is in the log")
	}
	for range 3 {
		answer := tpp.Post("token_endpoint", map[string][]string{"grant_type": {"client_credentials"}})
		if expiresIn(t, answer) != 25 {
			t.Errorf("%v", answer.Header)
		}
		if event := s.Explain(answer); event.CertificateLeft < 25*day || event.CertificateLeft > 26*day {
			t.Errorf("the trace says %v", event.CertificateLeft)
		}
	}
	eventually(t, "a warning", func() bool { return s.Log.Count(warning) == 1 })
	if line := metric(); !strings.HasPrefix(line, `fapid_certificate_days_left{kind="client",name="tpp"} 25.`) {
		t.Errorf("metric %q", line)
	}
	s.Clock.Move(day)
	if answer := tpp.Post("token_endpoint", map[string][]string{"grant_type": {"client_credentials"}}); expiresIn(t, answer) != 24 {
		t.Errorf("a day later: %v", answer.Header)
	}
	eventually(t, "another warning", func() bool { return s.Log.Count(warning) == 2 })

	// A renewed certificate is announced to nobody, and the old one is forgotten.
	tpp.Renew()
	if answer := tpp.Post("token_endpoint", map[string][]string{"grant_type": {"client_credentials"}}); answer.Status != http.StatusOK || expiresIn(t, answer) != -1 {
		t.Errorf("renewed: %s %v", answer, answer.Header)
	}
	s.Clock.Move(day)
	if line := metric(); line != "" {
		t.Errorf("metric of a certificate that nobody presents: %s", line)
	}
	// One that has ended is refused, and that is announcement enough.
	s.Clock.Move(30 * day)
	if answer := s.Do(stranger, http.MethodPost, s.MTLS+"/token", servertest.Form, "grant_type=client_credentials&client_id=tpp"); answer.Status != http.StatusUnauthorized || expiresIn(t, answer) != -1 {
		t.Errorf("ended: %s %v", answer, answer.Header)
	}
	if answer := s.Do(tpp.HTTP, http.MethodGet, s.Issuer+"/jwks", nil, ""); expiresIn(t, answer) != -1 {
		t.Errorf("on the listener that asks for none: %v", answer.Header)
	}
}

// TestSandboxRenews: `fapid dev` renews what it made itself, in time, and keeps the
// keys; what was revoked or replaced stays as it is.
func TestSandboxRenews(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var clock servertest.Clock
	open := func() *server.Server {
		t.Helper()
		config, err := server.LoadSandbox(dir, nil, server.Doors{Host: "localhost", Port: 8443, MTLSPort: 8444, DirectoryPort: 8445, AdminPort: 9000})
		if err != nil {
			t.Fatal(err)
		}
		s, err := server.OpenSandbox(context.Background(), config, "fapid", server.Options{Version: "test", AllowTestKeys: true, Now: clock.Now}, func(string) {})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	load := func(id string) *participant.Participant {
		t.Helper()
		p, err := participant.Load(filepath.Join(dir, "clients", id))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	s := open()
	revoked := load("tpp-san")
	if err := s.CA().Revoke(t.Context(), revoked.Transport[0].SerialNumber.Text(16), 0); err != nil {
		t.Fatal(err)
	}
	clients := []string{"tpp-tls", "tpp-self-signed", "tpp-jwt-es256", "strict-tls"}
	before := map[string]*participant.Participant{}
	for _, id := range clients {
		before[id] = load(id)
	}
	servers := func() (keys, certificates []string) {
		for _, pair := range s.ServerCertificates() {
			keys = append(keys, string(pair.RawSubjectPublicKeyInfo))
			certificates = append(certificates, mtls.Thumbprint(pair))
		}
		return keys, certificates
	}
	keysBefore, certificatesBefore := servers()

	renewed := func(when string) {
		t.Helper()
		for _, id := range clients {
			old, p := before[id], load(id)
			for _, chains := range [][2][]*x509.Certificate{{old.Transport, p.Transport}, {old.Signing, p.Signing}} {
				if len(chains[0]) == 0 {
					continue
				}
				was, is := chains[0][0], chains[1][0]
				if !is.NotAfter.After(was.NotAfter) || !slices.Equal(is.RawSubjectPublicKeyInfo, was.RawSubjectPublicKeyInfo) || !slices.Equal(is.RawSubject, was.RawSubject) || !slices.Equal(is.DNSNames, was.DNSNames) {
					t.Errorf("%s: %s was not renewed, or with another key or name", when, id)
				}
			}
			realm := "default"
			if id == "strict-tls" {
				realm = "strict"
			}
			client, _ := s.Clients(realm).Get(id)
			var set struct {
				Keys []struct {
					Thumbprint string `json:"x5t#S256"`
				} `json:"keys"`
			}
			if err := json.Unmarshal(client.Metadata.JWKS, &set); err != nil || set.Keys[0].Thumbprint != mtls.Thumbprint(p.Signing[0]) {
				t.Errorf("%s: %s is registered with %s", when, id, client.Metadata.JWKS)
			}
			if id == "tpp-self-signed" && set.Keys[1].Thumbprint != mtls.Thumbprint(p.Transport[0]) {
				t.Errorf("%s: the self-signed certificate is not registered", when)
			}
			before[id] = p
		}
		if got := load("tpp-san"); mtls.Thumbprint(got.Transport[0]) != mtls.Thumbprint(revoked.Transport[0]) {
			t.Errorf("%s: a certificate that was revoked has been renewed", when)
		}
		keys, certificates := servers()
		if !slices.Equal(keys, keysBefore) || slices.Equal(certificates, certificatesBefore) {
			t.Errorf("%s: the server's certificates were not renewed, or with other keys", when)
		}
		certificatesBefore = certificates
	}
	// While it runs.
	clock.Move(330 * day)
	server.EveryMinute(s, t.Context())
	if got := load("tpp-tls"); mtls.Thumbprint(got.Transport[0]) != mtls.Thumbprint(before["tpp-tls"].Transport[0]) {
		t.Error("renewed 35 days ahead")
	}
	clock.Move(40 * day) // server certificates last 397 days
	server.EveryMinute(s, t.Context())
	renewed("running")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	// At the next start.
	clock.Move(370 * day)
	s = open()
	defer func() { _ = s.Close() }()
	renewed("started again")
}
