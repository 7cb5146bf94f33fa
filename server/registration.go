package server

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/oauth/jwk"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/directory"
	"github.com/fapid/fapid/server/endpoint"
	"github.com/fapid/fapid/server/flow"
	"github.com/fapid/fapid/store"
)

// Registration says whose software may register itself at a realm, and by which
// rules. A realm without it has none.
type Registration struct {
	Access      []string                    `json:"access,omitempty" choices:"access" doc:"What lets software register itself, any one of: open (nothing is asked), initial_access_token (see fapid registration-token), certificate (a client certificate that the realm trusts), software_statement (of an issuer below, or of the directory). Default software_statement where some are believed, initial_access_token elsewhere."`
	Ecosystem   string                      `json:"ecosystem,omitempty" choices:"rules" doc:"Whose rules hold for requests without a software statement. With a statement, those of its issuer do. Default rfc7591."`
	Policy      string                      `json:"policy,omitempty" choices:"policy" doc:"Security profile of software that registers itself without a statement. Default the realm's."`
	Scopes      []string                    `json:"scopes,omitempty" doc:"The most that software which registers itself may ask for; those of the management API and of the directory it never may. Default the realm's other scopes, cdr:registration among them where the rules of cdr hold."`
	DirectoryID string                      `json:"directory_id,omitempty" doc:"The id that the bank itself has at the directory: what aud of a signed request may be beside the issuer, where the rules allow it."`
	Directory   []string                    `json:"directory,omitempty" choices:"rules" doc:"By the rules of which ecosystems software statements of the directory of this server are believed. Software chooses among them, and raidiam asks for no role. Default, where there is one, that of directory.ecosystem."`
	Issuers     map[string]*StatementIssuer `json:"issuers,omitempty" doc:"Whose software statements are believed, by a name that clients keep."`

	MaxClients            Count    `json:"max_clients,omitempty" doc:"How many clients that registered themselves there may be. Default 10000."`
	MaxClientsPerSoftware Count    `json:"max_clients_per_software,omitempty" doc:"How many clients of one software there may be, where its ecosystem allows several. Default 100."`
	UnusedClients         Duration `json:"unused_clients,omitempty" from:"1m" to:"87600h" doc:"Delete clients that registered themselves and were not used for so long. Default never."`
}

// The ways to be let in, as registration.access names them.
const (
	accessOpen        = registration.ByAnybody
	accessCertificate = registration.ByCertificate
	accessStatement   = registration.ByStatement
	accessInitial     = "initial_access_token"
)

// StatementIssuer is somebody whose software statements are believed.
type StatementIssuer struct {
	Ecosystem string   `json:"ecosystem" required:"true" choices:"rules" doc:"By whose rules its statements are read, verified and registered."`
	Issuer    string   `json:"issuer,omitempty" doc:"The iss of its statements, exactly. Default that of the ecosystem's directory."`
	Keys      string   `json:"keys" required:"true" doc:"Its public keys: a JWK Set as JSON, a file with one, or the https URL to fetch it from when a statement comes. Nothing in a statement says where."`
	Algs      []string `json:"algs,omitempty" doc:"JWS algorithms of its statements. Default all of the ecosystem."`
	MaxAge    Duration `json:"max_age,omitempty" from:"10s" to:"24h" doc:"How old iat of a statement may be. Default the ecosystem's; Open Finance Brasil has 5m and takes no longer one."`
	SingleUse bool     `json:"single_use,omitempty" doc:"Take each statement only once, by its jti."`
	Policy    string   `json:"policy,omitempty" choices:"policy" doc:"Security profile of those who register with its statements. Default the realm's."`
}

// fill presets what was left out.
func (r *Registration) fill(realm *Realm, c *Config) {
	preset(&r.Ecosystem, registration.Ecosystems()[0])
	preset(&r.Policy, realm.Policy)
	preset(&r.MaxClients, 10_000)
	preset(&r.MaxClientsPerSoftware, 100)
	if len(r.Directory) == 0 && c.Listeners.Directory != nil {
		r.Directory = []string{c.Directory.Ecosystem}
	}
	r.fillScopes(realm)
	if len(r.Access) == 0 {
		r.Access = []string{accessInitial}
		if len(r.Issuers)+len(r.Directory) > 0 {
			r.Access = []string{accessStatement}
		}
	}
	for name, issuer := range r.Issuers {
		if issuer == nil {
			issuer = new(StatementIssuer)
			r.Issuers[name] = issuer
		}
		if ecosystem, known := registration.FindEcosystem(issuer.Ecosystem); known {
			dialect, _ := registration.FindDialect(ecosystem.Dialect)
			preset(&issuer.Issuer, dialect.Issuer)
		}
	}
}

