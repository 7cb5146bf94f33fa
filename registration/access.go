package registration

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"strings"

	"github.com/fapid/fapid/oauth"
)

// accessPrefix begins registration access tokens (RFC 7592 section 3).
const accessPrefix = "fapid_rat."

// newAccess gives the client a registration access token, 260 bits. Only a keyed
// hash of it is kept, which covers the id.
func (c *Client) newAccess() string {
	token := accessPrefix + rand.Text() + rand.Text()
	c.access = c.accessHash(token)
	return token
}

func (c *Client) accessHash(token string) []byte {
	return c.sealer.MAC([]byte("registration access token\x00" + c.ID + "\x00" + token))
}

// CheckRegistrationToken reports whether a token is the client's registration access
// token.
func (c *Client) CheckRegistrationToken(token string) bool {
	const longest = 200
	return c.access != nil && len(token) <= longest && strings.HasPrefix(token, accessPrefix) &&
		subtle.ConstantTimeCompare(c.access, c.accessHash(token)) == 1
}

// mayChangeItself refuses a client that the operator has locked or disabled.
func (c *Client) mayChangeItself(event *oauth.Event) error {
	switch {
	case c.Metadata.Disabled:
		event.Fail("registration", "a client that is not disabled", "the operator has disabled it", "ask the operator")
		return oauth.AccessDenied("the operator has disabled the client")
	case c.Metadata.RegistrationLocked:
		event.Fail("registration", "a registration that is not locked", "the operator has locked it", "ask the operator")
		return oauth.AccessDenied("the operator has locked the registration")
	}
	return nil
}

// secretBytes of a generated client secret make 64 characters, as many as the key
// of HS512 must have (RFC 7518 section 3.2).
const secretBytes = 48

// newSecret makes a client secret of 384 bits.
func newSecret() string {
	secret := make([]byte, secretBytes)
	_, _ = rand.Read(secret) // never fails: crypto/rand ends the process instead
	return base64.RawURLEncoding.EncodeToString(secret)
}

// wantsSecret reports whether a method needs a secret that is not kept.
func wantsSecret(method string, kept *credential) bool {
	return usesSecret(method) && (kept == nil || method == oauth.AuthSecretJWT && kept.Sealed == nil)
}
