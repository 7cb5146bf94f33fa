package doctor

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fapid/fapid/testkeys"
)

// shape is a server with something about it, and everything the doctor finds.
type shape struct {
	name   string
	server func(t *testing.T, s *fakeServer)
	option func(t *testing.T, s *fakeServer, opt *Options)
	want   []string
}

func runShapes(t *testing.T, shapes []shape) {
	t.Helper()
	for _, shape := range shapes {
		t.Run(shape.name, func(t *testing.T) {
			t.Parallel()
			s := goodServer(t)
			if shape.server != nil {
				shape.server(t, s)
			}
			s.serve(t)
			r := s.examine(t, func(opt *Options) {
				if shape.option != nil {
					shape.option(t, s, opt)
				}
			})
			var want []string
			for _, line := range shape.want {
				want = append(want, s.stable(line)) // a date in it may be START or END
			}
			wantLines(t, s.troubles(r), want...)
			for _, f := range r.Findings {
				if (f.Status == Warn || f.Status == Fail) && f.Fix == "" {
					t.Errorf("%s on %s: no fix", f.Name, f.On)
				}
			}
		})
	}
}

func TestServerCertificates(t *testing.T) {
	t.Parallel()
	serve := func(cert func(t *testing.T, s *fakeServer) tls.Certificate) func(*testing.T, *fakeServer) {
		return func(t *testing.T, s *fakeServer) { s.mtls.Certificates = []tls.Certificate{cert(t, s)} }
	}
	issue := func(change func(*x509.Certificate)) func(*testing.T, *fakeServer) {
		return serve(func(t *testing.T, s *fakeServer) tls.Certificate { return s.ca.server(t, testkeys.RSA(3), change) })
	}
	runShapes(t, []shape{
		{name: "expired", server: issue(expired), want: []string{
			"fail | mtls | server certificate dates | " + day(begun.Add(-48*time.Hour)) + " to " + day(begun.Add(-36*time.Hour)) + ", expired 36 hours ago",
		}},
		{name: "not yet valid", server: issue(func(c *x509.Certificate) { c.NotBefore = begun.Add(48 * time.Hour) }), want: []string{
			"fail | mtls | server certificate dates | " + day(begun.Add(48*time.Hour)) + " to END, not valid yet",
		}},
		{name: "expires soon", server: issue(func(c *x509.Certificate) { c.NotAfter = begun.Add(30 * time.Hour) }), want: []string{
			"warn | mtls | server certificate dates | START to " + day(begun.Add(30*time.Hour)) + ", 29 hours left",
		}},
		{name: "other name", server: issue(func(c *x509.Certificate) { c.IPAddresses = nil }), want: []string{
			"fail | mtls | server certificate names | localhost",
		}},
		{name: "common name only", server: issue(func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, nil }), want: []string{
			"fail | mtls | server certificate names | no DNS name or IP address",
		}},
		{name: "client certificate as server certificate", server: issue(func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		}), want: []string{
			"fail | mtls | server certificate chain | 2 sent; x509: certificate specifies an incompatible key usage",
		}},
		{name: "intermediate missing", server: serve(func(t *testing.T, s *fakeServer) tls.Certificate {
			c := s.ca.server(t, testkeys.RSA(3), nil)
			c.Certificate = c.Certificate[:1]
			return c
		}), want: []string{
			"fail | mtls | server certificate chain | 1 sent, the last issued by CN=Sandbox Issuing, which is not trusted",
		}},
		{name: "weak key", server: func(t *testing.T, s *fakeServer) {
			s.mtls.Certificates = []tls.Certificate{s.ca.server(t, weakRSA(t), nil)}
		}, want: []string{
			"fail | mtls | server certificate key | RSA 1024, signed with SHA256-RSA",
		}},
		{name: "other certificate in TLS 1.2", server: func(t *testing.T, s *fakeServer) {
			rsa, ecdsa := s.ca.server(t, testkeys.RSA(3), expired), s.ca.server(t, testkeys.P256(1), nil)
			s.mtls.Certificates = nil
			s.mtls.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
				for _, version := range hello.SupportedVersions {
					if version == tls.VersionTLS13 {
						return &ecdsa, nil
					}
				}
				return &rsa, nil
			}
		}, want: []string{
			"fail | mtls (TLS 1.2) | server certificate dates | " + day(begun.Add(-48*time.Hour)) + " to " + day(begun.Add(-36*time.Hour)) + ", expired 36 hours ago",
		}},
		{name: "root unknown to the tester", option: func(t *testing.T, s *fakeServer, opt *Options) {
			other := newAuthority(t, "Other", testkeys.P256(1), testkeys.P256(2))
			opt.CAFile = writePEM(t, "other.pem", certificateBlocks(other.root)...)
		}, want: []string{
			"fail | std | server certificate chain | 2 sent, the last issued by CN=Sandbox Root, which is not trusted",
			"fail | mtls | server certificate chain | 2 sent, the last issued by CN=Sandbox Root, which is not trusted",
		}},
	})
}

