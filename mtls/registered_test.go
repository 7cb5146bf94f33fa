package mtls

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net"
	"strings"
	"testing"
)

// withNames makes a certificate with raw GeneralNames, which crypto/x509 would
// rewrite.
func withNames(t testing.TB, names ...asn1.RawValue) *Presented {
	t.Helper()
	der, err := asn1.Marshal(names)
	if err != nil {
		t.Fatal(err)
	}
	return present(t, (*authority)(nil).issue(t, "cn.example", func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: oidAltNames, Value: der}}
	}))
}

func general(tag int, value string) asn1.RawValue {
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, Bytes: []byte(value)}
}

func TestMatchAlternativeNames(t *testing.T) { // A8
	v4 := string(net.IPv4(192, 0, 2, 1).To4())
	mapped := string(net.IPv4(192, 0, 2, 1).To16())
	v6 := string(net.ParseIP("2001:db8::1"))
	for _, c := range []struct {
		kind, registered string
		presented        asn1.RawValue
		ok               bool
	}{
		{KindSANDNS, "a.example", general(tagDNS, "a.example"), true},
		{KindSANDNS, "A.Example", general(tagDNS, "a.eXample"), true},
		{KindSANDNS, "a.example", general(tagDNS, "*.example"), false},
		{KindSANDNS, "a.example", general(tagDNS, "b.a.example"), false},
		{KindSANDNS, "a.example", general(tagDNS, "a.example."), false},
		{KindSANDNS, "cn.example", general(tagDNS, "other.example"), false}, // in the CN only
		{KindSANDNS, "a.example", general(tagEmail, "a.example"), false},
		{KindSANDNS, "a.example", general(tagURI, "a.example"), false},

		{KindSANURI, "https://a.example/x", general(tagURI, "https://a.example/x"), true},
		{KindSANURI, "HTTPS://a.example/x", general(tagURI, "HTTPS://a.example/x"), true},
		{KindSANURI, "urn:uuid:5c1f", general(tagURI, "urn:uuid:5c1f"), true},
		{KindSANURI, "https://a.example/x", general(tagURI, "HTTPS://a.example/x"), false},
		{KindSANURI, "https://a.example/x", general(tagURI, "https://a.example:443/x"), false},
		{KindSANURI, "https://a.example/x", general(tagURI, "https://a.example/x/"), false},
		{KindSANURI, "https://a.example/%41", general(tagURI, "https://a.example/A"), false},
		{KindSANURI, "https://a.example/a%2fb", general(tagURI, "https://a.example/a%2Fb"), false},

		{KindSANIP, "192.0.2.1", general(tagIP, v4), true},
		{KindSANIP, "192.0.2.1", general(tagIP, mapped), false},
		{KindSANIP, "::ffff:192.0.2.1", general(tagIP, mapped), true},
		{KindSANIP, "::ffff:192.0.2.1", general(tagIP, v4), false},
		{KindSANIP, "2001:DB8:0::1", general(tagIP, v6), true},
		{KindSANIP, "2001:db8::2", general(tagIP, v6), false},
		{KindSANIP, "192.0.2.1", general(tagDNS, "192.0.2.1"), false},

		{KindSANEmail, "me@a.example", general(tagEmail, "me@a.example"), true},
		{KindSANEmail, "me@A.example", general(tagEmail, "me@a.EXAMPLE"), true},
		{KindSANEmail, "Me@a.example", general(tagEmail, "me@a.example"), false},
		{KindSANEmail, "me@a.example", general(tagEmail, "a.example"), false},
		{KindSANEmail, "me@a.example", general(tagEmail, "x@me@a.example"), false},
	} {
		r, err := ParseRegistered(c.kind, c.registered, MatchStrict)
		if err != nil {
			t.Errorf("%s %q: %v", c.kind, c.registered, err)
			continue
		}
		f := r.Match(withNames(t, c.presented))
		if f.OK != c.ok || f.Check != c.kind || f.Expected != c.registered || f.Presented == "" || f.OK == (f.Advice != "") {
			t.Errorf("%s %q and %q: %+v", c.kind, c.registered, c.presented.Bytes, f)
		}
	}
}

func TestMatchOneOfSeveral(t *testing.T) {
	p := withNames(t, general(tagDNS, "a.example"), general(tagURI, "urn:x"), general(tagDNS, "b.example"))
	for kind, value := range map[string]string{KindSANDNS: "b.example", KindSANURI: "urn:x"} {
		r, err := ParseRegistered(kind, value, MatchStrict)
		if err != nil || !r.Match(p).OK {
			t.Errorf("%s %s: %v", kind, value, err)
		}
	}
	r, _ := ParseRegistered(KindSANEmail, "a@b.example", MatchStrict)
	if f := r.Match(p); !strings.Contains(f.Presented, `dNSName ["a.example" "b.example"]`) {
		t.Errorf("does not say what the certificate has: %+v", f)
	}
	if f := r.Match(present(t, newRoot(t, "x"))); f.Presented != "no subject alternative name" {
		t.Errorf("%+v", f)
	}
	if f := r.Match(nil); f.OK || f.Presented != "no certificate" {
		t.Errorf("%+v", f)
	}
}

