package certs

import (
	"context"
	"crypto"
	"crypto/x509"
	"fmt"
	"net/netip"
	"time"

	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/oauth"
)

// Renewal is how a certificate differs from the one it renews. The zero value has
// the same key and lasts as long as its profile allows, and the old one stays valid
// beside it until it ends.
type Renewal struct {
	// CSR has the key of the new certificate. Its names do not count: they are
	// those of the old one.
	CSR *x509.CertificateRequest
	// NewKey has a key made: of Algorithm, or of the old one's where that is empty.
	NewKey    bool
	Algorithm KeyAlgorithm
	// NotAfter is when the new certificate ends; zero is as late as possible.
	NotAfter time.Time
	// RevokeOld revokes the old one, as superseded, once the new one is there.
	RevokeOld bool
}

// Renew makes a new certificate with the subject, names and profile of an old one.
// An expired certificate can be renewed; a revoked one cannot.
func (a *Authority) Renew(ctx context.Context, serial string, renewal Renewal) (*Issued, error) {
	old, err := a.Get(ctx, serial)
	if err != nil {
		return nil, err
	}
	if old.Revoked != nil {
		return nil, oauth.InvalidRequest("certificate %s is revoked and cannot be renewed", old.Serial)
	}
	certificate, err := ParseCertificate([]byte(old.PEM))
	if err != nil {
		return nil, fmt.Errorf("renew %s: %w", old.Serial, err)
	}
	subject, err := subjectOf(certificate)
	if err != nil {
		return nil, fmt.Errorf("renew %s: %w", old.Serial, err)
	}
	subject.Owner, subject.NotAfter = old.Owner, renewal.NotAfter
	wanted, err := old.Profile.order(subject)
	if err != nil {
		return nil, err
	}
	wanted.replaces = old.Serial
	public, key, err := renewal.key(wanted.row, certificate.PublicKey, old.Key)
	if err != nil {
		return nil, err
	}
	issued, err := a.issue(ctx, wanted, public)
	if err != nil {
		return nil, err
	}
	issued.Key = key
	if renewal.RevokeOld {
		if err := a.Revoke(ctx, old.Serial, ReasonSuperseded); err != nil {
			return nil, err
		}
	}
	return issued, nil
}

// key is what the new certificate is for; the private key only where it is made.
func (r Renewal) key(row profile, old crypto.PublicKey, algorithm KeyAlgorithm) (crypto.PublicKey, crypto.Signer, error) {
	switch {
	case r.CSR != nil && r.NewKey:
		return nil, nil, oauth.InvalidRequest("the key is that of the certificate request or a new one, not both")
	case r.Algorithm != "" && !r.NewKey:
		return nil, nil, oauth.InvalidRequest("a key algorithm goes with a new key")
	case r.CSR != nil:
		return r.CSR.PublicKey, nil, row.checkCSR(r.CSR)
	case !r.NewKey:
		return old, nil, nil
	}
	if r.Algorithm != "" {
		algorithm = r.Algorithm
	}
	key, err := NewKey(algorithm)
	if err != nil {
		return nil, nil, err
	}
	return key.Public(), key, nil
}

// subjectOf reads back what subject a certificate of ours was issued for.
func subjectOf(certificate *x509.Certificate) (Subject, error) {
	subject := Subject{Raw: certificate.RawSubject, DNS: certificate.DNSNames, Email: certificate.EmailAddresses}
	for _, ip := range certificate.IPAddresses {
		if address, ok := netip.AddrFromSlice(ip); ok {
			subject.IP = append(subject.IP, address)
		}
	}
	for _, uri := range certificate.URIs {
		subject.URI = append(subject.URI, uri.String())
	}
	var err error
	if subject.Others, err = mtls.OtherNames(certificate); err != nil {
		return Subject{}, err
	}
	statements, err := mtls.ParseQCStatements(certificate)
	if statements != nil {
		subject.PSD2 = statements.PSD2
	}
	return subject, err
}
