package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fapid/fapid/testkeys"
)

// begun is from when the tests count dates, so that no midnight comes between the one
// that is issued and the one that is wanted.
var begun = time.Now()

// fakeServer is an authorization server as the doctor sees it: two listeners
// and some metadata. A test changes what it is about before serve.
type fakeServer struct {
	ca             *authority
	standard, mtls *tls.Config
	path           string // of the issuer
	contentType    string // of the metadata
	date           string // of the metadata; empty means now
	metadata       func(s *fakeServer) map[string]any
	token          http.HandlerFunc
	override       http.HandlerFunc // takes the place of answer if set

	standardAddr, mtlsAddr string
}

var gcmOnly = []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384}

// goodServer does everything right.
func goodServer(t *testing.T) *fakeServer {
	t.Helper()
	s := &fakeServer{ca: testAuthority(t), contentType: "application/json"}
	config := func() *tls.Config {
		return &tls.Config{
			Certificates: []tls.Certificate{sandbox.server},
			MinVersion:   tls.VersionTLS12,
			CipherSuites: gcmOnly,
			NextProtos:   []string{"h2", "http/1.1"},
		}
	}
	s.standard, s.mtls = config(), config()
	s.mtls.ClientAuth = tls.RequestClientCert
	s.mtls.SessionTicketsDisabled = true
	s.metadata = goodMetadata
	s.token = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		io.WriteString(w, `{"error":"invalid_request","error_description":"grant_type is missing"}`)
	}
	return s
}

func (s *fakeServer) issuer() string { return "https://" + s.standardAddr + s.path }

var endpointPaths = []string{
	"token_endpoint", "revocation_endpoint", "introspection_endpoint",
	"registration_endpoint", "userinfo_endpoint", "pushed_authorization_request_endpoint",
}

func goodMetadata(s *fakeServer) map[string]any {
	aliases := map[string]any{}
	m := map[string]any{
		"issuer":                 s.issuer(),
		"jwks_uri":               s.issuer() + "/jwks",
		"authorization_endpoint": s.issuer() + "/authorize",
		"tls_client_certificate_bound_access_tokens": true,
		"mtls_endpoint_aliases":                      aliases,
	}
	for _, endpoint := range endpointPaths {
		m[endpoint] = s.issuer() + "/" + endpoint
		aliases[endpoint] = "https://" + s.mtlsAddr + "/" + endpoint
	}
	return m
}

func (s *fakeServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.override != nil {
		s.override(w, r)
		return
	}
	s.answer(w, r)
}

// answer is called by many requests at once: it writes nothing of s.
func (s *fakeServer) answer(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == s.path+openIDSuffix, r.URL.Path == oauthSuffix+s.path:
		w.Header().Set("Content-Type", s.contentType)
		if s.date != "" {
			w.Header().Set("Date", s.date)
		}
		if err := json.NewEncoder(w).Encode(s.metadata(s)); err != nil {
			panic(err)
		}
	case strings.HasSuffix(r.URL.Path, "/token_endpoint"):
		s.token(w, r)
	default:
		http.NotFound(w, r)
	}
}

func (s *fakeServer) serve(t *testing.T) {
	t.Helper()
	listen := func() net.Listener {
		inner, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return inner
	}
	standard, mtls := listen(), listen()
	s.standardAddr, s.mtlsAddr = standard.Addr().String(), mtls.Addr().String()
	for listener, config := range map[net.Listener]*tls.Config{standard: s.standard, mtls: s.mtls} {
		server := &http.Server{Handler: s, TLSConfig: config.Clone(), ErrorLog: log.New(io.Discard, "", 0)}
		if !slices.Contains(config.NextProtos, "h2") {
			server.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){}
		}
		go func() { _ = server.ServeTLS(listener, "", "") }()
		t.Cleanup(func() { server.Close() })
	}
}

// examine runs the doctor with a good certificate; change may alter options.
func (s *fakeServer) examine(t *testing.T, change func(*Options)) Report {
	t.Helper()
	client := s.ca.client(t, testkeys.RSA(4), nil)
	opt := Options{
		URL:      s.issuer(),
		CAFile:   writePEM(t, "ca.pem", certificateBlocks(s.ca.root)...),
		CertFile: writePEM(t, "client.pem", certificateBlocks(client, s.ca.issuing)...),
		KeyFile:  writePEM(t, "client.key", keyBlock(t, testkeys.RSA(4))),
		Timeout:  time.Minute, // milliseconds, where a machine does nothing else
	}
	if change != nil {
		change(&opt)
	}
	report, err := Examine(context.Background(), opt)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// lines prints findings one per line, without what changes from run to run.
func (s *fakeServer) lines(findings []Finding) []string {
	var lines []string
	for _, f := range findings {
		lines = append(lines, s.stable(fmt.Sprintf("%s | %s | %s | %s", f.Status, f.On, f.Name, f.Found)))
	}
	return lines
}

func (s *fakeServer) stable(line string) string {
	pairs := []string{day(begun.Add(-time.Hour)), "START", day(begun.Add(90*24*time.Hour + 12*time.Hour)), "END"}
	if s.standardAddr != "" {
		pairs = append(pairs, s.standardAddr, "std", s.mtlsAddr, "mtls")
	}
	return strings.NewReplacer(pairs...).Replace(line)
}

// Findings that come together with others.
const (
	skipCertificate = "skip | your certificate | certificate | none given; use --cert and --key to have it checked and tried"
	skipIssuer      = "skip | discovery | issuer | no metadata"
	skipAliases     = "skip | discovery | mTLS aliases | no metadata"
	skipAliasRules  = "skip | discovery | mTLS alias rules | no mtls_endpoint_aliases"
	skipNoMTLS      = "skip | discovery | mTLS aliases | none, and no mTLS announced"
	skipTickets     = "skip | mtls | session tickets | no request was answered here"
)

// troubles are the lines of everything that is not fine.
func (s *fakeServer) troubles(r Report) []string {
	var bad []Finding
	for _, f := range r.Findings {
		if f.Status != OK {
			bad = append(bad, f)
		}
	}
	return s.lines(bad)
}

func wantLines(t *testing.T, got []string, want ...string) {
	t.Helper()
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("got\n%s\n\nwant\n%s", g, w)
	}
}

func findingNamed(t *testing.T, r Report, on, name string) Finding {
	t.Helper()
	for _, f := range r.Findings {
		if f.Name == name && (on == "" || f.On == on) {
			return f
		}
	}
	t.Fatalf("no finding %q on %q in %+v", name, on, r.Findings)
	return Finding{}
}

func expired(c *x509.Certificate) {
	c.NotBefore, c.NotAfter = begun.Add(-48*time.Hour), begun.Add(-36*time.Hour)
}
