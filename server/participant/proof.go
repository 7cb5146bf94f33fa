package participant

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/fapid/fapid/certs"
)

// Proof is what a DPoP proof may be made for beside a method and an address.
type Proof struct {
	Token string // the access token it goes with; empty at the token endpoint
	Nonce string // the server's, where it wants one
}

// Proof signs a DPoP proof for one request (RFC 9449 section 4.2), with the
// participant's DPoP key or, where it has none, its signing key.
func (p *Participant) Proof(method, address string, with Proof) (string, error) {
	key := p.proofKey()
	if key == nil {
		return "", fmt.Errorf("client %s has no key to sign DPoP proofs with", p.Metadata.ClientID)
	}
	jwk, err := certs.PublicJWK(key.Public(), certs.JWKOptions{})
	if err != nil {
		return "", err
	}
	address, _, _ = strings.Cut(address, "#")
	address, _, _ = strings.Cut(address, "?")
	claims := map[string]any{"jti": rand.Text(), "htm": method, "htu": address, "iat": p.now().Unix()}
	if with.Token != "" {
		sum := sha256.Sum256([]byte(with.Token))
		claims["ath"] = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	if with.Nonce != "" {
		claims["nonce"] = with.Nonce
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	options := (&jose.SignerOptions{EmbedJWK: true}).WithType("dpop+jwt")
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(jwk.Algorithm), Key: key}, options)
	if err != nil {
		return "", fmt.Errorf("DPoP proof: %w", err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("DPoP proof: %w", err)
	}
	return jws.CompactSerialize()
}

func (p *Participant) proofKey() crypto.Signer {
	if p.DPoPKey != nil {
		return p.DPoPKey
	}
	return p.SigningKey
}
