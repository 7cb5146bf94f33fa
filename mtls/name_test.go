package mtls

import (
	"encoding/asn1"
	"encoding/hex"
	"reflect"
	"strings"
	"testing"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func mustDN(t testing.TB, s string) Name {
	t.Helper()
	n, err := ParseDN(s)
	if err != nil {
		t.Fatalf("ParseDN(%q): %v", s, err)
	}
	return n
}

func TestNamePrintsAsJavaDoes(t *testing.T) {
	for _, c := range javaNames {
		n, err := ParseName(unhex(t, c.der))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := n.String(); got != c.java {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.java)
		}
	}
}

// Every spelling we print must be one we read, as the same name.
func TestSpellingsAreEqual(t *testing.T) {
	for _, c := range javaNames {
		n, err := ParseName(unhex(t, c.der))
		if err != nil || len(n) == 0 || strings.ContainsRune(n.ShortNames(), 0) || c.name == "nul" {
			continue
		}
		for _, s := range []string{n.String(), n.ShortNames(), n.OIDs(), n.Brazil()} {
			if d := CompareNames(mustDN(t, s), n, MatchStrict); d != nil {
				t.Errorf("%s: %q differs: %+v", c.name, s, d)
			}
		}
	}
}

func TestSpellings(t *testing.T) {
	n := mustDN(t, `CN=Acme,2.5.4.97=#131250534444452d424146494e2d313233343536,O=Acme\, Inc.,C=DE`)
	if got, want := n.ShortNames(), `CN=Acme,organizationIdentifier=PSDDE-BAFIN-123456,O=Acme\, Inc.,C=DE`; got != want {
		t.Errorf("ShortNames: %s", got)
	}
	if got, want := n.OIDs(), `2.5.4.3=Acme,2.5.4.97=PSDDE-BAFIN-123456,2.5.4.10=Acme\, Inc.,2.5.4.6=DE`; got != want {
		t.Errorf("OIDs: %s", got)
	}
	if got, want := n.Brazil(), `CN=Acme,2.5.4.97=#131250534444452d424146494e2d313233343536,O=Acme\, Inc.,C=DE`; got != want {
		t.Errorf("Brazil: %s", got)
	}
	n = mustDN(t, "CN=a\nb\x7f\u0085")
	if got := n.String() + n.ShortNames(); got != `CN=a\0Ab\7F\C2\85CN=a\0Ab\7F\C2\85` {
		t.Errorf("control characters: %q", got)
	}
	// Text without a type of its own gets the one certificates have.
	n = mustDN(t, "organizationIdentifier=OFBBR-1,serialNumber=1,emailAddress=a@b")
	if got, want := n.String(), "2.5.4.97=#0c074f464242522d31,2.5.4.5=#130131,1.2.840.113549.1.9.1=#1603614062"; got != want {
		t.Errorf("String: %s", got)
	}
}

func TestEqualNames(t *testing.T) {
	const brazil = "CN=web.example,UID=bc97b8f0,2.5.4.97=#0c074f464242522d31,L=Sao Paulo,C=BR,2.5.4.5=#130131,1.3.6.1.4.1.311.60.2.1.3=#13024252,2.5.4.15=#0c0142"
	for _, c := range []struct{ registered, presented string }{
		{brazil, "cn=WEB.example, uid=bc97b8f0, organizationIdentifier=ofbbr-1, l=sao  paulo, c=br, serialNumber=1, jurisdictionC=BR, businessCategory=B"},
		{brazil, "CN=web.example,UID=bc97b8f0,OID.2.5.4.97=OFBBR-1,L=Sao Paulo,C=BR,SERIALNUMBER=1,jurisdictionCountryName=BR,2.5.4.15=B"},
		{brazil, strings.ReplaceAll(brazil, "=#0c0142", "=#0C0142")},
		{`O="Acme, Inc.",C=DE`, `O=Acme\, Inc.,C=DE`},
		{`O="say \"hi\" \\",C=DE`, `O=say \"hi\" \\,C=DE`},
		{`O=Acme\2C Inc.`, `O=Acme\, Inc.`},
		{`CN=S\C3\A3o`, "CN=são"},
		{`CN=\C5\BF`, "CN=S"}, // the long s folds to s, as in RFC 4518
		{"CN=#0c0361626d", "CN=abm"},
		{"CN=#1303616263", "CN=#0c03616263"},       // PrintableString, UTF8String
		{"CN=#1603616263", "CN=#1403616263"},       // IA5String, TeletexString
		{"CN=#1e0400610062", "CN=ab"},              // BMPString
		{"CN=#1c080000006100000062", "CN=ab"},      // UniversalString
		{"CN=#1401e9", "CN=é"},                     // TeletexString
		{`CN=\ a \ `, "CN=a"},                      // outer spaces
		{"CN=a   b", "CN=a b"},                     // inner spaces
		{"CN=a\tb", "CN=a b"},                      // white space is space
		{" CN = a , O = b ", "CN=a,O=b"},           // OpenSSL's default separators
		{"CN=foo+O=Org,C=GB", "O=org+cn=FOO,C=GB"}, // a set
		{"S=SP,E=a@b", "ST=SP,emailAddress=A@B"},
		{"CN=", "CN=#0c00"},
	} {
		if d := CompareNames(mustDN(t, c.registered), mustDN(t, c.presented), MatchStrict); d != nil {
			t.Errorf("%q and %q differ: %+v", c.registered, c.presented, d)
		}
	}
}

