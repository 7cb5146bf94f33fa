package token_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/server/token"
	"github.com/fapid/fapid/store"
)

// TestFurtherClaim: each of the names is a claim of its name, alone.
func TestFurtherClaim(t *testing.T) {
	s, err := store.Open("", store.Options{Ephemeral: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	i := issuerAt(t, s, time.Now)
	i.Subject = func(clientID string) string { return "client " + clientID }
	members := func(change func(*token.Authorization)) map[string]any {
		t.Helper()
		a := authorization("ES256")
		a.Subject, a.Roles, a.RolesAt = "client tpp-tls", []string{"reader"}, map[string]token.RolesAt{"api": {Roles: []string{"reader"}}}
		change(a)
		compact, _, err := i.Issue(context.Background(), a)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := i.Parse(context.Background(), compact)
		if err != nil || parsed.ClientID != "tpp-tls" || i.Further == nil && parsed.Further != nil {
			t.Errorf("%v: parsed as %+v: %v", i.Further, parsed, err)
		}
		payload, err := base64.RawURLEncoding.DecodeString(strings.Split(compact, ".")[1])
		if err != nil {
			t.Fatal(err)
		}
		var members map[string]any
		if err := json.Unmarshal(payload, &members); err != nil {
			t.Fatal(err)
		}
		return members
	}
	same := func(*token.Authorization) {}
	plain := members(same)
	for _, name := range token.FurtherClaims {
		i.Further = []string{name}
		if got := members(same); plain[name] != nil || got[name] == nil || len(got) != len(plain)+1 {
			t.Errorf("%s: %v beside %v", name, got, plain)
		}
	}

	// Whose sub it is, the clients that the token came from tell; if none of them has
	// it any more, the claim is left out.
	i.Further = []string{"preferred_username"}
	for sub, want := range map[string]any{"client tpp-tls": "service-account-tpp-tls", "client first": "service-account-first", "first": nil} {
		got := members(func(a *token.Authorization) {
			a.Subject, a.Act = sub, &oauth.Actor{Party: oauth.Party{ClientID: "tpp-tls"}}
			a.Origins = []token.Origin{{Session: "2", ClientID: "second"}, {Session: "1", ClientID: "first"}}
		})
		if got["preferred_username"] != want {
			t.Errorf("of %s: %v, want %v", sub, got["preferred_username"], want)
		}
	}
}
