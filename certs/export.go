package certs

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"software.sslmate.com/src/go-pkcs12"
)

const (
	blockCertificate = "CERTIFICATE"
	blockKey         = "PRIVATE KEY" // PKCS #8
)

// CertificatePEM encodes certificates in the given order, such as leaf and
// issuing CA.
func CertificatePEM(chain ...*x509.Certificate) []byte {
	var text bytes.Buffer
	for _, certificate := range chain {
		text.Write(pem.EncodeToMemory(&pem.Block{Type: blockCertificate, Bytes: certificate.Raw}))
	}
	return text.Bytes()
}

// KeyPEM encodes a private key as unencrypted PKCS #8.
func KeyPEM(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode private key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: blockKey, Bytes: der}), nil
}

// PKCS12 encodes a private key, its certificate and the rest of the chain
// (AES-256, PBKDF2 and HMAC with SHA-256). OpenSSL 3 and Java 8u301 or later
// read it. Java needs a password that is not empty.
func PKCS12(key crypto.Signer, chain []*x509.Certificate, password string) ([]byte, error) {
	if len(chain) == 0 {
		return nil, errors.New("encode PKCS #12: no certificate")
	}
	// Not Modern: a later version of that may outgrow Java's readers.
	der, err := pkcs12.Modern2023.Encode(key, chain[0], chain[1:], password)
	if err != nil {
		return nil, fmt.Errorf("encode PKCS #12: %w", err)
	}
	return der, nil
}

// ParseCertificate reads the first certificate of a PEM text, or DER.
func ParseCertificate(text []byte) (*x509.Certificate, error) {
	der := text
	if block, _ := pem.Decode(text); block != nil {
		if block.Type != blockCertificate {
			return nil, fmt.Errorf("expected a certificate, found PEM block %q", block.Type)
		}
		der = block.Bytes
	}
	return x509.ParseCertificate(der)
}

// ParseKey reads an unencrypted private key, PEM: PKCS #8, or the older forms
// that OpenSSL writes.
func ParseKey(text []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("no PEM block")
	}
	var key any
	var err error
	switch block.Type {
	case blockKey:
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	default:
		return nil, fmt.Errorf("expected a private key, found PEM block %q", block.Type)
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
