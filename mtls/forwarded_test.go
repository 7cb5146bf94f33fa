package mtls

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

var proxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}

func forwarding(t testing.TB, format, header string) *Forwarding {
	t.Helper()
	f := &Forwarding{Trusted: proxies, Format: format, Header: header}
	if err := f.Validate(); err != nil {
		t.Fatal(err)
	}
	return f
}

// from makes a request of a peer with headers, given as name and value in turn.
func from(peer string, headers ...string) *http.Request {
	r := &http.Request{RemoteAddr: peer, Header: http.Header{}}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

const proxy, stranger = "10.1.2.3:4711", "203.0.113.9:4711"

func sequence(a *authority) string {
	return ":" + base64.StdEncoding.EncodeToString(a.cert.Raw) + ":"
}

func pemOf(chain ...*authority) string {
	var b strings.Builder
	for _, a := range chain {
		pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
	}
	return b.String()
}

// escaped does what nginx does: RFC 3986 escapes, but '+' and '/' may stay.
func escaped(chain ...*authority) string {
	return strings.NewReplacer("%2B", "+", "%2F", "/").Replace(url.PathEscape(pemOf(chain...)))
}

func TestForwarded(t *testing.T) {
	root := newRoot(t, "Root")
	ca := root.issue(t, "Issuing", asCA)
	leaf := ca.issue(t, "client", nil)
	trust := trustIn(t, TrustConfig{}, root)
	rfc := forwarding(t, FormatRFC9440, "")
	nginx := forwarding(t, FormatPEMEscaped, "X-SSL-Client-Cert")
	nginx.ChainHeader = "X-SSL-Client-Chain"
	envoy := forwarding(t, FormatXFCC, "")
	for name, c := range map[string]struct {
		f *Forwarding
		r *http.Request
	}{
		"rfc9440":               {rfc, from(proxy, "Client-Cert", sequence(leaf), "Client-Cert-Chain", sequence(ca)+" ,\t"+sequence(root))},
		"rfc9440, IPv6":         {rfc, from("[fd00::1]:1", "Client-Cert", sequence(leaf), "Client-Cert-Chain", sequence(ca))},
		"rfc9440, IPv4 in IPv6": {rfc, from("[::ffff:10.0.0.1]:1", "Client-Cert", sequence(leaf), "Client-Cert-Chain", sequence(ca))},
		"nginx":                 {nginx, from(proxy, "X-SSL-Client-Cert", escaped(leaf, ca))},
		"nginx, two headers":    {nginx, from(proxy, "X-SSL-Client-Cert", escaped(leaf), "X-SSL-Client-Chain", escaped(ca, root))},
		"all escaped":           {nginx, from(proxy, "X-SSL-Client-Cert", strings.ReplaceAll(url.QueryEscape(pemOf(leaf, ca)), "+", "%20"))},
		"envoy, both":           {envoy, from(proxy, "X-Forwarded-Client-Cert", fmt.Sprintf(`By=spiffe://x;Hash=ab;Cert="%s";Chain="%s";Subject="CN=a\"b;c,d";URI=;DNS=a;DNS=b`, escaped(leaf), escaped(leaf, ca)))},
		"envoy, chain only":     {envoy, from(proxy, "X-Forwarded-Client-Cert", "chain="+escaped(leaf, ca))},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := c.f.FromRequest(c.r)
			if err != nil {
				t.Fatal(err)
			}
			if p.Thumbprint != Thumbprint(leaf.cert) || p.Source != c.f.Header {
				t.Errorf("thumbprint %s from %s", p.Thumbprint, p.Source)
			}
			if findings, ok := trust.Verify(p, noon); !ok {
				t.Errorf("%+v", findings)
			}
			if again, _ := c.f.FromRequest(c.r); again != p {
				t.Error("parsed twice")
			}
		})
	}
	for _, f := range []*Forwarding{nil, rfc, nginx, envoy} {
		for _, peer := range []string{proxy, stranger} {
			if p, err := f.FromRequest(from(peer, "X-Forwarded-For", "10.0.0.1", "Forwarded", "for=10.0.0.1")); p != nil || err != nil {
				t.Errorf("no certificate forwarded: %v, %v", p, err)
			}
		}
	}
}

