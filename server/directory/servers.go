package directory

import (
	"context"
	"slices"

	"github.com/fapid/fapid/oauth"
)

// AuthorisationServer is a bank's authorization server, with the APIs that its
// tokens are for.
type AuthorisationServer struct {
	ID             string `json:"AuthorisationServerId"`
	OrganisationID string `json:"OrganisationId"`
	Status         string `json:"Status"` // Active or Inactive

	CustomerFriendlyName          string `json:"CustomerFriendlyName"`
	CustomerFriendlyDescription   string `json:"CustomerFriendlyDescription,omitempty"`
	CustomerFriendlyLogoURI       string `json:"CustomerFriendlyLogoUri,omitempty"`
	DeveloperPortalURI            string `json:"DeveloperPortalUri,omitempty"`
	TermsOfServiceURI             string `json:"TermsOfServiceUri,omitempty"`
	NotificationWebhook           string `json:"NotificationWebhook,omitempty"`
	OpenIDDiscoveryDocument       string `json:"OpenIDDiscoveryDocument"`
	Issuer                        string `json:"Issuer,omitempty"`
	PayloadSigningCertLocationURI string `json:"PayloadSigningCertLocationUri,omitempty"`
	ParentAuthorisationServerID   string `json:"ParentAuthorisationServerId,omitempty"`
	AutoRegistrationSupported     bool   `json:"AutoRegistrationSupported"`
	SupportsCiba                  bool   `json:"SupportsCiba"`
	SupportsDCR                   bool   `json:"SupportsDCR"`

	APIResources []APIResource `json:"ApiResources"`
}

// APIResource is an API of a server, in one version.
type APIResource struct {
	ID                  string        `json:"ApiResourceId"`
	Family              string        `json:"ApiFamilyType"`
	Version             string        `json:"ApiVersion"`
	FamilyComplete      bool          `json:"FamilyComplete"`
	Status              string        `json:"Status"` // Active or Inactive
	CertificationURI    string        `json:"ApiCertificationUri,omitempty"`
	CertificationStatus string        `json:"CertificationStatus,omitempty"`
	Endpoints           []APIEndpoint `json:"ApiDiscoveryEndpoints"`
}

// APIEndpoint is where an API is found.
type APIEndpoint struct {
	ID  string `json:"ApiDiscoveryId"`
	URI string `json:"ApiEndpoint"`
}

// check fills in what was left out and judges the record as a whole. What has no
// id yet gets one.
func (a *AuthorisationServer) check() error {
	var r rules
	if a.Status == "" {
		a.Status = statusActive
	}
	r.oneOf("Status", a.Status, statusActive, statusInactive)
	r.needed("CustomerFriendlyName", a.CustomerFriendlyName)
	r.needed("OpenIDDiscoveryDocument", a.OpenIDDiscoveryDocument)
	for _, uri := range []struct{ member, value string }{
		{"CustomerFriendlyLogoUri", a.CustomerFriendlyLogoURI}, {"DeveloperPortalUri", a.DeveloperPortalURI},
		{"TermsOfServiceUri", a.TermsOfServiceURI}, {"NotificationWebhook", a.NotificationWebhook},
		{"OpenIDDiscoveryDocument", a.OpenIDDiscoveryDocument}, {"Issuer", a.Issuer},
		{"PayloadSigningCertLocationUri", a.PayloadSigningCertLocationURI},
	} {
		r.uri(uri.member, uri.value)
	}
	seen := map[string]bool{}
	for i := range a.APIResources {
		a.APIResources[i].check(&r, seen)
	}
	if a.APIResources == nil {
		a.APIResources = []APIResource{}
	}
	return r.err
}

func (a *APIResource) check(r *rules, seen map[string]bool) {
	if a.Status == "" {
		a.Status = statusActive
	}
	r.oneOf("ApiResources.Status", a.Status, statusActive, statusInactive)
	r.needed("ApiFamilyType", a.Family)
	r.needed("ApiVersion", a.Version)
	r.uri("ApiCertificationUri", a.CertificationURI)
	identify("ApiResourceId", &a.ID, r, seen)
	if len(a.Endpoints) > maxEntries {
		r.refuse("ApiDiscoveryEndpoints has %d entries, more than %d", len(a.Endpoints), maxEntries)
	}
	for i := range a.Endpoints {
		endpoint := &a.Endpoints[i]
		r.needed("ApiEndpoint", endpoint.URI)
		r.uri("ApiEndpoint", endpoint.URI)
		identify("ApiDiscoveryId", &endpoint.ID, r, seen)
	}
	if a.Endpoints == nil {
		a.Endpoints = []APIEndpoint{}
	}
}

