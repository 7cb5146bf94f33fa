// Package server assembles realms and listeners from a configuration.
package server

import (
	"net/netip"

	"github.com/fapid/fapid/oauth"
)

// Config is everything that is set from outside. Its zero values mean the
// defaults that [Config.Complete] fills in.
type Config struct {
	// Dir holds everything the server keeps: store, keys, CA. Relative paths
	// in this configuration are relative to it.
	Dir string `json:"dir"`
	// Listeners are the three doors.
	Listeners Listeners `json:"listeners"`
	// TLS is what the standard and the mTLS listener prove themselves with.
	TLS ServerTLS `json:"tls"`
	// Proxy takes client certificates from a TLS-terminating proxy.
	Proxy *Proxy `json:"proxy,omitempty"`
	// Policies are security profiles of your own, beside the built-in ones.
	Policies map[string]Policy `json:"policies,omitempty"`
	// Realms are the issuers, by name.
	Realms map[string]*Realm `json:"realms"`
	// Log says what is logged.
	Log Log `json:"log"`
}

// Listeners are the doors of the server.
type Listeners struct {
	Standard Listener `json:"standard"`
	MTLS     Listener `json:"mtls"`
	Admin    Listener `json:"admin"`
}

// Listener is one door.
type Listener struct {
	// Address to listen on, "host:port".
	Address string `json:"address"`
	// URL by which clients reach it, without a path; default https (admin:
	// http) and the address.
	URL string `json:"url,omitempty"`
}

// ServerTLS are the server certificates. Without files the sandbox CA issues
// them for the hosts of the listeners' URLs.
type ServerTLS struct {
	// RSA serves TLS 1.2 and clients without ECDSA; required when files are used.
	RSA *KeyPair `json:"rsa,omitempty"`
	// ECDSA serves TLS 1.3 clients, at a tenth of the cost.
	ECDSA *KeyPair `json:"ecdsa,omitempty"`
	// Hosts are further names and addresses for the sandbox CA's certificates.
	Hosts []string `json:"hosts,omitempty"`
}

// KeyPair is a certificate chain and its private key, in PEM files.
type KeyPair struct {
	Certificate string `json:"certificate"`
	Key         string `json:"key"`
}

// Proxy says which TLS-terminating proxies hand client certificates on, and how.
// From any other address such a header is refused.
type Proxy struct {
	// Trusted are the proxies' addresses, as prefixes ("10.0.0.5/32").
	Trusted []netip.Prefix `json:"trusted"`
	// Format is rfc9440, pem-escaped (nginx) or xfcc (Envoy); default rfc9440.
	Format string `json:"format,omitempty"`
	// Header and ChainHeader carry the certificate and its chain; defaults by format.
	Header      string `json:"header,omitempty"`
	ChainHeader string `json:"chain_header,omitempty"`
}

// Policy is a security profile built on another.
type Policy struct {
	// Base is the built-in policy it starts from.
	Base string `json:"base"`

	AuthMethods            []string           `json:"token_endpoint_auth_methods,omitempty"`
	AssertionAlgs          []string           `json:"token_endpoint_auth_signing_algs,omitempty"`
	AssertionAudience      oauth.AudienceRule `json:"client_assertion_audience,omitempty"`
	AssertionLifetime      Duration           `json:"client_assertion_lifetime,omitempty"`
	ClockSkew              Duration           `json:"clock_skew,omitempty"`
	SenderConstrained      *bool              `json:"sender_constrained_access_tokens,omitempty"`
	TokenAlgs              []string           `json:"access_token_signing_algs,omitempty"`
	AccessTokenLifetime    Duration           `json:"access_token_lifetime,omitempty"`
	MaxAccessTokenLifetime Duration           `json:"max_access_token_lifetime,omitempty"`
	AnyDNOrder             *bool              `json:"any_dn_order,omitempty"`
}

// Realm is one issuer.
type Realm struct {
	// Issuer identifier; default the standard listener's URL for the realm
	// "default" and that with /realms/NAME for any other.
	Issuer string `json:"issuer,omitempty"`
	// Layout names the paths of the endpoints.
	Layout string `json:"layout,omitempty"`
	// Sandbox realms explain refusals on the wire: error_uri leads to the trace.
	Sandbox bool `json:"sandbox,omitempty"`
	// Policy is the security profile of clients that name none.
	Policy string `json:"policy,omitempty"`
	// Policies are further profiles that clients of this realm may name.
	Policies []string `json:"policies,omitempty"`
	// Scopes are what clients can be registered for.
	Scopes []string `json:"scopes,omitempty"`
	// Audience is the aud of tokens for the realm's own API; default the bank's URL.
	Audience string `json:"audience,omitempty"`
	// Trust says which client certificates are accepted.
	Trust Trust `json:"trust"`
	// JWKS says which private addresses a client's jwks_uri may resolve to.
	JWKS Fetch `json:"jwks"`
}

// Trust says whom a realm believes.
type Trust struct {
	// SandboxCA trusts the CA that fapid itself keeps in Dir.
	SandboxCA bool `json:"sandbox_ca,omitempty"`
	// CAs are PEM files of further trusted roots and intermediates.
	CAs []string `json:"cas,omitempty"`
	// CRLs are files with the revocation lists of those CAs, PEM or DER; a
	// changed file is read again.
	CRLs []string `json:"crls,omitempty"`
}

// Fetch bounds what is fetched for a client.
type Fetch struct {
	// AllowPrivate lets jwks_uri resolve into these prefixes.
	AllowPrivate []netip.Prefix `json:"allow_private,omitempty"`
	// CAs are PEM files of further roots for the hosts that are fetched from.
	CAs []string `json:"cas,omitempty"`
}

// Log says what is logged to standard error, as JSON lines.
type Log struct {
	// Level is debug, info, warn or error; requests are logged at info.
	Level string `json:"level,omitempty"`
}
