// Package participant is a client's side of the protocol: the folder a tester
// works from, and what a client does with it (assertions, token requests).
package participant

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/go-jose/go-jose/v4"

	"github.com/fapid/fapid/certs"
	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
)

// The files of a participant's folder.
const (
	FileMetadata         = "client.json"   // registered metadata; with the client secret, if there is one
	FileTransport        = "transport.pem" // leaf and intermediate
	FileTransportKey     = "transport.key"
	FileTransportPKCS12  = "transport.p12"
	FileSigning          = "signing.pem"
	FileSigningKey       = "signing.key"
	FileSigningJWK       = "signing.jwk" // private
	FileDPoPKey          = "dpop.key"    // where DPoP proofs have a key of their own
	FileCurl             = "curl.sh"
	PKCS12Password       = "fapid" // Java reads no PKCS #12 without a password
	defaultAssertionLife = 60      // seconds
)

// Participant is a client with its keys.
type Participant struct {
	Metadata registration.Metadata
	// Secret is the client secret, for the client_secret methods.
	Secret string
	// Transport is the client certificate chain, leaf first, and its key.
	Transport    []*x509.Certificate
	TransportKey crypto.Signer
	// Signing is the signing certificate chain and key; KeyID names the key in
	// the client's JWKS.
	Signing    []*x509.Certificate
	SigningKey crypto.Signer
	KeyID      string
	// DPoPKey signs DPoP proofs; nil leaves it to the signing key.
	DPoPKey crypto.Signer
}

// file is client.json: the metadata, and the secret that registration takes in
// but never gives out.
type file struct {
	registration.Metadata
	Secret string `json:"client_secret,omitempty"`
}

// Load reads a participant's folder.
func Load(dir string) (*Participant, error) {
	text, err := os.ReadFile(filepath.Join(dir, FileMetadata))
	if err != nil {
		return nil, fmt.Errorf("no client in %s: %w", dir, err)
	}
	metadata, err := registration.ParseMetadata(text, registration.JSON)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, FileMetadata), err)
	}
	p := &Participant{Metadata: metadata, Secret: string(metadata.ClientSecret)}
	p.Metadata.ClientSecret = ""
	if p.Transport, p.TransportKey, err = loadPair(dir, FileTransport, FileTransportKey); err != nil {
		return nil, err
	}
	if p.Signing, p.SigningKey, err = loadPair(dir, FileSigning, FileSigningKey); err != nil {
		return nil, err
	}
	if p.DPoPKey, err = loadKey(filepath.Join(dir, FileDPoPKey)); err != nil {
		return nil, err
	}
	if p.SigningKey != nil {
		jwk, err := certs.PublicJWK(p.SigningKey.Public(), certs.JWKOptions{})
		if err != nil {
			return nil, err
		}
		p.KeyID = jwk.KeyID
	}
	return p, nil
}

// loadPair reads a certificate chain and its key; a client that has neither is
// no error.
func loadPair(dir, certificate, key string) ([]*x509.Certificate, crypto.Signer, error) {
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, certificate), filepath.Join(dir, key))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", filepath.Join(dir, certificate), err)
	}
	chain := make([]*x509.Certificate, len(pair.Certificate))
	for i, der := range pair.Certificate {
		if chain[i], err = x509.ParseCertificate(der); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", filepath.Join(dir, certificate), err)
		}
	}
	return chain, pair.PrivateKey.(crypto.Signer), nil
}

// loadKey reads a private key; a client that has none is no error.
func loadKey(file string) (crypto.Signer, error) {
	text, err := os.ReadFile(filepath.Clean(file))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	key, err := certs.ParseKey(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return key, nil
}

// Save writes the folder.
func (p *Participant) Save(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	metadata, err := json.MarshalIndent(file{p.Metadata, p.Secret}, "", "  ") //nolint:gosec // the secret belongs into this file, 0600
	if err != nil {
		return fmt.Errorf("client.json: %w", err)
	}
	if p.TransportKey != nil {
		if err := p.saveTransport(dir); err != nil {
			return err
		}
	}
	if p.SigningKey != nil {
		if err := p.saveSigning(dir); err != nil {
			return err
		}
	}
	if p.DPoPKey != nil {
		text, err := certs.KeyPEM(p.DPoPKey)
		if err != nil {
			return err
		}
		if err := certs.WritePrivate(filepath.Join(dir, FileDPoPKey), text); err != nil {
			return err
		}
	}
	return certs.WritePrivate(filepath.Join(dir, FileMetadata), append(metadata, '\n'))
}

func (p *Participant) saveTransport(dir string) error {
	bundle, err := certs.PKCS12(p.TransportKey, p.Transport, PKCS12Password)
	if err != nil {
		return err
	}
	if err := certs.WritePrivate(filepath.Join(dir, FileTransportPKCS12), bundle); err != nil {
		return err
	}
	return savePair(dir, FileTransport, FileTransportKey, p.Transport, p.TransportKey)
}

func (p *Participant) saveSigning(dir string) error {
	jwk, err := certs.PrivateJWK(p.SigningKey, certs.JWKOptions{Chain: p.Signing})
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(jwk, "", "  ")
	if err != nil {
		return fmt.Errorf("signing.jwk: %w", err)
	}
	if err := certs.WritePrivate(filepath.Join(dir, FileSigningJWK), append(text, '\n')); err != nil {
		return err
	}
	return savePair(dir, FileSigning, FileSigningKey, p.Signing, p.SigningKey)
}

func savePair(dir, certificate, key string, chain []*x509.Certificate, signer crypto.Signer) error {
	text, err := certs.KeyPEM(signer)
	if err != nil {
		return err
	}
	if err := certs.WritePrivate(filepath.Join(dir, key), text); err != nil {
		return err
	}
	return certs.WritePublic(filepath.Join(dir, certificate), certs.CertificatePEM(chain...))
}

// Publish puts the public signing key into the client's registered JWKS; with
// transport also the transport certificate, which is how a self-signed one is
// registered (RFC 8705 section 2.2.2).
func (p *Participant) Publish(transport bool) error {
	var set jose.JSONWebKeySet
	key, err := certs.PublicJWK(p.SigningKey.Public(), certs.JWKOptions{Chain: p.Signing})
	if err != nil {
		return err
	}
	p.KeyID = key.KeyID
	set.Keys = append(set.Keys, key)
	if transport {
		certificate, err := certs.PublicJWK(p.TransportKey.Public(), certs.JWKOptions{Chain: p.Transport})
		if err != nil {
			return err
		}
		set.Keys = append(set.Keys, certificate)
	}
	p.Metadata.JWKS, err = json.Marshal(set)
	return err
}

// UsesCertificate reports whether the client needs the mTLS listener: to
// authenticate, or to have its tokens bound.
func (p *Participant) UsesCertificate() bool {
	method := p.Metadata.TokenEndpointAuthMethod
	return method == oauth.AuthTLS || method == oauth.AuthSelfSignedTLS || p.Metadata.CertificateBoundTokens
}
