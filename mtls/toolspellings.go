package mtls

import (
	"encoding/asn1"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// OpenSSL prints the name as `openssl x509 -subject` of OpenSSL 3 does: in
// certificate order, with spaces around "=", and in quotes what needs them. It is
// what people paste most often, and no server takes it for the name: the order is
// the other one.
func (n Name) OpenSSL() string {
	rdns := make([]string, len(n))
	for i, rdn := range n {
		attributes := make([]string, len(rdn))
		for j, a := range rdn {
			attributes[j] = a.openSSL()
		}
		rdns[i] = strings.Join(attributes, " + ")
	}
	return strings.Join(rdns, ", ")
}

func (a Attribute) openSSL() string {
	name := a.OID.String()
	if t, ok := typesByOID[name]; ok {
		name = t.short
	}
	var b strings.Builder
	b.WriteString(name + " = ")
	if !a.Text {
		writeEncoded(&b, a.Raw)
		return b.String()
	}
	quoted := quotes(a.Value, ",+<>;")
	if quoted {
		b.WriteByte('"')
	}
	for _, r := range a.Value {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case unicode.IsControl(r) || r >= utf8.RuneSelf:
			writeOctets(&b, r)
		default:
			b.WriteRune(r)
		}
	}
	if quoted {
		b.WriteByte('"')
	}
	return b.String()
}

// javaKeywords are the types that Java prints by name beside the nine.
var javaKeywords = map[string]string{
	"2.5.4.4": "SURNAME", "2.5.4.5": "SERIALNUMBER", "2.5.4.12": "T", "2.5.4.42": "GIVENNAME", "2.5.4.43": "INITIALS",
	"2.5.4.44": "GENERATION", "2.5.4.46": "DNQUALIFIER", "1.2.840.113549.1.9.1": "EMAILADDRESS",
}

// Java prints the name as X500Principal.toString() does, and with it most of what
// Java writes into logs: the most specific RDN first, OID. before numbers, quotes.
// Control characters are escaped for the terminal's sake.
func (n Name) Java() string {
	rdns := make([]string, 0, len(n))
	for i := len(n) - 1; i >= 0; i-- {
		attributes := make([]string, len(n[i]))
		for j, a := range n[i] {
			attributes[j] = a.java()
		}
		rdns = append(rdns, strings.Join(attributes, " + "))
	}
	return strings.Join(rdns, ", ")
}

func (a Attribute) java() string {
	oid := a.OID.String()
	name, known := javaKeywords[oid]
	if t, ok := typesByOID[oid]; ok && t.descriptor != "" {
		name, known = t.descriptor, true
	}
	if !known {
		name = "OID." + oid
	}
	var b strings.Builder
	b.WriteString(name + "=")
	if !a.Text || a.Raw.Tag == asn1.TagNumericString || a.Raw.Tag == tagVisibleString {
		writeEncoded(&b, a.Raw)
		return b.String()
	}
	quoted := quotes(a.Value, ",+=<>#;\"\\") || strings.Contains(a.Value, "  ")
	if quoted {
		b.WriteByte('"')
	}
	for _, r := range a.Value {
		switch {
		case unicode.IsControl(r):
			writeOctets(&b, r)
			continue
		case r == '"' || r == '\\':
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	if quoted {
		b.WriteByte('"')
	}
	return b.String()
}

// quotes reports whether a value must stand in quotes: for a special character,
// a leading number sign, or a space at either end.
func quotes(value, special string) bool {
	return strings.ContainsAny(value, special) || strings.HasPrefix(value, "#") || strings.Trim(value, " ") != value
}

// writeOctets writes a character as RFC 4514 section 2.4 escapes its bytes.
func writeOctets(b *strings.Builder, r rune) {
	for _, octet := range []byte(string(r)) {
		fmt.Fprintf(b, "\\%02X", octet)
	}
}
