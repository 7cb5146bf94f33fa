package server_test

import (
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/fapid/fapid/server"
	"github.com/fapid/fapid/server/servertest"
)

// dialTLS opens a connection to a listener, for what no HTTP client sends.
func dialTLS(t testing.TB, s *servertest.Server, listener, protocol string) *tls.Conn {
	t.Helper()
	conn, err := tls.Dial("tcp", strings.TrimPrefix(listener, "https://"), &tls.Config{
		RootCAs: s.Roots(), ServerName: "localhost", NextProtos: []string{protocol}, MinVersion: tls.VersionTLS12,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// closed waits until the other side has closed, and gives what it said before.
func closed(t testing.TB, conn net.Conn) string {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(servertest.Patience))
	said, err := io.ReadAll(conn)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		t.Errorf("the connection is open after %s", servertest.Patience)
	}
	return string(said)
}

// limited is a server that gives connections so long, whatever they do. An hour is more
// than any test takes, and some seconds less than an honest client may need among
// hundreds, with the race detector, on two cores.
func limited(t testing.TB, to time.Duration) *servertest.Server {
	t.Helper()
	return servertest.StartWith(t, t.TempDir(), func(o *server.Options) {
		o.Limits = server.Limits{Handshake: to, ReadHeader: to, Read: to, Write: to, Idle: to}
	})
}

// Slow clients end by the limits, and until then they are in nobody's way.
func TestAttackL1A22(t *testing.T) {
	t.Parallel()
	s := limited(t, time.Hour)
	tpp := s.TPP("tpp", servertest.JWT)
	honest := func() {
		t.Helper()
		tpp.Connect()
		for _, listener := range []string{s.Issuer, s.MTLS} {
			wantAnswer(t, post(t, s, tpp.HTTP, listener+"/token", withAssertion(doors("")[0].form(), claiming()(t, tpp))), 200, "")
		}
	}
	var dawdling sync.WaitGroup
	slow := dawdlers(t, s, &dawdling)
	for range 10 { // while the slow ones come
		honest()
	}
	dawdling.Wait()
	honest()
	for _, conn := range slow {
		_ = conn.Close()
	}

	slow = dawdlers(t, limited(t, 3*time.Second), &dawdling)
	dawdling.Wait()
	var ending sync.WaitGroup
	for _, conn := range slow {
		ending.Go(func() { closed(t, conn) })
	}
	ending.Wait()
}

// dawdlers are 200 connections of clients that are slow on purpose, each in its way.
// They have said what they say when the group is done.
func dawdlers(t *testing.T, s *servertest.Server, dawdling *sync.WaitGroup) []net.Conn {
	t.Helper()
	all := make([]net.Conn, 200)
	for i := range all {
		raw, err := net.Dial("tcp", strings.TrimPrefix([]string{s.Issuer, s.MTLS}[i/8%2], "https://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = raw.Close() })
		_ = raw.SetDeadline(time.Now().Add(servertest.Patience)) // of what they say at first
		all[i] = raw
		if i%4 > 0 { // the others never start, or finish, a handshake
			all[i] = tls.Client(raw, &tls.Config{RootCAs: s.Roots(), ServerName: "localhost", MinVersion: tls.VersionTLS12})
		}
		says := []string{
			map[bool]string{true: "\x16\x03\x01\x02\x00\x01"}[i%8 == 0],
			"POST /token HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
			"POST /token HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n\r\ngrant",
			"GET /jwks HTTP/1.1\r\nHost: localhost\r\n\r\n", // and nothing more
		}[i%4]
		dawdling.Go(func() { _, _ = all[i].Write([]byte(says)) })
	}
	return all
}

func TestAttackL2(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	for name, request := range map[string]string{
		"header of 1 MB": "GET /jwks HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("a", 1<<20) + "\r\n\r\n",
		"10,000 headers": "GET /jwks HTTP/1.1\r\nHost: localhost\r\n" + strings.Repeat("X-Header: a\r\n", 10_000) + "\r\n",
		"URL of 1 MB":    "GET /" + strings.Repeat("a", 1<<20) + " HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"token of 1 MB":  "GET /bank/accounts HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + strings.Repeat(".", 1<<20) + "\r\n\r\n",
	} {
		for _, listener := range []string{s.Issuer, s.MTLS} {
			conn := dialTLS(t, s, listener, "http/1.1")
			go func() { _, _ = conn.Write([]byte(request)) }()
			// The answer can be lost when the server closes on what is still sent.
			if said := closed(t, conn); said != "" && !strings.HasPrefix(said, "HTTP/1.1 431 ") && !strings.HasPrefix(said, "HTTP/1.1 414 ") {
				t.Errorf("%s: %.200s", name, said)
			}
		}
	}
}

func TestAttackL3(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	const post, form = "POST /token HTTP/1.1\r\nHost: localhost\r\n", "Content-Type: application/x-www-form-urlencoded\r\n"
	const smuggled = "GET /jwks HTTP/1.1\r\nHost: localhost\r\n\r\n"
	chunked := "Transfer-Encoding: chunked\r\n\r\n"
	for name, request := range map[string]string{
		"TE and CL":                post + form + "Content-Length: 4\r\n" + chunked + "1\r\na\r\n0\r\n\r\n" + smuggled,
		"TE and short CL":          post + form + "Content-Length: 1\r\n" + chunked + "0\r\n\r\n" + smuggled,
		"two CL":                   post + form + "Content-Length: 1\r\nContent-Length: 40\r\n\r\na" + smuggled,
		"CL list":                  post + form + "Content-Length: 1, 40\r\n\r\na" + smuggled,
		"signed CL":                post + form + "Content-Length: +1\r\n\r\na" + smuggled,
		"two TE":                   post + form + "Transfer-Encoding: chunked\r\n" + chunked + "0\r\n\r\n" + smuggled,
		"TE of another kind":       post + form + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" + smuggled,
		"TE in disguise":           post + form + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + smuggled,
		"TE with a tab":            post + form + "Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n" + smuggled,
		"space before the colon":   post + form + "Content-Length : 1\r\n\r\na" + smuggled,
		"chunk extension, bare LF": post + form + chunked + "1;a\nb\r\na\r\n0\r\n\r\n" + smuggled,
		"chunk size too large":     post + form + chunked + "fffffffffffffffff\r\na\r\n0\r\n\r\n" + smuggled,
		"negative chunk":           post + form + chunked + "-1\r\na\r\n0\r\n\r\n" + smuggled,
		"bare CR in a header":      post + "X: a\rContent-Length: 5\r\n\r\n" + smuggled,
		"NUL in a header":          post + "X: a\x00b\r\n\r\n" + smuggled,
		"no host":                  "GET /jwks HTTP/1.1\r\n\r\n" + smuggled,
		"two hosts":                "GET /jwks HTTP/1.1\r\nHost: localhost\r\nHost: example.com\r\n\r\n" + smuggled,
		"chunked, with extensions": post + form + chunked + "1;x=y\r\na\r\n0\r\n\r\n" + smuggled,
		"HTTP/1.0 with TE":         "POST /token HTTP/1.0\r\nHost: localhost\r\n" + chunked + "0\r\n\r\n" + smuggled,
		"trailer Content-Length":   post + form + "Trailer: Content-Length\r\n" + chunked + "0\r\nContent-Length: 5\r\n\r\n" + smuggled,
		"HTTP/2 preface on HTTP/1": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + smuggled,
		"HTTP/9.9":                 "GET /jwks HTTP/9.9\r\nHost: localhost\r\n\r\n" + smuggled,
		"no HTTP at all":           "\x00\x01\x02\x03\r\n\r\n" + smuggled,
		"obsolete folding of a TE": post + form + "Transfer-Encoding:\r\n chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" + smuggled,
	} {
		t.Run(name, func(t *testing.T) {
			for _, listener := range []string{s.Issuer, s.MTLS} {
				conn := dialTLS(t, s, listener, "http/1.1")
				if _, err := conn.Write([]byte(request)); err != nil {
					t.Fatal(err)
				}
				said := closed(t, conn)
				if answers := strings.Count(said, "HTTP/1."); answers > 1 || strings.Contains(said, `"keys"`) {
					t.Errorf("%d answers: %s", answers, said)
				}
			}
		})
	}
}

func TestAttackL4(t *testing.T) { // not parallel: it measures memory
	s := servertest.Start(t)
	tpp := s.TPP("tpp", servertest.JWT)
	var block strings.Builder
	encoder := hpack.NewEncoder(&block)
	for _, field := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", strings.TrimPrefix(s.MTLS, "https://")}, {":path", "/jwks"}} {
		_ = encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]})
	}
	headers := []byte(block.String())
	before := heap(s)
	for name, flood := range map[string]func(*http2.Framer, uint32) error{
		"rapid reset": func(f *http2.Framer, id uint32) error {
			if err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: headers, EndHeaders: true, EndStream: true}); err != nil {
				return err
			}
			return f.WriteRSTStream(id, http2.ErrCodeCancel)
		},
		"continuation": func(f *http2.Framer, id uint32) error {
			if id == 1 {
				return f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: headers})
			}
			return f.WriteContinuation(1, false, []byte(strings.Repeat("\x00", 1000)))
		},
		"settings": func(f *http2.Framer, _ uint32) error {
			return f.WriteSettings(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1 << 14})
		},
		"ping":       func(f *http2.Framer, _ uint32) error { return f.WritePing(false, [8]byte{1}) },
		"empty data": func(f *http2.Framer, _ uint32) error { return f.WriteData(1, false, nil) },
		"window":     func(f *http2.Framer, _ uint32) error { return f.WriteWindowUpdate(0, 1<<30) },
		"half requests": func(f *http2.Framer, id uint32) error {
			return f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: headers, EndHeaders: true})
		},
	} {
		t.Run(name, func(t *testing.T) {
			conn := dialTLS(t, s, s.MTLS, "h2")
			if _, err := conn.Write([]byte(http2.ClientPreface)); err != nil {
				t.Fatal(err)
			}
			framer := http2.NewFramer(conn, conn)
			if err := framer.WriteSettings(); err != nil {
				t.Fatal(err)
			}
			_ = conn.SetWriteDeadline(time.Now().Add(10 * time.Second)) // a server that reads nothing is no failure
			for i := range uint32(5000) {                               // nobody reads the answers
				if err := flood(framer, 2*i+1); err != nil {
					break // closed, or no longer read: either is an end of it
				}
			}
			_ = conn.Close()
			tpp.Connect()
			wantAnswer(t, post(t, s, tpp.HTTP, s.MTLS+"/token", withAssertion(doors("")[0].form(), claiming()(t, tpp))), 200, "")
		})
	}
	eventually(t, "the end of the floods' memory", func() bool { return heap(s)-before < 64<<20 })
}

