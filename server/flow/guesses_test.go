package flow

import (
	"fmt"
	"testing"
	"time"

	"github.com/fapid/fapid/oauth"
)

// Clients come and go: what is kept of their guesses goes, too, and of those who guess
// on it does not.
func TestGuessesAreForgotten(t *testing.T) {
	var g guesses
	now := time.Now()
	for range guessesAtOnce {
		if err := g.count("fisher", now, &oauth.Event{}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 100_000 {
		if err := g.count(fmt.Sprint(i), now, &oauth.Event{}); err != nil {
			t.Fatal(err)
		}
		if i < 10_000 && g.count("fisher", now, &oauth.Event{}) == nil {
			t.Fatalf("forgotten after %d others", i)
		}
		if i > 10_000 {
			now = now.Add(time.Second)
		}
	}
	if kept := len(g.by); kept > 25_000 {
		t.Errorf("%d callers are kept", kept)
	}
}
