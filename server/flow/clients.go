// Package flow is the protocol, one file per feature. A feature installs itself
// on a realm's site; no feature file is named by another.
package flow

import (
	"context"
	"net/http"
	"strings"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/server/clientauth"
	"github.com/fapid/fapid/server/endpoint"
)

// Clients authenticates the client of a request; every endpoint that wants to
// know its caller is served through it.
type Clients struct {
	Authenticator *clientauth.Authenticator
	// Methods and Algs are what the realm's policies allow, for discovery.
	Methods []string
	Algs    []string
}

// authenticated is a handler that is called with a known client.
type authenticated func(ctx context.Context, r *endpoint.Request, identity clientauth.Identity) (*endpoint.Answer, error)

// tokenEndpoint is the metadata name of the token endpoint.
const tokenEndpoint = "token_endpoint"

// open serves an endpoint that a client authenticates at: by POST, on both
// listeners, listed in discovery with its alias, its methods and algorithms.
func (c *Clients) open(site *endpoint.Site, name string, serve authenticated) {
	var addresses []string
	site.Open(endpoint.Route{
		Name: name, Methods: []string{http.MethodPost}, Form: true, Aliased: true,
		Serve: func(ctx context.Context, r *endpoint.Request) (*endpoint.Answer, error) {
			identity, err := c.Authenticator.Authenticate(ctx, &clientauth.Attempt{
				Form:          r.Form,
				Authorization: r.Header["Authorization"],
				Certificate:   r.Certificate,
				Endpoints:     addresses,
				Refresh:       name == tokenEndpoint && r.Form.Get("grant_type") == Refresh{}.Type(),
				Event:         r.Event,
			})
			if err != nil {
				return nil, err
			}
			return serve(ctx, r, identity)
		},
	})
	addresses = site.URLs(name)
	site.PublishOneOf(name+"_auth_methods_supported", c.Methods...)
	site.PublishOneOf(name+"_auth_signing_alg_values_supported", c.Algs...)
}

// listed gives scope in discovery.
func listed(site *endpoint.Site, scope oauth.Scope) { site.PublishOneOf("scopes_supported", scope...) }

// Subject is the sub of a client that acts for itself; "{client_id}" stands for its id.
type Subject string

// Of is the sub of a client.
func (s Subject) Of(clientID string) string {
	return strings.ReplaceAll(string(s), "{client_id}", clientID)
}
