package registration

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/oauth/jwk/jwktest"
	"github.com/fapid/fapid/testkeys"
)

// refusal is one fault in a registration that is otherwise good.
type refusal struct {
	name   string
	change func(*Metadata)
	want   string
}

func checkRefusals(t *testing.T, base func() Metadata, code string, refusals []refusal) {
	t.Helper()
	registry := newRegistry(t)
	if _, _, err := registry.Put(t.Context(), base()); err != nil {
		t.Fatalf("the registration without fault is refused: %v", err)
	}
	if err := registry.Delete(t.Context(), base().ClientID); err != nil {
		t.Fatal(err)
	}
	for _, test := range refusals {
		t.Run(test.name, func(t *testing.T) {
			m := base()
			test.change(&m)
			client, _, err := registry.Put(t.Context(), m)
			if err == nil {
				t.Fatalf("registered: %+v", client.Metadata)
			}
			wantRefusal(t, err, code, test.want)
			if _, served := registry.Get(m.ClientID); served {
				t.Error("refused, and yet it is served")
			}
		})
	}
}

func TestTLSClientRules(t *testing.T) {
	checkRefusals(t, tlsClient, oauth.CodeInvalidClientMetadata, []refusal{
		{"no client_id", func(m *Metadata) { m.ClientID = "" }, "client_id is missing"},
		{"newline in client_id", func(m *Metadata) { m.ClientID = "a\nb" }, "client_id holds a control character"},
		{"NUL in client_id", func(m *Metadata) { m.ClientID = "a\x00b" }, "client_id holds a control character"},
		{"umlaut in client_id", func(m *Metadata) { m.ClientID = "ä" }, "client_id must be at most 255 printable ASCII"},
		{"256 characters of client_id", func(m *Metadata) { m.ClientID = strings.Repeat("x", 256) }, "at most 255"},
		{"unknown policy", func(m *Metadata) { m.Policy = "lax" }, "policy 'lax' is not a policy of this realm"},
		{"method not in policy", func(m *Metadata) { m.TokenEndpointAuthMethod = "client_secret_basic" }, "is not in policy strict, which allows tls_client_auth"},
		{"method none", func(m *Metadata) { m.TokenEndpointAuthMethod = "none" }, "token_endpoint_auth_method 'none' is not in policy"},
		{"no method", func(m *Metadata) { m.TokenEndpointAuthMethod = "" }, "token_endpoint_auth_method is missing; policy strict allows"},
		{"signing alg not in policy", func(m *Metadata) { m.TokenEndpointAuthSigningAlg = "RS256" }, "token_endpoint_auth_signing_alg 'RS256' is not in policy strict, which allows PS256"},
		{"no name", func(m *Metadata) { m.TLSClientAuthSubjectDN = "" }, "needs exactly one of"},
		{"two names", func(m *Metadata) { m.TLSClientAuthSANDNS = "tpp.example" }, "tls_client_auth_san_dns is given together with tls_client_auth_subject_dn"},
		{"five names", func(m *Metadata) {
			m.TLSClientAuthSANDNS, m.TLSClientAuthSANURI, m.TLSClientAuthSANIP, m.TLSClientAuthSANEmail = "a.example", "https://a.example", "192.0.2.1", "a@a.example"
		}, "is given together with"},
		{"broken DN", func(m *Metadata) { m.TLSClientAuthSubjectDN = "tpp" }, "tls_client_auth_subject_dn"},
		{"secret", func(m *Metadata) { m.ClientSecret = "x" }, "client_secret is not used with tls_client_auth"},
		{"scope of another realm", func(m *Metadata) { m.Scope = "accounts admin" }, "scope 'admin' is not offered by this realm, which offers openid, accounts, payments"},
		{"malformed scope", func(m *Metadata) { m.Scope = "accounts  payments" }, "scope must be tokens"},
		{"grant not offered", func(m *Metadata) { m.GrantTypes = []string{"password"} }, "grant_types 'password' is not offered"},
		{"grant twice", func(m *Metadata) { m.GrantTypes = []string{"client_credentials", "client_credentials"} }, "grant_types has 'client_credentials' twice"},
		{"empty contact", func(m *Metadata) { m.Contacts = []string{""} }, "contacts entry 1 is empty"},
		{"too many contacts", func(m *Metadata) {
			for i := range 101 {
				m.Contacts = append(m.Contacts, strings.Repeat("x", i+1))
			}
		}, "contacts has 101 entries"},
		{"line feed in contact", func(m *Metadata) { m.Contacts = []string{"a\nb"} }, "contacts entry 1 holds a control character"},
		{"escape in name", func(m *Metadata) { m.ClientName = "a\x1b[31m" }, "client_name holds a control character"},
		{"invalid UTF-8 in name", func(m *Metadata) { m.ClientName = "a\xff" }, "client_name holds a control character or invalid UTF-8"},
		{"long name", func(m *Metadata) { m.ClientName = strings.Repeat("x", 2049) }, "client_name is longer than 2048 bytes"},
		{"token alg not in policy", func(m *Metadata) { m.AccessTokenSignedResponseAlg = "RS256" }, "access_token_signed_response_alg 'RS256' is not in policy"},
		{"token alg none", func(m *Metadata) { m.AccessTokenSignedResponseAlg = "none" }, "access_token_signed_response_alg 'none' is not in policy"},
		{"introspection alg not in policy", func(m *Metadata) { m.IntrospectionSignedResponseAlg = "HS256" }, "introspection_signed_response_alg 'HS256' is not in policy"},
		{"lifetime over the policy", func(m *Metadata) { m.AccessTokenExpiration = 3601 }, "access_token_expiration is 3601, expected 1 to 3600 seconds by policy strict"},
		{"negative lifetime", func(m *Metadata) { m.AccessTokenExpiration = -1 }, "access_token_expiration is -1"},
		{"lifetime that overflows", func(m *Metadata) { m.AccessTokenExpiration = 1 << 62 }, "access_token_expiration is"},
		{"unknown token format", func(m *Metadata) { m.AccessTokenFormat = "paseto" }, "access_token_format is 'paseto', expected jwt or opaque"},
		{"jwks and jwks_uri", func(m *Metadata) { m.JWKS, m.JWKSURI = oneKey(t), "https://tpp.example/jwks" }, "jwks and jwks_uri are both given"},
		{"jwks not JSON", func(m *Metadata) { m.JWKS = json.RawMessage("{") }, "jwks is not JSON"},
		{"jwks empty", func(m *Metadata) { m.JWKS = json.RawMessage(`{"keys":[]}`) }, "jwks has no keys"},
		{"http jwks_uri", func(m *Metadata) { m.JWKSURI = "http://tpp.example/jwks" }, "must begin with https://"},
		{"http loopback jwks_uri", func(m *Metadata) { m.JWKSURI = "http://127.0.0.1/jwks" }, "must begin with https://"},
		{"http logo_uri", func(m *Metadata) { m.LogoURI = "http://tpp.example/logo.png" }, "logo_uri"},
		{"javascript client_uri", func(m *Metadata) { m.ClientURI = "javascript:alert(1)" }, "client_uri"},
		{"data policy_uri", func(m *Metadata) { m.PolicyURI = "data:text/html,x" }, "policy_uri"},
		{"relative tos_uri", func(m *Metadata) { m.TosURI = "/terms" }, "tos_uri"},
		{"implicit response type", func(m *Metadata) { m.ResponseTypes = []string{"token"} }, "'token' needs implicit among grant_types"},
		{"code without its grant", func(m *Metadata) { m.ResponseTypes = []string{"code"} }, "'code' needs authorization_code among grant_types"},
		{"unknown response type", func(m *Metadata) { m.ResponseTypes = []string{"code magic"} }, "'code magic'"},
	})
}

