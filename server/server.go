package server

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fapid/fapid/certs"
	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/admin"
	"github.com/fapid/fapid/server/directory"
	"github.com/fapid/fapid/server/endpoint"
	"github.com/fapid/fapid/server/token"
	"github.com/fapid/fapid/server/users"
	"github.com/fapid/fapid/store"
)

// Server is everything that runs: realms, listeners, the operator's view.
type Server struct {
	config  Config
	options Options
	order   []string // realm names, the default realm first

	store   *store.Bolt
	master  [32]byte         // what secrets in the store are sealed under
	ca      *certs.Authority // nil when no realm and no listener needs it
	certs   mtls.Certificates
	realms  map[string]*realm
	traces  *endpoint.Traces
	metrics *admin.Metrics
	endings *admin.Endings
	// observers are told of every finished request.
	observers []func(*oauth.Event)

	gateways              *mtls.Forwarding // nil for none
	standard, mtls, admin *endpoint.Router
	registry              *endpoint.Router // the directory's; nil without one
	directory             *directory.Directory
	operatorKey           string
	draining              atomic.Bool // set when the server begins to end

	// samplesDue is when the first certificate of a sample client is to be renewed;
	// zero where there are no sample clients.
	samplesDue time.Time
}

// Options are what a caller decides beside the configuration.
type Options struct {
	Version string
	// Ephemeral keeps nothing: the store is forgotten on Close.
	Ephemeral bool
	// AllowTestKeys accepts the keys of package testkeys.
	AllowTestKeys bool
	// OpenOperator lets everybody on this machine read from the operator's
	// listener; changing anything needs the operator key always.
	OpenOperator bool
	// GenerateKey makes signing keys, or returns nil for one to be made fresh;
	// nil makes them all fresh.
	GenerateKey func(alg string) (crypto.Signer, error)
	// Limits are how long connections may take.
	Limits Limits
	// Now is the clock; nil means the machine's.
	Now func() time.Time
	// Log receives one line a request; nil means slog's default.
	Log *slog.Logger
}

// How many requests the explanations reach back.
const (
	keptFailures  = 2000
	keptSuccesses = 500

	keptOperations = 20 // of the operator's own
)

// Open reads everything there is in the configuration's directory, makes what
// is missing, and builds the realms; it listens to nothing yet. Close it.
func Open(ctx context.Context, config Config, options Options) (_ *Server, err error) {
	if options.Now == nil {
		options.Now = time.Now
	}
	if options.Log == nil {
		options.Log = slog.Default()
	}
	s := &Server{
		config: config, options: options, realms: map[string]*realm{},
		traces:  endpoint.NewTraces(keptFailures, keptSuccesses),
		metrics: admin.NewMetrics(prometheus.NewRegistry(), options.Version),
	}
	defer func() {
		if err != nil {
			_ = s.Close()
		}
	}()
	if err := os.MkdirAll(config.Dir, 0o700); err != nil {
		return nil, err
	}
	if s.store, err = store.Open(s.path("fapid.db"), store.Options{Ephemeral: options.Ephemeral, Now: s.slowestClock()}); err != nil {
		return nil, err
	}
	masterKey, err := s.secret("master.key")
	if err != nil {
		return nil, err
	}
	s.master = sha256.Sum256(masterKey)
	operatorKey, err := s.secret("operator.key")
	if err != nil {
		return nil, err
	}
	s.operatorKey = string(operatorKey)
	if err := s.openCertificates(ctx); err != nil {
		return nil, err
	}
	s.endings = admin.NewEndings(options.Log, options.Now)
	s.metrics.WatchCertificates(options.Now, s.certificateEnds)
	return s, s.openRealms(ctx)
}

// clock is the machine's clock with an offset.
func (s *Server) clock(offset Offset) func() time.Time {
	if offset == 0 {
		return s.options.Now
	}
	return func() time.Time { return s.options.Now().Add(time.Duration(offset)) }
}

