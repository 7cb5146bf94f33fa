package registration

import (
	"slices"

	"github.com/fapid/fapid/mtls"
)

// Decides says who decides about a member of the metadata.
type Decides string

// Who decides.
const (
	// ClientDecides: software that registers itself sets it.
	ClientDecides Decides = "client"
	// EcosystemDecides: software sets it where its ecosystem has the member;
	// elsewhere it is not known.
	EcosystemDecides Decides = "client, in some ecosystems"
	// OperatorDecides: no software sets it, and what the operator has set stays.
	OperatorDecides Decides = "operator"
	// RegistryDecides: the registry says it, and passes it over on input, so that
	// what was answered can be sent back.
	RegistryDecides Decides = "registry"
)

// Otherwise says what becomes of a value that is well-formed and that this server
// cannot honour (RFC 7591 section 2): a client must never rely on it in vain, so
// what is not in force is not answered.
type Otherwise string

// What becomes of it.
const (
	Refused  Otherwise = "refused"
	LeftOut  Otherwise = "left out"
	Replaced Otherwise = "replaced"
	// Kept: there is nothing to honour, or nothing yet.
	Kept Otherwise = "kept"
)

// Member is a row of what is decided about a member.
type Member struct {
	Name      string
	By        Decides
	Otherwise Otherwise
	// Rule is what a value must be, for the documentation; the rules themselves
	// are the checks of [rules.build].
	Rule string
}

// Members is the table of all members, those of RFC 7591 and OpenID Connect first.
// A new member of [Metadata] is nobody's to set from outside until it stands here as
// the client's: see [memberOf].
func Members() []Member { return slices.Clone(members) }

const (
	ruleText    = "a text"
	ruleWebURI  = "https, a host that all readers understand alike; never fetched"
	ruleSigned  = "an algorithm that the policy signs with"
	ruleEncrypt = "nothing is encrypted here"
)

