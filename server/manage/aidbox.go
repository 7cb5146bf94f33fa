package manage

import (
	"context"
	"net/http"
	"time"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/endpoint"
	"github.com/fapid/fapid/server/token"
)

// aidbox is the API in the form of Aidbox's resources, at the paths that the
// layout has under these names; most layouts have none. Its clients come with
// what the server's documentation shows, in YAML or JSON.
var aidbox = []resource{
	{"aidbox_client", []route{
		{method: http.MethodGet, path: "", label: "aidbox_clients", scope: readScope("clients"), serve: aidboxClients.list},
		{method: http.MethodPost, path: "", label: "aidbox_clients", scope: writeScope("clients"), serve: aidboxClients.create},
		{method: http.MethodGet, path: itemPath, label: "aidbox_client", scope: readScope("clients"), serve: aidboxClients.show},
		{method: http.MethodPut, path: itemPath, label: "aidbox_client", scope: writeScope("clients"), serve: aidboxClients.put},
		{method: http.MethodDelete, path: itemPath, label: "aidbox_client", scope: writeScope("clients"), serve: aidboxClients.remove},
	}},
	{"aidbox_access_policy", []route{
		{method: http.MethodGet, path: "", label: "aidbox_access_policies", scope: readScope("access-policies"), serve: aidboxPolicies.list},
		{method: http.MethodPost, path: "", label: "aidbox_access_policies", scope: writeScope("access-policies"), serve: aidboxPolicies.create},
		{method: http.MethodGet, path: itemPath, label: "aidbox_access_policy", scope: readScope("access-policies"), serve: aidboxPolicies.show},
		{method: http.MethodPut, path: itemPath, label: "aidbox_access_policy", scope: writeScope("access-policies"), serve: aidboxPolicies.put},
		{method: http.MethodDelete, path: itemPath, label: "aidbox_access_policy", scope: writeScope("access-policies"), serve: aidboxPolicies.remove},
	}},
	{"aidbox_session", []route{
		{method: http.MethodGet, path: "", label: "aidbox_sessions", scope: readScope("sessions"), serve: listAidboxSessions},
		{method: http.MethodDelete, path: "", label: "aidbox_sessions", serve: endOwnSession, holder: true},
		{method: http.MethodGet, path: itemPath, label: "aidbox_session", scope: readScope("sessions"), serve: showAidboxSession},
		{method: http.MethodDelete, path: itemPath, label: "aidbox_session", scope: writeScope("sessions"), serve: endSession},
	}},
}

// aidboxMeta is what Aidbox says of every resource; what it says is not read back.
type aidboxMeta struct {
	VersionID   string `json:"versionId,omitempty"`
	CreatedAt   string `json:"createdAt,omitempty"`
	LastUpdated string `json:"lastUpdated,omitempty"`
}

// bundle is a page of resources as FHIR has it (Bundle of type searchset).
type bundle struct {
	ResourceType string        `json:"resourceType"`
	Type         string        `json:"type"`
	Total        *int          `json:"total,omitempty"` // where the page is the whole list
	Link         []bundleLink  `json:"link"`
	Entry        []bundleEntry `json:"entry"`
}

type bundleLink struct {
	Relation string `json:"relation"`
	URL      string `json:"url"`
}

type bundleEntry struct {
	Resource any               `json:"resource"`
	Search   map[string]string `json:"search"`
}

// bundled is a page in the form of a bundle.
func bundled(c *call, shown []any, next string) any {
	page := &bundle{ResourceType: "Bundle", Type: "searchset", Link: []bundleLink{{"self", c.URL.RequestURI()}}, Entry: []bundleEntry{}}
	for _, resource := range shown {
		page.Entry = append(page.Entry, bundleEntry{resource, map[string]string{"mode": "match"}})
	}
	cursor := endpoint.FHIRPaging.Cursor
	query := c.URL.Query()
	if next != "" {
		query.Set(cursor, next)
		page.Link = append(page.Link, bundleLink{"next", c.URL.EscapedPath() + "?" + query.Encode()})
	} else if !query.Has(cursor) {
		total := len(shown)
		page.Total = &total
	}
	return page
}

