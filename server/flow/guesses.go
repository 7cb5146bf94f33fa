package flow

import (
	"fmt"
	"maps"
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

	fewGuessers = 1000 // of whom nobody is forgotten
)

// guesses throttles who fishes for tokens at the introspection endpoint (RFC 7662
// section 4). The zero value is ready; it is safe for concurrent use.
type guesses struct {
	mu sync.Mutex
	by map[string]*rate.Limiter // for each client that has guessed
	// forgetAt is how many there are when those are forgotten who may guess as often
	// as anybody again.
	forgetAt int
}

// count counts a token that is none of ours, and refuses one too many.
func (g *guesses) count(caller string, now time.Time, event *oauth.Event) error {
	if g.limit(caller, now).AllowN(now, 1) {
		return nil
	}
	event.Fail("unknown tokens", fmt.Sprintf("at most %d a second that are not of this server", guessesASecond), "more", "look where they come from; those of this server are answered still")
	return oauth.TooManyRequests(guessRetryAfter, "too many tokens that are not of this server")
}

func (g *guesses) limit(caller string, now time.Time) *rate.Limiter {
	g.mu.Lock()
	defer g.mu.Unlock()
	limit := g.by[caller]
	if limit != nil {
		return limit
	}
	if g.by == nil {
		g.by = make(map[string]*rate.Limiter)
	}
	if len(g.by) >= g.forgetAt {
		maps.DeleteFunc(g.by, func(_ string, limit *rate.Limiter) bool { return limit.TokensAt(now) >= guessesAtOnce })
		g.forgetAt = max(fewGuessers, 2*len(g.by))
	}
	limit = rate.NewLimiter(guessesASecond, guessesAtOnce)
	g.by[caller] = limit
	return limit
}
