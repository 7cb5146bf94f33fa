// Package scim serves the test users of a realm by SCIM 2.0 (RFC 7643, RFC 7644),
// for the management clients that testers bring.
package scim

import (
	"net/http"

	"github.com/fapid/fapid/server/endpoint"
	"github.com/fapid/fapid/server/users"
)

// Provider is the SCIM service provider of one realm.
type Provider struct {
	// Guard is that of the realm's management API, of which this is another form.
	Guard *endpoint.Guard
	Users *users.Users
}

// The scopes of a token for each operation, any of which will do.
const (
	mayList   = users.ScopeRead + " " + users.ScopeList
	mayView   = users.ScopeRead + " " + users.ScopeView
	mayCreate = users.ScopeWrite + " " + users.ScopeCreate
	mayUpdate = users.ScopeWrite + " " + users.ScopeUpdate
	mayDelete = users.ScopeWrite + " " + users.ScopeDelete
)

// Install opens the endpoints of RFC 7644 section 3.2. What describes the provider
// is open to everybody (section 4).
func (p *Provider) Install(site *endpoint.Site) {
	for _, base := range site.Paths("scim") {
		for _, route := range []struct {
			method, path, scope string
			serve               endpoint.Handler
		}{
			{http.MethodGet, "/Users", mayList, p.list},
			{http.MethodPost, "/Users", mayCreate, p.create},
			{http.MethodPost, "/Users/.search", mayList, p.search},
			{http.MethodPost, "/.search", mayList, p.search},
			{http.MethodGet, "/Users/{id}", mayView, p.show},
			{http.MethodPut, "/Users/{id}", mayUpdate, p.replace},
			{http.MethodPatch, "/Users/{id}", mayUpdate, p.patch},
			{http.MethodDelete, "/Users/{id}", mayDelete, p.delete},
		} {
			site.Open(endpoint.Route{
				Path: base + route.path, Label: "scim" + route.path, Methods: []string{route.method},
				Guard: p.Guard, Scope: route.scope, Serve: explained(route.serve), Refusal: refusal,
			})
		}
		for path, serve := range map[string]endpoint.Handler{
			"/ServiceProviderConfig": serviceProviderConfig,
			"/ResourceTypes":         listed(resourceTypes), "/ResourceTypes/{name}": named(resourceTypes),
			"/Schemas": listed(schemas), "/Schemas/{name}": named(schemas),
		} {
			site.Open(endpoint.Route{
				Path: base + path, Label: "scim" + path, Methods: []string{http.MethodGet},
				Open: true, Serve: explained(serve), Refusal: refusal,
			})
		}
		// Last, so that what is not served is refused in SCIM's words, too.
		site.Open(endpoint.Route{
			Path: base + "/{path:.+}", Label: "scim", Serve: nothing, Refusal: refusal,
			Methods: []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete},
		})
	}
}
