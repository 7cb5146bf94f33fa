// Package admin is the operator's listener: why a request was refused, the
// clients, keys and certificates, metrics and health. The verbs of the command
// line speak the same HTTP API.
package admin

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/fapid/fapid/certs"
	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/endpoint"
	"github.com/fapid/fapid/server/token"
	"github.com/fapid/fapid/server/users"
)

// Operator serves the operator's listener for all realms of a server.
type Operator struct {
	Version string
	Started time.Time
	Now     func() time.Time
	// Realms in order; the first is the default one.
	Realms []Realm
	// CA issues certificates; nil when the server keeps none.
	CA *certs.Authority
	// Named finds the clients that a certificate with these names would be: they
	// are registered by one of them.
	Named func(mtls.Name, *certs.Subject) []string
	// Traces holds the requests that can be explained. The operator's own
	// requests do not belong in it: polling would push the others out.
	Traces  *endpoint.Traces
	Metrics *Metrics
	// Directory are the routes of the directory of participants; nil where there is
	// none. Those with Bearer need the operator key always.
	Directory []endpoint.Route
	// KeyHash is the SHA-256 of the operator key. Changing anything needs the key.
	KeyHash [32]byte
	// Ready returns why the server cannot serve now, several reasons as one
	// errors.Join; nil means it can.
	Ready func(context.Context) error
	// Hosts are the names by which this listener may be called. Any other name
	// is refused, so that no web page can reach it under its own name (DNS
	// rebinding). IP addresses are never rebound and always pass.
	Hosts []string
	// Open lets everybody who reaches the listener read; otherwise reading
	// needs the operator key too.
	Open bool
}

// Realm is what the operator sees of one issuer.
type Realm struct {
	Name      string
	Issuer    string
	Sandbox   bool
	Clients   *registration.Registry
	Users     *users.Users
	Keys      *token.Keyring
	Sessions  *token.Sessions
	Discovery func() []byte
}

// access says who may use a route.
type access int

const (
	public access = iota // everybody who reaches the listener
	read                 // everybody if the operator is open, or with the key
	change               // with the key only
)

// route is one thing the operator can do.
type route struct {
	method string
	path   string
	label  string
	access access
	serve  endpoint.Handler
}

// routes is the whole API, with userRoutes. What is missing from it is not served; what access a
// route needs is said here and nowhere else.
func (o *Operator) routes() []route {
	return []route{
		{http.MethodGet, "/", "home", read, o.home},
		{http.MethodGet, "/style.css", "style", public, o.style},

		{http.MethodGet, "/healthz", "healthz", public, o.healthz},
		{http.MethodGet, "/readyz", "readyz", public, o.readyz},
		{http.MethodGet, "/version", "version", read, o.version},
		{http.MethodGet, "/metrics", "metrics", read, o.metrics},

		{http.MethodGet, "/traces", "traces", read, o.listTraces},
		{http.MethodGet, "/traces/{id}", "trace", read, o.showTrace},

		{http.MethodGet, "/realms", "realms", read, o.listRealms},
		{http.MethodGet, "/realms/{realm}/clients", "clients", read, o.listClients},
		// A client_id may hold any visible character, slashes too (RFC 6749 appendix A.1).
		{http.MethodGet, "/realms/{realm}/clients/{id:.+}", "client", read, o.showClient},
		{http.MethodPut, "/realms/{realm}/clients/{id:.+}", "client", change, o.putClient},
		{http.MethodDelete, "/realms/{realm}/clients/{id:.+}", "client", change, o.deleteClient},
		{http.MethodGet, "/realms/{realm}/sessions", "sessions", read, o.listSessions},
		{http.MethodGet, "/realms/{realm}/sessions/{id}", "session", read, o.showSession},
		{http.MethodDelete, "/realms/{realm}/sessions/{id}", "session", change, o.endSession},
		{http.MethodGet, "/realms/{realm}/keys", "keys", read, o.listKeys},
		{http.MethodPost, "/realms/{realm}/keys/rotate", "keys_rotate", change, o.rotateKeys},

		{http.MethodGet, "/certificates", "certificates", read, o.listCertificates},
		{http.MethodPost, "/certificates", "certificates", change, o.issueCertificate},
		{http.MethodGet, "/certificates/{serial}", "certificate", read, o.showCertificate},
		{http.MethodPost, "/certificates/{serial}/renew", "certificate_renew", change, o.renewCertificate},
		{http.MethodPost, "/certificates/{serial}/revoke", "certificate_revoke", change, o.revokeCertificate},
		{http.MethodPost, "/dn/lint", "dn_lint", read, o.lintDN},
	}
}

// Install opens the operator's routes on a site of their own.
func (o *Operator) Install(site *endpoint.Site) {
	for _, route := range o.Directory {
		need := read
		if route.Bearer {
			need = change
		}
		route.Bearer, route.Serve = o.needsKey(need), o.guard(need, route.Serve)
		site.Open(route)
	}
	for _, route := range slices.Concat(o.routes(), o.userRoutes()) {
		site.Open(endpoint.Route{
			Path:    route.path,
			Label:   route.label,
			Methods: []string{route.method},
			Bearer:  o.needsKey(route.access),
			Serve:   o.guard(route.access, route.serve),
		})
	}
}
