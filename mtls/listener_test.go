package mtls

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

func TestListenerServes(t *testing.T) {
	s := serve(t, ListenerConfig{}, echo)
	leaf := (*authority)(nil).issue(t, "expired, self-signed and for code", func(c *x509.Certificate) {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}
		c.NotAfter = c.NotBefore.Add(time.Second)
	})
	with := func(c *tls.Config) { c.Certificates = []tls.Certificate{*leaf.tls()} }
	for _, c := range []struct {
		name, want string
		edit       func(*tls.Config)
		key        string
		version    uint16
	}{
		{"HTTP/2", "HTTP/2.0 " + Thumbprint(leaf.cert), with, "ecdsa", tls.VersionTLS13},
		{"HTTP/1.1", "HTTP/1.1 " + Thumbprint(leaf.cert), func(c *tls.Config) { with(c); c.NextProtos = []string{"http/1.1"} }, "ecdsa", tls.VersionTLS13},
		{"no certificate", "HTTP/2.0 none", nil, "ecdsa", tls.VersionTLS13},
		{"TLS 1.2", "HTTP/2.0 " + Thumbprint(leaf.cert), func(c *tls.Config) { with(c); c.MaxVersion = tls.VersionTLS12 }, "rsa", tls.VersionTLS12},
		{"TLS 1.2 with AES-256", "HTTP/1.1 none", func(c *tls.Config) {
			c.MaxVersion, c.NextProtos = tls.VersionTLS12, []string{"http/1.1"}
			c.CipherSuites = []uint16{tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384}
		}, "rsa", tls.VersionTLS12},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := s.client(c.edit)
			defer client.CloseIdleConnections()
			body, state := fetchText(t, client, s.addr)
			if body != c.want {
				t.Errorf("got %q, want %q", body, c.want)
			}
			key := "rsa"
			if _, ok := state.PeerCertificates[0].PublicKey.(*ecdsa.PublicKey); ok {
				key = "ecdsa"
			}
			if key != c.key || state.Version != c.version {
				t.Errorf("server certificate %s with %s", key, tls.VersionName(state.Version))
			}
		})
	}
}

// A15: no connection is resumed, whatever the client keeps.
func TestNoResumption(t *testing.T) {
	s := serve(t, ListenerConfig{}, echo)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		cache := tls.NewLRUClientSessionCache(8)
		// Go resumes no session of a certificate that has expired.
		valid := func(c *x509.Certificate) { c.NotAfter = time.Now().Add(time.Hour) }
		a := (*authority)(nil).issue(t, "a", valid)
		b := (*authority)(nil).issue(t, "b", valid)
		for _, leaf := range []*authority{a, b, a} {
			client := s.client(func(c *tls.Config) {
				c.MaxVersion, c.ClientSessionCache = version, cache
				c.Certificates = []tls.Certificate{*leaf.tls()}
			})
			body, state := fetchText(t, client, s.addr)
			if state.DidResume || !strings.HasSuffix(body, Thumbprint(leaf.cert)) {
				t.Errorf("%s: resumed %v, %s", tls.VersionName(version), state.DidResume, body)
			}
			client.CloseIdleConnections()
		}
	}
}

func TestSamePresentedForAConnection(t *testing.T) {
	var seen sync.Map
	s := serve(t, ListenerConfig{}, func(w http.ResponseWriter, r *http.Request) {
		p, _ := FromRequest(r)
		seen.Store(p, true)
	})
	leaf := (*authority)(nil).issue(t, "client", nil)
	client := s.client(func(c *tls.Config) { c.Certificates = []tls.Certificate{*leaf.tls()} })
	defer client.CloseIdleConnections()
	fetchText(t, client, s.addr)
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() { fetchText(t, client, s.addr) })
	}
	group.Wait()
	count := 0
	seen.Range(func(any, any) bool { count++; return true })
	if count != 1 {
		t.Errorf("%d certificates for one HTTP/2 connection", count)
	}
}

func TestReplacedServerCertificate(t *testing.T) {
	first, second := newRoot(t, "first").tls(), newRoot(t, "second").tls()
	held := NewServerCertificate(first)
	config := ServerConfig(Certificates{RSA: held}, false)
	hello := &tls.ClientHelloInfo{SupportedVersions: []uint16{tls.VersionTLS13}, SignatureSchemes: []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256}}
	if got, _ := config.GetCertificate(hello); got != first {
		t.Error("not the first certificate")
	}
	held.Set(second)
	if got, _ := config.GetCertificate(hello); got != second || held.Get() != second {
		t.Error("not the second certificate")
	}
	if config.ClientAuth != tls.NoClientCert || config.ClientCAs != nil {
		t.Error("the standard listener asks for a certificate")
	}
}

