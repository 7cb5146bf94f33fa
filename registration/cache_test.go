package registration

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fapid/fapid/testkeys"
)

// jwksServer is a TPP's jwks_uri under a clock that tests turn.
type jwksServer struct {
	*httptest.Server
	fetches atomic.Int64
	mu      sync.Mutex
	clock   time.Time
	body    []byte
	status  int
	control string
	hold    chan struct{} // when set, answers wait for it
}

func newJWKSServer(t testing.TB, body []byte) (*jwksServer, *Fetcher) {
	t.Helper()
	s := &jwksServer{clock: time.Unix(1_800_000_000, 0), body: body, status: 200}
	s.Server = tppServer(t, func(w http.ResponseWriter, r *http.Request) {
		s.fetches.Add(1)
		s.mu.Lock()
		body, status, control, hold := s.body, s.status, s.control, s.hold
		s.mu.Unlock()
		if hold != nil {
			select {
			case <-hold:
			case <-r.Context().Done():
			}
		}
		w.Header().Set("Content-Type", "application/json")
		if control != "" {
			w.Header().Set("Cache-Control", control)
		}
		w.WriteHeader(status)
		_, _ = w.Write(body)
	})
	f := sandboxFetcher(s.Server)
	f.now = func() time.Time {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.clock
	}
	return s, f
}

func (s *jwksServer) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *jwksServer) wait(d time.Duration) { s.set(func() { s.clock = s.clock.Add(d) }) }

func (s *jwksServer) wantFetches(t *testing.T, want int64) {
	t.Helper()
	if got := s.fetches.Load(); got != want {
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
		all = append(all, jwk(t, testkeys.P256(i+1).Public(), kid, nil))
	}
	var text []string
	for _, key := range all {
		text = append(text, string(key))
	}
	return []byte(`{"keys":[` + strings.Join(text, ",") + `]}`)
}

func TestRemovedKeyIsRefusedWithinAMinute(t *testing.T) {
	server, fetcher := newJWKSServer(t, named(t, "old", "other"))
	server.control = "max-age=86400" // nothing a client says makes it longer
	keys := remoteKeys(fetcher, server.URL, true)
	if !found(t, keys, "old") {
		t.Fatal("the key is not found")
	}
	server.set(func() { server.body = named(t, "new") })
	server.wait(59 * time.Second)
	if !found(t, keys, "old") {
		t.Error("the copy is not used while it is fresh")
	}
	server.wantFetches(t, 1)
	server.wait(time.Second)
	_, err := keys.Find(t.Context(), "old", "ES256")
	if want := fmt.Sprintf(`no key with kid "old" in jwks_uri %s (has: new)`, server.URL); err == nil || err.Error() != want {
		t.Errorf("after 60 s: %v, want %s", err, want)
	}
	server.wantFetches(t, 2)
}

func TestRemovedCertificateIsRefusedWithinAMinute(t *testing.T) {
	body := jwks(t, certified(t, testkeys.P256(1), "k"))
	server, fetcher := newJWKSServer(t, body)
	keys := remoteKeys(fetcher, server.URL, true)
	_, known, err := keys.HasCertificate(t.Context(), "none")
	if err != nil || len(known) != 1 {
		t.Fatal(known, err)
	}
	registered := known[0]
	server.set(func() { server.body = jwks(t, certified(t, testkeys.P256(1), "k")) })
	server.wait(59 * time.Second)
	if has, _, _ := keys.HasCertificate(t.Context(), registered); !has {
		t.Error("the copy is not used while it is fresh")
	}
	server.wait(time.Second)
	has, known, err := keys.HasCertificate(t.Context(), registered)
	if has || err != nil || len(known) != 1 || known[0] == registered {
		t.Errorf("after 60 s: %t, %v, %v", has, known, err)
	}
	// A certificate that was added counts as soon as somebody comes with it.
	added := known[0]
	server.set(func() { server.body = jwks(t, certified(t, testkeys.P256(2), "k")) })
	server.wait(coolDown)
	if has, _, err := keys.HasCertificate(t.Context(), "unknown"); has || err != nil {
		t.Errorf("unknown: %t, %v", has, err)
	}
	if has, _, _ := keys.HasCertificate(t.Context(), added); has {
		t.Error("the old certificate outlived a fetch")
	}
}

