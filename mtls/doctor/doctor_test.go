package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/testkeys"
)

const (
	gcmNames      = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"
	goodStrict    = "allowed: " + gcmNames + "; DHE not tried, Go cannot offer it"
	brazilOIDs    = "2.5.4.3=web.tpp.example,0.9.2342.19200300.100.1.1=bc97b8f0,2.5.4.97=OFBBR-d7384bd0,2.5.4.7=Sao Paulo,2.5.4.8=SP,2.5.4.10=Chicago Advisory Partners,2.5.4.6=BR,2.5.4.5=43142666000197,1.3.6.1.4.1.311.60.2.1.3=BR,2.5.4.15=Private Organization"
	brazilOpenSSL = "businessCategory = Private Organization, jurisdictionC = BR, serialNumber = 43142666000197, C = BR, O = Chicago Advisory Partners, ST = SP, L = Sao Paulo, organizationIdentifier = OFBBR-d7384bd0, UID = bc97b8f0, CN = web.tpp.example"
	brazilJava    = "CN=web.tpp.example, UID=bc97b8f0, OID.2.5.4.97=OFBBR-d7384bd0, L=Sao Paulo, ST=SP, O=Chicago Advisory Partners, C=BR, SERIALNUMBER=43142666000197, OID.1.3.6.1.4.1.311.60.2.1.3=BR, OID.2.5.4.15=Private Organization"
	brazilShort   = "CN=web.tpp.example,UID=bc97b8f0,organizationIdentifier=OFBBR-d7384bd0,L=Sao Paulo,ST=SP,O=Chicago Advisory Partners,C=BR,serialNumber=43142666000197,jurisdictionC=BR,businessCategory=Private Organization"
	brazilDN      = "CN=web.tpp.example,UID=bc97b8f0,2.5.4.97=#0c0e4f464242522d6437333834626430,L=Sao Paulo,ST=SP,O=Chicago Advisory Partners,C=BR,2.5.4.5=#130e3433313432363636303030313937,1.3.6.1.4.1.311.60.2.1.3=#13024252,2.5.4.15=#0c1450726976617465204f7267616e697a6174696f6e"
)