func TestMatchSubject(t *testing.T) { // A7
	p := present(t, (*authority)(nil).issue(t, "", func(c *x509.Certificate) {
		c.RawSubject = unhex(t, javaNames[1].der)
	}))
	match := func(dn string, matching Matching) Finding {
		r, err := ParseRegistered(KindSubjectDN, dn, matching)
		if err != nil {
			t.Fatal(err)
		}
		return r.Match(p)
	}
	for _, dn := range []string{p.Subject().String(), p.Subject().ShortNames(), p.Subject().OIDs()} {
		if f := match(dn, MatchStrict); !f.OK || f.Presented != p.Subject().String() {
			t.Errorf("%s: %+v", dn, f)
		}
	}
	shorter := p.Subject()[:len(p.Subject())-1].String()
	if f := match(shorter, MatchStrict); f.OK || !strings.Contains(f.Advice, "RDN 1 differs") {
		t.Errorf("without its CN: %+v", f)
	}
	// crypto/x509 prints another order; so does OpenSSL by default.
	for _, dn := range []string{p.Leaf.Subject.String(), forward(p.Subject())} {
		if f := match(dn, MatchStrict); f.OK || !strings.Contains(f.Advice, "another order") || !strings.Contains(f.Advice, p.Subject().String()) {
			t.Errorf("%s: %+v", dn, f)
		}
		if f := match(dn, MatchAnyOrder); !f.OK {
			t.Errorf("%s in any order: %+v", dn, f)
		}
	}
}

func forward(n Name) string {
	var parts []string
	for i := range n {
		parts = append(parts, n[i:i+1].ShortNames())
	}
	return strings.Join(parts, ", ")
}

func TestParseRegisteredRefuses(t *testing.T) {
	for _, c := range []struct{ kind, value, reason string }{
		{"tls_client_auth_dn", "CN=a", "RFC 8705"},
		{KindSubjectDN, "/C=GB/CN=a", `expected "CN=a,C=GB"`},
		{KindSubjectDN, "", "empty"},
		{KindSANDNS, "*.example", "wildcard"},
		{KindSANDNS, "", "ASCII"},
		{KindSANDNS, "bücher.example", "xn--"},
		{KindSANDNS, "a..example", "not a DNS name"},
		{KindSANDNS, "a.example.", "not a DNS name"},
		{KindSANDNS, "a.example:443", "not a DNS name"},
		{KindSANDNS, "a\x00.example", "ASCII"},
		{KindSANDNS, "192.0.2.1", KindSANIP},
		{KindSANDNS, strings.Repeat("a.", 127) + "aa", "253"},
		{KindSANURI, "/x", "absolute"},
		{KindSANURI, "a.example", "absolute"},
		{KindSANURI, "https://a example", "absolute"},
		{KindSANIP, "192.0.2.0/24", "not an IP"},
		{KindSANIP, "192.0.2.01", "not an IP"},
		{KindSANIP, "fe80::1%eth0", "not an IP"},
		{KindSANEmail, "a.example", "email"},
		{KindSANEmail, "@a.example", "email"},
		{KindSANEmail, "a@*.example", "wildcard"},
		{KindSANEmail, "a b@c.example", "email"},
		{KindSANURI, "urn:" + strings.Repeat("a", maxDN), "more than"},
	} {
		if _, err := ParseRegistered(c.kind, c.value, MatchStrict); err == nil || !strings.Contains(err.Error(), c.reason) {
			t.Errorf("%s %.40q: got %v, want an error with %q", c.kind, c.value, err, c.reason)
		}
	}
}

func FuzzRegistered(f *testing.F) {
	kinds := []string{KindSubjectDN, KindSANDNS, KindSANURI, KindSANIP, KindSANEmail}
	for i, value := range []string{"CN=cn.example", "a.example", "urn:x", "192.0.2.1", "me@a.example"} {
		f.Add(i, value)
	}
	bare := withNames(f, general(tagDNS, "*.example"))
	f.Fuzz(func(t *testing.T, kind int, value string) {
		r, err := ParseRegistered(kinds[uint(kind)%5], value, MatchAnyOrder)
		if err != nil {
			return
		}
		tag := map[string]int{KindSANDNS: tagDNS, KindSANURI: tagURI, KindSANEmail: tagEmail}[r.Kind]
		switch r.Kind {
		case KindSubjectDN:
			return
		case KindSANIP:
			if r.Match(bare).OK {
				t.Fatal("an address matches a certificate without one")
			}
			if p := withNames(t, general(tagIP, string(r.ip.AsSlice()))); !r.Match(p).OK {
				t.Fatalf("%q does not match itself", value)
			}
		default:
			var names altNames
			if err := names.add(general(tag, value)); err != nil {
				t.Fatal(err)
			}
			if !r.Match(&Presented{names: names}).OK {
				t.Fatalf("%q does not match itself", value)
			}
			if r.Match(bare).OK {
				t.Fatalf("%q matches a wildcard", value)
			}
		}
	})
}
