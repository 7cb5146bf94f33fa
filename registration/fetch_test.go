package registration

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fapid/fapid/oauth/jwk/jwktest"
	"github.com/fapid/fapid/testkeys"
)

var discard = log.New(io.Discard, "", 0)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// tppServer is a TPP's web server on the loopback interface.
func tppServer(t testing.TB, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = discard
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

func roots(server *httptest.Server) *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	return pool
}

// sandboxFetcher may fetch from the server; another one may not. It waits as long as a
// machine needs that runs all tests at once.
func sandboxFetcher(server *httptest.Server) *Fetcher {
	return NewFetcher(FetchConfig{AllowPrivate: loopback, AnyPort: true, RootCAs: roots(server), Timeout: time.Minute})
}

func serveJWKS(body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/jwk-set+json")
		_, _ = w.Write(body)
	}
}

// trap counts every connection made to a port of the loopback interface.
func trap(t *testing.T) (port string, connections *atomic.Int64) {
	t.Helper()
	connections = new(atomic.Int64)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	_, port, _ = net.SplitHostPort(listener.Addr().String())
	accept := func(listener net.Listener) {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			_ = conn.Close()
		}
	}
	go accept(listener)
	if v6, err := net.Listen("tcp", "[::1]:"+port); err == nil { // where the machine has IPv6
		t.Cleanup(func() { _ = v6.Close() })
		go accept(v6)
	}
	return port, connections
}

func TestFetcherGoesNowherePrivate(t *testing.T) {
	port, connections := trap(t)
	dns := newNameServer(t)
	// Ports are open here, so that nothing but the address decides.
	fetcher := NewFetcher(FetchConfig{AnyPort: true})
	fetcher.dialer.Resolver = dns.resolver()
	for _, target := range []string{
		"https://127.0.0.1:" + port, "https://127.1.2.3:" + port, "https://0.0.0.0:" + port, "https://localhost:" + port,
		"https://LOCALHOST.:" + port, "https://[::1]:" + port, "https://[::]:" + port, "https://[::ffff:127.0.0.1]:" + port,
		"https://[::ffff:7f00:1]:" + port, "https://[::127.0.0.1]:" + port, "https://[64:ff9b::7f00:1]:" + port,
		"https://[64:ff9b:1::7f00:1]:" + port, "https://[2002:7f00:1::]:" + port, "https://[2001:0:7f00:1::]:" + port,
		"https://10.0.0.1:" + port, "https://172.16.0.1", "https://192.168.0.1", "https://169.254.169.254/latest/meta-data/",
		"https://100.64.0.1", "https://198.18.0.1", "https://224.0.0.1", "https://255.255.255.255", "https://[fd00::1]",
		"https://[fe80::1]", "https://[fe80::1%25lo]:" + port, "https://[ff02::1]",
		"https://2130706433:" + port, "https://0x7f000001:" + port, "https://0x7f.0.0.1:" + port, "https://0177.0.0.1:" + port,
		"https://127.1:" + port, "https://127.0.1:" + port, "https://017700000001:" + port, "https://1.2.3.4.5",
		"https://private.example:" + port, "https://both.example:" + port, "https://v6.example:" + port,
		"http://127.0.0.1:" + port, "http://public.example", "file:///etc/passwd", "gopher://127.0.0.1:" + port + "/x",
		"ftp://127.0.0.1:" + port, "//127.0.0.1:" + port, "https:127.0.0.1:" + port, "https://user@127.0.0.1:" + port,
		"https://public.example@127.0.0.1:" + port, "https://public.example\\@127.0.0.1:" + port, "https://public.example#@127.0.0.1:" + port,
		"https://①②⑦.⓪.⓪.①:" + port, "https://127。0。0。1:" + port,
	} {
		_, _, err := fetcher.Get(t.Context(), target+"/jwks")
		if err == nil {
			t.Errorf("%s was fetched", target)
			continue
		}
		if text := err.Error(); strings.Contains(text, "refused") && strings.Contains(text, "connect") {
			t.Errorf("%s was dialled: %v", target, err)
		}
	}
	time.Sleep(20 * time.Millisecond) // a connection made is counted by then
	if n := connections.Load(); n != 0 {
		t.Errorf("%d connections were made", n)
	}
	if dns.questions.Load() == 0 {
		t.Error("no name was looked up: the test does not test")
	}
}

