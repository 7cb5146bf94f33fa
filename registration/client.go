package registration

import (
	"bytes"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"slices"
	"time"

	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/oauth/jwk"
	"github.com/fapid/fapid/store"
)

// Client is a registration that has passed every rule, with everything parsed
// once. It is immutable and shared: do not change what it holds.
type Client struct {
	Metadata Metadata // as registered, defaults filled in, without the secret
	ID       string
	Policy   *oauth.Policy

	AuthMethod string // one of the oauth.Auth constants
	// AssertionAlgs are the JWS algorithms this client's assertions may be
	// signed with: the registered one, or those of the policy that fit the
	// method and, for client_secret_jwt, the length of the secret. A client that
	// authenticates otherwise and has keys signs authorization grants with them.
	AssertionAlgs []string

	Scope         oauth.Scope // the most the client may ask for
	GrantTypes    []string
	TokenAlg      string // JWS algorithm of access tokens
	TokenLifetime time.Duration
	TokenFormat   string // oauth.FormatJWT or oauth.FormatOpaque
	// RecordTokens: JWT access tokens are recorded, too.
	RecordTokens bool
	// RefreshTokens: client credentials bring a refresh token, too.
	RefreshTokens bool
	// RefreshLifetime is how long a refresh token lives from its issue, or from
	// its last use; 0 is for ever.
	RefreshLifetime    time.Duration
	RefreshFromLastUse bool
	// BoundTokens: access tokens are bound to the certificate (RFC 8705
	// section 3), to a DPoP key (RFC 9449) or to both, because the client or its
	// policy asks for it. The client says to which; the policy takes either.
	BoundTokens bool

	Certificate *mtls.Registered // nil unless tls_client_auth
	Keys        *jwk.Keys        // nil when neither jwks nor jwks_uri is registered

	secret *credential
	sealer *store.Sealer
	access *access // nil where there is no registration access token
	use    *use
}

// record is the client as it is stored.
func (c *Client) record() record { return record{c.Metadata, c.secret, c.access} }

// MayUse reports whether the client has registered the grant type.
func (c *Client) MayUse(grantType string) bool { return slices.Contains(c.GrantTypes, grantType) }

// CheckSecret reports whether presented is the client's secret. It compares
// keyed hashes in constant time and hashes no more than 512 bytes; it is false
// for a client without a secret.
func (c *Client) CheckSecret(presented string) bool {
	return c.secret != nil && c.secret.matches(c.sealer, c.ID, presented)
}

// errNoSecretKey: only a client_secret_jwt client has its secret kept.
var errNoSecretKey = errors.New("the client has no secret to verify an assertion with; its method is not client_secret_jwt")

// SecretKey opens the sealed secret of a client_secret_jwt client: the HMAC key
// of its assertions.
func (c *Client) SecretKey() ([]byte, error) {
	if c.secret == nil || c.secret.Sealed == nil {
		return nil, errNoSecretKey
	}
	return c.sealer.Open(c.secret.Sealed, []byte(c.ID))
}

// credential is how a client secret is kept.
type credential struct {
	Salt   []byte `json:"salt"`
	Hash   []byte `json:"hash"`             // keyed, over salt, client_id and secret
	Sealed []byte `json:"sealed,omitempty"` // client_secret_jwt only: the verifier needs the secret itself
}

const saltBytes = 16

func newCredential(sealer *store.Sealer, id, secret string) *credential {
	salt := make([]byte, saltBytes)
	_, _ = rand.Read(salt) // never fails: crypto/rand ends the process instead
	return &credential{Salt: salt, Hash: secretHash(sealer, salt, id, secret)}
}

// secretHash covers the client_id, so that a hash copied from one client's
// record to another's is worth nothing. A client_id holds no NUL.
func secretHash(sealer *store.Sealer, salt []byte, id, secret string) []byte {
	return sealer.MAC(slices.Concat(salt, []byte(id), []byte{0}, []byte(secret)))
}

func (c *credential) matches(sealer *store.Sealer, id, presented string) bool {
	if presented == "" || len(presented) > maxSecretBytes {
		return false
	}
	return subtle.ConstantTimeCompare(c.Hash, secretHash(sealer, c.Salt, id, presented)) == 1
}

// usesSecret reports whether the method authenticates with a client secret.
func usesSecret(method string) bool {
	return method == oauth.AuthSecretBasic || method == oauth.AuthSecretPost || method == oauth.AuthSecretJWT
}

// setSecret settles the credential a client ends up with: made from the secret
// the registration brings, or the one already stored, or none.
func setSecret(c *Client) error {
	method, secret := c.AuthMethod, string(c.Metadata.ClientSecret)
	c.Metadata.ClientSecret = ""
	kept := c.secret
	switch {
	case !usesSecret(method) && secret != "":
		return invalid("client_secret", "is not used with %s; leave it out", method)
	case !usesSecret(method):
		c.secret = nil
		return nil
	case secret == "":
		var err error
		c.secret, err = keptCredential(method, kept)
		return err
	case !visible(secret) || len(secret) > maxSecretBytes:
		return invalid("client_secret", "must be at most %d printable ASCII characters (RFC 6749 appendix A.2)", maxSecretBytes)
	case kept != nil && kept.matches(c.sealer, c.ID, secret) && (kept.Sealed != nil) == (method == oauth.AuthSecretJWT):
		return nil
	}
	c.secret = newCredential(c.sealer, c.ID, secret)
	if method == oauth.AuthSecretJWT {
		c.secret.Sealed = c.sealer.Seal([]byte(secret), []byte(c.ID))
	}
	return nil
}

func keptCredential(method string, kept *credential) (*credential, error) {
	switch {
	case kept == nil:
		return nil, invalid("client_secret", "is missing; %s needs one, and fapid makes none up", method)
	case method == oauth.AuthSecretJWT && kept.Sealed == nil:
		return nil, invalid("client_secret", "is missing; only a hash of the present one is kept, and %s needs the secret itself", method)
	case method != oauth.AuthSecretJWT && kept.Sealed != nil:
		return &credential{Salt: kept.Salt, Hash: kept.Hash}, nil
	}
	return kept, nil
}

func (c *credential) equal(other *credential) bool {
	if c == nil || other == nil {
		return c == other
	}
	return bytes.Equal(c.Hash, other.Hash) && bytes.Equal(c.Sealed, other.Sealed)
}