// fillScopes presets what software may ask for. A scope that the clients of an
// ecosystem manage their registration with is there where the ecosystem is.
func (r *Registration) fillScopes(realm *Realm) {
	if len(r.Scopes) > 0 {
		return
	}
	ecosystems := append([]string{r.Ecosystem}, r.Directory...)
	for _, name := range sortedKeys(r.Issuers) {
		if issuer := r.Issuers[name]; issuer != nil {
			ecosystems = append(ecosystems, issuer.Ecosystem)
		}
	}
	for _, name := range ecosystems {
		ecosystem, known := registration.FindEcosystem(name)
		if known && ecosystem.Management.Scope != "" && !slices.Contains(realm.Scopes, ecosystem.Management.Scope) {
			realm.Scopes = append(slices.Clone(realm.Scopes), ecosystem.Management.Scope)
		}
	}
	r.Scopes = realm.selfScopes()
}

// reservedScope reports scopes that no software can give itself: those of fapid's
// own APIs and of those that they stand in for.
func reservedScope(scope string) bool {
	return scope == directory.Scope || strings.HasPrefix(scope, "fapid:") || strings.HasPrefix(scope, "internal_")
}

// selfScopes are those of the realm that software may ever give itself.
func (r *Realm) selfScopes() oauth.Scope {
	return slices.DeleteFunc(slices.Clone(r.Scopes), reservedScope)
}

// trusted is the issuer as a registrar has it.
func (i *StatementIssuer) trusted(name string, path func(string) string, fetch *registration.Fetcher, allowTestKeys bool) (*registration.TrustedIssuer, error) {
	ecosystem, known := registration.FindEcosystem(i.Ecosystem)
	if !known {
		return nil, fmt.Errorf("no ecosystem %q", i.Ecosystem)
	}
	keys, err := i.keys(path, fetch, allowTestKeys)
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	return &registration.TrustedIssuer{
		Name: name, Issuer: i.Issuer, Ecosystem: ecosystem, Keys: keys.Find, Algs: i.Algs,
		MaxAge: time.Duration(i.MaxAge), SingleUse: i.SingleUse, Policy: i.Policy,
	}, nil
}

// registration checks who may register themselves.
func (k *check) registration(at string, realm *Realm) {
	r := realm.Registration
	k.scopes(at+".scopes", r.Scopes)
	for i, scope := range r.Scopes {
		if !slices.Contains(realm.Scopes, scope) {
			k.refuse(fmt.Sprintf("%s.scopes[%d]", at, i), "%q is not among the realm's scopes", scope)
		}
		if reservedScope(scope) {
			k.refuse(fmt.Sprintf("%s.scopes[%d]", at, i), "%q is for clients that the operator registers", scope)
		}
	}
	if !k.hasPolicy(realm, r.Policy) {
		k.refuse(at+".policy", "%q is not a policy of the realm; list it in policies", r.Policy)
	}
	if ecosystem, known := registration.FindEcosystem(r.Ecosystem); known {
		switch {
		case ecosystem.Statement.From == registration.FromCertificate && !slices.Contains(r.Directory, r.Ecosystem):
			k.refuse(at+".ecosystem", "%s has no software statements: it asks the directory whose a certificate is; list it in directory", r.Ecosystem)
		case ecosystem.OwnClientID && realm == k.config.Realms[k.config.realmOrder()[0]]:
			k.refuse(at+".ecosystem", "%s gives software the client_id that it has at the directory, and in this realm, the first, the directory has given it to a client of its own; use another realm", r.Ecosystem)
		}
	}
	if len(r.Directory) > 0 && k.config.Listeners.Directory == nil {
		k.refuse(at+".directory", "needs listeners.directory: there is no directory in this server")
	}
	k.accessible(at, r)
	names := map[string]string{}
	for _, name := range sortedKeys(r.Issuers) {
		issuer, path := r.Issuers[name], join(at+".issuers", name)
		if name == registration.DirectoryIssuer {
			k.refuse(path, "is the name of the directory of this process; choose another")
		}
		if other, taken := names[issuer.Issuer]; taken && issuer.Issuer != "" {
			k.refuse(path+".issuer", "%q is the iss of %s, too; which keys a statement is verified with is found by it", issuer.Issuer, other)
		}
		names[issuer.Issuer] = name
		k.statementIssuer(path, issuer, realm)
	}
}

