package server

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fapid/fapid/oauth/jwk"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/directory"
)

// Registration says whose software may register itself at a realm, and by which
// rules. A realm without it has none.
type Registration struct {
	Ecosystem   string                      `json:"ecosystem,omitempty" choices:"rules" doc:"Whose rules hold for requests without a software statement. With a statement, those of its issuer do. Default rfc7591."`
	DirectoryID string                      `json:"directory_id,omitempty" doc:"The id that the bank itself has at the directory: what aud of a signed request may be beside the issuer, where the rules allow it."`
	Scopes      []string                    `json:"scopes,omitempty" doc:"The most that software which registers itself may ask for. Default the realm's scopes without directory:software."`
	Issuers     map[string]*StatementIssuer `json:"issuers,omitempty" doc:"Whose software statements are believed, by a name that clients keep."`
}

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
func (r *Registration) fill(realm *Realm) {
	preset(&r.Ecosystem, registration.Ecosystems()[0])
	if len(r.Scopes) == 0 {
		r.Scopes = slices.DeleteFunc(slices.Clone(realm.Scopes), func(scope string) bool { return scope == directory.Scope })
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
	}
	if ecosystem, known := registration.FindEcosystem(r.Ecosystem); known && ecosystem.Statement.From == registration.FromCertificate {
		k.refuse(at+".ecosystem", "%s has no software statements: it asks the directory whose a certificate is, and no directory of this process is trusted here", r.Ecosystem)
	}
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

func (k *check) statementIssuer(path string, issuer *StatementIssuer, realm *Realm) {
	if issuer.Policy != "" && issuer.Policy != realm.Policy && !slices.Contains(realm.Policies, issuer.Policy) {
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
	layout, _ := s.config.layout(r.config.Layout) // Complete has looked
	var addresses []string
	for _, path := range layout.Paths("registration_endpoint", r.name) {
		addresses = append(addresses, s.config.Listeners.Standard.URL+path, s.config.Listeners.MTLS.URL+path)
	}
	r.registrar, err = registration.NewRegistrar(registration.RegistrarConfig{
		Realm: r.name, Issuer: r.config.Issuer, Addresses: addresses, DirectoryID: config.DirectoryID,
		Ecosystem: ecosystem, Issuers: issuers, Scopes: config.Scopes, Grants: servedGrant,
		Fetch: r.fetch, Now: r.now, AllowTestKeys: r.sandboxed,
	})
	if err != nil {
		return fmt.Errorf("realm %s: registration: %w", r.name, err)
	}
	return nil
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
