package mtls

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"sync/atomic"
	"testing"
	"time"
)

// noon is the time at which the tests verify.
var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// authority is a CA of the tests, or a leaf with its key.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

var serials atomic.Int64

func ecKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// issue makes a certificate signed by ca, or by itself if that is nil. edit
// changes the template of a client certificate that is valid for a day.
func (ca *authority) issue(t testing.TB, cn string, edit func(*x509.Certificate)) *authority {
	t.Helper()
	return ca.issueKey(t, cn, ecKey(t), edit)
}

func (ca *authority) issueKey(t testing.TB, cn string, key crypto.Signer, edit func(*x509.Certificate)) *authority {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serials.Add(1)),
		Subject:      pkix.Name{CommonName: cn},
		NotBefore:    noon.Add(-12 * time.Hour),
		NotAfter:     noon.Add(12 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if edit != nil {
		edit(template)
	}
	parent := &authority{template, key}
	if ca != nil {
		parent = ca
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent.cert, key.Public(), parent.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert, key}
}

func asCA(c *x509.Certificate) {
	c.BasicConstraintsValid, c.IsCA = true, true
	c.KeyUsage, c.ExtKeyUsage = x509.KeyUsageCertSign|x509.KeyUsageCRLSign, nil
	c.NotBefore, c.NotAfter = noon.AddDate(-1, 0, 0), noon.AddDate(1, 0, 0)
}

func newRoot(t testing.TB, cn string) *authority {
	return (*authority)(nil).issue(t, cn, asCA)
}

func trustIn(t testing.TB, config TrustConfig, roots ...*authority) *Trust {
	t.Helper()
	for _, root := range roots {
		config.Roots = append(config.Roots, root.cert)
	}
	trust, err := NewTrust(config)
	if err != nil {
		t.Fatal(err)
	}
	return trust
}

func present(t testing.TB, chain ...*authority) *Presented {
	t.Helper()
	var certs []*x509.Certificate
	for _, c := range chain {
		certs = append(certs, c.cert)
	}
	p, err := NewPresented(certs, "tls")
	if err != nil {
		t.Fatal(err)
	}
	return p
}
