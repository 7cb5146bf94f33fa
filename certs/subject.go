package certs

import (
	"encoding/asn1"
	"net/mail"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/oauth"
)

// Subject is what the caller says of a certificate: everything about its holder,
// for which the caller vouches, and when it ends.
type Subject struct {
	// Name is the distinguished name in certificate order (country first, as
	// a rule); NewName builds one, mtls.ParseDN reads an RFC 4514 string.
	// Values keep their string types.
	Name mtls.Name
	// Raw is the DER of the distinguished name, kept byte for byte; it wins
	// over Name.
	Raw []byte

	DNS   []string     // ASCII, lower case; a leading "*." is allowed
	IP    []netip.Addr // without zone
	URI   []string     // absolute
	Email []string     // bare addresses
	// Others are names of types that only their OIDs name, as some profiles want.
	Others []mtls.OtherName

	// PSD2 is what the holder may do as a payment service provider, and whose word
	// that is, for the profiles that state it. An empty NCAID is taken from the
	// organizationIdentifier.
	PSD2 *mtls.PSD2

	// NotAfter is when the certificate ends, at the latest when its profile or the
	// CA does; the zero time is as late as that.
	NotAfter time.Time
	// Owner labels the record with whom the certificate was issued to, such
	// as a client_id. It is not in the certificate.
	Owner string
}

// StringType is the ASN.1 type of an attribute value.
type StringType int

// The string types that new certificates may use (RFC 5280 section 4.1.2.4).
// The zero StringType stands for the one the attribute usually has:
// PrintableString for C, serialNumber and jurisdictionC, IA5String for
// emailAddress and DC, UTF8String for nearly all others.
const (
	UTF8String      StringType = asn1.TagUTF8String
	PrintableString StringType = asn1.TagPrintableString
	IA5String       StringType = asn1.TagIA5String
)

// Attribute is one attribute of a name to build.
type Attribute struct {
	Type  string // a name that mtls.ParseDN knows ("CN"), or a dotted OID
	Value string
	As    StringType
}

// maxValue bounds one attribute value in bytes; X.520 allows at most 128
// characters for any attribute in use.
const maxValue = 512

// NewName builds a distinguished name in the given order, one attribute in each
// RDN.
func NewName(attributes ...Attribute) (mtls.Name, error) {
	name := make(mtls.Name, 0, len(attributes))
	for _, a := range attributes {
		attribute, err := attributeType(a.Type)
		if err != nil {
			return nil, err
		}
		tag := attribute.Raw.Tag
		if a.As != 0 {
			tag = int(a.As)
		}
		attribute.Raw = asn1.RawValue{Class: asn1.ClassUniversal, Tag: tag, Bytes: []byte(a.Value)}
		if attribute.Raw.FullBytes, err = asn1.Marshal(attribute.Raw); err != nil {
			return nil, err
		}
		attribute.Value, attribute.Text = a.Value, true
		if err := checkValue(a.Type, attribute); err != nil {
			return nil, err
		}
		name = append(name, mtls.RDN{attribute})
	}
	return name, nil
}

var attributeTypeName = regexp.MustCompile(`^[A-Za-z0-9.]+$`)

// attributeType returns an attribute with the OID and the usual string type of
// a type name. The names and types are those of mtls, so that what is issued is
// what is matched.
func attributeType(name string) (mtls.Attribute, error) {
	if !attributeTypeName.MatchString(name) {
		return mtls.Attribute{}, oauth.InvalidRequest("subject: %q is not an attribute type", name)
	}
	parsed, err := mtls.ParseDN(name + "=x")
	if err != nil {
		return mtls.Attribute{}, oauth.InvalidRequest("subject: unknown attribute type %q", name).Because("%w", err)
	}
	return parsed[0][0], nil
}

