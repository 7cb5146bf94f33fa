package doctor

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"testing"
	"time"

	"github.com/fapid/fapid/testkeys"
)

// TestOwnCertificate needs no server: everything is seen in the files.
func TestOwnCertificate(t *testing.T) {
	t.Parallel()
	ca := testAuthority(t)
	leaf := ca.client(t, testkeys.RSA(4), nil)
	goodKey := keyBlock(t, testkeys.RSA(4))
	issue := func(change func(*x509.Certificate)) []*pem.Block {
		return certificateBlocks(ca.client(t, testkeys.RSA(4), change), ca.issuing)
	}
	selfSigned := func() *x509.Certificate {
		template := &x509.Certificate{RawSubject: brazilianSubject(t), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
		return sign(t, template, template, testkeys.RSA(4).Public(), testkeys.RSA(4))
	}
	weak := weakRSA(t)
	yesterday, lastWeek := begun.Add(-24*time.Hour), begun.Add(-7*24*time.Hour)

	for _, test := range []struct {
		name  string
		cert  []*pem.Block
		key   []*pem.Block
		roots []*x509.Certificate
		want  []string // what is not fine
		fine  string   // the end of a finding that is
	}{
		{name: "leaf and intermediate", cert: certificateBlocks(leaf, ca.issuing), fine: "2 certificates, the last issued by CN=Sandbox Root"},
		{name: "everything up to the root", cert: certificateBlocks(leaf, ca.issuing, ca.root), fine: "3 certificates, up to the root (which need not be sent)"},
		{name: "self-signed", cert: certificateBlocks(selfSigned()), fine: "self-signed: register it in jwks for self_signed_tls_client_auth"},
		{name: "issued by a root the tester trusts", cert: certificateBlocks(leaf), roots: []*x509.Certificate{ca.issuing}, fine: "1 certificate, the last issued by CN=Sandbox Issuing"},
		{name: "key in the certificate file", cert: append([]*pem.Block{goodKey}, certificateBlocks(leaf, ca.issuing)...), key: []*pem.Block{}},
		{name: "PKCS #1 key", cert: certificateBlocks(leaf, ca.issuing), key: []*pem.Block{
			{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(testkeys.RSA(4))},
		}},
		{name: "P-256 with a SEC 1 key", cert: certificateBlocks(ca.client(t, testkeys.P256(1), nil), ca.issuing), key: []*pem.Block{
			{Type: "EC PARAMETERS"}, {Type: "EC PRIVATE KEY", Bytes: sec1(t)},
		}},
		{name: "Ed25519", cert: certificateBlocks(ca.client(t, testkeys.Ed25519(1), nil), ca.issuing), key: []*pem.Block{keyBlock(t, testkeys.Ed25519(1))}},
		{name: "leaf alone", cert: certificateBlocks(leaf), want: []string{
			"warn | certificate chain | your certificate only; that of its issuer is not in the file: CN=Sandbox Issuing",
		}},
		{name: "wrong order", cert: certificateBlocks(leaf, ca.root, ca.issuing), want: []string{
			"warn | certificate chain | certificate 1 was not issued by certificate 2",
		}},
		{name: "issuer first", cert: certificateBlocks(ca.issuing, leaf), want: []string{
			"fail | certificate key | the key is that of certificate 2 in the file, not of the first",
			"fail | certificate purpose | a CA certificate",
			"warn | certificate chain | certificate 1 was not issued by certificate 2",
		}},
		{name: "another key", cert: certificateBlocks(leaf, ca.issuing), key: []*pem.Block{keyBlock(t, testkeys.RSA(3))}, want: []string{
			"fail | certificate key | the key is not the certificate's",
		}},
		{name: "no key", cert: certificateBlocks(leaf, ca.issuing), key: []*pem.Block{}, want: []string{
			"fail | certificate key | no private key in PEM",
		}},
		{name: "encrypted key", cert: certificateBlocks(leaf, ca.issuing), key: []*pem.Block{{Type: "ENCRYPTED PRIVATE KEY"}}, want: []string{
			"fail | certificate key | the key is encrypted",
		}},
		{name: "key encrypted the old way", cert: certificateBlocks(leaf, ca.issuing), key: []*pem.Block{
			{Type: "RSA PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-128-CBC,00"}, Bytes: []byte("x")},
		}, want: []string{"fail | certificate key | the key is encrypted"}},
		{name: "broken key", cert: certificateBlocks(leaf, ca.issuing), key: []*pem.Block{{Type: "EC PRIVATE KEY", Bytes: []byte{4}}}, want: []string{
			"fail | certificate key | x509: failed to parse EC private key: asn1: syntax error: truncated tag or length",
		}},
		{name: "server certificate", cert: issue(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), want: []string{
			"fail | certificate purpose | serverAuth",
		}},
		{name: "no purpose", cert: issue(func(c *x509.Certificate) { c.ExtKeyUsage = nil }), want: []string{
			"warn | certificate purpose | no extended key usage, which allows any",
		}},
		{name: "any purpose", cert: issue(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} })},
		{name: "key that may not sign", cert: issue(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment }), want: []string{
			"fail | certificate purpose | clientAuth, but key usage without digitalSignature",
		}},
		{name: "expired", cert: issue(func(c *x509.Certificate) { c.NotBefore, c.NotAfter = lastWeek, yesterday }), want: []string{
			"fail | certificate dates | " + day(lastWeek) + " to " + day(yesterday) + ", expired 24 hours ago",
		}},
		{name: "expires soon", cert: issue(func(c *x509.Certificate) { c.NotAfter = begun.Add(10*24*time.Hour + time.Hour) }), want: []string{
			"warn | certificate dates | START to " + day(begun.Add(10*24*time.Hour+time.Hour)) + ", 10 days left",
		}},
		{name: "weak key", cert: certificateBlocks(ca.client(t, weak, nil), ca.issuing), key: []*pem.Block{keyBlock(t, weak)}, want: []string{
			"fail | certificate strength | RSA 1024, signed with SHA256-RSA",
		}},
		{name: "no subject", cert: issue(func(c *x509.Certificate) { c.RawSubject = []byte{0x30, 0} }), fine: "empty; register a subject alternative name"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.key == nil {
				test.key = []*pem.Block{goodKey}
			}
			if test.roots == nil {
				test.roots = []*x509.Certificate{ca.root}
			}
			opt := Options{URL: "127.0.0.1:1", CertFile: writePEM(t, "cert.pem", test.cert...), CAFile: writePEM(t, "ca.pem", certificateBlocks(test.roots...)...)}
			if len(test.key) > 0 {
				opt.KeyFile = writePEM(t, "key.pem", test.key...)
			}
			r, err := Examine(context.Background(), opt)
			if err != nil {
				t.Fatal(err)
			}
			stable := (&fakeServer{}).stable
			var got, want []string
			seen := test.fine == ""
			for _, f := range r.Findings {
				seen = seen || f.Status == OK && f.Found == test.fine
				if f.On != OnCertificate || f.Status == OK {
					continue
				}
				got = append(got, stable(string(f.Status)+" | "+f.Name+" | "+f.Found))
				if f.Fix == "" {
					t.Errorf("%s: no fix", f.Name)
				}
			}
			for _, line := range test.want {
				want = append(want, stable(line)) // a date in it may be START or END
			}
			wantLines(t, got, want...)
			if !seen {
				t.Errorf("no %q in %+v", test.fine, r.Findings)
			}
		})
	}
}

