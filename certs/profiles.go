package certs

import (
	"encoding/asn1"
	"regexp"
	"slices"
	"strings"

	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/oauth"
)

// Profile names a row of the profile table: what a certificate is for.
type Profile string

// The profiles of the table.
const (
	ProfileServer        Profile = "server"
	ProfileClient        Profile = "client"
	ProfileSigning       Profile = "signing"
	ProfileOBTransport   Profile = "ob-transport"
	ProfileOBSigning     Profile = "ob-signing"
	ProfileOBWAC         Profile = "obwac"
	ProfileOBSEAL        Profile = "obseal"
	ProfileQWAC          Profile = "qwac"
	ProfileQSEAL         Profile = "qseal"
	ProfileBRCAC         Profile = "brcac"
	ProfileBRSEAL        Profile = "brseal"
	ProfileCDR           Profile = "cdr"
	ProfileUAETransport  Profile = "uae-transport"
	ProfileUAESigning    Profile = "uae-signing"
	ProfileUAEEncryption Profile = "uae-encryption"
)

// profile is one row: everything that is decided about a certificate before its
// holder is known.
type profile struct {
	name        Profile
	about       string
	days        int            // the longest lifetime, and the usual one
	keys        []KeyAlgorithm // allowed; the first is made when none is asked for
	keyUsage    []string       // keyEncipherment is left out of keys that cannot do it
	extKeyUsage []string       // empty: no extension
	published   bool           // carries the addresses of CRL and OCSP responder
	subject     []attributeRule
	sans        []string          // kinds allowed: dns ip uri email
	others      []otherNameRule   // alternative names by OID; each is in every certificate
	qualified   mtls.QCStatements // what the profile itself states
	psd2        bool              // states roles and authority of the holder too
}

// attributeRule is one attribute of a subject, in certificate order.
type attributeRule struct {
	typ     string // as mtls.ParseDN knows it; its string type comes from there
	pattern string // regular expression of the value
}

// otherNameRule is one alternative name by OID, a PrintableString.
type otherNameRule struct {
	oid     asn1.ObjectIdentifier
	about   string
	pattern string
	usual   string // where none is given; empty: one must be
}

const (
	organization = "^.{1,128}$"
	country      = "^[A-Z]{2}$"
	// ETSI TS 119 495 section 5.2.1: PSD, country, "-", authority, "-", id.
	psd2Identifier = "^PSD[A-Z]{2}-[A-Z]{2,8}-.+$"
	uuid           = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"
	cnpj           = "^[0-9A-Z]{12}[0-9]{2}$" // letters since 2026
)

var (
	transportKeys = []KeyAlgorithm{RSA2048, RSA3072, RSA4096, P256, P384}
	signingKeys   = []KeyAlgorithm{RSA2048, RSA3072, RSA4096, P256, P384, Ed25519}
	rsaKeys       = []KeyAlgorithm{RSA2048, RSA3072, RSA4096}

	// RFC 5280 section 4.2.1.3 names.
	transportUsage = []string{"digitalSignature", "keyEncipherment"}
	signingUsage   = []string{"digitalSignature", "nonRepudiation"}

	clientAuth = []string{"clientAuth"}
	bothAuth   = []string{"serverAuth", "clientAuth"}
	allSANs    = []string{"dns", "ip", "uri", "email"}

	openBankingSubject = []attributeRule{{"C", country}, {"O", organization}, {"OU", organization}, {"CN", organization}}
	psd2Subject        = []attributeRule{{"C", country}, {"O", organization}, {"organizationIdentifier", psd2Identifier}, {"CN", organization}}
	uaeSubject         = []attributeRule{{"C", "^AE$"}, {"O", organization}, {"OU", organization}, {"CN", uuid}}
)

