package doctor

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fapid/fapid/testkeys"
)

var describedAt = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

// described is a certificate with every kind of name.
func described(t *testing.T) *x509.Certificate {
	t.Helper()
	uri, err := url.Parse("urn:Example:TPP")
	if err != nil {
		t.Fatal(err)
	}
	return testAuthority(t).client(t, testkeys.RSA(4), func(c *x509.Certificate) {
		c.DNSNames = []string{"tpp.example", "*.tpp.example"}
		c.URIs = []*url.URL{uri}
		c.IPAddresses = []net.IP{net.ParseIP("192.0.2.1"), net.ParseIP("2001:db8::1")}
		c.EmailAddresses = []string{"Ops@tpp.example"}
		c.KeyUsage = x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
		c.UnknownExtKeyUsage = []asn1.ObjectIdentifier{{1, 2, 3}}
		c.NotBefore, c.NotAfter = describedAt.Add(-time.Hour), describedAt.Add(50*time.Hour)
	})
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	leaf := described(t)
	d, err := Describe([]*x509.Certificate{leaf, testAuthority(t).issuing}, describedAt)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(leaf.Raw)
	thumbprint := base64.RawURLEncoding.EncodeToString(sum[:])
	match := CompareSubject(brazilShort, leaf)
	d.Match = &match
	var text bytes.Buffer
	if err := d.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	wantLines(t, strings.Split(text.String(), "\n"),
		"subject, RFC 4514     "+brazilDN,
		"  short names         "+brazilShort,
		"  OIDs                "+brazilOIDs,
		"  Brazil              "+brazilDN,
		"  OpenSSL             "+brazilOpenSSL,
		"  Java                "+brazilJava,
		"issuer                CN=Sandbox Issuing",
		"serial                "+d.Serial,
		"valid                 2029-12-31T23:00:00Z to 2030-01-03T02:00:00Z, 2 days left",
		"key                   RSA 2048, signed with SHA256-RSA",
		"key usage             digitalSignature, nonRepudiation",
		"extended key usage    clientAuth, serverAuth, 1.2.3",
		"SAN DNS               tpp.example",
		"                      *.tpp.example",
		"SAN URI               urn:Example:TPP",
		"SAN IP                192.0.2.1",
		"                      2001:db8::1",
		"SAN email             Ops@tpp.example",
		"x5t#S256              "+thumbprint,
		"further certificates  1 in this file",
		"",
		"Register exactly one (RFC 8705 section 2.1.2):",
		`  "tls_client_auth_subject_dn": "`+brazilDN+`"`,
		`  "tls_client_auth_san_dns": "tpp.example"`,
		`  "tls_client_auth_san_uri": "urn:Example:TPP"`,
		`  "tls_client_auth_san_ip": "192.0.2.1"`,
		`  "tls_client_auth_san_ip": "2001:db8::1"`,
		`  "tls_client_auth_san_email": "Ops@tpp.example"`,
		"",
		"Registered: "+brazilShort,
		"  strict:     matches",
		"  any_order:  matches",
		"  brazil:     does not match",
		`              DN, RDN 3: Open Finance Brasil registers organizationIdentifier as 2.5.4.97=# and the hex of its encoded value; expected "`+brazilDN+`"`,
		"",
	)
}

func TestDescribeAsJSON(t *testing.T) {
	t.Parallel()
	d, err := Describe([]*x509.Certificate{described(t)}, describedAt)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]any
	if err := json.Unmarshal(text, &members); err != nil {
		t.Fatal(err)
	}
	var names []string
	for name := range members {
		names = append(names, name)
	}
	slices.Sort(names)
	wantLines(t, names, "ca", "days_left", "ext_key_usage", "further_certificates", "issuer", "key", "key_usage",
		"not_after", "not_before", "register", "self_signed", "serial", "signature_algorithm", "subject", "subject_alt_names", "x5t#S256")
}

