package directory

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/server/endpoint"
)

// API serves a directory.
type API struct {
	*Directory
	// Guard wants a token of the realm, used by whom it is bound to.
	Guard *endpoint.Guard
}

// caller is who asks: the operator, or an organisation through one of its pieces
// of software.
type caller struct {
	operator     bool
	organisation string
}

// handler serves one route for a caller who may use it.
type handler func(ctx context.Context, r *endpoint.Request, by caller) (*endpoint.Answer, error)

// resource is one thing that participants and the operator can do.
type resource struct {
	method string
	path   string
	// operator: it is the operator's alone.
	operator bool
	serve    handler
}

// The beginnings of paths. Raidiam's paths say whose a thing is.
const (
	anOrganisation = "/organisations/{organisation:" + pathID + "}"
	aStatement     = anOrganisation + "/softwarestatements/{software:" + pathID + "}"
	aServer        = anOrganisation + "/authorisationservers/{server:" + pathID + "}"
	anAPI          = aServer + "/apiresources/{api:" + pathID + "}"
	aClaim         = "/authorityclaims/{claim:" + pathID + "}"
	certificatesOf = "/certificates/{type}"
	aKey           = certificatesOf + "/{kid}"
)

// resources is the whole API. What is missing from it is not served.
func (d *Directory) resources() []resource {
	all := []resource{
		{http.MethodGet, "/organisations", false, d.listOrganisations},
		{http.MethodPost, "/organisations", true, d.createOrganisation},
		{http.MethodGet, anOrganisation, false, d.showOrganisation},
		{http.MethodPut, anOrganisation, false, d.putOrganisation},
		{http.MethodDelete, anOrganisation, true, d.deleteOrganisation},

		{http.MethodGet, anOrganisation + "/authorityclaims", false, d.listClaims},
		{http.MethodPost, anOrganisation + "/authorityclaims", true, d.createClaim},
		{http.MethodGet, anOrganisation + aClaim, false, d.showClaim},
		{http.MethodPut, anOrganisation + aClaim, true, d.putClaim},
		{http.MethodDelete, anOrganisation + aClaim, true, d.deleteClaim},
		{http.MethodGet, anOrganisation + "/authoritydomainclaims", false, d.listDomainClaims},

		{http.MethodGet, anOrganisation + "/softwarestatements", false, d.listSoftware},
		{http.MethodPost, anOrganisation + "/softwarestatements", false, d.createSoftware},
		{http.MethodGet, aStatement, false, d.showSoftware},
		{http.MethodPut, aStatement, false, d.putSoftwareStatement},
		{http.MethodDelete, aStatement, false, d.deleteSoftware},
		{http.MethodGet, aStatement + "/assertion", false, d.showAssertion},
		{http.MethodPut, aStatement + "/unlock", true, d.unlockSoftware},
		{http.MethodGet, aStatement + "/authorityclaims", false, d.listRoles},
		{http.MethodPost, aStatement + "/authorityclaims", false, d.createRole},
		{http.MethodGet, aStatement + aClaim, false, d.showRole},
		{http.MethodPut, aStatement + aClaim, false, d.putRole},
		{http.MethodDelete, aStatement + aClaim, false, d.deleteRole},

		{http.MethodGet, aStatement + "/certificates", false, d.listKeys},
		{http.MethodGet, aStatement + certificatesOf, false, d.listKeys},
		{http.MethodPost, aStatement + certificatesOf, false, d.createKey},
		{http.MethodGet, aStatement + aKey, false, d.showKey},
		{http.MethodPut, aStatement + aKey, false, d.revokeKey},
		{http.MethodDelete, aStatement + aKey, false, d.revokeKey},
		{http.MethodGet, anOrganisation + "/certificates", false, d.listKeys},
		{http.MethodGet, anOrganisation + certificatesOf, false, d.listKeys},
		{http.MethodPost, anOrganisation + certificatesOf, false, d.createKey},
		{http.MethodGet, anOrganisation + aKey, false, d.showKey},
		{http.MethodPut, anOrganisation + aKey, false, d.revokeKey},
		{http.MethodDelete, anOrganisation + aKey, false, d.revokeKey},

		{http.MethodGet, anOrganisation + "/authorisationservers", false, d.listServers},
		{http.MethodPost, anOrganisation + "/authorisationservers", false, d.createServer},
		{http.MethodGet, aServer, false, d.showServer},
		{http.MethodPut, aServer, false, d.putServer},
		{http.MethodDelete, aServer, false, d.deleteServer},
		{http.MethodGet, aServer + "/apiresources", false, d.listAPIs},
		{http.MethodPost, aServer + "/apiresources", false, d.createAPI},
		{http.MethodGet, anAPI, false, d.showAPI},
		{http.MethodPut, anAPI, false, d.putAPI},
		{http.MethodDelete, anAPI, false, d.deleteAPI},
		{http.MethodGet, anAPI + "/apidiscoveryendpoints", false, d.listEndpoints},
		{http.MethodPost, anAPI + "/apidiscoveryendpoints", false, d.createEndpoint},
		{http.MethodDelete, anAPI + "/apidiscoveryendpoints/{endpoint:" + pathID + "}", false, d.deleteEndpoint},

		{http.MethodGet, "/references/authorities", false, d.authorities},
		{http.MethodGet, "/references/authorisationdomains", false, d.domains},
		{http.MethodGet, "/references/authorisationdomainroles", false, d.domainRoles},

		// What only the operator's listener has.
		{http.MethodGet, "/softwarestatements", true, d.allSoftware},
		{http.MethodGet, "/keys", true, d.listStatementKeys},
		{http.MethodPost, "/keys/rotate", true, d.rotateStatementKeys},
	}
	if d.config.Sandbox {
		all = append(all, resource{http.MethodPost, aStatement + "/faults", true, d.makeFault})
	}
	return all
}