func TestFetcherSaysWhereItDoesNotGo(t *testing.T) {
	dns := newNameServer(t)
	fetcher := NewFetcher(FetchConfig{})
	fetcher.dialer.Resolver = dns.resolver()
	for target, want := range map[string]string{
		"https://private.example/jwks":     "https://private.example/jwks resolves to 10.0.0.1, which fapid does not fetch",
		"https://127.0.0.1/jwks":           "resolves to 127.0.0.1, which fapid does not fetch",
		"https://private.example:8443/x":   "goes to port 8443, which fapid does not fetch from",
		"https://missing.example/jwks":     "https://missing.example/jwks cannot be fetched",
		"http://tpp.example/jwks":          "must begin with https://",
		"https://tpp.example/jwks#private": "must not have a fragment",
	} {
		if _, _, err := fetcher.Get(t.Context(), target); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", target, err, want)
		}
	}
}

// The name answers with a public address when it is looked at and with a
// private one when it is dialled: only the latter may count.
func TestFetcherJudgesTheDialledAddress(t *testing.T) {
	port, connections := trap(t)
	dns := newNameServer(t)
	fetcher := NewFetcher(FetchConfig{AnyPort: true})
	fetcher.dialer.Resolver = dns.resolver()
	first, err := dns.resolver().LookupNetIP(t.Context(), "ip4", "rebinding.example")
	if err != nil || len(first) != 1 || first[0].String() != "93.184.216.34" {
		t.Fatalf("first answer %v, %v", first, err)
	}
	_, _, err = fetcher.Get(t.Context(), "https://rebinding.example:"+port+"/jwks")
	if err == nil || !strings.Contains(err.Error(), "resolves to 127.0.0.1, which fapid does not fetch") {
		t.Errorf("the second answer was taken: %v", err)
	}
	if n := connections.Load(); n != 0 {
		t.Errorf("%d connections were made", n)
	}
}

func TestFetcherFollowsNoRedirect(t *testing.T) {
	port, connections := trap(t)
	for _, status := range []int{301, 302, 303, 307, 308} {
		server := tppServer(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/jwks" {
				connections.Add(1)
			}
			http.Redirect(w, r, []string{"/elsewhere", "https://127.0.0.1:" + port}[status%2], status)
		})
		_, _, err := sandboxFetcher(server).Get(t.Context(), server.URL+"/jwks")
		if want := fmt.Sprintf("answered %d; redirects are not followed", status); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if n := connections.Load(); n != 0 {
		t.Errorf("%d redirects were followed", n)
	}
}

func TestFetcherUsesNoProxy(t *testing.T) {
	port, connections := trap(t)
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:"+port)
	t.Setenv("ALL_PROXY", "http://127.0.0.1:"+port)
	transport := NewFetcher(FetchConfig{AllowPrivate: loopback, AnyPort: true}).client.Transport.(*http.Transport)
	// The environment is read once per process, so look at the setting, too.
	if transport.Proxy != nil {
		t.Error("the transport has a proxy")
	}
	server := tppServer(t, serveJWKS([]byte(`{}`)))
	if _, _, err := sandboxFetcher(server).Get(t.Context(), server.URL); err != nil {
		t.Error(err)
	}
	if n := connections.Load(); n != 0 {
		t.Errorf("%d connections to the proxy", n)
	}
}

