// Package server assembles realms and listeners from a configuration.
package server

import (
	"net/netip"

	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/oauth"
)

// Config is everything that is set from outside. Its zero values mean the
// defaults that [Config.Complete] fills in.
//
// The doc tag is the one description of a key: it is the comment in what
// [Config.YAML] prints and the description in [Schema]. The choices tag names
// the row of the table choices with the values that a text may have; required
// keys have no default; from and to bound a length of time.
type Config struct {
	Dir       string            `json:"dir" doc:"Folder of everything the server keeps: store, keys, CA. Relative to this file; other paths here are relative to it. Default .fapid in the working directory."`
	Listeners Listeners         `json:"listeners" doc:"The doors of the server."`
	TLS       ServerTLS         `json:"tls" doc:"What the standard and the mTLS listener prove themselves with. Without files the sandbox CA issues certificates for the hosts of the listeners' URLs."`
	Proxy     *Proxy            `json:"proxy,omitempty" doc:"TLS-terminating proxies that hand client certificates on. From any other address such a header is refused."`
	Gateways  *Proxy            `json:"gateways,omitempty" doc:"Proxies in front of APIs, which ask at the authorization check (/authz) whether a request may go on to the API, and hand on the client certificate that came with it. They can do that and nothing else: to hand on certificates to the other endpoints is for proxy."`
	Policies  map[string]Policy `json:"policies,omitempty" doc:"Security profiles of your own, by name, beside the built-in ones."`
	Directory *Directory        `json:"directory,omitempty" doc:"The directory of participants; it is served where listeners.directory is set."`
	Layouts   map[string]Layout `json:"layouts,omitempty" doc:"URL layouts of your own, by name, beside the built-in ones."`
	Realms    map[string]*Realm `json:"realms" doc:"The issuers, by name."`
	Log       Log               `json:"log" doc:"What is logged to standard error, as JSON lines."`

	origins origins // where the values were written; nil if not loaded
}

// Listeners are the doors of the server.
type Listeners struct {
	Standard  Listener  `json:"standard" doc:"Server-authenticated TLS for browsers, discovery and clients without a certificate; its URL is the issuer. Default localhost:8443."`
	MTLS      Listener  `json:"mtls" doc:"Asks for a client certificate; published as mtls_endpoint_aliases. Default localhost:8444."`
	Directory *Listener `json:"directory,omitempty" doc:"Asks for a client certificate: the directory of participants, its API and its key sets. There is none without it. Default localhost:8445."`
	Admin     Listener  `json:"admin" doc:"The operator's listener: health, metrics, traces. Loopback only. Default localhost:9000."`
}

// Directory is the trust framework of the sandbox: participants, their software,
// certificates and keys. Its software are clients of the first realm.
type Directory struct {
	Ecosystem    string `json:"ecosystem,omitempty" choices:"ecosystem" doc:"Dialect of software statements, unless the software or the request names another. Default raidiam."`
	StatementAlg string `json:"statement_signing_alg,omitempty" choices:"statement-alg" doc:"JWS algorithm of software statements, where the ecosystem takes it. Default PS256."`
	Lock         bool   `json:"lock_statements,omitempty" doc:"Lock a software statement when its assertion is made, until the operator unlocks it."`
}

// Listener is one door.
type Listener struct {
	Address string `json:"address" doc:"Where to listen, host:port."`
	URL     string `json:"url,omitempty" doc:"How it is reached from outside, without a path. Default https (admin: http) and the address."`
}

// ServerTLS are the server certificates. Without files the sandbox CA issues
// them for the hosts of the listeners' URLs.
type ServerTLS struct {
	RSA   *KeyPair `json:"rsa,omitempty" doc:"For TLS 1.2 and clients without ECDSA; required when files are used."`
	ECDSA *KeyPair `json:"ecdsa,omitempty" doc:"For clients with ECDSA, at a tenth of the cost."`
	Hosts []string `json:"hosts,omitempty" doc:"Further names and addresses in the sandbox CA's server certificates."`
}

// KeyPair is a certificate chain and its private key, in PEM files.
type KeyPair struct {
	Certificate string `json:"certificate" required:"true" doc:"PEM file with the certificate and its chain, leaf first."`
	Key         string `json:"key" required:"true" doc:"PEM file with the private key."`
}

