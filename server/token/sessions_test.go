package token_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/token"
	"github.com/fapid/fapid/store"
)

// at is an issuer whose clock a test sets.
func at(t testing.TB, now *time.Time) *token.Issuer {
	t.Helper()
	s, err := store.Open("", store.Options{Ephemeral: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return issuerAt(t, s, func() time.Time { return *now })
}

// opaque issues an opaque token to a client and returns its jti.
func opaque(t testing.TB, i *token.Issuer, client, subject, api string) string {
	t.Helper()
	text, _, err := i.Issue(t.Context(), &token.Authorization{
		Client: &registration.Client{ID: client}, Subject: subject, Audience: oauth.Audience{api},
		Format: oauth.FormatOpaque, Lifetime: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	claims, err := i.Parse(t.Context(), text)
	if err != nil {
		t.Fatal(err)
	}
	return claims.ID
}

// ids lists sessions by pages of two.
func ids(t *testing.T, s *token.Sessions, wanted token.Filter) (all []string) {
	t.Helper()
	for after := ""; ; {
		page, next, err := s.List(t.Context(), wanted, after, 2)
		if err != nil || len(page) > 2 {
			t.Fatal(page, err)
		}
		for _, session := range page {
			all = append(all, session.ID)
		}
		if after = next; next == "" {
			return all
		}
	}
}

func TestListSelects(t *testing.T) {
	now := time.UnixMilli(1_800_000_000_000)
	i := at(t, &now)
	start := now
	var made []string // one a second, the newest last; clients a, ab, a, ab, a
	for n := range 5 {
		made = append(made, opaque(t, i, []string{"a", "ab"}[n%2], fmt.Sprintf("user-%d", n%2), fmt.Sprintf("api-%d", n%3)))
		now = now.Add(time.Second)
	}
	of := func(indices ...int) (some []string) {
		for _, n := range indices {
			some = append(some, made[n])
		}
		return some
	}
	if err := i.Sessions.End(t.Context(), made[2], token.EndedByOperator); err != nil {
		t.Fatal(err)
	}
	after := func(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }
	for name, test := range map[string]struct {
		filter token.Filter
		want   []string
	}{
		"all":                  {token.Filter{}, of(4, 2, 0, 3, 1)},
		"client":               {token.Filter{Client: "a"}, of(4, 2, 0)},
		"longer client":        {token.Filter{Client: "ab"}, of(3, 1)},
		"nobody":               {token.Filter{Client: "b"}, nil},
		"subject":              {token.Filter{Subject: "user-1"}, of(3, 1)},
		"API":                  {token.Filter{API: "api-0"}, of(0, 3)},
		"ended":                {token.Filter{State: token.Ended}, of(2)},
		"live":                 {token.Filter{State: token.Live}, of(4, 0, 3, 1)},
		"from, of a client":    {token.Filter{Client: "a", From: after(2)}, of(4, 2)},
		"to, of a client":      {token.Filter{Client: "a", To: after(2)}, of(2, 0)},
		"between, of a client": {token.Filter{Client: "a", From: after(1), To: after(3)}, of(2)},
		"between":              {token.Filter{From: after(1), To: after(3)}, of(2, 3, 1)},
		"two things":           {token.Filter{Client: "a", API: "api-1"}, of(4)},
	} {
		if got := ids(t, i.Sessions, test.filter); !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
	now = now.Add(time.Hour)
	if got := ids(t, i.Sessions, token.Filter{}); got != nil {
		t.Errorf("expired ones are listed: %v", got)
	}
}

// TestGetAndEnd: a session is found by the jti alone, and its end is known at once.
func TestGetAndEnd(t *testing.T) {
	now := time.Now()
	i := at(t, &now)
	made := map[string]string{}
	for _, client := range []string{"a", "a/b", "ab", "z"} {
		made[client] = opaque(t, i, client, client, "api")
	}
	for client, id := range made {
		session, err := i.Sessions.Get(t.Context(), id)
		if err != nil || session.ClientID != client || session.State() != token.Live {
			t.Fatalf("%s: %+v, %v", client, session, err)
		}
		for range 2 { // again changes nothing
			if err := i.Sessions.End(t.Context(), id, token.EndedByOperator); err != nil {
				t.Fatal(err)
			}
			now = now.Add(time.Second)
		}
		session, err = i.Sessions.Get(t.Context(), id)
		if err != nil || session.State() != token.Ended || session.Ended.By != token.EndedByOperator || session.Ended.At != now.Add(-2*time.Second).Unix() {
			t.Errorf("%s: %+v, %v", client, session, err)
		}
	}
	if _, err := i.Sessions.Get(t.Context(), "nothing"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("an unknown id: %v", err)
	}
	if err := i.Sessions.End(t.Context(), "nothing", ""); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("an unknown id: %v", err)
	}
}

// TestRecordedJWT: a JWT is listed where its client wants it, and its end bites
// whether it is or not.
func TestRecordedJWT(t *testing.T) {
	now := time.Now()
	i := at(t, &now)
	for _, record := range []bool{false, true} {
		client := &registration.Client{ID: fmt.Sprint(record), TokenAlg: "ES256", RecordTokens: record}
		text, _, err := i.Issue(t.Context(), &token.Authorization{Client: client, Format: oauth.FormatJWT, Lifetime: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		page, _, err := i.Sessions.List(t.Context(), token.Filter{Client: client.ID}, "", 10)
		if err != nil || (len(page) == 1) != record {
			t.Fatalf("recorded %v: %+v, %v", record, page, err)
		}
		claims, err := i.Verify(t.Context(), text, &oauth.Event{})
		if err != nil {
			t.Fatal(err)
		}
		if err := i.Revoke(t.Context(), claims); err != nil {
			t.Fatal(err)
		}
		if _, err := i.Verify(t.Context(), text, &oauth.Event{}); oauth.AsError(err).Code != oauth.CodeInvalidToken {
			t.Errorf("recorded %v: verified after its end: %v", record, err)
		}
	}
}

// BenchmarkList is the first page of the sessions of a client that has 100,000.
func BenchmarkList(b *testing.B) {
	now := time.Now()
	i := at(b, &now)
	authorization := token.Authorization{
		Client: &registration.Client{ID: "many"}, Subject: "many", Audience: oauth.Audience{"https://localhost:8444/bank"},
		Format: oauth.FormatOpaque, Lifetime: time.Hour,
	}
	for range 100_000 {
		own := authorization
		if _, _, err := i.Issue(context.Background(), &own); err != nil {
			b.Fatal(err)
		}
	}
	for name, wanted := range map[string]token.Filter{"client": {Client: "many"}, "nothing": {Client: "many", Subject: "nobody"}} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, _, err := i.Sessions.List(context.Background(), wanted, "", 100); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestEndRacesRefresh is F5, a thousand times: when the end of a session has been
// answered, neither its tokens nor those a refresh fetches at that moment are good.
func TestEndRacesRefresh(t *testing.T) {
	now := time.Now()
	i := at(t, &now)
	client := &registration.Client{ID: "tpp", TokenAlg: "EdDSA", RefreshTokens: true}
	for round := range 1000 {
		format := []string{oauth.FormatJWT, oauth.FormatOpaque}[round%2]
		first := token.Authorization{Client: client, Format: format, Lifetime: time.Minute, Refresh: true}
		access, _, err := i.Issue(t.Context(), &first)
		if err != nil {
			t.Fatal(err)
		}
		claims, err := i.Parse(t.Context(), access)
		if err != nil {
			t.Fatal(err)
		}
		texts := []string{access}
		ended, fetching := make(chan error), make(chan string)
		go func() { ended <- i.Revoke(context.Background(), claims) }()
		go func() {
			next := token.Authorization{Client: client, Format: format, Lifetime: time.Minute}
			text := ""
			if _, err := i.Sessions.Spend(context.Background(), first.RefreshToken, round%4 < 2, &next); err == nil {
				text, _, _ = i.Issue(context.Background(), &next)
			}
			fetching <- text
		}()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		if text := <-fetching; text != "" {
			texts = append(texts, text)
		}
		for n, text := range texts {
			if _, err := i.Verify(t.Context(), text, &oauth.Event{}); oauth.AsError(err).Code != oauth.CodeInvalidToken {
				t.Fatalf("round %d: token %d survived: %v", round, n, err)
			}
		}
		if _, err := i.Sessions.Refresh(t.Context(), first.RefreshToken); !errors.Is(err, token.ErrForeign) {
			t.Fatalf("round %d: the refresh token survived: %v", round, err)
		}
	}
}

// TestSpendHasOneWinner is F3 below the door: of sixteen that spend one refresh
// token at once one does, every time.
func TestSpendHasOneWinner(t *testing.T) {
	now := time.Now()
	i := at(t, &now)
	client := &registration.Client{ID: "tpp", RefreshTokens: true}
	for range 1000 {
		first := token.Authorization{Client: client, Format: oauth.FormatOpaque, Lifetime: time.Minute, Refresh: true}
		if _, _, err := i.Issue(t.Context(), &first); err != nil {
			t.Fatal(err)
		}
		outcomes := make(chan error)
		for range 16 {
			go func() {
				_, err := i.Sessions.Spend(context.Background(), first.RefreshToken, true, &token.Authorization{Lifetime: time.Minute})
				outcomes <- err
			}()
		}
		won := 0
		for range 16 {
			if err := <-outcomes; err == nil {
				won++
			} else if !errors.Is(err, token.ErrForeign) {
				t.Fatal(err)
			}
		}
		if won != 1 {
			t.Fatalf("%d winners", won)
		}
	}
}
