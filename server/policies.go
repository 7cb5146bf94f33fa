package server

import (
	"time"

	"github.com/fapid/fapid/oauth"
)

const day = 24 * time.Hour

// policies are the built-in security profiles. A realm names the one its
// clients get by default; a client may name another that the realm allows.
//
// None of them leaves a grant type out. FAPI 2 section 5.3.2.1 forbids the
// password grant, which is not served, and wants every token bound to its sender.
// Token exchange and the JWT bearer grant keep that: what they give is bound by the
// same pipeline, and a bound token is never exchanged for one that is not.
var policies = map[string]oauth.Policy{
	// FAPI 2.0 Security Profile Final.
	"fapi2": {
		AuthMethods:                   []string{oauth.AuthTLS, oauth.AuthSelfSignedTLS, oauth.AuthPrivateKeyJWT},
		AssertionAlgs:                 []string{"PS256", "ES256", "EdDSA", "Ed25519"},
		AssertionAudience:             oauth.AudienceIssuer,
		AssertionLifetime:             10 * time.Minute,
		ClockSkew:                     30 * time.Second,
		HTTPSRedirects:                true,
		SenderConstrained:             true,
		DPoPAlgs:                      []string{"ES256", "PS256", "EdDSA", "Ed25519"},
		TokenAlgs:                     []string{"ES256", "PS256", "EdDSA"},
		AccessTokenLifetime:           5 * time.Minute,
		MaxAccessTokenLifetime:        time.Hour,
		RefreshWithRenewedCertificate: true,
		RefreshTokenLifetime:          30 * day,
		MaxRefreshTokenLifetime:       365 * day,
	},
	// FAPI 1.0 Advanced Final: PS256 and ES256 only, aud as OpenID Connect has it,
	// tokens bound to certificates (section 5.2.2), no DPoP.
	"fapi1-advanced": {
		AuthMethods:                   []string{oauth.AuthTLS, oauth.AuthSelfSignedTLS, oauth.AuthPrivateKeyJWT},
		AssertionAlgs:                 []string{"PS256", "ES256"},
		AssertionAudience:             oauth.AudienceEndpoints,
		AssertionLifetime:             time.Hour,
		ClockSkew:                     30 * time.Second,
		HTTPSRedirects:                true,
		SenderConstrained:             true,
		TokenAlgs:                     []string{"ES256", "PS256"},
		AccessTokenLifetime:           10 * time.Minute,
		MaxAccessTokenLifetime:        time.Hour,
		RefreshWithRenewedCertificate: true,
		RefreshTokenLifetime:          30 * day,
		MaxRefreshTokenLifetime:       365 * day,
	},
	// OAuth 2.0 with strong clients but free choice: what most sandboxes run.
	"sandbox": {
		AuthMethods:                   []string{oauth.AuthTLS, oauth.AuthSelfSignedTLS, oauth.AuthPrivateKeyJWT},
		AssertionAlgs:                 []string{"PS256", "ES256", "EdDSA", "Ed25519"},
		AssertionAudience:             oauth.AudienceEndpoints,
		AssertionLifetime:             time.Hour,
		ClockSkew:                     30 * time.Second,
		DPoPAlgs:                      []string{"ES256", "PS256", "EdDSA", "Ed25519"},
		TokenAlgs:                     []string{"ES256", "PS256", "EdDSA"},
		AccessTokenLifetime:           10 * time.Minute,
		MaxAccessTokenLifetime:        24 * time.Hour,
		RefreshRotation:               true,
		RefreshForClientCredentials:   true,
		RefreshWithRenewedCertificate: true,
		RefreshTokenLifetime:          30 * day,
		MaxRefreshTokenLifetime:       365 * day,
	},
	// Plain OAuth 2.0, client secrets included.
	"oauth2": {
		AuthMethods: []string{
			oauth.AuthTLS, oauth.AuthSelfSignedTLS, oauth.AuthPrivateKeyJWT,
			oauth.AuthSecretBasic, oauth.AuthSecretPost, oauth.AuthSecretJWT,
		},
		AssertionAlgs:                 []string{"PS256", "ES256", "EdDSA", "Ed25519", "RS256", "HS256", "HS384", "HS512"},
		AssertionAudience:             oauth.AudienceEndpoints,
		AssertionLifetime:             time.Hour,
		ClockSkew:                     30 * time.Second,
		DPoPAlgs:                      []string{"ES256", "PS256", "EdDSA", "Ed25519"},
		TokenAlgs:                     []string{"ES256", "PS256", "EdDSA", "RS256"},
		AccessTokenLifetime:           10 * time.Minute,
		MaxAccessTokenLifetime:        24 * time.Hour,
		RefreshRotation:               true,
		RefreshForClientCredentials:   true,
		RefreshWithRenewedCertificate: true,
		RefreshTokenLifetime:          30 * day,
		MaxRefreshTokenLifetime:       365 * day,
	},
}
