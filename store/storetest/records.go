package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fapid/fapid/store"
)

func testRecords(t *testing.T, s store.Store) {
	want(t, s, "a", "k", "")
	put(t, s, "a", "k", "one")
	want(t, s, "a", "k", "one")
	put(t, s, "a", "k", "two")
	want(t, s, "a", "k", "two")
	update(t, s, func(tx store.Tx) error { return tx.Delete("a", []byte("k")) })
	want(t, s, "a", "k", "")
	update(t, s, func(tx store.Tx) error { return tx.Delete("a", []byte("k")) })
	update(t, s, func(tx store.Tx) error { return tx.Delete("nowhere", []byte("k")) })

	// A transaction sees its own writes, and values survive their buffers.
	value := []byte("first")
	update(t, s, func(tx store.Tx) error {
		copy(value, "first")
		if err := tx.Put("a", []byte("own"), value, time.Time{}); err != nil {
			return err
		}
		copy(value, "XXXXX")
		got, _, err := tx.Get("a", []byte("own"))
		if err == nil && string(got) != "first" {
			err = fmt.Errorf("read %q", got)
		}
		return err
	})
	want(t, s, "a", "own", "first")
	update(t, s, func(tx store.Tx) error { return tx.Put("a", []byte("empty"), nil, time.Time{}) })
	err := s.View(context.Background(), func(tx store.Tx) error {
		value, expires, err := tx.Get("a", []byte("empty"))
		if err == nil && (len(value) != 0 || !expires.IsZero()) {
			err = fmt.Errorf("%q, %v", value, expires)
		}
		return err
	})
	if err != nil {
		t.Fatalf("empty value: %v", err)
	}
}

// scan lists the keys that a scan finds, stopping after limit.
func scan(t *testing.T, s store.Store, table, prefix, after string, limit int) []string {
	t.Helper()
	var keys []string
	err := s.View(context.Background(), func(tx store.Tx) error {
		var from []byte
		if after != "" {
			from = []byte(after)
		}
		return tx.Scan(table, []byte(prefix), from, func(key, value []byte, _ time.Time) (bool, error) {
			if string(value) != "of "+string(key) {
				return false, fmt.Errorf("key %q has value %q", key, value)
			}
			keys = append(keys, string(key))
			return len(keys) < limit, nil
		})
	})
	if err != nil {
		t.Fatalf("scan: %v", err)
	}
	return keys
}

func testScan(t *testing.T, s store.Store) {
	all := []string{"a", "a/1", "a/2", "a/20", "a/3", "b", "b/1", "c\x00", "c\xff"}
	for _, i := range []int{4, 7, 0, 8, 2, 6, 1, 3, 5} {
		put(t, s, "list", all[i], "of "+all[i])
	}
	put(t, s, "other", "a/15", "of a/15")
	for _, c := range []struct {
		prefix, after string
		limit         int
		want          []string
	}{
		{"", "", 99, all},
		{"a/", "", 99, all[1:5]},
		{"a/", "a/2", 99, all[3:5]},
		{"a/", "a/15", 99, all[2:5]},
		{"a/", "0", 99, all[1:5]},
		{"a/", "b", 99, nil},
		{"", "a/3", 2, all[5:7]},
		{"", "c\xff", 99, nil},
		{"d", "", 99, nil},
	} {
		if got := scan(t, s, "list", c.prefix, c.after, c.limit); !slices.Equal(got, c.want) {
			t.Errorf("scan %q after %q limit %d: %q, want %q", c.prefix, c.after, c.limit, got, c.want)
		}
	}
	if got := scan(t, s, "nowhere", "", "", 99); got != nil {
		t.Errorf("scan of no table: %q", got)
	}
	broken := errors.New("broken")
	err := s.View(context.Background(), func(tx store.Tx) error {
		return tx.Scan("list", nil, nil, func(_, _ []byte, _ time.Time) (bool, error) { return true, broken })
	})
	wantError(t, err, broken)
}

