package jwk

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// coolDown is between two attempts to fetch one set, and the least time for which
// one is fresh.
const coolDown = 10 * time.Second

// Bounds of the cache, which evicts what was used least recently.
const (
	maxEntries    = 4096
	maxCacheBytes = 16 << 20
)

// CacheConfig says how a [Cache] fetches and how long it keeps.
type CacheConfig struct {
	// What its URIs are called in errors: "jwks_uri".
	What string
	// Load fetches the JWK Set of a URI, and bounds the time and the size of that.
	// Its error names the URI.
	Load func(ctx context.Context, uri string) ([]byte, http.Header, error)
	// Version tells without looking that what is behind a URI has changed: it is another
	// number then. Nil, or always the same, where only looking tells.
	Version func(uri string) uint64
	// Fresh is the longest that a set is used without looking again, whatever its
	// Cache-Control says: a key that its owner removed works that long.
	Fresh time.Duration
	// Stale is how long, since it was fetched, the last good copy stands in while
	// fetching fails. Not for ever: whoever can keep the owner's server down could
	// keep a removed key alive.
	Stale time.Duration
	// Refuse is for keys that are not asked for with anyKey.
	Refuse Refuse
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Cache keeps the key sets behind URIs. It is safe for concurrent use.
type Cache struct {
	config CacheConfig

	mu      sync.Mutex
	entries map[source]*entry
	bytes   int // of the key sets in entries, as they were fetched
}

// NewCache makes an empty cache.
func NewCache(config CacheConfig) *Cache {
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Version == nil {
		config.Version = func(string) uint64 { return 0 }
	}
	return &Cache{config: config, entries: map[source]*entry{}}
}

// Keys are those that the cache has of a URI, or fetches. With anyKey, those that
// Refuse refuses are among them.
func (c *Cache) Keys(uri string, anyKey bool) *Keys {
	return &Keys{where: c.config.What + " " + uri, cache: c, remote: source{uri, anyKey}}
}

// FetchError says that a set could not be had: nothing of what it would say.
type FetchError struct{ err error }

// Error says why.
func (e *FetchError) Error() string { return e.err.Error() }

// Unwrap returns the cause.
func (e *FetchError) Unwrap() error { return e.err }

// source is what a cached set was made from: the same document gives another set
// where any key is taken.
type source struct {
	uri    string
	anyKey bool
}

// entry is one remote key set: the last good copy and the last attempt.
type entry struct {
	set     *Set
	size    int
	fetched time.Time
	fresh   time.Time // until then set is used without asking
	version uint64    // of what the last attempt looked at

	attempted time.Time
	err       error         // of the last attempt
	running   chan struct{} // closed when the attempt under way is over
	used      time.Time
}

// get returns the key set of a source, from memory while that is fresh. All
// callers of one source share one fetch, which goes on when a caller gives up,
// and at most one is started every 10 seconds, successful or not. With again,
// a fresh copy is not good enough, and a failed attempt is an error. None of that
// holds for what is known to have changed: that is read at once, and anew where a
// reading under way began before.
func (c *Cache) get(ctx context.Context, src source, again bool) (*Set, error) {
	version := c.config.Version(src.uri)
	for waited := false; ; waited = true {
		c.mu.Lock()
		now := c.config.Now()
		e := c.entries[src]
		if e == nil {
			e = &entry{used: now}
			c.entries[src] = e
			c.evict(e)
		}
		e.used = now
		changed := version != e.version
		if !again && !changed && e.set != nil && now.Before(e.fresh) {
			set := e.set
			c.mu.Unlock()
			return set, nil
		}
		early := changed && e.running != nil && !waited // it may read what was there before the change
		if e.running == nil {
			if !changed && !e.attempted.IsZero() && now.Before(e.attempted.Add(coolDown)) {
				set, err := e.answer(now, again, c.config.Stale)
				c.mu.Unlock()
				return set, err
			}
			if changed && !e.attempted.IsZero() {
				e.fetched, e.fresh = time.Time{}, time.Time{} // the copy there is cannot stand in
			}
			e.running, e.attempted, e.version = make(chan struct{}), now, version
			go c.refresh(src, e)
		}
		running := e.running
		c.mu.Unlock()

		select {
		case <-running:
		case <-ctx.Done():
			return nil, &FetchError{fmt.Errorf("waiting for %s %s: %w", c.config.What, src.uri, ctx.Err())}
		}
		if !early {
			c.mu.Lock()
			set, err := e.answer(c.config.Now(), again, c.config.Stale)
			c.mu.Unlock()
			return set, err
		}
	}
}

// answer is what the last attempt gave, or the copy before it if that may still
// stand in.
func (e *entry) answer(now time.Time, again bool, stale time.Duration) (*Set, error) {
	if e.err == nil {
		return e.set, nil
	}
	if !again && e.set != nil && now.Before(e.fetched.Add(stale)) {
		return e.set, nil
	}
	return nil, &FetchError{e.err}
}

// refresh makes one attempt. It runs on its own, because its callers may give
// up, so a panic over foreign bytes must end here.
func (c *Cache) refresh(src source, e *entry) {
	started := c.config.Now()
	var set *Set
	var size int
	var fresh time.Duration
	var err error
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("%s %s could not be read: %v", c.config.What, src.uri, fault)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		e.err = err
		if err == nil {
			c.bytes += size - e.size
			e.set, e.size, e.fetched, e.fresh = set, size, started, started.Add(fresh)
			c.evict(e)
		}
		close(e.running)
		e.running = nil
	}()
	set, size, fresh, err = c.load(src)
}

func (c *Cache) load(src source) (*Set, int, time.Duration, error) {
	body, header, err := c.config.Load(context.Background(), src.uri)
	if err != nil {
		return nil, 0, 0, fmt.Errorf("%s %w", c.config.What, err)
	}
	refuse := c.config.Refuse
	if src.anyKey {
		refuse = nil
	}
	set, err := Parse(body, Fetched, refuse)
	if err != nil {
		return nil, 0, 0, fmt.Errorf("%s %s: %w", c.config.What, src.uri, err)
	}
	return set, len(body), freshness(header, c.config.Fresh), nil
}

// evict forgets the least recently used entries while there are too many or
// they are too large. Going through all of them is cheap beside the fetch that
// made room necessary. An entry being fetched is left to its callers.
func (c *Cache) evict(keep *entry) {
	for len(c.entries) > maxEntries || c.bytes > maxCacheBytes {
		var oldest source
		var victim *entry
		for src, e := range c.entries {
			if e != keep && e.running == nil && (victim == nil || e.used.Before(victim.used)) {
				oldest, victim = src, e
			}
		}
		if victim == nil {
			return
		}
		c.bytes -= victim.size
		delete(c.entries, oldest)
	}
}

// freshness is the Cache-Control max-age (RFC 9111 section 5.2.2.1) within 10
// seconds and longest, and longest where none is given.
func freshness(header http.Header, longest time.Duration) time.Duration {
	for _, line := range header.Values("Cache-Control") {
		for directive := range strings.SplitSeq(line, ",") {
			name, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(directive)), "=")
			switch name {
			case "no-store", "no-cache":
				return coolDown
			case "max-age":
				seconds, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31)
				if err == nil {
					return min(max(time.Duration(seconds)*time.Second, coolDown), longest)
				}
			}
		}
	}
	return longest
}
