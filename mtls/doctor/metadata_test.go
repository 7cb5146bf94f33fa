package doctor

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

// members changes the good metadata.
func members(change func(s *fakeServer, m, aliases map[string]any)) func(*testing.T, *fakeServer) {
	return func(_ *testing.T, s *fakeServer) {
		s.metadata = func(s *fakeServer) map[string]any {
			m := goodMetadata(s)
			change(s, m, m["mtls_endpoint_aliases"].(map[string]any))
			return m
		}
	}
}

// answering makes the server answer everything with one thing.
func answering(status int, contentType, body string) func(*testing.T, *fakeServer) {
	return func(_ *testing.T, s *fakeServer) {
		s.override = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.WriteHeader(status)
			io.WriteString(w, body)
		}
	}
}

// bothDocuments is what is found if each of the two says the same.
func bothDocuments(problem string) string {
	return "fail | discovery | metadata | openid-configuration: " + problem + "; oauth-authorization-server: " + problem
}

func TestMetadata(t *testing.T) {
	t.Parallel()
	runShapes(t, []shape{
		{name: "not an OAuth server", server: answering(404, "text/plain", "404 page not found"), want: []string{bothDocuments("HTTP 404"), skipIssuer, skipAliases}},
		{name: "web page", server: answering(200, "text/html; charset=utf-8", "<!doctype html>"), want: []string{bothDocuments("a web page (HTML), not JSON"), skipIssuer, skipAliases}},
		{name: "web page called JSON", server: answering(200, "application/json", " <html>"), want: []string{bothDocuments("a web page (HTML), not JSON"), skipIssuer, skipAliases}},
		{name: "array", server: answering(200, "application/json", "[]"), want: []string{
			bothDocuments("not a JSON object: json: cannot unmarshal array into Go value of type map[string]json.RawMessage"),
			skipIssuer, skipAliases,
		}},
		{name: "null", server: answering(200, "application/json", "null"), want: []string{bothDocuments("JSON null, not an object"), skipIssuer, skipAliases}},
		{name: "redirect", server: func(_ *testing.T, s *fakeServer) {
			s.override = func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", "https://elsewhere.example/")
				w.WriteHeader(http.StatusFound)
			}
		}, want: []string{bothDocuments("HTTP 302, redirects to https://elsewhere.example/"), skipIssuer, skipAliases}},
		{name: "connection closed", server: func(_ *testing.T, s *fakeServer) {
			s.override = func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
		}, want: []string{bothDocuments("unexpected EOF"), skipIssuer, skipAliases}},
		{name: "empty object", server: answering(200, "application/json", "{}"), want: []string{
			bothDocuments("0 members"),
			"fail | discovery | issuer | no issuer",
			skipNoMTLS, skipAliasRules,
		}},
		{name: "members of odd types", server: answering(200, "application/json",
			`{"issuer":1,"token_endpoint":["x"],"mtls_endpoint_aliases":"y","tls_client_certificate_bound_access_tokens":"z","token_endpoint_auth_methods_supported":{}}`),
			want: []string{
				bothDocuments("5 members"),
				"fail | discovery | issuer | no issuer",
				"warn | discovery | mTLS aliases | none",
				"fail | discovery | mTLS alias rules | mtls_endpoint_aliases is not a JSON object",
			}},
		{name: "other content type", server: func(_ *testing.T, s *fakeServer) { s.contentType = "text/plain" }, want: []string{
			`fail | discovery | metadata | openid-configuration: 11 members; oauth-authorization-server: 11 members; Content-Type "text/plain"`,
		}},
		{name: "documents that differ", server: differing, want: []string{
			"warn | discovery | metadata | openid-configuration: 11 members; oauth-authorization-server: 11 members; they differ in userinfo_endpoint",
		}},
		{name: "other issuer", server: members(func(_ *fakeServer, m, _ map[string]any) { m["issuer"] = "https://as.example" }), want: []string{
			"fail | discovery | issuer | https://as.example",
		}},
		{name: "issuer with a slash at the end", server: members(func(s *fakeServer, m, _ map[string]any) { m["issuer"] = s.issuer() + "/" }), want: []string{
			"warn | discovery | issuer | https://std/",
		}},
		{name: "issuer with a path", server: func(_ *testing.T, s *fakeServer) { s.path = "/tenant/1" }},
	})
}

