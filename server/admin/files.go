package admin

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"

	"github.com/fapid/fapid/certs"
)

// The endings of the files of a certificate.
const (
	ChainFile  = ".pem" // leaf and issuing CA
	KeyFile    = ".key"
	BundleFile = ".p12" // both, for Java and browsers
)

// Files gives the certificate and, where it was made here, the private key as
// files that begin with name.
func (i *Issued) Files(name, password string) ([]certs.File, error) {
	files := []certs.File{certs.PublicFile(name+ChainFile, []byte(i.Chain))}
	if i.PrivateKey == "" {
		return files, nil
	}
	key, err := certs.ParseKey([]byte(i.PrivateKey))
	if err != nil {
		return nil, fmt.Errorf("the private key in the answer: %w", err)
	}
	var chain []*x509.Certificate
	for block, rest := pem.Decode([]byte(i.Chain)); block != nil; block, rest = pem.Decode(rest) {
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("the certificate in the answer: %w", err)
		}
		chain = append(chain, certificate)
	}
	bundle, err := certs.PKCS12(key, chain, password)
	if err != nil {
		return nil, err
	}
	return append(files,
		certs.PrivateFile(name+KeyFile, []byte(i.PrivateKey)),
		certs.PrivateFile(name+BundleFile, bundle),
	), nil
}
