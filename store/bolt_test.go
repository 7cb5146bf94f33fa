package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/fapid/fapid/store"
)

var ctx = context.Background()

func wantError(t *testing.T, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Fatalf("error %v, want %v", err, target)
	}
}

func TestLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fapid.db")
	first := open(t, path, store.Options{})
	began := time.Now()
	_, err := store.Open(path, store.Options{})
	wantError(t, err, store.ErrLocked)
	if want := "another fapid is using " + path + "; stop it, or point --dir somewhere else"; err.Error() != want {
		t.Errorf("says %q, want %q", err, want)
	}
	if waited := time.Since(began); waited > 20*time.Second {
		t.Errorf("waited %v", waited)
	}
	if err := records(first).Put(ctx, "k", spent{1}, time.Time{}); err != nil {
		t.Errorf("the first was disturbed: %v", err)
	}
}

func TestReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fapid.db")
	s := open(t, path, store.Options{})
	for i := range 200 {
		key := fmt.Sprint(i)
		if err := records(s).Put(ctx, key, spent{int64(i)}, time.Time{}); err != nil {
			t.Fatal(err)
		}
		if err := claimsOf(s).Claim(ctx, key, time.Now().Add(time.Duration(i)*time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, path, store.Options{})
	for i := range 200 {
		key := fmt.Sprint(i)
		if got, err := records(s).Get(ctx, key); err != nil || got.At != int64(i) {
			t.Fatalf("record %s: %v, %v", key, got, err)
		}
		wantError(t, claimsOf(s).Claim(ctx, key, time.Now().Add(time.Hour)), store.ErrExists)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestEphemeralLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "fapid.db")
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, path, store.Options{Ephemeral: true})
	if err := records(s).Put(ctx, "k", spent{1}, time.Time{}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	names, _ := os.ReadDir(dir)
	if left, _ := os.ReadFile(path); len(names) != 1 || string(left) != "mine" {
		t.Errorf("left %v, %q", names, left)
	}
}

func TestLeftoversOfCreation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fapid.db")
	for name, content := range map[string]string{".new-1": "", ".new-2": "half"} {
		if err := os.WriteFile(path+name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, path, store.Options{})
	if err := records(s).Put(ctx, "k", spent{1}, time.Time{}); err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(path + "*"); len(left) != 1 {
		t.Errorf("left %v", left)
	}
}

// TestOpenTogether lets many create the same store at once: one gets it.
func TestOpenTogether(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fapid.db")
	type outcome struct {
		s   *store.Bolt
		err error
	}
	outcomes := make(chan outcome)
	for range 8 {
		go func() {
			s, err := store.Open(path, store.Options{})
			outcomes <- outcome{s, err}
		}()
	}
	opened := 0
	for range 8 {
		switch o := <-outcomes; {
		case o.err == nil:
			opened++
			defer o.s.Close()
		case !errors.Is(o.err, store.ErrLocked):
			t.Error(o.err)
		}
	}
	if opened != 1 {
		t.Errorf("%d opened it", opened)
	}
}

func TestCannotOpen(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty.db")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ path, says string }{
		"folder missing": {filepath.Join(dir, "none", "fapid.db"), "the folder does not exist"},
		"a folder":       {dir, "not a regular file"},
		"empty":          {empty, "is damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := store.Open(c.path, store.Options{})
			if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), c.path) || strings.Contains(err.Error(), "\n") {
				t.Errorf("says %v", err)
			}
		})
	}
}

// clock is a wall clock that tests set.
type clock struct{ time.Time }

func (c *clock) now() time.Time { return c.Time }

func sweep(t *testing.T, s store.Store, want int) {
	t.Helper()
	if n, err := s.Sweep(ctx); err != nil || n != want {
		t.Fatalf("swept %d, %v; want %d", n, err, want)
	}
}

