package token_test

import (
	"crypto"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/oauth/jwk"
	"github.com/fapid/fapid/server/servertest"
	"github.com/fapid/fapid/server/token"
)

// TestKeysForWhoGoesAway: whoever wants the first token by RS256 and goes away, whenever
// that is, has its keys made once.
func TestKeysForWhoGoesAway(t *testing.T) {
	now := time.Now()
	i, err := at(t, &now), error(nil)
	for patience := 0; patience == 0 || err != nil; patience++ {
		_, _, err = i.Issue(servertest.Leaving(t.Context(), patience), authorization("RS256"))
	}
	made := slices.DeleteFunc(slices.Clone(i.Keys.Keys()), func(record token.KeyRecord) bool { return record.Alg != "RS256" })
	if len(made) != 2 {
		t.Errorf("%d keys for RS256, want the active one and the next", len(made))
	}
}

// TestRotationOfWhoGoesAway: keys that are rotated are those that sign, whether or not
// whoever asked for it waits.
func TestRotationOfWhoGoesAway(t *testing.T) {
	now := time.Now()
	i := at(t, &now)
	first := i.Keys.Active("EdDSA").ID
	for patience := 0; i.Keys.Active("EdDSA").ID == first; patience++ {
		_ = i.Keys.Rotate(servertest.Leaving(t.Context(), patience), "EdDSA")
	}
	rotated := slices.DeleteFunc(slices.Clone(i.Keys.Keys()), func(record token.KeyRecord) bool { return record.Alg != "EdDSA" })
	if len(rotated) != 3 {
		t.Errorf("%d keys after the first rotation, want 3", len(rotated))
	}
}

// TestKeysForAFullSet: keys that nobody has wanted before have to fit into the set.
func TestKeysForAFullSet(t *testing.T) {
	now := time.Now()
	i := at(t, &now)
	for len(i.Keys.Keys()) < jwk.MaxKeys-1 {
		if err := i.Keys.Rotate(t.Context(), "EdDSA"); err != nil {
			t.Fatal(err)
		}
	}
	_, _, err := i.Issue(t.Context(), authorization("RS256"))
	if refusal := oauth.AsError(err); refusal.Code != oauth.CodeTemporarilyUnavailable || !strings.Contains(refusal.Error(), "50") {
		t.Errorf("%v, want temporarily_unavailable, and that there may be 50 keys", err)
	}
	if _, err := jwk.Parse(i.Keys.JWKS(), jwk.Registered, func(crypto.PublicKey) error { return nil }); err != nil {
		t.Errorf("the set that is published: %v", err)
	}
}
