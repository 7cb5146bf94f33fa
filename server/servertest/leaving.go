package servertest

import (
	"context"
	"sync/atomic"
)

// Leaving is the context of a caller that goes away: it ends when it has been asked
// patience times whether it has.
func Leaving(ctx context.Context, patience int) context.Context {
	l := &leaving{Context: ctx}
	l.left.Store(int64(patience))
	return l
}

type leaving struct {
	context.Context
	left atomic.Int64
}

// Err is asked before every step.
func (l *leaving) Err() error {
	if l.left.Add(-1) < 0 {
		return context.Canceled
	}
	return nil
}
