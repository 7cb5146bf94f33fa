package token_test

import (
	"slices"
	"testing"
	"time"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/token"
)

// derived issues an opaque token to a client that was exchanged for tokens.
func derived(t testing.TB, i *token.Issuer, client string, from ...*token.Claims) *token.Claims {
	t.Helper()
	text, _, err := i.Issue(t.Context(), &token.Authorization{
		Client: &registration.Client{ID: client}, Subject: from[0].Subject, Format: oauth.FormatOpaque,
		Lifetime: 2 * time.Hour, Until: time.Unix(from[0].Expires, 0), Origins: token.Lineage(from...),
	})
	if err != nil {
		t.Fatal(err)
	}
	claims, err := i.Parse(t.Context(), text)
	if err != nil {
		t.Fatal(err)
	}
	return claims
}

// TestOriginsInLists: a session that came of one that was ended is ended, for
// whoever lists, filters or shows; and only that.
func TestOriginsInLists(t *testing.T) {
	now := time.UnixMilli(1_800_000_000_000)
	i := at(t, &now)
	first, err := i.Sessions.Get(t.Context(), opaque(t, i, "a", "alice", "api"))
	if err != nil {
		t.Fatal(err)
	}
	other, err := i.Sessions.Get(t.Context(), opaque(t, i, "a", "alice", "api"))
	if err != nil {
		t.Fatal(err)
	}
	second := derived(t, i, "b", &first.Claims)
	third := derived(t, i, "c", second, &first.Claims)
	apart := derived(t, i, "d", &other.Claims)
	if second.Expires != first.Expires {
		t.Errorf("expires at %d, what it came of at %d", second.Expires, first.Expires)
	}
	if got := third.Origins; len(got) != 2 || got[0] != (token.Origin{Session: second.ID, ClientID: "b"}) || got[1] != (token.Origin{Session: first.ID, ClientID: "a"}) {
		t.Errorf("origins are %+v", got)
	}
	now = now.Add(time.Minute)
	if err := i.Sessions.End(t.Context(), first.ID, token.EndedByOperator); err != nil {
		t.Fatal(err)
	}
	for state, want := range map[token.SessionState][]string{token.Ended: {first.ID, second.ID, third.ID}, token.Live: {other.ID, apart.ID}} {
		got := ids(t, i.Sessions, token.Filter{State: state})
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s are %v, want %v", state, got, want)
		}
	}
	shown, err := i.Sessions.Get(t.Context(), third.ID)
	if err != nil || shown.Ended == nil || shown.Ended.By != token.EndedByOrigin || shown.Ended.At != now.Unix() {
		t.Errorf("%+v, %v", shown, err)
	}
	// Nothing more can be made of what has no time left.
	now = time.Unix(second.Expires, 0)
	_, _, err = i.Issue(t.Context(), &token.Authorization{
		Client: &registration.Client{ID: "e"}, Format: oauth.FormatOpaque, Lifetime: time.Hour, Until: now,
	})
	if oauth.AsError(err).Code != oauth.CodeInvalidRequest {
		t.Errorf("issued at its end: %v", err)
	}
}