// profiles is the table. Adding a profile is adding a row. An empty subject
// rule accepts every subject; otherwise the attributes must be exactly those of
// the rule, in its order, because clients register the name as a string.
var profiles = []profile{
	{
		name: ProfileServer, about: "TLS server", days: 397,
		keys: []KeyAlgorithm{P256, P384, RSA2048, RSA3072, RSA4096}, keyUsage: transportUsage,
		extKeyUsage: []string{"serverAuth"}, sans: []string{"dns", "ip"},
	},
	{
		name: ProfileClient, about: "mutual TLS client, any subject", days: 365,
		keys: transportKeys, keyUsage: transportUsage, extKeyUsage: clientAuth, published: true, sans: allSANs,
	},
	{
		name: ProfileSigning, about: "message signing, any subject", days: 365,
		keys: signingKeys, keyUsage: signingUsage, published: true, sans: allSANs,
	},
	{
		name: ProfileOBTransport, about: "UK Open Banking transport (legacy)", days: 365,
		keys: rsaKeys, keyUsage: transportUsage, extKeyUsage: bothAuth, published: true,
		subject: openBankingSubject, sans: allSANs,
	},
	{
		name: ProfileOBSigning, about: "UK Open Banking signing (legacy)", days: 365,
		keys: rsaKeys, keyUsage: signingUsage, published: true, subject: openBankingSubject,
	},
	{
		name: ProfileOBWAC, about: "UK Open Banking transport, PSD2 roles", days: 365,
		keys: rsaKeys, keyUsage: transportUsage, extKeyUsage: bothAuth, published: true,
		subject: psd2Subject, sans: []string{"dns"},
		qualified: mtls.QCStatements{Types: []string{mtls.QcWeb}}, psd2: true,
	},
	{
		name: ProfileOBSEAL, about: "UK Open Banking signing, PSD2 roles", days: 365,
		keys: rsaKeys, keyUsage: signingUsage, published: true, subject: psd2Subject,
		qualified: mtls.QCStatements{Types: []string{mtls.QcSeal}}, psd2: true,
	},
	{
		name: ProfileQWAC, about: "eIDAS transport, PSD2 roles (TS 119 495)", days: 365,
		keys: transportKeys, keyUsage: transportUsage, extKeyUsage: bothAuth, published: true,
		subject: psd2Subject, sans: []string{"dns"},
		qualified: mtls.QCStatements{Compliance: true, Types: []string{mtls.QcWeb}}, psd2: true,
	},
	{
		name: ProfileQSEAL, about: "eIDAS signing, PSD2 roles (TS 119 495)", days: 365,
		keys: signingKeys, keyUsage: signingUsage, published: true, subject: psd2Subject,
		qualified: mtls.QCStatements{Compliance: true, Types: []string{mtls.QcSeal}}, psd2: true,
	},
	{
		name: ProfileBRCAC, about: "Open Finance Brasil transport (ICP-Brasil V10)", days: 365,
		keys: rsaKeys, keyUsage: transportUsage, extKeyUsage: clientAuth, published: true,
		subject: []attributeRule{
			{"businessCategory", organization}, {"jurisdictionC", "^BR$"}, {"serialNumber", cnpj}, {"C", "^BR$"},
			{"O", organization}, {"ST", "^[A-Z]{2}$"}, {"L", organization},
			{"organizationIdentifier", "^OFBBR-.+$"}, {"UID", organization}, {"CN", organization},
		},
		sans: []string{"dns"},
	},
	{
		name: ProfileBRSEAL, about: "Open Finance Brasil signing (ICP-Brasil V5)", days: 365,
		keys: rsaKeys, keyUsage: signingUsage, published: true,
		subject: []attributeRule{
			{"UID", organization}, {"C", "^BR$"}, {"O", "^ICP-Brasil$"},
			{"OU", organization}, {"OU", organization}, {"OU", organization}, {"CN", organization},
		},
		// DOC-ICP-04: numbers that are not known are all zeros.
		others: []otherNameRule{
			{asn1.ObjectIdentifier{2, 16, 76, 1, 3, 2}, "who is responsible for the certificate", "^[A-Z0-9 ]{1,60}$", ""},
			{asn1.ObjectIdentifier{2, 16, 76, 1, 3, 3}, "CNPJ", cnpj, ""},
			{asn1.ObjectIdentifier{2, 16, 76, 1, 3, 4}, "birth, CPF, NIS and RG of who is responsible", "^[0-9]{45}([A-Z0-9 ]{2,10})?$", strings.Repeat("0", 45)},
			{asn1.ObjectIdentifier{2, 16, 76, 1, 3, 7}, "CEI", "^[0-9]{12}$", strings.Repeat("0", 12)},
		},
	},
	{
		name: ProfileCDR, about: "Australia, CDR client", days: 365,
		keys: rsaKeys, keyUsage: transportUsage, extKeyUsage: clientAuth, published: true,
		subject: []attributeRule{{"C", country}, {"O", organization}, {"OU", "^Consumer Data Right$"}, {"CN", organization}},
		sans:    []string{"dns"},
	},
	{
		name: ProfileUAETransport, about: "UAE Open Finance transport", days: 365,
		keys: rsaKeys, keyUsage: transportUsage, extKeyUsage: clientAuth, published: true, subject: uaeSubject, sans: []string{"dns"},
	},
	{
		name: ProfileUAESigning, about: "UAE Open Finance signing", days: 365,
		keys: rsaKeys, keyUsage: signingUsage, published: true, subject: uaeSubject,
	},
	{
		name: ProfileUAEEncryption, about: "UAE Open Finance encryption", days: 365,
		keys: rsaKeys, keyUsage: []string{"keyEncipherment"}, published: true, subject: uaeSubject,
	},
}

