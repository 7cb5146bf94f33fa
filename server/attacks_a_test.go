package server_test

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/fapid/fapid/certs"
	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server"
	"github.com/fapid/fapid/server/servertest"
	"github.com/fapid/fapid/testkeys"
)

// askAll sends a request of a tls_client_auth client to the three endpoints.
func askAll(t *testing.T, s *servertest.Server, client *http.Client, listener, id string, status int, code string) {
	t.Helper()
	for _, d := range doors(listener) {
		answer := post(t, s, client, d.url, d.form("client_id", id))
		if answer.Status != status || answer.Error() != code {
			t.Errorf("%s: %s, want %d %s", d.name, answer, status, code)
		}
	}
}

func TestAttackA1A6(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	a, b := s.TPP("a"), s.TPP("b")
	askAll(t, s, a.HTTP, s.MTLS, "a", 200, "")
	// A1: no certificate, and the listener that never asks for one.
	askAll(t, s, holder(t, s, nil), s.MTLS, "a", 401, "invalid_client")
	askAll(t, s, a.HTTP, s.Issuer, "a", 401, "invalid_client")
	// A6: another client's certificate.
	askAll(t, s, b.HTTP, s.MTLS, "a", 401, "invalid_client")
	// The certificate alone does not say who the client is (RFC 8705 section 2).
	askAll(t, s, a.HTTP, s.MTLS, "", 401, "invalid_client")
}

// named registers a client by a certificate name.
func named(kind, value string) func(*registration.Metadata) {
	return func(m *registration.Metadata) {
		m.TLSClientAuthSubjectDN = ""
		switch kind {
		case "dn":
			m.TLSClientAuthSubjectDN = value
		case "dns":
			m.TLSClientAuthSANDNS = value
		case "uri":
			m.TLSClientAuthSANURI = value
		case "ip":
			m.TLSClientAuthSANIP = value
		case "email":
			m.TLSClientAuthSANEmail = value
		}
	}
}

func TestAttackA2A4A24(t *testing.T) {
	t.Parallel()
	root, unknown, elsewhere := newPKI(t, "root"), newPKI(t, "root"), newPKI(t, "elsewhere")
	unknown.key = testkeys.P256(2)
	unknown.certificate = issue(t, caTemplate("root"), caTemplate("root"), unknown.key, unknown.key)
	s := servertest.Start(t, trusting(root.file(t)), func(c *server.Config) {
		c.Realms["strict"].Trust.CAs = []string{elsewhere.file(t)}
	})
	s.TPP("leaf", named("dn", "CN=leaf,O=Attack"))
	key := newKey(t)
	noCA := root.below(t, "no CA", func(c *x509.Certificate) { c.IsCA = false })
	unmarked := root.below(t, "no basic constraints", func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = false, false })
	noSign := root.below(t, "may not sign", func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign })
	last := root.below(t, "last", func(c *x509.Certificate) { c.MaxPathLenZero = true })
	limited := root.below(t, "limited", func(c *x509.Certificate) {
		c.PermittedDNSDomains, c.PermittedDNSDomainsCritical = []string{"good.example"}, true
	})
	server := root.below(t, "servers only", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })
	good := root.below(t, "good", nil)
	usage := func(usages ...x509.ExtKeyUsage) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.ExtKeyUsage = usages }
	}
	host := func(name string) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.DNSNames = []string{name} }
	}
	tampered := root.leaf(t, key, nil)[0]
	raw := append([]byte{}, tampered.Raw...)
	raw[len(raw)-1] ^= 1
	broken, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name   string
		chain  []*x509.Certificate
		status int
	}{
		{"good", root.leaf(t, key, nil), 200},
		{"good, through an intermediate", good.leaf(t, key, nil), 200},
		{"good, within name constraints", limited.leaf(t, key, host("a.good.example")), 200},
		{"A2 unknown CA", elsewhere.leaf(t, key, nil), 401}, // trusted, but by another realm
		{"A2 unknown CA of the same name", unknown.leaf(t, key, nil), 401},
		{"A2 unknown CA with its root", append(unknown.leaf(t, key, nil), unknown.certificate), 401},
		{"A2 self-signed", []*x509.Certificate{issue(t, root.leaf(t, key, nil)[0], root.leaf(t, key, nil)[0], key, key)}, 401},
		{"A2 broken signature", []*x509.Certificate{broken}, 401},
		{"A4 serverAuth only", root.leaf(t, key, usage(x509.ExtKeyUsageServerAuth)), 401},
		{"A4 codeSigning only", root.leaf(t, key, usage(x509.ExtKeyUsageCodeSigning)), 401},
		{"A4 emailProtection and OCSPSigning", root.leaf(t, key, usage(x509.ExtKeyUsageEmailProtection, x509.ExtKeyUsageOCSPSigning)), 401},
		{"A4 CA for servers only", server.leaf(t, key, nil), 401},
		{"A4 CA certificate", root.leaf(t, key, func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true }), 401},
		{"A4 key that may not sign", root.leaf(t, key, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyAgreement }), 401},
		{"A24 intermediate without CA:true", noCA.leaf(t, key, nil), 401},
		{"A24 intermediate without basic constraints", unmarked.leaf(t, key, nil), 401},
		{"A24 intermediate that may not sign", noSign.leaf(t, key, nil), 401},
		{"A24 path too long", last.below(t, "beyond", nil).leaf(t, key, nil), 401},
		{"A24 leaf as CA", (&pki{certificate: root.leaf(t, key, nil)[0], key: key, above: root.leaf(t, key, nil)}).leaf(t, key, nil), 401},
		{"A24 outside name constraints", limited.leaf(t, key, host("evil.example")), 401},
		{"A24 outside name constraints, in other case", limited.leaf(t, key, host("EVIL.example")), 401},
		{"A24 suffix without a dot", limited.leaf(t, key, host("evilgood.example")), 401},
		{"A24 name constraints, wildcard", limited.leaf(t, key, host("*.example")), 401},
	} {
		t.Run(row.name, func(t *testing.T) {
			code := map[int]string{401: "invalid_client"}[row.status]
			askAll(t, s, holder(t, s, key, row.chain...), s.MTLS, "leaf", row.status, code)
		})
	}
	// RFC 8705 section 2.1 knows one trust store for a realm: there a second CA
	// may certify the same subject, and section 7.4 leaves it to whoever chooses
	// the CAs. Realms with CAs that must not meet are realms of their own.
	second := root.below(t, "second", nil)
	askAll(t, s, holder(t, s, key, second.leaf(t, key, nil)...), s.MTLS, "leaf", 200, "")
}

