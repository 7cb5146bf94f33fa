package directory

import (
	"cmp"
	"encoding/asn1"
	"slices"
	"strings"
	"unicode"

	"github.com/fapid/fapid/certs"
	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/oauth"
)

// The uses of keys: signing, encryption, and TLS client certificates, which are
// published apart from the other two.
const (
	useSig = "sig"
	useEnc = "enc"
	useTLS = "tls"
)

// keyType is one row: a kind of certificate or key that the directory takes up.
type keyType struct {
	name string
	// software: it belongs to software, otherwise to an organisation.
	software bool
	use      string
	// profile is the CA's; empty for a key that is published without a certificate.
	profile certs.Profile
	// subject builds the name of the certificate.
	subject func(*Organisation, *SoftwareStatement) ([]certs.Attribute, error)
	// more is what the certificate says beside its name; nil for no more.
	more func(*Organisation, *certs.Subject) error
}

// keyTypes is the table, by Raidiam's names; what has none there is called as the
// CA's profile is. Adding a kind is adding a row.
var keyTypes = []keyType{
	{name: "rtstransport", software: true, use: useTLS, profile: certs.ProfileClient, subject: softwareSubject},
	{name: "rtssigning", software: true, use: useSig, profile: certs.ProfileSigning, subject: softwareSubject},
	{name: "brcac", software: true, use: useTLS, profile: certs.ProfileBRCAC, subject: brcacSubject},
	{name: "ob-transport", software: true, use: useTLS, profile: certs.ProfileOBTransport, subject: softwareSubject},
	{name: "ob-signing", software: true, use: useSig, profile: certs.ProfileOBSigning, subject: softwareSubject},
	{name: "obwac", software: true, use: useTLS, profile: certs.ProfileOBWAC, subject: obSubject, more: psd2Roles},
	{name: "obseal", software: true, use: useSig, profile: certs.ProfileOBSEAL, subject: obSubject, more: psd2Roles},
	{name: "cdr", software: true, use: useTLS, profile: certs.ProfileCDR, subject: cdrSubject},
	{name: "uae-transport", software: true, use: useTLS, profile: certs.ProfileUAETransport, subject: uaeSubject},
	{name: "uae-signing", software: true, use: useSig, profile: certs.ProfileUAESigning, subject: uaeSubject},
	{name: "uae-encryption", software: true, use: useEnc, profile: certs.ProfileUAEEncryption, subject: uaeSubject},
	{name: "sigkey", software: true, use: useSig},
	{name: "enckey", software: true, use: useEnc},

	{name: "rtswac", use: useTLS, profile: certs.ProfileClient, subject: organisationSubject},
	{name: "rtsseal", use: useSig, profile: certs.ProfileSigning, subject: organisationSubject},
	{name: "qwac", use: useTLS, profile: certs.ProfileQWAC, subject: psd2Subject, more: psd2Roles},
	{name: "qseal", use: useSig, profile: certs.ProfileQSEAL, subject: psd2Subject, more: psd2Roles},
	{name: "obwac", use: useTLS, profile: certs.ProfileOBWAC, subject: obSubject, more: psd2Roles},
	{name: "obseal", use: useSig, profile: certs.ProfileOBSEAL, subject: obSubject, more: psd2Roles},
	{name: "brseal", use: useSig, profile: certs.ProfileBRSEAL, subject: brsealSubject, more: icpBrasilNames},
}

// findKeyType finds a row for software or for an organisation.
func findKeyType(name string, software bool) (*keyType, error) {
	var names []string
	for i := range keyTypes {
		if keyTypes[i].software != software {
			continue
		}
		if keyTypes[i].name == name {
			return &keyTypes[i], nil
		}
		names = append(names, keyTypes[i].name)
	}
	return nil, oauth.NotFound("no type of certificate %s here; there are %s", oauth.Clip(name), oauth.List(names))
}

// softwareSubject is what Raidiam's own CA writes: organisation and software by
// their ids.
func softwareSubject(o *Organisation, s *SoftwareStatement) ([]certs.Attribute, error) {
	return []certs.Attribute{
		{Type: "C", Value: o.CountryOfRegistration}, {Type: "O", Value: o.OrganisationName},
		{Type: "OU", Value: o.ID}, {Type: "CN", Value: s.ID},
	}, nil
}

func organisationSubject(o *Organisation, _ *SoftwareStatement) ([]certs.Attribute, error) {
	return []certs.Attribute{
		{Type: "C", Value: o.CountryOfRegistration}, {Type: "O", Value: o.OrganisationName}, {Type: "CN", Value: o.ID},
	}, nil
}

// psd2Subject has the organisation's number at its authority (ETSI TS 119 495
// section 5.2.1).
func psd2Subject(o *Organisation, _ *SoftwareStatement) ([]certs.Attribute, error) {
	return o.registered(o.OrganisationName)
}

// obSubject is that of the UK's, which names the organisation by its id.
func obSubject(o *Organisation, _ *SoftwareStatement) ([]certs.Attribute, error) {
	return o.registered(o.ID)
}

func (o *Organisation) registered(commonName string) ([]certs.Attribute, error) {
	if o.RegistrationID == "" {
		return nil, lacks(o, "RegistrationId", "PSDGB-FCA-123456")
	}
	return []certs.Attribute{
		{Type: "C", Value: o.CountryOfRegistration}, {Type: "O", Value: cmp.Or(o.LegalEntityName, o.OrganisationName)},
		{Type: "organizationIdentifier", Value: o.RegistrationID}, {Type: "CN", Value: commonName},
	}, nil
}