func TestDifferentNames(t *testing.T) {
	for _, c := range []struct {
		registered, presented string
		want                  Difference
	}{
		{"CN=a,O=b", "CN=a,O=c", Difference{2, "O=b", "O=c"}},
		{"CN=a", "CN=a,CN=b", Difference{2, "", "CN=b"}},
		{"CN=b", "CN=a,CN=b", Difference{1, "CN=b", "CN=a"}},
		{"CN=a,O=b,C=c", "CN=a,O=b", Difference{3, "C=c", ""}},
		{"CN=a,O=b", "CN=a,O=b,C=c", Difference{3, "", "C=c"}},
		{"CN=a,O=b", "O=b,CN=a", Difference{1, "CN=a", "O=b"}},
		{"CN=a+O=b", "CN=a,O=b", Difference{1, "CN=a+O=b", "CN=a"}},
		{"CN=a+CN=a", "CN=a", Difference{1, "CN=a+CN=a", "CN=a"}},
		{"CN=a,OU=A,O=x,OU=B", "CN=a,OU=B,O=x,OU=A", Difference{2, "OU=A", "OU=B"}},
		{`CN=a\,O\=b`, "CN=a,O=b", Difference{1, `CN=a\,O=b`, "CN=a"}},
		{"CN=ab", "CN=a b", Difference{1, "CN=ab", "CN=a b"}},
		{"CN=a\u200bb", "CN=ab", Difference{1, `CN=a\E2\80\8Bb`, "CN=ab"}}, // zero width space
		{"CN=\u0430", "CN=a", Difference{1, `CN=\D0\B0`, "CN=a"}},          // Cyrillic a
		{"CN=1", "CN=#020101", Difference{1, "CN=1", "CN=#020101"}},        // not text
		{"1.2.3.4=#0401ff", "1.2.3.4=#0401fe", Difference{1, "1.2.3.4=#0401ff", "1.2.3.4=#0401fe"}},
		{"CN=#0c01e9", "CN=#1401e9", Difference{1, "CN=#0c01e9", `CN=\C3\A9`}}, // not UTF-8
		{"UID=a", "CN=a", Difference{1, "UID=a", "CN=a"}},
		{"CN=tеst", "CN=test", Difference{1, `CN=t\D0\B5st`, "CN=test"}}, // Cyrillic, Latin
		{"CN=é a", "CN=É b", Difference{1, "CN=é a", "CN=É b"}},          // differ elsewhere
	} {
		d := CompareNames(mustDN(t, c.registered), mustDN(t, c.presented), MatchStrict)
		if d == nil || *d != c.want {
			t.Errorf("%q and %q: got %+v, want %+v", c.registered, c.presented, d, c.want)
		}
	}
}

func TestAnyOrder(t *testing.T) {
	a, b := mustDN(t, "CN=a,OU=x,OU=y,C=GB"), mustDN(t, "C=GB,OU=y,CN=a,OU=x")
	if CompareNames(a, b, MatchStrict) == nil {
		t.Error("another order is equal under MatchStrict")
	}
	if d := CompareNames(a, b, MatchAnyOrder); d != nil {
		t.Errorf("another order differs under MatchAnyOrder: %+v", d)
	}
	for _, c := range []struct {
		presented string
		want      Difference
	}{
		{"C=GB,OU=y,OU=y,CN=a", Difference{2, "OU=x", ""}},
		{"CN=a,OU=x,OU=y,C=GB,CN=b", Difference{5, "", "CN=b"}},
		{"CN=a,OU=x,OU=y,C=GB,OU=x", Difference{5, "", "OU=x"}},
		{"CN=a,OU=x+OU=y,C=GB", Difference{2, "OU=x", ""}},
	} {
		d := CompareNames(a, mustDN(t, c.presented), MatchAnyOrder)
		if d == nil || *d != c.want {
			t.Errorf("%q: got %+v, want %+v", c.presented, d, c.want)
		}
	}
}

