package server_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/fapid/fapid/server"
	"github.com/fapid/fapid/server/servertest"
	"github.com/fapid/fapid/testkeys"
)

// pki is a CA beside the sandbox's, which issues whatever a test asks for.
type pki struct {
	certificate *x509.Certificate
	key         crypto.Signer
	above       []*x509.Certificate // the chain a leaf is sent with, without the root
}

// newPKI makes a root.
func newPKI(t testing.TB, name string) *pki {
	t.Helper()
	template := caTemplate(name)
	return &pki{certificate: issue(t, template, template, testkeys.P256(1), testkeys.P256(1)), key: testkeys.P256(1)}
}

func caTemplate(name string) *x509.Certificate {
	return &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
}

// below makes a CA that the CA has certified; change adapts its certificate.
func (p *pki) below(t testing.TB, name string, change func(*x509.Certificate)) *pki {
	t.Helper()
	template := caTemplate(name)
	if change != nil {
		change(template)
	}
	key := newKey(t)
	certificate := issue(t, template, p.certificate, key, p.key)
	return &pki{certificate: certificate, key: key, above: append([]*x509.Certificate{certificate}, p.above...)}
}

// leaf makes a client certificate and gives the chain to send.
func (p *pki) leaf(t testing.TB, key crypto.Signer, change func(*x509.Certificate)) []*x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		Subject:  pkix.Name{Organization: []string{"Attack"}, CommonName: "leaf"},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if change != nil {
		change(template)
	}
	return append([]*x509.Certificate{issue(t, template, p.certificate, key, p.key)}, p.above...)
}

func issue(t testing.TB, template, parent *x509.Certificate, key, signer crypto.Signer) *x509.Certificate {
	t.Helper()
	if template.SerialNumber == nil {
		serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 100))
		if err != nil {
			t.Fatal(err)
		}
		template.SerialNumber = serial
	}
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// file writes the root as a CA file.
func (p *pki) file(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ca.pem")
	writeFile(t, path, p.pem())
	return path
}

func (p *pki) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.certificate.Raw})
}

// writeFile puts a file in the place of another at once: who watches it sees either.
func writeFile(t testing.TB, path string, text []byte) {
	t.Helper()
	written := path + ".written"
	if err := os.WriteFile(written, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(written, path); err != nil {
		t.Fatal(err)
	}
}

// trusting has the default realm trust CA files beside the sandbox's CA.
func trusting(files ...string) func(*server.Config) {
	return func(c *server.Config) { c.Realms["default"].Trust.CAs = files }
}

// holder is an HTTP client with a certificate, whatever that is; without one it
// presents none.
func holder(t testing.TB, s *servertest.Server, key crypto.Signer, chain ...*x509.Certificate) *http.Client {
	t.Helper()
	var der [][]byte
	for _, link := range chain {
		der = append(der, link.Raw)
	}
	return dialer(t, s, func(c *tls.Config) {
		if der == nil {
			return
		}
		// A callback, because Go looks into what it is given otherwise.
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return &tls.Certificate{Certificate: der, PrivateKey: key}, nil
		}
	})
}

// dialer is an HTTP client with a TLS configuration.
func dialer(t testing.TB, s *servertest.Server, change func(*tls.Config)) *http.Client {
	t.Helper()
	config := &tls.Config{RootCAs: s.Roots(), MinVersion: tls.VersionTLS12}
	change(config)
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: servertest.Patience}
}
