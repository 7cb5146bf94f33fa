package registration

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/store"
)

// InitialToken is an initial access token (RFC 7591 section 1.2): whoever has it may
// register software, as often and as what it says. The token itself is shown once,
// when it is made, and kept as a keyed hash.
type InitialToken struct {
	ID        string `json:"id"`
	Label     string `json:"label,omitempty"`      // for people
	CreatedAt int64  `json:"created_at"`           // seconds since 1970
	ExpiresAt int64  `json:"expires_at,omitempty"` // seconds since 1970; 0 is never
	// Uses is how often it may be used, once if it is 0; Used is how often it was.
	Uses int64 `json:"uses"`
	Used int64 `json:"used"`
	// Quota is how many clients that were registered with it there may be at a time;
	// 0 is any number.
	Quota int64 `json:"quota,omitempty"`
	// Policy is the security profile of those who register with it; empty is that of
	// whoever vouches for them, or the realm's for registrations.
	Policy string `json:"policy,omitempty"`
	// Scope is the most they may ask for (space separated); empty is what software
	// that registers itself may have.
	Scope string `json:"scope,omitempty"`
}

// storedToken is an initial access token as it is kept.
type storedToken struct {
	InitialToken
	Hash []byte `json:"hash"`
}

// InitialTokens are the initial access tokens of a realm. They are safe for
// concurrent use.
type InitialTokens struct {
	table  store.Table[storedToken]
	sealer *store.Sealer
	// judge holds what is made to what the realm has.
	judge func(*InitialToken) error
	now   func() time.Time
}

// NewInitialTokens are those of a realm. Policies are the security profiles that a
// token may name, scopes what it may give at most.
func NewInitialTokens(realm string, in store.Store, sealer *store.Sealer, policies []string, scopes oauth.Scope, now func() time.Time) *InitialTokens {
	return &InitialTokens{
		table:  store.Table[storedToken]{Store: in, Name: realm + "/initial-access-token", Now: now},
		sealer: sealer, now: now,
		judge: func(t *InitialToken) error { return t.check(policies, scopes, now()) },
	}
}

// What an initial access token begins with, and bounds of what it says.
const (
	initialPrefix   = "fapid_iat."
	maxInitialUses  = 1_000_000
	maxInitialLabel = 200
	// explained is how long an ended token is known still, so that its holder is
	// told that it has ended.
	explained = 7 * 24 * time.Hour
)

func (t *InitialToken) check(policies []string, scopes oauth.Scope, now time.Time) error {
	wanted, err := oauth.ParseScope(t.Scope)
	if err != nil {
		return oauth.InvalidRequest("scope: %s", oauth.AsError(err).Description)
	}
	missing, beyond := scopes.Missing(wanted)
	switch {
	case len(t.Label) > maxInitialLabel || checkText(t.Label) != nil:
		return oauth.InvalidRequest("label is one line of at most %d bytes", maxInitialLabel)
	case t.Uses < 0 || t.Uses > maxInitialUses || t.Quota < 0 || t.Quota > maxInitialUses:
		return oauth.InvalidRequest("uses and quota are at most %d", maxInitialUses)
	case t.ExpiresAt != 0 && t.ExpiresAt <= now.Unix():
		return oauth.InvalidRequest("expires_at lies in the past")
	case t.Policy != "" && !slices.Contains(policies, t.Policy):
		return oauth.InvalidRequest("policy is %s; this realm has %s", quote(t.Policy), list(policies))
	case beyond:
		return oauth.InvalidRequest("scope %s is not one that software which registers itself may have: %s", quote(missing), list(scopes))
	}
	return nil
}

// Create makes a token by what it is to allow, and returns it with its text, which
// nobody is told again. It is on disk then.
func (i *InitialTokens) Create(ctx context.Context, t InitialToken) (InitialToken, string, error) {
	if err := i.judge(&t); err != nil {
		return InitialToken{}, "", err
	}
	t.ID, t.Used, t.Uses, t.CreatedAt = strings.ToLower(rand.Text()), 0, max(t.Uses, 1), i.now().Unix()
	secret := rand.Text() + rand.Text() // 260 bits
	if err := i.table.Create(ctx, t.ID, storedToken{t, i.hash(t.ID, secret)}, t.kept()); err != nil {
		return InitialToken{}, "", fmt.Errorf("store initial access token: %w", err)
	}
	return t, initialPrefix + t.ID + "." + secret, nil
}

// kept is until when the record is of use.
func (t *InitialToken) kept() time.Time {
	if t.ExpiresAt == 0 {
		return time.Time{}
	}
	return time.Unix(t.ExpiresAt, 0).Add(explained)
}

// hash covers the id, so that a hash copied to another record is worth nothing.
func (i *InitialTokens) hash(id, secret string) []byte {
	return i.sealer.MAC([]byte("initial access token\x00" + id + "\x00" + secret))
}

// Find returns the token of a text, if it may be used now; the error says why not,
// and is for the trace.
func (i *InitialTokens) Find(ctx context.Context, text string) (*InitialToken, error) {
	rest, ours := strings.CutPrefix(text, initialPrefix)
	id, secret, _ := strings.Cut(rest, ".")
	const longest = 200
	if !ours || id == "" || len(text) > longest {
		return nil, errors.New("not an initial access token of this server")
	}
	kept, err := i.table.Get(ctx, id)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, oauth.TemporarilyUnavailable().Because("initial access tokens: %w", err)
	}
	if err != nil || subtle.ConstantTimeCompare(kept.Hash, i.hash(id, secret)) != 1 {
		return nil, errors.New("no such token")
	}
	if err := kept.usable(i.now()); err != nil {
		return nil, err
	}
	return &kept.InitialToken, nil
}

func (t *InitialToken) usable(now time.Time) error {
	switch {
	case t.ExpiresAt != 0 && now.Unix() >= t.ExpiresAt:
		return fmt.Errorf("expired %d s ago", now.Unix()-t.ExpiresAt)
	case t.Used >= t.Uses:
		return fmt.Errorf("used %d times, as often as it may be", t.Used)
	}
	return nil
}

// errTokenEnded says that a token could not be used any more when it came to that.
var errTokenEnded = errors.New("the initial access token has been used up, or deleted")

// use counts a use, in the transaction that writes the client.
func (i *InitialTokens) use(tx store.Tx, id string) error {
	kept, err := i.table.GetTx(tx, id)
	if errors.Is(err, store.ErrNotFound) {
		return errTokenEnded
	}
	if err != nil {
		return err
	}
	if kept.usable(i.now()) != nil {
		return errTokenEnded
	}
	kept.Used++
	return i.table.PutTx(tx, id, kept, kept.kept())
}

// List returns up to limit tokens whose id is greater than after, by id. Those that
// have ended are among them for a week.
func (i *InitialTokens) List(ctx context.Context, after string, limit int) ([]InitialToken, error) {
	tokens := []InitialToken{}
	err := i.table.Scan(ctx, "", after, func(_ string, t storedToken) (bool, error) {
		if len(tokens) == limit {
			return false, nil
		}
		tokens = append(tokens, t.InitialToken)
		return true, nil
	})
	return tokens, err
}

// Delete ends a token; the error is not_found when there is none. Clients that were
// registered with it stay.
func (i *InitialTokens) Delete(ctx context.Context, id string) error {
	_, err := i.table.Take(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return oauth.NotFound("no initial access token %s", quote(id))
	}
	return err
}
