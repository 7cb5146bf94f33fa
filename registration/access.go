package registration

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"strings"
	"sync/atomic"
	"time"

	"github.com/fapid/fapid/oauth"
)

// accessPrefix begins registration access tokens (RFC 7592 section 3).
const accessPrefix = "fapid_rat."

// access is what is kept of a client's registration access token.
type access struct {
	Hash []byte `json:"hash"` // keyed
	// Before is that of the token which this one took the place of. An answer can be
	// lost, and who has not got the new token would be shut out for good; so the one
	// before is good until the new one is used, and no longer than Until (seconds since
	// 1970).
	Before []byte `json:"before,omitempty"`
	Until  int64  `json:"until,omitempty"`

	seen atomic.Bool // the token itself was used, since the start of the process
}

// accessRetry is how long a registration access token is good after another has taken
// its place, if that is not used.
const accessRetry = time.Minute

// newAccess gives the client a registration access token, 260 bits. Only a keyed
// hash of it is kept, which covers the id.
func (c *Client) newAccess(now time.Time) string {
	token := accessPrefix + rand.Text() + rand.Text()
	next := &access{Hash: c.accessHash(token)}
	if last := c.access; last != nil {
		// Where the last one was never used, its answer was lost, too.
		if next.Before = last.Hash; last.Before != nil && !last.seen.Load() {
			next.Before = last.Before
		}
		next.Until = now.Add(accessRetry).Unix()
	}
	c.access = next
	return token
}

func (c *Client) accessHash(token string) []byte {
	return c.sealer.MAC([]byte("registration access token\x00" + c.ID + "\x00" + token))
}

// CheckRegistrationToken reports whether a token is the client's registration access
// token, or may stand for it still.
func (c *Client) CheckRegistrationToken(token string, now time.Time) bool {
	const longest = 200
	if c.access == nil || len(token) > longest || !strings.HasPrefix(token, accessPrefix) {
		return false
	}
	hash := c.accessHash(token)
	if subtle.ConstantTimeCompare(c.access.Hash, hash) == 1 {
		c.access.seen.Store(true)
		return true
	}
	return !c.access.seen.Load() && now.Unix() < c.access.Until && subtle.ConstantTimeCompare(c.access.Before, hash) == 1
}

// equal compares what would be written.
func (a *access) equal(other *access) bool {
	if a == nil || other == nil {
		return a == other
	}
	return bytes.Equal(a.Hash, other.Hash) && bytes.Equal(a.Before, other.Before) && a.Until == other.Until
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
