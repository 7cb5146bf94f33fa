package server

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/fapid/fapid/certs"
	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/admin"
	"github.com/fapid/fapid/server/binding"
	"github.com/fapid/fapid/server/endpoint"
	"github.com/fapid/fapid/server/flow"
	"github.com/fapid/fapid/server/manage"
	"github.com/fapid/fapid/server/token"
	"github.com/fapid/fapid/server/users"
	"github.com/fapid/fapid/store"
	"github.com/fapid/fapid/testkeys"
)

// realm is one running issuer: its own keys, clients, trust and clock.
type realm struct {
	name   string
	config *Realm
	now    func() time.Time
	log    *slog.Logger

	clients *registration.Registry
	fetch   *registration.Fetcher
	// registrar judges registration requests, with initial access tokens among them;
	// nil where nobody may register.
	registrar *registration.Registrar
	initial   *registration.InitialTokens

	apis   *registration.APIs
	users  *users.Users
	access *registration.AccessPolicies
	keys   *token.Keyring
	issuer *token.Issuer
	binder *binding.Binder
	site   *endpoint.Site

	sessions *token.Sessions
	lists    *endpoint.Lists
	managed  *manage.Realm

	trust     atomic.Pointer[mtls.Trust]
	ca        *certs.Authority // nil unless the realm trusts the sandbox CA
	crls      []*certs.CRLFile
	foreign   *foreign // nil without CRLs
	caFiles   []string
	caStates  []os.FileInfo
	policies  map[string]*oauth.Policy
	sandboxed bool // accepts public test keys: only under `fapid dev`
}

// openRealm loads a realm from the store and installs its features.
func (s *Server) openRealm(ctx context.Context, name string) (*realm, error) {
	config := s.config.Realms[name]
	r := &realm{name: name, config: config, now: s.clock(config.Clock), log: s.options.Log, policies: map[string]*oauth.Policy{}, sandboxed: s.options.AllowTestKeys}
	for _, policy := range append([]string{config.Policy}, config.Policies...) {
		row, ok := s.config.Policy(policy)
		if !ok {
			return nil, fmt.Errorf("realm %s: no policy %q", name, policy)
		}
		r.policies[policy] = row
	}
	if err := r.openTrust(ctx, s); err != nil {
		return nil, fmt.Errorf("realm %s: %w", name, err)
	}
	sealer, err := store.NewSealer(s.master[:], name+"/secrets")
	if err != nil {
		return nil, fmt.Errorf("realm %s: %w", name, err)
	}
	if err := r.openKeys(ctx, s, sealer); err != nil {
		return nil, err
	}
	if err := r.openClients(ctx, s, sealer); err != nil {
		return nil, err
	}
	if err := r.openRegistrar(s); err != nil {
		return nil, err
	}
	tokenSealer, err := store.NewSealer(s.master[:], name+"/refresh-token")
	if err != nil {
		return nil, fmt.Errorf("realm %s: %w", name, err)
	}
	r.sessions = token.NewSessions(name, s.store, tokenSealer, r.now)
	cursorSealer, err := store.NewSealer(s.master[:], name+"/cursor")
	if err != nil {
		return nil, fmt.Errorf("realm %s: %w", name, err)
	}
	r.lists = &endpoint.Lists{Sealer: cursorSealer}
	r.issuer = &token.Issuer{
		ID:                 config.Issuer,
		Keys:               r.keys,
		Now:                r.now,
		Further:            config.FurtherClaims,
		Subject:            flow.Subject(config.Subject).Of,
		Sessions:           r.sessions,
		Client:             r.clients.Get,
		Standing:           s.standing(name),
		Ended:              s.ended(),
		User:               r.userActive,
		CertificateRevoked: r.certificateRevoked,
		Signed:             s.metrics.ObserveSigning,
	}
	if err := r.openBinder(s); err != nil {
		return nil, err
	}
	r.site = r.openSite(s)
	r.managed = r.manage(s)
	for _, feature := range r.features(s) {
		feature.Install(r.site)
	}
	return r, r.site.Finish()
}

// openSite makes what the features install themselves in.
func (r *realm) openSite(s *Server) *endpoint.Site {
	layout, _ := s.config.layout(r.config.Layout) // Complete has looked
	return &endpoint.Site{
		Realm:       r.name,
		Issuer:      r.config.Issuer,
		StandardURL: s.config.Listeners.Standard.URL,
		MTLSURL:     s.config.Listeners.MTLS.URL,
		Layout:      layout,
		Sandbox:     r.config.Sandbox,
		JSON:        r.config.JSONRequests,
		TraceURL:    s.config.Listeners.Admin.URL,
		Now:         r.now,
	}
}