func testScanWrites(t *testing.T, s store.Store) {
	const n = 500
	update(t, s, func(tx store.Tx) error {
		for i := range n {
			if err := tx.Put("list", fmt.Appendf(nil, "%04d", i), []byte("x"), time.Time{}); err != nil {
				return err
			}
		}
		return nil
	})
	seen := 0
	update(t, s, func(tx store.Tx) error {
		seen = 0
		return tx.Scan("list", nil, nil, func(key, _ []byte, _ time.Time) (bool, error) {
			seen++
			if seen%2 == 0 {
				return true, tx.Put("list", key, []byte("y"), time.Time{})
			}
			return true, tx.Delete("list", key)
		})
	})
	if seen != n {
		t.Fatalf("%d records seen, want %d", seen, n)
	}
	want(t, s, "list", "0000", "")
	want(t, s, "list", "0001", "y")
	want(t, s, "list", "0498", "")
	want(t, s, "list", "0499", "y")
}

func testTables(t *testing.T, s store.Store) {
	names := []string{"a", "a/b", "b", "ab", "realm/kind", "realm/kin"}
	for _, name := range names {
		put(t, s, name, "k", "in "+name)
		put(t, s, name, name, "self")
	}
	for _, name := range names {
		want(t, s, name, "k", "in "+name)
	}
	update(t, s, func(tx store.Tx) error { return tx.Delete("a", []byte("k")) })
	want(t, s, "a", "k", "")
	want(t, s, "a/b", "k", "in a/b")
	for _, name := range []string{"", "\x00own"} {
		err := s.Update(context.Background(), func(tx store.Tx) error {
			return tx.Put(name, []byte("k"), nil, time.Time{})
		})
		if err == nil {
			t.Errorf("table name %q was taken", name)
		}
	}
}

func testExpiry(t *testing.T, s store.Store) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct{ put, want time.Time }{
		{time.Time{}, time.Time{}},
		{now, now},
		{now.Add(time.Nanosecond), now.Add(time.Second)},
		{now.Add(999 * time.Millisecond), now.Add(time.Second)},
		{time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)},
	} {
		var got time.Time
		update(t, s, func(tx store.Tx) error { return tx.Put("e", []byte("k"), []byte("v"), c.put) })
		err := s.View(context.Background(), func(tx store.Tx) (err error) {
			_, got, err = tx.Get("e", []byte("k"))
			return err
		})
		if err != nil || !got.Equal(c.want) {
			t.Errorf("expiry %v came back as %v (%v), want %v", c.put, got, err, c.want)
		}
	}

	ctx, end := context.Background(), now.Add(time.Minute)
	before, after := table(s, "x", end.Add(-time.Second)), table(s, "x", end)
	if err := before.Put(ctx, "k", record{Text: "v"}, end); err != nil {
		t.Fatal(err)
	}
	if got, err := before.Get(ctx, "k"); err != nil || got.Text != "v" {
		t.Fatalf("before its end: %v, %v", got, err)
	}
	_, err := after.Get(ctx, "k")
	wantError(t, err, store.ErrNotFound)
	if found, err := after.Has(ctx, "k"); found || err != nil {
		t.Fatalf("has an expired record: %v, %v", found, err)
	}
	_, err = after.Take(ctx, "k")
	wantError(t, err, store.ErrNotFound)
	_, err = after.Update(ctx, "k", func(*record) error { return nil })
	wantError(t, err, store.ErrNotFound)
	wantError(t, before.Create(ctx, "k", record{}, end), store.ErrExists)
	if err := after.Create(ctx, "k", record{Text: "new"}, end.Add(time.Hour)); err != nil {
		t.Fatalf("create over an expired record: %v", err)
	}
	if got, err := after.Get(ctx, "k"); err != nil || got.Text != "new" {
		t.Fatalf("%v, %v", got, err)
	}
}

