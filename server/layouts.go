package server

import (
	"maps"
	"strings"

	"github.com/fapid/fapid/server/endpoint"
)

// layouts give the endpoints their paths, by metadata name. "{realm}" stands for
// the realm's name, and "issuer" is the path of the issuer identifier. Where
// there are several paths, discovery lists the first. Every feature takes its
// paths from here, so a layout is the only place a path is written.
var layouts = map[string]endpoint.Layout{
	// The paths Raidiam publishes.
	"default": {
		"issuer":                 "",
		"token_endpoint":         "/token",
		"introspection_endpoint": "/token/introspection",
		"revocation_endpoint":    "/token/revocation",
		"jwks_uri":               "/jwks",
		"bank":                   "/bank",
		"scim":                   "/scim/v2",
		"authorization_check":    "/authz",
		"registration_endpoint":  "/reg",
		"management_endpoint":    "/manage",
	},
	// The same below the realm's own path.
	"realm": {
		"issuer":                 "/realms/{realm}",
		"token_endpoint":         "/realms/{realm}/token",
		"introspection_endpoint": "/realms/{realm}/token/introspection",
		"revocation_endpoint":    "/realms/{realm}/token/revocation",
		"jwks_uri":               "/realms/{realm}/jwks",
		"bank":                   "/realms/{realm}/bank",
		"scim":                   "/realms/{realm}/scim/v2",
		"authorization_check":    "/realms/{realm}/authz",
		"registration_endpoint":  "/realms/{realm}/reg",
		"management_endpoint":    "/realms/{realm}/manage",
	},
	"keycloak": keycloak(""),
	// CERN's: Keycloak below /auth, and the API Access endpoint beside its token
	// endpoint.
	"cern": with(keycloak("/auth"), endpoint.Layout{
		"token_endpoint": "/auth/realms/{realm}/protocol/openid-connect/token /auth/realms/{realm}/api-access/token",
	}),
	// Asgardeo's issuer is the address of its token endpoint.
	"asgardeo": {
		"issuer":                 "/t/{realm}/oauth2/token",
		"token_endpoint":         "/t/{realm}/oauth2/token",
		"introspection_endpoint": "/t/{realm}/oauth2/introspect",
		"revocation_endpoint":    "/t/{realm}/oauth2/revoke",
		"jwks_uri":               "/t/{realm}/oauth2/jwks",
		"bank":                   "/t/{realm}/bank",
		"scim":                   "/t/{realm}/scim2",
		"authorization_check":    "/t/{realm}/authz",
		"registration_endpoint":  "/t/{realm}/api/identity/oauth2/dcr/v1.1/register",
		"management_endpoint":    "/t/{realm}/manage",
	},
	// Aidbox has no realm in its paths, so one realm of a server can have it.
	"aidbox": {
		"issuer":                 "/{realm}",
		"token_endpoint":         "/auth/token /fhir/auth/token",
		"introspection_endpoint": "/auth/introspect",
		"revocation_endpoint":    "/auth/revoke",
		"jwks_uri":               "/{realm}/.well-known/jwks.json",
		"bank":                   "/{realm}/bank",
		"scim":                   "/{realm}/scim/v2",
		"authorization_check":    "/{realm}/authz",
		"registration_endpoint":  "/{realm}/reg",
		"management_endpoint":    "/{realm}/manage",
		// The management API in the form of its own resources.
		"aidbox_client":        "/Client /fhir/Client",
		"aidbox_access_policy": "/AccessPolicy /fhir/AccessPolicy",
		"aidbox_session":       "/Session /fhir/Session",
	},
}

// keycloak are Keycloak's paths below a base, "" or "/auth".
func keycloak(base string) endpoint.Layout {
	realm := base + "/realms/{realm}"
	protocol := realm + "/protocol/openid-connect"
	return endpoint.Layout{
		"issuer":                 realm,
		"token_endpoint":         protocol + "/token",
		"introspection_endpoint": protocol + "/token/introspect",
		"revocation_endpoint":    protocol + "/revoke",
		"jwks_uri":               protocol + "/certs",
		"bank":                   realm + "/bank",
		"scim":                   realm + "/scim/v2",
		"authorization_check":    realm + "/authz",
		"registration_endpoint":  realm + "/clients-registrations/openid-connect",
		"management_endpoint":    realm + "/manage",
	}
}

// with is a layout with some paths changed.
func with(layout, changes endpoint.Layout) endpoint.Layout {
	changed := maps.Clone(layout)
	maps.Copy(changed, changes)
	return changed
}

// endpointNames are all the endpoints that some layout has a path for.
func endpointNames() []string {
	all := endpoint.Layout{}
	for _, layout := range layouts {
		maps.Copy(all, layout)
	}
	return sortedKeys(all)
}

// layout returns a layout by name, one's own or built-in.
func (c *Config) layout(name string) (endpoint.Layout, bool) {
	own, ok := c.Layouts[name]
	if !ok {
		layout, ok := layouts[name]
		return layout, ok
	}
	base, ok := layouts[own.Base]
	return with(base, own.Paths), ok
}

// single reports whether some path has no realm in it: one realm of a server
// only can have such a layout.
func single(layout endpoint.Layout) bool {
	for name, paths := range layout {
		if name == "issuer" {
			continue
		}
		for path := range strings.FieldsSeq(paths) {
			if !strings.Contains(path, "{realm}") {
				return true
			}
		}
	}
	return false
}