func TestTLSNamesGoWithTLSClientAuthOnly(t *testing.T) {
	base := func() Metadata { return jwtClient(oneKey(t)) }
	checkRefusals(t, base, oauth.CodeInvalidClientMetadata, []refusal{
		{"subject_dn", func(m *Metadata) { m.TLSClientAuthSubjectDN = "CN=x" }, "tls_client_auth_subject_dn goes with tls_client_auth only"},
		{"san_dns", func(m *Metadata) { m.TLSClientAuthSANDNS = "a.example" }, "tls_client_auth_san_dns goes with tls_client_auth only"},
		{"san_uri", func(m *Metadata) { m.TLSClientAuthSANURI = "u:x" }, "tls_client_auth_san_uri goes with"},
		{"san_ip", func(m *Metadata) { m.TLSClientAuthSANIP = "192.0.2.1" }, "tls_client_auth_san_ip goes with"},
		{"san_email", func(m *Metadata) { m.TLSClientAuthSANEmail = "a@b.example" }, "tls_client_auth_san_email goes with"},
	})
}

func TestEachTLSNameRegisters(t *testing.T) {
	registry := newRegistry(t)
	for kind, set := range map[string]func(*Metadata){
		mtls.KindSubjectDN: func(m *Metadata) { m.TLSClientAuthSubjectDN = "CN=x" },
		mtls.KindSANDNS:    func(m *Metadata) { m.TLSClientAuthSANDNS = "tpp.example" },
		mtls.KindSANURI:    func(m *Metadata) { m.TLSClientAuthSANURI = "urn:tpp:1" },
		mtls.KindSANIP:     func(m *Metadata) { m.TLSClientAuthSANIP = "192.0.2.1" },
		mtls.KindSANEmail:  func(m *Metadata) { m.TLSClientAuthSANEmail = "tpp@tpp.example" },
	} {
		m := tlsClient()
		m.TLSClientAuthSubjectDN = ""
		set(&m)
		client, _, err := registry.Put(t.Context(), m)
		if err != nil || client.Certificate == nil || client.Certificate.Kind != kind {
			t.Errorf("%s: %+v, %v", kind, client, err)
		}
	}
}

