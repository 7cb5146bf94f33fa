package mtls

import (
	"bytes"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	cryptobyteasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// maxName bounds the DER of a subject. Real subjects are under 1 KiB.
const maxName = 16 << 10

// The string types that encoding/asn1 has no constant for (X.680 table 8).
const (
	tagVisibleString   = 26
	tagUniversalString = 28
)

// Attribute is one type and value of a distinguished name.
type Attribute struct {
	OID   asn1.ObjectIdentifier
	Raw   asn1.RawValue // the value with its tag, as the certificate has it
	Value string        // the decoded text; meaningful only if Text
	Text  bool          // the value is of a string type and decodes
}

// RDN is a relative distinguished name: a set of attributes, nearly always one.
type RDN []Attribute

// Name is a distinguished name in certificate (ASN.1) order, which is the
// reverse of the RFC 4514 string. pkix.Name is not used because it reorders,
// regroups and drops attributes.
type Name []RDN

// ParseName parses a DER Name, such as x509.Certificate.RawSubject
// (RFC 5280 section 4.1.2.4). An empty name is valid.
func ParseName(rawSubject []byte) (Name, error) {
	if len(rawSubject) > maxName {
		return nil, fmt.Errorf("name is %d bytes, more than %d", len(rawSubject), maxName)
	}
	rdns, rest, err := elements(rawSubject, asn1.TagSequence)
	if err != nil {
		return nil, fmt.Errorf("name: %w", err)
	}
	if len(rest) > 0 {
		return nil, errors.New("name: trailing bytes")
	}
	name := make(Name, 0, 8)
	for len(rdns) > 0 {
		var set []byte
		if set, rdns, err = elements(rdns, asn1.TagSet); err != nil {
			return nil, fmt.Errorf("RDN %d: %w", len(name)+1, err)
		}
		rdn, err := parseRDN(set)
		if err != nil {
			return nil, fmt.Errorf("RDN %d: %w", len(name)+1, err)
		}
		name = append(name, rdn)
	}
	return name, nil
}

// DER encodes the name with every value exactly as it holds it; the attributes of
// an RDN are put into the order that DER wants.
func (n Name) DER() ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(cryptobyteasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, rdn := range n {
			members := make([][]byte, len(rdn))
			for i, a := range rdn {
				var member cryptobyte.Builder
				member.AddASN1(cryptobyteasn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1ObjectIdentifier(a.OID)
					b.AddBytes(a.Raw.FullBytes)
				})
				encoded, err := member.Bytes()
				if err != nil {
					b.SetError(err)
					return
				}
				members[i] = encoded
			}
			slices.SortFunc(members, bytes.Compare) // X.690 section 11.6
			b.AddASN1(cryptobyteasn1.SET, func(b *cryptobyte.Builder) { b.AddBytes(bytes.Join(members, nil)) })
		}
	})
	return b.Bytes()
}

// elements opens the constructed value of the given universal tag at the start
// of der, and returns its content and what follows it.
func elements(der []byte, tag int) (content, rest []byte, err error) {
	var raw asn1.RawValue
	if rest, err = asn1.Unmarshal(der, &raw); err != nil {
		return nil, nil, err
	}
	if raw.Class != asn1.ClassUniversal || raw.Tag != tag || !raw.IsCompound {
		return nil, nil, fmt.Errorf("unexpected ASN.1 tag %d", raw.Tag)
	}
	return raw.Bytes, rest, nil
}

func parseRDN(set []byte) (RDN, error) {
	var rdn RDN
	for len(set) > 0 {
		pair, rest, err := elements(set, asn1.TagSequence)
		if err != nil {
			return nil, err
		}
		set = rest
		var a Attribute
		if pair, err = asn1.Unmarshal(pair, &a.OID); err != nil {
			return nil, err
		}
		if pair, err = asn1.Unmarshal(pair, &a.Raw); err != nil {
			return nil, err
		}
		if len(pair) > 0 {
			return nil, errors.New("attribute with more than a type and a value")
		}
		a.Value, a.Text = text(a.Raw)
		rdn = append(rdn, a)
	}
	if len(rdn) == 0 {
		return nil, errors.New("no attribute")
	}
	return rdn, nil
}

// text decodes the string types of a DirectoryString and their relatives.
// TeletexString is read as ISO 8859-1, which is what it holds in practice.
func text(raw asn1.RawValue) (value string, ok bool) {
	if raw.Class != asn1.ClassUniversal || raw.IsCompound {
		return "", false
	}
	switch raw.Tag {
	case asn1.TagUTF8String:
		return string(raw.Bytes), utf8.Valid(raw.Bytes)
	case asn1.TagPrintableString, asn1.TagIA5String, asn1.TagNumericString, tagVisibleString:
		for _, b := range raw.Bytes {
			if b >= utf8.RuneSelf {
				return "", false
			}
		}
		return string(raw.Bytes), true
	case asn1.TagT61String:
		runes := make([]rune, len(raw.Bytes))
		for i, b := range raw.Bytes {
			runes[i] = rune(b)
		}
		return string(runes), true
	case asn1.TagBMPString:
		return wide(raw.Bytes, 2)
	case tagUniversalString:
		return wide(raw.Bytes, 4)
	}
	return "", false
}

// wide decodes big-endian characters of the given width. BMPString has no
// surrogate pairs, so half a pair is not a character in either width.
func wide(b []byte, width int) (string, bool) {
	if len(b)%width != 0 {
		return "", false
	}
	runes := make([]rune, 0, len(b)/width)
	for ; len(b) > 0; b = b[width:] {
		var r uint32
		for _, octet := range b[:width] {
			r = r<<8 | uint32(octet)
		}
		if r > utf8.MaxRune || utf16.IsSurrogate(rune(r)) {
			return "", false
		}
		runes = append(runes, rune(r))
	}
	return string(runes), true
}

// Values are those of the attributes of one type, as text, in certificate order. The
// type is a short name such as UID, or an OID; an unknown one has no values.
func (n Name) Values(typ string) (values []string) {
	oid, _, err := parseType(typ)
	if err != nil {
		return nil
	}
	for _, rdn := range n {
		for _, attribute := range rdn {
			if attribute.Text && attribute.OID.Equal(oid) {
				values = append(values, attribute.Value)
			}
		}
	}
	return values
}