func TestChainFixes(t *testing.T) {
	t.Parallel()
	s := goodServer(t)
	alone := s.ca.server(t, testkeys.RSA(3), nil)
	alone.Certificate = alone.Certificate[:1]
	s.mtls.Certificates = []tls.Certificate{alone}
	s.serve(t)
	r := s.examine(t, nil)
	if fix := findingNamed(t, r, s.mtlsAddr, "server certificate chain").Fix; !strings.Contains(fix, "add the one of CN=Sandbox Issuing to its chain file") {
		t.Errorf("intermediate missing: %s", fix)
	}
	r = s.examine(t, func(opt *Options) { opt.CAFile = "" })
	if fix := findingNamed(t, r, s.standardAddr, "server certificate chain").Fix; !strings.Contains(fix, "Give the server's root with --cacert (issuer CN=Sandbox Root)") {
		t.Errorf("root unknown: %s", fix)
	}
	r = s.examine(t, func(opt *Options) {
		other := newAuthority(t, "Sandbox", testkeys.P256(1), testkeys.P256(2))
		opt.CAFile = writePEM(t, "other.pem", certificateBlocks(other.root)...)
	})
	if fix := findingNamed(t, r, s.standardAddr, "server certificate chain").Fix; !strings.Contains(fix, "another CA of the name CN=Sandbox Root") {
		t.Errorf("other root of the same name: %s", fix)
	}
}

