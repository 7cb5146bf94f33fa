package registration

import "time"

// envelope are the claims of every statement (RFC 7519 section 4.1).
var envelope = []claim{
	{"iss", text(func(s *Statement) *string { return &s.Issuer })},
	{"iat", seconds(func(s *Statement) *int64 { return &s.IssuedAt })},
	{"exp", seconds(func(s *Statement) *int64 { return &s.Expires })},
	{"jti", text(func(s *Statement) *string { return &s.ID })},
}

// The facts that are one string or a list of them.
var (
	softwareID          = text(func(s *Statement) *string { return &s.SoftwareID })
	softwareScope       = text(func(s *Statement) *string { return &s.Scope })
	clientID            = text(func(s *Statement) *string { return &s.ClientID })
	clientName          = text(func(s *Statement) *string { return &s.ClientName })
	softwareDescription = text(func(s *Statement) *string { return &s.Description })
	softwareVersion     = text(func(s *Statement) *string { return &s.Version })
	softwareEnvironment = text(func(s *Statement) *string { return &s.Environment })
	softwareMode        = text(func(s *Statement) *string { return &s.Mode })
	softwareStatus      = text(func(s *Statement) *string { return &s.Status })
	onBehalfOf          = text(func(s *Statement) *string { return &s.OnBehalfOf })

	clientURI       = text(func(s *Statement) *string { return &s.ClientURI })
	logoURI         = text(func(s *Statement) *string { return &s.LogoURI })
	policyURI       = text(func(s *Statement) *string { return &s.PolicyURI })
	tosURI          = text(func(s *Statement) *string { return &s.TosURI })
	notificationURI = text(func(s *Statement) *string { return &s.NotificationURI })
	redirectURIs    = texts(func(s *Statement) *[]string { return &s.RedirectURIs })
	webhookURIs     = texts(func(s *Statement) *[]string { return &s.WebhookURIs })
	origins         = texts(func(s *Statement) *[]string { return &s.Origins })

	jwksURI                  = text(func(s *Statement) *string { return &s.JWKSURI })
	inactiveJWKSURI          = text(func(s *Statement) *string { return &s.InactiveJWKSURI })
	transportJWKSURI         = text(func(s *Statement) *string { return &s.TransportJWKSURI })
	inactiveTransportJWKSURI = text(func(s *Statement) *string { return &s.InactiveTransportJWKSURI })

	orgID                       = text(func(s *Statement) *string { return &s.OrgID })
	orgName                     = text(func(s *Statement) *string { return &s.OrgName })
	orgNumber                   = text(func(s *Statement) *string { return &s.OrgNumber })
	orgStatus                   = text(func(s *Statement) *string { return &s.OrgStatus })
	legalName                   = text(func(s *Statement) *string { return &s.LegalName })
	orgJWKSURI                  = text(func(s *Statement) *string { return &s.OrgJWKSURI })
	orgInactiveJWKSURI          = text(func(s *Statement) *string { return &s.OrgInactiveJWKSURI })
	orgTransportJWKSURI         = text(func(s *Statement) *string { return &s.OrgTransportJWKSURI })
	orgInactiveTransportJWKSURI = text(func(s *Statement) *string { return &s.OrgInactiveTransportJWKSURI })
)

// connect are the claims of a Raidiam Connect directory, in Brazil and elsewhere.
// The roles with their status stand before their mere names, which say less.
var connect = []claim{
	{"software_mode", softwareMode},
	{"software_redirect_uris", redirectURIs},
	{"software_statement_roles", roleList{}},
	{"software_roles", roleNames{}},
	{"software_client_name", clientName},
	{"software_client_id", clientID},
	{"software_client_description", softwareDescription},
	{"software_client_uri", clientURI},
	{"software_id", softwareID},
	{"software_version", softwareVersion},
	{"software_environment", softwareEnvironment},
	{"software_status", softwareStatus},
	{"software_tos_uri", tosURI},
	{"software_policy_uri", policyURI},
	{"software_logo_uri", logoURI},
	{"software_on_behalf_of", onBehalfOf},
	{"software_api_webhook_uris", webhookURIs},
	{"software_origin_uris", origins},
	{"software_jwks_uri", jwksURI},
	{"software_jwks_inactive_uri", inactiveJWKSURI},
	{"software_jwks_transport_uri", transportJWKSURI},
	{"software_jwks_transport_inactive_uri", inactiveTransportJWKSURI},
	// As in the encoded sample of Open Finance Brasil's specification.
	{"software_jwks_endpoint", older{jwksURI}},
	{"software_jwks_inactive_endpoint", older{inactiveJWKSURI}},
	{"software_jwks_transport_endpoint", older{transportJWKSURI}},
	{"software_jwks_transport_inactive_endpoint", older{inactiveTransportJWKSURI}},
	{"org_id", orgID},
	{"org_name", orgName},
	{"org_number", orgNumber},
	{"org_status", orgStatus},
	{"org_jwks_uri", orgJWKSURI},
	{"org_jwks_inactive_uri", orgInactiveJWKSURI},
	{"org_jwks_transport_uri", orgTransportJWKSURI},
	{"org_jwks_transport_inactive_uri", orgInactiveTransportJWKSURI},
	{"organisation_competent_authority_claims", authorityList{}},
}

