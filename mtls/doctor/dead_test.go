package doctor

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/fapid/fapid/testkeys"
)

// listening runs a TCP server that is no TLS server.
func listening(t *testing.T, serve func(net.Conn)) (addr string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { conn.Close() })
			go serve(conn)
		}
	}()
	return listener.Addr().String()
}

func TestDeadHosts(t *testing.T) {
	t.Parallel()
	plainHTTP := listening(t, func(conn net.Conn) {
		_, _ = bufio.NewReader(conn).ReadByte()
		fmt.Fprint(conn, "HTTP/1.0 400 Bad Request\r\n\r\n")
		conn.Close()
	})
	silent := listening(t, func(net.Conn) {})
	closing := listening(t, func(conn net.Conn) {
		record := make([]byte, 5)
		if _, err := io.ReadFull(conn, record); err == nil {
			// All of the ClientHello, or closing would reset the connection.
			_, _ = io.CopyN(io.Discard, conn, int64(binary.BigEndian.Uint16(record[3:])))
		}
		conn.Close()
	})
	for addr, want := range map[string]string{
		"127.0.0.1:1": "connect: connection refused",
		plainHTTP:     "connected, but no TLS: tls: first record does not look like a TLS handshake",
		silent:        "connected, but no TLS: no answer in time",
		closing:       "connected, but no TLS: EOF",
	} {
		patience := time.Minute
		if addr == silent {
			patience = time.Second
		}
		r, err := Examine(context.Background(), Options{URL: addr, Timeout: patience})
		if err != nil {
			t.Fatal(err)
		}
		s := &fakeServer{}
		wantLines(t, s.lines(r.Findings),
			"fail | "+addr+" | reachable | "+want,
			"skip | discovery | metadata | the issuer's host did not answer",
			skipIssuer, skipAliases, skipCertificate,
		)
		if !r.Failed() || len(r.Fixes) != 1 {
			t.Errorf("%s: failed %v, fixes %q", addr, r.Failed(), r.Fixes)
		}
	}
}

// TestSilentHosts: whoever takes a connection or a request and never answers is
// given up on in bounded time.
func TestSilentHosts(t *testing.T) {
	t.Parallel()
	s := goodServer(t)
	block := make(chan struct{})
	t.Cleanup(func() { close(block) })
	s.token = func(http.ResponseWriter, *http.Request) { <-block }
	silent := listening(t, func(net.Conn) {})
	members(func(_ *fakeServer, _, aliases map[string]any) {
		aliases["userinfo_endpoint"] = "https://" + silent + "/userinfo"
	})(t, s)
	s.serve(t)
	// Whoever does answer has to within the same time.
	r := s.examine(t, func(opt *Options) { opt.Timeout = 4 * time.Second })
	wantLines(t, s.troubles(r),
		"fail | "+silent+" | reachable | connected, but no TLS: no answer in time",
		"skip | mtls | renegotiation | no answer over TLS 1.2: no answer within 4s",
		skipTickets,
		"warn | mtls | token request with your certificate | no answer: no answer within 4s",
		"warn | mtls | token request without a certificate | no answer: no answer within 4s")
}

// TestRenegotiation uses OpenSSL, because Go's server never renegotiates.
func TestRenegotiation(t *testing.T) {
	t.Parallel()
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed, and nothing else here can renegotiate")
	}
	s := goodServer(t)
	file := writePEM(t, "server.pem", append(certificateBlocks(s.ca.leaf(t, testkeys.RSA(3), nil)), keyBlock(t, testkeys.RSA(3)))...)
	// In s_server, "R" on standard input asks for a client certificate by
	// renegotiation; it is typed whenever a request has arrived.
	cmd := exec.Command(openssl, "s_server", "-accept", "127.0.0.1:0", "-cert", file, "-key", file, "-tls1_2")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	addr, listens := "", false
	for !listens && lines.Scan() {
		addr, listens = strings.CutPrefix(lines.Text(), "ACCEPT ")
	}
	if !listens {
		t.Fatal("s_server does not say where it listens")
	}
	go func() {
		for lines.Scan() {
			if lines.Text() == "POST / HTTP/1.1" {
				io.WriteString(in, "R\n")
			}
		}
	}()
	h := &host{addr: addr, name: "127.0.0.1", token: "https://" + addr, mtls: true}
	e := &examination{probe: prober{timeout: time.Minute, now: time.Now}}
	h.withTLS12 = e.emptyTokenRequest(context.Background(), h, anything())
	h.versions = map[uint16]handshake{h.withTLS12.version: h.withTLS12.handshake}
	wantLines(t, s.lines(e.judgeRenegotiation(h)), "fail |  | renegotiation | the server renegotiates before it answers")
}
