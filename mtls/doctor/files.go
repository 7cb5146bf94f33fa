package doctor

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
)

// ParseCertificates reads certificates from PEM, skipping other blocks, or from
// DER. The first is the leaf.
func ParseCertificates(data []byte) ([]*x509.Certificate, error) {
	if !bytes.Contains(data, []byte("-----BEGIN ")) {
		chain, err := x509.ParseCertificates(data)
		if err == nil && len(chain) == 0 {
			err = errors.New("empty file")
		}
		if err != nil {
			return nil, fmt.Errorf("neither PEM nor a DER certificate: %w", err)
		}
		return chain, nil
	}
	var chain []*x509.Certificate
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", len(chain)+1, err)
		}
		chain = append(chain, c)
	}
	if len(chain) == 0 {
		return nil, errors.New("no PEM block CERTIFICATE")
	}
	return chain, nil
}

// parseKey reads the first private key in PEM: PKCS #8, PKCS #1 or SEC 1.
func parseKey(data []byte) (crypto.Signer, error) {
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			return nil, errors.New("no private key in PEM")
		}
		var key any
		var err error
		switch block.Type {
		case "PRIVATE KEY":
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		case "RSA PRIVATE KEY":
			key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		case "EC PRIVATE KEY":
			key, err = x509.ParseECPrivateKey(block.Bytes)
		case "ENCRYPTED PRIVATE KEY":
			return nil, errEncrypted
		default:
			continue
		}
		if block.Headers["DEK-Info"] != "" {
			return nil, errEncrypted
		}
		if err != nil {
			return nil, err
		}
		signer, ok := key.(crypto.Signer)
		if !ok {
			return nil, fmt.Errorf("a %T cannot sign", key)
		}
		return signer, nil
	}
}

var errEncrypted = errors.New("the key is encrypted")

// identity is the tester's certificate.
type identity struct {
	chain  []*x509.Certificate // as in the file
	keyErr error               // why the key cannot be used
	pair   *tls.Certificate    // nil if the key cannot be used
}

// loadIdentity reads the certificate and the key. A key that is wrong is a
// finding, a file that is not there is an error.
func loadIdentity(certFile, keyFile string) (*identity, error) {
	if certFile == "" {
		if keyFile != "" {
			return nil, errors.New("a key without a certificate; give --cert as well")
		}
		return nil, nil
	}
	certPEM, err := os.ReadFile(certFile)
	if err != nil {
		return nil, err
	}
	own := &identity{}
	if own.chain, err = ParseCertificates(certPEM); err != nil {
		return nil, fmt.Errorf("%s: %w", certFile, err)
	}
	keyPEM := certPEM
	if keyFile != "" {
		if keyPEM, err = os.ReadFile(keyFile); err != nil {
			return nil, err
		}
	}
	own.match(keyPEM)
	return own, nil
}

func (own *identity) match(keyPEM []byte) {
	key, err := parseKey(keyPEM)
	if err != nil {
		own.keyErr = err
		return
	}
	for i, c := range own.chain {
		public, ok := c.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
		if !ok || !public.Equal(key.Public()) {
			continue
		}
		if i > 0 {
			own.keyErr = fmt.Errorf("the key is that of certificate %d in the file, not of the first", i+1)
			return
		}
		own.pair = &tls.Certificate{PrivateKey: key, Leaf: c}
		for _, c := range own.chain {
			own.pair.Certificate = append(own.pair.Certificate, c.Raw)
		}
		return
	}
	own.keyErr = errors.New("the key is not the certificate's")
}

// trust is whom the tester trusts.
type trust struct {
	pool   *x509.CertPool
	roots  []*x509.Certificate // empty for the system's
	source string
}

func loadTrust(caFile string) (trust, error) {
	if caFile == "" {
		pool, err := x509.SystemCertPool()
		if err != nil {
			return trust{}, fmt.Errorf("system roots: %w", err)
		}
		return trust{pool: pool, source: "the system's roots"}, nil
	}
	data, err := os.ReadFile(caFile)
	if err != nil {
		return trust{}, err
	}
	t := trust{pool: x509.NewCertPool(), source: caFile}
	if t.roots, err = ParseCertificates(data); err != nil {
		return trust{}, fmt.Errorf("%s: %w", caFile, err)
	}
	for _, c := range t.roots {
		t.pool.AddCert(c)
	}
	return t, nil
}
