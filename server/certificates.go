package server

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/fapid/fapid/certs"
	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/server/admin"
)

// caName is the common name of a fresh sandbox CA.
const caName = "fapid sandbox"

// renewBefore is how long before its end a server certificate of our CA is
// issued anew.
const renewBefore = 30 * 24 * time.Hour

// openCertificates loads the sandbox CA, where anything needs it, and the server
// certificates.
func (s *Server) openCertificates(ctx context.Context) error {
	needed := s.config.TLS.RSA == nil || s.config.Listeners.Directory != nil
	for _, realm := range s.config.Realms {
		needed = needed || realm.Trust.SandboxCA
	}
	if needed {
		if err := s.openCA(ctx); err != nil {
			return fmt.Errorf("sandbox CA: %w", err)
		}
	}
	if s.config.TLS.RSA != nil {
		return s.loadServerCertificates()
	}
	return s.issueServerCertificates(ctx)
}

// openCA loads the sandbox CA or makes it; ca.pem is the root to trust.
func (s *Server) openCA(ctx context.Context) (err error) {
	config := certs.Config{
		Dir: s.path("ca"), Store: s.store, Now: s.options.Now,
		CRLURL:  s.config.Listeners.Standard.URL + "/crl",
		OCSPURL: s.config.Listeners.Standard.URL + "/ocsp",
	}
	if _, err := os.Stat(config.Dir); errors.Is(err, fs.ErrNotExist) {
		if s.ca, err = certs.Create(ctx, config, caName); err != nil {
			return err
		}
		return certs.WritePublic(s.path("ca.pem"), certs.CertificatePEM(s.ca.Root()))
	}
	s.ca, err = certs.Load(ctx, config)
	return err
}

// loadServerCertificates reads the configured files.
func (s *Server) loadServerCertificates() error {
	for _, at := range []struct {
		name string
		pair *KeyPair
		into **mtls.ServerCertificate
	}{
		{"tls.rsa", s.config.TLS.RSA, &s.certs.RSA},
		{"tls.ecdsa", s.config.TLS.ECDSA, &s.certs.ECDSA},
	} {
		if at.pair == nil {
			continue
		}
		pair, err := tls.LoadX509KeyPair(s.path(at.pair.Certificate), s.path(at.pair.Key))
		if err != nil {
			return fmt.Errorf("%s: %w", at.name, err)
		}
		*at.into = mtls.NewServerCertificate(&pair)
	}
	return nil
}

// issueServerCertificates uses the certificates our CA issued before, or has it
// issue new ones when there are none, a host is missing or the end is near.
func (s *Server) issueServerCertificates(ctx context.Context) error {
	rsa, rsaErr := tls.LoadX509KeyPair(s.serverFile("rsa.pem"), s.serverFile("rsa.key"))
	ecdsa, ecdsaErr := tls.LoadX509KeyPair(s.serverFile("ecdsa.pem"), s.serverFile("ecdsa.key"))
	if rsaErr != nil || ecdsaErr != nil || !s.goodFor(rsa.Leaf) || !s.goodFor(ecdsa.Leaf) {
		var err error
		if rsa, ecdsa, err = s.newServerCertificates(ctx, signer(rsa), signer(ecdsa)); err != nil {
			return fmt.Errorf("server certificates: %w", err)
		}
	}
	if s.certs.RSA != nil { // running: the next handshake uses the new ones
		s.certs.RSA.Set(&rsa)
		s.certs.ECDSA.Set(&ecdsa)
		return nil
	}
	s.certs = mtls.Certificates{RSA: mtls.NewServerCertificate(&rsa), ECDSA: mtls.NewServerCertificate(&ecdsa)}
	return nil
}

// renewServerCertificates issues certificates of our CA anew before they end.
func (s *Server) renewServerCertificates(ctx context.Context) error {
	if s.config.TLS.RSA != nil || s.goodFor(s.certs.RSA.Get().Leaf) && s.goodFor(s.certs.ECDSA.Get().Leaf) {
		return nil
	}
	return s.issueServerCertificates(ctx)
}

func (s *Server) serverFile(name string) string {
	return filepath.Join(s.config.Dir, "server", name)
}

// goodFor reports whether a certificate is from our CA, names every host and
// does not end soon.
func (s *Server) goodFor(leaf *x509.Certificate) bool {
	if leaf == nil || leaf.CheckSignatureFrom(s.ca.Issuing()) != nil || s.options.Now().After(leaf.NotAfter.Add(-renewBefore)) {
		return false
	}
	for _, host := range s.hosts() {
		if address, err := netip.ParseAddr(host); err == nil {
			host = "[" + address.String() + "]"
		}
		if leaf.VerifyHostname(host) != nil {
			return false
		}
	}
	return true
}

// signer is the key of a certificate; nil for none.
func signer(pair tls.Certificate) crypto.Signer {
	key, _ := pair.PrivateKey.(crypto.Signer)
	return key
}

// newServerCertificates issues them for the keys there are, so that whoever has
// noted a key finds it again, and for new ones otherwise.
func (s *Server) newServerCertificates(ctx context.Context, rsaKey, ecdsaKey crypto.Signer) (rsa, ecdsa tls.Certificate, err error) {
	issuedRSA, issuedECDSA, err := s.ca.IssueServer(ctx, s.hosts(), rsaKey, ecdsaKey)
	if err != nil {
		return rsa, ecdsa, err
	}
	if rsa, err = s.keepServerCertificate("rsa", issuedRSA); err != nil {
		return rsa, ecdsa, err
	}
	ecdsa, err = s.keepServerCertificate("ecdsa", issuedECDSA)
	return rsa, ecdsa, err
}

// keepServerCertificate writes a certificate and its key for the next start.
func (s *Server) keepServerCertificate(name string, issued *certs.Issued) (tls.Certificate, error) {
	key, err := certs.KeyPEM(issued.Key)
	if err != nil {
		return tls.Certificate{}, err
	}
	if err := os.MkdirAll(s.serverFile(""), 0o700); err != nil {
		return tls.Certificate{}, err
	}
	if err := certs.WritePrivate(s.serverFile(name+".key"), key); err != nil {
		return tls.Certificate{}, err
	}
	chain := certs.CertificatePEM(issued.Chain...)
	if err := certs.WritePublic(s.serverFile(name+".pem"), chain); err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(chain, key)
}

// clientsNamed are the clients of all realms that a certificate with these names
// would authenticate.
func (s *Server) clientsNamed(name mtls.Name, subject *certs.Subject) (ids []string) {
	for _, r := range s.realms {
		for _, client := range r.clients.List("", 1<<30) {
			if client.Certificate != nil && client.Certificate.Names(name, subject.DNS, subject.URI, subject.Email, subject.IP) {
				ids = append(ids, client.ID)
			}
		}
	}
	return ids
}

// certificateEnds are the certificates whose end somebody should be warned of.
func (s *Server) certificateEnds() []admin.CertificateEnd {
	var ends []admin.CertificateEnd
	add := func(kind, name string, certificate *x509.Certificate) {
		ends = append(ends, admin.CertificateEnd{Kind: kind, Name: name, NotAfter: certificate.NotAfter})
	}
	add("server", "rsa", s.certs.RSA.Get().Leaf)
	if s.certs.ECDSA != nil {
		add("server", "ecdsa", s.certs.ECDSA.Get().Leaf)
	}
	if s.ca != nil {
		add("ca", "root", s.ca.Root())
		add("ca", "issuing", s.ca.Issuing())
	}
	return append(ends, s.endings.List()...)
}
