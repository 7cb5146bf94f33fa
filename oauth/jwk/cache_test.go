package jwk

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fapid/fapid/oauth/jwk/jwktest"
	"github.com/fapid/fapid/testkeys"
)

const address = "https://tpp.example/jwks"

// publisher is the owner of a key set, under a clock that tests turn.
type publisher struct {
	fetches atomic.Int64
	mu      sync.Mutex
	clock   time.Time
	body    []byte
	err     error
	control string
	hold    chan struct{} // when set, answers wait for it
}

func newPublisher(body []byte) (*publisher, *Cache) {
	p := &publisher{clock: time.Unix(1_800_000_000, 0), body: body}
	return p, NewCache(CacheConfig{What: "jwks_uri", Load: p.load, Fresh: time.Minute, Stale: 5 * time.Minute, Refuse: testkeys.Refuse, Now: func() time.Time {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.clock
	}})
}

func (p *publisher) load(_ context.Context, uri string) ([]byte, http.Header, error) {
	p.fetches.Add(1)
	p.mu.Lock()
	body, err, control, hold := p.body, p.err, p.control, p.hold
	p.mu.Unlock()
	if hold != nil {
		<-hold
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%s %w", uri, err)
	}
	return body, http.Header{"Cache-Control": {control}}, nil
}

func (p *publisher) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

func (p *publisher) wait(d time.Duration) { p.set(func() { p.clock = p.clock.Add(d) }) }

func (p *publisher) wantFetches(t *testing.T, want int64) {
	t.Helper()
	if got := p.fetches.Load(); got != want {
		t.Errorf("%d fetches, want %d", got, want)
	}
}

func found(t *testing.T, keys *Keys, kid string) bool {
	t.Helper()
	got, err := keys.Find(t.Context(), kid, "ES256")
	return err == nil && len(got) == 1
}

func named(t testing.TB, kids ...string) []byte {
	var all [][]byte
	for i, kid := range kids {
		all = append(all, jwktest.Key(t, testkeys.P256(i+1).Public(), kid, nil))
	}
	var text []string
	for _, key := range all {
		text = append(text, string(key))
	}
	return []byte(`{"keys":[` + strings.Join(text, ",") + `]}`)
}

func TestRemovedKeyIsRefusedWithinAMinute(t *testing.T) {
	owner, cache := newPublisher(named(t, "old", "other"))
	owner.control = "max-age=86400" // nothing a client says makes it longer
	keys := cache.Keys(address, true)
	if !found(t, keys, "old") {
		t.Fatal("the key is not found")
	}
	owner.set(func() { owner.body = named(t, "new") })
	owner.wait(59 * time.Second)
	if !found(t, keys, "old") {
		t.Error("the copy is not used while it is fresh")
	}
	owner.wantFetches(t, 1)
	owner.wait(time.Second)
	_, err := keys.Find(t.Context(), "old", "ES256")
	if want := fmt.Sprintf(`no key with kid "old" in jwks_uri %s (has: new)`, address); err == nil || err.Error() != want {
		t.Errorf("after 60 s: %v, want %s", err, want)
	}
	owner.wantFetches(t, 2)
}

// What is known to have changed is read at once, and the copy of before does not stand
// in for it.
func TestChangedSetIsReadAtOnce(t *testing.T) {
	owner, cache := newPublisher(named(t, "old"))
	version := uint64(1)
	cache.config.Version = func(string) uint64 { return version }
	keys := cache.Keys(address, true)
	for range 2 {
		if !found(t, keys, "old") {
			t.Fatal("the key is not found")
		}
	}
	owner.wantFetches(t, 1)
	owner.set(func() { owner.body = named(t, "new") })
	version++
	if found(t, keys, "old") || !found(t, keys, "new") {
		t.Error("after the set has changed, the copy of before is used")
	}
	owner.wantFetches(t, 2)
	owner.set(func() { owner.err = errors.New("gone") })
	version++
	for range 2 {
		if found(t, keys, "new") {
			t.Error("the copy of before stands in for a set that has changed and cannot be had")
		}
	}
	owner.wantFetches(t, 3)
}