// identify gives an id to what has none, and refuses one that is there twice.
func identify(member string, id *string, r *rules, seen map[string]bool) {
	if *id == "" {
		*id = oauth.NewUUID()
	}
	if !uuid.MatchString(*id) || seen[*id] {
		r.refuse("%s is %q, expected a UUID in lower case that is there once", member, oauth.Clip(*id))
	}
	seen[*id] = true
}

// PutServer adds an authorization server or replaces one of the organisation.
// judge is told what is there, nil for nothing.
func (d *Directory) PutServer(ctx context.Context, a AuthorisationServer, judge func(before *AuthorisationServer) error) (*AuthorisationServer, error) {
	created := a.ID == ""
	if created {
		a.ID = oauth.NewUUID()
	}
	if !uuid.MatchString(a.ID) {
		return nil, oauth.InvalidRequest("AuthorisationServerId is %q, expected a UUID in lower case", oauth.Clip(a.ID))
	}
	if err := a.check(); err != nil {
		return nil, err
	}
	d.writing.Lock()
	defer d.writing.Unlock()
	if _, ok := find(d, &d.organisations, a.OrganisationID); !ok {
		return nil, oauth.NotFound("no organisation %s", oauth.Clip(a.OrganisationID))
	}
	before, there := find(d, &d.servers, a.ID)
	if there && before.OrganisationID != a.OrganisationID {
		return nil, oauth.NotFound("no authorisation server %s of this organisation", a.ID)
	}
	if err := judge(before); err != nil {
		return nil, err
	}
	if err := d.checkParent(&a); err != nil {
		return nil, err
	}
	edits := []edit{d.servers.put(a.ID, &a)}
	if !there {
		edits = append(edits, d.claim(a.ID))
	}
	return &a, d.commit(ctx, edits...)
}

// checkParent wants the parent of a server to be another one of the organisation.
func (d *Directory) checkParent(a *AuthorisationServer) error {
	if a.ParentAuthorisationServerID == "" {
		return nil
	}
	parent, ok := find(d, &d.servers, a.ParentAuthorisationServerID)
	if !ok || parent.OrganisationID != a.OrganisationID || parent.ID == a.ID {
		return oauth.InvalidRequest("ParentAuthorisationServerId is no other authorisation server of the organisation")
	}
	return nil
}

// DeleteServer removes an authorization server that is nobody's parent.
func (d *Directory) DeleteServer(ctx context.Context, id string, judge func(*AuthorisationServer) error) error {
	d.writing.Lock()
	defer d.writing.Unlock()
	server, ok := find(d, &d.servers, id)
	if !ok {
		return oauth.NotFound("no authorisation server %s", oauth.Clip(id))
	}
	if err := judge(server); err != nil {
		return err
	}
	children := list(d, &d.servers, func(a *AuthorisationServer) bool { return a.ParentAuthorisationServerID == id })
	if len(children) > 0 {
		return conflict("authorisation server %s has this one as its parent", children[0].ID)
	}
	return d.commit(ctx, d.servers.remove(id))
}

// resourceAt finds an API of the server by its id.
func (a *AuthorisationServer) resourceAt(id string) (int, error) {
	at := slices.IndexFunc(a.APIResources, func(r APIResource) bool { return r.ID == id })
	if at < 0 {
		return 0, oauth.NotFound("no API resource %s of this authorisation server", oauth.Clip(id))
	}
	return at, nil
}

// endpointAt finds a place of the API by its id.
func (a *APIResource) endpointAt(id string) (int, error) {
	at := slices.IndexFunc(a.Endpoints, func(e APIEndpoint) bool { return e.ID == id })
	if at < 0 {
		return 0, oauth.NotFound("no discovery endpoint %s of this API resource", oauth.Clip(id))
	}
	return at, nil
}

// clone shares no memory with the server that could be changed.
func (a *AuthorisationServer) clone() AuthorisationServer {
	c := *a
	c.APIResources = slices.Clone(a.APIResources)
	for i := range c.APIResources {
		c.APIResources[i].Endpoints = slices.Clone(c.APIResources[i].Endpoints)
	}
	return c
}
