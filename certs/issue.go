package certs

import (
	"context"
	"crypto"
	"crypto/x509"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/oauth"
)

// Issued is a fresh certificate.
type Issued struct {
	Certificate *x509.Certificate
	Chain       []*x509.Certificate // leaf and issuing CA, as a TLS peer sends them
	Key         crypto.Signer       // nil when somebody else has it
	Record      Record
}

// Issue makes a certificate for a key that is made here, or for an existing
// private key. The private key is returned and kept nowhere.
func (a *Authority) Issue(ctx context.Context, p Profile, subject Subject, request KeyRequest) (*Issued, error) {
	wanted, err := p.order(subject)
	if err != nil {
		return nil, err
	}
	key := request.Key
	if key == nil {
		algorithm := request.Algorithm
		if algorithm == "" {
			algorithm = wanted.row.keys[0]
		}
		if key, err = NewKey(algorithm); err != nil {
			return nil, err
		}
	}
	issued, err := a.issue(ctx, wanted, key.Public())
	if err != nil {
		return nil, err
	}
	issued.Key = key
	return issued, nil
}

// Sign makes a certificate for the key of a certificate request. Nothing else
// in the request counts: not its subject, its names or its extensions. A caller
// that wants the requested subject passes csr.RawSubject as Subject.Raw.
func (a *Authority) Sign(ctx context.Context, p Profile, csr *x509.CertificateRequest, subject Subject) (*Issued, error) {
	wanted, err := p.order(subject)
	if err != nil {
		return nil, err
	}
	// Before the signature: verifying with an enormous key is expensive.
	if _, err := wanted.row.checkKey(csr.PublicKey); err != nil {
		return nil, err
	}
	if err := checkCSR(csr); err != nil {
		return nil, err
	}
	return a.issue(ctx, wanted, csr.PublicKey)
}

// Renew makes a new certificate with the key, subject and profile of an old
// one, which stays valid until it ends. An expired certificate can be renewed;
// a revoked one cannot.
func (a *Authority) Renew(ctx context.Context, serial string) (*Issued, error) {
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
	wanted, err := old.Profile.order(subjectOf(certificate, old.Owner))
	if err != nil {
		return nil, err
	}
	wanted.replaces = old.Serial
	return a.issue(ctx, wanted, certificate.PublicKey)
}

// subjectOf reads back what subject a certificate was issued for.
func subjectOf(certificate *x509.Certificate, owner string) Subject {
	subject := Subject{
		Raw:   certificate.RawSubject,
		DNS:   certificate.DNSNames,
		Email: certificate.EmailAddresses,
		Owner: owner,
	}
	for _, ip := range certificate.IPAddresses {
		if address, ok := netip.AddrFromSlice(ip); ok {
			subject.IP = append(subject.IP, address)
		}
	}
	for _, uri := range certificate.URIs {
		subject.URI = append(subject.URI, uri.String())
	}
	return subject
}

// IssueServer makes two server certificates for the hosts, DNS names or IP
// addresses: RSA-2048, which the TLS 1.2 suites of FAPI 1 need, and P-256,
// which is cheaper.
func (a *Authority) IssueServer(ctx context.Context, hosts []string) (rsa, ecdsa *Issued, err error) {
	subject, err := serverSubject(hosts)
	if err != nil {
		return nil, nil, err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		rsa, err = a.Issue(ctx, ProfileServer, subject, KeyRequest{Algorithm: RSA2048})
		return err
	})
	group.Go(func() (err error) {
		ecdsa, err = a.Issue(ctx, ProfileServer, subject, KeyRequest{Algorithm: P256})
		return err
	})
	if err := group.Wait(); err != nil {
		return nil, nil, err
	}
	return rsa, ecdsa, nil
}

// maxCommonName is ub-common-name of RFC 5280 appendix A.1, in characters.
const maxCommonName = 64