// Profiles lists the names of the table in its order.
func Profiles() []Profile {
	names := make([]Profile, len(profiles))
	for i, row := range profiles {
		names[i] = row.name
	}
	return names
}

// About says in a few words what the profile is for; empty if there is none of
// that name.
func (p Profile) About() string {
	row, _ := p.row()
	return row.about
}

// Attributes lists the attribute types that a subject of this profile must have,
// in certificate order; nil if any subject will do.
func (p Profile) Attributes() []string {
	row, _ := p.row()
	var types []string
	for _, rule := range row.subject {
		types = append(types, rule.typ)
	}
	return types
}

func (p Profile) row() (profile, error) {
	i := slices.IndexFunc(profiles, func(row profile) bool { return row.name == p })
	if i < 0 {
		return profile{}, oauth.InvalidRequest("unknown certificate profile %q; there are %s", string(p), oauth.List(Profiles()))
	}
	return profiles[i], nil
}

// OtherNames describes the alternative names by OID that a certificate of this
// profile must be given.
func (p Profile) OtherNames() []string {
	row, _ := p.row()
	var names []string
	for _, rule := range row.others {
		if rule.usual == "" {
			names = append(names, rule.oid.String()+" ("+rule.about+")")
		}
	}
	return names
}

// PSD2 reports whether a certificate of this profile states payment service roles.
func (p Profile) PSD2() bool {
	row, _ := p.row()
	return row.psd2
}

// Name builds a subject of this profile from values by attribute type, with the
// order and the string types the profile's ecosystem uses. A type that occurs
// several times takes its values in turn.
func (p Profile) Name(values map[string][]string) (mtls.Name, error) {
	row, err := p.row()
	if err != nil {
		return nil, err
	}
	if row.subject == nil {
		return nil, oauth.InvalidRequest("profile %q has no order of its own: give the subject as an ordered name", string(p))
	}
	var attributes []Attribute
	used, given := map[string]int{}, 0
	for _, list := range values {
		given += len(list)
	}
	for _, rule := range row.subject {
		if at := used[rule.typ]; at < len(values[rule.typ]) {
			attributes = append(attributes, Attribute{Type: rule.typ, Value: values[rule.typ][at]})
			used[rule.typ]++
		}
	}
	if len(attributes) < given {
		return nil, oauth.InvalidRequest("profile %q has the attributes %s", string(p), strings.Join(p.Attributes(), ", "))
	}
	name, err := NewName(attributes...)
	if err != nil {
		return nil, err
	}
	return name, row.checkName(name)
}

// checkName holds a subject against the rule of the profile.
func (p profile) checkName(name mtls.Name) error {
	if len(p.subject) == 0 {
		return nil
	}
	rest := name
	for _, rule := range p.subject {
		want, err := attributeType(rule.typ)
		if err != nil {
			return err
		}
		if len(rest) == 0 || len(rest[0]) != 1 || !rest[0][0].OID.Equal(want.OID) {
			return p.badName("wants %s after %d attributes; in the order of the certificate it has %s, and RFC 4514 writes the last of them first", rule.typ, len(name)-len(rest), oauth.List(p.name.Attributes()))
		}
		got := rest[0][0]
		rest = rest[1:]
		if got.Raw.Tag != want.Raw.Tag {
			return p.badName("%s has ASN.1 string type %d, wants %d", rule.typ, got.Raw.Tag, want.Raw.Tag)
		}
		if matched, err := regexp.MatchString(rule.pattern, got.Value); err != nil || !matched {
			return p.badName("%s is %q, wants %s", rule.typ, got.Value, rule.pattern)
		}
	}
	if len(rest) > 0 {
		return p.badName("has more attributes than the profile")
	}
	return nil
}

func (p profile) badName(format string, args ...any) error {
	return oauth.InvalidRequest("subject of profile %q: "+format, append([]any{string(p.name)}, args...)...)
}