// Install opens the API and the public documents on the directory's site.
func (a *API) Install(site *endpoint.Site) {
	for _, resource := range a.resources() {
		if resource.operator {
			continue // the operator has a listener of its own
		}
		site.Open(endpoint.Route{
			Path: resource.path, Label: label(resource.path), Methods: []string{resource.method},
			Guard: a.Guard, Scope: Scope,
			Serve: func(ctx context.Context, r *endpoint.Request) (*endpoint.Answer, error) {
				by, err := a.identify(r)
				if err != nil {
					return nil, err
				}
				return resource.serve(ctx, r, by)
			},
		})
	}
	a.publish(site)
}

// OperatorRoutes are the API as the operator has it, below a path of its listener.
// Those that read but for an assertion change nothing and say no secret.
func (d *Directory) OperatorRoutes(below string) []endpoint.Route {
	var routes []endpoint.Route
	for _, resource := range d.resources() {
		routes = append(routes, endpoint.Route{
			Path: below + resource.path, Label: label(resource.path), Methods: []string{resource.method},
			Bearer: resource.method != http.MethodGet || strings.HasSuffix(resource.path, "/assertion"),
			Serve: func(ctx context.Context, r *endpoint.Request) (*endpoint.Answer, error) {
				return resource.serve(ctx, r, caller{operator: true})
			},
		})
	}
	return routes
}

// label names a route in events and metrics, without the patterns of its path.
func label(path string) string {
	return "directory" + strings.NewReplacer(":"+pathID, "").Replace(path)
}

// identify finds the organisation that a token speaks for: its client is that of a
// software statement. Below another organisation's path there is nothing for it,
// whether anything is there or not.
func (a *API) identify(r *endpoint.Request) (caller, error) {
	const check = "directory caller"
	client := r.Claims.ClientID
	if r.Claims.Confirmation == nil || r.Claims.Confirmation.CertificateThumbprint == "" {
		r.Event.Fail(check, "a token bound to a client certificate", "a token that is bound to none", "fetch the token with the software's transport certificate")
		return caller{}, oauth.InvalidToken("the directory takes tokens that are bound to a client certificate").Because("no x5t#S256")
	}
	a.mu.RLock()
	software, ok := a.byClient[client]
	a.mu.RUnlock()
	if !ok {
		r.Event.Fail(check, "the client of a software statement", client, "fetch the token as the ClientId of the software; `fapid directory software list` shows them")
		return caller{}, denied("the client is not that of a software statement").Because("client %s", client)
	}
	by := caller{organisation: software.OrganisationID}
	if named := r.Path["organisation"]; named != "" && named != by.organisation {
		r.Event.Fail(check, "organisation "+by.organisation, "organisation "+named, "use the ids of the software's own organisation; GET /organisations shows it")
		return caller{}, denied("an organisation sees and changes only what is its own").Because("software %s is of organisation %s", software.ID, by.organisation)
	}
	r.Event.Pass(check, "software "+software.ID, "organisation "+by.organisation)
	return by, nil
}

// operatorOnly refuses a participant's change that is the operator's to make.
func (by caller) operatorOnly(what string) error {
	if by.operator {
		return nil
	}
	return denied("only the operator changes %s", what)
}

// document answers with a record, and its version as ETag.
func document(status int, record any) (*endpoint.Answer, error) {
	body, err := json.Marshal(record)
	if err != nil {
		return nil, err
	}
	return &endpoint.Answer{Status: status, Body: body, Type: "application/json", Header: http.Header{"Etag": {version(body)}}}, nil
}

// matches holds a change against If-Match: the caller saw the record that it
// changes (RFC 9110 section 13.1.1).
func matches(r *endpoint.Request, record any) error {
	wanted := r.Header.Values("If-Match")
	if len(wanted) == 0 {
		return nil
	}
	body, err := json.Marshal(record)
	if err != nil {
		return err
	}
	for _, line := range wanted {
		for tag := range strings.SplitSeq(line, ",") {
			if tag = strings.TrimSpace(tag); tag == "*" || tag == version(body) {
				return nil
			}
		}
	}
	r.Event.Fail("If-Match", version(body), strings.Join(wanted, ", "), "read the record again, and change what is there now")
	return stale()
}

// read decodes the body of a request.
func read(r *endpoint.Request, into any) error {
	media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	if !slices.Contains([]string{"application/json", "application/jwk+json"}, strings.ToLower(strings.TrimSpace(media))) {
		return oauth.Error{
			Code: oauth.CodeUnsupportedMediaType, Status: http.StatusUnsupportedMediaType,
			Description: "Content-Type must be application/json",
		}
	}
	body, err := r.ReadBody()
	if err != nil {
		return err
	}
	return decode([]byte(body), into)
}

// gone answers a removal.
func gone() (*endpoint.Answer, error) { return &endpoint.Answer{Status: http.StatusNoContent}, nil }
