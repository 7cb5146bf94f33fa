package oauth

import (
	"slices"
	"time"
)

// Client authentication methods, as registered in token_endpoint_auth_method.
const (
	AuthTLS           = "tls_client_auth"             // RFC 8705 section 2.1
	AuthSelfSignedTLS = "self_signed_tls_client_auth" // RFC 8705 section 2.2
	AuthPrivateKeyJWT = "private_key_jwt"             // OpenID Connect Core section 9, RFC 7523
	AuthSecretBasic   = "client_secret_basic"         // RFC 6749 section 2.3.1
	AuthSecretPost    = "client_secret_post"          // RFC 6749 section 2.3.1
	AuthSecretJWT     = "client_secret_jwt"           // OpenID Connect Core section 9
)

// Policy is a security profile as a value. No flow asks which profile it is in;
// it asks the policy for the one thing it needs to know.
type Policy struct {
	Name string `json:"name"`

	// AuthMethods are the client authentication methods a client may register.
	AuthMethods []string `json:"token_endpoint_auth_methods"`
	// AssertionAlgs are the JWS algorithms of client assertions.
	AssertionAlgs []string `json:"token_endpoint_auth_signing_algs"`
	// AssertionAudience is what a client assertion may name as aud.
	AssertionAudience AudienceRule `json:"client_assertion_audience"`
	// AssertionLifetime is the furthest exp may lie ahead.
	AssertionLifetime time.Duration `json:"client_assertion_lifetime"`
	// ClockSkew is how far iat and nbf may lie ahead and exp behind; of a DPoP
	// proof, how far iat may lie ahead, and beyond its age behind.
	// FAPI 2 section 5.3.2.1: 10 s must be accepted, more than 60 s refused.
	ClockSkew time.Duration `json:"clock_skew"`

	// GrantTypes are those a client may register; with none, all that are served.
	GrantTypes []string `json:"grant_types,omitempty"`

	// HTTPSRedirects wants https for the redirect URIs of web applications, and no
	// schemes of their own for those of native ones (FAPI 2 section 5.3.2.2).
	HTTPSRedirects bool `json:"https_redirect_uris"`

	// SenderConstrained refuses every token that is bound to neither a
	// certificate nor a DPoP key.
	SenderConstrained bool `json:"sender_constrained_access_tokens"`
	// DPoPAlgs are the JWS algorithms of DPoP proofs (RFC 9449 section 4.3);
	// with none, the policy knows no DPoP.
	DPoPAlgs []string `json:"dpop_signing_algs"`
	// DPoPNonce wants the server's nonce in every proof (RFC 9449 section 8).
	DPoPNonce bool `json:"dpop_nonce"`

	// TokenAlgs are the JWS algorithms of access tokens and signed answers;
	// the first is used for clients that chose none.
	TokenAlgs []string `json:"access_token_signing_algs"`
	// AccessTokenLifetime is used for clients that chose none,
	// MaxAccessTokenLifetime is the longest a client may choose.
	AccessTokenLifetime    time.Duration `json:"access_token_lifetime"`
	MaxAccessTokenLifetime time.Duration `json:"max_access_token_lifetime"`

	// RefreshRotation exchanges a refresh token for a new one at every use
	// (RFC 9700 section 4.14.2); otherwise the same one stays good, as FAPI 2
	// section 5.3.2.1 wants it for clients that are bound or authenticated.
	RefreshRotation bool `json:"refresh_rotation"`
	// RefreshForClientCredentials lets clients have refresh tokens with the client
	// credentials grant, which RFC 6749 section 4.4.3 advises against.
	RefreshForClientCredentials bool `json:"refresh_for_client_credentials"`
	// RefreshWithRenewedCertificate accepts another certificate of the same
	// registered identity from the same CA than the one the tokens were bound to at
	// first.
	RefreshWithRenewedCertificate bool `json:"refresh_with_renewed_certificate"`
	// RefreshTokenLifetime is used for clients that chose none,
	// MaxRefreshTokenLifetime is the longest a client may choose.
	RefreshTokenLifetime    time.Duration `json:"refresh_token_lifetime"`
	MaxRefreshTokenLifetime time.Duration `json:"max_refresh_token_lifetime"`

	// DNMatching is how a registered subject is held against a certificate's:
	// strict (also if empty), any_order or brazil, as mtls.Matching has them. The
	// rule of a client's ecosystem comes first.
	DNMatching string `json:"dn_matching"`
}

// AudienceRule says which aud values a client assertion may carry.
type AudienceRule string

const (
	// AudienceIssuer: the issuer as a single string, nothing else
	// (FAPI 2 Security Profile Final section 5.3.2.1).
	AudienceIssuer AudienceRule = "issuer"
	// AudienceEndpoints: issuer, token endpoint, the endpoint called, or their
	// mTLS aliases, alone or in an array (OpenID Connect Core section 9,
	// FAPI 1 Advanced).
	AudienceEndpoints AudienceRule = "endpoints"
)

// Grants reports whether clients under the policy may register a grant type.
func (p *Policy) Grants(grantType string) bool {
	return len(p.GrantTypes) == 0 || slices.Contains(p.GrantTypes, grantType)
}

// Allows reports whether the client authentication method is in the policy.
func (p *Policy) Allows(method string) bool { return slices.Contains(p.AuthMethods, method) }
