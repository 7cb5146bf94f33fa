package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fapid/fapid/store"
)

// race runs fn in all racers at once.
func race(fn func(i int)) {
	var ready, done sync.WaitGroup
	ready.Add(racers)
	for i := range racers {
		done.Go(func() {
			ready.Done()
			ready.Wait()
			fn(i)
		})
	}
	done.Wait()
}

// oneWinner races try for many rounds: one gets nil, the others the error.
func oneWinner(t *testing.T, rounds int, loser error, try func(round, i int) error) {
	t.Helper()
	for round := range rounds {
		var winners atomic.Int64
		race(func(i int) {
			switch err := try(round, i); {
			case err == nil:
				winners.Add(1)
			case !errors.Is(err, loser):
				t.Errorf("round %d: %v", round, err)
			}
		})
		if winners.Load() != 1 {
			t.Fatalf("round %d: %d winners", round, winners.Load())
		}
	}
}

const rounds = 100

func testCreateRace(t *testing.T, s store.Store) {
	items := table(s, "race", time.Now())
	end := time.Now().Add(time.Hour)
	oneWinner(t, rounds, store.ErrExists, func(round, i int) error {
		return items.Create(context.Background(), fmt.Sprint(round), record{Used: i}, end)
	})
}

func testTakeRace(t *testing.T, s store.Store) {
	items := table(s, "race", time.Now())
	for round := range rounds {
		put(t, s, "race", fmt.Sprint(round), `{"text":"one"}`)
	}
	oneWinner(t, rounds, store.ErrNotFound, func(round, _ int) error {
		got, err := items.Take(context.Background(), fmt.Sprint(round))
		if err == nil && got.Text != "one" {
			return fmt.Errorf("took %v", got)
		}
		return err
	})
}

func testUpdateRace(t *testing.T, s store.Store) {
	items := table(s, "race", time.Now())
	for round := range rounds {
		put(t, s, "race", fmt.Sprint(round), `{}`)
	}
	spent := errors.New("spent")
	oneWinner(t, rounds, spent, func(round, _ int) error {
		_, err := items.Update(context.Background(), fmt.Sprint(round), func(r *record) error {
			if r.Used > 0 {
				return spent
			}
			r.Used++
			return nil
		})
		return err
	})
	put(t, s, "race", "count", `{}`)
	race(func(int) {
		for range rounds / 4 {
			_, err := items.Update(context.Background(), "count", func(r *record) error { r.Used++; return nil })
			if err != nil {
				t.Error(err)
			}
		}
	})
	want(t, s, "race", "count", fmt.Sprintf(`{"text":"","used":%d}`, racers*(rounds/4)))
}

func testClaimRace(t *testing.T, s store.Store) {
	claims := store.Claims{Store: s, Name: "race"}
	end := time.Now().Add(time.Hour)
	oneWinner(t, rounds, store.ErrExists, func(round, _ int) error {
		return claims.Claim(context.Background(), fmt.Sprint(round), end)
	})
}

func testRollback(t *testing.T, s store.Store) {
	put(t, s, "r", "kept", "old")
	put(t, s, "r", "gone", "old")
	refused := errors.New("refused")
	err := s.Update(context.Background(), func(tx store.Tx) error {
		return errors.Join(
			tx.Put("r", []byte("kept"), []byte("new"), time.Time{}),
			tx.Put("r", []byte("kept"), []byte("newer"), time.Now()),
			tx.Delete("r", []byte("gone")),
			tx.Put("r", []byte("gone"), []byte("back"), time.Time{}),
			tx.Put("r", []byte("added"), []byte("x"), time.Now()),
			tx.Put("r2", []byte("added"), []byte("x"), time.Time{}),
			refused,
		)
	})
	wantError(t, err, refused)
	want(t, s, "r", "kept", "old")
	want(t, s, "r", "gone", "old")
	want(t, s, "r", "added", "")
	want(t, s, "r2", "added", "")
}

// testNeighbours lets good and bad calls share commits.
func testNeighbours(t *testing.T, s store.Store) {
	refused := errors.New("refused")
	race(func(i int) {
		for n := range 50 {
			key := fmt.Appendf(nil, "%d/%d", i, n)
			bad := (i+n)%3 == 0
			err := s.Update(context.Background(), func(tx store.Tx) error {
				if err := tx.Put("n", key, []byte("x"), time.Now().Add(time.Hour)); err != nil {
					return err
				}
				if err := tx.Put("n", fmt.Appendf(nil, "shared/%d", n), key, time.Time{}); err != nil {
					return err
				}
				if bad {
					return refused
				}
				return nil
			})
			if bad != errors.Is(err, refused) || !bad && err != nil {
				t.Errorf("%s: %v", key, err)
			}
		}
	})
	for i := range racers {
		for n := range 50 {
			value := "x"
			if (i+n)%3 == 0 {
				value = ""
			}
			want(t, s, "n", fmt.Sprintf("%d/%d", i, n), value)
		}
	}
	err := s.View(context.Background(), func(tx store.Tx) error {
		return tx.Scan("n", []byte("shared/"), nil, func(key, value []byte, _ time.Time) (bool, error) {
			var i, n int
			if _, err := fmt.Sscanf(string(value), "%d/%d", &i, &n); err != nil || (i+n)%3 == 0 {
				return false, fmt.Errorf("%s was left by the failed call %s", key, value)
			}
			return true, nil
		})
	})
	if err != nil {
		t.Error(err)
	}
}