// TestGoodServer pins the whole report, so that no check can go unnoticed.
func TestGoodServer(t *testing.T) {
	t.Parallel()
	s := goodServer(t)
	s.serve(t)
	var steps []string
	var certFile string
	r := s.examine(t, func(opt *Options) {
		certFile = opt.CertFile
		opt.Progress = func(step string) { steps = append(steps, s.stable(step)) }
	})
	own := loadedIdentity(t, certFile)
	wantLines(t, s.lines(r.Findings),
		"ok | std | reachable | TLS 1.3, TLS_AES_128_GCM_SHA256",
		"ok | mtls | reachable | TLS 1.3, TLS_AES_128_GCM_SHA256",
		"ok | std | server certificate names | localhost, 127.0.0.1",
		"ok | std | server certificate chain | 2 sent, trusted through CN=Sandbox Root",
		"ok | std | server certificate dates | START to END, 90 days left",
		"ok | std | server certificate key | RSA 2048, signed with SHA256-RSA",
		"ok | mtls | server certificate names | localhost, 127.0.0.1",
		"ok | mtls | server certificate chain | 2 sent, trusted through CN=Sandbox Root",
		"ok | mtls | server certificate dates | START to END, 90 days left",
		"ok | mtls | server certificate key | RSA 2048, signed with SHA256-RSA",
		"ok | discovery | metadata | openid-configuration: 11 members; oauth-authorization-server: 11 members",
		"ok | discovery | issuer | https://std",
		"ok | discovery | mTLS aliases | mtls: token, revocation, introspection, registration, userinfo, PAR",
		"ok | discovery | mTLS alias rules | all well-formed",
		"ok | std | client certificate requested | no",
		"ok | mtls | client certificate requested | yes",
		"ok | mtls | certificate authorities hinted | none",
		"ok | std | TLS 1.0 and 1.1 | both refused",
		"ok | std | TLS 1.2 and 1.3 | both accepted, TLS 1.3 preferred",
		"ok | mtls | TLS 1.0 and 1.1 | both refused",
		"ok | mtls | TLS 1.2 and 1.3 | both accepted, TLS 1.3 preferred",
		"ok | std | TLS 1.2 suites, BCP 195 | "+goodStrict,
		"ok | std | TLS 1.2 suites, FAPI 1 | allowed: "+gcmNames,
		"ok | mtls | TLS 1.2 suites, BCP 195 | "+goodStrict,
		"ok | mtls | TLS 1.2 suites, FAPI 1 | allowed: "+gcmNames,
		"ok | mtls | renegotiation | not needed",
		"ok | mtls | session tickets | none",
		"ok | std | HTTP/2 | offered",
		"ok | mtls | HTTP/2 | offered",
		"ok | std | clock | within a second of this machine's",
		"ok | mtls | clock | within a second of this machine's",
		"ok | your certificate | certificate key | the key is the certificate's",
		"ok | your certificate | certificate subject | RFC 4514: "+brazilDN+"; short names: "+brazilShort+"; OIDs: "+brazilOIDs,
		"ok | your certificate | certificate purpose | clientAuth",
		"ok | your certificate | certificate dates | START to END, 90 days left",
		"ok | your certificate | certificate chain | 2 certificates, the last issued by CN=Sandbox Root",
		"ok | your certificate | certificate strength | RSA 2048, signed with SHA256-RSA",
		"ok | your certificate | certificate thumbprint | "+mtls.Thumbprint(own.chain[0]),
		"ok | mtls | token request with your certificate | HTTP 400 invalid_request: grant_type is missing",
		"ok | mtls | token request without a certificate | HTTP 400 invalid_request: grant_type is missing",
	)
	if r.Failed() || len(r.Fixes) != 0 {
		t.Errorf("failed %v, fixes %q", r.Failed(), r.Fixes)
	}
	slices.Sort(steps)
	wantLines(t, steps,
		"connecting to mtls", "connecting to std", "reading the metadata of https://std",
		"sending an empty token request to mtls", "trying TLS versions and suites on mtls", "trying TLS versions and suites on std")
}

func loadedIdentity(t *testing.T, certFile string) *identity {
	t.Helper()
	own, err := loadIdentity(certFile, "")
	if err != nil {
		t.Fatal(err)
	}
	return own
}

func TestParseTarget(t *testing.T) {
	t.Parallel()
	const openID, oauth = "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"
	for raw, want := range map[string][4]string{ // issuer, address, the two documents
		"localhost":                        {"https://localhost", "localhost:443", "https://localhost" + openID, "https://localhost" + oauth},
		"localhost:8443":                   {"https://localhost:8443", "localhost:8443", "https://localhost:8443" + openID, "https://localhost:8443" + oauth},
		"https://a.example/":               {"https://a.example", "a.example:443", "https://a.example" + openID, "https://a.example" + oauth},
		"https://a.example/t/1":            {"https://a.example/t/1", "a.example:443", "https://a.example/t/1" + openID, "https://a.example" + oauth + "/t/1"},
		"https://a.example/t" + openID:     {"https://a.example/t", "a.example:443", "https://a.example/t" + openID, "https://a.example" + oauth + "/t"},
		"https://a.example" + oauth + "/t": {"https://a.example/t", "a.example:443", "https://a.example/t" + openID, "https://a.example" + oauth + "/t"},
		"https://a.example" + oauth:        {"https://a.example", "a.example:443", "https://a.example" + openID, "https://a.example" + oauth},
		"https://[::1]:8443":               {"https://[::1]:8443", "[::1]:8443", "https://[::1]:8443" + openID, "https://[::1]:8443" + oauth},
	} {
		target, err := parseTarget(raw)
		if err != nil {
			t.Errorf("%s: %v", raw, err)
			continue
		}
		got := [4]string{target.issuer, target.host.addr, target.openIDURL(), target.oauthURL()}
		if got != want {
			t.Errorf("%s: got %q, want %q", raw, got, want)
		}
	}
}

func TestOptionsThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	ca := testAuthority(t)
	cert := writePEM(t, "cert.pem", certificateBlocks(ca.root)...)
	key := writePEM(t, "key.pem", keyBlock(t, testkeys.RSA(1)))
	for want, opt := range map[string]Options{
		"no URL":                      {},
		"only https":                  {URL: "http://localhost"},
		"names no host":               {URL: "https://"},
		"no user, query or fragment":  {URL: "https://localhost?a=b"},
		"a key without a certificate": {URL: "localhost", KeyFile: key},
		"no PEM block CERTIFICATE":    {URL: "localhost", CertFile: key},
		"no such file":                {URL: "localhost", CertFile: cert + ".not", KeyFile: key},
		"key.not: no such file":       {URL: "localhost", CertFile: cert, KeyFile: strings.TrimSuffix(key, ".pem") + ".not"},
		"neither PEM nor":             {URL: "localhost", CAFile: "doctor_test.go.not"},
	} {
		if want == "neither PEM nor" {
			opt.CAFile = "doctor_test.go" // text, but no certificate
		}
		_, err := Examine(context.Background(), opt)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got %v, want %q", opt, err, want)
		}
	}
}

func TestInterrupted(t *testing.T) {
	t.Parallel()
	s := goodServer(t)
	s.serve(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Examine(ctx, Options{URL: s.issuer()}); err == nil {
		t.Error("an interrupted examination gave a report")
	}
}

func TestFixesMostImportantFirstAndOnce(t *testing.T) {
	t.Parallel()
	got := fixes([]Finding{
		{On: "a", Status: Warn, Fix: "warn"},
		{On: "a", Status: Fail, Fix: "fail"},
		{On: "b", Status: Fail, Fix: "fail"},
		{On: "b", Status: Fail, Fix: "fail"},
		{On: "a", Status: Fail, Fix: "block", blocking: true},
		{On: "a", Status: OK, Fix: "fine"},
	})
	wantLines(t, got, "a: block", "a and b: fail", "a: warn")
}

func TestWriteText(t *testing.T) {
	t.Parallel()
	r := Report{
		URL: "https://as.example",
		Findings: []Finding{
			{Name: "one", On: "host:1", Status: OK, Found: "yes", Expected: "not shown"},
			{Name: "number two", On: "host:2", Status: Fail, Found: "O=A\\; B; other \x1b[31m\u202e", Expected: "better"},
			{Name: "three", On: "host:1", Status: Skip, Found: "no"},
		},
		Fixes: []string{"host:2: Do \x07 it."},
	}
	var text bytes.Buffer
	if err := r.WriteText(&text, false); err != nil {
		t.Fatal(err)
	}
	wantLines(t, strings.Split(text.String(), "\n"),
		"https://as.example, examined 0001-01-01T00:00:00Z", "",
		"host:1",
		"  ok    one         yes",
		"  skip  three       no", "",
		"host:2",
		`  FAIL  number two  O=A\; B`,
		"                    other ?[31m?",
		"                    expected: better", "",
		"What to fix",
		"  1. host:2: Do ? it.", "")

	text.Reset()
	if err := r.WriteText(&text, true); err != nil {
		t.Fatal(err)
	}
	if want := "\x1b[31mFAIL\x1b[0m  number two"; !strings.Contains(text.String(), want) {
		t.Errorf("no %q in %q", want, text.String())
	}
	text.Reset()
	if err := (Report{}).WriteText(&text, false); err != nil || !strings.HasSuffix(text.String(), "\nNothing to fix\n") {
		t.Errorf("%v, %q", err, text.String())
	}
}

func TestReportAsJSON(t *testing.T) {
	t.Parallel()
	report := Report{Findings: []Finding{{Name: "n", On: "o", Status: Fail, Found: "f", Expected: "e", Fix: "x"}}, Fixes: fixes(nil)}
	text, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"url":"","examined":"0001-01-01T00:00:00Z","findings":[{"name":"n","on":"o","status":"fail","found":"f","expected":"e","fix":"x"}],"fixes":[]}`
	if string(text) != want {
		t.Errorf("got %s, want %s", text, want)
	}
}
