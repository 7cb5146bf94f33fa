package store

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"go.etcd.io/bbolt"
)

// call is one Update on its way. Calls are reused, so that a commit allocates
// nothing for waiting.
type call struct {
	ctx   context.Context
	fn    func(Tx) error
	err   error
	panic any       // what fn panicked with
	turn  chan bool // true: lead the next commit; false: the call is finished
}

var calls = sync.Pool{New: func() any { return &call{turn: make(chan bool, 1)} }}

// Update implements [Store]. When ctx ends before fn has been run, fn is not
// run; afterwards the outcome of the commit is awaited.
func (b *Bolt) Update(ctx context.Context, fn func(Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c := calls.Get().(*call)
	c.ctx, c.fn = ctx, fn

	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		calls.Put(c)
		return ErrClosed
	}
	b.queue = append(b.queue, c)
	lead := !b.busy
	b.busy = true
	b.mu.Unlock()

	if !lead {
		lead = <-c.turn
	}
	if lead {
		b.lead(c)
	}

	err, panicked := c.err, c.panic
	*c = call{turn: c.turn}
	calls.Put(c)
	if panicked != nil {
		panic(panicked)
	}
	return err
}

// gathering is how long a commit waits for company, after one that had some: it
// halves what a claim costs under load, and a lone caller never waits.
const gathering = 500 * time.Microsecond

// lead commits everything that is waiting, self included, and hands the lead
// to the first who has come in the meantime.
func (b *Bolt) lead(self *call) {
	// Whoever is ready to run gets a chance to join: costs a lone caller
	// nothing, and makes the groups of many callers twice as large.
	runtime.Gosched()
	if b.crowd > 1 {
		time.Sleep(gathering)
	}

	b.mu.Lock()
	group := b.queue
	b.queue = nil
	b.mu.Unlock()
	b.crowd = len(group)
	defer b.dismiss(self, group)

	err := b.Err()
	if err == nil {
		err = b.commit(group)
	}
	if err != nil {
		refuse(group, err)
	}
}

// dismiss tells the group that its calls are finished, and the next leader.
func (b *Bolt) dismiss(self *call, group []*call) {
	b.mu.Lock()
	var next *call
	if len(b.queue) > 0 {
		next = b.queue[0]
	} else {
		b.busy = false
		b.idle.Broadcast()
	}
	b.mu.Unlock()
	for _, c := range group {
		if c != self {
			c.turn <- false
		}
	}
	if next != nil {
		next.turn <- true
	}
}

// refuse gives all calls the same error: also one that wrote nothing has seen
// what was not committed.
func refuse(group []*call, err error) {
	for _, c := range group {
		c.err = err
	}
}

var errExited = errors.New("store: a function of the same commit ended its goroutine")

// commit runs the group in one transaction of the engine, and sets the outcome
// of each call; an error is that of all.
func (b *Bolt) commit(group []*call) (err error) {
	engine, err := b.db.Begin(true)
	if err != nil {
		return err
	}
	tx := boltTx{owner: b, engine: engine}
	committed, returned := false, false
	defer func() {
		if p := recover(); p != nil {
			b.fail(fmt.Errorf("%w: %v", ErrDamaged, p))
			err = b.Err()
		} else if !returned { // runtime.Goexit: testing.T.FailNow, say
			refuse(group, errExited)
		}
		if !committed {
			tx.dropClaims(0)
			b.rollback(engine)
		}
	}()
	for _, c := range group {
		if c.err = c.ctx.Err(); c.err == nil {
			tx.run(c)
		}
	}
	if err = b.Err(); err == nil && tx.wrote {
		if err = tx.writeDue(); err == nil {
			err = b.commitError(engine.Commit())
			committed = err == nil
		}
	}
	if committed {
		b.claims.forget(tx.forget)
	}
	returned = true
	return err
}

// rollback ends a transaction, also one that a failure has ended already.
func (b *Bolt) rollback(engine *bbolt.Tx) {
	defer func() {
		if p := recover(); p != nil {
			b.stuck = true
			b.fail(fmt.Errorf("%w: %v", ErrDamaged, p))
		}
	}()
	_ = engine.Rollback()
}

// run runs one call. If it fails, what it has written is undone, so that its
// neighbours in the transaction never see it.
func (tx *boltTx) run(c *call) {
	due := len(tx.due)
	tx.undo = tx.undo[:0]
	done := false
	defer func() {
		if !done {
			c.panic = recover()
		}
		switch {
		case tx.inside:
			tx.inside = false
			tx.owner.fail(fmt.Errorf("%w: %v", ErrDamaged, c.panic))
			c.panic = nil
		case !done || c.err != nil:
			tx.dropClaims(due)
			tx.revert()
		default:
			tx.wrote = tx.wrote || len(tx.undo) > 0 || len(tx.due) > due
		}
	}()
	c.err = c.fn(tx)
	done = true
}