func TestAttackL5L6(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	tpp := s.TPP("tls")
	const good = "grant_type=client_credentials&client_id=tls"
	for _, listener := range []string{s.Issuer, s.MTLS} {
		for _, path := range []string{
			"//token", "/token/", "/token//", "/token;x", "/token;x=y", "/token%2f", "/token%20", "/token%00", "/%2e/token", "/./token", "/x/../token",
			"/x/%2e%2e/token", "/x/..;/token", "/%2e%2e/token", "/TOKEN", "/Token", "/%74oken", "/t%6Fken", "/token/../token", "/token.json", "/token\u200b", "/token%0a", "/token%23", "/.token",
			"/\\token", "/token\\", "/token/introspection/", "/token//introspection", "/token%2fintrospection", "/bank//accounts", "/bank/accounts%2f10001", "/realms/default/token", "/realms/strict/../../token", "/", "/*", "/admin", "/metrics", "/traces", "/healthz", "/debug/pprof/",
			"/.well-known/openid-configuration/", "/.well-known//openid-configuration", "/{realm}/token", "/bank/accounts/{AccountId}x/y/z",
		} {
			request, err := http.NewRequest("POST", listener+"/x", strings.NewReader(good))
			if err != nil {
				t.Fatal(err)
			}
			request.URL.Opaque = "//" + strings.TrimPrefix(listener, "https://") + strings.NewReplacer("\\", "%5c", "\u200b", "%e2%80%8b", "{", "%7b", "}", "%7d").Replace(path)
			request.Header = http.Header{"Content-Type": servertest.Form["Content-Type"]}
			response, err := tpp.HTTP.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			answer := readAnswer(t, response)
			checkRules(t, s, answer, nil)
			if answer.Status != http.StatusNotFound || answer.Error() != "not_found" {
				t.Errorf("%s%s: %s", listener, path, answer)
			}
		}
		// No header makes one method of another.
		for _, name := range []string{"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"} {
			wantAnswer(t, exchange(t, s, tpp.HTTP, "GET", listener+"/token", http.Header{name: {"POST"}}, ""), 405, "method_not_allowed")
			header := http.Header{name: {"GET"}, "X-Original-Url": {"/jwks"}, "X-Rewrite-Url": {"/jwks"}, "Content-Type": servertest.Form["Content-Type"]}
			wantAnswer(t, exchange(t, s, tpp.HTTP, "POST", listener+"/token", header, "client_id=nobody"), 401, "invalid_client")
		}
		for _, path := range []string{"/jwks", "/.well-known/openid-configuration", "/bank/accounts"} {
			for _, method := range []string{"POST", "TRACE", "DELETE", "CONNECT", "OPTIONS"} {
				if answer := exchange(t, s, tpp.HTTP, method, listener+path, nil, ""); answer.Status != 405 && method != "CONNECT" {
					t.Errorf("%s %s: %s", method, path, answer)
				}
			}
		}
		// L6: pages of other origins read public documents only, and never
		// with credentials.
		origin := http.Header{"Origin": {"https://evil.example"}, "Content-Type": servertest.Form["Content-Type"], "Access-Control-Request-Method": {"POST"}}
		for _, at := range []struct{ method, path string }{
			{"OPTIONS", "/token"}, {"POST", "/token"}, {"OPTIONS", "/token/introspection"}, {"POST", "/token/revocation"}, {"GET", "/bank/accounts"}, {"OPTIONS", "/bank/accounts"}, {"GET", "/nothing"}, {"OPTIONS", "/jwks"},
			{"GET", "/jwks"}, {"GET", "/.well-known/openid-configuration"},
		} {
			answer := exchange(t, s, tpp.HTTP, at.method, listener+at.path, origin, "")
			allowed := answer.Header.Get("Access-Control-Allow-Origin")
			if open := answer.Status == 200; open && allowed != "*" || !open && allowed != "" {
				t.Errorf("%s %s: %d, Access-Control-Allow-Origin %q", at.method, at.path, answer.Status, allowed)
			}
			if answer.Header.Get("Access-Control-Allow-Credentials") != "" || answer.Header.Get("Access-Control-Allow-Methods") != "" {
				t.Errorf("%s %s: %v", at.method, at.path, answer.Header)
			}
		}
	}
	for _, method := range []string{"GET", "OPTIONS"} {
		answer := s.Do(http.DefaultClient, method, s.Admin+"/traces", http.Header{"Origin": {"https://evil.example"}}, "")
		if answer.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("the operator's listener answers other origins: %v", answer.Header)
		}
	}
}

