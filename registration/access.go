package registration

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
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

// MayChangeItself refuses changes of a client that the operator has locked or disabled.
func (c *Client) MayChangeItself(event *oauth.Event) error {
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

// DeleteItself removes a client at its own request; what the operator has locked or
// disabled stays. The error is not_found when it was deleted meanwhile.
func (r *Registry) DeleteItself(ctx context.Context, client *Client, event *oauth.Event) error {
	r.writing.Lock()
	defer r.writing.Unlock()
	current, known := r.Get(client.ID)
	if !known {
		return oauth.NotFound("no client %s", quote(client.ID))
	}
	if err := current.MayChangeItself(event); err != nil {
		return err
	}
	return r.remove(ctx, client.ID)
}

// HasSecret reports whether the client has a secret.
func (c *Client) HasSecret() bool { return c.secret != nil }

// newSecret makes a client secret of 390 bits, in 78 characters: more than the key
// of HS512 must have (RFC 7518 section 3.2).
func newSecret() string { return rand.Text() + rand.Text() + rand.Text() }

// wantsSecret reports whether a method needs a secret that is not kept.
func wantsSecret(method string, kept *credential) bool {
	return usesSecret(method) && (kept == nil || method == oauth.AuthSecretJWT && kept.Sealed == nil)
}
