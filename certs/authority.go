package certs

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"sync"
	"time"

	"github.com/smallstep/certificates/cas/apiv1"
	"github.com/smallstep/certificates/cas/softcas"
	"go.step.sm/crypto/x509util"

	"github.com/fapid/fapid/store"
)

const (
	rootLifetime    = 10 * 365 * 24 * time.Hour
	issuingLifetime = 5 * 365 * 24 * time.Hour

	// backdate makes fresh certificates and CRLs valid on machines whose
	// clock is behind ours by up to that much.
	backdate = 5 * time.Minute
)

// Config says where an authority lives.
type Config struct {
	// Dir holds root.pem, root.key, issuing.pem and issuing.key and nothing
	// else. Only Create needs root.key: a running authority works without it.
	Dir string
	// Store holds what was issued and revoked.
	Store store.Store
	// Name prefixes the tables, so that several authorities can share a
	// store (default "ca").
	Name string
	// Now is the clock of certificates and CRLs (default time.Now).
	Now func() time.Time
	// CRLURL is the CRL distribution point written into the certificates of
	// profiles that carry one. Empty: none.
	CRLURL string
	// OCSPURL is the address of the OCSP responder, written into the same.
	OCSPURL string
}

func (c Config) withDefaults() Config {
	if c.Name == "" {
		c.Name = "ca"
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// Authority issues and revokes certificates. Its methods may be called from any
// number of goroutines. The certificates it returns are shared: do not modify.
type Authority struct {
	config  Config
	root    *x509.Certificate
	issuing *x509.Certificate
	engine  *softcas.SoftCAS
	// key and keyBits are the issuing CA's: OCSP answers are signed with the one,
	// and requests name it by a hash of the other.
	key     crypto.Signer
	keyBits []byte

	records     store.Table[Record]
	revocations store.Table[Revocation]
	numbers     store.Table[crlNumber]

	revoking sync.Mutex // held from the durable write until memory knows it
	mu       sync.RWMutex
	revoked  serials
	// thumbprints are the x5t#S256 of the revoked certificates.
	thumbprints map[string]bool
	changes     uint64 // counts changes of revoked

	crlMu sync.Mutex
	crl   cachedCRL
}

// Create makes a root CA (P-256, 10 years) and an issuing CA (P-256, 5 years)
// under the given name and writes them to Dir, which must be absent or empty.
// Either all files are there afterwards or none.
func Create(ctx context.Context, config Config, commonName string) (*Authority, error) {
	config = config.withDefaults()
	now := config.Now().Truncate(time.Second)
	engine, err := softcas.New(ctx, apiv1.Options{IsCreator: true})
	if err != nil {
		return nil, fmt.Errorf("create authority: %w", err)
	}
	root, err := engine.CreateCertificateAuthority(&apiv1.CreateCertificateAuthorityRequest{
		Type:     apiv1.RootCA,
		Template: caTemplate(commonName+" Root CA", 1, now, rootLifetime),
		Lifetime: rootLifetime,
	})
	if err != nil {
		return nil, fmt.Errorf("create root CA: %w", err)
	}
	signs := caTemplate(commonName+" Issuing CA", 0, now, issuingLifetime)
	signs.KeyUsage |= x509.KeyUsageDigitalSignature // of OCSP answers (RFC 5280 section 4.2.1.3)
	issuing, err := engine.CreateCertificateAuthority(&apiv1.CreateCertificateAuthorityRequest{
		Type:     apiv1.IntermediateCA,
		Template: signs,
		Lifetime: issuingLifetime,
		Parent:   root,
	})
	if err != nil {
		return nil, fmt.Errorf("create issuing CA: %w", err)
	}
	if err := writeAuthority(config.Dir, root, issuing); err != nil {
		return nil, fmt.Errorf("create authority: %w", err)
	}
	return Load(ctx, config)
}

func writeAuthority(dir string, root, issuing *apiv1.CreateCertificateAuthorityResponse) error {
	rootKey, err := KeyPEM(root.Signer)
	if err != nil {
		return err
	}
	issuingKey, err := KeyPEM(issuing.Signer)
	if err != nil {
		return err
	}
	return WriteDir(dir, []File{
		PrivateFile("root.key", rootKey),
		PublicFile("root.pem", CertificatePEM(root.Certificate)),
		PrivateFile("issuing.key", issuingKey),
		PublicFile("issuing.pem", CertificatePEM(issuing.Certificate)),
	})
}

func caTemplate(commonName string, pathLength int, now time.Time, lifetime time.Duration) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber:          newSerial(),
		Subject:               pkix.Name{CommonName: commonName},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(lifetime),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLen:            pathLength,
		MaxPathLenZero:        pathLength == 0,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
}

// Load opens the authority that Create made. It fails if the files do not
// belong together or if everybody may read the issuing key. An expired issuing
// CA loads, so that its records can be read and its CRL served.
func Load(ctx context.Context, config Config) (*Authority, error) {
	config = config.withDefaults()
	root, issuing, key, err := ReadIssuing(config.Dir)
	if err != nil {
		return nil, fmt.Errorf("load authority: %w", err)
	}
	engine, err := softcas.New(ctx, apiv1.Options{CertificateChain: []*x509.Certificate{issuing, root}, Signer: key})
	if err != nil {
		return nil, fmt.Errorf("load authority: %w", err)
	}
	var public struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(issuing.RawSubjectPublicKeyInfo, &public); err != nil {
		return nil, fmt.Errorf("load authority: key of issuing.pem: %w", err)
	}
	a := &Authority{
		config:      config,
		root:        root,
		issuing:     issuing,
		engine:      engine,
		key:         key,
		keyBits:     public.Key.Bytes,
		records:     store.Table[Record]{Store: config.Store, Name: config.Name + "/certificate", Now: config.Now},
		revocations: store.Table[Revocation]{Store: config.Store, Name: config.Name + "/revoked", Now: config.Now},
		numbers:     store.Table[crlNumber]{Store: config.Store, Name: config.Name + "/crl", Now: config.Now},
	}
	if err := a.loadRevocations(ctx); err != nil {
		return nil, fmt.Errorf("load authority: %w", err)
	}
	return a, nil
}

// ReadIssuing reads the root, the issuing CA and its key from the folder of an
// authority. It fails like [Load].
func ReadIssuing(dir string) (root, issuing *x509.Certificate, key crypto.Signer, err error) {
	if root, err = readCertificate(dir, "root.pem"); err != nil {
		return nil, nil, nil, err
	}
	if issuing, err = readCertificate(dir, "issuing.pem"); err != nil {
		return nil, nil, nil, err
	}
	if key, err = readKey(dir, "issuing.key"); err != nil {
		return nil, nil, nil, err
	}
	if err := belongTogether(root, issuing, key); err != nil {
		return nil, nil, nil, fmt.Errorf("%s: %w", dir, err)
	}
	return root, issuing, key, nil
}

// ReadRootKey reads the root's key from the folder of an authority; nil where it is
// kept elsewhere.
func ReadRootKey(dir string) (crypto.Signer, error) {
	key, err := readKey(dir, "root.key")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return key, err
}

func belongTogether(root, issuing *x509.Certificate, key crypto.Signer) error {
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(issuing.PublicKey) {
		return errors.New("issuing.key is not the key of issuing.pem")
	}
	if !bytes.Equal(issuing.RawIssuer, root.RawSubject) {
		return errors.New("issuing.pem was not issued by root.pem")
	}
	if err := issuing.CheckSignatureFrom(root); err != nil {
		return fmt.Errorf("issuing.pem was not issued by root.pem: %w", err)
	}
	return nil
}

// Root returns the certificate to trust.
func (a *Authority) Root() *x509.Certificate { return a.root }

// Issuing returns the certificate that signs certificates and CRLs.
func (a *Authority) Issuing() *x509.Certificate { return a.issuing }

// Chain returns the issuing certificate and the root.
func (a *Authority) Chain() []*x509.Certificate { return []*x509.Certificate{a.issuing, a.root} }

// leafTemplate is the JSON template of x509util. It is encoded from values and
// never run through a text template, so nothing in a name can become template
// or JSON syntax.
type leafTemplate struct {
	RawSubject            []byte   `json:"rawSubject"`
	DNSNames              []string `json:"dnsNames,omitempty"`
	IPAddresses           []string `json:"ipAddresses,omitempty"`
	URIs                  []string `json:"uris,omitempty"`
	EmailAddresses        []string `json:"emailAddresses,omitempty"`
	KeyUsage              []string `json:"keyUsage"`
	ExtKeyUsage           []string `json:"extKeyUsage,omitempty"`
	CRLDistributionPoints []string `json:"crlDistributionPoints,omitempty"`
	OCSPServer            []string `json:"ocspServer,omitempty"`
	BasicConstraints      struct {
		IsCA bool `json:"isCA"`
	} `json:"basicConstraints"`
	Extensions []templateExtension `json:"extensions,omitempty"`
}

// sign makes the certificate the template describes, for the public key.
func (a *Authority) sign(template leafTemplate, public crypto.PublicKey, notBefore, notAfter time.Time) (*x509.Certificate, error) {
	text, err := json.Marshal(template)
	if err != nil {
		return nil, err
	}
	// Of the request only the public key is handed on.
	described, err := x509util.NewCertificateFromX509(&x509.Certificate{PublicKey: public},
		func(_ *x509.CertificateRequest, options *x509util.Options) error {
			options.CertBuffer = bytes.NewBuffer(text)
			return nil
		})
	if err != nil {
		return nil, err
	}
	certificate := described.GetCertificate()
	certificate.SerialNumber = newSerial()
	certificate.NotBefore, certificate.NotAfter = notBefore, notAfter
	response, err := a.engine.CreateCertificate(&apiv1.CreateCertificateRequest{
		Template: certificate,
		Lifetime: notAfter.Sub(notBefore),
	})
	if err != nil {
		return nil, err
	}
	return response.Certificate, nil
}

// signCRL signs a full CRL of the issuing CA.
func (a *Authority) signCRL(number int64, thisUpdate, nextUpdate time.Time, entries []x509.RevocationListEntry) ([]byte, error) {
	response, err := a.engine.CreateCRL(&apiv1.CreateCRLRequest{RevocationList: &x509.RevocationList{
		Number:                    big.NewInt(number),
		ThisUpdate:                thisUpdate,
		NextUpdate:                nextUpdate,
		RevokedCertificateEntries: entries,
	}})
	if err != nil {
		return nil, err
	}
	return response.CRL, nil
}
