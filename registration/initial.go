package registration

import (
	"cmp"
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

// Allowance is what an initial access token allows.
type Allowance struct {
	Label string `json:"label,omitempty"` // for people
	// Uses is how often it may be used, once if it is 0.
	Uses int64 `json:"uses,omitempty"`
	// Lifetime is how long it may be used, in seconds; 0 is for ever.
	Lifetime int64 `json:"lifetime,omitempty"`
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

// InitialToken is an initial access token (RFC 7591 section 1.2): whoever has it may
// register software, as often and as what it says. The token itself is shown once,
// when it is made, and kept as a keyed hash.
type InitialToken struct {
	ID string `json:"id"`
	Allowance
	CreatedAt int64      `json:"created_at"`           // seconds since 1970
	ExpiresAt int64      `json:"expires_at,omitempty"` // seconds since 1970; 0 is never
	Used      int64      `json:"used"`
	State     TokenState `json:"state,omitempty"` // now; not kept
}

// IssuedToken is an initial access token with its text, as who has it made is told it.
type IssuedToken struct {
	Token string `json:"token"`
	InitialToken
}

// TokenState says whether an initial access token may be used.
type TokenState string

// The states of an initial access token.
const (
	TokenLive    TokenState = "live"
	TokenUsedUp  TokenState = "used_up"
	TokenExpired TokenState = "expired"
)

// storedToken is an initial access token as it is kept.
type storedToken struct {
	InitialToken
	Hash []byte `json:"hash"`
}

// InitialTokensConfig is what [InitialTokens] are made from.
type InitialTokensConfig struct {
	Realm  string
	Store  store.Store
	Sealer *store.Sealer
	// Taken says that software may register with a token; otherwise none is made.
	Taken bool
	// Policies are the security profiles that a token may name, Policy is that of who
	// registers with one that names none.
	Policies []string
	Policy   string
	// Scopes are the most that a token may give.
	Scopes oauth.Scope
	Now    func() time.Time
}

// InitialTokens are the initial access tokens of a realm. They are safe for
// concurrent use.
type InitialTokens struct {
	config InitialTokensConfig
	table  store.Table[storedToken]
}

// NewInitialTokens are those of a realm.
func NewInitialTokens(config InitialTokensConfig) *InitialTokens {
	return &InitialTokens{config, store.Table[storedToken]{Store: config.Store, Name: config.Realm + "/initial-access-token", Now: config.Now}}
}

// What an initial access token begins with, and bounds of what it says.
const (
	initialPrefix   = "fapid_iat."
	maxInitialUses  = 1_000_000
	maxInitialLabel = 200
	maxInitialLife  = 10 * 365 * 24 * 60 * 60 // seconds
	// explained is how long an ended token is known still, so that its holder is
	// told that it has ended.
	explained = 7 * 24 * time.Hour
)

// check holds what is to be made to what the realm has.
func (a *Allowance) check(policies []string, scopes oauth.Scope) error {
	wanted, err := oauth.ParseScope(a.Scope)
	if err != nil {
		return oauth.InvalidRequest("scope: %s", oauth.AsError(err).Description)
	}
	missing, beyond := scopes.Missing(wanted)
	switch {
	case len(a.Label) > maxInitialLabel || checkText(a.Label) != nil:
		return oauth.InvalidRequest("label is one line of at most %d bytes", maxInitialLabel)
	case a.Uses < 0 || a.Uses > maxInitialUses || a.Quota < 0 || a.Quota > maxInitialUses:
		return oauth.InvalidRequest("uses and quota are 0 to %d", maxInitialUses)
	case a.Lifetime < 0 || a.Lifetime > maxInitialLife:
		return oauth.InvalidRequest("lifetime is 0 to %d seconds", maxInitialLife)
	case a.Policy != "" && !slices.Contains(policies, a.Policy):
		return oauth.InvalidRequest("policy is %s; this realm has %s", quote(a.Policy), list(policies))
	case beyond:
		return oauth.InvalidRequest("scope %s is not one that software which registers itself may have: %s", quote(missing), list(scopes))
	}
	return nil
}

// ParseAllowance reads an allowance as [Decode] does. Every error is an
// invalid_request that names the member and what was expected.
func ParseAllowance(data []byte, in Syntax) (Allowance, error) {
	var a Allowance
	if err := Decode("initial access token", data, in, &a); err != nil {
		return Allowance{}, oauth.InvalidRequest("%s", err.Error())
	}
	return a, nil
}

// Create makes a token by what it is to allow, and returns it with its text, which
// nobody is told again. It is on disk then.
func (i *InitialTokens) Create(ctx context.Context, allows Allowance) (InitialToken, string, error) {
	if !i.config.Taken {
		return InitialToken{}, "", oauth.InvalidRequest("this realm takes no initial access tokens: registration.access has no initial_access_token")
	}
	if err := allows.check(i.config.Policies, i.config.Scopes); err != nil {
		return InitialToken{}, "", err
	}
	allows.Uses = max(allows.Uses, 1)
	t := InitialToken{ID: strings.ToLower(rand.Text()), Allowance: allows, CreatedAt: i.config.Now().Unix()}
	if allows.Lifetime > 0 {
		t.ExpiresAt = t.CreatedAt + allows.Lifetime
	}
	secret := rand.Text() + rand.Text() // 260 bits
	if err := i.table.Create(ctx, t.ID, storedToken{t, i.hash(t.ID, secret)}, t.kept()); err != nil {
		return InitialToken{}, "", fmt.Errorf("store initial access token: %w", err)
	}
	return i.seen(t), initialPrefix + t.ID + "." + secret, nil
}

// Policy is the security profile of who registers with a token of an allowance.
func (i *InitialTokens) Policy(allows Allowance) string {
	return cmp.Or(allows.Policy, i.config.Policy)
}

// seen is a token as it is now.
func (i *InitialTokens) seen(t InitialToken) InitialToken {
	t.State, _ = t.state(i.config.Now())
	return t
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
	return i.config.Sealer.MAC([]byte("initial access token\x00" + id + "\x00" + secret))
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
	if _, err := kept.state(i.config.Now()); err != nil {
		return nil, err
	}
	return &kept.InitialToken, nil
}

// state says whether a token may be used, and why not.
func (t *InitialToken) state(now time.Time) (TokenState, error) {
	switch {
	case t.ExpiresAt != 0 && now.Unix() >= t.ExpiresAt:
		return TokenExpired, fmt.Errorf("expired %d s ago", now.Unix()-t.ExpiresAt)
	case t.Used >= t.Uses:
		return TokenUsedUp, fmt.Errorf("used %d times, as often as it may be", t.Used)
	}
	return TokenLive, nil
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
	if _, err := kept.state(i.config.Now()); err != nil {
		return errTokenEnded
	}
	until := kept.kept()
	if kept.Used++; kept.Used >= kept.Uses {
		until = i.config.Now().Add(explained)
	}
	return i.table.PutTx(tx, id, kept, until)
}

// List returns up to limit tokens whose id is greater than after, by id. Those that
// have ended are among them for a week.
func (i *InitialTokens) List(ctx context.Context, after string, limit int) ([]InitialToken, error) {
	tokens := []InitialToken{}
	err := i.table.Scan(ctx, "", after, func(_ string, t storedToken) (bool, error) {
		if len(tokens) == limit {
			return false, nil
		}
		tokens = append(tokens, i.seen(t.InitialToken))
		return true, nil
	})
	return tokens, err
}

// Get returns a token by its id; the error is not_found when there is none.
func (i *InitialTokens) Get(ctx context.Context, id string) (InitialToken, error) {
	kept, err := i.table.Get(ctx, id)
	if err != nil {
		return InitialToken{}, noToken(id, err)
	}
	return i.seen(kept.InitialToken), nil
}

func noToken(id string, err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return oauth.NotFound("no initial access token %s", quote(id))
	}
	return oauth.TemporarilyUnavailable().Because("initial access tokens: %w", err)
}

// Delete ends a token; the error is not_found when there is none. Clients that were
// registered with it stay.
func (i *InitialTokens) Delete(ctx context.Context, id string) error {
	if _, err := i.table.Take(ctx, id); err != nil {
		return noToken(id, err)
	}
	return nil
}