func serverSubject(hosts []string) (Subject, error) {
	if len(hosts) == 0 {
		return Subject{}, oauth.InvalidRequest("a server certificate needs at least one host")
	}
	var subject Subject
	for _, host := range hosts {
		if ip, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
			subject.IP = append(subject.IP, ip)
		} else {
			subject.DNS = append(subject.DNS, strings.ToLower(host))
		}
	}
	commonName := hosts[0]
	if len(commonName) > maxCommonName {
		commonName = "server" // verifiers read the SAN only (RFC 9525 section 2)
	}
	var err error
	subject.Name, err = NewName(Attribute{Type: "CN", Value: commonName})
	return subject, err
}

// order is a certificate that may be issued, but for its key.
type order struct {
	row      profile
	name     mtls.Name
	template leafTemplate
	owner    string
	replaces string // serial of the certificate it renews
}

// order checks the subject against the profile. It comes before a key is made,
// which is slow.
func (p Profile) order(subject Subject) (order, error) {
	row, err := p.row()
	if err != nil {
		return order{}, err
	}
	raw, name, err := subject.distinguishedName()
	if err != nil {
		return order{}, err
	}
	if err := row.checkName(name); err != nil {
		return order{}, err
	}
	template := leafTemplate{RawSubject: raw, ExtKeyUsage: row.extKeyUsage}
	if err := subject.alternativeNames(row, &template); err != nil {
		return order{}, err
	}
	return order{row: row, name: name, template: template, owner: subject.Owner}, nil
}

// issue is the one way to a certificate.
func (a *Authority) issue(ctx context.Context, wanted order, public crypto.PublicKey) (*Issued, error) {
	row, template := wanted.row, wanted.template
	algorithm, err := row.checkKey(public)
	if err != nil {
		return nil, err
	}
	template.KeyUsage = row.keyUsages(algorithm)
	if row.crl && a.config.CRLURL != "" {
		template.CRLDistributionPoints = []string{a.config.CRLURL}
	}
	now := a.config.Now().UTC().Truncate(time.Second)
	if !now.Before(a.issuing.NotAfter) {
		return nil, fmt.Errorf("the issuing CA expired on %s", a.issuing.NotAfter.Format(time.DateOnly))
	}
	notAfter := now.AddDate(0, 0, row.days)
	if notAfter.After(a.issuing.NotAfter) {
		notAfter = a.issuing.NotAfter
	}
	certificate, err := a.sign(template, public, now.Add(-backdate), notAfter)
	if err != nil {
		return nil, fmt.Errorf("issue certificate: %w", err)
	}
	record := Record{
		Serial:     SerialOf(certificate),
		Profile:    row.name,
		Owner:      wanted.owner,
		Subject:    wanted.name.String(),
		SANs:       alternativeNamesOf(certificate),
		Key:        algorithm,
		IssuedAt:   now,
		NotBefore:  certificate.NotBefore,
		NotAfter:   certificate.NotAfter,
		Thumbprint: mtls.Thumbprint(certificate),
		Replaces:   wanted.replaces,
		PEM:        string(CertificatePEM(certificate)),
	}
	if err := a.records.Create(ctx, record.Serial, record, notAfter.Add(retention)); err != nil {
		return nil, fmt.Errorf("record certificate %s: %w", record.Serial, err)
	}
	return &Issued{Certificate: certificate, Chain: []*x509.Certificate{certificate, a.issuing}, Record: record}, nil
}

func alternativeNamesOf(certificate *x509.Certificate) []string {
	var names []string
	for _, host := range certificate.DNSNames {
		names = append(names, "DNS:"+host)
	}
	for _, ip := range certificate.IPAddresses {
		names = append(names, "IP:"+ip.String())
	}
	for _, uri := range certificate.URIs {
		names = append(names, "URI:"+uri.String())
	}
	for _, address := range certificate.EmailAddresses {
		names = append(names, "email:"+address)
	}
	return names
}