func TestAssertionClientRules(t *testing.T) {
	fresh, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	base := func() Metadata { return jwtClient(oneKey(t)) }
	checkRefusals(t, base, oauth.CodeInvalidClientMetadata, []refusal{
		{"no keys", func(m *Metadata) { m.JWKS = nil }, "jwks or jwks_uri is missing; private_key_jwt needs"},
		{"self-signed without keys", func(m *Metadata) { m.JWKS, m.TokenEndpointAuthMethod = nil, oauth.AuthSelfSignedTLS }, "jwks or jwks_uri is missing; self_signed_tls_client_auth needs"},
		{"self-signed without x5c", func(m *Metadata) { m.TokenEndpointAuthMethod = oauth.AuthSelfSignedTLS }, "jwks has no key with x5c"},
		{"HS256 with private_key_jwt", func(m *Metadata) { m.Policy, m.TokenEndpointAuthSigningAlg = "plain", "HS256" }, "'HS256' does not go with private_key_jwt"},
		{"key of another algorithm", func(m *Metadata) { m.TokenEndpointAuthSigningAlg = "PS256" }, "jwks has no key that verifies PS256"},
		{"key of no allowed algorithm", func(m *Metadata) { m.JWKS = jwktest.Set(t, jwktest.Key(t, fresh.Public(), "k", nil)) }, "jwks has no key that verifies PS256, ES256, EdDSA"},
		{"encryption key only", func(m *Metadata) {
			m.JWKS = jwktest.Set(t, jwktest.Key(t, testkeys.P256(1).Public(), "k", func(k map[string]any) { k["use"] = "enc" }))
		}, "jwks has no key that verifies"},
	})
}

func TestSecretClientRules(t *testing.T) {
	base := func() Metadata { return secretClient("verysecret") }
	secretJWT := func(m *Metadata, alg string, length int) {
		m.TokenEndpointAuthMethod, m.TokenEndpointAuthSigningAlg = oauth.AuthSecretJWT, alg
		m.ClientSecret = Secret(strings.Repeat("s", length))
	}
	checkRefusals(t, base, oauth.CodeInvalidClientMetadata, []refusal{
		{"no secret", func(m *Metadata) { m.ClientSecret = "" }, "client_secret is missing; client_secret_basic needs one"},
		{"long secret", func(m *Metadata) { m.ClientSecret = Secret(strings.Repeat("x", 513)) }, "client_secret must be at most 512 printable"},
		{"control character", func(m *Metadata) { m.ClientSecret = "a\x00b" }, "client_secret must be"},
		{"not ASCII", func(m *Metadata) { m.ClientSecret = "gehëim" }, "client_secret must be"},
		{"31 bytes for HS256", func(m *Metadata) { secretJWT(m, "HS256", 31) }, "client_secret is too short for HS256: expected at least 32 bytes"},
		{"63 bytes for HS512", func(m *Metadata) { secretJWT(m, "HS512", 63) }, "client_secret is too short for HS512: expected at least 64 bytes"},
		{"31 bytes for any", func(m *Metadata) { secretJWT(m, "", 31) }, "client_secret is too short"},
		{"PS256 with client_secret_jwt", func(m *Metadata) { secretJWT(m, "PS256", 64) }, "'PS256' does not go with client_secret_jwt"},
	})
}

