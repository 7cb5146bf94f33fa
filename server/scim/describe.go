package scim

import (
	"context"
	"net/http"
	"strings"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/server/endpoint"
	"github.com/fapid/fapid/server/users"
)

// meta is that of a document about the provider.
type meta struct {
	ResourceType string `json:"resourceType"`
	Location     string `json:"location"`
}

type supported struct {
	Supported bool `json:"supported"`
}

// serviceProviderConfig says what is supported (RFC 7643 section 5).
func serviceProviderConfig(_ context.Context, r *endpoint.Request) (*endpoint.Answer, error) {
	if err := noFilter(r); err != nil {
		return nil, err
	}
	yes := supported{true}
	return document(providerConfig{
		Schemas: []string{"urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"},
		Patch:   yes, ChangePassword: yes, Sort: yes, ETag: yes, Filter: filterConfig{true, maxResults},
		Authentication: []authenticationScheme{{
			Type: "oauthbearertoken", Name: "OAuth 2.0 access token", Primary: true, SpecURI: "https://www.rfc-editor.org/info/rfc6750",
			Description: "An access token of this realm: bound to a certificate or a DPoP key where the realm wants that.",
		}},
		Meta: meta{"ServiceProviderConfig", base(r) + "/ServiceProviderConfig"},
	}), nil
}

type providerConfig struct {
	Schemas        []string               `json:"schemas"`
	Patch          supported              `json:"patch"`
	Bulk           bulkConfig             `json:"bulk"`
	Filter         filterConfig           `json:"filter"`
	ChangePassword supported              `json:"changePassword"`
	Sort           supported              `json:"sort"`
	ETag           supported              `json:"etag"`
	Authentication []authenticationScheme `json:"authenticationSchemes"`
	Meta           meta                   `json:"meta"`
}

type bulkConfig struct {
	Supported      bool `json:"supported"`
	MaxOperations  int  `json:"maxOperations"`
	MaxPayloadSize int  `json:"maxPayloadSize"`
}

type filterConfig struct {
	Supported  bool `json:"supported"`
	MaxResults int  `json:"maxResults"`
}

type authenticationScheme struct {
	Type        string `json:"type"`
	Name        string `json:"name"`
	Description string `json:"description"`
	SpecURI     string `json:"specUri"`
	Primary     bool   `json:"primary"`
}

// resourceType is a kind of resource that is served (RFC 7643 section 6).
type resourceType struct {
	Schemas     []string    `json:"schemas"`
	ID          string      `json:"id"`
	Name        string      `json:"name"`
	Description string      `json:"description"`
	Endpoint    string      `json:"endpoint"`
	Schema      string      `json:"schema"`
	Extensions  []extension `json:"schemaExtensions"`
	Meta        meta        `json:"meta"`
}

type extension struct {
	Schema   string `json:"schema"`
	Required bool   `json:"required"`
}

func resourceTypes(base string) []described {
	return []described{{"User", resourceType{
		Schemas: []string{"urn:ietf:params:scim:schemas:core:2.0:ResourceType"},
		ID:      "User", Name: "User", Description: "Test user", Endpoint: "/Users", Schema: users.CoreSchema,
		Extensions: []extension{{Schema: users.EnterpriseSchema}},
		Meta:       meta{"ResourceType", base + "/ResourceTypes/User"},
	}}}
}

// schema describes attributes (RFC 7643 section 7).
type schema struct {
	Schemas     []string          `json:"schemas"`
	ID          string            `json:"id"`
	Name        string            `json:"name"`
	Description string            `json:"description"`
	Attributes  []schemaAttribute `json:"attributes"`
	Meta        meta              `json:"meta"`
}

type schemaAttribute struct {
	Name       string            `json:"name"`
	Type       users.Kind        `json:"type"`
	Multi      bool              `json:"multiValued"`
	Doc        string            `json:"description"`
	Required   bool              `json:"required"`
	Exact      bool              `json:"caseExact"`
	Mutability string            `json:"mutability"`
	Returned   string            `json:"returned"`
	Uniqueness string            `json:"uniqueness"`
	Values     []string          `json:"canonicalValues,omitempty"`
	References []string          `json:"referenceTypes,omitempty"`
	Sub        []schemaAttribute `json:"subAttributes,omitempty"`
}

func schemas(base string) []described {
	describe := func(id, name, description string, of *users.Attribute) described {
		return described{id, schema{
			Schemas: []string{"urn:ietf:params:scim:schemas:core:2.0:Schema"},
			ID:      id, Name: name, Description: description, Attributes: schemaAttributes(of),
			Meta: meta{"Schema", base + "/Schemas/" + id},
		}}
	}
	return []described{
		describe(users.CoreSchema, "User", "Test user", users.Attributes),
		describe(users.EnterpriseSchema, "EnterpriseUser", "What an organisation notes of a user", enterprise),
	}
}

func schemaAttributes(of *users.Attribute) []schemaAttribute {
	var list []schemaAttribute
	for _, a := range of.Sub {
		if a.Common || a.Private || a == enterprise {
			continue
		}
		s := schemaAttribute{
			Name: a.Name, Type: a.Kind, Multi: a.Multi, Doc: a.Doc, Required: a.Required, Exact: a.Exact,
			Mutability: "readWrite", Returned: "default", Uniqueness: "none", Values: a.Values, Sub: schemaAttributes(a),
		}
		if a.WriteOnly {
			s.Mutability, s.Returned = "writeOnly", "never"
		}
		if a.Unique {
			s.Uniqueness = "server"
		}
		switch {
		case a.Name == "$ref":
			s.References = []string{"User"}
		case a.Kind == users.Reference:
			s.References = []string{"external"}
		}
		list = append(list, s)
	}
	return list
}

// described is a document about the provider, by its name.
type described struct {
	name     string
	document any
}

// listed serves all documents of a kind.
func listed(documents func(base string) []described) endpoint.Handler {
	return func(_ context.Context, r *endpoint.Request) (*endpoint.Answer, error) {
		if err := noFilter(r); err != nil {
			return nil, err
		}
		var all []any
		for _, one := range documents(base(r)) {
			all = append(all, one.document)
		}
		return document(newListing(len(all), 1, all)), nil
	}
}

// named serves one of them.
func named(documents func(base string) []described) endpoint.Handler {
	return func(_ context.Context, r *endpoint.Request) (*endpoint.Answer, error) {
		for _, one := range documents(base(r)) {
			if strings.EqualFold(one.name, r.Path["name"]) {
				return document(one.document), nil
			}
		}
		return nil, oauth.NotFound("there is no %s here", oauth.Clip(r.Path["name"]))
	}
}

// noFilter refuses a filter, lest somebody takes the answer for filtered (RFC 7644
// section 4).
func noFilter(r *endpoint.Request) error {
	values, err := parameters(r.URL.RawQuery)
	if err == nil && values.Has("filter") {
		err = oauth.Error{Code: "access_denied", Status: http.StatusForbidden, Description: "these documents cannot be filtered"}
	}
	return err
}
