package store_test

import (
	"crypto/rand"
	"encoding/base64"
	"path/filepath"
	"testing"
	"time"

	"github.com/fapid/fapid/store"
	"github.com/fapid/fapid/store/storetest"
)

type spent struct {
	At int64 `json:"at"`
}

func randomKey() string {
	var b [32]byte
	_, _ = rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

func claimsOf(s store.Store) store.Claims { return store.Claims{Store: s, Name: "default/assertion"} }

func records(s store.Store) store.Table[spent] {
	return store.Table[spent]{Store: s, Name: "default/assertion", Now: time.Now}
}

func open(t *testing.T, path string, options store.Options) *store.Bolt {
	t.Helper()
	s, err := store.Open(path, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestBolt(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store {
		return open(t, filepath.Join(t.TempDir(), "fapid.db"), store.Options{})
	})
}

func TestEphemeral(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return open(t, "", store.Options{Ephemeral: true}) })
}
