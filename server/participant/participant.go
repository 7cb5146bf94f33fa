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
	"time"

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
	// Now is the clock by which requests are signed; nil is time.Now.
	Now func() time.Time
}

func (p *Participant) now() time.Time {
	if p.Now == nil {
		return time.Now()
	}
	return p.Now()
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
		p.KeyID, err = loadKeyID(dir, p.SigningKey)
	}
	return p, err
}

// loadKeyID reads what the signing key is published as: the kid of signing.jwk, and
// the key's thumbprint where there is none.
func loadKeyID(dir string, key crypto.Signer) (string, error) {
	text, err := os.ReadFile(filepath.Join(dir, FileSigningJWK))
	if errors.Is(err, fs.ErrNotExist) {
		jwk, err := certs.PublicJWK(key.Public(), certs.JWKOptions{})
		return jwk.KeyID, err
	}
	var named struct {
		KeyID string `json:"kid"`
	}
	if err == nil {
		err = json.Unmarshal(text, &named)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", filepath.Join(dir, FileSigningJWK), err)
	}
	return named.KeyID, nil
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
	files, err := p.files()
	if err != nil {
		return err
	}
	for _, file := range files {
		if err := certs.WriteFile(dir, file); err != nil {
			return err
		}
	}
	return nil
}

// files are those that Load reads, client.json last: a folder that has it is whole.
func (p *Participant) files() (files []certs.File, err error) {
	for _, part := range []func() ([]certs.File, error){p.transportFiles, p.signingFiles, p.dpopFiles, p.metadataFiles} {
		more, err := part()
		if err != nil {
			return nil, err
		}
		files = append(files, more...)
	}
	return files, nil
}

func (p *Participant) transportFiles() ([]certs.File, error) {
	if p.TransportKey == nil {
		return nil, nil
	}
	bundle, err := certs.PKCS12(p.TransportKey, p.Transport, PKCS12Password)
	if err != nil {
		return nil, err
	}
	return pairFiles(FileTransport, FileTransportKey, p.Transport, p.TransportKey, certs.PrivateFile(FileTransportPKCS12, bundle))
}

func (p *Participant) signingFiles() ([]certs.File, error) {
	if p.SigningKey == nil {
		return nil, nil
	}
	jwk, err := certs.PrivateJWK(p.SigningKey, certs.JWKOptions{KeyID: p.KeyID, Chain: p.Signing})
	if err != nil {
		return nil, err
	}
	text, err := json.MarshalIndent(jwk, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("signing.jwk: %w", err)
	}
	return pairFiles(FileSigning, FileSigningKey, p.Signing, p.SigningKey, certs.PrivateFile(FileSigningJWK, append(text, '\n')))
}

func (p *Participant) dpopFiles() ([]certs.File, error) {
	if p.DPoPKey == nil {
		return nil, nil
	}
	text, err := certs.KeyPEM(p.DPoPKey)
	return []certs.File{certs.PrivateFile(FileDPoPKey, text)}, err
}

func (p *Participant) metadataFiles() ([]certs.File, error) {
	metadata, err := json.MarshalIndent(file{p.Metadata, p.Secret}, "", "  ") //nolint:gosec // the secret belongs into this file, 0600
	if err != nil {
		return nil, fmt.Errorf("client.json: %w", err)
	}
	return []certs.File{certs.PrivateFile(FileMetadata, append(metadata, '\n'))}, nil
}

func pairFiles(certificate, key string, chain []*x509.Certificate, signer crypto.Signer, more ...certs.File) ([]certs.File, error) {
	text, err := certs.KeyPEM(signer)
	if err != nil {
		return nil, err
	}
	return append(more, certs.PrivateFile(key, text), certs.PublicFile(certificate, certs.CertificatePEM(chain...))), nil
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