// overSame sends a request and reports whether it went over a connection that
// was there before.
func overSame(t *testing.T, s *servertest.Server, client *http.Client, form url.Values) (answer servertest.Answer, reused bool) {
	t.Helper()
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) { reused = info.Reused }})
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.MTLS+"/token", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header = servertest.Form
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	answer = readAnswer(t, response)
	checkRules(t, s, answer, nil)
	return answer, reused
}

func TestAttackA3(t *testing.T) {
	t.Parallel()
	root := newPKI(t, "root")
	s := servertest.Start(t, trusting(root.file(t)))
	s.TPP("leaf", named("dn", "CN=leaf,O=Attack"))
	key := newKey(t)
	between := func(from, to time.Duration) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.NotBefore, c.NotAfter = time.Now().Add(from), time.Now().Add(to) }
	}
	askAll(t, s, holder(t, s, key, root.leaf(t, key, between(-2*time.Hour, -time.Hour))...), s.MTLS, "leaf", 401, "invalid_client")
	askAll(t, s, holder(t, s, key, root.leaf(t, key, between(time.Hour, 2*time.Hour))...), s.MTLS, "leaf", 401, "invalid_client")
	expired := root.below(t, "expired", between(-2*time.Hour, -time.Hour))
	askAll(t, s, holder(t, s, key, expired.leaf(t, key, nil)...), s.MTLS, "leaf", 401, "invalid_client")

	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {"leaf"}}
	for _, http2 := range []bool{false, true} {
		chain := root.leaf(t, key, between(-time.Hour, 30*time.Minute))
		client := holder(t, s, key, chain...)
		client.Transport.(*http.Transport).ForceAttemptHTTP2 = http2
		answer, _ := overSame(t, s, client, form)
		wantAnswer(t, answer, 200, "")
		token, _ := answer.JSON["access_token"].(string)
		s.Clock.Move(31 * time.Minute)
		answer, reused := overSame(t, s, client, form)
		wantAnswer(t, answer, 401, "invalid_client")
		s.Clock.Move(-25 * time.Minute) // the token is good again, the certificate too
		wantAnswer(t, callBank(t, s, client, s.MTLS, token), 200, "")
		s.Clock.Move(-6 * time.Minute)
		if !reused {
			t.Error("the request went over another connection")
		}
	}
}

