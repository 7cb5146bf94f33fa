package registration

import (
	"time"

	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/oauth"
)

// Facts that certificates state.
func softwareIDs(s *Statement) []string { return []string{s.SoftwareID} }
func orgIDs(s *Statement) []string      { return []string{s.OrgID} }
func orgNames(s *Statement) []string    { return []string{s.OrgName} }
func clientNames(s *Statement) []string { return []string{s.ClientName} }

// registrations are authority and number of the organisation with each of them.
func registrations(s *Statement) (ids []string) {
	for _, authority := range s.Authorities {
		if active(authority.Status) {
			ids = append(ids, authority.AuthorityCode+"-"+authority.RegistrationID)
		}
	}
	return ids
}

// byIDs is the subject of Raidiam's and Open Banking's own CAs.
var byIDs = Holder{
	{Attribute: "OU", Claim: "org_id", fact: orgIDs},
	{Attribute: "CN", Claim: "software_id", fact: softwareIDs},
}

// connectMembers are ruled so in a directory of Raidiam's.
var connectMembers = []MemberRule{
	{Member: "redirect_uris", Precedence: PartOf, Error: oauth.CodeInvalidRedirectURI},
	{Member: "jwks_uri", Precedence: MustAgree},
	{Member: "software_id", Precedence: MustAgree},
	{
		Member: "webhook_uris", Precedence: MustAgreeOrOff, Error: oauth.CodeInvalidWebhookURIs,
		Text: "The content of the webhook_uris field differs from what was registered in the software_statement observed through the JWS field's software_api_webhook_uris",
	},
	{Member: "client_name", Precedence: StatementWins},
	{Member: "client_uri", Precedence: StatementWins},
	{Member: "logo_uri", Precedence: StatementWins},
	{Member: "policy_uri", Precedence: StatementWins},
	{Member: "tos_uri", Precedence: StatementWins},
	{Member: "software_version", Precedence: StatementWins},
}

// allStated are the members that a statement decides about where it speaks.
func allStated(redirects, softwareID Precedence) []MemberRule {
	rules := []MemberRule{
		{Member: "redirect_uris", Precedence: redirects, Error: oauth.CodeInvalidRedirectURI},
		{Member: "software_id", Precedence: softwareID},
	}
	for _, member := range []string{"jwks_uri", "client_name", "client_uri", "logo_uri", "policy_uri", "tos_uri", "software_version"} {
		rules = append(rules, MemberRule{Member: member, Precedence: StatementWins})
	}
	return rules
}