func TestFetcherGetsADocument(t *testing.T) {
	var asked http.Header
	server := tppServer(t, func(w http.ResponseWriter, r *http.Request) {
		asked = r.Header
		serveJWKS([]byte(`{"keys":[]}`))(w, r)
	})
	body, _, err := sandboxFetcher(server).Get(t.Context(), server.URL+"/jwks")
	if err != nil || string(body) != `{"keys":[]}` {
		t.Fatalf("%q, %v", body, err)
	}
	if fetcher := NewFetcher(FetchConfig{}); fetcher.timeout != 3*time.Second || cap(fetcher.slots) != 64 {
		t.Errorf("a fetch may take %s, and %d may run at once", fetcher.timeout, cap(fetcher.slots))
	}
	if asked.Get("Accept-Encoding") != "" {
		t.Errorf("asked for %s", asked.Get("Accept-Encoding"))
	}
	if _, _, err := NewFetcher(FetchConfig{AllowPrivate: loopback, AnyPort: true}).Get(t.Context(), server.URL); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a server that nobody vouches for: %v", err)
	}
}

func TestFetcherMeetsFaults(t *testing.T) {
	var zipped bytes.Buffer
	bomb := gzip.NewWriter(&zipped)
	for range 1 << 10 {
		_, _ = bomb.Write(make([]byte, 10<<10))
	}
	_ = bomb.Close()
	answer := func(status int, kind string, body []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(status)
			_, _ = w.Write(body)
		}
	}
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		want    string
	}{
		"10 MB": {answer(200, "application/json", make([]byte, 10<<20)), "answered more than 65536 bytes"},
		"10 MB declared": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "10485760")
			answer(200, "application/json", make([]byte, 10<<20))(w, r)
		}, "answered 10485760 bytes, more than 65536"},
		"endless chunks": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 4<<10)); err != nil {
					return
				}
			}
		}, "answered more than 65536 bytes"},
		"one byte too many": {answer(200, "application/json", make([]byte, 64<<10+1)), "more than 65536"},
		"gzip bomb": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			answer(200, "application/json", zipped.Bytes())(w, r)
		}, "answered with Content-Encoding \"gzip\", which was not asked for"},
		"slow drip": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			for r.Context().Err() == nil {
				_, _ = w.Write([]byte(" "))
				w.(http.Flusher).Flush()
				time.Sleep(100 * time.Millisecond)
			}
			panic(http.ErrAbortHandler) // an end now could still be taken for one in time
		}, "did not answer completely within 500ms"},
		"silence": {func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			panic(http.ErrAbortHandler)
		}, "did not answer completely within 500ms"},
		"HTML":           {answer(200, "text/html", []byte("<html>")), `answered with Content-Type "text/html", expected application/json`},
		"text":           {answer(200, "text/plain", []byte("{}")), "expected application/json"},
		"javascript":     {answer(200, "application/javascript", []byte("{}")), "expected application/json"},
		"broken type":    {answer(200, "application/json; =", []byte("{}")), "expected application/json"},
		"no type":        {func(w http.ResponseWriter, _ *http.Request) { w.Header()["Content-Type"] = nil }, `answered with Content-Type ""`},
		"500":            {answer(500, "application/json", nil), "answered 500"},
		"404":            {answer(404, "application/json", nil), "answered 404"},
		"204":            {answer(204, "application/json", nil), "answered 204"},
		"hang up":        {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "cannot be fetched"},
		"1 MB of header": {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 1<<20)) }, "cannot be fetched"},
		"truncated answer": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "100")
			answer(200, "application/json", []byte("{}"))(w, r)
		}, "cannot be fetched"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			slow := strings.Contains(test.want, "500ms")
			server := tppServer(t, test.handler)
			fetcher := sandboxFetcher(server)
			if slow {
				fetcher.timeout = 500 * time.Millisecond
			}
			_, _, err := fetcher.Get(t.Context(), server.URL+"/jwks")
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), server.URL) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}

func TestFetcherRefusesOldTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(serveJWKS([]byte(`{}`)))
	server.Config.ErrorLog = discard
	server.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	server.StartTLS()
	defer server.Close()
	if _, _, err := sandboxFetcher(server).Get(t.Context(), server.URL); err == nil {
		t.Error("fetched over TLS 1.1")
	}
}