func TestUnknownKidFetchesOnceInTenSeconds(t *testing.T) {
	server, fetcher := newJWKSServer(t, named(t, "a"))
	keys := remoteKeys(fetcher, server.URL, true)
	for i := range 10_000 {
		if found(t, keys, fmt.Sprintf("evil-%d", i)) {
			t.Fatal("found")
		}
	}
	server.wantFetches(t, 1)
	server.set(func() { server.body = named(t, "a", "b") })
	server.wait(10*time.Second - time.Millisecond)
	if found(t, keys, "b") {
		t.Error("fetched again before the cool-down is over")
	}
	server.wait(time.Millisecond)
	if !found(t, keys, "b") {
		t.Error("a key published since is not found")
	}
	server.wantFetches(t, 2)
	for i := range 100 {
		server.wait(100 * time.Millisecond)
		found(t, keys, fmt.Sprintf("evil-%d", i))
	}
	server.wantFetches(t, 3)
}

func TestAThousandCallersShareOneFetch(t *testing.T) {
	server, fetcher := newJWKSServer(t, named(t, "a"))
	server.hold = make(chan struct{})
	keys := remoteKeys(fetcher, server.URL, true)
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
	close(server.hold)
	group.Wait()
	if good.Load() != 1000 {
		t.Errorf("%d of 1000 found the key", good.Load())
	}
	server.wantFetches(t, 1)
}

func TestACallerThatGivesUpDoesNotStopTheFetch(t *testing.T) {
	server, fetcher := newJWKSServer(t, named(t, "a"))
	server.hold = make(chan struct{})
	keys := remoteKeys(fetcher, server.URL, true)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := keys.Find(ctx, "a", "ES256")
		done <- err
	}()
	for server.fetches.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("the caller that gave up: %v", err)
	}
	close(server.hold)
	if !found(t, keys, "a") {
		t.Error("the fetch went with the caller")
	}
	server.wantFetches(t, 1)
}

