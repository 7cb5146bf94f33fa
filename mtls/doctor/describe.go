package doctor

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/fapid/fapid/mtls"
)

// Spellings are the ways tools and ecosystems write one distinguished name.
type Spellings struct {
	RFC4514    string `json:"rfc4514"` // canonical; Java's X500Principal.getName()
	ShortNames string `json:"short_names"`
	OIDs       string `json:"oids"`
	Brazil     string `json:"brazil"`
	OpenSSL    string `json:"openssl"` // `openssl x509 -subject`
	Java       string `json:"java"`    // X500Principal.toString()
}

func spell(raw []byte) (Spellings, error) {
	name, err := mtls.ParseName(raw)
	if err != nil {
		return Spellings{}, err
	}
	return Spellings{
		RFC4514: name.String(), ShortNames: name.ShortNames(), OIDs: name.OIDs(), Brazil: name.Brazil(),
		OpenSSL: name.OpenSSL(), Java: name.Java(),
	}, nil
}

// AltNames are the subject alternative names by kind (RFC 5280 section
// 4.2.1.6), as the certificate spells them.
type AltNames struct {
	DNS   []string `json:"dns,omitempty"`
	URI   []string `json:"uri,omitempty"`
	IP    []string `json:"ip,omitempty"`
	Email []string `json:"email,omitempty"`
	Other []string `json:"other,omitempty"` // kind, and the type of an otherName
}

// Registration is a line of client metadata (RFC 8705 section 2.1.2).
type Registration struct {
	Member string `json:"member"`
	Value  string `json:"value"`
}

// Description is a certificate as a client registration needs it.
type Description struct {
	Subject      Spellings          `json:"subject"`
	Issuer       Spellings          `json:"issuer"`
	Serial       string             `json:"serial"` // hexadecimal
	NotBefore    time.Time          `json:"not_before"`
	NotAfter     time.Time          `json:"not_after"`
	DaysLeft     int                `json:"days_left"` // negative after the end
	Key          string             `json:"key"`
	Signature    string             `json:"signature_algorithm"`
	KeyUsage     []string           `json:"key_usage"`
	ExtKeyUsage  []string           `json:"ext_key_usage"`
	AltNames     AltNames           `json:"subject_alt_names"`
	QCStatements *mtls.QCStatements `json:"qc_statements,omitempty"`
	CA           bool               `json:"ca"`
	SelfSigned   bool               `json:"self_signed"`
	Thumbprint   string             `json:"x5t#S256"`
	Further      int                `json:"further_certificates"` // in the same file
	Register     []Registration     `json:"register"`             // one of these; a client has exactly one
	Match        *Match             `json:"match,omitempty"`

	validity string
	problem  string // of the QC statements
}

// Describe describes the first certificate of a chain at the time now.
func Describe(chain []*x509.Certificate, now time.Time) (Description, error) {
	if len(chain) == 0 {
		return Description{}, errors.New("no certificate")
	}
	leaf := chain[0]
	d := Description{
		Serial:    fmt.Sprintf("%x", leaf.SerialNumber),
		NotBefore: leaf.NotBefore.UTC(), NotAfter: leaf.NotAfter.UTC(), DaysLeft: daysLeft(leaf, now),
		Key: keyText(leaf.PublicKey), Signature: leaf.SignatureAlgorithm.String(),
		KeyUsage: keyUsages(leaf), ExtKeyUsage: extKeyUsages(leaf),
		CA: leaf.IsCA, SelfSigned: selfSigned(leaf),
		Thumbprint: mtls.Thumbprint(leaf), Further: len(chain) - 1,
		validity: daysLeftText(leaf, now),
	}
	var err error
	if d.Subject, err = spell(leaf.RawSubject); err != nil {
		return Description{}, fmt.Errorf("subject: %w", err)
	}
	if d.Issuer, err = spell(leaf.RawIssuer); err != nil {
		return Description{}, fmt.Errorf("issuer: %w", err)
	}
	if d.AltNames, err = altNames(leaf); err != nil {
		return Description{}, fmt.Errorf("subject alternative names: %w", err)
	}
	if d.QCStatements, err = mtls.ParseQCStatements(leaf); err != nil {
		d.problem = err.Error()
	}
	d.Register = d.registrations()
	return d, nil
}

