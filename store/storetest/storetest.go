// Package storetest holds every implementation of store.Store to the contract.
package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/fapid/fapid/store"
)

// racers is how many goroutines fight for one record.
const racers = 16

// record is what the tests keep.
type record struct {
	Text string `json:"text"`
	Used int    `json:"used"`
}

// Run runs the contract; open returns an empty store for each call.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	suite := []struct {
		name string
		test func(*testing.T, store.Store)
	}{
		{"get, put, delete", testRecords},
		{"order of a scan", testScan},
		{"a scan that writes", testScanWrites},
		{"tables are apart", testTables},
		{"expiry", testExpiry},
		{"verbs", testVerbs},
		{"claims", testClaims},
		{"big values", testBig},
		{"an error writes nothing", testRollback},
		{"a failing call leaves its neighbours alone", testNeighbours},
		{"a panic reaches its caller alone", testPanic},
		{"a function may run twice", testRunTwice},
		{"a cancelled context", testContext},
		{"a view is a snapshot", testSnapshot},
		{"one winner of a Create", testCreateRace},
		{"one winner of a Take", testTakeRace},
		{"one winner of an Update", testUpdateRace},
		{"one winner of a Claim", testClaimRace},
		{"a view does not write", testViewWrites},
		{"a closed store", testClosed},
	}
	for _, c := range suite {
		t.Run(c.name, func(t *testing.T) {
			s := open(t)
			t.Cleanup(func() { _ = s.Close() })
			c.test(t, s)
		})
	}
}

// table is a table with a clock that stands still.
func table(s store.Store, name string, now time.Time) store.Table[record] {
	return store.Table[record]{Store: s, Name: name, Now: func() time.Time { return now }}
}

func update(t *testing.T, s store.Store, fn func(store.Tx) error) {
	t.Helper()
	if err := s.Update(context.Background(), fn); err != nil {
		t.Fatalf("update: %v", err)
	}
}

func put(t *testing.T, s store.Store, table, key, value string) {
	t.Helper()
	update(t, s, func(tx store.Tx) error { return tx.Put(table, []byte(key), []byte(value), time.Time{}) })
}

// want checks the value of a key; "" means that there is no record.
func want(t *testing.T, s store.Store, table, key, value string) {
	t.Helper()
	var got string
	err := s.View(context.Background(), func(tx store.Tx) error {
		bytes, _, err := tx.Get(table, []byte(key))
		got = string(bytes)
		return err
	})
	if value == "" {
		if !errors.Is(err, store.ErrNotFound) {
			t.Fatalf("get %s %s: %q, %v; there should be no record", table, key, got, err)
		}
		return
	}
	if err != nil || got != value {
		t.Fatalf("get %s %s: %q, %v; want %q", table, key, got, err, value)
	}
}

func wantError(t *testing.T, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Fatalf("error %v, want %v", err, target)
	}
}
