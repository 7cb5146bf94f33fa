// Package servertest runs a fapid server on loopback for a test, with actors to
// play a scene: TPPs that have keys, certificates and a registration.
package servertest

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fapid/fapid/certs"
	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server"
	"github.com/fapid/fapid/server/participant"
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

// Clock is a clock that a test can move.
type Clock struct {
	mu     sync.Mutex
	ahead  time.Duration
	frozen time.Time // the machine's time then; zero while the clock goes
}

// Now is the machine's time and what the test has added.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.frozen.IsZero() {
		return c.frozen.Add(c.ahead)
	}
	return time.Now().Add(c.ahead)
}

// Freeze stops the clock, but for Move, until the returned function is called: on a
// slow machine what happens at once may take seconds. Who tests what lasts seconds,
// or what ends on the hour, has to.
func (c *Clock) Freeze() (thaw func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.frozen = time.Now()
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.frozen = time.Time{}
	}
}

// Move moves the clock by that much, back for a negative one.
func (c *Clock) Move(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += by
}

// Log is a buffer for concurrent writers.
type Log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write appends.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// String is what was written so far.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Count is how often a text occurs in what was written so far.
func (l *Log) Count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Count(l.text.Bytes(), []byte(text))
}

// Reset forgets what was written so far, for tests that measure memory.
func (l *Log) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = bytes.Buffer{}
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

// TPP is a client that is registered with the server.
type TPP struct {
	*participant.Participant
	S *Server
	// HTTP presents the TPP's certificate where it is asked for one.
	HTTP *http.Client
	// Realm is where the TPP is registered.
	Realm    string
	Provider *participant.Provider
}

// TPP registers a client with a fresh certificate and key. Without change it
// authenticates by tls_client_auth with its subject, and its tokens are bound.
func (s *Server) TPP(id string, change ...func(*registration.Metadata)) *TPP {
	s.T.Helper()
	return s.TPPIn("default", id, change...)
}

// TPPIn is TPP in a realm.
func (s *Server) TPPIn(realm, id string, change ...func(*registration.Metadata)) *TPP {
	s.T.Helper()
	p := &participant.Participant{Now: s.Clock.Now, Metadata: registration.Metadata{
		ClientID: id, TokenEndpointAuthMethod: oauth.AuthTLS, GrantTypes: []string{"client_credentials"},
		Scope: "accounts", CertificateBoundTokens: true,
	}}
	s.certify(p)
	p.Metadata.TLSClientAuthSubjectDN = s.presented(p.Transport).Subject().String()
	p.SigningKey = testkeys.P256(3)
	if err := p.Publish(false); err != nil {
		s.T.Fatal(err)
	}
	for _, adapt := range change {
		adapt(&p.Metadata)
	}
	if p.Metadata.TokenEndpointAuthMethod != oauth.AuthTLS {
		p.Metadata.TLSClientAuthSubjectDN = ""
	}
	p.Secret = string(p.Metadata.ClientSecret)
	if _, _, err := s.Clients(realm).Put(context.Background(), p.Metadata); err != nil {
		s.T.Fatal(err)
	}
	tpp := &TPP{Participant: p, S: s, Realm: realm}
	tpp.Connect()
	var err error
	if tpp.Provider, err = participant.Discover(context.Background(), tpp.HTTP, s.config.Realms[realm].Issuer); err != nil {
		s.T.Fatal(err)
	}
	return tpp
}

// JWT makes a TPP's metadata private_key_jwt with ES256, tokens unbound.
func JWT(m *registration.Metadata) {
	m.TokenEndpointAuthMethod, m.TokenEndpointAuthSigningAlg, m.CertificateBoundTokens = oauth.AuthPrivateKeyJWT, "ES256", false
}

// DPoP makes a TPP's metadata private_key_jwt with tokens bound to its DPoP key,
// which is its signing key.
func DPoP(m *registration.Metadata) {
	JWT(m)
	m.DPoPBoundTokens = true
}

// Under puts a TPP under a policy.
func Under(policy string) func(*registration.Metadata) {
	return func(m *registration.Metadata) { m.Policy = policy }
}

