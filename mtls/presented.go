package mtls

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// What a client may present. Real chains have two to four certificates of 1 to
// 3 KiB each; what is larger was made to cost time.
const (
	maxChain = 10
	maxLeaf  = 32 << 10
	maxSum   = 100 << 10
	maxSANs  = 256
)

// Presented is the certificate of one connection, or of one forwarded header,
// with everything derived from it once. It is immutable to its users and safe
// for concurrent use: the streams of an HTTP/2 connection share it.
type Presented struct {
	Leaf          *x509.Certificate
	Intermediates []*x509.Certificate // the rest of the chain, as it was sent
	Thumbprint    string              // x5t#S256 of the leaf, RFC 8705 section 3.1
	Source        string              // "tls", or the name of the header

	subject     Name
	subjectText string
	subjectKeys []string
	names       altNames

	building sync.Mutex // held while a chain is built, so that it is built once
	verdicts atomic.Pointer[[]*verdict]
}

// NewPresented takes a chain as it was sent. Identity and thumbprint are those
// of chain[0], whatever follows it: a certificate further down may be anybody's
// (CVE-2023-2422).
func NewPresented(chain []*x509.Certificate, source string) (*Presented, error) {
	if len(chain) == 0 {
		return nil, errors.New("no certificate")
	}
	if len(chain) > maxChain {
		return nil, fmt.Errorf("chain of %d certificates, more than %d", len(chain), maxChain)
	}
	sum := 0
	for _, c := range chain {
		sum += len(c.Raw)
	}
	leaf := chain[0]
	if len(leaf.Raw) > maxLeaf || sum > maxSum {
		return nil, fmt.Errorf("certificate of %d bytes in a chain of %d bytes, more than %d or %d", len(leaf.Raw), sum, maxLeaf, maxSum)
	}
	names, err := parseAltNames(leaf)
	if err != nil {
		return nil, fmt.Errorf("certificate subject alternative names: %w", err)
	}
	subject, err := ParseName(leaf.RawSubject)
	if err != nil {
		return nil, fmt.Errorf("certificate subject: %w", err)
	}
	return &Presented{
		Leaf:          leaf,
		Intermediates: chain[1:len(chain):len(chain)],
		Thumbprint:    Thumbprint(leaf),
		Source:        source,
		subject:       subject,
		subjectText:   subject.String(),
		subjectKeys:   subject.keys(),
		names:         names,
	}, nil
}

// Thumbprint returns the x5t#S256 value of a certificate: the SHA-256 of its
// DER in base64url without padding (RFC 8705 section 3.1).
func Thumbprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Subject returns the subject of the leaf. It is shared: do not change it.
func (p *Presented) Subject() Name { return p.subject }

// SubjectText is the subject of the leaf as an RFC 4514 string.
func (p *Presented) SubjectText() string { return p.subjectText }

// Issuer tells CAs apart by their keys: the SHA-256, in base64url, of the public key
// that signed the leaf, so that a CA whose own certificate was renewed is the same. It
// is the leaf's own key where that is self-signed, and empty where no [Trust] has found
// a chain.
func (p *Presented) Issuer() string {
	signer := p.signer()
	if signer == nil {
		return ""
	}
	sum := sha256.Sum256(signer.RawSubjectPublicKeyInfo)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// signer is the certificate of the CA that signed the leaf. Which Trust found it does
// not matter: only one key can have signed it.
func (p *Presented) signer() *x509.Certificate {
	if selfSigned(p.Leaf) {
		return p.Leaf
	}
	all := p.verdicts.Load()
	if all == nil {
		return nil
	}
	for _, v := range *all {
		if len(v.paths) > 0 {
			chain := v.paths[0].chain
			return chain[min(1, len(chain)-1)]
		}
	}
	return nil
}

// selfSigned reports whether a certificate names itself as its issuer.
func selfSigned(c *x509.Certificate) bool {
	return bytes.Equal(c.RawIssuer, c.RawSubject)
}