func TestAttackL7(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	tpp := s.TPP("jwt", servertest.JWT)
	nasty := "a\r\nb\n{\"level\":\"ERROR\"}\x1b[31mred\u202eback\u2028line\u0085\x00\x7f<script>"
	form := doors("")[0].form("client_id", strings.ReplaceAll(nasty, "\x00", ""), "scope", nasty[:5])
	post(t, s, tpp.HTTP, s.Issuer+"/token", form)
	post(t, s, tpp.HTTP, s.Issuer+"/token", withAssertion(doors("")[0].form(), claiming("iss", nasty, "jti", nasty)(t, tpp)))
	post(t, s, tpp.HTTP, s.Issuer+"/token", withAssertion(doors("")[0].form(), heading("kid", nasty, "typ", nasty)(t, tpp)))
	post(t, s, tpp.HTTP, s.Issuer+"/token", withAssertion(doors("")[0].form(), signing(nasty, "ES256", tpp.SigningKey)(t, tpp)))
	post(t, s, tpp.HTTP, s.Issuer+"/token", withAssertion(doors("")[0].form("grant_type", strings.ReplaceAll(nasty, "\x00", "")), claiming()(t, tpp)))
	exchange(t, s, tpp.HTTP, "GET", s.Issuer+"/a%0d%0ab%1b%5b31m%e2%80%ae%c2%85", http.Header{"X-Forwarded-For": {"1.2.3.4\tx"}, "User-Agent": {"\u202e"}}, "")
	lines := strings.Split(strings.TrimSuffix(s.Log.String(), "\n"), "\n")
	for _, line := range lines {
		var event map[string]any
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Errorf("a log line is no JSON: %q", line)
		}
		for name, value := range event {
			text := fmt.Sprint(value)
			if strings.ContainsFunc(text, func(r rune) bool {
				return r < 0x20 || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r == 0x2028 || r == 0x2029
			}) {
				t.Errorf("%s in the log steers a terminal: %q", name, text)
			}
		}
	}
}