// psd2Roles are those that an authority has admitted the organisation to now, with
// the authority's name.
func psd2Roles(o *Organisation, subject *certs.Subject) error {
	statement := &mtls.PSD2{}
	for _, claim := range o.Claims {
		psd2 := slices.ContainsFunc(mtls.PSD2Roles, func(role mtls.PSD2Role) bool { return role.Alias == claim.Role })
		authority, known := findAuthority(claim.AuthorityID)
		if !psd2 || !known || claim.Status != statusActive {
			continue
		}
		statement.NCAName = cmp.Or(statement.NCAName, authority.Name)
		statement.Roles = append(statement.Roles, claim.Role)
	}
	if len(statement.Roles) == 0 {
		return lacks(o, "active authority claim", "AISP of the domain PSD2")
	}
	subject.PSD2 = statement
	return nil
}

// cdrSubject names the software and the brand, which are not ids.
func cdrSubject(o *Organisation, s *SoftwareStatement) ([]certs.Attribute, error) {
	return []certs.Attribute{
		{Type: "C", Value: o.CountryOfRegistration}, {Type: "O", Value: o.OrganisationName},
		{Type: "OU", Value: "Consumer Data Right"}, {Type: "CN", Value: s.ClientName},
	}, nil
}

// uaeSubject is softwareSubject, in the one country.
func uaeSubject(o *Organisation, s *SoftwareStatement) ([]certs.Attribute, error) {
	return []certs.Attribute{
		{Type: "C", Value: "AE"}, {Type: "O", Value: cmp.Or(o.LegalEntityName, o.OrganisationName)},
		{Type: "OU", Value: o.ID}, {Type: "CN", Value: s.ID},
	}, nil
}

// brcacSubject is that of Open Finance Brasil's transport certificates.
func brcacSubject(o *Organisation, s *SoftwareStatement) ([]certs.Attribute, error) {
	switch {
	case o.RegistrationNumber == "":
		return nil, lacks(o, "RegistrationNumber", "the CNPJ, 43142666000197")
	case o.City == "":
		return nil, lacks(o, "City", "Sao Paulo")
	case o.State == "":
		return nil, lacks(o, "State", "SP")
	}
	return []certs.Attribute{
		{Type: "businessCategory", Value: "Private Organization"}, {Type: "jurisdictionC", Value: "BR"},
		{Type: "serialNumber", Value: o.RegistrationNumber}, {Type: "C", Value: "BR"},
		{Type: "O", Value: cmp.Or(o.LegalEntityName, o.OrganisationName)}, {Type: "ST", Value: o.State}, {Type: "L", Value: o.City},
		{Type: "organizationIdentifier", Value: "OFBBR-" + o.ID}, {Type: "UID", Value: s.ID}, {Type: "CN", Value: s.host()},
	}, nil
}

// brsealSubject is that of Open Finance Brasil's signing certificates.
func brsealSubject(o *Organisation, _ *SoftwareStatement) ([]certs.Attribute, error) {
	if o.RegistrationNumber == "" {
		return nil, lacks(o, "RegistrationNumber", "the CNPJ, 43142666000197")
	}
	name := cmp.Or(o.LegalEntityName, o.OrganisationName)
	return []certs.Attribute{
		{Type: "UID", Value: o.ID}, {Type: "C", Value: "BR"}, {Type: "O", Value: "ICP-Brasil"},
		{Type: "OU", Value: "fapid sandbox"}, {Type: "OU", Value: o.RegistrationNumber}, {Type: "OU", Value: "e-CNPJ A1"},
		{Type: "CN", Value: name},
	}, nil
}

// icpBrasilNames are who answers for a signing certificate, and the company's number
// (DOC-ICP-04): what else belongs there the CA writes as unknown.
func icpBrasilNames(o *Organisation, subject *certs.Subject) error {
	responsible := strings.Map(func(c rune) rune {
		switch c = unicode.ToUpper(c); {
		case c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == ' ':
			return c
		}
		return -1
	}, cmp.Or(o.LegalEntityName, o.OrganisationName))
	subject.Others = []mtls.OtherName{
		{OID: asn1.ObjectIdentifier{2, 16, 76, 1, 3, 2}, Value: cmp.Or(responsible[:min(len(responsible), 60)], "NONE")},
		{OID: asn1.ObjectIdentifier{2, 16, 76, 1, 3, 3}, Value: o.RegistrationNumber},
	}
	return nil
}

func lacks(o *Organisation, member, example string) error {
	return oauth.InvalidRequest("organisation %s has no %s, which such a certificate carries (example: %s)", o.ID, member, example)
}

// certificateSubject is everything a certificate of this type says of its holder.
func (t *keyType) certificateSubject(o *Organisation, s *SoftwareStatement) (certs.Subject, error) {
	attributes, err := t.subject(o, s)
	if err != nil {
		return certs.Subject{}, err
	}
	name, err := certs.NewName(attributes...)
	if err != nil {
		return certs.Subject{}, err
	}
	subject := certs.Subject{Name: name, Owner: o.ID}
	if t.more != nil {
		if err := t.more(o, &subject); err != nil {
			return certs.Subject{}, err
		}
	}
	if t.use == useTLS {
		subject.DNS = []string{o.ID + ".example.com"}
	}
	if s != nil {
		subject.Owner = s.ID
		if t.use == useTLS {
			subject.DNS = []string{s.host()}
		}
	}
	return subject, nil
}

// distinguishedName is a subject as participants register it.
func distinguishedName(raw []byte) (string, error) {
	name, err := mtls.ParseName(raw)
	return name.String(), err
}
