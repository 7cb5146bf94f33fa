package mtls

import (
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode"
)

// String prints the name as RFC 4514 says, most specific RDN first: the nine
// descriptors of its section 3, and any other type as its OID with the hex of
// the encoded value, tag included. It is, character by character, what Java's
// X500Principal.getName() prints, the spelling ecosystems register; except that
// Java garbles BMPString and accented TeletexString, which are decoded here, and
// prints control characters raw, which are escaped here for the terminal's sake.
func (n Name) String() string {
	return n.print(func(b *strings.Builder, a Attribute) {
		t, known := typesByOID[a.OID.String()]
		known = known && t.descriptor != ""
		if !known {
			writeHex(b, a.OID.String(), a.Raw)
			return
		}
		switch a.Raw.Tag {
		case asn1.TagNumericString, tagVisibleString, tagUniversalString:
			a.Text = false // Java prints text for the other string types only
		}
		writeAttribute(b, t.descriptor, a, ",=+<>#;\"\\")
	})
}

// Brazil prints the name as Open Finance Brasil wants it registered: the nine
// descriptors by name, businessCategory, jurisdictionCountryName, serialNumber,
// organizationIdentifier and all others as OID=#hex. That is RFC 4514 as
// [Name.String] prints it.
func (n Name) Brazil() string { return n.String() }

// ShortNames prints the name with the short names of OpenSSL
// (-nameopt RFC2253,-esc_msb,utf8), which proxies use too.
func (n Name) ShortNames() string {
	return n.print(func(b *strings.Builder, a Attribute) {
		if t, ok := typesByOID[a.OID.String()]; ok {
			writeAttribute(b, t.short, a, ",+<>;\"\\")
			return
		}
		writeHex(b, a.OID.String(), a.Raw)
	})
}

// OIDs prints every attribute as dotted OID and text.
func (n Name) OIDs() string {
	return n.print(func(b *strings.Builder, a Attribute) {
		writeAttribute(b, a.OID.String(), a, ",+<>;\"\\")
	})
}

func (n Name) print(write func(*strings.Builder, Attribute)) string {
	var b strings.Builder
	for i := len(n) - 1; i >= 0; i-- {
		for j, a := range n[i] {
			if j > 0 {
				b.WriteByte('+')
			}
			write(&b, a)
		}
		if i > 0 {
			b.WriteByte(',')
		}
	}
	return b.String()
}

func writeAttribute(b *strings.Builder, name string, a Attribute, special string) {
	if !a.Text {
		writeHex(b, name, a.Raw)
		return
	}
	b.WriteString(name)
	b.WriteByte('=')
	writeEscaped(b, a.Value, special)
}

func writeHex(b *strings.Builder, name string, raw asn1.RawValue) {
	b.WriteString(name)
	b.WriteString("=#")
	b.WriteString(hex.EncodeToString(raw.FullBytes))
}

// writeEscaped escapes as RFC 4514 section 2.4 says: the special characters, a
// leading number sign, spaces at either end, NUL and other control characters.
func writeEscaped(b *strings.Builder, value, special string) {
	lead := len(value) - len(strings.TrimLeft(value, " "))
	tail := len(strings.TrimRight(value, " "))
	for i, r := range value {
		switch {
		case unicode.IsControl(r):
			for _, octet := range []byte(string(r)) {
				fmt.Fprintf(b, "\\%02X", octet)
			}
			continue
		case strings.ContainsRune(special, r), r == '#' && i == 0, r == ' ' && (i < lead || i >= tail):
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
}