func sec1(t *testing.T) []byte {
	t.Helper()
	der, err := x509.MarshalECPrivateKey(testkeys.P256(1))
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestKeyAndSignatureStrength(t *testing.T) {
	t.Parallel()
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		public    any
		signature x509.SignatureAlgorithm
		want      Status
	}{
		{testkeys.RSA(1).Public(), x509.SHA256WithRSAPSS, OK},
		{testkeys.RSA(1).Public(), x509.SHA1WithRSA, Fail},
		{testkeys.P256(1).Public(), x509.ECDSAWithSHA1, Fail},
		{testkeys.P256(1).Public(), x509.ECDSAWithSHA384, OK},
		{testkeys.Ed25519(1).Public(), x509.PureEd25519, OK},
		{short.Public(), x509.SHA256WithRSA, Fail},
		{"a key of a kind unknown", x509.SHA256WithRSA, Fail},
	} {
		f := judgeStrength("", &x509.Certificate{PublicKey: test.public, SignatureAlgorithm: test.signature}, "")
		if f.Status != test.want {
			t.Errorf("%+v: want %s", f, test.want)
		}
	}
}

func TestUnreadableSubject(t *testing.T) {
	t.Parallel()
	f := judgeSubject(&x509.Certificate{RawSubject: []byte("x")})
	if f.Status != Fail || f.Fix == "" {
		t.Errorf("%+v", f)
	}
}