// checkValue refuses values that other software will choke on.
func checkValue(typ string, a mtls.Attribute) error {
	switch {
	case !a.Text:
		return oauth.InvalidRequest("subject: %s is not a string or is not encoded as its type says", typ)
	case a.Value == "" || len(a.Value) > maxValue:
		return oauth.InvalidRequest("subject: %s has %d bytes, wants 1 to %d", typ, len(a.Value), maxValue)
	case strings.ContainsFunc(a.Value, unicode.IsControl):
		return oauth.InvalidRequest("subject: %s contains a control character", typ)
	case a.Raw.Tag == asn1.TagPrintableString && strings.ContainsFunc(a.Value, notPrintable):
		return oauth.InvalidRequest("subject: %s does not fit a PrintableString: %q", typ, a.Value)
	case a.Raw.Tag == asn1.TagIA5String && strings.ContainsFunc(a.Value, notASCII):
		return oauth.InvalidRequest("subject: %s does not fit an IA5String: %q", typ, a.Value)
	case !strings.Contains(a.Value, "\uFFFD") && strings.ToValidUTF8(a.Value, "") != a.Value:
		return oauth.InvalidRequest("subject: %s is not valid UTF-8", typ)
	}
	return nil
}

// notPrintable reports characters outside PrintableString (X.680 section 41.4).
func notPrintable(r rune) bool {
	letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
	return !letter && !strings.ContainsRune(" '()+,-./:=?", r)
}

func notASCII(r rune) bool { return r > unicode.MaxASCII }

// distinguishedName returns the DER of the subject's name and its parsed form.
func (s Subject) distinguishedName() ([]byte, mtls.Name, error) {
	raw := s.Raw
	if raw == nil {
		var err error
		if raw, err = s.Name.DER(); err != nil {
			return nil, nil, oauth.InvalidRequest("subject cannot be encoded").Because("%w", err)
		}
	}
	name, err := mtls.ParseName(raw)
	if err != nil {
		return nil, nil, oauth.InvalidRequest("subject is not a distinguished name").Because("%w", err)
	}
	if len(name) == 0 {
		return nil, nil, oauth.InvalidRequest("subject is empty")
	}
	for _, rdn := range name {
		for _, a := range rdn {
			if err := checkValue(a.OID.String(), a); err != nil {
				return nil, nil, err
			}
		}
	}
	return raw, name, nil
}

var hostName = regexp.MustCompile(`^(\*\.)?([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?\.)*[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?$`)

// alternativeNames checks the SANs against the profile and writes them into the
// template.
func (s Subject) alternativeNames(p profile, t *leafTemplate) error {
	counts := []struct {
		kind  string
		count int
	}{{"dns", len(s.DNS)}, {"ip", len(s.IP)}, {"uri", len(s.URI)}, {"email", len(s.Email)}}
	for _, c := range counts {
		if c.count > 0 && !slices.Contains(p.sans, c.kind) {
			return oauth.InvalidRequest("profile %q has no %s alternative names", string(p.name), c.kind)
		}
	}
	for _, host := range s.DNS {
		if len(host) > 253 || !hostName.MatchString(host) {
			return oauth.InvalidRequest("%q is not a DNS name (ASCII, lower case)", host)
		}
	}
	for _, ip := range s.IP {
		if !ip.IsValid() || ip.Zone() != "" {
			return oauth.InvalidRequest("%q is not an IP address without zone", ip.String())
		}
		t.IPAddresses = append(t.IPAddresses, ip.Unmap().String())
	}
	for _, uri := range s.URI {
		if u, err := url.Parse(uri); err != nil || !u.IsAbs() || u.String() != uri || strings.ContainsFunc(uri, notASCII) {
			return oauth.InvalidRequest("%q is not an absolute URI", uri)
		}
	}
	for _, address := range s.Email {
		if parsed, err := mail.ParseAddress(address); err != nil || parsed.Address != address || strings.ContainsFunc(address, notASCII) {
			return oauth.InvalidRequest("%q is not an email address", address)
		}
	}
	t.DNSNames, t.URIs, t.EmailAddresses = s.DNS, s.URI, s.Email
	return nil
}
