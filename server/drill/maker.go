// Package drill makes the things that go wrong in open banking on purpose, so that
// every refusal of a server can be seen before it is met: certificates that are
// nearly a participant's own, each with one fault, and what a server does with them.
//
// The certificates are signed with the keys in the folder of the sandbox CA. No API
// issues them: what the server issues goes by its profiles. They are in no record of
// the CA, and last a week.
package drill

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/fapid/fapid/certs"
	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/server/participant"
)

const (
	lifetime = 7 * 24 * time.Hour
	// slack is how far the clock of whoever verifies may be behind.
	slack = 5 * time.Minute
)

// Certificate is one of the drill, made for a participant.
type Certificate struct {
	Name, About string
	// Expected is the check by which it should be refused; empty where it should be
	// accepted.
	Expected string
	// Skipped is why it was not made; then there is no chain.
	Skipped string
	Chain   []*x509.Certificate // as it is sent
	Key     crypto.Signer
	// Weak tells that OpenSSL refuses to send it at its usual security level.
	Weak bool
}

// Drill is what certificates are made from.
type Drill struct {
	Participant *participant.Participant
	// CA is the folder of the sandbox CA.
	CA string
	// Matching is how the server holds subjects against the registered one.
	Matching mtls.Matching
	Now      time.Time
	// Revoked gives a certificate for the key that the CA has issued and revoked.
	Revoked func(crypto.Signer) ([]*x509.Certificate, error)
}

// Certificates makes the whole family. What cannot be made, for want of a key or of
// something to change, is skipped and says why.
func (d *Drill) Certificates() ([]Certificate, error) {
	m, err := d.maker()
	if err != nil {
		return nil, err
	}
	all := make([]Certificate, 0, len(certificates))
	for _, row := range certificates {
		c := Certificate{Name: row.name, About: row.about, Expected: d.expected(row)}
		made, err := row.make(m)
		var skipped skip
		switch {
		case errors.As(err, &skipped):
			c.Skipped = string(skipped)
		case err != nil:
			return nil, fmt.Errorf("certificate %s: %w", row.name, err)
		default:
			c.Chain, c.Key, c.Weak = made.chain, made.key, made.weak
		}
		all = append(all, c)
	}
	return all, nil
}

// expected is the check that refuses the certificate of this participant: a name that
// it is not registered by is not looked at.
func (d *Drill) expected(row row) string {
	registered := d.registeredBy()
	switch row.refused {
	case bySubject:
		if registered == mtls.KindSubjectDN && !(row.ordered && d.Matching != mtls.MatchStrict) {
			return registered
		}
		return ""
	case bySAN:
		if registered != "" && registered != mtls.KindSubjectDN {
			return registered
		}
		return ""
	}
	return row.refused
}

// registeredBy is the member of the metadata that has the client's name; empty where
// it proves itself by something else than a certificate.
func (d *Drill) registeredBy() string {
	m := &d.Participant.Metadata
	for member, value := range map[string]string{
		mtls.KindSubjectDN: m.TLSClientAuthSubjectDN, mtls.KindSANDNS: m.TLSClientAuthSANDNS, mtls.KindSANURI: m.TLSClientAuthSANURI,
		mtls.KindSANIP: m.TLSClientAuthSANIP, mtls.KindSANEmail: m.TLSClientAuthSANEmail,
	} {
		if value != "" {
			return member
		}
	}
	return ""
}

// skip is why a certificate is not made.
type skip string

func (s skip) Error() string { return string(s) }

// made is a certificate with its key.
type made struct {
	chain []*x509.Certificate
	key   crypto.Signer
	weak  bool
}

// maker makes the certificates of one participant.
type maker struct {
	own           *x509.Certificate // the participant's
	root, issuing *x509.Certificate
	issuingKey    crypto.Signer
	rootKey       crypto.Signer // nil where it is kept elsewhere
	key           crypto.Signer // of the certificates, of the same kind as the participant's
	now           time.Time
	revoke        func(crypto.Signer) ([]*x509.Certificate, error)
}

func (d *Drill) maker() (*maker, error) {
	p := d.Participant
	id := p.Metadata.ClientID
	if len(p.Transport) == 0 {
		return nil, fmt.Errorf("client %s has no certificate to make others from", id)
	}
	if p.Metadata.TokenEndpointAuthMethod == oauth.AuthSelfSignedTLS {
		return nil, fmt.Errorf("client %s makes its certificate itself; the drill is about those that a CA issues", id)
	}
	m := &maker{own: p.Transport[0], now: d.Now.UTC().Truncate(time.Second), revoke: d.Revoked}
	var err error
	if m.root, m.issuing, m.issuingKey, err = certs.ReadIssuing(d.CA); err != nil {
		return nil, err
	}
	if m.rootKey, err = certs.ReadRootKey(d.CA); err != nil {
		return nil, err
	}
	algorithm, err := certs.AlgorithmOf(m.own.PublicKey)
	if err != nil {
		return nil, err
	}
	m.key, err = certs.NewKey(algorithm)
	return m, err
}

// template says what the participant's own certificate says.
func (m *maker) template() *x509.Certificate {
	usage := x509.KeyUsageDigitalSignature
	if _, ok := m.key.(*rsa.PrivateKey); ok {
		usage |= x509.KeyUsageKeyEncipherment
	}
	return &x509.Certificate{
		SerialNumber: serial(), RawSubject: m.own.RawSubject,
		NotBefore: m.now.Add(-slack), NotAfter: m.now.Add(lifetime),
		KeyUsage: usage, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, BasicConstraintsValid: true,
		DNSNames: m.own.DNSNames, EmailAddresses: m.own.EmailAddresses, IPAddresses: m.own.IPAddresses, URIs: m.own.URIs,
	}
}