// TestCompressedBodies: no body is unpacked, and none is read as plain that is said
// to be packed.
func TestCompressedBodies(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Registering())
	tpp := s.TPP("tpp")
	const form, metadata = "grant_type=client_credentials&client_id=tpp", `{"grant_types":["client_credentials"]}`
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	_, _ = zip.Write([]byte(form))
	_ = zip.Close()
	for _, listener := range []string{s.Issuer, s.MTLS} {
		for _, at := range []struct{ path, media, body string }{
			{"/token", "application/x-www-form-urlencoded", form}, {"/token", "application/x-www-form-urlencoded", packed.String()},
			{"/token/introspection", "application/x-www-form-urlencoded", form}, {"/reg", "application/json", metadata},
		} {
			for _, coding := range [][]string{{"gzip"}, {"GZIP"}, {"deflate"}, {"br"}, {"identity, gzip"}, {"identity", "gzip"}, {""}, {"x"}} {
				header := http.Header{"Content-Type": {at.media}, "Content-Encoding": coding}
				wantAnswer(t, exchange(t, s, tpp.HTTP, http.MethodPost, listener+at.path, header, at.body), http.StatusUnsupportedMediaType, "unsupported_media_type")
			}
		}
	}
	header := http.Header{"Content-Type": servertest.Form["Content-Type"], "Content-Encoding": {"identity"}}
	wantAnswer(t, exchange(t, s, tpp.HTTP, http.MethodPost, s.MTLS+"/token", header, form), http.StatusOK, "")
	if all := s.Clients("default").List("", 100); len(all) != 1 {
		t.Errorf("%d clients, want the TPP alone", len(all))
	}
}

