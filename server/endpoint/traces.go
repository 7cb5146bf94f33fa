package endpoint

import (
	"sync"

	"github.com/fapid/fapid/oauth"
)

// Traces keeps the newest events in memory, failures apart from successes so
// that a busy server does not push out the one failure a tester looks for.
type Traces struct {
	mu       sync.Mutex
	failures ring
	good     ring
}

// NewTraces keeps that many failed and that many successful requests.
func NewTraces(failures, good int) *Traces {
	return &Traces{failures: ring{events: make([]*oauth.Event, failures)}, good: ring{events: make([]*oauth.Event, good)}}
}

// ring overwrites its oldest event.
type ring struct {
	events []*oauth.Event
	next   int
}

// keep puts the event in and returns the one it replaces, for reuse.
func (r *ring) keep(event *oauth.Event) *oauth.Event {
	old := r.events[r.next]
	r.events[r.next] = event
	r.next = (r.next + 1) % len(r.events)
	return old
}

// Keep takes the event over and returns one that is free for reuse, or nil.
func (t *Traces) Keep(event *oauth.Event) *oauth.Event {
	t.mu.Lock()
	defer t.mu.Unlock()
	if event.Status >= 400 || event.Status == 0 {
		return t.failures.keep(event)
	}
	return t.good.keep(event)
}

// Find returns a copy of the event with this id.
func (t *Traces) Find(id string) (oauth.Event, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range []*ring{&t.failures, &t.good} {
		for _, event := range r.events {
			if event != nil && event.ID == id {
				return copied(event), true
			}
		}
	}
	return oauth.Event{}, false
}

// Newest returns copies of the newest events, newest first, failures only where
// asked. match chooses among them; nil takes all.
func (t *Traces) Newest(limit int, failures bool, match func(*oauth.Event) bool) []oauth.Event {
	t.mu.Lock()
	defer t.mu.Unlock()
	bad, good := t.failures.newest(), t.good.newest()
	if failures {
		good = nil
	}
	found := make([]oauth.Event, 0, limit)
	for len(found) < limit && len(bad)+len(good) > 0 {
		from := &bad
		if len(bad) == 0 || len(good) > 0 && good[0].Time.After(bad[0].Time) {
			from = &good
		}
		if event := (*from)[0]; match == nil || match(event) {
			found = append(found, copied(event))
		}
		*from = (*from)[1:]
	}
	return found
}

// newest lists the ring's events, newest first.
func (r *ring) newest() []*oauth.Event {
	list := make([]*oauth.Event, 0, len(r.events))
	for i := range r.events {
		if event := r.events[(r.next-1-i+2*len(r.events))%len(r.events)]; event != nil {
			list = append(list, event)
		}
	}
	return list
}

func copied(event *oauth.Event) oauth.Event {
	whole := *event
	whole.Checks = append([]oauth.Check{}, event.Checks...)
	return whole
}
