package certs

import (
	"encoding/asn1"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	cryptobyteasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/oauth"
)

// templateExtension is an extension as x509util reads it.
type templateExtension struct {
	ID    string `json:"id"`
	Value []byte `json:"value"` // DER
}

// statements writes the profile's QC statements, with the holder's roles, into the
// template.
func (s Subject) statements(p profile, name mtls.Name, t *leafTemplate) error {
	if s.PSD2 != nil && !p.psd2 {
		return oauth.InvalidRequest("profile %q states no PSD2 roles", string(p.name))
	}
	if s.PSD2 == nil && p.psd2 {
		return oauth.InvalidRequest("profile %q states the PSD2 roles of the holder and the authority that gave them: at least one of %s, and the authority's name",
			string(p.name), strings.Join(roleNames(), ", "))
	}
	statements := p.qualified
	if p.psd2 {
		psd2, err := checkPSD2(*s.PSD2, name)
		if err != nil {
			return err
		}
		statements.PSD2 = psd2
	}
	if len(statements.Types) == 0 {
		return nil
	}
	der, err := statements.DER()
	if err != nil {
		return err
	}
	t.Extensions = append(t.Extensions, templateExtension{mtls.OIDQCStatements.String(), der})
	return nil
}

func roleNames() []string {
	names := make([]string, len(mtls.PSD2Roles))
	for i, role := range mtls.PSD2Roles {
		names[i] = role.Name
	}
	return names
}

// authorityID is the NCAId of ETSI TS 119 495 section 5.1.
var authorityID = regexp.MustCompile(`^[A-Z]{2}-[A-Z]{2,8}$`)

// checkPSD2 names the roles as the statement does, and takes the authority's id
// from the organizationIdentifier where it is not given.
func checkPSD2(p mtls.PSD2, name mtls.Name) (*mtls.PSD2, error) {
	var roles []string
	for _, given := range p.Roles {
		i := slices.IndexFunc(roleNames(), func(known string) bool {
			return strings.EqualFold(known, given) || strings.EqualFold(aliasOf(known), given)
		})
		if i < 0 {
			return nil, oauth.InvalidRequest("%q is not a PSD2 role; there are %s", given, strings.Join(roleNames(), ", "))
		}
		if slices.Contains(roles, roleNames()[i]) {
			return nil, oauth.InvalidRequest("the PSD2 role %s is given twice", roleNames()[i])
		}
		roles = append(roles, roleNames()[i])
	}
	if len(roles) == 0 {
		return nil, oauth.InvalidRequest("a PSD2 statement has at least one role: %s", strings.Join(roleNames(), ", "))
	}
	if n := utf8.RuneCountInString(p.NCAName); n == 0 || n > 256 || !utf8.ValidString(p.NCAName) || strings.ContainsFunc(p.NCAName, unicode.IsControl) {
		return nil, oauth.InvalidRequest("the name of the competent authority has 1 to 256 characters, such as Financial Conduct Authority")
	}
	if p.NCAID == "" {
		p.NCAID = authorityOf(name)
	}
	if !authorityID.MatchString(p.NCAID) {
		return nil, oauth.InvalidRequest("%q is not the id of a competent authority, such as GB-FCA", p.NCAID)
	}
	return &mtls.PSD2{Roles: roles, NCAName: p.NCAName, NCAID: p.NCAID}, nil
}

func aliasOf(role string) string {
	for _, row := range mtls.PSD2Roles {
		if row.Name == role {
			return row.Alias
		}
	}
	return ""
}

// authorityOf finds the authority in an organizationIdentifier of TS 119 495
// section 5.2.1: PSDGB-FCA-123456 is of GB-FCA.
func authorityOf(name mtls.Name) string {
	for _, rdn := range name {
		for _, a := range rdn {
			parts := strings.SplitN(strings.TrimPrefix(a.Value, "PSD"), "-", 3)
			if a.OID.String() == "2.5.4.97" && len(parts) == 3 {
				return parts[0] + "-" + parts[1]
			}
		}
	}
	return ""
}

// otherNames writes the profile's alternative names by OID into the template, as
// the one SAN extension: such a profile has no names of other kinds.
func (s Subject) otherNames(p profile, t *leafTemplate) error {
	for _, given := range s.Others {
		if !slices.ContainsFunc(p.others, func(rule otherNameRule) bool { return rule.oid.Equal(given.OID) }) {
			return oauth.InvalidRequest("profile %q has no alternative name of type %s", string(p.name), given.OID)
		}
	}
	if len(p.others) == 0 {
		return nil
	}
	var b cryptobyte.Builder
	b.AddASN1(cryptobyteasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, rule := range p.others {
			value, err := s.otherName(p, rule)
			if err != nil {
				b.SetError(err)
				return
			}
			addOtherName(b, rule.oid, value)
		}
	})
	der, err := b.Bytes()
	if err != nil {
		return err
	}
	t.Extensions = append(t.Extensions, templateExtension{"2.5.29.17", der})
	return nil
}

func (s Subject) otherName(p profile, rule otherNameRule) (string, error) {
	value, count := rule.usual, 0
	for _, given := range s.Others {
		if given.OID.Equal(rule.oid) {
			value, count = given.Value, count+1
		}
	}
	switch {
	case count > 1:
		return "", oauth.InvalidRequest("alternative name %s is given %d times", rule.oid, count)
	case value == "":
		return "", oauth.InvalidRequest("profile %q wants the alternative name otherName:%s=, %s", string(p.name), rule.oid, rule.about)
	case !regexp.MustCompile(rule.pattern).MatchString(value):
		return "", oauth.InvalidRequest("alternative name %s (%s) is %q, wants %s", rule.oid, rule.about, value, rule.pattern)
	}
	return value, nil
}

// addOtherName writes [0] { type-id, [0] EXPLICIT PrintableString } (RFC 5280
// section 4.2.1.6).
func addOtherName(b *cryptobyte.Builder, oid asn1.ObjectIdentifier, value string) {
	tagged := cryptobyteasn1.Tag(0).ContextSpecific().Constructed()
	b.AddASN1(tagged, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oid)
		b.AddASN1(tagged, func(b *cryptobyte.Builder) {
			b.AddASN1(cryptobyteasn1.PrintableString, func(b *cryptobyte.Builder) { b.AddBytes([]byte(value)) })
		})
	})
}