func TestParseDNRefuses(t *testing.T) {
	for _, c := range []struct{ dn, reason string }{
		{"", "empty"},
		{"   ", "empty"},
		{"/C=GB/O=Org/CN=foo", `expected "CN=foo,O=Org,C=GB"`},
		{"/C=GB/CN=a/b", "slash form"},
		{"CN=a\x00b", "NUL"},
		{`CN=a\00b`, "NUL"},
		{"CN=#0c0361006d", "NUL"},
		{"CN=\xff", "UTF-8"},
		{`CN=\ff`, "UTF-8"},
		{"CN", `no "="`},
		{"CN=a,", `no "="`},
		{"CN=a,,O=b", "attribute type"},
		{"CN=a+", `no "="`},
		{"=a", "attribute type"},
		{"XYZ=a", "attribute type"},
		{"OID.=a", "attribute type"},
		{"1=a", "object identifier"},
		{"3.1=a", "object identifier"},
		{"1.40=a", "object identifier"},
		{"1.02=a", "object identifier"},
		{"1..2=a", "object identifier"},
		{"1.2.99999999999=a", "object identifier"},
		{"2.2147483647=a", "object identifier"},
		{"CN=#", "ASN.1"},
		{"CN=#0", "hexadecimal"},
		{"CN=#zz", "hexadecimal"},
		{"CN=#0c0261", "ASN.1"},
		{"CN=#0c016162", "ASN.1"},
		{`CN=a\`, "escape"},
		{`CN=a\x`, "escape"},
		{`CN=a\4`, "escape"},
		{`CN="a`, "closing quote"},
		{`CN="a"b`, "closing quote"},
		{`CN=a"b`, "must be written"},
		{"CN=a;O=b", "must be written"},
		{"CN=<a>", "must be written"},
		{"CN=" + strings.Repeat("a", maxDN), "more than"},
	} {
		n, err := ParseDN(c.dn)
		if err == nil || !strings.Contains(err.Error(), c.reason) {
			t.Errorf("%.60q: got %v, %v; want an error with %q", c.dn, n, err, c.reason)
		}
	}
}

func TestParseNameRefuses(t *testing.T) {
	for _, der := range []string{
		"", "31 00", "3000 00", "3002 3100", "3002 3000",
		"3009 3107 3005 0603550403",             // no value
		"300e 310c 300a 0603550403 0c0161 0500", // three members
		"300b 3109 3007 0603550403 0c02",
	} {
		if n, err := ParseName(unhex(t, strings.ReplaceAll(der, " ", ""))); err == nil {
			t.Errorf("%s: parsed as %v", der, n)
		}
	}
	type pair struct {
		OID   asn1.ObjectIdentifier
		Value string `asn1:"utf8"`
	}
	type pairSET []pair
	large, err := asn1.Marshal([]pairSET{{{asn1.ObjectIdentifier{2, 5, 4, 3}, strings.Repeat("a", maxName)}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseName(large); err == nil {
		t.Error("an oversized name was parsed")
	}
}

// A name with NUL in the certificate can be shown, but is nobody's.
func TestNameWithNUL(t *testing.T) {
	name := func(content string, last int) Name {
		raw := asn1.RawValue{Tag: asn1.TagUTF8String, Bytes: []byte(content)}
		raw.FullBytes, _ = asn1.Marshal(raw)
		value, ok := text(raw)
		return Name{RDN{{OID: asn1.ObjectIdentifier{2, 5, 4, last}, Raw: raw, Value: value, Text: ok}}}
	}
	n := name("a\x00b", 3)
	if got := n.String(); got != `CN=a\00b` {
		t.Errorf("printed as %q", got)
	}
	for _, s := range []string{"CN=a", "CN=ab", "CN=a b", `CN=a\\00b`} {
		if CompareNames(mustDN(t, s), n, MatchStrict) == nil {
			t.Errorf("equals %q", s)
		}
	}
	// Keys separate the attributes of an RDN with NUL, so a value must not.
	if CompareNames(mustDN(t, "O=b+CN=a"), name("b\x002.5.4.3=a", 10), MatchStrict) == nil {
		t.Error("one attribute passes for two")
	}
}

func FuzzParseDN(f *testing.F) {
	for _, c := range javaNames {
		f.Add(c.java)
	}
	f.Add(`O="Acme, Inc." + OID.1.2.3=#0401ff , C=DE`)
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseDN(s)
		if err != nil {
			return
		}
		for _, printed := range []string{n.String(), n.ShortNames(), n.OIDs()} {
			if len(printed) > maxDN {
				continue // hex can be longer than what it came from
			}
			again, err := ParseDN(printed)
			if err != nil {
				t.Fatalf("%q printed as %q: %v", s, printed, err)
			}
			if d := CompareNames(n, again, MatchStrict); d != nil {
				t.Fatalf("%q printed as %q differs: %+v", s, printed, d)
			}
		}
	})
}

func FuzzParseName(f *testing.F) {
	for _, c := range javaNames {
		f.Add(unhex(f, c.der))
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		n, err := ParseName(der)
		if err != nil {
			return
		}
		again, err := ParseName(der)
		if err != nil || !reflect.DeepEqual(n, again) || CompareNames(n, again, MatchAnyOrder) != nil {
			t.Fatalf("%x: not the same twice", der)
		}
		parsed, err := ParseDN(n.String())
		if err != nil {
			return // an empty name, NUL, or too long
		}
		if d := CompareNames(parsed, n, MatchStrict); d != nil {
			t.Fatalf("%x printed as %q differs: %+v", der, n.String(), d)
		}
	})
}
