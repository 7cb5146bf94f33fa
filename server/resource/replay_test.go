package resource

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestMemory(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	m := newMemory(func() time.Time { return now })
	claim := func(key string, until time.Duration) bool {
		t.Helper()
		first, err := m.Claim(t.Context(), key, now.Add(until))
		if err != nil {
			t.Fatal(err)
		}
		return first
	}
	if !claim("a", 80*time.Second) || claim("a", 80*time.Second) || !claim("b", 10*time.Second) {
		t.Fatal("not once")
	}
	for _, step := range []struct {
		pass         time.Duration
		aFree, bFree bool
	}{
		{10 * time.Second, false, false},
		{2 * time.Second, false, true},
		{68 * time.Second, false, true},
		{-60 * time.Second, false, true}, // the clock is set back
		{62 * time.Second, true, true},
		{24 * time.Hour, true, true},
	} {
		now = now.Add(step.pass)
		m.mu.Lock()
		m.sweep()
		_, a := m.used["a"]
		_, b := m.used["b"]
		if a == step.aFree || b == step.bFree {
			t.Errorf("after %s more: a is remembered: %t, b: %t", step.pass, a, b)
		}
		m.mu.Unlock()
	}
	if len(m.until) != 0 {
		t.Errorf("seconds are left: %v", m.until)
	}
	if !claim("late", -time.Hour) || claim("late", -time.Hour) {
		t.Error("what has expired is not claimed once")
	}
}

// TestMemoryIsBounded: when it is full nobody is let in, and nothing forgotten.
func TestMemoryIsBounded(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	m := newMemory(func() time.Time { return now })
	m.max = 10
	for i := range 10 {
		if first, err := m.Claim(t.Context(), fmt.Sprint(i), now.Add(time.Minute)); !first || err != nil {
			t.Fatal(i, first, err)
		}
	}
	if first, err := m.Claim(t.Context(), "more", now.Add(time.Minute)); first || !errors.Is(err, errFull) {
		t.Errorf("one more: %t, %v", first, err)
	}
	if first, err := m.Claim(t.Context(), "0", now.Add(time.Minute)); first || err != nil {
		t.Errorf("one that was used: %t, %v", first, err)
	}
	now = now.Add(2 * time.Minute)
	if first, err := m.Claim(t.Context(), "more", now.Add(time.Minute)); !first || err != nil {
		t.Errorf("when the others have expired: %t, %v", first, err)
	}
	if len(m.used) != 1 || len(m.until) != 1 {
		t.Errorf("%d remembered, %d seconds", len(m.used), len(m.until))
	}
}

func TestMemoryHasOneWinner(t *testing.T) {
	m := newMemory(time.Now)
	for round := range 50 {
		var won atomic.Int64
		var group sync.WaitGroup
		for range 16 {
			group.Go(func() {
				if first, err := m.Claim(t.Context(), fmt.Sprint(round), time.Now().Add(time.Minute)); err == nil && first {
					won.Add(1)
				}
			})
		}
		group.Wait()
		if won.Load() != 1 {
			t.Fatalf("round %d: %d winners", round, won.Load())
		}
	}
}

// TestAnswersAreBounded: the newest are there, and not too many.
func TestAnswersAreBounded(t *testing.T) {
	var kept answers
	now := time.Unix(1_800_000_000, 0)
	for i := range maxAnswers + 100 {
		kept.put([32]byte{byte(i), byte(i >> 8)}, &Claims{}, now, now.Add(time.Minute))
	}
	last := maxAnswers + 99
	if len(kept.kept) != maxAnswers || kept.get([32]byte{byte(last), byte(last >> 8)}, now) == nil {
		t.Errorf("%d kept", len(kept.kept))
	}
	if kept.get([32]byte{byte(last), byte(last >> 8)}, now.Add(time.Minute)) != nil {
		t.Error("one that has expired is used")
	}
	kept.put([32]byte{255, 255, 255}, &Claims{}, now.Add(time.Hour), now.Add(2*time.Hour))
	if len(kept.kept) != 1 {
		t.Errorf("%d kept when all have expired", len(kept.kept))
	}
}