// A12: a certificate is believed from a listed proxy only.
func TestForwardedByAStranger(t *testing.T) {
	leaf := newRoot(t, "Root").issue(t, "client", nil)
	custom := forwarding(t, FormatRFC9440, "X-Our-Cert")
	custom.ChainHeader = "X-Our-Chain"
	for _, peer := range []string{stranger, "@", "", "[::ffff:203.0.113.9]:1", "[2001:db8::1]:1"} {
		for _, name := range []string{
			"Client-Cert", "client-cert", "Client_Cert", "Client-Cert-Chain", "X-SSL-Client-Cert", "X-Forwarded-Client-Cert",
			"SSL_CLIENT_CERT", "SSL-Client-Cert", "X-Client-Cert", "X-Our-Cert", "X_Our_Chain",
		} {
			// The address that a header claims is nobody's business.
			r := from(peer, name, sequence(leaf), "X-Forwarded-For", "10.0.0.1", "X-Real-IP", "10.0.0.1")
			if p, err := custom.FromRequest(r); p != nil || err == nil {
				t.Errorf("%s from %q is accepted", name, peer)
			}
			if err := (*Forwarding)(nil).Refuse(r); err == nil && !strings.Contains(name, "Our") {
				t.Errorf("%s from %q is let through without a proxy", name, peer)
			}
		}
		if p, err := custom.FromRequest(from(peer, "Client-Cert", "")); p != nil || err == nil {
			t.Error("an empty header is accepted")
		}
	}
}

func TestForwardedRefuses(t *testing.T) {
	root := newRoot(t, "Root")
	leaf := root.issue(t, "client", nil)
	good, other := sequence(leaf), sequence(root)
	rfc := forwarding(t, FormatRFC9440, "")
	nginx := forwarding(t, FormatPEMEscaped, "X-Cert")
	envoy := forwarding(t, FormatXFCC, "")
	padded := root // with base64 that ends in one digit of two bits, and ==
	for len(padded.cert.Raw)%3 != 1 {
		padded = root.issue(t, padded.cert.Subject.CommonName+"x", nil)
	}
	loose := sequence(padded)
	loose = loose[:len(loose)-4] + string(loose[len(loose)-4]+1) + "==:"
	large := root.issue(t, "large", func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: []int{1, 2, 3}, Value: make([]byte, maxForwarded)}}
	})
	key := url.PathEscape("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
	for name, c := range map[string]struct {
		f *Forwarding
		r *http.Request
	}{
		"twice":                   {rfc, from(proxy, "Client-Cert", good, "Client-Cert", good)},
		"twice by another name":   {rfc, from(proxy, "Client-Cert", good, "Client_Cert", other)},
		"chain twice":             {rfc, from(proxy, "Client-Cert", good, "Client-Cert-Chain", other, "Client-Cert-Chain", other)},
		"chain alone":             {rfc, from(proxy, "Client-Cert-Chain", other)},
		"empty":                   {rfc, from(proxy, "Client-Cert", "")},
		"empty sequence":          {rfc, from(proxy, "Client-Cert", "::")},
		"no colons":               {rfc, from(proxy, "Client-Cert", strings.Trim(good, ":"))},
		"one colon":               {rfc, from(proxy, "Client-Cert", ":")},
		"two certificates":        {rfc, from(proxy, "Client-Cert", good+", "+other)},
		"parameters":              {rfc, from(proxy, "Client-Cert", good+";a=1")},
		"no padding":              {rfc, from(proxy, "Client-Cert", ":YQ:")},
		"loose bits":              {rfc, from(proxy, "Client-Cert", loose)},
		"not a certificate":       {rfc, from(proxy, "Client-Cert", ":YWJj:")},
		"trailing bytes":          {rfc, from(proxy, "Client-Cert", ":"+base64.StdEncoding.EncodeToString(append(leaf.cert.Raw[:len(leaf.cert.Raw):len(leaf.cert.Raw)], 0))+":")},
		"PEM instead":             {rfc, from(proxy, "Client-Cert", escaped(leaf))},
		"trailing comma":          {rfc, from(proxy, "Client-Cert", good, "Client-Cert-Chain", other+",")},
		"long chain":              {rfc, from(proxy, "Client-Cert", good, "Client-Cert-Chain", strings.Repeat(other+",", 10)+other)},
		"oversized":               {rfc, from(proxy, "Client-Cert", sequence(large))},
		"nginx, unescaped":        {nginx, from(proxy, "X-Cert", strings.ReplaceAll(pemOf(leaf), "\n", "\t"))},
		"nginx, bad escape":       {nginx, from(proxy, "X-Cert", "%zz")},
		"nginx, text in front":    {nginx, from(proxy, "X-Cert", "x"+escaped(leaf))},
		"nginx, a line in front":  {nginx, from(proxy, "X-Cert", "x%0A"+escaped(leaf))},
		"nginx, text after":       {nginx, from(proxy, "X-Cert", escaped(leaf)+"x")},
		"nginx, a key":            {nginx, from(proxy, "X-Cert", key)},
		"nginx, a key behind":     {nginx, from(proxy, "X-Cert", escaped(leaf)+key)},
		"nginx, only spaces":      {nginx, from(proxy, "X-Cert", "%20")},
		"envoy, two elements":     {envoy, from(proxy, "X-Forwarded-Client-Cert", "Cert="+escaped(leaf)+",Cert="+escaped(root))},
		"envoy, element in front": {envoy, from(proxy, "X-Forwarded-Client-Cert", "Hash=ab,Cert="+escaped(leaf))},
		"envoy, two certs":        {envoy, from(proxy, "X-Forwarded-Client-Cert", "Cert="+escaped(leaf)+";Cert="+escaped(root))},
		"envoy, two in cert":      {envoy, from(proxy, "X-Forwarded-Client-Cert", "Cert="+escaped(leaf, root))},
		"envoy, hash only":        {envoy, from(proxy, "X-Forwarded-Client-Cert", "Hash=ab")},
		"envoy, other chain":      {envoy, from(proxy, "X-Forwarded-Client-Cert", "Cert="+escaped(leaf)+";Chain="+escaped(root))},
		"envoy, open quote":       {envoy, from(proxy, "X-Forwarded-Client-Cert", `Cert="`+escaped(leaf))},
		"envoy, text after quote": {envoy, from(proxy, "X-Forwarded-Client-Cert", `Cert="`+escaped(leaf)+`"xHash=ab`)},
		"envoy, trailing":         {envoy, from(proxy, "X-Forwarded-Client-Cert", "Cert="+escaped(leaf)+";")},
		"envoy, nothing":          {envoy, from(proxy, "X-Forwarded-Client-Cert", "=")},
	} {
		if p, err := c.f.FromRequest(c.r); err == nil {
			t.Errorf("%s: accepted as %v", name, p)
		}
	}
}

