package mtls

import (
	"encoding/asn1"
	"encoding/hex"
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
	return n.print(false, func(b *strings.Builder, a Attribute) {
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
// (-nameopt RFC2253,-esc_msb,utf8), which proxies use too. Like OpenSSL it also
// turns the attributes of a multi-valued RDN around.
func (n Name) ShortNames() string { return n.shortNames(true) }

func (n Name) shortNames(turned bool) string {
	return n.print(turned, func(b *strings.Builder, a Attribute) {
		if t, ok := typesByOID[a.OID.String()]; ok {
			writeAttribute(b, t.short, a, ",+<>;\"\\")
			return
		}
		writeHex(b, a.OID.String(), a.Raw)
	})
}

// OIDs prints every attribute as dotted OID and text.
func (n Name) OIDs() string {
	return n.print(false, func(b *strings.Builder, a Attribute) {
		writeAttribute(b, a.OID.String(), a, ",+<>;\"\\")
	})
}

// print writes the RDNs from the last to the first, and with turned the attributes
// of each likewise.
func (n Name) print(turned bool, write func(*strings.Builder, Attribute)) string {
	var b strings.Builder
	for i := len(n) - 1; i >= 0; i-- {
		for j := range n[i] {
			if j > 0 {
				b.WriteByte('+')
			}
			at := j
			if turned {
				at = len(n[i]) - 1 - j
			}
			write(&b, n[i][at])
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
	b.WriteByte('=')
	writeEncoded(b, raw)
}

// writeEncoded writes a value as the hex of its encoding.
func writeEncoded(b *strings.Builder, raw asn1.RawValue) {
	b.WriteByte('#')
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
			writeOctets(b, r)
			continue
		case strings.ContainsRune(special, r), r == '#' && i == 0, r == ' ' && (i < lead || i >= tail):
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
}