// Who asks after a change does not get what a fetch reads that began before it.
func TestChangedWhileItIsRead(t *testing.T) {
	owner, cache := newPublisher(named(t, "old"))
	var version atomic.Uint64
	cache.config.Version = func(string) uint64 { return version.Load() + 1 }
	hold := make(chan struct{})
	owner.hold = hold
	keys := cache.Keys(address, true)
	var both sync.WaitGroup
	both.Go(func() { found(t, keys, "old") }) // or not: it has asked before the change
	for owner.fetches.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	owner.set(func() { owner.body, owner.hold = named(t, "new"), nil })
	version.Add(1)
	asked := make(chan struct{})
	both.Go(func() {
		close(asked)
		if found(t, keys, "old") {
			t.Error("a key that was gone before anybody asked is found")
		}
	})
	<-asked
	time.Sleep(10 * time.Millisecond) // for it to wait for the fetch of before; if not, it makes its own
	close(hold)
	both.Wait()
	if !found(t, keys, "new") {
		t.Error("the new key is not found")
	}
	owner.wantFetches(t, 2)
}

func TestRemovedCertificateIsRefusedWithinAMinute(t *testing.T) {
	body := jwktest.Set(t, jwktest.Certified(t, testkeys.P256(1), "k"))
	owner, cache := newPublisher(body)
	keys := cache.Keys(address, true)
	_, known, err := keys.HasCertificate(t.Context(), "none")
	if err != nil || len(known) != 1 {
		t.Fatal(known, err)
	}
	registered := known[0]
	owner.set(func() { owner.body = jwktest.Set(t, jwktest.Certified(t, testkeys.P256(1), "k")) })
	owner.wait(59 * time.Second)
	if has, _, _ := keys.HasCertificate(t.Context(), registered); !has {
		t.Error("the copy is not used while it is fresh")
	}
	owner.wait(time.Second)
	has, known, err := keys.HasCertificate(t.Context(), registered)
	if has || err != nil || len(known) != 1 || known[0] == registered {
		t.Errorf("after 60 s: %t, %v, %v", has, known, err)
	}
	// A certificate that was added counts as soon as somebody comes with it.
	added := known[0]
	owner.set(func() { owner.body = jwktest.Set(t, jwktest.Certified(t, testkeys.P256(2), "k")) })
	owner.wait(coolDown)
	if has, _, err := keys.HasCertificate(t.Context(), "unknown"); has || err != nil {
		t.Errorf("unknown: %t, %v", has, err)
	}
	if has, _, _ := keys.HasCertificate(t.Context(), added); has {
		t.Error("the old certificate outlived a fetch")
	}
}

func TestUnknownKidFetchesOnceInTenSeconds(t *testing.T) {
	owner, cache := newPublisher(named(t, "a"))
	keys := cache.Keys(address, true)
	for i := range 10_000 {
		if found(t, keys, fmt.Sprintf("evil-%d", i)) {
			t.Fatal("found")
		}
	}
	owner.wantFetches(t, 1)
	owner.set(func() { owner.body = named(t, "a", "b") })
	owner.wait(10*time.Second - time.Millisecond)
	if found(t, keys, "b") {
		t.Error("fetched again before the cool-down is over")
	}
	owner.wait(time.Millisecond)
	if !found(t, keys, "b") {
		t.Error("a key published since is not found")
	}
	owner.wantFetches(t, 2)
	for i := range 100 {
		owner.wait(100 * time.Millisecond)
		found(t, keys, fmt.Sprintf("evil-%d", i))
	}
	owner.wantFetches(t, 3)
}