func TestForwardingValidate(t *testing.T) { // A13
	everyone := []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}
	for name, f := range map[string]*Forwarding{
		"no format":        {Trusted: proxies},
		"unknown format":   {Trusted: proxies, Format: "x"},
		"nobody trusted":   {Format: FormatRFC9440},
		"everyone trusted": {Format: FormatRFC9440, Trusted: everyone},
		"no prefix":        {Format: FormatRFC9440, Trusted: make([]netip.Prefix, 1)},
		"no header":        {Format: FormatPEMEscaped, Trusted: proxies},
		"xfcc with chain":  {Format: FormatXFCC, Trusted: proxies, ChainHeader: "X"},
		"same header":      {Format: FormatPEMEscaped, Trusted: proxies, Header: "X-Cert", ChainHeader: "x_cert"},
	} {
		if err := f.Validate(); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestForwardedCacheIsBounded(t *testing.T) {
	root := newRoot(t, "Root")
	f := forwarding(t, FormatRFC9440, "")
	first := from(proxy, "Client-Cert", sequence(root))
	p, _ := f.FromRequest(first)
	for range maxForwardedCache + 20 {
		if _, err := f.FromRequest(from(proxy, "Client-Cert", sequence(root.issue(t, "x", nil)))); err != nil {
			t.Fatal(err)
		}
		if again, _ := f.FromRequest(first); again != p {
			t.Fatal("what is in use was forgotten")
		}
	}
	if f.cache.recent.Len() != maxForwardedCache || len(f.cache.entries) != maxForwardedCache {
		t.Errorf("%d and %d remembered", f.cache.recent.Len(), len(f.cache.entries))
	}
	// The chain is part of what was presented.
	with, err := f.FromRequest(from(proxy, "Client-Cert", sequence(root), "Client-Cert-Chain", sequence(root)))
	if err != nil || with == p {
		t.Error("one answer for two chains")
	}
}

func FuzzForwarded(f *testing.F) {
	leaf := newRoot(f, "Root")
	formats := []string{FormatRFC9440, FormatPEMEscaped, FormatXFCC}
	f.Add(0, sequence(leaf), sequence(leaf))
	f.Add(1, escaped(leaf, leaf), "")
	f.Add(2, `Hash=a;Cert="`+escaped(leaf)+`";Chain="`+escaped(leaf)+`"`, "")
	f.Fuzz(func(t *testing.T, format int, value, chain string) {
		name := formats[uint(format)%3]
		forward := forwarding(t, name, "X-Cert")
		r := from(proxy, "X-Cert", value)
		if chain != "" && forward.ChainHeader != "" {
			r.Header.Set(forward.ChainHeader, chain)
		}
		p, err := forward.FromRequest(r)
		if err == nil && (p == nil || p.Leaf == nil || p.Thumbprint == "") {
			t.Fatalf("%s %q: neither a certificate nor an error", name, value)
		}
		r.RemoteAddr = stranger
		if _, err := forward.FromRequest(r); err == nil {
			t.Fatal("accepted from a stranger")
		}
	})
}
