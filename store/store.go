// Package store keeps expiring records in tables.
//
// A [Store] is a few verbs over bytes inside transactions; a [Table] gives them
// a type and the single-use verbs (Create, Take, Update) that every one-time
// value of the protocol is built on. A new kind of record needs no code here.
package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrNotFound says that a key holds no record, or one that has expired.
var ErrNotFound = errors.New("store: not found")

// ErrExists says that Create found a live record: somebody else has won.
var ErrExists = errors.New("store: already exists")

// ErrSwept says that a record cannot be created because records of that expiry
// have been swept already: nobody can tell whether it is new. It happens only
// after a clock was set back, and it is an [ErrExists].
var ErrSwept = fmt.Errorf("%w, or has been swept: the clock was set back", ErrExists)

// ErrClosed says that the store has been closed.
var ErrClosed = errors.New("store: closed")

// ErrFull says that the disk is full. Nothing was written; the store goes on
// when there is room again.
var ErrFull = errors.New("store: no room on the disk")

// ErrLocked says that another process uses the store.
var ErrLocked = errors.New("store: in use by another process")

// ErrDamaged says that the stored data cannot be trusted.
var ErrDamaged = errors.New("store: damaged data")

// Store is a set of tables with serializable transactions.
// Its methods may be called from any number of goroutines.
type Store interface {
	// View runs fn over one consistent snapshot. Byte slices that fn is
	// handed are valid only until fn returns.
	View(ctx context.Context, fn func(Tx) error) error

	// Update runs fn in a serializable read-write transaction and returns
	// after what fn wrote is on disk. fn may be run more than once, so it only
	// reads the transaction and assigns to variables it owns. An error from fn
	// writes nothing and is returned as it is.
	Update(ctx context.Context, fn func(Tx) error) error

	// Sweep deletes the records whose expiry has passed, in small
	// transactions, and returns how many it deleted.
	Sweep(ctx context.Context) (int, error)

	// Close waits for running transactions and releases the store.
	Close() error
}

// Tx is one transaction. Table names and keys are opaque bytes to it.
type Tx interface {
	// Get returns the value of key and its expiry (zero: none), whether or
	// not that has passed; ErrNotFound when there is no record.
	Get(table string, key []byte) (value []byte, expires time.Time, err error)

	// Put writes the record. A zero expires means never; the resolution is
	// one second, rounded up.
	Put(table string, key, value []byte, expires time.Time) error

	// Delete removes the record; removing what is not there is no error.
	Delete(table string, key []byte) error

	// Scan calls fn in key order for every record whose key starts with
	// prefix and is greater than after (nil: from the first), expired ones
	// included, until fn returns false or an error. In an Update, fn may
	// write what it is handed, too.
	Scan(table string, prefix, after []byte, fn func(key, value []byte, expires time.Time) (bool, error)) error

	// Claim marks the key as used until expires (zero: for ever): of any
	// number of callers exactly one wins, the others get ErrExists. A claim
	// has no value and is no record of the table; see [Claims].
	Claim(table string, key []byte, expires time.Time) error

	// Swept returns the latest expiry of the records of the table that Sweep
	// has deleted (zero: none). Where a record of that expiry or an earlier
	// one is absent, it may have been there.
	Swept(table string) (time.Time, error)
}
