package server_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ocsp"

	"github.com/fapid/fapid/certs"
	"github.com/fapid/fapid/server/servertest"
)

var ocspHeader = http.Header{"Content-Type": {"application/ocsp-request"}}

// ocspStatus asks in a way and reads the answer; want is what a verifier finds.
func ocspStatus(t *testing.T, s *servertest.Server, answer servertest.Answer, want int) {
	t.Helper()
	if answer.Status != http.StatusOK || answer.Header.Get("Content-Type") != "application/ocsp-response" {
		t.Fatalf("answered %s %v", answer, answer.Header)
	}
	response, err := ocsp.ParseResponse([]byte(answer.Body), s.CA().Issuing())
	if err != nil || response.Status != want {
		t.Fatalf("%+v %v, want status %d", response, err, want)
	}
}

func TestOCSP(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	tpp, plain := s.TPP("tpp"), holder(t, s, nil)
	leaf := tpp.Transport[0]
	if want := s.Issuer + "/ocsp"; len(leaf.OCSPServer) != 1 || leaf.OCSPServer[0] != want {
		t.Errorf("the certificate says that OCSP is at %v, not %s", leaf.OCSPServer, want)
	}
	der, err := ocsp.CreateRequest(leaf, s.CA().Issuing(), nil)
	if err != nil {
		t.Fatal(err)
	}
	text := base64.StdEncoding.EncodeToString(der)
	everywhere := func(want int) {
		t.Helper()
		for _, base := range []string{s.Issuer, s.MTLS, s.Admin} {
			ocspStatus(t, s, exchange(t, s, plain, http.MethodPost, base+"/ocsp", ocspHeader, string(der)), want)
			for _, path := range []string{text, url.QueryEscape(text), url.PathEscape(text), strings.ReplaceAll(text, "=", "%3d")} {
				answer := exchange(t, s, plain, http.MethodGet, base+"/ocsp/"+path, nil, "")
				ocspStatus(t, s, answer, want)
				if got := answer.Header.Get("Cache-Control"); got != "public, max-age=1, no-transform, must-revalidate" {
					t.Errorf("Cache-Control of GET: %s", got)
				}
			}
		}
	}
	everywhere(ocsp.Good)
	if err := s.CA().Revoke(context.Background(), certs.SerialOf(leaf), certs.ReasonKeyCompromise); err != nil {
		t.Fatal(err)
	}
	everywhere(ocsp.Revoked) // at once
	s.Restart()
	everywhere(ocsp.Revoked)
	if answer := exchange(t, s, plain, http.MethodPost, s.Issuer+"/ocsp", ocspHeader, string(der)); answer.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("Cache-Control of POST: %s", answer.Header.Get("Cache-Control"))
	}
}

// TestBadOCSPRequests: what cannot be answered is refused in OCSP's own words, and
// what is no OCSP at all in HTTP's; never with a 5xx.
func TestBadOCSPRequests(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	client := holder(t, s, nil)
	malformed := string([]byte{0x30, 3, 0x0a, 1, 1})
	der, err := ocsp.CreateRequest(s.TPP("tpp").Transport[0], s.CA().Issuing(), nil)
	if err != nil {
		t.Fatal(err)
	}
	text := base64.StdEncoding.EncodeToString(der)
	many := bytes.Repeat(der, 30) // not even one request
	for _, base := range []string{s.Issuer, s.MTLS, s.Admin} {
		for name, body := range map[string]string{
			"empty": "", "text": "hello", "many": string(many), "huge": strings.Repeat("0", 60<<10), "base64": text,
		} {
			answer := exchange(t, s, client, http.MethodPost, base+"/ocsp", ocspHeader, body)
			if answer.Status != http.StatusOK || answer.Body != malformed {
				t.Errorf("POST %s: %s", name, answer)
			}
			if base == s.Admin {
				continue // keeps its traces apart
			}
			event := s.Explain(answer)
			if check, failed := event.Failed(); !failed || check.Name != "OCSP request" {
				t.Errorf("POST %s: the trace says %+v", name, check)
			}
		}
		for _, path := range []string{"x", "%00", text + "x", text[:len(text)-4], strings.Repeat("A", 8<<10)} {
			answer := exchange(t, s, client, http.MethodGet, base+"/ocsp/"+path, nil, "")
			if answer.Status != http.StatusOK || answer.Body != malformed || answer.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("GET %.60s: %s %s", path, answer, answer.Header.Get("Cache-Control"))
			}
		}
		for _, row := range []struct {
			method, path string
			header       http.Header
			body         string
			status       int
		}{
			{http.MethodPost, "/ocsp", servertest.Form, string(der), http.StatusUnsupportedMediaType},
			{http.MethodPost, "/ocsp", nil, string(der), http.StatusUnsupportedMediaType},
			{http.MethodPost, "/ocsp", ocspHeader, strings.Repeat("0", 70<<10), http.StatusRequestEntityTooLarge},
			{http.MethodGet, "/ocsp", nil, "", http.StatusMethodNotAllowed},
			{http.MethodPut, "/ocsp/" + text, nil, "", http.StatusMethodNotAllowed},
			{http.MethodPost, "/ocsp/" + url.PathEscape(text), nil, "", http.StatusMethodNotAllowed},
			{http.MethodGet, "/ocsp/", nil, "", http.StatusNotFound},
		} {
			if answer := exchange(t, s, client, row.method, base+row.path, row.header, row.body); answer.Status != row.status {
				t.Errorf("%s %.60s: %s, want %d", row.method, row.path, answer, row.status)
			}
		}
	}
	// Only there may a path be escaped that need not be, if it leads nowhere else.
	for _, path := range []string{"/ocsp/" + url.PathEscape("../token"), "/%74oken", "/jwks%2f", "/%6fcsp", "/bank/accounts/1%30001"} {
		if answer := exchange(t, s, client, http.MethodGet, s.Issuer+path, nil, ""); answer.Status != http.StatusNotFound {
			t.Errorf("%s: %s", path, answer)
		}
	}
}

// TestOpenSSLOCSP asks as an operations team would.
func TestOpenSSLOCSP(t *testing.T) {
	t.Parallel()
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	s := servertest.Start(t)
	tpp, other := s.TPP("tpp"), s.TPP("other")
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	writeFile(t, path("root.pem"), certs.CertificatePEM(s.CA().Root()))
	writeFile(t, path("issuing.pem"), certs.CertificatePEM(s.CA().Issuing()))
	writeFile(t, path("tpp.pem"), certs.CertificatePEM(tpp.Transport[0]))
	writeFile(t, path("other.pem"), certs.CertificatePEM(other.Transport[0]))
	if err := s.CA().Revoke(context.Background(), certs.SerialOf(other.Transport[0]), certs.ReasonSuperseded); err != nil {
		t.Fatal(err)
	}
	// At the operator's listener, because it sends no server name with https, and
	// answers for one host are not given to those who may have asked another.
	out, err := exec.CommandContext(t.Context(), openssl, "ocsp", "-url", s.Admin+"/ocsp", "-CAfile", path("root.pem"), "-issuer", path("issuing.pem"),
		"-cert", path("tpp.pem"), "-cert", path("other.pem"), "-serial", "1").CombinedOutput()
	text := string(out)
	if err != nil || !strings.Contains(text, "Response verify OK") || strings.Contains(text, "WARNING") ||
		!strings.Contains(text, "tpp.pem: good") || !strings.Contains(text, "other.pem: revoked") || !strings.Contains(text, "Reason: superseded") || !strings.Contains(text, "1: unknown") {
		t.Errorf("%v\n%s", err, text)
	}
}
