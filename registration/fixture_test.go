package registration

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"math/big"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/store"
	"github.com/fapid/fapid/testkeys"
)

// Two policies: a strict one and one that takes secrets.
var (
	strictPolicy = &oauth.Policy{
		Name:                   "strict",
		AuthMethods:            []string{oauth.AuthTLS, oauth.AuthSelfSignedTLS, oauth.AuthPrivateKeyJWT},
		AssertionAlgs:          []string{"PS256", "ES256", "EdDSA"},
		SenderConstrained:      true,
		DPoPAlgs:               []string{"ES256", "PS256", "EdDSA"},
		TokenAlgs:              []string{"PS256", "ES256", "EdDSA"},
		AccessTokenLifetime:    5 * time.Minute,
		MaxAccessTokenLifetime: time.Hour,
	}
	plainPolicy = &oauth.Policy{
		Name:                   "plain",
		AuthMethods:            []string{oauth.AuthSecretBasic, oauth.AuthSecretPost, oauth.AuthSecretJWT, oauth.AuthPrivateKeyJWT, oauth.AuthTLS},
		AssertionAlgs:          []string{"PS256", "RS256", "ES256", "HS256", "HS512"},
		TokenAlgs:              []string{"ES256", "PS256"},
		AccessTokenLifetime:    10 * time.Minute,
		MaxAccessTokenLifetime: time.Hour,
		DNMatching:             string(mtls.MatchAnyOrder),
	}
)

func policies(name string) (*oauth.Policy, bool) {
	for _, policy := range []*oauth.Policy{strictPolicy, plainPolicy} {
		if policy.Name == name {
			return policy, true
		}
	}
	return nil, false
}

// fixtureConfig is a realm that offers a little of everything.
func fixtureConfig(t testing.TB, s store.Store) Config {
	t.Helper()
	sealer, err := store.NewSealer(bytes.Repeat([]byte{7}, 32), "default/secrets")
	if err != nil {
		t.Fatal(err)
	}
	return Config{
		Realm:         "default",
		Store:         s,
		Sealer:        sealer,
		Policies:      policies,
		DefaultPolicy: "strict",
		Scopes:        oauth.Scope{"openid", "accounts", "payments"},
		Grants: func(grant string) bool {
			return grant == "client_credentials" || grant == grantCode || grant == grantImplicit || grant == "refresh_token"
		},
		AllowTestKeys: true,
	}
}

func openStore(t testing.TB, path string) *store.Bolt {
	t.Helper()
	s, err := store.Open(path, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func openRegistry(t testing.TB, config Config) *Registry {
	t.Helper()
	r, err := Open(context.Background(), config)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func newRegistry(t testing.TB) *Registry {
	t.Helper()
	s := openStore(t, filepath.Join(t.TempDir(), "fapid.db"))
	t.Cleanup(func() { _ = s.Close() })
	return openRegistry(t, fixtureConfig(t, s))
}

// tlsClient is a registration without fault; tests change one thing in it.
func tlsClient() Metadata {
	return Metadata{
		ClientID:                "tpp-tls",
		ClientName:              "A third party",
		TokenEndpointAuthMethod: oauth.AuthTLS,
		TLSClientAuthSubjectDN:  "CN=tpp-tls,O=Third Party,C=GB",
		GrantTypes:              []string{"client_credentials"},
		Scope:                   "accounts payments",
	}
}

func jwtClient(jwks []byte) Metadata {
	return Metadata{
		ClientID:                "tpp-jwt",
		TokenEndpointAuthMethod: oauth.AuthPrivateKeyJWT,
		JWKS:                    jwks,
		GrantTypes:              []string{"client_credentials"},
		Scope:                   "accounts",
	}
}

func secretClient(secret string) Metadata {
	return Metadata{
		ClientID:                "api-client",
		Policy:                  "plain",
		TokenEndpointAuthMethod: oauth.AuthSecretBasic,
		ClientSecret:            Secret(secret),
		GrantTypes:              []string{"client_credentials"},
	}
}

// keyOf is the JSON of one public key; change edits its members.
func keyOf(t testing.TB, public crypto.PublicKey, kid string, change func(map[string]any)) json.RawMessage {
	t.Helper()
	data, err := jose.JSONWebKey{Key: public, KeyID: kid}.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	if change == nil {
		return data
	}
	var members map[string]any
	if err := json.Unmarshal(data, &members); err != nil {
		t.Fatal(err)
	}
	change(members)
	if data, err = json.Marshal(members); err != nil {
		t.Fatal(err)
	}
	return data
}

func jwks(t testing.TB, keys ...json.RawMessage) json.RawMessage {
	t.Helper()
	data, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// certified is a JWK with a self-signed certificate of its key in x5c.
func certified(t testing.TB, key crypto.Signer, kid string) json.RawMessage {
	t.Helper()
	data, err := jose.JSONWebKey{Key: key.Public(), KeyID: kid, Certificates: []*x509.Certificate{selfSigned(t, key)}}.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func selfSigned(t testing.TB, key crypto.Signer) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: "tpp", Organization: []string{"bank"}},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

func oneKey(t testing.TB) json.RawMessage {
	return jwks(t, keyOf(t, testkeys.P256(1).Public(), "k1", nil))
}

// wantRefusal checks code and text of a refusal.
func wantRefusal(t *testing.T, err error, code, text string) {
	t.Helper()
	var refusal oauth.Error
	if !errors.As(err, &refusal) {
		t.Fatalf("error %v, want %s", err, code)
	}
	if refusal.Code != code || refusal.Status != 400 {
		t.Errorf("%s with status %d, want %s with 400", refusal.Code, refusal.Status, code)
	}
	if !strings.Contains(refusal.Description, text) {
		t.Errorf("description %q, want it to say %q", refusal.Description, text)
	}
	if len(refusal.Description) > 800 {
		t.Errorf("description of %d bytes; the whole answer should stay under 1 KiB", len(refusal.Description))
	}
}