func TestRedirectURIRules(t *testing.T) {
	base := func() Metadata {
		m := tlsClient()
		m.GrantTypes, m.RedirectURIs = []string{grantCode}, []string{"https://tpp.example/cb"}
		return m
	}
	var refusals []refusal
	for _, uri := range []string{
		"http://tpp.example/cb", "HTTP://127.0.0.2.example/cb", "http://localhost.example/cb", "http://2130706433/cb",
		"http://[::ffff:127.0.0.1]/cb", "com.example.app:/cb", "javascript:alert(1)", "//tpp.example/cb", "/cb",
		"https:tpp.example/cb", "https:///cb", "https://", "https://tpp.example/cb#", "https://tpp.example/cb#x",
		"https://user@tpp.example/cb", "https://@tpp.example/cb", "https://a:b@tpp.example/cb", "https://*.tpp.example/cb",
		"https://tpp.example/*", `https://tpp.example\@evil.example/cb`, `https://tpp.example/a\b`, "https://tpp.example/a b", " https://tpp.example/",
		"https://tpp.éxample/cb", "https://tpp.example:/cb", "https://tpp.example:99999999/cb", "https://tpp..example/cb",
		"https://tpp.example%2fevil/cb", "https://0x7f000001/cb", "https://0177.0.0.1/cb", "https://127.1/cb", "https://1.2.3.4.5/cb",
		"https://[fe80::1%25eth0]/cb", "https://[::1/cb",
	} {
		refusals = append(refusals, refusal{uri, func(m *Metadata) { m.RedirectURIs = append(m.RedirectURIs, uri) }, "redirect_uris '"})
	}
	refusals = append(refusals, refusal{"none", func(m *Metadata) { m.RedirectURIs = nil }, "redirect_uris is missing; authorization_code needs at least one"})
	checkRefusals(t, base, oauth.CodeInvalidRedirectURI, refusals)

	registry := newRegistry(t)
	m := base()
	m.RedirectURIs = []string{
		"https://tpp.example/cb?x=1&y=%20", "https://tpp.example:8443/", "https://192.0.2.1/cb", "https://[2001:db8::1]:8443/cb",
		"http://127.0.0.1/cb", "http://127.0.0.1:3000/cb", "http://[::1]:3000/cb", "http://localhost:3000/cb", "https://localhost/cb",
	}
	if _, _, err := registry.Put(t.Context(), m); err != nil {
		t.Errorf("good redirect URIs refused: %v", err)
	}
}

func TestACodeClientNeedsAResponseType(t *testing.T) {
	m := tlsClient()
	m.GrantTypes, m.RedirectURIs = []string{grantCode}, []string{"https://tpp.example/cb"}
	m.ResponseTypes = []string{}
	_, _, err := newRegistry(t).Put(t.Context(), m)
	wantRefusal(t, err, oauth.CodeInvalidClientMetadata, "response_types is missing; authorization_code needs at least one")
}

func TestThePolicySaysWhetherTheOrderOfADNCounts(t *testing.T) {
	certificate := jwktest.SelfSigned(t, testkeys.P256(1)) // O=bank, then CN=tpp
	presented, err := mtls.NewPresented([]*x509.Certificate{certificate}, "test")
	if err != nil {
		t.Fatal(err)
	}
	registry := newRegistry(t)
	for policy, reversed := range map[string]bool{"strict": false, "plain": true} {
		m := tlsClient()
		m.Policy = policy
		for dn, want := range map[string]bool{"CN=tpp,O=bank": true, "O=bank,CN=tpp": reversed} {
			m.TLSClientAuthSubjectDN = dn
			client, _, err := registry.Put(t.Context(), m)
			if err != nil {
				t.Fatal(err)
			}
			if finding := client.Certificate.Match(presented); finding.OK != want {
				t.Errorf("policy %s, registered %s: %+v", policy, dn, finding)
			}
		}
	}
}

