package mtls

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

// longEnough is for what takes milliseconds, on a machine that runs all tests at once.
const longEnough = time.Minute

// site is an HTTPS server behind a Listener, and what failed at it.
type site struct {
	addr     string
	roots    *x509.CertPool
	failures chan HandshakeFailure
	listener *Listener
}

func serverNames(c *x509.Certificate) {
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	c.DNSNames, c.IPAddresses = []string{"localhost"}, []net.IP{net.IPv4(127, 0, 0, 1)}
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
}

func (a *authority) tls() *tls.Certificate {
	return &tls.Certificate{Certificate: [][]byte{a.cert.Raw}, PrivateKey: a.key, Leaf: a.cert}
}

// rsaKey is made once, because it takes long.
var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func serve(t testing.TB, limits ListenerConfig, handler http.HandlerFunc) *site {
	t.Helper()
	root := (*authority)(nil).issue(t, "Server root", func(c *x509.Certificate) {
		asCA(c)
		c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	})
	certs := Certificates{
		RSA:   NewServerCertificate(root.issueKey(t, "localhost", rsaKey(), serverNames).tls()),
		ECDSA: NewServerCertificate(root.issue(t, "localhost", serverNames).tls()),
	}
	s := &site{roots: x509.NewCertPool(), failures: make(chan HandshakeFailure, 5000)}
	s.roots.AddCert(root.cert)
	limits.Failed = func(f HandshakeFailure) { s.failures <- f }
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = inner.Addr().String()
	config := ServerConfig(certs, true)
	s.listener = NewListener(inner, config, limits)
	server := &http.Server{Handler: handler, TLSConfig: config, ConnContext: ConnContext, ErrorLog: log.New(io.Discard, "", 0)}
	done := make(chan error, 1)
	go func() { done <- server.Serve(s.listener) }()
	t.Cleanup(func() {
		server.Close()
		s.listener.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			t.Errorf("Serve ended with %v", err)
		}
	})
	return s
}

func (s *site) client(edit func(*tls.Config)) *http.Client {
	config := &tls.Config{RootCAs: s.roots, ServerName: "localhost"}
	if edit != nil {
		edit(config)
	}
	return &http.Client{
		Transport: &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: slices.Contains(config.NextProtos, "h2") || config.NextProtos == nil},
		Timeout:   longEnough,
	}
}

func (s *site) failure(t *testing.T, cause string) HandshakeFailure {
	t.Helper()
	select {
	case f := <-s.failures:
		if f.Cause != cause {
			t.Errorf("cause %s, want %s: %v", f.Cause, cause, f.Err)
		}
		if f.Remote == nil || f.Time.IsZero() || f.Err == nil {
			t.Errorf("incomplete: %+v", f)
		}
		return f
	case <-time.After(longEnough):
		t.Fatalf("no failure was reported, want %s", cause)
	}
	panic("unreachable")
}

func echo(w http.ResponseWriter, r *http.Request) {
	p, err := FromRequest(r)
	switch {
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadRequest)
	case p == nil:
		io.WriteString(w, r.Proto+" none")
	default:
		io.WriteString(w, r.Proto+" "+p.Thumbprint)
	}
}

func fetchText(t testing.TB, client *http.Client, addr string) (string, *tls.ConnectionState) {
	t.Helper()
	response, err := client.Get("https://" + addr)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body), response.TLS
}