func TestFailedHandshakes(t *testing.T) { // A17
	s := serve(t, ListenerConfig{Timeout: longEnough}, echo)
	dial := func(edit func(*tls.Config)) error {
		config := &tls.Config{RootCAs: s.roots, ServerName: "localhost"}
		edit(config)
		conn, err := tls.Dial("tcp", s.addr, config)
		if err == nil {
			_, err = conn.Read(make([]byte, 1))
			conn.Close()
		}
		return err
	}
	leaf := (*authority)(nil).issue(t, "client", nil)
	stolen := leaf.tls()
	stolen.PrivateKey = ecKey(t)
	huge := (*authority)(nil).issueKey(t, "huge", rsaKey(), nil)
	for _, c := range []struct {
		name, cause string
		edit        func(*tls.Config)
	}{
		{"TLS 1.1", CauseVersion, func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }},
		{"CBC", CauseCipher, func(c *tls.Config) {
			c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA}
		}},
		{"ChaCha", CauseCipher, func(c *tls.Config) {
			c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256}
		}},
		{"RSA key exchange", CauseCipher, func(c *tls.Config) {
			c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}
		}},
		{"ECDSA suite", CauseCipher, func(c *tls.Config) {
			c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
		}},
		{"ALPN", CauseProtocol, func(c *tls.Config) { c.NextProtos = []string{"smtp"} }},
		{"our CA unknown", CauseServerCert, func(c *tls.Config) { c.RootCAs = x509.NewCertPool() }},
		{"other host", CauseServerCert, func(c *tls.Config) { c.ServerName = "other.example" }},
		{"not the key of the certificate", CauseCertificate, func(c *tls.Config) { c.Certificates = []tls.Certificate{*stolen} }},
		{"garbage for a certificate", CauseCertificate, func(c *tls.Config) {
			c.Certificates = []tls.Certificate{{Certificate: [][]byte{{0x30, 0x03, 1, 2, 3}}, PrivateKey: leaf.key, Leaf: leaf.cert}}
		}},
		{"a megabyte for a certificate", CauseUnclassified, func(c *tls.Config) {
			c.Certificates = []tls.Certificate{{Certificate: [][]byte{huge.cert.Raw, make([]byte, 1<<20)}, PrivateKey: huge.key, Leaf: huge.cert}}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := dial(c.edit); err == nil {
				t.Fatal("the handshake succeeded")
			}
			f := s.failure(t, c.cause)
			if c.cause != CauseUnclassified && (f.Advice == "" || len(f.Versions) == 0 || len(f.Suites) == 0) {
				t.Errorf("incomplete: %+v", f)
			}
			if f.ServerName == "" {
				t.Error("no SNI")
			}
			if c.name == "not the key of the certificate" && (len(f.Certificates) != 1 || !f.Certificates[0].Equal(leaf.cert)) {
				t.Error("the client's certificate is not reported")
			}
		})
	}
}

func TestConnectionsThatAreNotTLS(t *testing.T) {
	s := serve(t, ListenerConfig{Timeout: longEnough}, echo)
	send := func(text string) string {
		t.Helper()
		conn, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		io.WriteString(conn, text)
		if text == "" {
			return ""
		}
		answer, _ := io.ReadAll(bufio.NewReader(conn))
		return string(answer)
	}
	if answer := send("GET / HTTP/1.1\r\nHost: x\r\n\r\n"); !strings.HasPrefix(answer, "HTTP/1.0 400 Bad Request\r\n") || !strings.Contains(answer, "https port") {
		t.Errorf("plain HTTP was answered with %q", answer)
	}
	s.failure(t, CauseNotTLS)
	if answer := send("SSH-2.0-x\r\n"); strings.Contains(answer, "HTTP") {
		t.Errorf("SSH was answered with %q", answer)
	}
	s.failure(t, CauseNotTLS)
	send("")
	if f := s.failure(t, CauseClosed); f.Advice != "" {
		t.Errorf("advice for a port scan: %q", f.Advice)
	}
	s = serve(t, ListenerConfig{Timeout: 100 * time.Millisecond}, echo)
	send("\x16\x03\x01\x02\x00\x01") // half a ClientHello, then silence
	s.failure(t, CauseTimeout)
}

// plainSpeaker is a client's connection that answers the server's first flight
// with an alert in plain text, as OpenSSL does.
type plainSpeaker struct {
	net.Conn
	hello bool
}

func (c *plainSpeaker) Write(b []byte) (int, error) {
	if !c.hello {
		c.hello = true
		return c.Conn.Write(b)
	}
	_, _ = c.Conn.Write([]byte{20, 3, 3, 0, 1, 1, 21, 3, 3, 0, 2, 2, 48}) // unknown_ca
	c.Close()
	return len(b), nil
}

func TestPlainAlert(t *testing.T) {
	s := serve(t, ListenerConfig{}, echo)
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = tls.Client(&plainSpeaker{Conn: conn}, &tls.Config{RootCAs: s.roots, ServerName: "localhost"}).Handshake()
	s.failure(t, CauseUnknownCA)
}

