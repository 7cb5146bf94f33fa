package store_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fapid/fapid/store"
)

const pageBytes = 4096

// damages each do one thing to the bytes of a file.
var damages = map[string]func(data []byte, r *rand.Rand) []byte{
	"truncated": func(data []byte, r *rand.Rand) []byte { return data[:r.IntN(len(data))] },
	"no metas":  func(data []byte, _ *rand.Rand) []byte { clear(data[:2*pageBytes]); return data },
	"one meta": func(data []byte, r *rand.Rand) []byte {
		clear(page(data, r.IntN(2)))
		return data
	},
	"zero page": func(data []byte, r *rand.Rand) []byte { clear(anyPage(data, r)); return data },
	"noise": func(data []byte, r *rand.Rand) []byte {
		p := anyPage(data, r)
		for i := range p {
			p[i] = byte(r.Uint32())
		}
		return data
	},
	"noise in a page": func(data []byte, r *rand.Rand) []byte {
		p := anyPage(data, r)
		from := r.IntN(len(p))
		for i := range p[from:min(len(p), from+1+r.IntN(64))] {
			p[from+i] = byte(r.Uint32())
		}
		return data
	},
	"bit": func(data []byte, r *rand.Rand) []byte {
		data[r.IntN(len(data))] ^= 1 << r.IntN(8)
		return data
	},
	"header bit": func(data []byte, r *rand.Rand) []byte {
		anyPage(data, r)[r.IntN(128)] ^= 1 << r.IntN(8)
		return data
	},
	"swapped pages": func(data []byte, r *rand.Rand) []byte {
		a, b := anyPage(data, r), anyPage(data, r)
		keep := append([]byte(nil), a...)
		copy(a, b)
		copy(b, keep)
		return data
	},
}

func page(data []byte, i int) []byte { return data[i*pageBytes : (i+1)*pageBytes] }

func anyPage(data []byte, r *rand.Rand) []byte { return page(data, r.IntN(len(data)/pageBytes)) }

// TestDamage damages files at random. Either the store refuses to open and
// names the file, or everything is there, exactly as it was written.
func TestDamage(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "whole.db")
	s := open(t, path, store.Options{})
	const n = 600
	end := time.Now().Add(time.Hour)
	for from := 0; from < n; from += 50 {
		err := s.Update(ctx, func(tx store.Tx) error {
			for i := from; i < from+50; i++ {
				key := fmt.Sprint("key", i)
				if err := records(s).CreateTx(tx, key, spent{int64(i)}, end); err != nil {
					return err
				}
				if err := claimsOf(s).ClaimTx(tx, key, end); err != nil {
					return err
				}
			}
			return tx.Put("small", fmt.Append(nil, from), []byte(strings.Repeat("v", from*20)), time.Time{})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rounds := 30
	if testing.Short() {
		rounds = 10
	}
	refused, opened := 0, 0
	for name, damage := range damages {
		for seed := range rounds {
			path := filepath.Join(dir, "damaged.db")
			data := damage(append([]byte(nil), whole...), rand.New(rand.NewPCG(uint64(seed), 7)))
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := store.Open(path, store.Options{})
			if err != nil {
				refused++
				if !errors.Is(err, store.ErrDamaged) || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "\n") {
					t.Errorf("%s %d: %v", name, seed, err)
				}
				continue
			}
			opened++
			if err := isWhole(s, n, end); err != nil {
				t.Errorf("%s %d opened, but: %v", name, seed, err)
			}
			_ = s.Close()
		}
	}
	t.Logf("%d refused, %d opened whole", refused, opened)
}

func isWhole(s store.Store, n int, end time.Time) error {
	for i := range n {
		key := fmt.Sprint("key", i)
		if got, err := records(s).Get(ctx, key); err != nil || got.At != int64(i) {
			return fmt.Errorf("record %s: %v, %v", key, got, err)
		}
		if err := claimsOf(s).Claim(ctx, key, end); !errors.Is(err, store.ErrExists) {
			return fmt.Errorf("claim %s: %v", key, err)
		}
	}
	for i := 0; i < n; i += 50 {
		err := s.View(ctx, func(tx store.Tx) error {
			value, _, err := tx.Get("small", fmt.Append(nil, i))
			if err == nil && string(value) != strings.Repeat("v", i*20) {
				err = errors.New("wrong value")
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("small %d: %w", i, err)
		}
	}
	return nil
}

// TestWholeFilesOpen lets the store write all it can, with deletions and sweeps,
// and opens the file again and again: what the engine writes passes.
func TestWholeFilesOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fapid.db")
	r := rand.New(rand.NewPCG(1, 2))
	wall := &clock{time.Now()}
	rounds := 6
	if testing.Short() {
		rounds = 4
	}
	for round := range rounds {
		s := open(t, path, store.Options{Now: wall.now})
		for range 10 {
			err := s.Update(ctx, func(tx store.Tx) error {
				for range r.IntN(500) {
					table, key := fmt.Sprint("t", r.IntN(4)), fmt.Append(nil, r.IntN(5000))
					expires := wall.Add(time.Duration(r.IntN(600)) * time.Second)
					err := tx.Put(table, key, make([]byte, r.IntN(1<<r.IntN(13))), expires)
					if r.IntN(3) == 0 {
						err = tx.Delete(table, key)
					}
					if err == nil {
						err = claimsOf(s).ClaimTx(tx, randomKey(), expires)
					}
					if err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		wall.Time = wall.Add(time.Duration(r.IntN(900)) * time.Second)
		if _, err := s.Sweep(ctx); err != nil {
			t.Fatal(err)
		}
		if round%3 == 2 { // all is gone
			wall.Time = wall.Add(time.Hour)
			if _, err := s.Sweep(ctx); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
