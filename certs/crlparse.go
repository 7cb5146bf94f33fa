package certs

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cryptobyteasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// revocationList is one verified CRL.
type revocationList struct {
	issuer     *x509.Certificate
	number     *big.Int // nil in a version 1 CRL
	thisUpdate time.Time
	nextUpdate time.Time // zero: none
	revoked    serials
}

func (l revocationList) name() string   { return l.issuer.Subject.String() }
func (l revocationList) numbered() bool { return l.number != nil }

func (l revocationList) stale(now time.Time) bool {
	return !l.nextUpdate.IsZero() && now.After(l.nextUpdate)
}

// sameIssuer reports whether two CRLs speak for the same CA and key.
func (l revocationList) sameIssuer(other revocationList) bool {
	return bytes.Equal(l.issuer.RawSubject, other.issuer.RawSubject) &&
		bytes.Equal(l.issuer.RawSubjectPublicKeyInfo, other.issuer.RawSubjectPublicKeyInfo)
}

// parseLists reads and verifies every CRL of a file.
func parseLists(content []byte, issuers []*x509.Certificate, now time.Time) ([]revocationList, error) {
	var lists []revocationList
	add := func(der []byte) error {
		list, err := parseList(der, issuers, now)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(lists, list.sameIssuer) {
			return fmt.Errorf("two CRLs of %q", list.name())
		}
		lists = append(lists, list)
		return nil
	}
	block, rest := pem.Decode(content)
	if block == nil {
		return lists, add(content)
	}
	for ; block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "X509 CRL" {
			return nil, fmt.Errorf("PEM block %q is not a CRL", block.Type)
		}
		if err := add(block.Bytes); err != nil {
			return nil, err
		}
	}
	if len(bytes.TrimSpace(rest)) > 0 {
		return nil, errors.New("text after the last CRL; the file may be cut off")
	}
	return lists, nil
}

func parseList(der []byte, issuers []*x509.Certificate, now time.Time) (revocationList, error) {
	crl, err := x509.ParseRevocationList(der)
	if err != nil {
		return revocationList{}, err
	}
	issuer, err := signerOf(crl, issuers)
	if err != nil {
		return revocationList{}, err
	}
	if err := checkScope(crl); err != nil {
		return revocationList{}, fmt.Errorf("the CRL of %q: %w", issuer.Subject, err)
	}
	if crl.ThisUpdate.After(now.Add(backdate)) {
		return revocationList{}, fmt.Errorf("the CRL of %q is of the future: %s", issuer.Subject, crl.ThisUpdate.Format(time.RFC3339))
	}
	list := revocationList{
		issuer:     issuer,
		number:     crl.Number,
		thisUpdate: crl.ThisUpdate,
		nextUpdate: crl.NextUpdate,
		revoked:    make(serials, len(crl.RevokedCertificateEntries)),
	}
	for _, entry := range crl.RevokedCertificateEntries {
		if oid := unknownCritical(entry.Extensions); oid != nil {
			return revocationList{}, fmt.Errorf("the CRL of %q has an entry with the critical extension %s", issuer.Subject, oid)
		}
		list.revoked[string(entry.SerialNumber.Bytes())] = Revocation{At: entry.RevocationTime, Reason: Reason(entry.ReasonCode)}
	}
	return list, nil
}

// signerOf finds the CA that signed the CRL. Go checks the signature, that the
// CA may sign CRLs, and refuses SHA-1.
func signerOf(crl *x509.RevocationList, issuers []*x509.Certificate) (*x509.Certificate, error) {
	var problems []error
	for _, issuer := range issuers {
		if !bytes.Equal(issuer.RawSubject, crl.RawIssuer) {
			continue
		}
		err := crl.CheckSignatureFrom(issuer)
		if err == nil {
			return issuer, nil
		}
		problems = append(problems, err)
	}
	if problems == nil {
		return nil, fmt.Errorf("the CRL of %q is of no trusted CA", crl.Issuer)
	}
	return nil, fmt.Errorf("the CRL of %q is not signed by that CA: %w", crl.Issuer, errors.Join(problems...))
}

var oidIssuingDistributionPoint = asn1.ObjectIdentifier{2, 5, 29, 28}

// checkScope refuses CRLs that do not list all revoked certificates of their
// issuer: delta and indirect ones, and those for some reasons, CA certificates
// or attribute certificates only (RFC 5280 section 5.2). One for user
// certificates only is accepted, and one that names its distribution point is
// taken to be the only one.
func checkScope(crl *x509.RevocationList) error {
	for _, extension := range crl.Extensions {
		if !extension.Id.Equal(oidIssuingDistributionPoint) {
			continue
		}
		value := cryptobyte.String(extension.Value)
		var fields cryptobyte.String
		if !value.ReadASN1(&fields, cryptobyteasn1.SEQUENCE) || !value.Empty() {
			return errors.New("malformed issuingDistributionPoint")
		}
		for !fields.Empty() {
			var field cryptobyte.String
			var tag cryptobyteasn1.Tag
			if !fields.ReadAnyASN1(&field, &tag) {
				return errors.New("malformed issuingDistributionPoint")
			}
			name := cryptobyteasn1.Tag(0).ContextSpecific().Constructed()
			userCertificates := cryptobyteasn1.Tag(1).ContextSpecific()
			if tag != name && tag != userCertificates {
				return errors.New("it does not cover all certificates and reasons")
			}
		}
	}
	if oid := unknownCritical(crl.Extensions, oidIssuingDistributionPoint); oid != nil {
		return fmt.Errorf("critical extension %s", oid) // a delta CRL ends here: 2.5.29.27
	}
	return nil
}

// unknownCritical returns the first critical extension that is not among the
// known ones.
func unknownCritical(extensions []pkix.Extension, known ...asn1.ObjectIdentifier) asn1.ObjectIdentifier {
	for _, extension := range extensions {
		if extension.Critical && !slices.ContainsFunc(known, extension.Id.Equal) {
			return extension.Id
		}
	}
	return nil
}
