// Package servertest runs a fapid server on loopback for a test, with actors to
// play a scene: TPPs that have keys, certificates and a registration.
package servertest

import (
	"context"
	"crypto"
	"log/slog"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server"
	"github.com/fapid/fapid/testkeys"
)

// Server is a running server with the realms "default" (a sandbox realm) and
// "strict" (which explains nothing on the wire).
type Server struct {
	*server.Server
	T testing.TB
	// Issuer, MTLS and Admin are the URLs of the listeners; Registry is that of the
	// directory's, empty without [WithDirectory].
	Issuer, MTLS, Admin, Registry string
	Dir                           string
	// Clock is the server's clock; tests move it.
	Clock *Clock
	// Log collects the log lines.
	Log *Log

	config  server.Config
	options server.Options
	stop    context.CancelFunc
	stopped chan error
}

// Start starts a server that ends with the test. change adapts its configuration.
func Start(t testing.TB, change ...func(*server.Config)) *Server {
	t.Helper()
	return StartIn(t, t.TempDir(), change...)
}

// StartIn starts a server on a directory, so that a test can start another one
// on it later.
func StartIn(t testing.TB, dir string, change ...func(*server.Config)) *Server {
	t.Helper()
	return StartWith(t, dir, func(*server.Options) {}, change...)
}

// StartWith is StartIn with options adapted too.
func StartWith(t testing.TB, dir string, options func(*server.Options), change ...func(*server.Config)) *Server {
	t.Helper()
	s, err := prepare(t, dir, options, change)
	if err != nil {
		t.Fatal(err)
	}
	s.start()
	t.Cleanup(s.Stop)
	return s
}

// WithDirectory has a server serve the directory of participants, too.
func WithDirectory(config *server.Config) { config.Listeners.Directory = &server.Listener{} }

// Refused gives the error a server does not start with.
func Refused(t testing.TB, change ...func(*server.Config)) error {
	t.Helper()
	s, err := prepare(t, t.TempDir(), func(*server.Options) {}, change)
	if err != nil {
		return err
	}
	opened, err := server.Open(context.Background(), s.config, s.options)
	if err != nil {
		return err
	}
	return opened.Close()
}

// Patience is how long an actor waits for an answer: on a machine that runs all tests
// at once, with the race detector, one can take many seconds.
const Patience = 2 * time.Minute

// patient are a server's limits for the same reason; who tests the limits sets others.
var patient = server.Limits{Handshake: Patience, ReadHeader: Patience, Read: Patience, Write: Patience, Drain: Patience, Fetch: Patience}

func prepare(t testing.TB, dir string, options func(*server.Options), change []func(*server.Config)) (*Server, error) {
	t.Helper()
	s := &Server{T: t, Dir: dir, Clock: &Clock{}, Log: &Log{}}
	s.options = server.Options{
		Version: "test", AllowTestKeys: true, OpenOperator: true, Now: s.Clock.Now, GenerateKey: signingKeys(),
		Log: slog.New(slog.NewJSONHandler(s.Log, nil)), Limits: patient,
	}
	options(&s.options)
	s.config = server.Config{Dir: dir, Realms: map[string]*server.Realm{
		"default": {
			Sandbox: true, Policy: "sandbox", Policies: []string{"fapi2", "fapi1-advanced", "oauth2"},
			Scopes: []string{"openid", "accounts", "payments", "directory:software"}, Trust: server.Trust{SandboxCA: true},
			JWKS: server.Fetch{AllowPrivate: server.Loopback},
		},
		"strict": {Policy: "fapi2", Scopes: []string{"accounts"}, Trust: server.Trust{SandboxCA: true}},
	}}
	listeners := &s.config.Listeners
	ports := freePorts(t, 4)
	doors := []*server.Listener{&listeners.Standard, &listeners.MTLS, &listeners.Admin, {}}
	for i, listener := range doors {
		listener.Address = "localhost:" + strconv.Itoa(ports[i])
	}
	for _, adapt := range change {
		adapt(&s.config)
	}
	if listeners.Directory != nil && listeners.Directory.Address == "" {
		listeners.Directory.Address = doors[3].Address
	}
	if err := s.config.Complete(); err != nil {
		return nil, err
	}
	if listeners.Directory != nil {
		s.Registry = listeners.Directory.URL
	}
	s.Issuer, s.MTLS, s.Admin = listeners.Standard.URL, listeners.MTLS.URL, listeners.Admin.URL
	return s, nil
}

func (s *Server) start() {
	s.T.Helper()
	var err error
	s.Server, err = server.Open(context.Background(), s.config, s.options)
	if err != nil {
		s.T.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	s.stop, s.stopped = stop, make(chan error, 1)
	ready := make(chan struct{})
	go func() { s.stopped <- s.Serve(ctx, func() { close(ready) }) }()
	select {
	case <-ready:
	case err := <-s.stopped:
		s.T.Fatal(err)
	}
}

// Config is what the server is started with.
func (s *Server) Config() server.Config { return s.config }

// Restart stops the server and starts another one on the same directory.
func (s *Server) Restart() {
	s.T.Helper()
	s.Stop()
	s.start()
}

// Stop ends the server as an interrupt would.
func (s *Server) Stop() {
	s.T.Helper()
	if s.stop == nil {
		return
	}
	s.stop()
	s.stop = nil
	if err := <-s.stopped; err != nil {
		s.T.Errorf("serve: %v", err)
	}
	if err := s.Close(); err != nil {
		s.T.Errorf("close: %v", err)
	}
}

// signingKeys hands out the test keys as signing keys, each once.
func signingKeys() func(alg string) (crypto.Signer, error) {
	var mu sync.Mutex
	rsa, p256 := 0, 0
	return func(alg string) (crypto.Signer, error) {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case alg == "PS256" && rsa < 2:
			rsa++
			return testkeys.RSA(rsa), nil
		case alg == "ES256" && p256 < 2:
			p256++
			return testkeys.P256(p256), nil
		}
		return nil, nil // made fresh
	}
}

// Refuses tries to register a client and gives the error code, empty when it
// was registered.
func (s *Server) Refuses(realm string, m registration.Metadata) string {
	s.T.Helper()
	if _, _, err := s.Clients(realm).Put(context.Background(), m); err != nil {
		return oauth.AsError(err).Code
	}
	return ""
}