func TestAskingForCertificates(t *testing.T) {
	t.Parallel()
	noCertificate := func(_ *testing.T, _ *fakeServer, opt *Options) { opt.CertFile, opt.KeyFile = "", "" }
	hint := func(roots ...*x509.Certificate) *x509.CertPool {
		pool := x509.NewCertPool()
		for _, c := range roots {
			pool.AddCert(c)
		}
		return pool
	}
	foreign := func(t *testing.T) *authority { return newAuthority(t, "Foreign", testkeys.P256(1), testkeys.P256(2)) }
	hintForeign := func(t *testing.T, s *fakeServer) { s.mtls.ClientCAs = hint(foreign(t).root) }
	runShapes(t, []shape{
		{name: "not asked on the mTLS host", server: func(t *testing.T, s *fakeServer) { s.mtls.ClientAuth = tls.NoClientCert }, want: []string{
			"fail | mtls | client certificate requested | no",
		}},
		{name: "asked on the standard host", server: func(t *testing.T, s *fakeServer) { s.standard.ClientAuth = tls.RequestClientCert }, want: []string{
			"warn | std | client certificate requested | yes",
		}},
		{name: "foreign CA hinted", server: hintForeign, want: []string{
			"fail | mtls | certificate authorities hinted | 1: CN=Foreign Root; the issuer of yours is not: CN=Sandbox Issuing",
		}},
		{name: "own CA hinted", server: func(t *testing.T, s *fakeServer) { s.mtls.ClientCAs = hint(s.ca.root) }},
		{name: "own CA hinted but the intermediate is not in the file", server: func(t *testing.T, s *fakeServer) {
			s.mtls.ClientCAs = hint(s.ca.root)
		}, option: func(t *testing.T, s *fakeServer, opt *Options) {
			opt.CertFile = writePEM(t, "leaf.pem", certificateBlocks(s.ca.client(t, testkeys.RSA(4), nil))...)
		}, want: []string{
			"fail | mtls | certificate authorities hinted | 1: CN=Sandbox Root; the issuer of yours is not: CN=Sandbox Issuing",
			"warn | your certificate | certificate chain | your certificate only; that of its issuer is not in the file: CN=Sandbox Issuing",
		}},
		{name: "CA hinted to a tester without a certificate", server: hintForeign, option: noCertificate, want: []string{
			"warn | mtls | certificate authorities hinted | 1: CN=Foreign Root",
			skipCertificate,
		}},
		{name: "required in TLS", server: func(t *testing.T, s *fakeServer) { s.mtls.ClientAuth = tls.RequireAnyClientCert }, want: []string{
			"warn | mtls | token request without a certificate | the server killed the TLS connection: certificate required",
		}},
		{name: "verified in TLS, foreign certificate", server: func(t *testing.T, s *fakeServer) {
			s.mtls.ClientAuth, s.mtls.ClientCAs = tls.RequireAndVerifyClientCert, hint(foreign(t).root)
		}, want: []string{
			"fail | mtls | certificate authorities hinted | 1: CN=Foreign Root; the issuer of yours is not: CN=Sandbox Issuing",
			"skip | mtls | renegotiation | no answer over TLS 1.2: remote error: tls: unknown certificate authority",
			skipTickets,
			"fail | mtls | token request with your certificate | the server killed the TLS connection: unknown certificate authority",
			"warn | mtls | token request without a certificate | the server killed the TLS connection: certificate required",
		}},
		{name: "required in TLS 1.2", server: func(t *testing.T, s *fakeServer) {
			s.mtls.ClientAuth, s.mtls.MaxVersion = tls.RequireAnyClientCert, tls.VersionTLS12
		}, want: []string{
			"warn | mtls | TLS 1.2 and 1.3 | TLS 1.2 only",
			"warn | mtls | token request without a certificate | the server killed the TLS connection: handshake failure",
		}},
		{name: "required by the issuer's host", server: func(t *testing.T, s *fakeServer) { s.standard.ClientAuth = tls.RequireAnyClientCert },
			option: noCertificate, want: []string{
				"fail | discovery | metadata | openid-configuration: remote error: tls: certificate required; oauth-authorization-server: remote error: tls: certificate required",
				skipIssuer, skipAliases, skipCertificate,
			}},
	})
}

func TestAlertFixes(t *testing.T) {
	t.Parallel()
	for alert, want := range map[string]string{
		"unknown certificate authority": "does not trust the issuer",
		"expired certificate":           "has expired",
		"revoked certificate":           "is revoked",
		"certificate required":          "saw no certificate",
		"bad certificate":               "(bad certificate): look at its purpose (clientAuth)",
	} {
		if fix := alertFix(alert); !strings.Contains(fix, want) {
			t.Errorf("%s: %s", alert, fix)
		}
	}
}

