// Package admin is the operator's listener: why a request was refused, the
// certificates, metrics and health, and what other packages serve here of the
// realms. The verbs of the command line speak the same HTTP API.
package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/fapid/fapid/certs"
	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/server/endpoint"
)

// Operator serves the operator's listener for all realms of a server.
type Operator struct {
	Version string
	Started time.Time
	Now     func() time.Time
	// Realms in order; the first is the default one.
	Realms []Realm
	// Directory is the URL of the directory of participants; empty for none.
	Directory string
	// Managed are the routes by which the realms are managed, ManagedDescription
	// is their part of the OpenAPI description.
	Managed            []Route
	ManagedDescription func() endpoint.Description
	// CA issues certificates; nil when the server keeps none.
	CA *certs.Authority
	// Named finds the clients that a certificate with these names would be: they
	// are registered by one of them.
	Named func(mtls.Name, *certs.Subject) []string
	// Lists makes the cursors of lists.
	Lists *endpoint.Lists
	// Traces holds the requests that can be explained. The operator's own
	// requests do not belong in it: polling would push the others out.
	Traces  *endpoint.Traces
	Metrics *Metrics
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
	Discovery func() []byte
	// Registration is nil where no software registers itself.
	Registration *RegistrationView
}

// RegistrationView says by whose rules software registers itself at a realm.
type RegistrationView struct {
	// Ecosystem is for requests without a software statement, Directory for those with
	// one of the directory of the server.
	Ecosystem string   `json:"ecosystem"`
	Directory []string `json:"directory"`
}

// Access says who may use a route.
type Access int

// Who may use a route.
const (
	Public Access = iota // everybody who reaches the listener
	Read                 // everybody if the operator is open, or with the key
	Change               // with the key only
)

// Route is one thing the operator can do.
type Route struct {
	Method, Path, Label string
	Access              Access
	Serve               endpoint.Handler
}

// routes is the whole API. What is missing from it is not served; what access a
// route needs is said here and nowhere else.
func (o *Operator) routes() []Route {
	return append([]Route{
		{http.MethodGet, "/", "home", Read, o.home},
		{http.MethodGet, "/style.css", "style", Public, o.style},

		{http.MethodGet, "/healthz", "healthz", Public, o.healthz},
		{http.MethodGet, "/readyz", "readyz", Public, o.readyz},
		{http.MethodGet, "/version", "version", Read, o.version},
		{http.MethodGet, "/metrics", "metrics", Read, o.metrics},

		{http.MethodGet, "/traces", "traces", Read, o.listTraces},
		{http.MethodGet, "/traces/{id}", "trace", Read, o.showTrace},

		{http.MethodGet, "/realms", "realms", Read, o.listRealms},

		{http.MethodGet, "/certificates", "certificates", Read, o.listCertificates},
		{http.MethodPost, "/certificates", "certificates", Change, o.issueCertificate},
		{http.MethodGet, "/certificates/{serial}", "certificate", Read, o.showCertificate},
		{http.MethodPost, "/certificates/{serial}/renew", "certificate_renew", Change, o.renewCertificate},
		{http.MethodPost, "/certificates/{serial}/revoke", "certificate_revoke", Change, o.revokeCertificate},
		{http.MethodPost, "/dn/lint", "dn_lint", Read, o.lintDN},
	}, o.Managed...)
}

// Install opens the operator's routes on a site of their own.
func (o *Operator) Install(site *endpoint.Site) {
	for _, route := range append(o.routes(), o.described(site.StandardURL)...) {
		site.Open(endpoint.Route{
			Path:    route.Path,
			Label:   route.Label,
			Methods: []string{route.Method},
			Bearer:  o.needsKey(route.Access),
			Serve:   o.guard(route.Access, route.Serve),
		})
	}
}
