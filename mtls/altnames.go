package mtls

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"
)

// altNames are the subject alternative names a client can register, as the
// certificate spells them. x509.Certificate has them too, but its URIs are
// parsed and print differently (RFC 5280 section 4.2.1.6).
type altNames struct {
	dns, uri, email []string
	ip              []netip.Addr
}

// Context tags of GeneralName.
const (
	tagEmail = 1
	tagDNS   = 2
	tagURI   = 6
	tagIP    = 7
)

var oidAltNames = asn1.ObjectIdentifier{2, 5, 29, 17}

func parseAltNames(c *x509.Certificate) (names altNames, err error) {
	var der []byte
	for _, extension := range c.Extensions {
		if extension.Id.Equal(oidAltNames) {
			der = extension.Value // x509 refuses a second one
		}
	}
	if der == nil {
		return names, nil
	}
	list, rest, err := elements(der, asn1.TagSequence)
	if err != nil {
		return names, err
	}
	if len(rest) > 0 {
		return names, errors.New("trailing bytes")
	}
	for count := 0; len(list) > 0; count++ {
		if count == maxSANs {
			return names, fmt.Errorf("more than %d names", maxSANs)
		}
		var raw asn1.RawValue
		if list, err = asn1.Unmarshal(list, &raw); err != nil {
			return names, err
		}
		if err := names.add(raw); err != nil {
			return names, err
		}
	}
	return names, nil
}

func (n *altNames) add(raw asn1.RawValue) error {
	if raw.Class != asn1.ClassContextSpecific {
		return errors.New("not a GeneralName")
	}
	switch raw.Tag {
	case tagEmail:
		n.email = append(n.email, string(raw.Bytes))
	case tagDNS:
		n.dns = append(n.dns, string(raw.Bytes))
	case tagURI:
		n.uri = append(n.uri, string(raw.Bytes))
	case tagIP:
		ip, ok := netip.AddrFromSlice(raw.Bytes)
		if !ok {
			return fmt.Errorf("IP address of %d bytes", len(raw.Bytes))
		}
		n.ip = append(n.ip, ip)
	}
	return nil
}

// describe prints the names of one kind, or all of them if there is none.
func (n *altNames) describe(kind string) string {
	if own := n.list(kind); own != "" {
		return own
	}
	var others []string
	for _, other := range []string{KindSANDNS, KindSANURI, KindSANIP, KindSANEmail} {
		if list := n.list(other); list != "" {
			others = append(others, sanLabels[other]+" "+list)
		}
	}
	if len(others) == 0 {
		return "no subject alternative name"
	}
	return "none; it has " + strings.Join(others, ", ")
}

func (n *altNames) list(kind string) string {
	var names []string
	switch kind {
	case KindSANDNS:
		names = n.dns
	case KindSANURI:
		names = n.uri
	case KindSANEmail:
		names = n.email
	case KindSANIP:
		for _, ip := range n.ip {
			names = append(names, ip.String())
		}
	}
	const shown = 8
	if len(names) > shown {
		return fmt.Sprintf("%q and %d more", names[:shown], len(names)-shown)
	}
	if len(names) == 0 {
		return ""
	}
	return fmt.Sprintf("%q", names)
}

// OtherName is an alternative name of a type that only its OID names, with a
// text as value: the ICP-Brasil has the identity of a company in such names.
type OtherName struct {
	OID   asn1.ObjectIdentifier
	Value string
}

// OtherNames reads those of a certificate; names whose value is no text are left
// out.
func OtherNames(c *x509.Certificate) ([]OtherName, error) {
	names := []OtherName{}
	for _, extension := range c.Extensions {
		if !extension.Id.Equal(oidAltNames) {
			continue
		}
		list, _, err := elements(extension.Value, asn1.TagSequence)
		for err == nil && len(list) > 0 {
			var raw asn1.RawValue
			if list, err = asn1.Unmarshal(list, &raw); err != nil {
				break
			}
			if name, ok := ParseOtherName(raw); ok {
				names = append(names, name)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("subject alternative names: %w", err)
		}
	}
	return names, nil
}

// ParseOtherName reads a GeneralName of the kind otherName, whose value is a text:
// [0] { type-id, [0] EXPLICIT value } (RFC 5280 section 4.2.1.6).
func ParseOtherName(raw asn1.RawValue) (name OtherName, ok bool) {
	if raw.Class != asn1.ClassContextSpecific || raw.Tag != 0 {
		return name, false
	}
	rest, err := asn1.Unmarshal(raw.Bytes, &name.OID)
	if err != nil {
		return name, false
	}
	var wrapped, value asn1.RawValue
	if _, err := asn1.Unmarshal(rest, &wrapped); err != nil || wrapped.Class != asn1.ClassContextSpecific || wrapped.Tag != 0 {
		return name, false
	}
	if _, err := asn1.Unmarshal(wrapped.Bytes, &value); err != nil {
		return name, false
	}
	if value.Class == asn1.ClassUniversal && value.Tag == asn1.TagOctetString && utf8.Valid(value.Bytes) {
		return OtherName{name.OID, string(value.Bytes)}, true // ICP-Brasil allows it for text
	}
	name.Value, ok = text(value)
	return name, ok
}