func serial() *big.Int {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 158))
	if err != nil {
		panic(err) // never fails (crypto/rand)
	}
	return n.SetBit(n, 158, 1)
}

// sign makes a certificate of a template.
func sign(template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// leaf is issued by the sandbox's issuing CA and sent with it.
func (m *maker) leaf(change func(*x509.Certificate)) (made, error) {
	template := m.template()
	if change != nil {
		change(template)
	}
	certificate, err := sign(template, m.issuing, m.key.Public(), m.issuingKey)
	return made{chain: []*x509.Certificate{certificate, m.issuing}, key: m.key}, err
}

func (m *maker) good() (made, error) { return m.leaf(nil) }

func (m *maker) leafAlone() (made, error) {
	result, err := m.leaf(nil)
	result.chain = result.chain[:1]
	return result, err
}

func (m *maker) revoked() (made, error) {
	chain, err := m.revoke(m.key)
	return made{chain: chain, key: m.key}, err
}

// authority is a CA that is made for one certificate, and forgotten with it.
type authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

// below makes a CA under another.
func (m *maker) below(parent *x509.Certificate, parentKey crypto.Signer, subject []byte, change func(*x509.Certificate)) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial(), RawSubject: subject, NotBefore: m.now.Add(-slack), NotAfter: m.now.Add(lifetime),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	if change != nil {
		change(template)
	}
	if parent == nil {
		parent, parentKey = template, key
	}
	certificate, err := sign(template, parent, key.Public(), parentKey)
	return &authority{certificate, key}, err
}

// intermediate is one of the trusted root that nobody knows of.
func (m *maker) intermediate(change func(*x509.Certificate)) (*authority, error) {
	if m.rootKey == nil {
		return nil, skip("the key of the root CA is not in the folder of the CA, where it need not be")
	}
	subject, err := nameOf("CN=fapid drill Intermediate CA")
	if err != nil {
		return nil, err
	}
	return m.below(m.root, m.rootKey, subject, change)
}

// issuedBy makes a leaf of a CA, sent with the CAs in between.
func (m *maker) issuedBy(ca *authority, template *x509.Certificate, between ...*x509.Certificate) (made, error) {
	certificate, err := sign(template, ca.certificate, m.key.Public(), ca.key)
	return made{chain: append([]*x509.Certificate{certificate, ca.certificate}, between...), key: m.key}, err
}

func (m *maker) otherCA() (made, error) {
	root, err := m.below(nil, nil, m.root.RawSubject, func(c *x509.Certificate) { c.MaxPathLenZero, c.MaxPathLen = false, 1 })
	if err != nil {
		return made{}, err
	}
	issuing, err := m.below(root.certificate, root.key, m.issuing.RawSubject, nil)
	if err != nil {
		return made{}, err
	}
	return m.issuedBy(issuing, m.template())
}

func (m *maker) selfSigned() (made, error) {
	template := m.template()
	certificate, err := sign(template, template, m.key.Public(), m.key)
	return made{chain: []*x509.Certificate{certificate}, key: m.key}, err
}

func (m *maker) brokenSignature() (made, error) {
	result, err := m.leaf(nil)
	if err != nil {
		return result, err
	}
	raw := append([]byte{}, result.chain[0].Raw...)
	raw[len(raw)-1] ^= 1
	result.chain[0], err = x509.ParseCertificate(raw)
	return result, err
}

func (m *maker) missingIntermediate() (made, error) {
	result, err := m.intermediateSent()
	if err == nil {
		result.chain = result.chain[:1]
	}
	return result, err
}

func (m *maker) intermediateSent() (made, error) {
	ca, err := m.intermediate(nil)
	if err != nil {
		return made{}, err
	}
	return m.issuedBy(ca, m.template())
}

func (m *maker) pathTooLong() (made, error) {
	subject, err := nameOf("CN=fapid drill CA below the issuing CA")
	if err != nil {
		return made{}, err
	}
	ca, err := m.below(m.issuing, m.issuingKey, subject, nil)
	if err != nil {
		return made{}, err
	}
	return m.issuedBy(ca, m.template(), m.issuing)
}

func (m *maker) leafAsCA() (made, error) {
	subject, err := nameOf("CN=fapid drill client")
	if err != nil {
		return made{}, err
	}
	notCA, err := m.below(m.issuing, m.issuingKey, subject, func(c *x509.Certificate) {
		c.IsCA, c.MaxPathLenZero, c.KeyUsage, c.ExtKeyUsage = false, false, x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	})
	if err != nil {
		return made{}, err
	}
	return m.issuedBy(notCA, m.template(), m.issuing)
}

func (m *maker) nameConstraints() (made, error) {
	ca, err := m.intermediate(func(c *x509.Certificate) {
		c.PermittedDNSDomains, c.PermittedDNSDomainsCritical = []string{"permitted.example"}, true
	})
	if err != nil {
		return made{}, err
	}
	template := m.template()
	if len(template.DNSNames) == 0 {
		template.DNSNames = []string{"outside.example"}
	}
	return m.issuedBy(ca, template)
}

// wildcard has a name that browsers would take for the registered one.
func (m *maker) wildcard() (made, error) {
	if len(m.own.DNSNames) == 0 {
		return made{}, skip("its certificate has no DNS name to cover")
	}
	_, domain, found := strings.Cut(m.own.DNSNames[0], ".")
	if !found {
		return made{}, skip("its DNS name has no domain to cover")
	}
	return m.leaf(func(c *x509.Certificate) {
		c.DNSNames, c.EmailAddresses, c.IPAddresses, c.URIs = []string{"*." + domain}, nil, nil, nil
	})
}
