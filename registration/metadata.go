// Package registration keeps the clients of a realm: what they registered, the
// rules it was held to, and their keys.
//
// A registration is refused as a whole or becomes a [Client], in which everything
// is parsed once. Clients are served from memory; nothing on the token path reads
// the store or parses metadata again. The package serves no HTTP; the one thing
// it fetches is a jwks_uri, through a [Fetcher] that goes nowhere private.
package registration

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/fapid/fapid/mtls"
)

// Metadata is a client's registration, as RFC 7591 section 2 and OpenID Connect
// Dynamic Client Registration section 2 name it, plus fapid's own members. Its
// JSON form is what a client may be shown: it never holds the secret.
type Metadata struct {
	ClientID string `json:"client_id,omitempty"`
	// ClientIDIssuedAt is set by the registry (seconds since 1970) and
	// ignored on input, so that what was read can be put back.
	ClientIDIssuedAt int64 `json:"client_id_issued_at,omitempty"`
	// ClientSecret is input only; the registry keeps a keyed hash of it.
	ClientSecret Secret `json:"-" input:"client_secret"`

	ClientName string   `json:"client_name,omitempty"`
	ClientURI  string   `json:"client_uri,omitempty"`
	LogoURI    string   `json:"logo_uri,omitempty"`
	PolicyURI  string   `json:"policy_uri,omitempty"`
	TosURI     string   `json:"tos_uri,omitempty"`
	Contacts   []string `json:"contacts,omitempty"`
	// Localized are those of the members before that people read in other languages, by
	// the names they have in a registration, such as client_name#fr (RFC 7591 section 2.2).
	Localized map[string]string `json:"localized,omitempty"`

	TokenEndpointAuthMethod     string   `json:"token_endpoint_auth_method,omitempty"`
	TokenEndpointAuthSigningAlg string   `json:"token_endpoint_auth_signing_alg,omitempty"`
	GrantTypes                  []string `json:"grant_types,omitempty"`
	ResponseTypes               []string `json:"response_types,omitempty"`
	RedirectURIs                []string `json:"redirect_uris,omitempty"`
	Scope                       string   `json:"scope,omitempty"` // space separated

	JWKS    json.RawMessage `json:"jwks,omitempty"`
	JWKSURI string          `json:"jwks_uri,omitempty"`

	// The five names of RFC 8705 section 2.1.2, of which a tls_client_auth
	// client registers exactly one.
	TLSClientAuthSubjectDN string `json:"tls_client_auth_subject_dn,omitempty"`
	TLSClientAuthSANDNS    string `json:"tls_client_auth_san_dns,omitempty"`
	TLSClientAuthSANURI    string `json:"tls_client_auth_san_uri,omitempty"`
	TLSClientAuthSANIP     string `json:"tls_client_auth_san_ip,omitempty"`
	TLSClientAuthSANEmail  string `json:"tls_client_auth_san_email,omitempty"`

	// CertificateBoundTokens is RFC 8705 section 3.4.
	CertificateBoundTokens bool `json:"tls_client_certificate_bound_access_tokens,omitempty"`
	// DPoPBoundTokens is RFC 9449 section 5.2.
	DPoPBoundTokens bool `json:"dpop_bound_access_tokens,omitempty"`
	// UseMTLSAliases says that the client calls the mtls_endpoint_aliases (FAPI 2.0).
	UseMTLSAliases bool `json:"use_mtls_endpoint_aliases,omitempty"`
	// IntrospectionSignedResponseAlg and what follows it are RFC 9701 section 6.
	IntrospectionSignedResponseAlg    string `json:"introspection_signed_response_alg,omitempty"`
	IntrospectionEncryptedResponseAlg string `json:"introspection_encrypted_response_alg,omitempty"`
	IntrospectionEncryptedResponseEnc string `json:"introspection_encrypted_response_enc,omitempty"`

	// OpenID Connect Dynamic Client Registration section 2.
	ApplicationType             string   `json:"application_type,omitempty"` // web or native
	SectorIdentifierURI         string   `json:"sector_identifier_uri,omitempty"`
	SubjectType                 string   `json:"subject_type,omitempty"`
	IDTokenSignedResponseAlg    string   `json:"id_token_signed_response_alg,omitempty"`
	IDTokenEncryptedResponseAlg string   `json:"id_token_encrypted_response_alg,omitempty"`
	IDTokenEncryptedResponseEnc string   `json:"id_token_encrypted_response_enc,omitempty"`
	UserinfoSignedResponseAlg   string   `json:"userinfo_signed_response_alg,omitempty"`
	UserinfoEncryptedAlg        string   `json:"userinfo_encrypted_response_alg,omitempty"`
	UserinfoEncryptedEnc        string   `json:"userinfo_encrypted_response_enc,omitempty"`
	RequestObjectSigningAlg     string   `json:"request_object_signing_alg,omitempty"`
	RequestObjectEncryptionAlg  string   `json:"request_object_encryption_alg,omitempty"`
	RequestObjectEncryptionEnc  string   `json:"request_object_encryption_enc,omitempty"`
	DefaultMaxAge               *int64   `json:"default_max_age,omitempty"` // seconds; 0 is a login every time
	RequireAuthTime             bool     `json:"require_auth_time,omitempty"`
	DefaultACRValues            []string `json:"default_acr_values,omitempty"`
	InitiateLoginURI            string   `json:"initiate_login_uri,omitempty"`
	RequestURIs                 []string `json:"request_uris,omitempty"`

	// OpenID Connect RP-Initiated, Front-Channel and Back-Channel Logout 1.0.
	PostLogoutRedirectURIs     []string `json:"post_logout_redirect_uris,omitempty"`
	FrontchannelLogoutURI      string   `json:"frontchannel_logout_uri,omitempty"`
	FrontchannelLogoutSession  bool     `json:"frontchannel_logout_session_required,omitempty"`
	BackchannelLogoutURI       string   `json:"backchannel_logout_uri,omitempty"`
	BackchannelLogoutSession   bool     `json:"backchannel_logout_session_required,omitempty"`
	RequirePAR                 bool     `json:"require_pushed_authorization_requests,omitempty"` // RFC 9126 section 6
	RequireSignedRequestObject bool     `json:"require_signed_request_object,omitempty"`         // RFC 9101 section 10.5
	AuthorizationDetailsTypes  []string `json:"authorization_details_types,omitempty"`           // RFC 9396 section 10

	// JARM section 3.
	AuthorizationSignedResponseAlg    string `json:"authorization_signed_response_alg,omitempty"`
	AuthorizationEncryptedResponseAlg string `json:"authorization_encrypted_response_alg,omitempty"`
	AuthorizationEncryptedResponseEnc string `json:"authorization_encrypted_response_enc,omitempty"`

	// OpenID Connect CIBA section 4.
	BackchannelTokenDeliveryMode    string `json:"backchannel_token_delivery_mode,omitempty"` // poll or ping
	BackchannelNotificationEndpoint string `json:"backchannel_client_notification_endpoint,omitempty"`
	BackchannelRequestSigningAlg    string `json:"backchannel_authentication_request_signing_alg,omitempty"`
	BackchannelUserCode             bool   `json:"backchannel_user_code_parameter,omitempty"`

	SoftwareID      string `json:"software_id,omitempty"`
	SoftwareVersion string `json:"software_version,omitempty"`
	// SoftwareStatementIssuer names who vouched for SoftwareID in a software
	// statement: [DirectoryIssuer], or an issuer that the realm trusts, by the name
	// it has there. Empty is nobody, and then SoftwareID is the client's own word.
	SoftwareStatementIssuer string `json:"software_statement_issuer,omitempty"`
	// Ecosystem names the [Ecosystem] whose rules the client registered itself by;
	// empty for one that somebody else has registered.
	Ecosystem string `json:"ecosystem,omitempty"`
	// WebhookURIs are where a bank's APIs tell the software of events (Open Finance
	// Brasil).
	WebhookURIs []string `json:"webhook_uris,omitempty"`

	// RegisteredBy says what let a client register itself: open, certificate,
	// software_statement, or initial_access_token and its id. Empty is the operator.
	RegisteredBy string `json:"registered_by,omitempty"`
	// RegistrationScope is the most that a client which registered itself may give
	// itself (space separated); empty is what the realm lets any of them have.
	RegistrationScope string `json:"registration_scope,omitempty"`
	// RegistrationLocked leaves the client as it is: it may neither change nor
	// delete its registration.
	RegistrationLocked bool `json:"registration_locked,omitempty"`
	// Disabled clients get no tokens, those they have are dead, and their
	// registration cannot be reached.
	Disabled bool `json:"disabled,omitempty"`

	// Policy names the security profile the client is held to.
	Policy string `json:"policy,omitempty"`
	// AccessTokenSignedResponseAlg is the JWS algorithm of the client's access
	// tokens; empty is the policy's first.
	AccessTokenSignedResponseAlg string `json:"access_token_signed_response_alg,omitempty"`
	// AccessTokenExpiration is the lifetime of access tokens in seconds;
	// 0 is the policy's.
	AccessTokenExpiration int64 `json:"access_token_expiration,omitempty"`
	// AccessTokenFormat is "jwt" or "opaque"; empty is jwt. An API that says
	// which it wants goes first.
	AccessTokenFormat string `json:"access_token_format,omitempty"`
	// RecordAccessTokens lists the client's JWT access tokens among the
	// sessions; opaque ones always are.
	RecordAccessTokens bool `json:"record_access_tokens,omitempty"`
	// RefreshToken gives the client refresh tokens with the client credentials
	// grant, too, and with them the grant refresh_token.
	RefreshToken bool `json:"refresh_token,omitempty"`
	// RefreshTokenExpiration is the lifetime of refresh tokens in seconds; 0 is
	// the policy's. RefreshTokenExpirationFrom is what it is counted from:
	// "issue", which empty is, or "last_use".
	RefreshTokenExpiration     int64  `json:"refresh_token_expiration,omitempty"`
	RefreshTokenExpirationFrom string `json:"refresh_token_expiration_from,omitempty"`
	// DefaultAudience are the APIs that the client's tokens are for when it asks
	// for none; empty is the realm's own.
	DefaultAudience []string `json:"default_audience,omitempty"`
}

