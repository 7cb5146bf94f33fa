package flow

import (
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/fapid/fapid/oauth"
)

// A caller may ask about so many tokens that are none of ours: at once, and a second.
// Answers about ours never end, so that whoever sends garbage to an API does not keep
// it from letting others in.
const (
	guessesAtOnce   = 1000
	guessesASecond  = 100
	guessRetryAfter = time.Second
)

// guesses throttles who fishes for tokens at the introspection endpoint (RFC 7662
// section 4). The zero value is ready; it is safe for concurrent use.
type guesses struct {
	mu sync.Mutex
	by map[string]*rate.Limiter // for each client that has guessed
}

// count counts a token that is none of ours, and refuses one too many.
func (g *guesses) count(caller string, now time.Time, event *oauth.Event) error {
	g.mu.Lock()
	limit := g.by[caller]
	if limit == nil {
		if g.by == nil {
			g.by = make(map[string]*rate.Limiter)
		}
		limit = rate.NewLimiter(guessesASecond, guessesAtOnce)
		g.by[caller] = limit
	}
	g.mu.Unlock()
	if limit.AllowN(now, 1) {
		return nil
	}
	event.Fail("unknown tokens", "at most 100 a second that are not of this server", "more", "look where they come from; those of this server are answered still")
	return oauth.TooManyRequests(guessRetryAfter, "too many tokens that are not good")
}
