package server

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/fapid/fapid/certs"
	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/admin"
	"github.com/fapid/fapid/server/binding"
	"github.com/fapid/fapid/server/endpoint"
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
		Sessions:           r.sessions,
		Client:             r.clients.Get,
		Standing:           s.standing(name),
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
		Own: s.ownDocuments(),
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

// openTrust reads the realm's CAs and CRLs. A file that is missing, empty or no
// certificate stops the start: a realm that trusts nobody by accident, or
// everybody, is not a realm.
func (r *realm) openTrust(ctx context.Context, s *Server) error {
	if r.config.Trust.SandboxCA {
		r.ca = s.ca
	}
	for _, file := range r.config.Trust.CAs {
		r.caFiles = append(r.caFiles, s.path(file))
	}
	r.caStates = states(r.caFiles)
	trust, err := r.buildTrust()
	if err != nil {
		return err
	}
	r.trust.Store(trust)
	issuers, err := readCertificates(s.path, r.config.Trust.CAs)
	if err != nil {
		return err
	}
	for _, file := range r.config.Trust.CRLs {
		crl, err := certs.LoadCRLFile(certs.CRLFileConfig{Path: s.path(file), Issuers: issuers, Now: r.now})
		if err != nil {
			return err
		}
		r.crls = append(r.crls, crl)
	}
	if len(r.crls) > 0 {
		r.foreign, err = openForeign(ctx, r.name, s.store, r.crls, r.now)
	}
	return err
}

// buildTrust makes a new trust from the files as they are now.
func (r *realm) buildTrust() (*mtls.Trust, error) {
	config := mtls.TrustConfig{Revoked: r.revoked}
	if r.ca != nil {
		config.Roots = append(config.Roots, r.ca.Root())
		config.Intermediates = append(config.Intermediates, r.ca.Issuing())
	}
	for _, file := range r.caFiles {
		list, err := readCertificates(nil, []string{file})
		if err != nil {
			return nil, err
		}
		for _, certificate := range list {
			if certificate.CheckSignatureFrom(certificate) == nil {
				config.Roots = append(config.Roots, certificate)
			} else {
				config.Intermediates = append(config.Intermediates, certificate)
			}
		}
	}
	return mtls.NewTrust(config)
}

// refresh takes up changed CA files. A bad file changes nothing but the log.
func (r *realm) refresh() {
	now := states(r.caFiles)
	for i, state := range now {
		if unchanged(r.caStates[i], state) {
			continue
		}
		r.caStates = now
		trust, err := r.buildTrust()
		if err != nil {
			r.log.Error("a changed CA file was not taken up; the old CAs stay trusted", "realm", r.name, "error", err.Error())
			return
		}
		r.trust.Store(trust)
		r.log.Info("the trusted CAs were read again", "realm", r.name)
		return
	}
}

// revoked asks our own CA and every configured CRL.
func (r *realm) revoked(leaf, issuer *x509.Certificate) (mtls.Revocation, bool) {
	if r.ca != nil {
		if revocation, yes := r.ca.Revoked(leaf, issuer); yes {
			return revocation, true
		}
	}
	for _, crl := range r.crls {
		if revocation, yes := crl.Revoked(leaf, issuer); yes {
			return revocation, true
		}
	}
	return mtls.Revocation{}, false
}

// certificateRevoked reports whether our CA or, as far as it has been seen here,
// another one has revoked the certificate with this x5t#S256.
func (r *realm) certificateRevoked(thumbprint string) bool {
	return r.ca != nil && r.ca.RevokedThumbprint(thumbprint) || r.foreign != nil && r.foreign.revoked(thumbprint)
}

// states are what the file system says of the files, nil for one that is not there.
func states(files []string) []os.FileInfo {
	all := make([]os.FileInfo, len(files))
	for i, file := range files {
		if state, err := os.Stat(file); err == nil {
			all[i] = state
		}
	}
	return all
}

// unchanged reports whether a file is the one it was. Its time alone does not say so:
// it may come with the file that takes its place, and two writes can have one.
func unchanged(before, now os.FileInfo) bool {
	if before == nil || now == nil {
		return before == nil && now == nil
	}
	return os.SameFile(before, now) && before.Size() == now.Size() && before.ModTime().Equal(now.ModTime())
}

// readCertificates reads PEM files with at least one certificate each.
func readCertificates(path func(string) string, files []string) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for _, file := range files {
		if path != nil {
			file = path(file)
		}
		text, err := os.ReadFile(filepath.Clean(file))
		if err != nil {
			return nil, err
		}
		found, err := parseCertificates(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		all = append(all, found...)
	}
	return all, nil
}

func parseCertificates(text []byte) ([]*x509.Certificate, error) {
	var found []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		found = append(found, certificate)
	}
	if len(found) == 0 {
		return nil, errors.New("there is no PEM certificate in it")
	}
	return found, nil
}