// aidboxPolicy is an access policy as an Aidbox resource.
type aidboxPolicy struct {
	ResourceType string              `json:"resourceType,omitempty"`
	ID           string              `json:"id,omitempty"`
	Meta         *aidboxMeta         `json:"meta,omitempty"`
	Description  string              `json:"description,omitempty"`
	Engine       string              `json:"engine,omitempty"`
	Link         []registration.Link `json:"link,omitempty"`
	Scope        []string            `json:"scope,omitempty"` // fapid's own
}

var aidboxPolicies = &collection[registration.AccessPolicy]{"access-policies", policyKind, form[registration.AccessPolicy]{
	name: "aidbox-",
	read: func(text []byte, in registration.Syntax) (registration.AccessPolicy, error) {
		var policy aidboxPolicy
		if err := readAidbox("AccessPolicy", text, in, &policy, &policy.ResourceType); err != nil {
			return registration.AccessPolicy{}, err
		}
		return registration.AccessPolicy{ID: policy.ID, Description: policy.Description, Engine: policy.Engine, Link: policy.Link, Scope: policy.Scope}, nil
	},
	show: func(policy *registration.AccessPolicy, version string) any {
		return &aidboxPolicy{
			ResourceType: "AccessPolicy", ID: policy.ID, Meta: metaOf(version, 0),
			Description: policy.Description, Engine: policy.Engine, Link: policy.Link, Scope: policy.Scope,
		}
	},
	page: bundled, pages: endpoint.FHIRPaging,
}}

// readAidbox reads a resource strictly. Its type may be left out, and is that of
// the path otherwise.
func readAidbox(resourceType string, text []byte, in registration.Syntax, into any, given *string) error {
	if err := registration.Decode(resourceType, text, in, into); err != nil {
		return oauth.InvalidRequest("%s", err.Error())
	}
	if *given != "" && *given != resourceType {
		return oauth.InvalidRequest("resourceType is %s, expected %s", oauth.Clip(*given), resourceType)
	}
	return nil
}

// metaOf is the meta of a resource; a created of 0 is not known.
func metaOf(version string, created int64) *aidboxMeta {
	if version == "" && created == 0 {
		return nil
	}
	meta := &aidboxMeta{VersionID: version}
	if created != 0 {
		meta.CreatedAt = instant(created)
	}
	return meta
}

// instant writes seconds since 1970 as FHIR does.
func instant(seconds int64) string { return time.Unix(seconds, 0).UTC().Format(time.RFC3339) }

// aidboxSession is a session as an Aidbox resource, without the hashes of tokens
// that Aidbox shows.
type aidboxSession struct {
	ResourceType    string            `json:"resourceType"`
	ID              string            `json:"id"`
	Client          registration.Link `json:"client"`
	Active          bool              `json:"active"`
	Start           string            `json:"start"`
	End             string            `json:"end,omitempty"`
	JTI             string            `json:"jti"`
	Expires         int64             `json:"exp"`
	RefreshTokenExp int64             `json:"refresh_token_exp,omitempty"`
	Audience        string            `json:"audience,omitempty"`
	Scope           []string          `json:"scope,omitempty"`
}

func asAidboxSession(session *token.Session) *aidboxSession {
	shown := &aidboxSession{
		ResourceType: "Session", ID: session.ID, JTI: session.ID, Expires: session.Expires,
		Client: registration.Link{ResourceType: registration.LinkClient, ID: session.ClientID},
		Active: session.Ended == nil, Start: instant(session.IssuedAt),
	}
	if session.Ended != nil {
		shown.End = instant(session.Ended.At)
	}
	if session.Refresh != nil {
		shown.RefreshTokenExp = session.Refresh.Expires
	}
	if len(session.Audience) > 0 {
		shown.Audience = session.Audience[0]
	}
	if scope, err := oauth.ParseScope(session.Scope); err == nil {
		shown.Scope = scope
	}
	return shown
}

func listAidboxSessions(ctx context.Context, c *call) (*endpoint.Answer, error) {
	list, next, err := sessionPage(ctx, c, endpoint.FHIRPaging, "client")
	if err != nil {
		return nil, err
	}
	shown := make([]any, len(list))
	for i := range list {
		shown[i] = asAidboxSession(&list[i])
	}
	return c.Document(http.StatusOK, bundled(c, shown, next))
}

func showAidboxSession(ctx context.Context, c *call) (*endpoint.Answer, error) {
	session, err := c.session(ctx)
	if err != nil {
		return nil, err
	}
	return c.Document(http.StatusOK, asAidboxSession(session))
}
