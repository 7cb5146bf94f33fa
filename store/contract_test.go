package store_test

import (
	"path/filepath"
	"testing"

	"github.com/fapid/fapid/store"
	"github.com/fapid/fapid/store/storetest"
)

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