// Proxy says which TLS-terminating proxies hand client certificates on, and how.
type Proxy struct {
	Trusted     []netip.Prefix `json:"trusted" required:"true" doc:"Addresses of the proxies, as prefixes such as 10.0.0.5/32."`
	Format      string         `json:"format,omitempty" choices:"format" doc:"How the certificate is written: rfc9440, pem-escaped (nginx) or xfcc (Envoy). Default rfc9440."`
	Header      string         `json:"header,omitempty" doc:"Header with the certificate. Default by format: Client-Cert, X-SSL-Client-Cert, X-Forwarded-Client-Cert."`
	ChainHeader string         `json:"chain_header,omitempty" doc:"Header with its chain. Default Client-Cert-Chain for rfc9440, none for the others."`
}

// Policy is a security profile built on another.
type Policy struct {
	Base                          string             `json:"base" required:"true" choices:"base" doc:"Built-in policy it starts from; every key left out is as there. One built on a FAPI policy can only narrow it."`
	AuthMethods                   []string           `json:"token_endpoint_auth_methods,omitempty" choices:"method" doc:"Client authentication methods a client may register."`
	AssertionAlgs                 []string           `json:"token_endpoint_auth_signing_algs,omitempty" choices:"assertion-alg" doc:"JWS algorithms of client assertions (private_key_jwt)."`
	AssertionAudience             oauth.AudienceRule `json:"client_assertion_audience,omitempty" choices:"audience" doc:"What a client assertion may name as aud: issuer (that string alone) or endpoints (also the token endpoint, the endpoint called and their aliases)."`
	AssertionLifetime             Duration           `json:"client_assertion_lifetime,omitempty" from:"10s" to:"24h" doc:"How far ahead exp of a client assertion may lie."`
	ClockSkew                     Duration           `json:"clock_skew,omitempty" from:"10s" to:"5m" doc:"How far clocks may differ; with a FAPI policy at most 1m."`
	GrantTypes                    []string           `json:"grant_types,omitempty" choices:"grant" doc:"Grant types a client may register. Default all that are served."`
	HTTPSRedirects                *bool              `json:"https_redirect_uris,omitempty" doc:"Want https for the redirect URIs of web applications, and take no schemes of their own for those of native ones."`
	SenderConstrained             *bool              `json:"sender_constrained_access_tokens,omitempty" doc:"Refuse tokens that are bound to neither a certificate nor a DPoP key."`
	DPoPAlgs                      []string           `json:"dpop_signing_algs,omitempty" choices:"dpop-alg" doc:"JWS algorithms of DPoP proofs."`
	DPoPNonce                     *bool              `json:"dpop_nonce,omitempty" doc:"Want the server's nonce in every DPoP proof. A client that sends none is answered with one, and has to ask again."`
	TokenAlgs                     []string           `json:"access_token_signing_algs,omitempty" choices:"token-alg" doc:"JWS algorithms of access tokens; the first is used for clients that chose none."`
	AccessTokenLifetime           Duration           `json:"access_token_lifetime,omitempty" from:"10s" to:"24h" doc:"For clients that chose none."`
	MaxAccessTokenLifetime        Duration           `json:"max_access_token_lifetime,omitempty" from:"10s" to:"24h" doc:"The longest a client may choose."`
	RefreshRotation               *bool              `json:"refresh_rotation,omitempty" doc:"Exchange a refresh token for a new one at every use; otherwise the same one stays good."`
	RefreshForClientCredentials   *bool              `json:"refresh_for_client_credentials,omitempty" doc:"Let clients register for refresh tokens with the client credentials grant."`
	RefreshWithRenewedCertificate *bool              `json:"refresh_with_renewed_certificate,omitempty" doc:"Accept a renewed certificate of the same identity from the same CA with a refresh token that came with a bound token."`
	RefreshTokenLifetime          Duration           `json:"refresh_token_lifetime,omitempty" from:"10s" to:"87600h" doc:"For clients that chose none."`
	MaxRefreshTokenLifetime       Duration           `json:"max_refresh_token_lifetime,omitempty" from:"10s" to:"87600h" doc:"The longest a client may choose."`
	DNMatching                    mtls.Matching      `json:"dn_matching,omitempty" choices:"dn-matching" doc:"How a registered subject DN is held against a certificate's: strict, any_order (the same parts in another order are accepted) or brazil (any order, and only the spelling of Open Finance Brasil can be registered). Clients of an ecosystem with a rule of its own, which is Brazil, have that. Default strict."`
}

// Layout is a URL layout built on another.
type Layout struct {
	Base  string            `json:"base" required:"true" choices:"built-in layout" doc:"Built-in layout it starts from; every path left out is as there."`
	Paths map[string]string `json:"paths" doc:"Paths by metadata name, such as token_endpoint, and issuer, the path of the issuer identifier. {realm} stands for the realm's name. Of several paths, with spaces between, discovery lists the first."`
}

