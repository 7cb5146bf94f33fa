package registration

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// How long a fetched key set counts. A key that its owner removed has to stop
// working within a minute, so no Cache-Control lengthens that; while the owner's
// server fails, the last good copy stands in, but not for long, because whoever
// can keep that server down could otherwise keep a removed key alive.
const (
	maxFresh = 60 * time.Second
	minFresh = coolDown
	maxStale = 5 * time.Minute // since it was fetched
	coolDown = 10 * time.Second
)

// Bounds of the cache, which evicts what was used least recently.
const (
	maxEntries    = 4096
	maxCacheBytes = 16 << 20
)

// source is what a cached set was made from: the same document gives another
// set where test keys are allowed.
type source struct {
	uri           string
	allowTestKeys bool
}

// entry is one remote key set: the last good copy and the last attempt.
type entry struct {
	set     *keySet
	size    int
	fetched time.Time
	fresh   time.Time // until then set is used without asking

	attempted time.Time
	err       error         // of the last attempt
	running   chan struct{} // closed when the attempt under way is over
	used      time.Time
}

// cached returns the key set of a source, from memory while that is fresh. All
// callers of one source share one fetch, which goes on when a caller gives up,
// and at most one is started every 10 seconds, successful or not. With again,
// a fresh copy is not good enough, and a failed attempt is an error.
func (f *Fetcher) cached(ctx context.Context, src source, again bool) (*keySet, error) {
	f.mu.Lock()
	now := f.now()
	e := f.entries[src]
	if e == nil {
		e = &entry{used: now}
		f.entries[src] = e
		f.evict(e)
	}
	e.used = now
	if !again && e.set != nil && now.Before(e.fresh) {
		defer f.mu.Unlock()
		return e.set, nil
	}
	if e.running == nil {
		if !e.attempted.IsZero() && now.Before(e.attempted.Add(coolDown)) {
			defer f.mu.Unlock()
			return e.answer(now, again)
		}
		e.running, e.attempted = make(chan struct{}), now
		go f.refresh(src, e)
	}
	running := e.running
	f.mu.Unlock()

	select {
	case <-running:
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for jwks_uri %s: %w", src.uri, ctx.Err())
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return e.answer(f.now(), again)
}

// answer is what the last attempt gave, or the copy before it if that may still
// stand in.
func (e *entry) answer(now time.Time, again bool) (*keySet, error) {
	if e.err == nil {
		return e.set, nil
	}
	if !again && e.set != nil && now.Before(e.fetched.Add(maxStale)) {
		return e.set, nil
	}
	return nil, e.err
}

// refresh makes one attempt. It runs on its own, because its callers may give
// up, so a panic over foreign bytes must end here.
func (f *Fetcher) refresh(src source, e *entry) {
	started := f.now()
	var set *keySet
	var size int
	var fresh time.Duration
	var err error
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("jwks_uri %s could not be read: %v", src.uri, fault)
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		e.err = err
		if err == nil {
			f.bytes += size - e.size
			e.set, e.size, e.fetched, e.fresh = set, size, started, started.Add(fresh)
			f.evict(e)
		}
		close(e.running)
		e.running = nil
	}()
	set, size, fresh, err = f.load(src)
}

func (f *Fetcher) load(src source) (*keySet, int, time.Duration, error) {
	body, header, err := f.Get(context.Background(), src.uri)
	if err != nil {
		return nil, 0, 0, fmt.Errorf("jwks_uri %w", err)
	}
	set, err := parseJWKS(body, fetched, src.allowTestKeys)
	if err != nil {
		return nil, 0, 0, fmt.Errorf("jwks_uri %s: %w", src.uri, err)
	}
	return set, len(body), freshness(header), nil
}

// evict forgets the least recently used entries while there are too many or
// they are too large. Going through all of them is cheap beside the fetch that
// made room necessary. An entry being fetched is left to its callers.
func (f *Fetcher) evict(keep *entry) {
	for len(f.entries) > maxEntries || f.bytes > maxCacheBytes {
		var oldest source
		var victim *entry
		for src, e := range f.entries {
			if e != keep && e.running == nil && (victim == nil || e.used.Before(victim.used)) {
				oldest, victim = src, e
			}
		}
		if victim == nil {
			return
		}
		f.bytes -= victim.size
		delete(f.entries, oldest)
	}
}

// freshness is the Cache-Control max-age (RFC 9111 section 5.2.2.1) within 10 to
// 60 seconds, and 60 where none is given.
func freshness(header http.Header) time.Duration {
	for _, line := range header.Values("Cache-Control") {
		for directive := range strings.SplitSeq(line, ",") {
			name, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(directive)), "=")
			switch name {
			case "no-store", "no-cache":
				return minFresh
			case "max-age":
				seconds, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31)
				if err == nil {
					return min(max(time.Duration(seconds)*time.Second, minFresh), maxFresh)
				}
			}
		}
	}
	return maxFresh
}
