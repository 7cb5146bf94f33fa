package server

import (
	"slices"

	"github.com/fapid/fapid/certs"
	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/directory"
	"github.com/fapid/fapid/server/manage"
	"github.com/fapid/fapid/server/participant"
	"github.com/fapid/fapid/server/users"
)

// sampleRealms are the realms of a fresh sandbox: the default one explains its
// refusals, "strict" says what production would, "cdr" and "uae" take the software of
// ecosystems that need scopes and rules of their own, and each of the others has the
// paths of another server, with the client of that server's documentation, whose secret
// is taken in the header and in the body as those servers do.
func sampleRealms() map[string]*Realm {
	plain := func(layout string, scopes ...string) *Realm {
		return &Realm{
			Layout: layout, Sandbox: true, Policy: "oauth2", Scopes: scopes, EitherSecret: true,
			Management: &Management{}, Registration: &Registration{Access: anyWay},
		}
	}
	myrealm := plain("keycloak", "openid", "accounts")
	myrealm.FurtherClaims = []string{"azp", "typ", "preferred_username", "resource_access"}
	cern := plain("cern", "openid", "accounts")
	cern.Subject = "service-account-{client_id}"
	cern.FurtherClaims = []string{"azp", "typ", "preferred_username", "resource_access", "cern_roles"}
	myorg := plain("asgardeo", "openid", "accounts",
		"internal_user_mgt_list", "internal_user_mgt_view", "internal_user_mgt_create", "internal_user_mgt_update", "internal_user_mgt_delete")
	myorg.FurtherClaims = []string{"azp", "aut", "nbf"}
	myorg.Management.UnboundTokens = true // Asgardeo's are Bearer tokens
	aidbox := plain("aidbox", "openid", "accounts")
	aidbox.Policy = "aidbox"
	aidbox.JSONRequests, aidbox.RefreshWithoutSecret = true, true
	aidbox.Management = &Management{UnboundTokens: true, Basic: true}
	return map[string]*Realm{
		"default": {
			Sandbox: true, Policy: "fapi2", Policies: []string{"sandbox", "oauth2", "fapi1-advanced"},
			Scopes: []string{"openid", "accounts", "payments", "directory:software"}, Management: &Management{},
			Registration: &Registration{Access: anyWay, Policy: "oauth2", Directory: []string{"raidiam", "rfc7591", "uk", "brazil", "cdr"}},
		},
		"strict": {
			Policy: "fapi2", Scopes: []string{"openid", "accounts", "payments"}, Management: &Management{},
			Registration: &Registration{Access: []string{accessInitial, accessStatement}, Directory: []string{"raidiam", "rfc7591", "uk", "brazil", "cdr"}},
		},
		"cdr": {
			Sandbox: true, Policy: "fapi2", Scopes: []string{"openid", "bank:accounts.basic:read", "bank:accounts.detail:read", "bank:transactions:read", "cdr:registration"},
			Registration: &Registration{Access: []string{accessStatement}, Directory: []string{"cdr"}},
		},
		"uae": {
			Sandbox: true, Policy: "fapi2", Scopes: []string{"openid", "accounts", "payments", "insurance"},
			Registration: &Registration{Access: []string{accessCertificate}, Ecosystem: "uae", Directory: []string{"uae"}},
		},
		"myrealm": myrealm,
		"cern":    cern,
		"myorg":   myorg,
		"aidbox":  aidbox,
	}
}

// samplePolicies are those of a fresh sandbox beside the built-in ones: a refresh token
// of Aidbox stays what it is, and its clients look for no other.
func samplePolicies() map[string]Policy {
	rotate := false
	return map[string]Policy{"aidbox": {Base: "oauth2", AuthMethods: policies["oauth2"].AuthMethods, RefreshRotation: &rotate}}
}

// anyWay lets software register itself at a realm by nothing, and by whatever it
// has.
var anyWay = []string{accessOpen, accessInitial, accessCertificate, accessStatement}

// sample is one client of a fresh sandbox.
type sample struct {
	realm, id, name string
	policy          string
	method, alg     string // alg of assertions, and of access tokens where it is set
	secret          string
	transport       certs.KeyAlgorithm // empty: no client certificate
	selfSigned      bool
	san             bool   // registers its SAN DNS name instead of its subject
	bound           bool   // to its certificate
	dpop            bool   // to its DPoP key
	exchange        bool   // may be given the tokens and the word of others
	opaque          bool   // its access tokens
	lifetime        int64  // of access tokens in seconds; 0 for the policy's
	software        string // SoftwareStatementId in the directory; empty: none
	manages         bool   // has the scopes of the management API, and no others
	basic           bool   // may use it by HTTP Basic
}

