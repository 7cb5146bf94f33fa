package resource

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Replay remembers what can be used once: the DPoP proofs of an API. The one that
// a [Guard] makes for itself is this process's own. Where an API has several
// nodes, a proof is good once on each of them, unless they share a memory.
type Replay interface {
	// Claim marks a key, of 32 bytes, as used until that time: of any number of
	// callers one is the first. After an error nobody is.
	Claim(ctx context.Context, key string, until time.Time) (first bool, err error)
}

// maxProofs bounds the proofs remembered: more than three thousand a second for
// as long as one is good, in some thirty megabytes.
const maxProofs = 1 << 18

// memory is a Replay in memory. What has expired goes by the second, a few at
// every claim, so that no claim waits for a sweep of all.
type memory struct {
	now func() time.Time
	max int

	mu    sync.Mutex
	used  map[string]struct{}
	until map[int64][]string // the keys that expire in a second since 1970
	swept int64              // the last second that was swept
}

func newMemory(now func() time.Time) *memory {
	return &memory{now: now, max: maxProofs, used: map[string]struct{}{}, until: map[int64][]string{}, swept: now().Unix()}
}

// errFull says that more proofs came than are remembered. To forget one would let
// it in again.
var errFull = errors.New("more DPoP proofs than this process remembers; give the API more nodes")

// Claim marks a key as used.
func (m *memory) Claim(_ context.Context, key string, until time.Time) (first bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sweep()
	if _, used := m.used[key]; used {
		return false, nil
	}
	if len(m.used) >= m.max {
		return false, errFull
	}
	// A key of the past has nobody to sweep it, and is no good anyhow.
	second := max(until.Unix()+1, m.swept+1)
	m.used[key] = struct{}{}
	m.until[second] = append(m.until[second], key)
	return true, nil
}

// sweep forgets what has expired. A clock that is set back forgets nothing.
func (m *memory) sweep() {
	now := m.now().Unix()
	if now-m.swept > int64(len(m.until))+maxGap {
		// A long pause: fewer seconds have keys than have passed.
		for second := range m.until {
			if second <= now {
				m.forget(second)
			}
		}
		m.swept = now
		return
	}
	for ; m.swept < now; m.swept++ {
		m.forget(m.swept + 1)
	}
}

// maxGap is how many seconds are gone through one by one.
const maxGap = 1000

func (m *memory) forget(second int64) {
	for _, key := range m.until[second] {
		delete(m.used, key)
	}
	delete(m.until, second)
}