// slowestClock is the clock the store sweeps by: nothing may go before the realm
// that is furthest behind has seen it expire.
func (s *Server) slowestClock() func() time.Time {
	var slowest Offset
	for _, realm := range s.config.Realms {
		slowest = min(slowest, realm.Clock)
	}
	return s.clock(slowest)
}

// realmOrder are the names of the realms, the default one first.
func (c *Config) realmOrder() []string {
	order := slices.Sorted(maps.Keys(c.Realms))
	if at := slices.Index(order, "default"); at > 0 {
		order = slices.Insert(slices.Delete(order, at, at+1), 0, "default")
	}
	return order
}

// openRealms builds the directory and the realms, the default one first.
func (s *Server) openRealms(ctx context.Context) error {
	s.order = s.config.realmOrder()
	if err := s.openDirectory(ctx); err != nil {
		return err
	}
	var err error
	if s.gateways, err = s.config.Gateways.forwarding(); err != nil {
		return err
	}
	for _, name := range s.order {
		r, err := s.openRealm(ctx, name)
		if err != nil {
			return err
		}
		s.realms[name] = r
	}
	return s.route()
}

// route mounts the realms on the two listeners and the operator's site on its own.
func (s *Server) route() error {
	s.observers = []func(*oauth.Event){s.metrics.Observe, admin.LogObserver(s.options.Log), s.endings.Observe}
	forwarding, err := s.config.Proxy.forwarding()
	if err != nil {
		return err
	}
	s.standard = &endpoint.Router{Listener: endpoint.Standard, Finished: s.observers, Traces: s.traces, Forwarding: forwarding}
	s.mtls = &endpoint.Router{Listener: endpoint.MTLS, Finished: s.observers, Traces: s.traces, Forwarding: forwarding}
	for _, name := range s.order {
		for _, router := range []*endpoint.Router{s.standard, s.mtls} {
			if err := router.Mount(s.realms[name].site); err != nil {
				return err
			}
		}
	}
	if err := s.routeDirectory(); err != nil {
		return err
	}
	return s.routeOperator()
}

// forwarding is how a proxy hands certificates on; nil for no proxy.
func (p *Proxy) forwarding() (*mtls.Forwarding, error) {
	if p == nil {
		return nil, nil
	}
	forwarding := &mtls.Forwarding{Trusted: p.Trusted, Format: p.Format, Header: p.Header, ChainHeader: p.ChainHeader}
	return forwarding, forwarding.Validate()
}

// ready reports whether the server can do its work now.
func (s *Server) ready(ctx context.Context) error {
	if s.draining.Load() {
		return errors.New("the server is shutting down")
	}
	select {
	case <-s.store.Failed():
		return errors.New("the store has failed; restart on a good disk")
	default:
	}
	return s.store.View(ctx, func(store.Tx) error { return nil })
}

// Operator serves the operator's listener in this process, for verbs that run
// while no server does. Key is what authorizes them.
func (s *Server) Operator() (handler http.Handler, key string) { return s.admin, s.operatorKey }

// Clients are the clients of a realm, nil for an unknown one.
func (s *Server) Clients(realm string) *registration.Registry {
	if r, ok := s.realms[realm]; ok {
		return r.clients
	}
	return nil
}

// InitialTokens are the initial access tokens of a realm, nil for a name there is none of and
// for a realm where no software registers itself.
func (s *Server) InitialTokens(realm string) *registration.InitialTokens {
	if r, ok := s.realms[realm]; ok {
		return r.initial
	}
	return nil
}

// APIs are the protected APIs of a realm, nil for an unknown one.
func (s *Server) APIs(realm string) *registration.APIs {
	if r, ok := s.realms[realm]; ok {
		return r.apis
	}
	return nil
}

// Users are the test users of a realm, nil for an unknown one.
func (s *Server) Users(realm string) *users.Users {
	if r, ok := s.realms[realm]; ok {
		return r.users
	}
	return nil
}