func TestAssertionAlgs(t *testing.T) {
	registry := newRegistry(t)
	for name, test := range map[string]struct {
		m    Metadata
		want []string
	}{
		"those of the policy that fit": {func() Metadata { m := jwtClient(oneKey(t)); m.Policy = "plain"; return m }(), []string{"PS256", "RS256", "ES256"}},
		"the registered one": {func() Metadata {
			m := jwtClient(oneKey(t))
			m.TokenEndpointAuthSigningAlg = "ES256"
			return m
		}(), []string{"ES256"}},
		"those the secret is long enough for": {func() Metadata {
			m := secretClient(strings.Repeat("s", 40))
			m.TokenEndpointAuthMethod = oauth.AuthSecretJWT
			return m
		}(), []string{"HS256"}},
		"none for a secret sent as it is": {secretClient("verysecret"), nil},
	} {
		client, _, err := registry.Put(t.Context(), test.m)
		if err != nil || !slices.Equal(client.AssertionAlgs, test.want) {
			t.Errorf("%s: %+v, %v, want %v", name, client, err, test.want)
		}
	}
}

func TestWhatAClientBecomes(t *testing.T) {
	registry := newRegistry(t)
	m := tlsClient()
	client, created, err := registry.Put(t.Context(), m)
	if err != nil || !created {
		t.Fatal(created, err)
	}
	if client.Policy != strictPolicy || client.Metadata.Policy != "strict" || client.TokenAlg != "PS256" ||
		client.TokenLifetime != 5*time.Minute || !client.BoundTokens || client.Keys != nil ||
		client.Scope.String() != "accounts payments" || client.Metadata.ClientIDIssuedAt == 0 {
		t.Errorf("defaults of the policy: %+v", client)
	}
	if !client.MayUse("client_credentials") || client.MayUse(grantCode) {
		t.Error("MayUse is not what grant_types says")
	}
	m.AccessTokenExpiration, m.AccessTokenSignedResponseAlg, m.Policy = 60, "ES256", "plain"
	if client, _, err = registry.Put(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if client.TokenLifetime != time.Minute || client.TokenAlg != "ES256" || client.BoundTokens {
		t.Errorf("the client's own choices: %+v", client)
	}
	m.CertificateBoundTokens = true
	if client, _, err = registry.Put(t.Context(), m); err != nil || !client.BoundTokens {
		t.Errorf("a client that asks for bound tokens: %+v, %v", client, err)
	}
	m.CertificateBoundTokens, m.DPoPBoundTokens = false, true
	_, _, err = registry.Put(t.Context(), m)
	wantRefusal(t, err, oauth.CodeInvalidClientMetadata, "dpop_bound_access_tokens does not go with policy plain")
	m.Policy, m.AccessTokenSignedResponseAlg = "strict", ""
	if client, _, err = registry.Put(t.Context(), m); err != nil || !client.BoundTokens {
		t.Errorf("a client that asks for DPoP: %+v, %v", client, err)
	}

	m = Metadata{ClientID: "web", Policy: "plain", ClientSecret: "verysecret", RedirectURIs: []string{"https://web.example/cb"}}
	if client, _, err = registry.Put(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if client.AuthMethod != oauth.AuthSecretBasic || !slices.Equal(client.GrantTypes, []string{grantCode}) || !slices.Equal(client.Metadata.ResponseTypes, []string{"code"}) {
		t.Errorf("defaults of RFC 7591: %+v", client)
	}
}

func TestTestKeysAreForSandboxesOnly(t *testing.T) {
	config := fixtureConfig(t, openStore(t, t.TempDir()+"/fapid.db"))
	defer config.Store.Close()
	config.AllowTestKeys = false
	registry := openRegistry(t, config)
	for name, public := range map[string]any{"RSA": testkeys.RSA(1).Public(), "EC": testkeys.P256(2).Public(), "Ed25519": testkeys.Ed25519(1).Public()} {
		_, _, err := registry.Put(t.Context(), jwtClient(jwktest.Set(t, jwktest.Key(t, public, name, nil))))
		wantRefusal(t, err, oauth.CodeInvalidClientMetadata, "jwks is refused: key 1 (kid '"+name+"'): a public test key")
	}
	fresh, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := registry.Put(t.Context(), jwtClient(jwktest.Set(t, jwktest.Key(t, fresh.Public(), "k", nil)))); err != nil {
		t.Errorf("a key of the client's own is refused: %v", err)
	}
}