func TestMetadataFixes(t *testing.T) {
	t.Parallel()
	noCertificate := func(opt *Options) { opt.CertFile, opt.KeyFile = "", "" }
	for want, server := range map[string]func(*testing.T, *fakeServer){
		"Give the issuer's URL":                        answering(404, "text/plain", ""),
		"Add token_endpoint":                           answering(200, "application/json", "{}"),
		"give yours with --cert and --key":             func(_ *testing.T, s *fakeServer) { s.standard.ClientAuth = tls.RequireAnyClientCert },
		"say the same; clients read one or the other.": differing,
	} {
		s := goodServer(t)
		server(t, s)
		s.serve(t)
		if fix := findingNamed(t, s.examine(t, noCertificate), OnDiscovery, "metadata").Fix; !strings.Contains(fix, want) {
			t.Errorf("got %q, want %q", fix, want)
		}
	}

	// With a certificate that the host refuses, the alert says what is wrong.
	s := goodServer(t)
	s.standard.ClientAuth, s.standard.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
	s.serve(t)
	if fix := findingNamed(t, s.examine(t, nil), OnDiscovery, "metadata").Fix; !strings.Contains(fix, "does not trust the issuer") {
		t.Errorf("refused certificate: %q", fix)
	}
}

// differing gives one of the two documents another alias.
func differing(t *testing.T, s *fakeServer) {
	var reads atomic.Int32
	members(func(s *fakeServer, _, aliases map[string]any) {
		if reads.Add(1) == 2 {
			aliases["userinfo_endpoint"] = "https://" + s.mtlsAddr + "/other"
		}
	})(t, s)
}

func TestOneDocumentIsEnough(t *testing.T) {
	t.Parallel()
	for _, missing := range []string{openIDSuffix, oauthSuffix} {
		s := goodServer(t)
		s.override = func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, missing) {
				http.NotFound(w, r)
				return
			}
			s.answer(w, r)
		}
		s.serve(t)
		wantLines(t, s.troubles(s.examine(t, nil)))
	}
}

func TestAliases(t *testing.T) {
	t.Parallel()
	noAliases := members(func(_ *fakeServer, m, _ map[string]any) { delete(m, "mtls_endpoint_aliases") })
	plain := members(func(_ *fakeServer, m, _ map[string]any) {
		delete(m, "mtls_endpoint_aliases")
		delete(m, "tls_client_certificate_bound_access_tokens")
	})
	runShapes(t, []shape{
		{name: "none, and a listener that asks", server: func(t *testing.T, s *fakeServer) {
			noAliases(t, s)
			s.standard = s.mtls
		}, want: []string{
			"warn | discovery | mTLS aliases | none",
			skipAliasRules,
			"warn | std | client certificate requested | yes",
		}},
		{name: "none, and a listener that does not ask", server: noAliases, want: []string{
			"warn | discovery | mTLS aliases | none",
			skipAliasRules,
			"fail | std | client certificate requested | no",
		}},
		{name: "a method is enough to announce mTLS", server: func(t *testing.T, s *fakeServer) {
			members(func(_ *fakeServer, m, _ map[string]any) {
				delete(m, "mtls_endpoint_aliases")
				delete(m, "tls_client_certificate_bound_access_tokens")
				m["token_endpoint_auth_methods_supported"] = []string{"private_key_jwt", "self_signed_tls_client_auth"}
			})(t, s)
			s.standard = s.mtls
		}, option: func(_ *testing.T, _ *fakeServer, opt *Options) { opt.CertFile, opt.KeyFile = "", "" }, want: []string{
			"warn | discovery | mTLS aliases | none",
			skipAliasRules,
			"warn | std | client certificate requested | yes",
			skipCertificate,
		}},
		{name: "server without mTLS", server: plain, want: []string{
			skipNoMTLS, skipAliasRules,
			"warn | std | client certificate requested | no",
		}},
		{name: "server without mTLS, tester without certificate", server: plain,
			option: func(_ *testing.T, _ *fakeServer, opt *Options) { opt.CertFile, opt.KeyFile = "", "" },
			want:   []string{skipNoMTLS, skipAliasRules, skipCertificate}},
		{name: "some missing", server: members(func(_ *fakeServer, _, aliases map[string]any) {
			delete(aliases, "registration_endpoint")
			delete(aliases, "userinfo_endpoint")
		}), want: []string{
			"warn | discovery | mTLS aliases | mtls: token, revocation, introspection, PAR; without alias: registration, userinfo",
		}},
		{name: "against the rules", server: members(func(s *fakeServer, m, aliases map[string]any) {
			aliases["authorization_endpoint"] = m["authorization_endpoint"]
			aliases["issuer"] = m["issuer"]
			aliases["device_authorization_endpoint"] = "https://" + s.mtlsAddr + "/device"
			aliases["userinfo_endpoint"] = "http://" + s.mtlsAddr + "/userinfo"
		}), want: []string{
			"warn | discovery | mTLS aliases | mtls: token, revocation, introspection, device authorization, registration, PAR; without alias: userinfo",
			"fail | discovery | mTLS alias rules | authorization_endpoint is for browsers; device_authorization_endpoint is not in the metadata itself; issuer is no endpoint; userinfo_endpoint is not an https URL",
		}},
		{name: "on a host that is down", server: members(func(_ *fakeServer, _, aliases map[string]any) {
			aliases["userinfo_endpoint"] = "https://127.0.0.1:1/userinfo"
		}), want: []string{
			"fail | 127.0.0.1:1 | reachable | connect: connection refused",
		}},
	})
}