func TestSweep(t *testing.T) {
	wall := &clock{time.Now()}
	start := wall.Time
	s := open(t, filepath.Join(t.TempDir(), "fapid.db"), store.Options{Now: wall.now})
	table := store.Table[spent]{Store: s, Name: "r", Now: wall.now}
	const n = 2500
	err := s.Update(ctx, func(tx store.Tx) error {
		for i := range n {
			key := fmt.Sprintf("%04d", i)
			if err := table.CreateTx(tx, key, spent{}, start.Add(time.Minute)); err != nil {
				return err
			}
			if err := claimsOf(s).ClaimTx(tx, key, start.Add(time.Minute)); err != nil {
				return err
			}
		}
		return table.CreateTx(tx, "for ever", spent{}, time.Time{})
	})
	if err != nil {
		t.Fatal(err)
	}
	// These get another life, so their first entries in the index are void.
	if err := table.Put(ctx, "0000", spent{}, start.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := table.Put(ctx, "0001", spent{}, time.Time{}); err != nil {
		t.Fatal(err)
	}
	if _, err := table.Take(ctx, "0002"); err != nil {
		t.Fatal(err)
	}

	wall.Time = start.Add(time.Minute + store.SweepMargin - time.Second)
	sweep(t, s, 0)
	wall.Time = start.Add(time.Minute + store.SweepMargin + 33*time.Second)
	sweep(t, s, 2*n-3)
	sweep(t, s, 0)
	for _, key := range []string{"0000", "0001", "for ever"} {
		if found, err := table.Has(ctx, key); !found || err != nil {
			t.Errorf("%s: %v, %v", key, found, err)
		}
	}
	wall.Time = start.Add(2 * time.Hour)
	sweep(t, s, 1)
	if found, err := table.Has(ctx, "for ever"); !found || err != nil {
		t.Errorf("%v, %v", found, err)
	}
}

// TestClocks sets the clock forwards, sweeps, and sets it back: what was claimed
// is never to be had again, also after a restart.
func TestClocks(t *testing.T) {
	for _, jump := range []time.Duration{time.Second, 61 * time.Second, 10 * time.Minute, 24 * time.Hour, 80 * 365 * 24 * time.Hour} {
		t.Run(jump.String(), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "fapid.db")
			wall := &clock{time.Now()}
			s := open(t, path, store.Options{Now: wall.now})
			end := wall.Add(time.Minute)
			table := store.Table[spent]{Store: s, Name: "r", Now: wall.now}
			if err := errors.Join(claimsOf(s).Claim(ctx, "k", end), table.Create(ctx, "k", spent{}, end)); err != nil {
				t.Fatal(err)
			}
			wall.Time = wall.Add(jump)
			if _, err := s.Sweep(ctx); err != nil {
				t.Fatal(err)
			}
			wall.Time = wall.Add(-jump)
			wantError(t, claimsOf(s).Claim(ctx, "k", end), store.ErrExists)
			wantError(t, table.Create(ctx, "k", spent{}, end), store.ErrExists)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open(t, path, store.Options{Now: wall.now})
			table.Store = s
			wantError(t, claimsOf(s).Claim(ctx, "k", end), store.ErrExists)
			wantError(t, table.Create(ctx, "k", spent{}, end), store.ErrExists)
			// Later ones are taken, as an outage would help nobody.
			later := end.Add(time.Minute)
			if err := errors.Join(claimsOf(s).Claim(ctx, "l", later), table.Create(ctx, "l", spent{}, later)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestGoexit(t *testing.T) {
	s := open(t, "", store.Options{Ephemeral: true})
	done := make(chan bool)
	go func() {
		defer close(done)
		_ = s.Update(ctx, func(tx store.Tx) error {
			_ = tx.Put("g", []byte("k"), nil, time.Time{})
			runtime.Goexit()
			return nil
		})
	}()
	<-done
	if err := records(s).Put(ctx, "after", spent{}, time.Time{}); err != nil {
		t.Fatal(err)
	}
	err := s.View(ctx, func(tx store.Tx) error { _, _, err := tx.Get("g", []byte("k")); return err })
	wantError(t, err, store.ErrNotFound)
}