// ecosystems is the table; adding one is adding a row. Where each demand comes
// from stands in docs/ecosystems.md, which is held against this table by a test.
var ecosystems = []Ecosystem{
	{
		Name: "rfc7591", About: "RFC 7591, with a software statement or without", Dialect: "rfc7591",
		// A statement without an end would be good for ever.
		Statement:  StatementRule{From: FromRequestOrNone, Algs: []string{"PS256", "ES256"}, Expires: true},
		Request:    RequestRule{MediaTypes: []string{MediaJSON}},
		Members:    allStated(StatementWins, StatementWins),
		AllStated:  true,
		InlineKeys: true,
		Duplicates: Duplicates{Do: AllowDuplicates},
		Management: Management{With: RegistrationToken, Rotated: true},
	},
	{
		Name: "uk", About: "UK Open Banking, DCR 3.2 and 3.3", Dialect: "uk",
		Statement: StatementRule{
			From: FromRequest, Algs: []string{"PS256", "ES256"}, MaxAge: 30 * time.Minute, LongestAge: 24 * time.Hour,
			ID: true, OrgStatus: true,
		},
		Request: RequestRule{
			MediaTypes: []string{MediaJOSE, MediaJWT}, Algs: []string{"PS256", "ES256"},
			Audience: ToAnyName, MaxLifetime: 30 * time.Minute,
		},
		Certificate: true,
		Holders: []Holder{
			byIDs,
			// OBWAC, then eIDAS: they name the organisation alone.
			{{Attribute: "CN", Claim: "org_id", fact: orgIDs}},
			{{Attribute: "organizationIdentifier", Claim: "authority_id and registration_id", fact: registrations, same: samePSD2}},
		},
		Members:          allStated(PartOf, MustAgree),
		Required:         []string{"token_endpoint_auth_method", "grant_types", "application_type", "id_token_signed_response_alg", "request_object_signing_alg"},
		Aliases:          map[string]string{"tls_client_auth_dn": mtls.KindSubjectDN}, // DCR 3.1
		MobileApps:       true,
		PublicRedirects:  true,
		AuthMethods:      []string{oauth.AuthPrivateKeyJWT, oauth.AuthTLS},
		AssertionAlg:     true,
		CertificateNames: []string{mtls.KindSubjectDN},
		Scope: ScopeRule{Roles: map[string]string{
			"AISP": "openid accounts", "PISP": "openid payments", "CBPII": "openid fundsconfirmations",
		}},
		Duplicates: Duplicates{Do: AllowDuplicates},
		Management: Management{With: AccessToken},
		Answer:     AnswerShape{Flat: true},
	},
	{
		Name: "brazil", About: "Open Finance Brasil, DCR 1.0", Dialect: "brazil",
		Statement: StatementRule{
			From: FromRequest, Algs: []string{"PS256"}, MaxAge: 5 * time.Minute, LongestAge: 5 * time.Minute, OrgStatus: true,
		},
		Request:     RequestRule{MediaTypes: []string{MediaJSON}},
		Certificate: true,
		Holders: []Holder{
			{
				{Attribute: "UID", Claim: "software_id", fact: softwareIDs},
				{Attribute: "organizationIdentifier", Prefix: "OFBBR-", Claim: "org_id", fact: orgIDs},
			},
			{ // certificates issued before September 2022
				{Attribute: "UID", Claim: "software_id", fact: softwareIDs},
				{Attribute: "OU", Claim: "org_id", fact: orgIDs},
			},
		},
		Members:          connectMembers,
		Required:         []string{"redirect_uris"},
		AuthMethods:      []string{oauth.AuthPrivateKeyJWT, oauth.AuthTLS},
		CertificateNames: []string{mtls.KindSubjectDN},
		DNMatching:       mtls.MatchBrazil,
		Scope: ScopeRule{Roles: map[string]string{
			"DADOS": "openid accounts credit-cards-accounts consents customers invoice-financings financings loans unarranged-accounts-overdraft resources bank-fixed-incomes credit-fixed-incomes variable-incomes treasure-titles funds exchanges",
			"PAGTO": "openid payments recurring-payments",
			"CONTA": "openid",
			"CCORR": "openid",
		}},
		Duplicates: Duplicates{Do: RefuseDuplicates, Error: oauth.CodeUnapprovedStatement},
		Management: Management{With: RegistrationToken},
	},
	{
		Name: "cdr", About: "Australian Consumer Data Right", Dialect: "cdr",
		Statement: StatementRule{From: FromRequest, Algs: []string{"PS256"}, Expires: true, ID: true, SingleUse: true, Role: "DATA_RECIPIENT"},
		Request: RequestRule{
			MediaTypes: []string{MediaJWT}, Algs: []string{"PS256", "ES256"}, Audience: ToIssuer,
		},
		Certificate: true,
		Holders: []Holder{
			{
				{Attribute: "CN", Claim: "client_name", fact: clientNames},
				{Attribute: "O", Claim: "org_name", fact: orgNames},
			},
			byIDs,
		},
		Members:     allStated(PartOf, MustAgree),
		Required:    []string{"token_endpoint_auth_method", "token_endpoint_auth_signing_alg", "grant_types", "response_types", "id_token_signed_response_alg"},
		AuthMethods: []string{oauth.AuthPrivateKeyJWT},
		Scope:       ScopeRule{Stated: true, Drop: true},
		Duplicates:  Duplicates{Do: RefuseDuplicates, Error: oauth.CodeInvalidStatement},
		Management:  Management{With: AccessToken, Scope: "cdr:registration"},
		Answer:      AnswerShape{Flat: true},
	},
	{
		Name: "uae", About: "UAE Open Finance (Al Tareq)", Dialect: "raidiam",
		Statement:   StatementRule{From: FromCertificate, OrgStatus: true},
		Request:     RequestRule{MediaTypes: []string{MediaJSON}},
		Certificate: true,
		Members:     allStated(StatementWins, StatementWins),
		AuthMethods: []string{oauth.AuthPrivateKeyJWT},
		Grants:      []string{"client_credentials", grantCode, grantRefresh},
		Scope: ScopeRule{Roles: map[string]string{
			"BDSP": "openid accounts", "BSIP": "openid payments", "IDSP": "openid insurance",
		}},
		Duplicates:  Duplicates{Do: ReplaceDuplicates},
		OwnClientID: true,
		Management:  Management{With: NoManagement},
		Answer:      AnswerShape{Empty: true},
	},
	{
		Name: "raidiam", About: "Raidiam Connect, as it comes", Dialect: "raidiam",
		Statement: StatementRule{
			From: FromRequest, Algs: []string{"PS256", "ES256"}, MaxAge: 30 * time.Minute, LongestAge: 24 * time.Hour, OrgStatus: true,
		},
		Request:     RequestRule{MediaTypes: []string{MediaJSON}},
		Certificate: true,
		Holders: []Holder{
			byIDs,
			{
				{Attribute: "UID", Claim: "software_id", fact: softwareIDs},
				{Attribute: "OU", Claim: "org_id", fact: orgIDs},
			},
		},
		Members:     connectMembers,
		AuthMethods: []string{oauth.AuthPrivateKeyJWT, oauth.AuthTLS},
		Duplicates:  Duplicates{Do: AllowDuplicates},
		Management:  Management{With: RegistrationToken},
	},
}