func TestManyAliasHosts(t *testing.T) {
	t.Parallel()
	s := goodServer(t)
	members(func(_ *fakeServer, m, aliases map[string]any) {
		for i, endpoint := range aliasable {
			m[endpoint.member] = "https://" + s.standardAddr
			aliases[endpoint.member] = "https://127.0.0.1:" + string('1'+rune(i))
		}
	})(t, s)
	s.serve(t)
	hosts := make(map[string]bool)
	for _, f := range s.examine(t, nil).Findings {
		if f.Name == "reachable" {
			hosts[f.On] = true
		}
	}
	if len(hosts) != maxHosts {
		t.Errorf("%d hosts contacted, want %d", len(hosts), maxHosts)
	}
}

func TestTokenEndpoints(t *testing.T) {
	t.Parallel()
	token := func(status int, contentType, body string) func(*testing.T, *fakeServer) {
		return func(_ *testing.T, s *fakeServer) {
			s.token = func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", contentType)
				w.WriteHeader(status)
				io.WriteString(w, body)
			}
		}
	}
	twice := func(found string) []string {
		return []string{
			"warn | mtls | token request with your certificate | " + found,
			"warn | mtls | token request without a certificate | " + found,
		}
	}
	runShapes(t, []shape{
		{name: "failing", server: token(500, "application/json", `{"error":"server_error"}`), want: twice("HTTP 500")},
		{name: "web page", server: token(403, "text/html", "<html>"), want: twice("HTTP 403, a web page (HTML)")},
		{name: "no error code", server: token(400, "application/json", `{"message":"no"}`), want: twice("HTTP 400, no OAuth error in JSON")},
		{name: "success", server: token(200, "application/json", `{"error":"invalid_request"}`), want: twice("HTTP 200, no OAuth error in JSON")},
		{name: "invalid_client", server: token(401, "application/json", `{"error":"invalid_client"}`)},
		{name: "connection closed", server: func(_ *testing.T, s *fakeServer) {
			s.token = func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
		}, want: append([]string{
			"skip | mtls | renegotiation | no answer over TLS 1.2: unexpected EOF", skipTickets,
		}, twice("no answer: unexpected EOF")...)},
	})
}

// TestBareTokenRequest pins what is sent: no parameters, and the certificate
// only where it was asked for.
func TestBareTokenRequest(t *testing.T) {
	t.Parallel()
	s := goodServer(t)
	seen := make(chan string, 10)
	good := s.token
	s.token = func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		line := r.Method + " " + r.Header.Get("Content-Type") + " " + tls.VersionName(r.TLS.Version) + string(body)
		if len(r.TLS.PeerCertificates) == 2 {
			line += " with certificate"
		}
		seen <- line
		good(w, r)
	}
	s.serve(t)
	s.examine(t, nil)
	close(seen)
	counts := make(map[string]int)
	for line := range seen {
		counts[line]++
	}
	const form = "POST application/x-www-form-urlencoded "
	for _, want := range []string{form + "TLS 1.3", form + "TLS 1.3 with certificate", form + "TLS 1.2 with certificate"} {
		if counts[want] != 1 {
			t.Errorf("%q sent %d times; %v", want, counts[want], counts)
		}
	}
	if len(counts) != 3 {
		t.Errorf("sent %v", counts)
	}
}