// Realm is one issuer.
type Realm struct {
	Issuer               string      `json:"issuer,omitempty" doc:"Issuer identifier. Default the standard listener's URL and the issuer path of the layout."`
	Layout               string      `json:"layout,omitempty" choices:"layout" doc:"Paths of the endpoints. Default default for the realm default, realm for any other."`
	Sandbox              bool        `json:"sandbox,omitempty" doc:"Explain refusals on the wire: error_uri leads to the trace."`
	Policy               string      `json:"policy,omitempty" choices:"policy" doc:"Security profile of clients that name none. Default fapi2."`
	Policies             []string    `json:"policies,omitempty" choices:"policy" doc:"Further profiles that clients of this realm may name."`
	Scopes               []string    `json:"scopes,omitempty" doc:"What clients can be registered for. Default openid, accounts, payments, directory:software."`
	Audience             string      `json:"audience,omitempty" doc:"The aud of tokens for the realm's own API. Default the URL of its bank."`
	Subject              string      `json:"subject,omitempty" doc:"The sub of tokens by client credentials; {client_id} stands for the client's id. Default {client_id}; CERN's is service-account-{client_id}."`
	FurtherClaims        []string    `json:"further_claims,omitempty" choices:"further-claim" doc:"Claims of other servers that access tokens, and answers to introspection, have beside those of RFC 9068, for APIs that read them: azp (the client_id), typ (Bearer or DPoP, as the token is sent), preferred_username (of a client service-account- and its id, of a user the userName), resource_access (the roles of each API), as Keycloak has them; cern_roles (the roles again), as CERN has it; azp, aut (APPLICATION, of a user's token APPLICATION_USER) and nbf (the iat again), as Asgardeo has them."`
	JSONRequests         bool        `json:"json_requests,omitempty" doc:"Accept JSON objects as request bodies where forms are expected."`
	EitherSecret         bool        `json:"either_secret_method,omitempty" doc:"Accept the secret of a client in the Authorization header or in the body, whether it is registered for client_secret_basic or client_secret_post."`
	RefreshWithoutSecret bool        `json:"refresh_without_secret,omitempty" doc:"Accept a refresh token with the client_id alone of clients that are registered for client_secret_basic or client_secret_post, as Aidbox does, unless the tokens are bound. Whoever has such a refresh token can use it, which RFC 6749 section 6 does not want, and anybody can find out which of these clients exist."`
	Clock                Offset      `json:"clock,omitempty" doc:"How far this realm's clock is off the machine's, such as 720h or -24h: certificates, assertions and tokens are judged by it."`
	Management           *Management `json:"management,omitempty" doc:"The management API, SCIM of the test users included, on the realm's own listeners, for clients with access tokens for it and its scopes, fapid:clients.read and so on. Off unless the key is there; the operator's listener has the same always."`
	Trust                Trust       `json:"trust" doc:"Which client certificates are accepted; at least one source."`
	JWKS                 Fetch       `json:"jwks" doc:"How a client's jwks_uri is fetched."`

	Registration *Registration `json:"registration,omitempty" doc:"Whose software may register itself. Without it nobody's."`
}

// Management says how the management API is served on a realm's own listeners.
type Management struct {
	UnboundTokens bool     `json:"unbound_tokens,omitempty" doc:"Accept access tokens that are bound to neither a certificate nor a DPoP key. Whoever sees such a token can manage the realm."`
	Basic         bool     `json:"basic,omitempty" doc:"Accept HTTP Basic authentication, too, of clients that are registered for the grant type basic, as Aidbox does."`
	Policies      []string `json:"policies,omitempty" choices:"policy" doc:"Security profiles that callers may put clients under. Default the realm's policy."`
}

// Trust says whom a realm believes.
type Trust struct {
	SandboxCA bool     `json:"sandbox_ca,omitempty" doc:"Trust the CA that fapid itself keeps in dir."`
	CAs       []string `json:"cas,omitempty" doc:"PEM files of further trusted roots and intermediates."`
	CRLs      []string `json:"crls,omitempty" doc:"Files with the revocation lists of those CAs, PEM or DER; a changed file is read again."`
}

// Fetch bounds what is fetched for a client.
type Fetch struct {
	AllowPrivate []netip.Prefix `json:"allow_private,omitempty" doc:"Private addresses a jwks_uri may resolve to, as prefixes."`
	CAs          []string       `json:"cas,omitempty" doc:"PEM files of further roots for the hosts that are fetched from."`
}

// Log says what is logged.
type Log struct {
	Level string `json:"level,omitempty" choices:"level" doc:"debug, info, warn or error; requests are logged at info. Default info."`
}