func (r *realm) openKeys(ctx context.Context, s *Server, sealer *store.Sealer) (err error) {
	var longest time.Duration
	for _, policy := range r.policies {
		longest = max(longest, policy.MaxAccessTokenLifetime)
	}
	r.keys, err = token.OpenKeyring(ctx, token.KeyringConfig{
		Realm: r.name, Store: s.store, Sealer: sealer, Now: r.now,
		LongestToken: longest, AllowTestKeys: r.sandboxed, Generate: s.options.GenerateKey,
	})
	return err
}

// openClients reads who there is: clients, their APIs, users.
func (r *realm) openClients(ctx context.Context, s *Server, sealer *store.Sealer) (err error) {
	roots, err := r.fetchRoots(s)
	if err != nil {
		return fmt.Errorf("realm %s: jwks.cas: %w", r.name, err)
	}
	r.fetch = registration.NewFetcher(registration.FetchConfig{
		AllowPrivate: r.config.JWKS.AllowPrivate, AnyPort: len(r.config.JWKS.AllowPrivate) > 0, RootCAs: roots, Now: r.now,
		Own: s.ownDocuments(), Timeout: s.options.Limits.Fetch,
	})
	r.openInitial(s, sealer)
	r.clients, err = registration.Open(ctx, registration.Config{
		Realm:         r.name,
		Store:         s.store,
		Sealer:        sealer,
		Policies:      func(name string) (*oauth.Policy, bool) { policy, ok := r.policies[name]; return policy, ok },
		DefaultPolicy: r.config.Policy,
		Scopes:        r.scopes(),
		SelfScopes:    r.config.selfScopes(),
		Grants:        r.registrable,
		Fetch:         r.fetch,
		Now:           r.now,
		AllowTestKeys: r.sandboxed,
		Initial:       r.initial,
		Quota:         r.config.Registration.quota(),
	})
	if err != nil {
		return fmt.Errorf("clients of realm %s: %w", r.name, err)
	}
	for id, reason := range r.clients.Refused() {
		s.options.Log.Warn("a stored client is not served: the rules in force refuse it", "realm", r.name, "client_id", id, "error", reason.Error())
	}
	if r.apis, err = registration.OpenAPIs(ctx, r.name, s.store, r.now); err != nil {
		return err
	}
	if r.access, err = registration.OpenAccessPolicies(ctx, r.name, s.store, r.now); err != nil {
		return err
	}
	r.users, err = users.Open(ctx, r.name, s.store, r.now)
	return err
}

// userActive reports whether a user may be acted for.
func (r *realm) userActive(id string) bool {
	user, ok := r.users.Get(id)
	return ok && user.Active == users.Yes
}

func (r *realm) openBinder(s *Server) error {
	nonces, err := store.NewSealer(s.master[:], r.name+"/dpop-nonce")
	if err != nil {
		return fmt.Errorf("realm %s: %w", r.name, err)
	}
	r.binder = &binding.Binder{
		Trust:  r.trust.Load,
		Proofs: usedProofs{store.Claims{Store: s.store, Name: r.name + "/dpop-proof"}},
		Nonces: nonces.MAC,
		Now:    r.now,
		Algs:   r.dpopAlgs(),
	}
	if !r.sandboxed {
		r.binder.Refuse = testkeys.Refuse
	}
	return nil
}

// usedProofs keeps in the store which DPoP proofs were used.
type usedProofs struct{ claims store.Claims }

// Claim marks a proof as used.
func (u usedProofs) Claim(ctx context.Context, key string, until time.Time) (first bool, err error) {
	err = u.claims.Claim(ctx, key, until)
	if errors.Is(err, store.ErrExists) {
		return false, nil
	}
	return err == nil, err
}

// fetchRoots are who may vouch for the hosts of jwks_uri: the system's roots,
// the configured ones and, where the realm trusts it, the sandbox CA.
func (r *realm) fetchRoots(s *Server) (*x509.CertPool, error) {
	more, err := readCertificates(s.path, r.config.JWKS.CAs)
	if err != nil {
		return nil, err
	}
	if r.ca != nil {
		more = append(more, r.ca.Root())
	}
	if len(more) == 0 {
		return nil, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	for _, root := range more {
		pool.AddCert(root)
	}
	return pool, nil
}

// operated is what the operator's listener shows of the realm.
func (r *realm) operated() admin.Realm {
	operated := admin.Realm{Name: r.name, Issuer: r.config.Issuer, Sandbox: r.config.Sandbox, Discovery: r.site.Discovery}
	if rules := r.config.Registration; rules != nil {
		operated.Registration = &admin.RegistrationView{Ecosystem: rules.Ecosystem, Directory: append([]string{}, rules.Directory...)}
	}
	return operated
}
