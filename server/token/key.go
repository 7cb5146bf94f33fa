// Package token says what a token contains and who signs it: signing keys and
// their life, JWT access tokens, and the verification of our own tokens.
package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// Algs are the JWS algorithms fapid signs with: those of FAPI 2 section 5.4.1, and
// RS256, which that forbids and RFC 9068 section 2.1 has every server know, because
// there are APIs that take nothing else. It is for policies outside FAPI.
var Algs = []string{"ES256", "PS256", "EdDSA", seldom}

// seldom is the algorithm whose keys are made when somebody first wants one: most
// realms never do, and RSA keys are most of what a first start takes.
const seldom = "RS256"

// Key is one signing key with its published half. It signs through
// crypto.Signer, so that a faster or safer signer can stand in.
type Key struct {
	ID     string // RFC 7638 thumbprint, the kid
	Alg    string // of Algs
	Signer crypto.Signer

	public  jose.JSONWebKey
	headers map[string]string // typ to encoded JOSE header
	// accessToken is the header of access tokens, not encoded.
	accessToken string
}

// joseHeader is the header of what fapid signs, all of it.
type joseHeader struct {
	Algorithm string `json:"alg"`
	KeyID     string `json:"kid"`
	Type      string `json:"typ"`
}

// The typ header values of what fapid signs.
const (
	TypeAccessToken   = "at+jwt"                  // RFC 9068 section 2.1
	TypeIntrospection = "token-introspection+jwt" // RFC 9701 section 5
	TypeStatement     = "JWT"                     // software statements, in every ecosystem
)

// Generate makes a new signing key: P-256, RSA-2048 or Ed25519 by algorithm.
func Generate(alg string) (crypto.Signer, error) {
	switch alg {
	case "ES256":
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "PS256", "RS256":
		return rsa.GenerateKey(rand.Reader, 2048)
	case "EdDSA":
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	}
	return nil, fmt.Errorf("fapid does not sign with %s; use one of %v", alg, Algs)
}

// NewKey prepares a signer for use.
func NewKey(alg string, signer crypto.Signer) (*Key, error) {
	public := jose.JSONWebKey{Key: signer.Public(), Algorithm: alg, Use: "sig"}
	thumbprint, err := public.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	key := &Key{ID: base64.RawURLEncoding.EncodeToString(thumbprint), Alg: alg, Signer: signer, headers: map[string]string{}}
	public.KeyID = key.ID
	key.public = public
	for _, typ := range []string{TypeAccessToken, TypeIntrospection, TypeStatement} {
		header, err := json.Marshal(joseHeader{Algorithm: alg, KeyID: key.ID, Type: typ})
		if err != nil {
			return nil, fmt.Errorf("signing key header: %w", err)
		}
		if typ == TypeAccessToken {
			key.accessToken = string(header)
		}
		key.headers[typ] = base64.RawURLEncoding.EncodeToString(header)
	}
	return key, nil
}

// Sign makes the compact JWS (RFC 7515 section 7.1) of claims. It is these few
// lines because go-jose's signer costs a third of an ES256 signature again, on
// every token.
func (k *Key) Sign(typ string, claims any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("claims: %w", err)
	}
	header, ok := k.headers[typ]
	if !ok {
		return "", fmt.Errorf("no header prepared for typ %s", typ)
	}
	encoding := base64.RawURLEncoding
	compact := make([]byte, 0, len(header)+2+encoding.EncodedLen(len(payload))+encoding.EncodedLen(maxSignature))
	compact = append(compact, header...)
	compact = append(compact, '.')
	compact = encoding.AppendEncode(compact, payload)
	signature, err := k.signature(compact)
	if err != nil {
		return "", fmt.Errorf("sign with %s: %w", k.Alg, err)
	}
	compact = append(compact, '.')
	return string(encoding.AppendEncode(compact, signature)), nil
}

// maxSignature is the length of an RSA-2048 signature, the longest here.
const maxSignature = 256

// pss is how PS256 has it: a salt as long as the hash (RFC 7518 section 3.5).
var pss = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}

func (k *Key) signature(input []byte) ([]byte, error) {
	digest := sha256.Sum256(input)
	switch k.Alg {
	case "ES256":
		der, err := k.Signer.Sign(rand.Reader, digest[:], crypto.SHA256)
		if err != nil {
			return nil, err
		}
		return rawECDSA(der)
	case "PS256":
		return k.Signer.Sign(rand.Reader, digest[:], pss)
	case "RS256":
		return k.Signer.Sign(rand.Reader, digest[:], crypto.SHA256) // PKCS #1 v1.5
	default: // EdDSA signs the message itself (RFC 8037 section 3.1)
		return k.Signer.Sign(rand.Reader, input, crypto.Hash(0))
	}
}

// rawECDSA turns the ASN.1 signature of crypto.Signer into the 64 bytes R || S
// of RFC 7518 section 3.4. encoding/asn1 would do it by reflection, at a tenth
// of the price of the signature.
func rawECDSA(der []byte) ([]byte, error) {
	input, inner := cryptobyte.String(der), cryptobyte.String(nil)
	var r, s []byte
	if !input.ReadASN1(&inner, asn1.SEQUENCE) || !input.Empty() ||
		!inner.ReadASN1Integer(&r) || !inner.ReadASN1Integer(&s) || !inner.Empty() || len(r) > 32 || len(s) > 32 {
		return nil, errors.New("malformed ECDSA signature")
	}
	raw := make([]byte, 64)
	copy(raw[32-len(r):], r)
	copy(raw[64-len(s):], s)
	return raw, nil
}
