package drill

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // what it is good for today: to be refused
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode/utf16"

	"golang.org/x/crypto/cryptobyte"
	cryptobyteasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/fapid/fapid/mtls"
)

// expired has ended within the life of its CA, also of one that was just made: its
// dates begin a little before that.
func (m *maker) expired() (made, error) {
	return m.leaf(func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = m.issuing.NotBefore, m.issuing.NotBefore.Add(time.Minute)
		if hour := m.now.Add(-time.Hour); hour.After(c.NotAfter) {
			c.NotAfter = hour
		}
	})
}

func (m *maker) criticalExtension() (made, error) {
	return m.leaf(func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 2}, Critical: true, Value: []byte{5, 0}}}
	})
}

func (m *maker) weakKey() (made, error) {
	key, err := rsa.GenerateKey(rand.Reader, 1024) //nolint:gosec // the shortest that Go makes
	if err != nil {
		return made{}, err
	}
	certificate, err := sign(m.template(), m.issuing, key.Public(), m.issuingKey)
	return made{chain: []*x509.Certificate{certificate, m.issuing}, key: key, weak: true}, err
}

// sha1 signs as nobody does any more: crypto/x509 will not.
func (m *maker) sha1() (made, error) {
	result, err := m.leaf(nil)
	if err != nil {
		return result, err
	}
	tbs, err := withAlgorithm(result.chain[0].RawTBSCertificate, oidECDSAWithSHA1)
	if err != nil {
		return result, err
	}
	hash := sha1.Sum(tbs) //nolint:gosec // as above
	signature, err := m.issuingKey.Sign(rand.Reader, hash[:], crypto.SHA1)
	if err != nil {
		return result, err
	}
	var b cryptobyte.Builder
	b.AddASN1(cryptobyteasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(tbs)
		b.AddASN1(cryptobyteasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(oidECDSAWithSHA1) })
		b.AddASN1BitString(signature)
	})
	der, err := b.Bytes()
	if err != nil {
		return result, err
	}
	result.weak = true
	result.chain[0], err = x509.ParseCertificate(der)
	return result, err
}

var oidECDSAWithSHA1 = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 1}

// withAlgorithm replaces the signature algorithm that a TBSCertificate names.
func withAlgorithm(tbs cryptobyte.String, oid asn1.ObjectIdentifier) ([]byte, error) {
	var body, version, serial, old cryptobyte.String
	if !tbs.ReadASN1(&body, cryptobyteasn1.SEQUENCE) || !body.ReadASN1Element(&version, cryptobyteasn1.Tag(0).ContextSpecific().Constructed()) ||
		!body.ReadASN1Element(&serial, cryptobyteasn1.INTEGER) || !body.ReadASN1Element(&old, cryptobyteasn1.SEQUENCE) {
		return nil, errors.New("not a TBSCertificate of version 3")
	}
	var b cryptobyte.Builder
	b.AddASN1(cryptobyteasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(version)
		b.AddBytes(serial)
		b.AddASN1(cryptobyteasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(oid) })
		b.AddBytes(body)
	})
	return b.Bytes()
}

// sanOnly has the name where tls_client_auth_subject_dn is not looked for.
func (m *maker) sanOnly() (made, error) {
	name, err := mtls.ParseName(m.own.RawSubject)
	if err != nil {
		return made{}, err
	}
	last, ok := lastText(name)
	host := strings.ToLower(last)
	if !ok || strings.Trim(host, "abcdefghijklmnopqrstuvwxyz0123456789.-_") != "" {
		return made{}, skip("its common name cannot be a DNS name")
	}
	subject, err := m.subject(otherValue)
	if err != nil {
		return made{}, err
	}
	return m.leaf(func(c *x509.Certificate) {
		c.RawSubject, c.DNSNames = subject, append(slices.Clone(c.DNSNames), host)
	})
}

// subject is that of the participant, changed.
func (m *maker) subject(change func(mtls.Name) (mtls.Name, error)) ([]byte, error) {
	name, err := mtls.ParseName(m.own.RawSubject)
	if err != nil {
		return nil, err
	}
	if name, err = change(name); err != nil {
		return nil, err
	}
	return name.DER()
}

func nameOf(dn string) ([]byte, error) {
	name, err := mtls.ParseDN(dn)
	if err != nil {
		return nil, err
	}
	return name.DER()
}

func appendRDN(name mtls.Name, rdn string) (mtls.Name, error) {
	more, err := mtls.ParseDN(rdn)
	return append(slices.Clone(name), more...), err
}

// lastText is the last attribute of a subject, the most specific one, if it is a text.
func lastText(name mtls.Name) (string, bool) {
	if len(name) == 0 || len(name[len(name)-1]) != 1 {
		return "", false
	}
	last := name[len(name)-1][0]
	return last.Value, last.Text
}

// replaceLast changes the last attribute of a subject.
func replaceLast(name mtls.Name, change func(string) string) (mtls.Name, error) {
	value, ok := lastText(name)
	if !ok {
		return nil, skip("its subject does not end in one text")
	}
	last := name[len(name)-1][0]
	changed, err := text(last, asn1.TagUTF8String, change(value))
	return append(slices.Clone(name[:len(name)-1]), mtls.RDN{changed}), err
}

// eachText changes every text of a subject, and keeps the string types.
func eachText(name mtls.Name, change func(string) string) (mtls.Name, error) {
	return each(name, func(a mtls.Attribute) (mtls.Attribute, error) { return text(a, a.Raw.Tag, change(a.Value)) })
}

func each(name mtls.Name, change func(mtls.Attribute) (mtls.Attribute, error)) (mtls.Name, error) {
	changed := make(mtls.Name, len(name))
	for i, rdn := range name {
		for _, a := range rdn {
			if a.Text {
				var err error
				if a, err = change(a); err != nil {
					return nil, err
				}
			}
			changed[i] = append(changed[i], a)
		}
	}
	return changed, nil
}

// stringTypes gives the texts of a subject other types in turn, where they fit.
func stringTypes(name mtls.Name) (mtls.Name, error) {
	types := []int{asn1.TagBMPString, asn1.TagT61String, asn1.TagPrintableString}
	turn := 0
	return each(name, func(a mtls.Attribute) (mtls.Attribute, error) {
		tag := types[turn%len(types)]
		turn++
		if tag != asn1.TagBMPString && strings.ContainsFunc(a.Value, func(r rune) bool { return r >= 0x80 }) || tag == a.Raw.Tag {
			tag = asn1.TagBMPString
		}
		return text(a, tag, a.Value)
	})
}

// text gives an attribute a value of a string type.
func text(a mtls.Attribute, tag int, value string) (mtls.Attribute, error) {
	content := []byte(value)
	if tag == asn1.TagBMPString {
		content = nil
		for _, unit := range utf16.Encode([]rune(value)) {
			content = append(content, byte(unit>>8), byte(unit))
		}
	}
	a.Raw = asn1.RawValue{Class: asn1.ClassUniversal, Tag: tag, Bytes: content}
	encoded, err := asn1.Marshal(a.Raw)
	a.Raw.FullBytes = encoded
	return a, err
}
