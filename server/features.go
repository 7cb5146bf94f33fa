package server

import (
	"slices"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/bank"
	"github.com/fapid/fapid/server/clientauth"
	"github.com/fapid/fapid/server/directory"
	"github.com/fapid/fapid/server/endpoint"
	"github.com/fapid/fapid/server/flow"
	"github.com/fapid/fapid/server/manage"
	"github.com/fapid/fapid/server/token"
	"github.com/fapid/fapid/server/users"
	"github.com/fapid/fapid/store"
)

// grants are the grant types served; adding one is a file in flow and a line here.
func (r *realm) grants(clients *flow.Clients) []flow.Grant {
	subject := flow.Subject(r.config.Subject)
	return []flow.Grant{
		flow.ClientCredentials{Subject: subject},
		flow.Refresh{Sessions: r.sessions},
		flow.Exchange{Issuer: r.issuer, APIs: r.apis, Subject: subject},
		flow.JWTBearer{Clients: clients, Issuer: r.issuer, Subject: subject, User: func(name string) (id string, ok bool) {
			user, ok := r.users.ByUserName(name)
			if !ok || user.Active != users.Yes || user.UserName != name {
				return "", false
			}
			return user.ID, true
		}},
	}
}

// grantTypes are those that a client may be registered for.
var grantTypes = func() (types []string) {
	for _, grant := range (&realm{config: &Realm{}}).grants(nil) {
		types = append(types, grant.Type())
	}
	return types
}()

// servedGrant reports whether a client may be registered for a grant type.
func servedGrant(grantType string) bool { return slices.Contains(grantTypes, grantType) }

// features are the table of contents: what is listed is served, and what is
// served is advertised.
func (r *realm) features(s *Server) []endpoint.Feature {
	clients := &flow.Clients{Methods: r.authMethods(), Algs: r.assertionAlgs()}
	list := []endpoint.Feature{
		&flow.Token{Clients: clients, Issuer: r.issuer, Grants: r.grants(clients), Targets: r.targets(s), Binder: r.binder, Scope: r.config.Scopes},
		&flow.Introspect{Clients: clients, Issuer: r.issuer, APIs: r.apis, Binder: r.binder, Algs: r.tokenAlgs()},
		&flow.Revoke{Clients: clients, Issuer: r.issuer},
		&flow.JWKS{Keys: r.keys},
		&bank.Bank{Guard: r.guard(r.config.Audience), Users: r.users},
	}
	if registration := r.registration(s); registration != nil {
		list = append(list, registration)
	}
	if s.gateways != nil {
		list = append(list, &flow.AuthorizationCheck{Guard: r.guard(r.config.Audience), Targets: r.targets(s), Gateways: s.gateways})
	}
	if r.name == s.order[0] {
		list = append(list, s.revocations()...)
	}
	authenticator := &clientauth.Authenticator{
		Clients:        r.clients,
		Trust:          r.trust.Load,
		Issuer:         r.config.Issuer,
		MTLSURL:        r.site.MTLSURL,
		Standing:       s.standing(r.name),
		Assertions:     store.Claims{Store: s.store, Name: r.name + "/client-assertion"},
		Grants:         store.Claims{Store: s.store, Name: r.name + "/authorization-grant"},
		Now:            r.now,
		TokenEndpoints: r.tokenEndpoints(),
		EitherSecret:   r.config.EitherSecret,
		Discreet:       !r.config.Sandbox,
	}
	authenticator.RefreshWithoutSecret = r.config.RefreshWithoutSecret
	clients.Authenticator = authenticator
	list = append(list, r.management(authenticator)...)
	if r.foreign != nil {
		clients.Authenticator.Verified = r.foreign.remember
	}
	return list
}

// revocations is where the sandbox CA's certificates can be looked up; it is served
// by the first realm and on the operator's listener, which is plain HTTP.
func (s *Server) revocations() []endpoint.Feature {
	if s.ca == nil {
		return nil
	}
	return []endpoint.Feature{&flow.CRL{List: s.ca.CRL}, &flow.OCSP{Answer: s.ca.OCSP}}
}

// guard is for a protected resource of the realm.
func (r *realm) guard(audience string) *endpoint.Guard {
	return &endpoint.Guard{Issuer: r.issuer, Audience: audience, Binder: r.binder}
}

// targets are the APIs of the realm; its own is the bank, which every client of
// the realm may call, and the first realm's is the directory, too.
func (r *realm) targets(s *Server) *flow.Targets {
	own := &registration.API{ID: r.config.Audience, Name: "bank", Clients: map[string]registration.Access{registration.AnyClient: {}}}
	targets := &flow.Targets{APIs: r.apis, Own: own, RolesAt: slices.Contains(r.config.FurtherClaims, token.ResourceAccess)}
	if management := r.managementTarget(); management != nil {
		targets.Special = append(targets.Special, flow.Special{API: management, Scopes: manage.Reserved(), Scopeless: true})
	}
	if s.directory != nil && r.name == s.order[0] {
		targets.Special = append(targets.Special, flow.Special{API: s.directoryAPI(), Scopes: oauth.Scope{directory.Scope}})
	}
	return targets
}

// authMethods are the client authentication methods of all the realm's policies.
func (r *realm) authMethods() []string {
	return r.collect(func(policy *oauth.Policy) []string { return policy.AuthMethods })
}

// assertionAlgs are the client assertion algorithms of all the realm's policies.
func (r *realm) assertionAlgs() []string {
	return r.collect(func(policy *oauth.Policy) []string { return policy.AssertionAlgs })
}

// tokenAlgs are the algorithms that all the realm's policies sign with.
func (r *realm) tokenAlgs() []string {
	return r.collect(func(policy *oauth.Policy) []string { return policy.TokenAlgs })
}

// dpopAlgs are the DPoP algorithms of all the realm's policies.
func (r *realm) dpopAlgs() []string {
	return r.collect(func(policy *oauth.Policy) []string { return policy.DPoPAlgs })
}

// collect gathers a list over the realm's policies, in order, without repeats.
func (r *realm) collect(list func(*oauth.Policy) []string) []string {
	var all []string
	for _, name := range append([]string{r.config.Policy}, r.config.Policies...) {
		for _, value := range list(r.policies[name]) {
			if !slices.Contains(all, value) {
				all = append(all, value)
			}
		}
	}
	return all
}

// tokenEndpoints are all the addresses of the realm's token endpoint.
func (r *realm) tokenEndpoints() (addresses []string) {
	for _, path := range r.site.Paths("token_endpoint") {
		addresses = append(addresses, r.site.StandardURL+path, r.site.MTLSURL+path)
	}
	return addresses
}