func TestTLSVersionsAndSuites(t *testing.T) {
	t.Parallel()
	cbc := append([]uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA}, gcmOnly...)
	runShapes(t, []shape{
		{name: "TLS 1.1 enabled", server: func(t *testing.T, s *fakeServer) {
			s.mtls.MinVersion, s.mtls.CipherSuites = tls.VersionTLS11, cbc
		}, want: []string{
			"fail | mtls | TLS 1.0 and 1.1 | TLS 1.1 accepted",
			"fail | mtls | TLS 1.2 suites, BCP 195 | not allowed: TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA; " + goodStrict,
			"warn | mtls | TLS 1.2 suites, FAPI 1 | not allowed: TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA; allowed: " + gcmNames,
		}},
		{name: "TLS 1.0 only", server: func(t *testing.T, s *fakeServer) {
			s.mtls.MinVersion, s.mtls.MaxVersion, s.mtls.CipherSuites = tls.VersionTLS10, tls.VersionTLS10, cbc
		}, want: []string{
			"fail | mtls | TLS 1.0 and 1.1 | TLS 1.0 accepted",
			"fail | mtls | TLS 1.2 and 1.3 | neither accepted",
			"skip | mtls | TLS 1.2 suites, BCP 195 | TLS 1.2 is not accepted",
			"skip | mtls | TLS 1.2 suites, FAPI 1 | TLS 1.2 is not accepted",
			"skip | mtls | renegotiation | TLS 1.2 is not accepted",
		}},
		{name: "TLS 1.3 only", server: func(t *testing.T, s *fakeServer) { s.mtls.MinVersion = tls.VersionTLS13 }, want: []string{
			"skip | mtls | TLS 1.2 suites, BCP 195 | TLS 1.2 is not accepted",
			"skip | mtls | TLS 1.2 suites, FAPI 1 | TLS 1.2 is not accepted",
			"skip | mtls | renegotiation | TLS 1.2 is not accepted",
		}},
		{name: "TLS 1.2 only", server: func(t *testing.T, s *fakeServer) { s.mtls.MaxVersion = tls.VersionTLS12 }, want: []string{
			"warn | mtls | TLS 1.2 and 1.3 | TLS 1.2 only",
		}},
		{name: "CBC suite", server: func(t *testing.T, s *fakeServer) { s.standard.CipherSuites = cbc }, want: []string{
			"fail | std | TLS 1.2 suites, BCP 195 | not allowed: TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA; " + goodStrict,
			"warn | std | TLS 1.2 suites, FAPI 1 | not allowed: TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA; allowed: " + gcmNames,
		}},
		{name: "RSA key exchange only", server: func(t *testing.T, s *fakeServer) {
			s.mtls.CipherSuites = []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}
			s.mtls.NextProtos = nil // HTTP/2 would insist on a better suite
		}, want: []string{
			"fail | mtls | TLS 1.2 suites, BCP 195 | not allowed: TLS_RSA_WITH_AES_128_GCM_SHA256; none of the allowed ones; DHE not tried, Go cannot offer it",
			"warn | mtls | TLS 1.2 suites, FAPI 1 | not allowed: TLS_RSA_WITH_AES_128_GCM_SHA256; none of the allowed ones",
		}},
		{name: "CHACHA20", server: func(t *testing.T, s *fakeServer) {
			s.mtls.CipherSuites = append([]uint16{tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256}, gcmOnly...)
		}, want: []string{
			"warn | mtls | TLS 1.2 suites, FAPI 1 | not allowed: TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256; allowed: " + gcmNames,
		}},
		{name: "ECDSA certificate in TLS 1.2", server: func(t *testing.T, s *fakeServer) {
			s.mtls.Certificates = []tls.Certificate{s.ca.server(t, testkeys.P256(1), nil)}
			s.mtls.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
		}, want: []string{
			"warn | mtls | TLS 1.2 suites, FAPI 1 | not allowed: TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256; none of the allowed ones",
		}},
		{name: "session tickets", server: func(t *testing.T, s *fakeServer) { s.mtls.SessionTicketsDisabled = false }, want: []string{
			"warn | mtls | session tickets | issued in TLS 1.3",
		}},
		{name: "session tickets in TLS 1.2", server: func(t *testing.T, s *fakeServer) {
			s.mtls.SessionTicketsDisabled, s.mtls.MaxVersion = false, tls.VersionTLS12
		}, want: []string{
			"warn | mtls | TLS 1.2 and 1.3 | TLS 1.2 only",
			"warn | mtls | session tickets | issued in TLS 1.2",
		}},
	})
}

// TestTLS13NotPreferred asks the judge alone: Go's server always prefers it.
func TestTLS13NotPreferred(t *testing.T) {
	t.Parallel()
	h := &host{visit: visit{
		hello: handshake{chosen: true, version: tls.VersionTLS12},
		versions: map[uint16]handshake{
			tls.VersionTLS12: {chosen: true}, tls.VersionTLS13: {chosen: true},
		},
	}}
	f := new(examination).judgeVersions(h)[1]
	if f.Status != Fail || f.Found != "preferred TLS 1.2" || f.Fix == "" {
		t.Errorf("%+v", f)
	}
}

