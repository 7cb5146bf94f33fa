package server

import (
	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/directory"
	"github.com/fapid/fapid/server/token"
)

// choice is a set of words that a text may be. The checks and the schema read
// the same row, by the choices tag of the field.
type choice struct {
	noun  string
	words []string
	// elsewhere says where words of one's own are defined; empty if the set is
	// closed.
	elsewhere string
	own       func(*Config) []string // those words; nil if the set is closed
}

var choices = map[string]choice{
	"format":          {noun: "format", words: []string{mtls.FormatRFC9440, mtls.FormatPEMEscaped, mtls.FormatXFCC}},
	"base":            {noun: "built-in policy", words: sortedKeys(policies)},
	"policy":          {noun: "policy", words: sortedKeys(policies), elsewhere: "define it under policies", own: func(c *Config) []string { return sortedKeys(c.Policies) }},
	"layout":          {noun: "layout", words: sortedKeys(layouts), elsewhere: "define it under layouts", own: func(c *Config) []string { return sortedKeys(c.Layouts) }},
	"built-in layout": {noun: "built-in layout", words: sortedKeys(layouts)},
	"ecosystem":       {noun: "ecosystem", words: registration.Dialects()},
	"statement-alg":   {noun: "signing algorithm for software statements", words: directory.StatementAlgs},
	"access":          {noun: "way to register", words: []string{accessOpen, accessInitial, accessCertificate, accessStatement}},
	"rules":           {noun: "ecosystem", words: registration.Ecosystems()},
	"level":           {noun: "log level", words: []string{"debug", "info", "warn", "error"}},
	"dn-matching":     {noun: "DN matching", words: []string{string(mtls.MatchStrict), string(mtls.MatchAnyOrder), string(mtls.MatchBrazil)}},
	"audience":        {noun: "audience rule", words: []string{string(oauth.AudienceIssuer), string(oauth.AudienceEndpoints)}},
	"token-alg":       {noun: "signing algorithm for tokens", words: token.Algs},
	"further-claim":   {noun: "further claim", words: token.FurtherClaims},
	"assertion-alg":   {noun: "signing algorithm for client assertions", words: []string{"PS256", "ES256", "EdDSA", "Ed25519", "PS384", "PS512", "ES384", "ES512", "RS256"}},
	"dpop-alg":        {noun: "signing algorithm for DPoP proofs", words: []string{"ES256", "PS256", "EdDSA", "Ed25519", "ES384", "ES512", "PS384", "PS512"}},
	"grant":           {noun: "grant type", words: grantTypes},
	"method": {noun: "client authentication method", words: []string{
		oauth.AuthTLS, oauth.AuthSelfSignedTLS, oauth.AuthPrivateKeyJWT,
		oauth.AuthSecretBasic, oauth.AuthSecretPost, oauth.AuthSecretJWT,
	}},
}