// registrations are the names of RFC 8705 section 2.1.2 the certificate has,
// without those a server would refuse, such as a wildcard.
func (d Description) registrations() []Registration {
	list := []Registration{}
	add := func(member string, values ...string) {
		for _, value := range values {
			if _, err := mtls.ParseRegistered(member, value, mtls.MatchStrict); err == nil {
				list = append(list, Registration{member, value})
			}
		}
	}
	add(mtls.KindSubjectDN, d.Subject.RFC4514)
	add(mtls.KindSANDNS, d.AltNames.DNS...)
	add(mtls.KindSANURI, d.AltNames.URI...)
	add(mtls.KindSANIP, d.AltNames.IP...)
	add(mtls.KindSANEmail, d.AltNames.Email...)
	return list
}

// altNames reads the extension itself: crypto/x509 prints URIs anew and drops
// the kinds Brazilian signing certificates have (otherName).
func altNames(c *x509.Certificate) (names AltNames, err error) {
	for _, extension := range c.Extensions {
		if extension.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 17}) {
			var list []asn1.RawValue
			if _, err := asn1.Unmarshal(extension.Value, &list); err != nil {
				return names, err
			}
			for _, raw := range list {
				names.add(raw)
			}
		}
	}
	return names, nil
}

func (n *AltNames) add(raw asn1.RawValue) {
	value := string(raw.Bytes)
	switch raw.Tag {
	case 0:
		n.Other = append(n.Other, "otherName "+otherName(raw))
	case 1:
		n.Email = append(n.Email, value)
	case 2:
		n.DNS = append(n.DNS, value)
	case 4:
		n.Other = append(n.Other, "directoryName "+dnText(raw.Bytes))
	case 6:
		n.URI = append(n.URI, value)
	case 7:
		ip, ok := netip.AddrFromSlice(raw.Bytes)
		if !ok {
			n.Other = append(n.Other, fmt.Sprintf("iPAddress of %d bytes", len(raw.Bytes)))
			return
		}
		n.IP = append(n.IP, ip.String())
	default:
		n.Other = append(n.Other, fmt.Sprintf("GeneralName with tag %d", raw.Tag))
	}
}

// otherName prints the type of a name and, where it is a text, the name.
func otherName(raw asn1.RawValue) string {
	if name, ok := mtls.ParseOtherName(raw); ok {
		return name.OID.String() + " = " + name.Value
	}
	var typ asn1.ObjectIdentifier
	if _, err := asn1.Unmarshal(raw.Bytes, &typ); err != nil {
		return ""
	}
	return typ.String()
}

func extKeyUsages(c *x509.Certificate) []string {
	names := map[x509.ExtKeyUsage]string{
		x509.ExtKeyUsageAny: "anyExtendedKeyUsage", x509.ExtKeyUsageServerAuth: "serverAuth",
		x509.ExtKeyUsageClientAuth: "clientAuth", x509.ExtKeyUsageCodeSigning: "codeSigning",
		x509.ExtKeyUsageEmailProtection: "emailProtection", x509.ExtKeyUsageTimeStamping: "timeStamping",
		x509.ExtKeyUsageOCSPSigning: "OCSPSigning",
	}
	list := []string{}
	for _, usage := range c.ExtKeyUsage {
		name := names[usage]
		if name == "" {
			name = fmt.Sprintf("usage %d", usage)
		}
		list = append(list, name)
	}
	for _, oid := range c.UnknownExtKeyUsage {
		list = append(list, oid.String())
	}
	return list
}

// keyUsages are in the order of the bits in RFC 5280 section 4.2.1.3, which is
// the order of the constants.
func keyUsages(c *x509.Certificate) []string {
	names := strings.Fields("digitalSignature nonRepudiation keyEncipherment dataEncipherment keyAgreement keyCertSign cRLSign encipherOnly decipherOnly")
	list := []string{}
	for bit, name := range names {
		if c.KeyUsage&(1<<bit) != 0 {
			list = append(list, name)
		}
	}
	return list
}