func TestLastGoodCopyStandsInForAWhile(t *testing.T) {
	server, fetcher := newJWKSServer(t, named(t, "a"))
	keys := remoteKeys(fetcher, server.URL, true)
	if !found(t, keys, "a") {
		t.Fatal("not found")
	}
	server.set(func() { server.status = 500 })
	server.wait(time.Minute)
	for range 100 {
		if !found(t, keys, "a") {
			t.Fatal("the last good copy is not used while the server fails")
		}
	}
	server.wantFetches(t, 2) // the failure is remembered
	_, err := keys.Find(t.Context(), "b", "ES256")
	for _, want := range []string{`no key with kid "b"`, "looking again: jwks_uri " + server.URL + " answered 500"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	server.wait(5*time.Minute - time.Minute - time.Second)
	if !found(t, keys, "a") {
		t.Error("the last good copy is not used to its end")
	}
	server.wait(time.Second)
	if _, err := keys.Find(t.Context(), "a", "ES256"); err == nil || !strings.Contains(err.Error(), "jwks_uri "+server.URL+" answered 500") {
		t.Errorf("after 5 minutes: %v", err)
	}
	server.set(func() { server.status = 200 })
	server.wait(coolDown)
	if !found(t, keys, "a") {
		t.Error("the cache does not recover")
	}
}

func TestFailureIsRemembered(t *testing.T) {
	server, fetcher := newJWKSServer(t, []byte("<html>"))
	keys := remoteKeys(fetcher, server.URL, true)
	for range 100 {
		if _, err := keys.Find(t.Context(), "a", "ES256"); err == nil || !strings.Contains(err.Error(), "not a JWK Set") {
			t.Fatalf("%v", err)
		}
		if _, _, err := keys.HasCertificate(t.Context(), "x"); err == nil {
			t.Fatal("no error")
		}
	}
	server.wantFetches(t, 1)
	server.wait(coolDown)
	found(t, keys, "a")
	server.wantFetches(t, 2)
}

func TestRefusedRemoteKeySaysWhy(t *testing.T) {
	server, fetcher := newJWKSServer(t, []byte(`{"keys":[`+secp256k1+`]}`))
	keys := remoteKeys(fetcher, server.URL, true)
	_, err := keys.Find(t.Context(), "k", "ES256")
	if err == nil || !strings.Contains(err.Error(), `the key with kid "k" in jwks_uri `+server.URL+` is not used: curve "secp256k1"`) {
		t.Errorf("%v", err)
	}
	if _, err := keys.Find(t.Context(), "", "ES256"); err == nil || !strings.Contains(err.Error(), `"k", not used: curve`) {
		t.Errorf("%v", err)
	}
}

func TestRemoteTestKeysAreForSandboxesOnly(t *testing.T) {
	server, fetcher := newJWKSServer(t, named(t, "a"))
	if !found(t, remoteKeys(fetcher, server.URL, true), "a") {
		t.Error("a sandbox refuses test keys")
	}
	outside := remoteKeys(fetcher, server.URL, false)
	if _, err := outside.Find(t.Context(), "a", "ES256"); err == nil || !strings.Contains(err.Error(), "a public test key") {
		t.Errorf("outside a sandbox: %v", err)
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
		if got := freshness(http.Header{"Cache-Control": {control}}); got != want {
			t.Errorf("%q: %s, want %s", control, got, want)
		}
	}
}

func TestCacheIsBoundedInBytes(t *testing.T) {
	server, fetcher := newJWKSServer(t, append(named(t, "a"), []byte(strings.Repeat(" ", 60<<10))...))
	const full = maxCacheBytes / maxJWKSBytes
	for i := range full {
		fetcher.entries[source{uri: fmt.Sprint(i)}] = &entry{set: &keySet{}, size: maxJWKSBytes, used: fetcher.now()}
		fetcher.bytes += maxJWKSBytes
	}
	server.wait(time.Second)
	for i := range 3 {
		if !found(t, remoteKeys(fetcher, fmt.Sprintf("%s/%d", server.URL, i), true), "a") {
			t.Fatal("not found")
		}
	}
	size, ours := 0, 0
	for src, e := range fetcher.entries {
		size += e.size
		if strings.HasPrefix(src.uri, server.URL) {
			ours++
		}
	}
	if size != fetcher.bytes || size > maxCacheBytes || len(fetcher.entries) != full || ours != 3 {
		t.Errorf("%d entries of %d bytes, counted %d, %d of 3 new ones", len(fetcher.entries), size, fetcher.bytes, ours)
	}
}

func TestCacheForgetsTheLeastRecentlyUsed(t *testing.T) {
	fetcher := NewFetcher(FetchConfig{})
	start := time.Unix(1_800_000_000, 0)
	for i := range maxEntries {
		at := start.Add(time.Duration(i) * time.Second)
		fetcher.entries[source{uri: fmt.Sprint(i)}] = &entry{attempted: at, used: at, err: errors.New("x")}
	}
	now := start.Add(time.Hour * 48)
	fetcher.now = func() time.Time { return now }
	kept := fetcher.entries[source{uri: "0"}]
	kept.set, kept.fresh = &keySet{}, now.Add(time.Second)
	if _, err := fetcher.cached(t.Context(), source{uri: "0"}, false); err != nil {
		t.Fatal(err)
	}
	if _, err := fetcher.cached(t.Context(), source{uri: "not a URL"}, false); err == nil {
		t.Fatal("fetched")
	}
	_, oldest := fetcher.entries[source{uri: "1"}]
	_, recent := fetcher.entries[source{uri: "0"}]
	_, newest := fetcher.entries[source{uri: "not a URL"}]
	if len(fetcher.entries) != maxEntries || oldest || !recent || !newest {
		t.Errorf("%d entries; oldest kept: %t, recent kept: %t, newest kept: %t", len(fetcher.entries), oldest, recent, newest)
	}
}