// nameServer answers A questions for the names of the tests.
type nameServer struct {
	conn      net.PacketConn
	questions atomic.Int64
	rebound   atomic.Int64
}

func newNameServer(t *testing.T) *nameServer {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	s := &nameServer{conn: conn}
	go s.serve()
	return s
}

func (s *nameServer) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", s.conn.LocalAddr().String())
	}}
}

func (s *nameServer) addresses(name string) []string {
	switch name {
	case "private.example.":
		return []string{"10.0.0.1"}
	case "both.example.":
		return []string{"10.0.0.1", "127.0.0.1"}
	case "v6.example.":
		return []string{"::ffff:127.0.0.1", "::1"}
	case "rebinding.example.":
		if s.rebound.Add(1) == 1 {
			return []string{"93.184.216.34"}
		}
		return []string{"127.0.0.1"}
	}
	return nil
}

// serve speaks just enough DNS (RFC 1035 section 4.1): one question, its
// addresses of the type asked for, compressed names.
func (s *nameServer) serve() {
	packet := make([]byte, 512)
	for {
		n, from, err := s.conn.ReadFrom(packet)
		if err != nil {
			return
		}
		s.questions.Add(1)
		question := packet[12:n]
		var name strings.Builder
		for question[0] != 0 {
			name.Write(question[1 : 1+question[0]])
			name.WriteByte('.')
			question = question[1+question[0]:]
		}
		kind := binary.BigEndian.Uint16(question[1:])
		end := n - len(question) + 5
		reply := append([]byte(nil), packet[:end]...)
		var count uint16
		for _, text := range s.addresses(name.String()) {
			address := netip.MustParseAddr(text)
			if address.Is4() != (kind == 1) || kind != 1 && kind != 28 {
				continue
			}
			count++
			reply = append(reply, 0xc0, 12, 0, byte(kind), 0, 1, 0, 0, 0, 0, 0, byte(len(address.AsSlice())))
			reply = append(reply, address.AsSlice()...)
		}
		reply[2], reply[3] = 0x84, 0x80
		if name.String() == "missing.example." {
			reply[3] = 0x83 // no such name
		}
		copy(reply[4:12], []byte{0, 1, byte(count >> 8), byte(count), 0, 0, 0, 0})
		_, _ = s.conn.WriteTo(reply, from)
	}
}

// TestRemoteKeysAreFetched: a client's jwks_uri is read through the Fetcher, and a
// key that was taken out of it stops counting within a minute.
func TestRemoteKeysAreFetched(t *testing.T) {
	var body atomic.Pointer[[]byte]
	publish := func(kid string) {
		set := []byte(jwktest.Set(t, jwktest.Key(t, testkeys.P256(1).Public(), kid, nil)))
		body.Store(&set)
	}
	publish("old")
	server := tppServer(t, func(w http.ResponseWriter, r *http.Request) { serveJWKS(*body.Load())(w, r) })
	now := time.Now()
	fetcher := NewFetcher(FetchConfig{AllowPrivate: loopback, AnyPort: true, RootCAs: roots(server), Timeout: time.Minute, Now: func() time.Time { return now }})
	config := fixtureConfig(t, openStore(t, filepath.Join(t.TempDir(), "fapid.db")))
	defer config.Store.Close()
	config.Fetch = fetcher
	m := jwtClient(nil)
	m.JWKSURI = server.URL
	client, _, err := openRegistry(t, config).Put(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Keys.Find(t.Context(), "old", "ES256"); err != nil {
		t.Fatal(err)
	}
	publish("new")
	for _, step := range []struct {
		after time.Duration
		want  bool
	}{{maxFresh - time.Second, true}, {time.Second, false}} {
		now = now.Add(step.after)
		if _, err := client.Keys.Find(t.Context(), "old", "ES256"); (err == nil) != step.want {
			t.Errorf("after %s more: %v", step.after, err)
		}
	}
}