func TestAttackA5(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, func(c *server.Config) { c.Realms["default"].Audience = "api" })
	api := s.TPP("api", servertest.JWT)
	for _, http2 := range []bool{false, true} {
		tpp := s.TPP("tpp")
		tpp.HTTP.Transport.(*http.Transport).ForceAttemptHTTP2 = http2
		form := url.Values{"grant_type": {"client_credentials"}, "client_id": {"tpp"}}
		answer, _ := overSame(t, s, tpp.HTTP, form)
		wantAnswer(t, answer, 200, "")
		token, _ := answer.JSON["access_token"].(string)
		report := func() string {
			form := withAssertion(url.Values{"token": {token}}, claiming()(t, api))
			return post(t, s, api.HTTP, s.Issuer+"/token/introspection", form).Body
		}
		if body := report(); !strings.HasPrefix(body, `{"active":true`) {
			t.Errorf("before: %s", body)
		}
		if err := s.CA().Revoke(context.Background(), certs.SerialOf(tpp.Transport[0]), certs.ReasonKeyCompromise); err != nil {
			t.Fatal(err)
		}
		answer, reused := overSame(t, s, tpp.HTTP, form)
		wantAnswer(t, answer, 401, "invalid_client")
		if !reused {
			t.Error("the request went over another connection")
		}
		wantAnswer(t, callBank(t, s, tpp.HTTP, s.MTLS, token), 401, "invalid_token")
		askAll(t, s, tpp.HTTP, s.MTLS, "tpp", 401, "invalid_client")
		// What is bound to it is dead, whoever asks, and after a restart too.
		tpp.Renew()
		wantAnswer(t, callBank(t, s, tpp.HTTP, s.MTLS, token), 401, "invalid_token")
		s.Restart()
		if body := report(); body != `{"active":false}` {
			t.Errorf("a token of a revoked certificate introspects as %s", body)
		}
	}
}

func TestAttackA7(t *testing.T) {
	t.Parallel()
	root := newPKI(t, "root")
	s := servertest.Start(t, trusting(root.file(t)))
	key := newKey(t)
	const utf8, printable = asn1.TagUTF8String, asn1.TagPrintableString
	// name builds a subject of RDNs; each is a list of attributes.
	name := func(rdns ...[]attribute) []byte {
		var sequence []any
		for _, rdn := range rdns {
			sequence = append(sequence, rawRDN(t, rdn))
		}
		return marshal(t, sequence)
	}
	one := func(oid asn1.ObjectIdentifier, value string) []attribute { return []attribute{{oid, value, utf8}} }
	c, o, cn, unknown := asn1.ObjectIdentifier{2, 5, 4, 6}, asn1.ObjectIdentifier{2, 5, 4, 10}, asn1.ObjectIdentifier{2, 5, 4, 3}, asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 1}
	s.TPP("dn", named("dn", "CN=a,O=Test\\, Inc,C=GB"))
	s.TPP("repeated", named("dn", "CN=b,CN=a"))
	s.TPP("multi", named("dn", "CN=a+O=Test,C=GB"))
	s.TPP("unknown", named("dn", "1.3.6.1.4.1.99999.1=#0c0161,CN=a"))
	for _, row := range []struct {
		name, client string
		subject      []byte
		status       int
	}{
		{"the very name", "dn", name(one(c, "GB"), one(o, "Test, Inc"), one(cn, "a")), 200},
		{"reordered", "dn", name(one(cn, "a"), one(o, "Test, Inc"), one(c, "GB")), 401},
		{"another CN behind", "dn", name(one(c, "GB"), one(o, "Test, Inc"), one(cn, "a"), one(cn, "b")), 401},
		{"another CN in front", "dn", name(one(c, "GB"), one(o, "Test, Inc"), one(cn, "b"), one(cn, "a")), 401},
		{"the same CN twice", "dn", name(one(c, "GB"), one(o, "Test, Inc"), one(cn, "a"), one(cn, "a")), 401},
		{"one RDN less", "dn", name(one(o, "Test, Inc"), one(cn, "a")), 401},
		{"RDNs joined", "dn", name(one(c, "GB"), append(one(o, "Test, Inc"), one(cn, "a")...)), 401},
		{"comma that separates", "dn", name(one(c, "GB"), one(o, " Inc"), one(o, "Test"), one(cn, "a")), 401},
		{"the escape spelled out", "dn", name(one(c, "GB"), one(o, `Test\, Inc`), one(cn, "a")), 401},
		{"the whole DN in the CN", "dn", name(one(cn, `a,O=Test\, Inc,C=GB`)), 401},
		{"NUL behind", "dn", name(one(c, "GB"), one(o, "Test, Inc"), one(cn, "a\x00")), 401},
		{"NUL and more", "dn", name(one(c, "GB"), one(o, "Test, Inc"), one(cn, "a\x00b")), 401},
		{"zero-width space", "dn", name(one(c, "GB"), one(o, "Test, Inc"), one(cn, "a\u200b")), 401},
		{"Cyrillic", "dn", name(one(c, "GB"), one(o, "Test, Inc"), one(cn, "\u0430")), 401},
		{"empty", "dn", name(), 401},
		{"other attribute type", "dn", name(one(c, "GB"), one(o, "Test, Inc"), one(unknown, "a")), 401},
		// RFC 4517 section 4.2.15 makes these the same name: case, spaces at
		// the ends and the ASN.1 string type do not count.
		{"other case", "dn", name(one(c, "gb"), one(o, "TEST, INC"), one(cn, "A")), 200},
		{"trailing space", "dn", name(one(c, "GB"), one(o, "Test, Inc "), one(cn, "a")), 200},
		{"other string type", "dn", name([]attribute{{c, "GB", printable}}, []attribute{{o, "Test, Inc", printable}}, []attribute{{cn, "a", printable}}), 200},
		{"no space between words", "dn", name(one(c, "GB"), one(o, "Test,Inc"), one(cn, "a")), 401},
		{"two CNs", "repeated", name(one(cn, "a"), one(cn, "b")), 200},
		{"two CNs in the other order", "repeated", name(one(cn, "b"), one(cn, "a")), 401},
		{"the last CN only", "repeated", name(one(cn, "b")), 401},
		{"the first CN only", "repeated", name(one(cn, "a")), 401},
		{"two CNs in one RDN", "repeated", name(append(one(cn, "a"), one(cn, "b")...)), 401},
		{"multi-valued", "multi", name(one(c, "GB"), append(one(cn, "a"), one(o, "Test")...)), 200},
		{"multi-valued, taken apart", "multi", name(one(c, "GB"), one(o, "Test"), one(cn, "a")), 401},
		{"unknown type", "unknown", name(one(cn, "a"), one(unknown, "a")), 200},
		{"unknown type, other value", "unknown", name(one(cn, "a"), one(unknown, "b")), 401},
		{"unknown type, other string type", "unknown", name(one(cn, "a"), []attribute{{unknown, "a", printable}}), 200},
	} {
		t.Run(row.name, func(t *testing.T) {
			client := holder(t, s, key, root.leaf(t, key, func(c *x509.Certificate) { c.RawSubject = row.subject })...)
			askAll(t, s, client, s.MTLS, row.client, row.status, map[int]string{401: "invalid_client"}[row.status])
		})
	}
}