// grantTypes are what the sample is registered for.
func (s sample) grantTypes() []string {
	types := []string{"client_credentials"}
	if s.exchange {
		types = append(types, participant.GrantExchange, participant.GrantJWTBearer)
	}
	if s.basic {
		types = append(types, registration.GrantBasic)
	}
	return types
}

// scopes are what the sample is registered for, of those of its realm.
func (s sample) scopes(realm *Realm) []string {
	if s.manages {
		return manage.Scopes()
	}
	// That one is for clients that registered themselves.
	return slices.DeleteFunc(slices.Clone(realm.Scopes), func(scope string) bool { return scope == "cdr:registration" })
}

// samples are the clients of a fresh sandbox: in the default realm one for each
// way of proving who one is, in the others the one of their documentation.
var samples = []sample{
	{realm: "default", id: "tpp-tls", name: "TPP with a certificate, by subject", policy: "fapi2", method: oauth.AuthTLS, transport: certs.RSA2048, bound: true, software: "5d0f1a52-7c3e-4b6d-9e21-3c8a4f7b10a1"},
	{realm: "default", id: "tpp-san", name: "TPP with a certificate, by DNS name", policy: "fapi2", method: oauth.AuthTLS, transport: certs.RSA2048, san: true, bound: true, software: "5d0f1a52-7c3e-4b6d-9e21-3c8a4f7b10a2"},
	{realm: "default", id: "tpp-self-signed", name: "TPP with a certificate of its own making", policy: "fapi2", method: oauth.AuthSelfSignedTLS, transport: certs.RSA2048, selfSigned: true, bound: true, software: "5d0f1a52-7c3e-4b6d-9e21-3c8a4f7b10a3"},
	{realm: "default", id: "tpp-jwt", name: "TPP with a signing key, PS256", policy: "sandbox", method: oauth.AuthPrivateKeyJWT, alg: "PS256", transport: certs.RSA2048, software: "5d0f1a52-7c3e-4b6d-9e21-3c8a4f7b10a4"},
	{realm: "default", id: "tpp-jwt-es256", name: "TPP with a signing key, ES256", policy: "sandbox", method: oauth.AuthPrivateKeyJWT, alg: "ES256", transport: certs.RSA2048, software: "5d0f1a52-7c3e-4b6d-9e21-3c8a4f7b10a5"},
	{realm: "default", id: "tpp-dpop", name: "TPP with a signing key and DPoP, no certificate", policy: "fapi2", method: oauth.AuthPrivateKeyJWT, alg: "ES256", dpop: true, software: "5d0f1a52-7c3e-4b6d-9e21-3c8a4f7b10a6"},
	{realm: "default", id: "aggregator", name: "API that calls the bank for its callers", policy: "fapi2", method: oauth.AuthTLS, transport: certs.P256, bound: true, exchange: true},
	{realm: "default", id: "api-client", name: "Plain OAuth client", policy: "oauth2", method: oauth.AuthSecretBasic, secret: "verysecret"},
	{realm: "default", id: "manager", name: "Client that manages the realm", policy: "fapi2", method: oauth.AuthTLS, transport: certs.P256, bound: true, manages: true},
	{realm: "strict", id: "strict-tls", name: "TPP of the strict realm", policy: "fapi2", method: oauth.AuthTLS, transport: certs.P256, bound: true},

	{realm: "myrealm", id: "myclient", name: "Client of a Keycloak-style realm", policy: "oauth2", method: oauth.AuthSecretPost, secret: "myclientsecret", lifetime: 60},
	{realm: "cern", id: "my-client-id", name: "Application with CERN API Access", policy: "oauth2", method: oauth.AuthSecretPost, secret: "my-client-secret"},
	{realm: "myorg", id: "my-app", name: "Application of an Asgardeo organization", policy: "oauth2", method: oauth.AuthSecretBasic, secret: "my-app-secret", opaque: true},
	{realm: "aidbox", id: "aidbox-client", name: "Client of an Aidbox", policy: "aidbox", method: oauth.AuthSecretBasic, secret: "verysecret"},
	{realm: "aidbox", id: "root", name: "Administrator of an Aidbox", policy: "aidbox", method: oauth.AuthSecretBasic, secret: "secret", manages: true, basic: true},
}

// sampleAPIs are the protected APIs of a fresh sandbox, by realm. One without an
// identifier is the realm's own, the bank.
var sampleAPIs = map[string][]registration.API{
	"default": {
		{Name: "bank", Clients: map[string]registration.Access{
			registration.AnyClient: {}, "aggregator": {Exchange: []string{"tpp-tls", "tpp-jwt"}},
		}},
		{ID: "aggregator", Name: "An API that calls the bank for its callers", Client: "aggregator", Clients: map[string]registration.Access{registration.AnyClient: {}}},
		{
			ID: "https://api.example.com", Name: "An API of one's own, behind a guard or a gateway", Scopes: []string{"accounts", "payments"}, Client: "api-client",
			Clients: map[string]registration.Access{registration.AnyClient: {}},
		},
	},
	"cern": {{
		ID: "target-client-id", Name: "An API whose owner gave the application roles", Roles: []string{"reader", "editor"},
		Clients: map[string]registration.Access{"my-client-id": {Roles: []string{"reader"}}},
	}},
	"aidbox": {{
		ID: "http://resource.server.com", Name: "The API of Aidbox's documentation, for everybody",
		Clients: map[string]registration.Access{registration.AnyClient: {}},
	}},
}

