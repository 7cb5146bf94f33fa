package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// Bolt is the [Store] in one local file.
//
// Transactions of concurrent callers are committed together, with one pair of
// fsyncs; a lone caller is committed at once, in its own goroutine. A function
// given to Update is run once, in the goroutine of any of the callers.
//
// A function given to View or Update must not call the store: a growing file
// waits for the readers.
type Bolt struct {
	db     *bbolt.DB
	now    func() time.Time
	remove string // the file to delete on Close

	// Whoever leads has these to itself.
	claims claimSet
	stuck  bool // the engine could not end a transaction
	crowd  int  // calls in the last commit

	mu     sync.Mutex
	idle   *sync.Cond // signalled when busy turns false
	queue  []*call    // waiting for the next commit
	busy   bool       // somebody is leading a commit
	closed bool

	failure atomic.Pointer[error]
	failed  chan struct{}
}

// Options of [Open].
type Options struct {
	// Ephemeral keeps nothing: the records live in a temporary file, never
	// synced and deleted on Close. The path may be empty; otherwise the
	// temporary file is made beside it, and what is at the path is left alone.
	Ephemeral bool
	// Now is the clock of Sweep (default time.Now). It must not be ahead of
	// the clock of the slowest [Table].
	Now func() time.Time
}

// View implements [Store]. A read takes no lock that a running commit holds.
func (b *Bolt) View(ctx context.Context, fn func(Tx) error) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	tx := boltTx{owner: b}
	// A panic of fn passes with its stack; one of the engine means that what
	// it read makes no sense.
	defer func() {
		if tx.inside {
			b.fail(fmt.Errorf("%w: %v", ErrDamaged, recover()))
			err = b.Err()
		}
	}()
	err = b.db.View(func(engine *bbolt.Tx) error {
		tx.engine = engine
		return fn(&tx)
	})
	if errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		return ErrClosed
	}
	return err
}

// Failed is closed when the store has failed for good: a commit could not be
// brought to disk, or the file turned out to be damaged. After a failed fsync
// nobody can say what is on disk, so every later Update is refused and the
// process should end; [Bolt.Err] tells why.
func (b *Bolt) Failed() <-chan struct{} { return b.failed }

// Err returns why the store has failed, or nil.
func (b *Bolt) Err() error {
	if err := b.failure.Load(); err != nil {
		return *err
	}
	return nil
}

// fail keeps the first failure and refuses all later writes.
func (b *Bolt) fail(cause error) {
	err := fmt.Errorf("store: out of service: %w", cause)
	if b.failure.CompareAndSwap(nil, &err) {
		close(b.failed)
	}
}

// commitError judges an error of a commit. A full disk refuses the write
// before anything of the old state is touched, and passes; everything else is
// final.
func (b *Bolt) commitError(err error) error {
	if err == nil {
		return nil
	}
	var path *os.PathError
	if errors.As(err, &path) && path.Op == "write" &&
		(errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)) {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	b.fail(err)
	return b.Err()
}

// Close implements [Store]: calls that are under way are finished, later ones
// get [ErrClosed].
func (b *Bolt) Close() error {
	b.mu.Lock()
	for b.busy {
		b.idle.Wait()
	}
	b.closed = true
	stuck := b.stuck
	b.mu.Unlock()

	if stuck {
		return b.Err() // the engine would wait for ever
	}
	err := b.db.Close()
	if b.remove != "" {
		// Usually gone since Open; an open file cannot be removed everywhere.
		if err := os.Remove(b.remove); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return err
}
