package certs

import (
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
	ProfileServer      Profile = "server"
	ProfileClient      Profile = "client"
	ProfileSigning     Profile = "signing"
	ProfileOBTransport Profile = "ob-transport"
	ProfileOBSigning   Profile = "ob-signing"
	ProfileQWAC        Profile = "qwac"
	ProfileBRCAC       Profile = "brcac"
)

// profile is one row: everything that is decided about a certificate before its
// holder is known.
type profile struct {
	name        Profile
	about       string
	days        int            // lifetime
	keys        []KeyAlgorithm // allowed; the first is made when none is asked for
	keyUsage    []string       // keyEncipherment is left out of keys that cannot do it
	extKeyUsage []string       // empty: no extension
	crl         bool           // carries the CRL distribution point
	subject     []attributeRule
	sans        []string // kinds allowed: dns ip uri email
}

// attributeRule is one attribute of a subject, in certificate order.
type attributeRule struct {
	typ     string // as mtls.ParseDN knows it; its string type comes from there
	pattern string // regular expression of the value
}

const (
	organization = "^.{1,128}$"
	country      = "^[A-Z]{2}$"
	// ETSI TS 119 495 section 5.2.1: PSD, country, "-", authority, "-", id.
	psd2Identifier = "^PSD[A-Z]{2}-[A-Z]{2,8}-.+$"
)

var (
	transportKeys = []KeyAlgorithm{RSA2048, RSA3072, RSA4096, P256, P384}
	signingKeys   = []KeyAlgorithm{RSA2048, RSA3072, RSA4096, P256, P384, Ed25519}
	rsaKeys       = []KeyAlgorithm{RSA2048, RSA3072, RSA4096}

	// RFC 5280 section 4.2.1.3 names.
	transportUsage = []string{"digitalSignature", "keyEncipherment"}
	signingUsage   = []string{"digitalSignature", "nonRepudiation"}

	clientAuth = []string{"clientAuth"}
	allSANs    = []string{"dns", "ip", "uri", "email"}

	openBankingSubject = []attributeRule{{"C", country}, {"O", organization}, {"OU", organization}, {"CN", organization}}
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
		keys: transportKeys, keyUsage: transportUsage, extKeyUsage: clientAuth, crl: true, sans: allSANs,
	},
	{
		name: ProfileSigning, about: "message signing, any subject; not good for TLS", days: 365,
		keys: signingKeys, keyUsage: signingUsage, crl: true, sans: allSANs,
	},
	{
		name: ProfileOBTransport, about: "UK Open Banking transport (legacy)", days: 365,
		keys: rsaKeys, keyUsage: transportUsage, extKeyUsage: clientAuth, crl: true,
		subject: openBankingSubject, sans: allSANs,
	},
	{
		name: ProfileOBSigning, about: "UK Open Banking signing (legacy)", days: 365,
		keys: rsaKeys, keyUsage: signingUsage, crl: true, subject: openBankingSubject,
	},
	{
		name: ProfileQWAC, about: "PSD2 website authentication shape (ETSI TS 119 495), without QC statements", days: 365,
		keys: transportKeys, keyUsage: transportUsage, extKeyUsage: []string{"serverAuth", "clientAuth"}, crl: true,
		subject: []attributeRule{
			{"C", country}, {"O", organization},
			{"organizationIdentifier", psd2Identifier}, {"CN", organization},
		},
		sans: []string{"dns"},
	},
	{
		name: ProfileBRCAC, about: "Open Finance Brasil transport (ICP-Brasil V10)", days: 365,
		keys: rsaKeys, keyUsage: transportUsage, extKeyUsage: clientAuth, crl: true,
		subject: []attributeRule{
			{"businessCategory", organization}, {"jurisdictionC", "^BR$"},
			{"serialNumber", "^[0-9A-Z]{12}[0-9]{2}$"}, {"C", "^BR$"},
			{"O", organization}, {"ST", "^[A-Z]{2}$"}, {"L", organization},
			{"organizationIdentifier", "^OFBBR-.+$"}, {"UID", organization},
			{"CN", organization},
		},
		sans: []string{"dns"},
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
		return profile{}, oauth.InvalidRequest("unknown certificate profile %q; there are %v", string(p), Profiles())
	}
	return profiles[i], nil
}

// Name builds a subject of this profile from values by attribute type, with the
// order and the string types the profile's ecosystem uses.
func (p Profile) Name(values map[string]string) (mtls.Name, error) {
	row, err := p.row()
	if err != nil {
		return nil, err
	}
	if row.subject == nil {
		return nil, oauth.InvalidRequest("profile %q has no order of its own: give the subject as an ordered name", string(p))
	}
	var attributes []Attribute
	for _, rule := range row.subject {
		if value, ok := values[rule.typ]; ok {
			attributes = append(attributes, Attribute{Type: rule.typ, Value: value})
		}
	}
	if len(attributes) < len(values) {
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
			return p.badName("wants %s next, after %d attributes", rule.typ, len(name)-len(rest))
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
