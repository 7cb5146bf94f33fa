package servertest

import (
	"sync"
	"time"
)

// Clock is a clock that a test can move.
type Clock struct {
	mu     sync.Mutex
	ahead  time.Duration
	frozen time.Time // the machine's time then; zero while the clock goes
}

// Now is the machine's time and what the test has added.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.frozen.IsZero() {
		return c.frozen.Add(c.ahead)
	}
	return time.Now().Add(c.ahead)
}

// Freeze stops the clock, but for Move, until the returned function is called: on a
// slow machine what happens at once may take seconds. Who tests what lasts seconds,
// or what ends on the hour, has to.
func (c *Clock) Freeze() (thaw func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.frozen = time.Now()
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.frozen = time.Time{}
	}
}

// Move moves the clock by that much, back for a negative one.
func (c *Clock) Move(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += by
}