// TestAttackE15: a request target with a host in it stands in the place of Host (RFC
// 9112 section 3.2.2), and neither says what our address is.
func TestAttackE15(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	for _, listener := range []string{s.Issuer, s.MTLS} {
		for _, row := range []struct{ target, host, status string }{
			{"/.well-known/openid-configuration", "localhost", "200"},
			{"https://localhost/.well-known/openid-configuration", "localhost", "200"},
			{"https://localhost:1/.well-known/openid-configuration", "evil.example", "200"},
			{"https://evil.example/.well-known/openid-configuration", "localhost", "421"},
			{"https://localhost@evil.example/.well-known/openid-configuration", "localhost", "421"},
			{"https://localhost.evil.example/.well-known/openid-configuration", "localhost", "421"},
			{"//evil.example/.well-known/openid-configuration", "localhost", "404"},
			{"/.well-known/openid-configuration", "evil.example", "421"},
			{"/.well-known/openid-configuration", "localhost@evil.example", "400"},
			{"/.well-known/openid-configuration", "localhost,evil.example", "421"},
			{"/.well-known/openid-configuration", "localhost\r\nHost: localhost", "400"},
		} {
			conn := dialTLS(t, s, listener, "http/1.1")
			_, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nX-Forwarded-Host: evil.example\r\nForwarded: host=evil.example\r\nConnection: close\r\n\r\n", row.target, row.host)
			if err != nil {
				t.Fatal(err)
			}
			said := closed(t, conn)
			if !strings.HasPrefix(said, "HTTP/1.1 "+row.status+" ") || row.status == "200" && !strings.Contains(said, `"issuer": "`+s.Issuer+`"`) || strings.Contains(said, "evil") || strings.Contains(said, "localhost:1/") {
				t.Errorf("%s, Host %q: %s", row.target, row.host, said)
			}
		}
	}
}
