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
	if err := wanted.row.checkCSR(csr); err != nil {
		return nil, err
	}
	return a.issue(ctx, wanted, csr.PublicKey)
}

// IssueServer makes two server certificates for the hosts, DNS names or IP
// addresses: RSA, which the TLS 1.2 suites of FAPI 1 need, and ECDSA, which is
// cheaper. They are for the keys given; nil has one made, RSA-2048 and P-256.
func (a *Authority) IssueServer(ctx context.Context, hosts []string, rsaKey, ecdsaKey crypto.Signer) (rsa, ecdsa *Issued, err error) {
	subject, err := serverSubject(hosts)
	if err != nil {
		return nil, nil, err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		rsa, err = a.Issue(ctx, ProfileServer, subject, KeyRequest{Algorithm: RSA2048, Key: rsaKey})
		return err
	})
	group.Go(func() (err error) {
		ecdsa, err = a.Issue(ctx, ProfileServer, subject, KeyRequest{Algorithm: P256, Key: ecdsaKey})
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
	notAfter time.Time // zero: as late as possible
	replaces string    // serial of the certificate it renews
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
	if err := subject.otherNames(row, &template); err != nil {
		return order{}, err
	}
	if err := subject.statements(row, name, &template); err != nil {
		return order{}, err
	}
	return order{row: row, name: name, template: template, owner: subject.Owner, notAfter: subject.NotAfter}, nil
}

// issue is the one way to a certificate.
func (a *Authority) issue(ctx context.Context, wanted order, public crypto.PublicKey) (*Issued, error) {
	row, template := wanted.row, wanted.template
	algorithm, err := row.checkKey(public)
	if err != nil {
		return nil, err
	}
	template.KeyUsage = row.keyUsages(algorithm)
	if row.published && a.config.CRLURL != "" {
		template.CRLDistributionPoints = []string{a.config.CRLURL}
	}
	if row.published && a.config.OCSPURL != "" {
		template.OCSPServer = []string{a.config.OCSPURL}
	}
	now := a.config.Now().UTC().Truncate(time.Second)
	notAfter, err := a.end(wanted, now)
	if err != nil {
		return nil, err
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

// end is when the certificate ends: as late as profile and CA allow, or when it was
// asked to.
func (a *Authority) end(wanted order, now time.Time) (time.Time, error) {
	if !now.Before(a.issuing.NotAfter) {
		return time.Time{}, fmt.Errorf("the issuing CA expired on %s", a.issuing.NotAfter.Format(time.DateOnly))
	}
	longest, asked := now.AddDate(0, 0, wanted.row.days), wanted.notAfter.UTC().Truncate(time.Second)
	switch {
	case wanted.notAfter.IsZero() && longest.After(a.issuing.NotAfter):
		return a.issuing.NotAfter, nil
	case wanted.notAfter.IsZero():
		return longest, nil
	case !asked.After(now):
		return time.Time{}, oauth.InvalidRequest("a certificate cannot end on %s: it is %s", asked.Format(time.RFC3339), now.Format(time.RFC3339))
	case asked.After(longest):
		return time.Time{}, oauth.InvalidRequest("a certificate of profile %q lasts %d days at most", string(wanted.row.name), wanted.row.days)
	case asked.After(a.issuing.NotAfter):
		return time.Time{}, oauth.InvalidRequest("the CA itself ends on %s", a.issuing.NotAfter.Format(time.RFC3339))
	}
	return asked, nil
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
	others, _ := mtls.OtherNames(certificate) // of a certificate just made: they are well-formed
	for _, other := range others {
		names = append(names, "otherName:"+other.OID.String()+"="+other.Value)
	}
	return names
}