func testPanic(t *testing.T, s store.Store) {
	race(func(i int) {
		key := fmt.Sprint(i)
		defer func() {
			if p := recover(); (p == "mine"+key) != (i%4 == 0) {
				t.Errorf("call %d: recovered %v", i, p)
			}
		}()
		err := s.Update(context.Background(), func(tx store.Tx) error {
			if err := tx.Put("p", []byte(key), []byte("x"), time.Time{}); err != nil {
				return err
			}
			if i%4 == 0 {
				panic("mine" + key)
			}
			return nil
		})
		if err != nil {
			t.Errorf("call %d: %v", i, err)
		}
	})
	want(t, s, "p", "0", "")
	want(t, s, "p", "1", "x")
	func() {
		defer func() {
			if p := recover(); p != "view" {
				t.Errorf("recovered %v", p)
			}
		}()
		_ = s.View(context.Background(), func(store.Tx) error { panic("view") })
	}()
	put(t, s, "p", "after", "x")
	want(t, s, "p", "after", "x")
}

// testRunTwice checks that the typed verbs assign rather than add up, by
// running each function a second time inside the transaction.
func testRunTwice(t *testing.T, s store.Store) {
	ctx := context.Background()
	items := table(twice{s}, "t", time.Now())
	if err := items.Put(ctx, "k", record{Text: "a"}, time.Time{}); err != nil {
		t.Fatal(err)
	}
	got, err := items.Update(ctx, "k", func(r *record) error { r.Used++; return nil })
	if err != nil || got.Used != 1 {
		t.Fatalf("%v, %v", got, err)
	}
	if got, err := items.Take(ctx, "k"); err != nil || got.Used != 1 {
		t.Fatalf("%v, %v", got, err)
	}
	want(t, s, "t", "k", "")
}

// twice runs every Update function once in vain.
type twice struct{ store.Store }

func (s twice) Update(ctx context.Context, fn func(store.Tx) error) error {
	again := errors.New("again")
	err := s.Store.Update(ctx, func(tx store.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		return again
	})
	if !errors.Is(err, again) {
		return err
	}
	return s.Store.Update(ctx, fn)
}

func testContext(t *testing.T, s store.Store) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	ran := false
	fn := func(store.Tx) error { ran = true; return nil }
	wantError(t, s.Update(ctx, fn), context.Canceled)
	wantError(t, s.View(ctx, fn), context.Canceled)

	// One that is cancelled while it waits for its turn.
	ctx, cancel = context.WithCancel(context.Background())
	started, release, outcome := make(chan bool), make(chan bool), make(chan error)
	go func() {
		outcome <- s.Update(context.Background(), func(tx store.Tx) error {
			close(started)
			<-release
			return nil
		})
	}()
	<-started
	go func() { outcome <- s.Update(ctx, fn) }()
	time.Sleep(20 * time.Millisecond)
	cancel()
	close(release)
	if a, b := <-outcome, <-outcome; (a == nil) == (b == nil) {
		t.Errorf("%v and %v: one should be cancelled", a, b)
	}
	if ran {
		t.Error("a function ran after its context had ended")
	}
}

func testSnapshot(t *testing.T, s store.Store) {
	put(t, s, "s", "a", "1")
	put(t, s, "s", "b", "1")
	stop := make(chan bool)
	var writer sync.WaitGroup
	writer.Go(func() {
		for n := 2; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			value := fmt.Append(nil, n)
			err := s.Update(context.Background(), func(tx store.Tx) error {
				return errors.Join(tx.Put("s", []byte("a"), value, time.Time{}), tx.Put("s", []byte("b"), value, time.Time{}))
			})
			if err != nil {
				t.Error(err)
				return
			}
		}
	})
	race(func(int) {
		for range 200 {
			err := s.View(context.Background(), func(tx store.Tx) error {
				a, _, err := tx.Get("s", []byte("a"))
				if err != nil {
					return err
				}
				b, _, err := tx.Get("s", []byte("b"))
				if err == nil && string(a) != string(b) {
					err = fmt.Errorf("%s and %s in one view", a, b)
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		}
	})
	close(stop)
	writer.Wait()
}

func testViewWrites(t *testing.T, s store.Store) {
	put(t, s, "w", "k", "v")
	for name, write := range map[string]func(store.Tx) error{
		"put":    func(tx store.Tx) error { return tx.Put("w", []byte("k"), nil, time.Time{}) },
		"new":    func(tx store.Tx) error { return tx.Put("w2", []byte("k"), nil, time.Time{}) },
		"delete": func(tx store.Tx) error { return tx.Delete("w", []byte("k")) },
		"claim":  func(tx store.Tx) error { return tx.Claim("w", []byte("k"), time.Time{}) },
	} {
		if s.View(context.Background(), write) == nil {
			t.Errorf("%s in a view is no error", name)
		}
	}
	want(t, s, "w", "k", "v")
}

func testClosed(t *testing.T, s store.Store) {
	put(t, s, "c", "k", "v")
	race(func(i int) { // Close waits for what is under way
		if i == 0 {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			return
		}
		err := s.Update(context.Background(), func(tx store.Tx) error {
			return tx.Put("c", fmt.Append(nil, i), nil, time.Time{})
		})
		if err != nil && !errors.Is(err, store.ErrClosed) {
			t.Error(err)
		}
	})
	nothing := func(store.Tx) error { return nil }
	wantError(t, s.View(context.Background(), nothing), store.ErrClosed)
	wantError(t, s.Update(context.Background(), nothing), store.ErrClosed)
	_, err := s.Sweep(context.Background())
	wantError(t, err, store.ErrClosed)
}