var members = []Member{
	{"redirect_uris", ClientDecides, Refused, "no fragment, no wildcard; https, or by `application_type`; needed with a grant that redirects"},
	{"application_type", ClientDecides, Refused, "`web` (also if absent) or `native`; `mobile` where the ecosystem says so for `native`"},
	{"token_endpoint_auth_method", ClientDecides, Refused, "one of the policy's"},
	{"token_endpoint_auth_signing_alg", ClientDecides, Refused, "one of the policy's, for which there is a key"},
	{"grant_types", ClientDecides, Refused, "served here, and in the policy"},
	{"response_types", ClientDecides, Refused, "`code`, `token`, `id_token` and combinations, with the grants they need (RFC 7591 section 2.1)"},
	{"scope", ClientDecides, Refused, "a text, or an array of texts, which becomes one; within what software may ask for"},
	{"client_name", ClientDecides, Kept, ruleText + "; shown as text, and marked for the operator where it could deceive"},
	{"client_uri", ClientDecides, Kept, ruleWebURI},
	{"logo_uri", ClientDecides, Kept, ruleWebURI},
	{"policy_uri", ClientDecides, Kept, ruleWebURI},
	{"tos_uri", ClientDecides, Kept, ruleWebURI},
	{"contacts", ClientDecides, Kept, "texts"},
	{memberLocalized, ClientDecides, Refused, "those of the five before that people read, in other languages: `client_name#fr` and so on; where a statement has the member, it has no others"},
	{"jwks", ClientDecides, Refused, "public keys, not beside `jwks_uri`; no weak ones, no private halves"},
	{"jwks_uri", ClientDecides, Refused, "https; fetched when a key is needed, from public addresses only"},
	{"software_id", ClientDecides, Kept, ruleText + "; what a statement says has precedence"},
	{"software_version", ClientDecides, Kept, ruleText + "; what a statement says has precedence"},

	{"sector_identifier_uri", ClientDecides, Refused, "https; fetched, and its array has every redirect URI (OpenID Connect Registration section 5)"},
	{"subject_type", ClientDecides, Refused, "`public`"},
	{"id_token_signed_response_alg", ClientDecides, Refused, ruleSigned + "; its first for clients with ID tokens that name none"},
	{"id_token_encrypted_response_alg", ClientDecides, Refused, ruleEncrypt},
	{"id_token_encrypted_response_enc", ClientDecides, Refused, ruleEncrypt},
	{"userinfo_signed_response_alg", ClientDecides, Refused, ruleSigned},
	{"userinfo_encrypted_response_alg", ClientDecides, Refused, ruleEncrypt},
	{"userinfo_encrypted_response_enc", ClientDecides, Refused, ruleEncrypt},
	{"request_object_signing_alg", ClientDecides, Refused, "one that the policy has for client assertions, for which there is a key"},
	{"request_object_encryption_alg", ClientDecides, Refused, ruleEncrypt},
	{"request_object_encryption_enc", ClientDecides, Refused, ruleEncrypt},
	{"default_max_age", ClientDecides, Kept, "seconds, from 0 on"},
	{"require_auth_time", ClientDecides, Kept, "true or false"},
	{"default_acr_values", ClientDecides, Kept, "texts"},
	{"initiate_login_uri", ClientDecides, Kept, ruleWebURI},
	{"request_uris", ClientDecides, Kept, "https, with the SHA-256 of the content as fragment or without; not fetched when registered"},
	{"post_logout_redirect_uris", ClientDecides, Refused, "as `redirect_uris`"},
	{"frontchannel_logout_uri", ClientDecides, Refused, "at the scheme, host and port of a redirect URI"},
	{"frontchannel_logout_session_required", ClientDecides, Kept, "true or false"},
	{"backchannel_logout_uri", ClientDecides, Kept, ruleWebURI + " when registered"},
	{"backchannel_logout_session_required", ClientDecides, Kept, "true or false"},

	{mtls.KindSubjectDN, ClientDecides, Refused, "with `tls_client_auth`, exactly one of the five; a name of RFC 4514"},
	{mtls.KindSANDNS, ClientDecides, Refused, "one of the five; a DNS name"},
	{mtls.KindSANURI, ClientDecides, Refused, "one of the five; a URI"},
	{mtls.KindSANIP, ClientDecides, Refused, "one of the five; an IP address"},
	{mtls.KindSANEmail, ClientDecides, Refused, "one of the five; an address"},
	{"tls_client_certificate_bound_access_tokens", ClientDecides, Kept, "true or false; a policy that wants tokens bound wants it whatever this says"},
	{"dpop_bound_access_tokens", ClientDecides, Refused, "true or false; true where the policy has DPoP"},
	{"use_mtls_endpoint_aliases", ClientDecides, Kept, "true or false"},
	{"introspection_signed_response_alg", ClientDecides, Refused, ruleSigned},
	{"introspection_encrypted_response_alg", ClientDecides, Refused, ruleEncrypt},
	{"introspection_encrypted_response_enc", ClientDecides, Refused, ruleEncrypt},
	{"require_pushed_authorization_requests", ClientDecides, Kept, "true or false"},
	{"require_signed_request_object", ClientDecides, Refused, "true or false; true for clients with keys"},
	{"authorization_details_types", ClientDecides, LeftOut, "types that are served here"},
	{"authorization_signed_response_alg", ClientDecides, Refused, ruleSigned},
	{"authorization_encrypted_response_alg", ClientDecides, Refused, ruleEncrypt},
	{"authorization_encrypted_response_enc", ClientDecides, Refused, ruleEncrypt},
	{"backchannel_token_delivery_mode", ClientDecides, Refused, "`poll` or `ping`"},
	{"backchannel_client_notification_endpoint", ClientDecides, Refused, "https; with `ping`, and with nothing else"},
	{"backchannel_authentication_request_signing_alg", ClientDecides, Refused, "one that the policy has for client assertions, for which there is a key"},
	{"backchannel_user_code_parameter", ClientDecides, Replaced, "`false`: there are no user codes here"},
	{"webhook_uris", EcosystemDecides, Refused, "https; those of the statement"},

	{"client_id", RegistryDecides, Kept, "never one that another client has or had; on an update the client's own"},
	{"client_id_issued_at", RegistryDecides, Kept, "seconds since 1970"},
	{"software_statement_issuer", OperatorDecides, Refused, "who vouched for the software, by the name that the realm has for him"},
	{"ecosystem", OperatorDecides, Refused, "whose rules the client registered itself by"},
	{"registered_by", OperatorDecides, Refused, "what let the client register itself"},
	{"registration_scope", OperatorDecides, Refused, "the most that the client may give itself; empty is what the realm lets any have"},
	{"registration_locked", OperatorDecides, Refused, "true: the client may read its registration, and neither change nor delete it"},
	{"disabled", OperatorDecides, Refused, "true: no tokens, those there are dead, and the registration cannot be reached"},
	{"client_secret", OperatorDecides, Refused, "made here for methods that want one, 390 bits, without an end; the client may send the one it has"},
	{"policy", OperatorDecides, Refused, "that of the initial access token, of the issuer of the statement, or the realm's for registrations"},
	{"default_audience", OperatorDecides, Refused, "APIs of the realm, which tokens are for when the client asks for none"},
	{"access_token_signed_response_alg", OperatorDecides, Refused, ruleSigned},
	{"access_token_expiration", OperatorDecides, Refused, "seconds, within the policy's"},
	{"access_token_format", OperatorDecides, Refused, "`jwt` or `opaque`"},
	{"record_access_tokens", OperatorDecides, Refused, "true or false"},
	{"refresh_token", OperatorDecides, Refused, "true where the policy has refresh tokens with client credentials"},
	{"refresh_token_expiration", OperatorDecides, Refused, "seconds, within the policy's"},
	{"refresh_token_expiration_from", OperatorDecides, Refused, "`issue` or `last_use`"},
}

// ofRequests are members of an answer, or claims of a signed request, that are no
// part of the metadata: passed over, so that what was answered can be sent back.
var ofRequests = []string{
	"client_secret_expires_at", "registration_access_token", "registration_client_uri", "software_statement",
	"iss", "aud", "iat", "exp", "nbf", "jti", "sub",
}

var memberRows = func() map[string]*Member {
	rows := make(map[string]*Member, len(members))
	for i := range members {
		rows[members[i].Name] = &members[i]
	}
	return rows
}()

// decides says who decides about a member. One that nobody has decided about is
// the operator's.
func decides(name string) Decides {
	if row, ok := memberRows[name]; ok {
		return row.By
	}
	return OperatorDecides
}

// passedOver reports whether a member of a request is none of the metadata, or one
// that only the registry says.
func passedOver(name string) bool {
	return slices.Contains(ofRequests, name) || memberRows[name] != nil && memberRows[name].By == RegistryDecides
}
