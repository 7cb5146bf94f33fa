package server

import (
	"github.com/fapid/fapid/certs"
	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/manage"
)

// sampleRealms are the realms of a fresh sandbox: the default one explains its
// refusals, "strict" says what production would, and each of the others has the
// paths of another server, with the client of that server's documentation.
func sampleRealms() map[string]*Realm {
	plain := func(layout string, scopes ...string) *Realm {
		return &Realm{Layout: layout, Sandbox: true, Policy: "oauth2", Scopes: scopes, Management: &Management{}}
	}
	cern := plain("cern", "openid", "accounts")
	cern.Subject = "service-account-{client_id}"
	myorg := plain("asgardeo", "openid", "accounts", "internal_user_mgt_list")
	myorg.Management.UnboundTokens = true // Asgardeo's are Bearer tokens
	aidbox := plain("aidbox", "openid", "accounts")
	aidbox.JSONRequests, aidbox.EitherSecret = true, true
	aidbox.Management = &Management{UnboundTokens: true, Basic: true}
	return map[string]*Realm{
		"default": {
			Sandbox: true, Policy: "fapi2", Policies: []string{"sandbox", "oauth2", "fapi1-advanced"},
			Scopes: []string{"openid", "accounts", "payments", "directory:software"}, Management: &Management{},
		},
		"strict":  {Policy: "fapi2", Scopes: []string{"openid", "accounts", "payments"}, Management: &Management{}},
		"myrealm": plain("keycloak", "openid", "accounts"),
		"cern":    cern,
		"myorg":   myorg,
		"aidbox":  aidbox,
	}
}

// sample is one client of a fresh sandbox.
type sample struct {
	realm, id, name string
	policy          string
	method, alg     string // alg of assertions, and of access tokens where it is set
	secret          string
	transport       certs.KeyAlgorithm // empty: no client certificate
	selfSigned      bool
	san             bool  // registers its SAN DNS name instead of its subject
	bound           bool  // to its certificate
	dpop            bool  // to its DPoP key
	lifetime        int64 // of access tokens in seconds; 0 for the policy's
	manages         bool  // has the scopes of the management API, and no others
	basic           bool  // may use it by HTTP Basic
}

// grantTypes are what the sample is registered for.
func (s sample) grantTypes() []string {
	if s.basic {
		return []string{"client_credentials", registration.GrantBasic}
	}
	return []string{"client_credentials"}
}

// scopes are what the sample is registered for, of those of its realm.
func (s sample) scopes(realm *Realm) []string {
	if s.manages {
		return manage.Scopes()
	}
	return realm.Scopes
}

// samples are the clients of a fresh sandbox: in the default realm one for each
// way of proving who one is, in the others the one of their documentation.
var samples = []sample{
	{realm: "default", id: "tpp-tls", name: "TPP with a certificate, by subject", policy: "fapi2", method: oauth.AuthTLS, transport: certs.RSA2048, bound: true},
	{realm: "default", id: "tpp-san", name: "TPP with a certificate, by DNS name", policy: "fapi2", method: oauth.AuthTLS, transport: certs.RSA2048, san: true, bound: true},
	{realm: "default", id: "tpp-self-signed", name: "TPP with a certificate of its own making", policy: "fapi2", method: oauth.AuthSelfSignedTLS, transport: certs.RSA2048, selfSigned: true, bound: true},
	{realm: "default", id: "tpp-jwt", name: "TPP with a signing key, PS256", policy: "sandbox", method: oauth.AuthPrivateKeyJWT, alg: "PS256", transport: certs.RSA2048},
	{realm: "default", id: "tpp-jwt-es256", name: "TPP with a signing key, ES256", policy: "sandbox", method: oauth.AuthPrivateKeyJWT, alg: "ES256", transport: certs.RSA2048},
	{realm: "default", id: "tpp-dpop", name: "TPP with a signing key and DPoP, no certificate", policy: "fapi2", method: oauth.AuthPrivateKeyJWT, alg: "ES256", dpop: true},
	{realm: "default", id: "api-client", name: "Plain OAuth client", policy: "oauth2", method: oauth.AuthSecretBasic, secret: "verysecret"},
	{realm: "default", id: "manager", name: "Client that manages the realm", policy: "fapi2", method: oauth.AuthTLS, transport: certs.P256, bound: true, manages: true},
	{realm: "strict", id: "strict-tls", name: "TPP of the strict realm", policy: "fapi2", method: oauth.AuthTLS, transport: certs.P256, bound: true},

	{realm: "myrealm", id: "myclient", name: "Client of a Keycloak-style realm", policy: "oauth2", method: oauth.AuthSecretPost, secret: "myclientsecret", lifetime: 60},
	{realm: "cern", id: "my-client-id", name: "Application with CERN API Access", policy: "oauth2", method: oauth.AuthSecretPost, secret: "my-client-secret"},
	{realm: "myorg", id: "my-app", name: "Application of an Asgardeo organization", policy: "oauth2", method: oauth.AuthSecretBasic, secret: "my-app-secret"},
	{realm: "aidbox", id: "aidbox-client", name: "Client of an Aidbox", policy: "oauth2", method: oauth.AuthSecretBasic, secret: "verysecret"},
	{realm: "aidbox", id: "root", name: "Administrator of an Aidbox", policy: "oauth2", method: oauth.AuthSecretBasic, secret: "secret", manages: true, basic: true},
}

// sampleAPIs are the protected APIs of a fresh sandbox, by realm.
var sampleAPIs = map[string][]registration.API{
	"cern": {{
		ID: "target-client-id", Name: "An API whose owner gave the application roles", Roles: []string{"reader", "editor"},
		Clients: map[string]registration.Access{"my-client-id": {Roles: []string{"reader"}}},
	}},
	"aidbox": {{
		ID: "http://resource.server.com", Name: "The API of Aidbox's documentation, for everybody",
		Clients: map[string]registration.Access{registration.AnyClient: {}},
	}},
}