func (k *check) hasPolicy(realm *Realm, policy string) bool {
	return policy == realm.Policy || slices.Contains(realm.Policies, policy)
}

// accessible refuses ways in that lead nowhere, and directories of which one
// statement could be of two.
func (k *check) accessible(at string, r *Registration) {
	statements := len(r.Issuers) + len(r.Directory)
	if i := slices.Index(r.Access, accessStatement); i >= 0 && statements == 0 {
		k.refuse(fmt.Sprintf("%s.access[%d]", at, i), "%s needs issuers, or a directory in this server: nobody's statements are believed", accessStatement)
	}
	seen := map[string]string{}
	for i, name := range r.Directory {
		ecosystem, known := registration.FindEcosystem(name)
		if !known {
			continue
		}
		if ecosystem.Statement.From == registration.FromCertificate {
			if name != r.Ecosystem {
				k.refuse(fmt.Sprintf("%s.directory[%d]", at, i), "%s has no software statements, so its rules hold for nothing here: make it the ecosystem, whose rules hold for requests without one", name)
			}
			continue
		}
		dialect, _ := registration.FindDialect(ecosystem.Dialect)
		if other, taken := seen[dialect.Issuer]; taken {
			k.refuse(fmt.Sprintf("%s.directory[%d]", at, i), "statements of %s and of %s have the same iss, the directory's URL: which rules hold is found by it", other, name)
		}
		seen[dialect.Issuer] = name
	}
}

func (k *check) statementIssuer(path string, issuer *StatementIssuer, realm *Realm) {
	if issuer.Policy != "" && !k.hasPolicy(realm, issuer.Policy) {
		k.refuse(path+".policy", "%q is not a policy of the realm; list it in policies", issuer.Policy)
	}
	if _, known := registration.FindEcosystem(issuer.Ecosystem); !known || issuer.Keys == "" {
		return // said already
	}
	trusted, err := issuer.trusted("", k.path, registration.NewFetcher(registration.FetchConfig{}), true)
	if err != nil {
		k.refuse(path+".keys", "%s", strings.TrimPrefix(err.Error(), "keys: "))
		return
	}
	if member, err := trusted.Check(); err != nil {
		k.refuse(join(path, member), "%s", err)
	}
}

// statementKeys refuses issuers whose private keys everybody has.
func (k *check) statementKeys(at string, r *Registration) {
	for _, name := range sortedKeys(r.Issuers) {
		if _, err := r.Issuers[name].keys(k.path, registration.NewFetcher(registration.FetchConfig{}), false); err != nil {
			k.refuse(join(at+".issuers", name)+".keys", "%s", err)
		}
	}
}

// openRegistrar makes what judges registration requests.
func (r *realm) openRegistrar(s *Server) (err error) {
	config := r.config.Registration
	if config == nil {
		return nil
	}
	ecosystem, known := registration.FindEcosystem(config.Ecosystem)
	if !known {
		return fmt.Errorf("realm %s: no ecosystem %q", r.name, config.Ecosystem)
	}
	var issuers []*registration.TrustedIssuer
	for _, name := range sortedKeys(config.Issuers) {
		issuer, err := config.Issuers[name].trusted(name, s.path, r.fetch, r.sandboxed)
		if err != nil {
			return fmt.Errorf("realm %s: registration issuer %s: %w", r.name, name, err)
		}
		issuers = append(issuers, issuer)
	}
	if s.directory != nil {
		for _, issuer := range registration.DirectoryIssuers(s.config.Listeners.Directory.URL, s.directory.StatementKeys(), s.directory) {
			if slices.Contains(config.Directory, issuer.Ecosystem.Name) {
				issuers = append(issuers, issuer)
			}
		}
	}
	layout, _ := s.config.layout(r.config.Layout) // Complete has looked
	var addresses []string
	for _, path := range layout.Paths("registration_endpoint", r.name) {
		addresses = append(addresses, s.config.Listeners.Standard.URL+path, s.config.Listeners.MTLS.URL+path)
	}
	r.registrar, err = registration.NewRegistrar(registration.RegistrarConfig{
		Realm: r.name, Issuer: r.config.Issuer, Addresses: addresses, DirectoryID: config.DirectoryID,
		Ecosystem: ecosystem, Issuers: issuers, Scopes: config.Scopes, Policy: config.Policy, Grants: servedGrant,
		Fetch: r.fetch, Now: r.now, AllowTestKeys: r.sandboxed,
	})
	if err != nil {
		return fmt.Errorf("realm %s: registration: %w", r.name, err)
	}
	return nil
}