// Sessions is the record of what a realm has issued, nil for an unknown one.
func (s *Server) Sessions(realm string) *token.Sessions {
	if r, ok := s.realms[realm]; ok {
		return r.sessions
	}
	return nil
}

// RotateKey makes the next signing key of a realm active (see
// [token.Keyring.Rotate]).
func (s *Server) RotateKey(ctx context.Context, realm, alg string) error {
	r, ok := s.realms[realm]
	if !ok {
		return fmt.Errorf("there is no realm %s", realm)
	}
	return r.keys.Rotate(ctx, alg)
}

// CA is the sandbox CA, nil where the configuration has no use for one.
func (s *Server) CA() *certs.Authority { return s.ca }

// Close releases the store.
func (s *Server) Close() error {
	if s.store == nil {
		return nil
	}
	return s.store.Close()
}

// path makes a configured path absolute: relative ones start in Dir.
func (s *Server) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(s.config.Dir, name)
}

// secret reads a file of one random key, or makes it (0600).
func (s *Server) secret(name string) ([]byte, error) {
	path := s.path(name)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		text = []byte(rand.Text() + rand.Text() + "\n") // 260 bits
		err = certs.WritePrivate(path, text)
	}
	if err != nil {
		return nil, err
	}
	if state, err := os.Stat(path); err != nil {
		return nil, err
	} else if mode := state.Mode().Perm(); mode&0o077 != 0 && runtime.GOOS != "windows" {
		return nil, fmt.Errorf("others may read %s (mode %04o); `chmod 600 %s`, and consider whether somebody did", path, mode, path)
	}
	key := strings.TrimSpace(string(text))
	if len(key) < 32 {
		return nil, fmt.Errorf("%s is too short to be a key; restore it, or delete it together with the store", path)
	}
	return []byte(key), nil
}

// hosts are the names and addresses clients reach the listeners by, the
// issuer's first: it is the certificate's common name.
func (s *Server) hosts() []string {
	var hosts []string
	addresses := []string{s.config.Listeners.Standard.URL, s.config.Listeners.MTLS.URL}
	if s.config.Listeners.Directory != nil {
		addresses = append(addresses, s.config.Listeners.Directory.URL)
	}
	for _, address := range addresses {
		if parsed, err := url.Parse(address); err == nil {
			hosts = append(hosts, parsed.Hostname())
		}
	}
	var each []string
	for _, host := range slices.Concat(hosts, s.config.TLS.Hosts, []string{"localhost", "127.0.0.1", "::1"}) {
		if !slices.Contains(each, host) {
			each = append(each, host)
		}
	}
	return each
}

// listen opens a door; an address in use is named with the flag that moves it.
// The name localhost means both loopback addresses where the machine has both.
func listen(ctx context.Context, address, flag string) ([]net.Listener, error) {
	addresses := []string{address}
	if host, port, err := net.SplitHostPort(address); err == nil && host == "localhost" {
		addresses = []string{net.JoinHostPort("127.0.0.1", port), net.JoinHostPort("::1", port)}
	}
	var config net.ListenConfig
	var listeners []net.Listener
	for i, address := range addresses {
		listener, err := config.Listen(ctx, "tcp", address)
		if err != nil && i > 0 && !errors.Is(err, syscall.EADDRINUSE) {
			continue // a machine without IPv6
		}
		if err != nil {
			for _, open := range listeners {
				_ = open.Close()
			}
			return nil, fmt.Errorf("cannot listen on %s: %w; choose another port with --%s", address, reasonOf(err), flag)
		}
		listeners = append(listeners, listener)
	}
	return listeners, nil
}

// reasonOf strips the operation and address off a network error.
func reasonOf(err error) error {
	var operation *net.OpError
	if errors.As(err, &operation) {
		return operation.Err
	}
	return err
}
