package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"slices"
	"strings"

	"github.com/fapid/fapid/oauth"
)

// KeyAlgorithm is the kind and size of a key.
type KeyAlgorithm string

// The key algorithms that profiles choose from.
const (
	RSA2048 KeyAlgorithm = "RSA-2048"
	RSA3072 KeyAlgorithm = "RSA-3072"
	RSA4096 KeyAlgorithm = "RSA-4096"
	P256    KeyAlgorithm = "P-256"
	P384    KeyAlgorithm = "P-384"
	Ed25519 KeyAlgorithm = "Ed25519"
)

// KeyRequest says which key a certificate is issued for.
type KeyRequest struct {
	// Algorithm of the key to make; empty means the first the profile allows.
	Algorithm KeyAlgorithm
	// Key is an existing key to use instead.
	Key crypto.Signer
}

// NewKey makes a private key. RSA takes 50 to 500 ms.
func NewKey(algorithm KeyAlgorithm) (crypto.Signer, error) {
	switch algorithm {
	case RSA2048:
		return rsa.GenerateKey(rand.Reader, 2048)
	case RSA3072:
		return rsa.GenerateKey(rand.Reader, 3072)
	case RSA4096:
		return rsa.GenerateKey(rand.Reader, 4096)
	case P256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case P384:
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case Ed25519:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	}
	return nil, oauth.InvalidRequest("unknown key algorithm %q", string(algorithm))
}

// AlgorithmOf names the algorithm of a public key. It refuses keys that no
// profile allows: RSA outside 2048 to 4096 bits or with an exponent other than
// 65537, other curves, other kinds. RSA sizes between the named ones count as
// the next smaller one.
func AlgorithmOf(public crypto.PublicKey) (KeyAlgorithm, error) {
	switch key := public.(type) {
	case *rsa.PublicKey:
		bits := key.N.BitLen()
		switch {
		case key.E != 65537:
			return "", oauth.InvalidRequest("RSA key has public exponent %d, wants 65537", key.E)
		case bits < 2048 || bits > 4096:
			return "", oauth.InvalidRequest("RSA key has %d bits, wants 2048 to 4096", bits)
		case bits < 3072:
			return RSA2048, nil
		case bits < 4096:
			return RSA3072, nil
		}
		return RSA4096, nil
	case *ecdsa.PublicKey:
		switch key.Curve {
		case elliptic.P256():
			return P256, nil
		case elliptic.P384():
			return P384, nil
		}
		return "", oauth.InvalidRequest("EC key is on curve %s, wants P-256 or P-384", key.Params().Name)
	case ed25519.PublicKey:
		return Ed25519, nil
	}
	return "", oauth.InvalidRequest("unsupported kind of public key")
}

// checkKey names the key's algorithm and holds it against the profile.
func (p profile) checkKey(public crypto.PublicKey) (KeyAlgorithm, error) {
	algorithm, err := AlgorithmOf(public)
	if err != nil {
		return "", err
	}
	if !slices.Contains(p.keys, algorithm) {
		return "", oauth.InvalidRequest("profile %q takes keys of %s, not %s", string(p.name), oauth.List(p.keys), algorithm)
	}
	return algorithm, nil
}

// keyUsages returns the profile's key usages that this kind of key can have:
// only RSA keys encipher keys (RFC 5480 section 3, RFC 8410 section 5).
func (p profile) keyUsages(algorithm KeyAlgorithm) []string {
	if slices.Contains(rsaKeys, algorithm) {
		return p.keyUsage
	}
	return slices.DeleteFunc(slices.Clone(p.keyUsage), func(usage string) bool { return usage == "keyEncipherment" })
}

// maxCSR bounds a certificate request in bytes.
const maxCSR = 64 << 10

// csrSignatures are the signatures accepted on a certificate request.
var csrSignatures = []x509.SignatureAlgorithm{
	x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA,
	x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS, x509.SHA512WithRSAPSS,
	x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512,
	x509.PureEd25519,
}

// ParseCSR reads a certificate request, PEM or DER. It does not check the
// signature; Sign does.
func ParseCSR(text []byte) (*x509.CertificateRequest, error) {
	if len(text) > maxCSR {
		return nil, oauth.InvalidRequest("certificate request is %d bytes, more than %d", len(text), maxCSR)
	}
	der := text
	if block, _ := pem.Decode(text); block != nil {
		if block.Type != "CERTIFICATE REQUEST" && block.Type != "NEW CERTIFICATE REQUEST" {
			return nil, oauth.InvalidRequest("expected a certificate request, found PEM block %q", block.Type)
		}
		der = block.Bytes
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, unreadable(err)
	}
	return csr, nil
}

// unreadable tells a request with a key of a kind that is not known here from what is
// no request at all.
func unreadable(err error) error {
	_, structure := errors.AsType[asn1.StructuralError](err)
	_, syntax := errors.AsType[asn1.SyntaxError](err)
	if structure || syntax {
		return oauth.InvalidRequest("not a PKCS #10 certificate request").Because("%w", err)
	}
	return oauth.InvalidRequest("certificate request has what cannot be certified: %s", oauth.Shown(strings.TrimPrefix(err.Error(), "x509: "))).Because("%w", err)
}

// checkCSR holds the key against the profile, and proves that the requester has
// it. The first comes first: verifying with an enormous key is expensive.
func (p profile) checkCSR(csr *x509.CertificateRequest) error {
	if _, err := p.checkKey(csr.PublicKey); err != nil {
		return err
	}
	if !slices.Contains(csrSignatures, csr.SignatureAlgorithm) {
		return oauth.InvalidRequest("certificate request is signed with %s, wants SHA-256 or better", csr.SignatureAlgorithm)
	}
	if err := csr.CheckSignature(); err != nil {
		return oauth.InvalidRequest("certificate request is not signed with its own key").Because("%w", err)
	}
	return nil
}