// certify gives a participant a fresh P-256 client certificate.
func (s *Server) certify(p *participant.Participant) {
	s.T.Helper()
	name, err := certs.NewName(certs.Attribute{Type: "C", Value: "GB"}, certs.Attribute{Type: "O", Value: "Test TPP"}, certs.Attribute{Type: "CN", Value: p.Metadata.ClientID})
	if err != nil {
		s.T.Fatal(err)
	}
	issued, err := s.CA().Issue(context.Background(), certs.ProfileClient,
		certs.Subject{Name: name, DNS: []string{p.Metadata.ClientID + ".example.com"}, Owner: p.Metadata.ClientID}, certs.KeyRequest{Algorithm: certs.P256})
	if err != nil {
		s.T.Fatal(err)
	}
	p.Transport, p.TransportKey = issued.Chain, issued.Key
}

func (s *Server) presented(chain []*x509.Certificate) *mtls.Presented {
	s.T.Helper()
	presented, err := mtls.NewPresented(chain, "tls")
	if err != nil {
		s.T.Fatal(err)
	}
	return presented
}

// Roots trusts the server's CA.
func (s *Server) Roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(s.CA().Root())
	return pool
}

// Connect gives the TPP fresh connections with the certificate it has now.
func (tpp *TPP) Connect() {
	tpp.HTTP = tpp.S.client(tpp.Participant)
	tpp.S.T.Cleanup(tpp.HTTP.CloseIdleConnections)
}

// client is a participant's HTTP client, which waits.
func (s *Server) client(p *participant.Participant) *http.Client {
	client := p.Client(s.Roots())
	client.Timeout = Patience
	return client
}

// Renew gives the TPP another certificate of the same name.
func (tpp *TPP) Renew() {
	tpp.S.T.Helper()
	tpp.S.certify(tpp.Participant)
	tpp.Connect()
}

// Token fetches a token and fails the test if it is refused.
func (tpp *TPP) Token(form ...url.Values) string {
	tpp.S.T.Helper()
	var with url.Values
	if len(form) > 0 {
		with = form[0]
	}
	response, body, err := tpp.Participant.Token(context.Background(), tpp.HTTP, tpp.Provider, with)
	if err != nil {
		tpp.S.T.Fatalf("%s: %v\n%s", tpp.Metadata.ClientID, err, body)
	}
	return response.AccessToken
}

// Answer is what a server said.
type Answer struct {
	Status int
	Header http.Header
	Body   string
	JSON   map[string]any // nil for a body that is no JSON object
}

// Error is the error code of the answer.
func (a Answer) Error() string {
	code, _ := a.JSON["error"].(string)
	return code
}

// String is the answer for a failure message.
func (a Answer) String() string { return fmt.Sprintf("%d %s", a.Status, a.Body) }

// Format prints String whatever the verb; fmt would take Error for it.
func (a Answer) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, a.String()) }

// Post sends a form with the TPP's client authentication to an endpoint
// ("token_endpoint").
func (tpp *TPP) Post(endpoint string, form url.Values) Answer {
	tpp.S.T.Helper()
	if form == nil {
		form = url.Values{}
	}
	reply, err := tpp.Participant.Post(context.Background(), tpp.HTTP, tpp.Provider, endpoint, form)
	if err != nil {
		tpp.S.T.Fatal(err)
	}
	return parse(reply.Status, reply.Header, reply.Body)
}

// Exchanging gives a TPP the grants of clients that act for others.
func Exchanging(m *registration.Metadata) {
	m.GrantTypes = []string{"client_credentials", participant.GrantExchange, participant.GrantJWTBearer}
}

// Exchange asks for another token in the place of one; more are names and values
// of parameters, an empty value leaves one out.
func (tpp *TPP) Exchange(token string, more ...string) Answer {
	tpp.S.T.Helper()
	return tpp.Post("token_endpoint", with(participant.Exchange(token), more))
}

