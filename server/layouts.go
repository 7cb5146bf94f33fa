package server

import "github.com/fapid/fapid/server/endpoint"

// layouts give the endpoints their paths, by metadata name. "{realm}" stands for
// the realm's name. Every feature takes its path from here, so a layout is the
// only place a path is written.
var layouts = map[string]endpoint.Layout{
	// The paths Raidiam publishes.
	"default": {
		"token_endpoint":         "/token",
		"introspection_endpoint": "/token/introspection",
		"revocation_endpoint":    "/token/revocation",
		"jwks_uri":               "/jwks",
		"bank":                   "/bank",
	},
	// The same below the realm's own path.
	"realm": {
		"token_endpoint":         "/realms/{realm}/token",
		"introspection_endpoint": "/realms/{realm}/token/introspection",
		"revocation_endpoint":    "/realms/{realm}/token/revocation",
		"jwks_uri":               "/realms/{realm}/jwks",
		"bank":                   "/realms/{realm}/bank",
	},
}