// tlsName is one of the five RFC 8705 names with what a client registered.
type tlsName struct{ member, value string }

func (m *Metadata) tlsNames() []tlsName {
	all := []tlsName{
		{mtls.KindSubjectDN, m.TLSClientAuthSubjectDN},
		{mtls.KindSANDNS, m.TLSClientAuthSANDNS},
		{mtls.KindSANURI, m.TLSClientAuthSANURI},
		{mtls.KindSANIP, m.TLSClientAuthSANIP},
		{mtls.KindSANEmail, m.TLSClientAuthSANEmail},
	}
	return slices.DeleteFunc(all, func(n tlsName) bool { return n.value == "" })
}

// clone shares no memory that a caller could change.
func (m *Metadata) clone() Metadata {
	c := *m
	if m.DefaultMaxAge != nil {
		age := *m.DefaultMaxAge
		c.DefaultMaxAge = &age
	}
	c.Contacts = slices.Clone(m.Contacts)
	c.Localized = maps.Clone(m.Localized)
	c.GrantTypes = slices.Clone(m.GrantTypes)
	c.ResponseTypes = slices.Clone(m.ResponseTypes)
	c.RedirectURIs = slices.Clone(m.RedirectURIs)
	c.WebhookURIs = slices.Clone(m.WebhookURIs)
	c.DefaultACRValues = slices.Clone(m.DefaultACRValues)
	c.RequestURIs = slices.Clone(m.RequestURIs)
	c.PostLogoutRedirectURIs = slices.Clone(m.PostLogoutRedirectURIs)
	c.AuthorizationDetailsTypes = slices.Clone(m.AuthorizationDetailsTypes)
	c.DefaultAudience = slices.Clone(m.DefaultAudience)
	c.JWKS = slices.Clone(m.JWKS)
	return c
}

// Secret is a client secret, or a user's password, on its way in. No format verb, JSON encoder or
// logger prints it.
type Secret string

const redacted = "[secret]"

// Format prints a placeholder whatever the verb.
func (Secret) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, redacted) }

// MarshalText gives a placeholder to encoders.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