// Grant signs an authorization grant for a subject; changes are names and values
// of claims, a nil value leaves one out.
func (tpp *TPP) Grant(subject string, changes ...any) string {
	tpp.S.T.Helper()
	now := tpp.S.Clock.Now().Unix()
	claims := map[string]any{"iss": tpp.Metadata.ClientID, "sub": subject, "aud": tpp.Provider.Issuer, "jti": rand.Text(), "iat": now, "exp": now + 60}
	for i := 0; i+1 < len(changes); i += 2 {
		claims[changes[i].(string)] = changes[i+1]
		if changes[i+1] == nil {
			delete(claims, changes[i].(string))
		}
	}
	signed, err := tpp.SignAs(participant.TypeGrant, claims)
	if err != nil {
		tpp.S.T.Fatal(err)
	}
	return signed
}

// Bearer asks for a token with somebody's authorization grant; more as in Exchange.
func (tpp *TPP) Bearer(assertion string, more ...string) Answer {
	tpp.S.T.Helper()
	return tpp.Post("token_endpoint", with(url.Values{"grant_type": {participant.GrantJWTBearer}, "assertion": {assertion}}, more))
}

func with(form url.Values, more []string) url.Values {
	for i := 0; i+1 < len(more); i += 2 {
		if form.Set(more[i], more[i+1]); more[i+1] == "" {
			form.Del(more[i])
		}
	}
	return form
}

// Bank calls the bank with a token, the TPP's certificate and, if its tokens are
// bound so, a DPoP proof.
func (tpp *TPP) Bank(token string) Answer {
	tpp.S.T.Helper()
	return tpp.Call(token, http.MethodGet, tpp.S.MTLS+"/bank/accounts", nil, "")
}

// Call calls a protected API with a token, the TPP's certificate and, if its tokens
// are bound so, a DPoP proof.
func (tpp *TPP) Call(token, method, address string, header http.Header, body string) Answer {
	tpp.S.T.Helper()
	sent := http.Header{"Authorization": {"Bearer " + token}}
	if tpp.Metadata.DPoPBoundTokens {
		path, _, _ := strings.Cut(address, "?")
		proof, err := tpp.Proof(method, path, participant.Proof{Token: token})
		if err != nil {
			tpp.S.T.Fatal(err)
		}
		sent = http.Header{"Authorization": {"DPoP " + token}, "Dpop": {proof}}
	}
	for name, values := range header {
		sent[name] = values
	}
	return tpp.S.Do(tpp.HTTP, method, address, sent, body)
}

// Do sends one request.
func (s *Server) Do(client *http.Client, method, address string, header http.Header, body string) Answer {
	s.T.Helper()
	request, err := http.NewRequest(method, address, strings.NewReader(body))
	if err != nil {
		s.T.Fatal(err)
	}
	for name, values := range header {
		request.Header[name] = values
	}
	response, err := client.Do(request)
	if err != nil {
		s.T.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		s.T.Fatal(err)
	}
	return parse(response.StatusCode, response.Header, text)
}

// Form is the header of a form.
var Form = http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}

func parse(status int, header http.Header, body []byte) Answer {
	answer := Answer{Status: status, Header: header, Body: string(body)}
	_ = json.Unmarshal(body, &answer.JSON) // empty bodies and lists are answers too
	return answer
}

// Trace reads the trace of an answer, JSON, from the operator's listener.
func (s *Server) Trace(answer Answer) string {
	s.T.Helper()
	id := answer.Header.Get("X-Fapid-Trace")
	for deadline := time.Now().Add(Patience); ; time.Sleep(10 * time.Millisecond) {
		got := s.Do(http.DefaultClient, http.MethodGet, s.Admin+"/traces/"+id, http.Header{"Accept": {"application/json"}}, "")
		switch {
		case got.Status == http.StatusOK:
			return got.Body
		case got.Status == http.StatusNotFound && id != "" && time.Now().Before(deadline):
			// A long answer is on the wire before its event is finished.
		default:
			s.T.Fatalf("trace %q: %s", id, got)
		}
	}
}

// Explain is the trace of an answer.
func (s *Server) Explain(answer Answer) oauth.Event {
	s.T.Helper()
	var event oauth.Event
	if err := json.Unmarshal([]byte(s.Trace(answer)), &event); err != nil {
		s.T.Fatal(err)
	}
	return event
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