func TestTLS13Only(t *testing.T) {
	t.Parallel()
	h := &host{visit: visit{
		hello:    handshake{chosen: true, version: tls.VersionTLS13},
		versions: map[uint16]handshake{tls.VersionTLS13: {chosen: true}},
	}}
	if f := new(examination).judgeVersions(h)[1]; f.Status != OK || f.Found != "TLS 1.3 only" {
		t.Errorf("%+v", f)
	}
}

func TestSuiteWithoutAnswer(t *testing.T) {
	t.Parallel()
	h := &host{visit: visit{suites: []suiteProbe{
		{suite: tls.CipherSuites()[0], timedOut: true},
	}}}
	if f := h.suitesWithin(nil); f.Found != "none of the allowed ones; no answer in time: "+tls.CipherSuites()[0].Name {
		t.Error(f.Found)
	}
}

func TestHTTP2(t *testing.T) {
	t.Parallel()
	s := goodServer(t)
	s.mtls.NextProtos = []string{"http/1.1"}
	s.serve(t)
	r := s.examine(t, nil)
	wantLines(t, s.troubles(r))
	if f := findingNamed(t, r, s.mtlsAddr, "HTTP/2"); f.Found != "HTTP/1.1 only" {
		t.Error(f.Found)
	}
}

func TestClocks(t *testing.T) {
	t.Parallel()
	// Both clocks stand still in the middle of a second, as Date is cut to one.
	now := time.Now().Truncate(time.Second).Add(time.Second / 2)
	frozen := func(_ *testing.T, _ *fakeServer, opt *Options) { opt.Now = func() time.Time { return now } }
	dated := func(date ...string) func(*testing.T, *fakeServer) {
		return func(t *testing.T, s *fakeServer) {
			s.date = now.UTC().Format(http.TimeFormat)
			good := s.token
			s.token = func(w http.ResponseWriter, r *http.Request) {
				w.Header()["Date"] = date
				good(w, r)
			}
		}
	}
	shifted := func(by time.Duration) func(*testing.T, *fakeServer) {
		return dated(now.Add(by).UTC().Format(http.TimeFormat))
	}
	runShapes(t, []shape{
		{name: "two minutes behind", server: shifted(-2 * time.Minute), option: frozen, want: []string{"fail | mtls | clock | server 2m0s behind"}},
		{name: "a minute ahead", server: shifted(time.Minute), option: frozen, want: []string{"warn | mtls | clock | server 1m0s ahead"}},
		{name: "six seconds ahead", server: shifted(6 * time.Second), option: frozen, want: []string{"warn | mtls | clock | server 6s ahead"}},
		{name: "five seconds ahead", server: shifted(5 * time.Second), option: frozen},
		{name: "no date", server: dated(), option: frozen, want: []string{"warn | mtls | clock | no readable Date header"}},
		{name: "odd date", server: dated("yesterday"), option: frozen, want: []string{"warn | mtls | clock | no readable Date header"}},
	})
}

// TestSlowAnswerIsNoWrongClock: a Date from any time of the exchange may be right.
func TestSlowAnswerIsNoWrongClock(t *testing.T) {
	t.Parallel()
	sent := begun.Truncate(time.Second).Add(time.Second / 2)
	for _, row := range []struct{ date, took, skew time.Duration }{
		{0, 0, 0}, {0, 20 * time.Second, 0}, {20 * time.Second, 20 * time.Second, 0},
		{-7 * time.Second, 0, -7 * time.Second}, {-7 * time.Second, 20 * time.Second, -7 * time.Second}, {27 * time.Second, 20 * time.Second, 7 * time.Second},
	} {
		x := &exchange{header: http.Header{"Date": {sent.Add(row.date).UTC().Format(http.TimeFormat)}}}
		if x.measureClock(sent, sent.Add(row.took)); !x.dated || x.skew != row.skew {
			t.Errorf("a Date %s after a request that took %s: %s, want %s", row.date, row.took, x.skew, row.skew)
		}
	}
}
