package registration

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/oauth/jwk/jwktest"
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

func oneKey(t testing.TB) json.RawMessage {
	return jwktest.Set(t, jwktest.Key(t, testkeys.P256(1).Public(), "k1", nil))
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
