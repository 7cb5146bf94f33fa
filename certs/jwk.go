package certs

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4"

	"github.com/fapid/fapid/mtls"
)

// JWKOptions are the members of a JWK beside the key itself.
type JWKOptions struct {
	KeyID     string // kid; empty: the RFC 7638 thumbprint (SHA-256, base64url)
	Algorithm string // alg; empty: PS256, ES256, ES384 or EdDSA by the key
	Use       string // use; empty: "sig"
	// Chain becomes x5c and x5t#S256; the first certificate is the key's.
	// Empty: neither.
	Chain []*x509.Certificate
}

// CertificateJWK is the public key of a certificate as the directories of open
// banking publish it: with x5c, x5t#S256 and x5dn, its subject as it is to be
// registered. chain begins with the certificate, whose key usage says what the key
// is for.
func CertificateJWK(chain ...*x509.Certificate) ([]byte, error) {
	options := JWKOptions{Chain: chain}
	if usage := chain[0].KeyUsage; usage != 0 && usage&x509.KeyUsageDigitalSignature == 0 {
		options.Use, options.Algorithm = "enc", string(jose.RSA_OAEP)
	}
	jwk, err := PublicJWK(chain[0].PublicKey, options)
	if err != nil {
		return nil, err
	}
	name, err := mtls.ParseName(chain[0].RawSubject)
	if err != nil {
		return nil, fmt.Errorf("subject: %w", err)
	}
	text, err := jwk.MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("encode JWK: %w", err)
	}
	subject, err := json.Marshal(name.String())
	if err != nil {
		return nil, err
	}
	// go-jose has no room for further members.
	return slices.Concat(text[:len(text)-1], []byte(`,"x5dn":`), subject, []byte("}")), nil
}

// defaultJWS is the FAPI signature algorithm of each key.
var defaultJWS = map[KeyAlgorithm]jose.SignatureAlgorithm{
	RSA2048: jose.PS256, RSA3072: jose.PS256, RSA4096: jose.PS256,
	P256: jose.ES256, P384: jose.ES384, Ed25519: jose.EdDSA,
}

// PrivateJWK returns the private JWK of a key; it marshals to JSON.
func PrivateJWK(key crypto.Signer, options JWKOptions) (jose.JSONWebKey, error) {
	return newJWK(key, key.Public(), options)
}

// PublicJWK returns the JWK of a public key; it marshals to JSON.
func PublicJWK(key crypto.PublicKey, options JWKOptions) (jose.JSONWebKey, error) {
	return newJWK(key, key, options)
}

func newJWK(key any, public crypto.PublicKey, options JWKOptions) (jose.JSONWebKey, error) {
	algorithm, err := AlgorithmOf(public)
	if err != nil {
		return jose.JSONWebKey{}, err
	}
	jwk := jose.JSONWebKey{Key: key, KeyID: options.KeyID, Algorithm: options.Algorithm, Use: options.Use}
	if jwk.KeyID == "" {
		sum, err := jwk.Thumbprint(crypto.SHA256)
		if err != nil {
			return jose.JSONWebKey{}, fmt.Errorf("thumbprint of JWK: %w", err)
		}
		jwk.KeyID = base64.RawURLEncoding.EncodeToString(sum)
	}
	if jwk.Algorithm == "" {
		jwk.Algorithm = string(defaultJWS[algorithm])
	}
	if jwk.Use == "" {
		jwk.Use = "sig"
	}
	if len(options.Chain) > 0 {
		sum := sha256.Sum256(options.Chain[0].Raw)
		jwk.Certificates = options.Chain
		jwk.CertificateThumbprintSHA256 = sum[:]
	}
	return jwk, nil
}