func testVerbs(t *testing.T, s store.Store) {
	ctx, now := context.Background(), time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	items, end := table(s, "v", now), now.Add(time.Hour)
	_, err := items.Take(ctx, "k")
	wantError(t, err, store.ErrNotFound)
	if err := items.Create(ctx, "k", record{Text: "a"}, end); err != nil {
		t.Fatal(err)
	}
	wantError(t, items.Create(ctx, "k", record{Text: "b"}, end), store.ErrExists)

	refused := errors.New("refused")
	_, err = items.Update(ctx, "k", func(r *record) error { r.Used = 9; return refused })
	wantError(t, err, refused)
	got, err := items.Update(ctx, "k", func(r *record) error { r.Used++; return nil })
	if err != nil || got != (record{"a", 1}) {
		t.Fatalf("update: %v, %v", got, err)
	}
	late := table(s, "v", end)
	if found, err := late.Has(ctx, "k"); found || err != nil {
		t.Fatalf("update lost the expiry: %v, %v", found, err)
	}
	if got, err := items.Take(ctx, "k"); err != nil || got != (record{"a", 1}) {
		t.Fatalf("take: %v, %v", got, err)
	}
	_, err = items.Get(ctx, "k")
	wantError(t, err, store.ErrNotFound)

	for _, key := range []string{"1", "2", "3"} {
		if err := items.Put(ctx, key, record{Text: key}, time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := items.Put(ctx, "25", record{}, now); err != nil { // expired
		t.Fatal(err)
	}
	var keys []string
	err = items.Scan(ctx, "", "1", func(key string, r record) (bool, error) {
		keys = append(keys, key+r.Text)
		return true, nil
	})
	if err != nil || !slices.Equal(keys, []string{"22", "33"}) {
		t.Fatalf("scan: %q, %v", keys, err)
	}
}

func testClaims(t *testing.T, s store.Store) {
	ctx, end := context.Background(), time.Now().Add(time.Hour)
	a, b := store.Claims{Store: s, Name: "a"}, store.Claims{Store: s, Name: "b"}
	for _, c := range []store.Claims{a, b} {
		if err := c.Claim(ctx, "k", end); err != nil {
			t.Fatal(err)
		}
		wantError(t, c.Claim(ctx, "k", end), store.ErrExists)
		wantError(t, c.Claim(ctx, "k", end.Add(time.Hour)), store.ErrExists)
		wantError(t, c.Claim(ctx, "k", time.Time{}), store.ErrExists)
	}
	if err := a.Claim(ctx, "for ever", time.Time{}); err != nil {
		t.Fatal(err)
	}
	wantError(t, a.Claim(ctx, "for ever", end), store.ErrExists)
	if err := a.Claim(ctx, strings.Repeat("long", 5000), end); err != nil {
		t.Fatal(err)
	}

	// A claim belongs to its transaction.
	refused := errors.New("refused")
	err := s.Update(ctx, func(tx store.Tx) error {
		if err := a.ClaimTx(tx, "undone", end); err != nil {
			return err
		}
		if err := a.ClaimTx(tx, "undone", end); !errors.Is(err, store.ErrExists) {
			return fmt.Errorf("the transaction does not see its claim: %v", err)
		}
		return refused
	})
	wantError(t, err, refused)
	if err := a.Claim(ctx, "undone", end); err != nil {
		t.Fatalf("claim after a failed transaction: %v", err)
	}
}

func testBig(t *testing.T, s store.Store) {
	for _, size := range []int{4000, 5000, 70_000, 1 << 20} {
		value := bytes.Repeat([]byte{byte(size)}, size)
		key := fmt.Sprint(size)
		put(t, s, "big", key, string(value))
		want(t, s, "big", key, string(value))
		put(t, s, "big", key, "small")
		want(t, s, "big", key, "small")
	}
	key := strings.Repeat("k", 2000)
	put(t, s, "big", key, "of a long key")
	want(t, s, "big", key, "of a long key")
}
