// Package manage is the management API: the clients, initial access tokens, protected
// APIs, access policies, users, sessions and keys of a realm, and what is in force of it.
// Each thing that can be done is written once and served in two places: on the realm's
// own listeners, for clients with access tokens, and on the operator's listener.
package manage

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/endpoint"
	"github.com/fapid/fapid/server/token"
	"github.com/fapid/fapid/server/users"
)

// Realm is what is managed of one issuer.
type Realm struct {
	Name    string
	Clients *registration.Registry
	// InitialTokens are nil where no software registers itself.
	InitialTokens  *registration.InitialTokens
	APIs           *registration.APIs
	AccessPolicies *registration.AccessPolicies
	Users          *users.Users
	Sessions       *token.Sessions
	Keys           *token.Keyring
	Lists          *endpoint.Lists
	// Audience is the identifier of the realm's management API; empty where it is
	// served on the operator's listener alone.
	Audience string
	// Policies are the security profiles that callers with a token may put
	// clients under.
	Policies []string
	// Describe says what is in force of the realm.
	Describe func() InForce
}

// resource is a kind of thing that is managed. Its name is the path below the
// management path, and in the scopes.
type resource struct {
	name   string
	routes []route
}

// resources are the table of contents; adding one is a file and a line here.
var resources = []resource{realms, clients, registrationTokens, apis, accessPolicies, people, sessions, keys}

// route is one thing that can be done.
type route struct {
	method string
	path   string // below that of the realm
	label  string
	scope  string // empty: a token is enough
	serve  handler
	// holder is served to whoever has a token, for what that token is, and so not
	// on the operator's listener.
	holder bool
}

// call is a request to a realm's management API.
type call struct {
	*endpoint.Request
	realm *Realm
	// operator: the request came with the operator key, or only reads.
	operator bool
}

type handler func(context.Context, *call) (*endpoint.Answer, error)

// item reports whether a path ends in the id of a thing.
func (r route) item() bool { return strings.HasSuffix(r.path, itemPath) }

// itemPath ends the path of a thing. Ids may hold any visible character, slashes
// too (RFC 6749 appendix A.1).
const itemPath = "/{id:.+}"

// ScopePrefix begins the scopes of the management API.
const ScopePrefix = "fapid:"

func readScope(name string) string  { return ScopePrefix + name + ".read" }
func writeScope(name string) string { return ScopePrefix + name + ".write" }

// scopes are all of them.
var scopes = oauth.Scope{
	readScope("realms"),
	readScope("clients"), writeScope("clients"),
	readScope("registration-tokens"), writeScope("registration-tokens"),
	readScope("apis"), writeScope("apis"), exchangeScope,
	readScope("access-policies"), writeScope("access-policies"),
	users.ScopeRead, users.ScopeWrite,
	readScope("sessions"), writeScope("sessions"),
	readScope("keys"), writeScope("keys"),
}

// Scopes are those of the management API.
func Scopes() oauth.Scope { return slices.Clone(scopes) }

// Reserved are the scopes that nothing but the management API gives meaning to: its
// own, and those by which SCIM's clients ask for parts of them. No token for another
// API has them.
func Reserved() oauth.Scope { return append(Scopes(), users.PartScopes()...) }

// API is the management API on a realm's own listeners, in fapid's own form and,
// where the layout has paths for it, in Aidbox's.
type API struct {
	Realm *Realm
	// Guard protects it; see [Realm.Guard].
	Guard *endpoint.Guard
}

// Guard makes a guard that of the realm's management API: it takes tokens for that,
// and lets clients do what they are registered for and what access policies add.
func (r *Realm) Guard(guard endpoint.Guard) *endpoint.Guard {
	guard.Audience, guard.Holds = r.Audience, r.holds
	return &guard
}

// endpointName is the management path in a layout. The discovery documents do not have
// it: no specification has a member for it, and strict readers warn of others.
const endpointName = "management_endpoint"

// Install opens every route on both listeners.
func (a *API) Install(site *endpoint.Site) {
	site.PublishOneOf("scopes_supported", scopes...)
	holder := endpoint.Guard{Issuer: a.Guard.Issuer, Binder: a.Guard.Binder, AnyAudience: true}
	open := func(base, label string, r route) {
		at := endpoint.Route{
			Path: base + r.path, Label: label + r.label, Methods: []string{r.method}, Item: r.item(),
			Guard: a.Guard, Scope: r.scope, Serve: a.Realm.served(r.serve),
		}
		if r.holder {
			at.Guard = &holder
		}
		site.Open(at)
	}
	for _, resource := range resources {
		for _, route := range resource.routes {
			open(site.Path(endpointName), "management/", route)
		}
	}
	for _, foreign := range aidbox {
		for _, base := range site.Layout.Paths(foreign.name, site.Realm) {
			for _, route := range foreign.routes {
				open(base, "", route)
			}
		}
	}
	a.describe(site)
}

// served serves a route on the realm's own listeners.
func (r *Realm) served(serve handler) endpoint.Handler {
	return func(ctx context.Context, request *endpoint.Request) (*endpoint.Answer, error) {
		return serve(ctx, &call{Request: request, realm: r})
	}
}

// Operation is one thing the operator can do to a realm.
type Operation struct {
	Method, Path, Label string
	Changes             bool
	Serve               endpoint.Handler
}

// operatorPath is where the operator's listener has a realm.
const operatorPath = "/realms/{realm}"

// Operations are the routes for the operator's listener, which sees to who may
// use them.
func Operations(realms []*Realm) []Operation {
	find := func(r *endpoint.Request) (*Realm, error) {
		name := r.Path["realm"]
		at := slices.IndexFunc(realms, func(realm *Realm) bool { return realm.Name == name })
		if at < 0 {
			return nil, oauth.NotFound("no realm %s", oauth.Clip(name))
		}
		return realms[at], nil
	}
	var operations []Operation
	for _, resource := range resources {
		for _, route := range resource.routes {
			if route.holder {
				continue
			}
			operations = append(operations, Operation{
				Method: route.method, Path: operatorPath + route.path, Label: route.label, Changes: route.method != http.MethodGet,
				Serve: func(ctx context.Context, r *endpoint.Request) (*endpoint.Answer, error) {
					realm, err := find(r)
					if err != nil {
						return nil, err
					}
					return route.serve(ctx, &call{Request: r, realm: realm, operator: true})
				},
			})
		}
	}
	return operations
}