// openInitial opens the initial access tokens of a realm where software may register
// itself.
func (r *realm) openInitial(s *Server, sealer *store.Sealer) {
	config := r.config.Registration
	if config == nil {
		return
	}
	r.initial = registration.NewInitialTokens(registration.InitialTokensConfig{
		Realm: r.name, Store: s.store, Sealer: sealer, Taken: slices.Contains(config.Access, accessInitial),
		Policies: append([]string{r.config.Policy}, r.config.Policies...), Policy: config.Policy,
		Scopes: r.config.selfScopes(), Now: r.now,
	})
}

// quota bounds how many clients register themselves; nil bounds nothing.
func (r *Registration) quota() registration.Quota {
	if r == nil {
		return registration.Quota{}
	}
	wait := time.Hour
	if r.UnusedClients > 0 {
		wait = time.Minute // then some may have been deleted
	}
	return registration.Quota{Clients: int64(r.MaxClients), PerSoftware: int64(r.MaxClientsPerSoftware), RetryAfter: wait}
}

// registration is where software registers itself; nil where none may.
func (r *realm) registration(s *Server) endpoint.Feature {
	config := r.config.Registration
	if config == nil {
		return nil
	}
	register := &flow.Register{
		Clients: r.clients, Registrar: r.registrar, Initial: r.initial, Trust: r.trust.Load, Now: r.now,
		Guard:    &endpoint.Guard{Issuer: r.issuer, Binder: r.binder, AnyAudience: true},
		Sessions: r.sessions, Subject: flow.Subject(r.config.Subject),
		Standing: s.standing(r.name),
	}
	register.Ways(config.Access)
	return register
}

// expireUnused deletes the clients that registered themselves and are not used.
func (r *realm) expireUnused(ctx context.Context) error {
	if r.config.Registration == nil || r.config.Registration.UnusedClients == 0 {
		return nil
	}
	expired, err := r.clients.ExpireUnused(ctx, r.config.Registration.UnusedClients.std())
	for _, id := range expired {
		r.log.Info("a client that registered itself was not used and is deleted", "realm", r.name, "client_id", id)
		if err := r.sessions.EndClient(ctx, id); err != nil {
			return err
		}
	}
	return err
}

// ownDocuments are what the directory publishes, without going over the network; nil
// without one.
func (s *Server) ownDocuments() registration.Own {
	if s.directory == nil {
		return nil
	}
	return s.directory
}

// maxKeySet bounds a file with a key set.
const maxKeySet = 64 << 10

// keys are those that the issuer signs with.
func (i *StatementIssuer) keys(path func(string) string, fetch *registration.Fetcher, allowTestKeys bool) (*jwk.Keys, error) {
	switch {
	case strings.HasPrefix(i.Keys, "{"):
		return registration.InlineKeys([]byte(i.Keys), allowTestKeys)
	case strings.Contains(i.Keys, "://"):
		return registration.RemoteKeys(fetch, i.Keys, allowTestKeys)
	}
	content, err := readAtMost(path(i.Keys), maxKeySet+1)
	if err != nil {
		return nil, fmt.Errorf("%s %s", path(i.Keys), unreadable(err))
	}
	keys, err := registration.InlineKeys(content, allowTestKeys)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path(i.Keys), err)
	}
	return keys, nil
}