// dialects is the table; adding an ecosystem is adding a row.
var dialects = []Dialect{
	{
		Name: "raidiam", About: "Raidiam Connect, as it comes",
		Issuer: "fapid sandbox SSA issuer", Algs: []string{"PS256", "ES256"}, claims: connect,
	},
	{
		// Open Finance Brasil takes PS256 alone, goes by the age of iat, and has
		// neither exp nor jti (DCR 1.0 ID3 section 7.1).
		Name: "brazil", About: "Open Finance Brasil",
		Issuer: "Open Banking Open Banking Brasil sandbox SSA issuer", Algs: []string{"PS256"}, claims: connect,
	},
	{
		Name: "uk", About: "UK Open Banking, DCR 3.2 and 3.3",
		Issuer: "OpenBanking Ltd", Algs: []string{"PS256", "ES256"}, Unique: true,
		claims: []claim{
			{"software_id", softwareID},
			{"software_client_id", clientID},
			{"software_client_name", clientName},
			{"software_client_description", softwareDescription},
			{"software_client_uri", clientURI},
			{"software_version", softwareVersion},
			{"software_environment", softwareEnvironment},
			{"software_mode", softwareMode},
			{"software_jwks_endpoint", jwksURI},
			{"software_jwks_revoked_endpoint", inactiveJWKSURI},
			{"software_logo_uri", logoURI},
			{"software_on_behalf_of_org", onBehalfOf},
			{"software_policy_uri", policyURI},
			{"software_redirect_uris", redirectURIs},
			{"software_roles", roleNames{}},
			{"software_tos_uri", tosURI},
			{"org_id", orgID},
			{"org_name", orgName},
			{"org_status", orgStatus},
			{"org_jwks_endpoint", orgJWKSURI},
			{"org_jwks_revoked_endpoint", orgInactiveJWKSURI},
			{"organisation_competent_authority_claims", authorityObject{}},
		},
	},
	{
		// The names of RFC 7591 instead of software_, ten minutes, and one use.
		Name: "cdr", About: "Australian Consumer Data Right",
		Issuer: "cdr-register", Algs: []string{"PS256"}, Lifetime: 10 * time.Minute, Unique: true,
		Scope: "openid profile common:customer.basic:read bank:accounts.basic:read bank:accounts.detail:read bank:transactions:read bank:payees:read bank:regular_payments:read cdr:registration",
		claims: []claim{
			{"legal_entity_id", repeated{orgID}},
			{"legal_entity_name", legalName},
			{"org_id", orgID},
			{"org_name", orgName},
			{"client_name", clientName},
			{"client_description", softwareDescription},
			{"client_uri", clientURI},
			{"redirect_uris", redirectURIs},
			{"logo_uri", logoURI},
			{"tos_uri", tosURI},
			{"policy_uri", policyURI},
			{"jwks_uri", jwksURI},
			{"revocation_uri", notificationURI},
			{"recipient_base_uri", repeated{clientURI}},
			{"software_id", softwareID},
			{"software_roles", fixed{"data-recipient-software-product"}},
			{"scope", softwareScope},
		},
	},
	{
		Name: "rfc7591", About: "the names of RFC 7591 and nothing else",
		Algs: []string{"PS256", "ES256"}, Lifetime: time.Hour, Unique: true,
		claims: []claim{
			{"software_id", softwareID},
			{"software_version", softwareVersion},
			{"client_name", clientName},
			{"client_uri", clientURI},
			{"logo_uri", logoURI},
			{"policy_uri", policyURI},
			{"tos_uri", tosURI},
			{"redirect_uris", redirectURIs},
			{"jwks_uri", jwksURI},
		},
	},
}