// sampleUsers are the people of a fresh sandbox, in each of its realms. Each has
// the user name for a password.
func sampleUsers() []users.User {
	person := func(userName, given string, accounts ...users.Account) users.User {
		return users.User{
			UserName: userName, Password: registration.Secret(userName), Active: users.Yes, DisplayName: given + " Example",
			Name:     users.Name{Formatted: given + " Example", GivenName: given, FamilyName: "Example"},
			Emails:   []users.Value{{Value: userName + "@example.com", Type: "home", Primary: users.Yes}},
			Accounts: accounts,
		}
	}
	return []users.User{
		person("alice", "Alice",
			users.Account{ID: "10001", Currency: "GBP", Kind: "CurrentAccount", Nickname: "Household", IBAN: "GB33BUKB20201555555555", Balance: "1230.00",
				Transactions: []users.Transaction{
					{ID: "t-1", Date: "2026-01-05T09:12:00Z", Amount: "1500.00", Credit: users.Yes, Text: "Salary"},
					{ID: "t-2", Date: "2026-01-07T17:40:00Z", Amount: "270.00", Text: "Rent share"},
				}},
			users.Account{ID: "10002", Currency: "GBP", Kind: "Savings", Nickname: "Holidays", IBAN: "GB94BARC10201530093459", Balance: "4105.50"},
		),
		person("bob", "Bob",
			users.Account{ID: "20001", Currency: "EUR", Kind: "CurrentAccount", Nickname: "Everyday", IBAN: "DE89370400440532013000", Balance: "87.13"},
		),
	}
}

// The organisations of a fresh sandbox's directory. Their ids are the same in
// every sandbox, so that a line of the documentation works in each.
const (
	sampleTPP    = "7c9e6a1e-1c5d-4f53-9a63-1d2f5b8a4e01"
	sampleBank   = "7c9e6a1e-1c5d-4f53-9a63-1d2f5b8a4e02"
	sampleServer = "7c9e6a1e-1c5d-4f53-9a63-1d2f5b8a4e03"
)

// sampleOrganisations say enough of themselves for every kind of certificate.
func sampleOrganisations() []directory.Organisation {
	return []directory.Organisation{
		{
			ID: sampleTPP, OrganisationName: "Example TPP Ltd", LegalEntityName: "Example TPP Ltd", RegisteredName: "Example TPP Ltd",
			CountryOfRegistration: "GB", RegistrationNumber: "12345678000195", RegistrationID: "PSDGB-FCA-765432",
			City: "London", State: "LN", Country: "GB", Claims: sampleRoles(),
		},
		{
			ID: sampleBank, OrganisationName: "fapid sandbox bank", LegalEntityName: "fapid sandbox bank", RegisteredName: "fapid sandbox bank",
			CountryOfRegistration: "GB", RegistrationNumber: "98765432000198", RegistrationID: "PSDGB-FCA-123456",
			City: "London", State: "LN", Country: "GB",
			Claims: []directory.AuthorityClaim{{Domain: "PSD2", Role: "ASPSP", RegistrationID: "123456"}},
		},
	}
}

// sampleRoles are those of the sample TPP: to read accounts and to pay, by the
// names of each ecosystem.
func sampleRoles() []directory.AuthorityClaim {
	countries := func(codes ...string) (all []directory.Authorisation) {
		for _, code := range codes {
			all = append(all, directory.Authorisation{MemberState: code})
		}
		return all
	}
	return []directory.AuthorityClaim{
		{Domain: "PSD2", Role: "AISP", RegistrationID: "765432", Authorisations: countries("GB", "IE")},
		{Domain: "PSD2", Role: "PISP", RegistrationID: "765432", Authorisations: countries("GB")},
		{Domain: "Open Finance Brasil", Role: "DADOS", RegistrationID: "12345678-DADOS"},
		{Domain: "Open Finance Brasil", Role: "PAGTO", RegistrationID: "12345678-PAGTO"},
		{Domain: "CDR", Role: "DATA_RECIPIENT", RegistrationID: "ADR000001"},
		{Domain: "UAE Open Finance", Role: "BDSP", RegistrationID: "100200-BDSP"},
		{Domain: "UAE Open Finance", Role: "BSIP", RegistrationID: "100200-BSIP"},
	}
}