func TestClassifyAlerts(t *testing.T) {
	for text, want := range map[string]string{
		"tls: unknown certificate authority":  CauseUnknownCA,
		"tls: bad certificate":                CauseServerCert,
		"tls: protocol version not supported": CauseVersion,
		"tls: user canceled":                  CauseClosed,
		"tls: internal error":                 CauseClientAlert,
	} {
		if got := classify(&net.OpError{Op: "remote error", Err: errors.New(text)}); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	for err, want := range map[error]string{
		syscall.ECONNRESET: CauseClosed, io.ErrUnexpectedEOF: CauseClosed, errors.New("?"): CauseUnclassified,
	} {
		if got := classify(err); got != want {
			t.Errorf("%v: %s, want %s", err, got, want)
		}
	}
}

// A22: half-open connections do not keep a client out, and leave nothing.
func TestHalfOpenFlood(t *testing.T) {
	before := runtime.NumGoroutine()
	s := serve(t, ListenerConfig{InFlight: 16, Timeout: time.Hour}, echo)
	for range 20 {
		conn, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	client := s.client(nil)
	if body, _ := fetchText(t, client, s.addr); body != "HTTP/2.0 none" {
		t.Errorf("got %q", body)
	}
	client.CloseIdleConnections()
	s.failure(t, CauseCrowdedOut)
	ended := make(chan struct{})
	go func() { s.listener.Close(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(longEnough):
		t.Fatal("Close waits for half-open connections")
	}
	if len(s.listener.slots) != 0 || len(s.listener.flight) != 0 {
		t.Error("a handshake outlived the listener")
	}
	for deadline := time.Now().Add(longEnough); runtime.NumGoroutine() > before+8; time.Sleep(20 * time.Millisecond) { // the server's own are still there
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}

// scripted is a net.Listener that answers from a list.
type scripted struct {
	errs  chan error
	calls atomic.Int64
}

type temporary struct{ error }

func (temporary) Temporary() bool { return true }

func (s *scripted) Accept() (net.Conn, error) {
	s.calls.Add(1)
	err, more := <-s.errs
	if !more {
		err = net.ErrClosed
	}
	return nil, err
}
func (s *scripted) Close() error   { close(s.errs); return nil }
func (s *scripted) Addr() net.Addr { return &net.TCPAddr{} }

func TestAcceptErrors(t *testing.T) {
	inner := &scripted{errs: make(chan error, 1000)}
	for range 1000 {
		inner.errs <- temporary{syscall.EMFILE}
	}
	begun := time.Now()
	l := NewListener(inner, &tls.Config{}, ListenerConfig{})
	for inner.calls.Load() < 5 { // after 0, 5, 15, 35 and 75 ms, and never after a shorter time
		if time.Sleep(time.Millisecond); time.Since(begun) > longEnough {
			t.Fatalf("%d calls of Accept", inner.calls.Load())
		}
	}
	if took := time.Since(begun); took < 70*time.Millisecond {
		t.Errorf("5 calls of Accept in %v", took)
	}
	l.Close()
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}

	inner = &scripted{errs: make(chan error, 1)}
	broken := errors.New("broken")
	inner.errs <- broken
	l = NewListener(inner, &tls.Config{}, ListenerConfig{})
	if _, err := l.Accept(); !errors.Is(err, broken) {
		t.Errorf("a permanent error became %v", err)
	}
	l.Close()
}

func TestCheckHost(t *testing.T) { // A14
	for _, c := range []struct {
		sni, host string
		ok        bool
	}{
		{"a.example", "a.example", true},
		{"a.example", "A.example.:8443", true},
		{"a.example", "b.example", false},
		{"a.example", "", false},
		{"a.example", "127.0.0.1", false},
		{"", "127.0.0.1:8444", true},
		{"", "[::1]:8444", true},
		{"", "[::1]", true},
		{"", "localhost:8443", true},
		{"", "localhost.", true},
		{"", "a.example", false},
		{"", "a.localhost:8443", false},
		{"", ".", false},
		{"", "", false},
		{"\u212a.example", "k.example", false},
	} {
		err := CheckHost(&http.Request{Host: c.host, TLS: &tls.ConnectionState{ServerName: c.sni}})
		if (err == nil) != c.ok {
			t.Errorf("SNI %q and host %q: %v", c.sni, c.host, err)
		}
	}
	if err := CheckHost(&http.Request{Host: "a.example"}); err != nil {
		t.Error(err)
	}
}

func TestFromRequestWithoutConnContext(t *testing.T) {
	r, _ := http.NewRequestWithContext(context.Background(), http.MethodGet, "/", nil)
	r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{newRoot(t, "x").cert}}
	if p, err := FromRequest(r); p != nil || err == nil {
		t.Error("a forgotten ConnContext goes unnoticed")
	}
}