func TestDescribeOddCertificates(t *testing.T) {
	t.Parallel()
	ca := testAuthority(t)
	text := func(c *x509.Certificate) string {
		t.Helper()
		d, err := Describe([]*x509.Certificate{c}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := d.WriteText(&b); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	for name, test := range map[string]struct {
		cert *x509.Certificate
		want string
	}{
		"CA":          {ca.issuing, "this is a CA certificate"},
		"self-signed": {ca.root, "self-signed: register its key with x5c in jwks"},
		"other names": {ca.client(t, testkeys.P256(1), func(c *x509.Certificate) {
			c.DNSNames = nil
			// otherName 2.16.76.1.3.3, directoryName, five bytes of address, registeredID
			c.ExtraExtensions = append(c.ExtraExtensions, sanExtension(t,
				asn1.RawValue{Class: 2, Tag: 0, IsCompound: true, Bytes: []byte{6, 5, 0x60, 0x4c, 1, 3, 3, 0xa0, 3, 12, 1, 'x'}},
				asn1.RawValue{Class: 2, Tag: 4, IsCompound: true, Bytes: rawName(t, [][]attribute{{{"2.5.4.3", asn1.TagUTF8String, "x"}}})},
				asn1.RawValue{Class: 2, Tag: 8, Bytes: []byte{42, 3}},
			))
		}), "SAN other             otherName 2.16.76.1.3.3 = x\n                      directoryName CN=x\n                      GeneralName with tag 8\n"},
		"control characters": {ca.client(t, testkeys.P256(1), func(c *x509.Certificate) {
			c.RawSubject = rawName(t, [][]attribute{{{"2.5.4.3", asn1.TagUTF8String, "a\x1b[31m\u202e\U000e0001"}}})
		}), `"tls_client_auth_subject_dn": "CN=a\\1B[31m\u202e\udb40\udc01"`},
		"expired": {ca.client(t, testkeys.P256(1), expired), ", expired 36 hours ago\n"},
	} {
		if got := text(test.cert); !strings.Contains(got, test.want) || strings.Contains(got, "\x1b") {
			t.Errorf("%s: no %q in\n%s", name, test.want, got)
		}
	}
	if _, err := Describe(nil, time.Now()); err == nil {
		t.Error("nothing was described")
	}
	noSubject, err := Describe([]*x509.Certificate{ca.client(t, testkeys.P256(1), func(c *x509.Certificate) { c.RawSubject = []byte{0x30, 0} })}, time.Now())
	if err != nil || len(noSubject.Register) != 1 || noSubject.Register[0].Member != "tls_client_auth_san_dns" {
		t.Errorf("no subject: %+v, %v", noSubject.Register, err)
	}
}

func TestCompareSubject(t *testing.T) {
	t.Parallel()
	leaf := testAuthority(t).client(t, testkeys.P256(1), func(c *x509.Certificate) {
		c.RawSubject = rawName(t, [][]attribute{
			{{"2.5.4.6", asn1.TagPrintableString, "GB"}}, {{"2.5.4.10", asn1.TagUTF8String, "Org"}}, {{"2.5.4.3", asn1.TagUTF8String, "tpp"}},
		})
	})
	for registered, want := range map[string]Match{
		"cn=TPP, o=org, c=gb": {Strict: true, AnyOrder: true, Brazil: true},
		"C=GB,O=Org,CN=tpp":   {AnyOrder: true, Brazil: true, RDN: 1, Expected: "C=GB", Presented: "CN=tpp"},
		"CN=tpp,O=Other,C=GB": {RDN: 2, Expected: "O=Other", Presented: "O=Org"},
		"CN=tpp,O=Org":        {RDN: 3, Presented: "C=GB"},
		"commonName=tpp,O=Org,C=GB": {
			Strict: true, AnyOrder: true,
			BrazilProblem: `DN, RDN 1: Open Finance Brasil registers commonName as CN; expected "CN=tpp,O=Org,C=GB"`,
		},
	} {
		want.Registered = registered
		if got := CompareSubject(registered, leaf); got != want {
			t.Errorf("%s: got %+v", registered, got)
		}
	}
	if m := CompareSubject("/C=GB/O=Org/CN=tpp", leaf); !strings.Contains(m.Problem, "slash form") || m.Strict || m.AnyOrder {
		t.Errorf("%+v", m)
	}

	var text strings.Builder
	CompareSubject("C=GB,O=Org,CN=tpp", leaf).write(&text)
	CompareSubject("=", leaf).write(&text)
	wantLines(t, strings.Split(text.String(), "\n"),
		"", "Registered: C=GB,O=Org,CN=tpp", "  strict:     does not match", "  any_order:  matches", "  brazil:     matches",
		`  first difference: RDN 1, registered "C=GB", presented "CN=tpp"`,
		"", "Registered: =", `  no match: DN, RDN 1: unknown attribute type ""; write its dotted OID`, "")
}

func TestParseCertificates(t *testing.T) {
	t.Parallel()
	ca := testAuthority(t)
	both := append([]*pem.Block{{Type: "PRIVATE KEY", Bytes: []byte("skipped")}}, certificateBlocks(ca.issuing, ca.root)...)
	var text []byte
	for _, block := range both {
		text = append(text, pem.EncodeToMemory(block)...)
	}
	for name, data := range map[string][]byte{"PEM": append([]byte("subject=x\n"), text...), "DER": slices.Concat(ca.issuing.Raw, ca.root.Raw)} {
		chain, err := ParseCertificates(data)
		if err != nil || len(chain) != 2 || !chain[0].Equal(ca.issuing) {
			t.Errorf("%s: %d certificates, %v", name, len(chain), err)
		}
	}
	for want, data := range map[string]string{
		"neither PEM nor a DER certificate: empty file": "",
		"neither PEM nor a DER certificate":             "hello",
		"no PEM block CERTIFICATE":                      string(pem.EncodeToMemory(both[0])),
		"certificate 1: x509":                           string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")})),
	} {
		if _, err := ParseCertificates([]byte(data)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// TestSpellingsAsOpenSSL compares with the printer that testers copy from.
func TestSpellingsAsOpenSSL(t *testing.T) {
	t.Parallel()
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed, so there is nothing to compare with")
	}
	ca := testAuthority(t)
	utf8 := func(oid, value string) []attribute { return []attribute{{oid, asn1.TagUTF8String, value}} }
	for name, test := range map[string]struct {
		subject []byte
		nameopt string
	}{
		"Brazil": {brazilianSubject(t), "RFC2253"},
		"PSD2":   {rawName(t, [][]attribute{utf8("2.5.4.10", "Acme, Inc."), utf8("2.5.4.97", "PSDDE-BAFIN-123456"), utf8("2.5.4.3", "Acme")}), "RFC2253"},
		"multi-valued": {rawName(t, [][]attribute{
			{{"2.5.4.3", asn1.TagUTF8String, "foo"}, {"2.5.4.10", asn1.TagUTF8String, "Multi"}}, utf8("2.5.4.11", "a"),
		}), "RFC2253"},
		"interleaved units": {rawName(t, [][]attribute{utf8("2.5.4.3", "foo"), utf8("2.5.4.11", "A"), utf8("2.5.4.10", "Org"), utf8("2.5.4.11", "B")}), "RFC2253"},
		"escapes":           {rawName(t, [][]attribute{utf8("2.5.4.3", ` #a;c<d>"e\ `)}), "RFC2253"},
		"beyond ASCII":      {rawName(t, [][]attribute{utf8("2.5.4.7", "São Paulo")}), "RFC2253,-esc_msb,utf8"},
	} {
		leaf := ca.client(t, testkeys.P256(1), func(c *x509.Certificate) { c.RawSubject = test.subject })
		cmd := exec.Command(openssl, "x509", "-inform", "DER", "-noout", "-subject", "-nameopt", test.nameopt)
		cmd.Stdin = bytes.NewReader(leaf.Raw)
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		want := strings.TrimSuffix(strings.TrimPrefix(string(out), "subject="), "\n")
		d, err := Describe([]*x509.Certificate{leaf}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		// The attributes of an RDN are a set: OpenSSL prints them backwards, Java
		// sorted, and all orders match.
		if d.Subject.ShortNames != want && !strings.Contains(want, "+") {
			t.Errorf("%s: got %s, openssl says %s", name, d.Subject.ShortNames, want)
		}
		for _, spelling := range []string{want, d.Subject.RFC4514, d.Subject.OIDs, d.Subject.Brazil} {
			if m := CompareSubject(spelling, leaf); !m.Strict {
				t.Errorf("%s: %s does not match: %+v", name, spelling, m)
			}
		}
	}
}
