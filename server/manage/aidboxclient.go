package manage

import (
	"slices"
	"strings"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/endpoint"
)

// aidboxClient is a client as an Aidbox resource, of which what concerns client
// credentials is known here. Anything else is refused by its name.
type aidboxClient struct {
	ResourceType string              `json:"resourceType,omitempty"`
	ID           string              `json:"id,omitempty"`
	Meta         *aidboxMeta         `json:"meta,omitempty"`
	Secret       registration.Secret `json:"-" input:"secret"`
	Name         string              `json:"name,omitempty"`
	GrantTypes   []string            `json:"grant_types,omitempty"`
	Scope        []string            `json:"scope,omitempty"`
	Auth         *aidboxAuth         `json:"auth,omitempty"`
}

type aidboxAuth struct {
	ClientCredentials *aidboxTokens `json:"client_credentials,omitempty"`
}

// aidboxTokens are what the tokens of a grant are like.
type aidboxTokens struct {
	// TokenFormat is jwt, or absent for an opaque token.
	TokenFormat           string `json:"token_format,omitempty"`
	AccessTokenExpiration int64  `json:"access_token_expiration,omitempty"` // seconds
	RefreshToken          bool   `json:"refresh_token,omitempty"`
	// RefreshTokenExpiration is counted in seconds from the last use.
	RefreshTokenExpiration int64    `json:"refresh_token_expiration,omitempty"`
	Audience               []string `json:"audience,omitempty"`
}

var aidboxClients = &collection[registration.Metadata]{"clients", clientKind, form[registration.Metadata]{
	name: "aidbox-",
	read: func(text []byte, in registration.Syntax) (registration.Metadata, error) {
		var client aidboxClient
		if err := readAidbox("Client", text, in, &client, &client.ResourceType); err != nil {
			return registration.Metadata{}, err
		}
		return client.metadata()
	},
	show: func(m *registration.Metadata, version string) any { return asAidboxClient(m, version) },
	page: bundled, pages: endpoint.FHIRPaging,
	members: strings.NewReplacer("client_secret ", "secret ", "client_name ", "name "),
}}

// lastUse is what Aidbox counts the life of a refresh token from.
const lastUse = "last_use"

// metadata is the registration of the client. Its secret comes by HTTP Basic, or
// in the body where the realm takes either, and every token is a session.
func (a *aidboxClient) metadata() (registration.Metadata, error) {
	m := registration.Metadata{
		ClientID: a.ID, ClientSecret: a.Secret, ClientName: a.Name, GrantTypes: a.GrantTypes, Scope: strings.Join(a.Scope, " "),
		TokenEndpointAuthMethod: oauth.AuthSecretBasic, AccessTokenFormat: oauth.FormatOpaque, RecordAccessTokens: true,
	}
	if len(a.GrantTypes) == 0 {
		return m, oauth.InvalidRequest("grant_types is missing; list client_credentials, basic, or both")
	}
	for _, scope := range a.Scope {
		if parsed, err := oauth.ParseScope(scope); err != nil || len(parsed) != 1 {
			return m, oauth.InvalidRequest("scope: %s is not a scope", oauth.Clip(scope))
		}
	}
	if a.Auth == nil || a.Auth.ClientCredentials == nil {
		return m, nil
	}
	tokens := a.Auth.ClientCredentials
	switch tokens.TokenFormat {
	case "":
	case oauth.FormatJWT:
		m.AccessTokenFormat = oauth.FormatJWT
	default:
		return m, oauth.InvalidRequest("auth.client_credentials.token_format is %s, expected jwt, or nothing for an opaque token", oauth.Clip(tokens.TokenFormat))
	}
	m.AccessTokenExpiration, m.DefaultAudience = tokens.AccessTokenExpiration, tokens.Audience
	m.RefreshToken, m.RefreshTokenExpiration = tokens.RefreshToken, tokens.RefreshTokenExpiration
	if tokens.RefreshTokenExpiration != 0 {
		m.RefreshTokenExpirationFrom = lastUse
	}
	return m, nil
}

// asAidboxClient shows as much of a registration as the resource has members for.
func asAidboxClient(m *registration.Metadata, version string) *aidboxClient {
	a := &aidboxClient{
		ResourceType: "Client", ID: m.ClientID, Meta: metaOf(version, m.ClientIDIssuedAt),
		Name: m.ClientName, GrantTypes: m.GrantTypes, Scope: strings.Fields(m.Scope),
	}
	tokens := aidboxTokens{
		AccessTokenExpiration: m.AccessTokenExpiration, Audience: m.DefaultAudience,
		RefreshToken: m.RefreshToken, RefreshTokenExpiration: m.RefreshTokenExpiration,
	}
	if m.AccessTokenFormat != oauth.FormatOpaque {
		tokens.TokenFormat = oauth.FormatJWT
	}
	if slices.Contains(m.GrantTypes, "client_credentials") && !tokens.none() {
		a.Auth = &aidboxAuth{&tokens}
	}
	return a
}

// none reports whether nothing is said of the tokens.
func (t *aidboxTokens) none() bool {
	return t.TokenFormat == "" && t.AccessTokenExpiration == 0 && !t.RefreshToken && t.RefreshTokenExpiration == 0 && len(t.Audience) == 0
}
