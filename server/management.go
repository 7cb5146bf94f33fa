package server

import (
	"slices"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/clientauth"
	"github.com/fapid/fapid/server/endpoint"
	"github.com/fapid/fapid/server/manage"
	"github.com/fapid/fapid/server/scim"
)

// manage is what is managed of the realm, here and on the operator's listener.
func (r *realm) manage(s *Server) *manage.Realm {
	managed := &manage.Realm{
		Name: r.name, Clients: r.clients, InitialTokens: r.initial, APIs: r.apis, AccessPolicies: r.access, Users: r.users, Sessions: r.sessions, Keys: r.keys,
		Lists: r.lists, Audience: s.config.managementAudience(r.name), Describe: r.describe,
	}
	if r.config.Management != nil {
		managed.Policies = r.config.Management.Policies
	}
	return managed
}

// management serves the management API on the realm's own listeners, in its own
// form and by SCIM; nothing where the configuration does not have it.
func (r *realm) management(authenticator *clientauth.Authenticator) []endpoint.Feature {
	config := r.config.Management
	if config == nil {
		return nil
	}
	guard := endpoint.Guard{Issuer: r.issuer, Binder: r.binder, RequireBound: !config.UnboundTokens}
	if config.Basic {
		guard.Basic = authenticator
	}
	guarded := r.managed.Guard(guard)
	return []endpoint.Feature{&manage.API{Realm: r.managed, Guard: guarded}, &scim.Provider{Guard: guarded, Users: r.users}}
}

// describe is what is in force of the realm.
func (r *realm) describe() manage.InForce {
	description := manage.InForce{
		Name: r.name, Issuer: r.config.Issuer, Layout: r.config.Layout, Sandbox: r.config.Sandbox,
		Policy: r.config.Policy, Policies: append([]string{r.config.Policy}, r.config.Policies...),
		Scopes: r.scopes(), Audience: r.config.Audience, Subject: r.config.Subject, Discovery: r.site.Discovery(),
	}
	if config := r.config.Management; config != nil {
		description.Management = &manage.Management{
			Audience: r.managed.Audience, UnboundTokens: config.UnboundTokens, Basic: config.Basic, Policies: config.Policies,
		}
	}
	return description
}

// scopes are what clients of the realm can be registered for.
func (r *realm) scopes() oauth.Scope {
	scopes := oauth.Scope(slices.Clone(r.config.Scopes))
	if r.config.Management != nil {
		scopes = append(scopes, manage.Scopes()...)
	}
	return scopes
}

// registrable reports whether a client of the realm may be registered for a grant
// type.
func (r *realm) registrable(grantType string) bool {
	if grantType == registration.GrantBasic {
		return r.config.Management != nil && r.config.Management.Basic
	}
	return servedGrant(grantType)
}

// managementTarget is the management API as one that tokens can be for: every
// client may have them, with what it is registered for. Where the realm's own API
// has the same identifier it looks at all scopes.
func (r *realm) managementTarget() *registration.API {
	if r.managed.Audience == "" {
		return nil
	}
	api := &registration.API{ID: r.managed.Audience, Name: "management", Clients: map[string]registration.Access{registration.AnyClient: {}}}
	if api.ID != r.config.Audience {
		api.Scopes = manage.Reserved()
	}
	return api
}