// attribute is one of an RDN, with the ASN.1 type of its string.
type attribute struct {
	oid   asn1.ObjectIdentifier
	value string
	tag   int
}

func rawRDN(t testing.TB, attributes []attribute) asn1.RawValue {
	t.Helper()
	var set []byte
	for _, a := range attributes {
		set = append(set, marshal(t, struct {
			OID   asn1.ObjectIdentifier
			Value asn1.RawValue
		}{a.oid, asn1.RawValue{Tag: a.tag, Bytes: []byte(a.value)}})...)
	}
	return asn1.RawValue{FullBytes: marshal(t, asn1.RawValue{Tag: asn1.TagSet, IsCompound: true, Bytes: set})}
}

func marshal(t testing.TB, value any) []byte {
	t.Helper()
	if list, ok := value.([]any); ok {
		var inner []byte
		for _, element := range list {
			inner = append(inner, marshal(t, element)...)
		}
		value = asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: inner}
	}
	der, err := asn1.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestAttackA8A9(t *testing.T) {
	t.Parallel()
	root := newPKI(t, "root")
	s := servertest.Start(t, trusting(root.file(t)), servertest.Registering())
	key := newKey(t)
	s.TPP("dns", named("dns", "tpp.example.com"))
	s.TPP("uri", named("uri", "https://tpp.example.com/id"))
	s.TPP("ip", named("ip", "192.0.2.1"))
	s.TPP("email", named("email", "Alice@example.com"))
	link := func(text string) []*url.URL {
		parsed, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return []*url.URL{parsed}
	}
	type certificate = x509.Certificate
	for _, row := range []struct {
		name, client string
		change       func(*certificate)
		status       int
	}{
		{"DNS", "dns", func(c *certificate) { c.DNSNames = []string{"x.example", "tpp.example.com"} }, 200},
		{"DNS in other case (RFC 5280 section 7.2)", "dns", func(c *certificate) { c.DNSNames = []string{"TPP.example.com"} }, 200},
		{"DNS in the CN", "dns", func(c *certificate) { c.Subject = pkix.Name{CommonName: "tpp.example.com"} }, 401},
		{"wildcard", "dns", func(c *certificate) { c.DNSNames = []string{"*.example.com"} }, 401},
		{"dot behind", "dns", func(c *certificate) { c.DNSNames = []string{"tpp.example.com."} }, 401},
		{"longer", "dns", func(c *certificate) { c.DNSNames = []string{"tpp.example.com.evil.example"} }, 401},
		{"DNS as email", "dns", func(c *certificate) { c.EmailAddresses = []string{"tpp.example.com"} }, 401},
		{"DNS as URI", "dns", func(c *certificate) { c.URIs = link("https://tpp.example.com") }, 401},
		{"no SAN", "dns", func(*certificate) {}, 401},
		{"URI", "uri", func(c *certificate) { c.URIs = link("https://tpp.example.com/id") }, 200},
		{"URI, host in other case", "uri", func(c *certificate) { c.URIs = link("https://TPP.example.com/id") }, 401},
		{"URI with the port", "uri", func(c *certificate) { c.URIs = link("https://tpp.example.com:443/id") }, 401},
		{"URI with a slash", "uri", func(c *certificate) { c.URIs = link("https://tpp.example.com/id/") }, 401},
		{"URI with an escape", "uri", func(c *certificate) { c.URIs = link("https://tpp.example.com/%69d") }, 401},
		{"URI with dots", "uri", func(c *certificate) { c.URIs = link("https://tpp.example.com/x/../id") }, 401},
		{"IP", "ip", func(c *certificate) { c.IPAddresses = []net.IP{net.IPv4(192, 0, 2, 1)} }, 200},
		{"another IP", "ip", func(c *certificate) { c.IPAddresses = []net.IP{net.IPv4(192, 0, 2, 2)} }, 401},
		{"IPv4-mapped", "ip", func(c *certificate) { c.ExtraExtensions = []pkix.Extension{mappedSAN(t, "192.0.2.1")} }, 401},
		{"IP as DNS", "ip", func(c *certificate) { c.DNSNames = []string{"192.0.2.1"} }, 401},
		{"email", "email", func(c *certificate) { c.EmailAddresses = []string{"Alice@EXAMPLE.com"} }, 200},
		{"email, local part in other case", "email", func(c *certificate) { c.EmailAddresses = []string{"alice@example.com"} }, 401},
		{"email with a comment", "email", func(c *certificate) { c.EmailAddresses = []string{"Alice(x)@example.com"} }, 401},
		{"email of a subdomain", "email", func(c *certificate) { c.EmailAddresses = []string{"Alice@a.example.com"} }, 401},
	} {
		t.Run(row.name, func(t *testing.T) {
			askAll(t, s, holder(t, s, key, root.leaf(t, key, row.change)...), s.MTLS, row.client, row.status, map[int]string{401: "invalid_client"}[row.status])
		})
	}
	// A9: exactly one of the five.
	r := s.Registrant(s.MTLS)
	for name, names := range map[string][]any{
		"none": nil,
		"two":  {mtls.KindSubjectDN, "CN=a", mtls.KindSANDNS, "a.example.com"},
		"all": {
			mtls.KindSubjectDN, "CN=a", mtls.KindSANDNS, "a.example.com", mtls.KindSANURI, "https://a.example.com",
			mtls.KindSANIP, "192.0.2.1", mtls.KindSANEmail, "a@example.com",
		},
		"an empty one": {mtls.KindSubjectDN, ""},
		"a wildcard":   {mtls.KindSANDNS, "*.example.com"},
		"no DN":        {mtls.KindSubjectDN, "tpp"},
	} {
		t.Run("A9 "+name, func(t *testing.T) {
			wantAnswer(t, r.Register(servertest.Changed(servertest.Plain("token_endpoint_auth_method", oauth.AuthTLS), names...)), 400, "invalid_client_metadata")
		})
	}
	want(t, r.Register(servertest.Plain("token_endpoint_auth_method", oauth.AuthTLS, mtls.KindSANDNS, "a.example.com")), 201)
}

// mappedSAN is a subject alternative name with an address in its IPv6 form.
func mappedSAN(t testing.TB, address string) pkix.Extension {
	t.Helper()
	value := marshal(t, []any{asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 7, Bytes: net.ParseIP(address).To16()}})
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: value}
}