func TestAThousandCallersShareOneFetch(t *testing.T) {
	owner, cache := newPublisher(named(t, "a"))
	owner.hold = make(chan struct{})
	keys := cache.Keys(address, true)
	var group sync.WaitGroup
	var good atomic.Int64
	for range 1000 {
		group.Go(func() {
			if found(t, keys, "a") {
				good.Add(1)
			}
		})
	}
	time.Sleep(50 * time.Millisecond)
	close(owner.hold)
	group.Wait()
	if good.Load() != 1000 {
		t.Errorf("%d of 1000 found the key", good.Load())
	}
	owner.wantFetches(t, 1)
}

func TestACallerThatGivesUpDoesNotStopTheFetch(t *testing.T) {
	owner, cache := newPublisher(named(t, "a"))
	owner.hold = make(chan struct{})
	keys := cache.Keys(address, true)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := keys.Find(ctx, "a", "ES256")
		done <- err
	}()
	for owner.fetches.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("the caller that gave up: %v", err)
	}
	close(owner.hold)
	if !found(t, keys, "a") {
		t.Error("the fetch went with the caller")
	}
	owner.wantFetches(t, 1)
}

func TestLastGoodCopyStandsInForAWhile(t *testing.T) {
	owner, cache := newPublisher(named(t, "a"))
	keys := cache.Keys(address, true)
	if !found(t, keys, "a") {
		t.Fatal("not found")
	}
	owner.set(func() { owner.err = errors.New("answered 500") })
	owner.wait(time.Minute)
	for range 100 {
		if !found(t, keys, "a") {
			t.Fatal("the last good copy is not used while the server fails")
		}
	}
	owner.wantFetches(t, 2) // the failure is remembered
	_, err := keys.Find(t.Context(), "b", "ES256")
	for _, want := range []string{`no key with kid "b"`, "looking again: jwks_uri " + address + " answered 500"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	owner.wait(5*time.Minute - time.Minute - time.Second)
	if !found(t, keys, "a") {
		t.Error("the last good copy is not used to its end")
	}
	owner.wait(time.Second)
	if _, err := keys.Find(t.Context(), "a", "ES256"); err == nil || !strings.Contains(err.Error(), "jwks_uri "+address+" answered 500") {
		t.Errorf("after 5 minutes: %v", err)
	}
	owner.set(func() { owner.err = nil })
	owner.wait(coolDown)
	if !found(t, keys, "a") {
		t.Error("the cache does not recover")
	}
}

func TestFailureIsRemembered(t *testing.T) {
	owner, cache := newPublisher([]byte("<html>"))
	keys := cache.Keys(address, true)
	for range 100 {
		if _, err := keys.Find(t.Context(), "a", "ES256"); err == nil || !strings.Contains(err.Error(), "not a JWK Set") {
			t.Fatalf("%v", err)
		}
		if _, _, err := keys.HasCertificate(t.Context(), "x"); err == nil {
			t.Fatal("no error")
		}
	}
	owner.wantFetches(t, 1)
	owner.wait(coolDown)
	found(t, keys, "a")
	owner.wantFetches(t, 2)
}

func TestRefusedRemoteKeySaysWhy(t *testing.T) {
	_, cache := newPublisher([]byte(`{"keys":[` + secp256k1 + `]}`))
	keys := cache.Keys(address, true)
	_, err := keys.Find(t.Context(), "k", "ES256")
	if err == nil || !strings.Contains(err.Error(), `the key with kid "k" in jwks_uri `+address+` is not used: curve "secp256k1"`) {
		t.Errorf("%v", err)
	}
	if _, err := keys.Find(t.Context(), "", "ES256"); err == nil || !strings.Contains(err.Error(), `"k", not used: curve`) {
		t.Errorf("%v", err)
	}
}

func TestRemoteTestKeysAreForSandboxesOnly(t *testing.T) {
	_, cache := newPublisher(named(t, "a"))
	if !found(t, cache.Keys(address, true), "a") {
		t.Error("a sandbox refuses test keys")
	}
	outside := cache.Keys(address, false)
	if _, err := outside.Find(t.Context(), "a", "ES256"); err == nil || !strings.Contains(err.Error(), "a public test key") {
		t.Errorf("outside a sandbox: %v", err)
	}
}

func TestAFreshCopyDoesNotAllocate(t *testing.T) {
	_, cache := newPublisher(named(t, "a"))
	keys, ctx := cache.Keys(address, true), t.Context()
	if allocations := testing.AllocsPerRun(100, func() { _, _ = keys.Find(ctx, "a", "ES256") }); allocations != 0 {
		t.Errorf("it allocates %.0f times", allocations)
	}
}

func TestFreshness(t *testing.T) {
	for control, want := range map[string]time.Duration{
		"":                              60 * time.Second,
		"max-age=30":                    30 * time.Second,
		"public, max-age=30":            30 * time.Second,
		`Max-Age="30"`:                  30 * time.Second,
		"max-age=0":                     10 * time.Second,
		"max-age=3600":                  60 * time.Second,
		"max-age=99999999999999999999":  60 * time.Second,
		"max-age=-1":                    60 * time.Second,
		"no-store":                      10 * time.Second,
		"no-cache, max-age=50":          10 * time.Second,
		"max-age=9223372036,immutable":  60 * time.Second,
		"s-maxage=5":                    60 * time.Second,
		"stale-if-error=86400, private": 60 * time.Second,
	} {
		if got := freshness(http.Header{"Cache-Control": {control}}, time.Minute); got != want {
			t.Errorf("%q: %s, want %s", control, got, want)
		}
	}
}

func TestCacheIsBoundedInBytes(t *testing.T) {
	owner, cache := newPublisher(append(named(t, "a"), []byte(strings.Repeat(" ", 60<<10))...))
	const full = maxCacheBytes / MaxSet
	for i := range full {
		cache.entries[source{uri: fmt.Sprint(i)}] = &entry{set: &Set{}, size: MaxSet, used: cache.config.Now()}
		cache.bytes += MaxSet
	}
	owner.wait(time.Second)
	for i := range 3 {
		if !found(t, cache.Keys(fmt.Sprintf("%s/%d", address, i), true), "a") {
			t.Fatal("not found")
		}
	}
	size, ours := 0, 0
	for src, e := range cache.entries {
		size += e.size
		if strings.HasPrefix(src.uri, address) {
			ours++
		}
	}
	if size != cache.bytes || size > maxCacheBytes || len(cache.entries) != full || ours != 3 {
		t.Errorf("%d entries of %d bytes, counted %d, %d of 3 new ones", len(cache.entries), size, cache.bytes, ours)
	}
}

func TestCacheForgetsTheLeastRecentlyUsed(t *testing.T) {
	cache := NewCache(CacheConfig{What: "jwks_uri", Load: func(context.Context, string) ([]byte, http.Header, error) { return nil, nil, errors.New("x") }})
	start := time.Unix(1_800_000_000, 0)
	for i := range maxEntries {
		at := start.Add(time.Duration(i) * time.Second)
		cache.entries[source{uri: fmt.Sprint(i)}] = &entry{attempted: at, used: at, err: errors.New("x")}
	}
	now := start.Add(time.Hour * 48)
	cache.config.Now = func() time.Time { return now }
	kept := cache.entries[source{uri: "0"}]
	kept.set, kept.fresh = &Set{}, now.Add(time.Second)
	if _, err := cache.get(t.Context(), source{uri: "0"}, false); err != nil {
		t.Fatal(err)
	}
	if _, err := cache.get(t.Context(), source{uri: "not a URL"}, false); err == nil {
		t.Fatal("fetched")
	}
	_, oldest := cache.entries[source{uri: "1"}]
	_, recent := cache.entries[source{uri: "0"}]
	_, newest := cache.entries[source{uri: "not a URL"}]
	if len(cache.entries) != maxEntries || oldest || !recent || !newest {
		t.Errorf("%d entries; oldest kept: %t, recent kept: %t, newest kept: %t", len(cache.entries), oldest, recent, newest)
	}
}
