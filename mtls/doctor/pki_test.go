package doctor

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fapid/fapid/testkeys"
)

// authority is a root with one issuing CA below it.
type authority struct {
	root, issuing       *x509.Certificate
	rootKey, issuingKey crypto.Signer
}

var serials atomic.Int64

func sign(t *testing.T, template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) *x509.Certificate {
	t.Helper()
	template.SerialNumber = big.NewInt(serials.Add(1))
	if template.NotBefore.IsZero() {
		template.NotBefore = begun.Add(-time.Hour)
	}
	if template.NotAfter.IsZero() {
		template.NotAfter = begun.Add(90*24*time.Hour + 12*time.Hour)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func newAuthority(t *testing.T, name string, rootKey, issuingKey crypto.Signer) *authority {
	t.Helper()
	a := &authority{rootKey: rootKey, issuingKey: issuingKey}
	ca := func(cn string) *x509.Certificate {
		return &x509.Certificate{
			Subject: pkix.Name{CommonName: cn}, IsCA: true, BasicConstraintsValid: true,
			KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-240 * time.Hour),
		}
	}
	a.root = sign(t, ca(name+" Root"), ca(name+" Root"), rootKey.Public(), rootKey)
	a.issuing = sign(t, ca(name+" Issuing"), a.root, issuingKey.Public(), rootKey)
	return a
}

// leaf issues a certificate; template may be changed before it is signed.
func (a *authority) leaf(t *testing.T, key crypto.Signer, change func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "localhost"},
		DNSNames:    []string{"localhost"},
		IPAddresses: []net.IP{net.ParseIP("127.0.0.1")},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if change != nil {
		change(template)
	}
	return sign(t, template, a.issuing, key.Public(), a.issuingKey)
}

func (a *authority) server(t *testing.T, key crypto.Signer, change func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	leaf := a.leaf(t, key, change)
	return tls.Certificate{Certificate: [][]byte{leaf.Raw, a.issuing.Raw}, PrivateKey: key}
}

// client issues a tester's certificate.
func (a *authority) client(t *testing.T, key crypto.Signer, change func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	return a.leaf(t, key, func(c *x509.Certificate) {
		c.RawSubject = brazilianSubject(t)
		c.DNSNames, c.IPAddresses = []string{"tpp.example"}, nil
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		if change != nil {
			change(c)
		}
	})
}

// brazilianSubject has what Go's own names lose: types outside the nine
// descriptors of RFC 4514, two string types, and an order of its own.
func brazilianSubject(t *testing.T) []byte {
	t.Helper()
	return rawName(t, [][]attribute{
		{{"2.5.4.15", asn1.TagUTF8String, "Private Organization"}},
		{{"1.3.6.1.4.1.311.60.2.1.3", asn1.TagPrintableString, "BR"}},
		{{"2.5.4.5", asn1.TagPrintableString, "43142666000197"}},
		{{"2.5.4.6", asn1.TagPrintableString, "BR"}},
		{{"2.5.4.10", asn1.TagUTF8String, "Chicago Advisory Partners"}},
		{{"2.5.4.8", asn1.TagUTF8String, "SP"}},
		{{"2.5.4.7", asn1.TagUTF8String, "Sao Paulo"}},
		{{"2.5.4.97", asn1.TagUTF8String, "OFBBR-d7384bd0"}},
		{{"0.9.2342.19200300.100.1.1", asn1.TagUTF8String, "bc97b8f0"}},
		{{"2.5.4.3", asn1.TagUTF8String, "web.tpp.example"}},
	})
}

type attribute struct {
	oid   string
	tag   int
	value string
}

func rawName(t *testing.T, rdns [][]attribute) []byte {
	t.Helper()
	type pair struct {
		Type  asn1.ObjectIdentifier
		Value asn1.RawValue
	}
	type rdnSET []pair
	var name []rdnSET
	for _, rdn := range rdns {
		var set rdnSET
		for _, a := range rdn {
			oid, err := x509.ParseOID(a.oid)
			if err != nil {
				t.Fatal(err)
			}
			der, err := oid.MarshalBinary()
			if err != nil {
				t.Fatal(err)
			}
			var id asn1.ObjectIdentifier
			if _, err := asn1.Unmarshal(append([]byte{6, byte(len(der))}, der...), &id); err != nil {
				t.Fatal(err)
			}
			set = append(set, pair{id, asn1.RawValue{Tag: a.tag, Bytes: []byte(a.value)}})
		}
		name = append(name, set)
	}
	der, err := asn1.Marshal(name)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func writePEM(t *testing.T, name string, blocks ...*pem.Block) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	var data []byte
	for _, block := range blocks {
		data = append(data, pem.EncodeToMemory(block)...)
	}
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func certificateBlocks(chain ...*x509.Certificate) (blocks []*pem.Block) {
	for _, c := range chain {
		blocks = append(blocks, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
	}
	return blocks
}

func keyBlock(t *testing.T, key crypto.Signer) *pem.Block {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return &pem.Block{Type: "PRIVATE KEY", Bytes: der}
}

// The authority that most tests use, with the certificate of its server.
var sandbox struct {
	once   sync.Once
	ca     *authority
	server tls.Certificate
}

func testAuthority(t *testing.T) *authority {
	t.Helper()
	sandbox.once.Do(func() {
		sandbox.ca = newAuthority(t, "Sandbox", testkeys.RSA(1), testkeys.RSA(2))
		sandbox.server = sandbox.ca.server(t, testkeys.RSA(3), nil)
	})
	return sandbox.ca
}

// weakRSA is a key that no ecosystem accepts.
func weakRSA(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sanExtension(t *testing.T, names ...asn1.RawValue) pkix.Extension {
	t.Helper()
	der, err := asn1.Marshal(names)
	if err != nil {
		t.Fatal(err)
	}
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: der}
}
