package clientauth_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/clientauth"
	"github.com/fapid/fapid/server/participant"
	"github.com/fapid/fapid/store"
	"github.com/fapid/fapid/testkeys"
)

const issuer = "https://localhost:8443"

// authenticator is that of a realm with one client, over a store that is
// forgotten.
func authenticator(b *testing.B) (*clientauth.Authenticator, *participant.Participant) {
	b.Helper()
	s, err := store.Open("", store.Options{Ephemeral: true})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	sealer, err := store.NewSealer(make([]byte, 32), "default/secrets")
	if err != nil {
		b.Fatal(err)
	}
	policy := &oauth.Policy{
		Name: "bench", AuthMethods: []string{oauth.AuthPrivateKeyJWT}, AssertionAlgs: []string{"ES256"},
		AssertionAudience: oauth.AudienceIssuer, AssertionLifetime: time.Hour,
		TokenAlgs: []string{"ES256"}, AccessTokenLifetime: time.Minute, MaxAccessTokenLifetime: time.Minute,
	}
	clients, err := registration.Open(context.Background(), registration.Config{
		Realm: "default", Store: s, Sealer: sealer, DefaultPolicy: "bench", Scopes: oauth.Scope{"accounts"}, AllowTestKeys: true,
		Policies: func(string) (*oauth.Policy, bool) { return policy, true },
		Grants:   func(string) bool { return true },
	})
	if err != nil {
		b.Fatal(err)
	}
	p := &participant.Participant{SigningKey: testkeys.P256(1), Metadata: registration.Metadata{
		ClientID: "tpp", TokenEndpointAuthMethod: oauth.AuthPrivateKeyJWT, TokenEndpointAuthSigningAlg: "ES256",
		GrantTypes: []string{"client_credentials"}, Scope: "accounts",
	}}
	if err := p.Publish(false); err != nil {
		b.Fatal(err)
	}
	if _, _, err := clients.Put(context.Background(), p.Metadata); err != nil {
		b.Fatal(err)
	}
	return &clientauth.Authenticator{
		Clients: clients, Issuer: issuer, Now: time.Now,
		Assertions: store.Claims{Store: s, Name: "default/client-assertion"},
	}, p
}

// BenchmarkPrivateKeyJWT is the whole authentication, the claim of the jti in an
// unsynced store included; every assertion is its own.
func BenchmarkPrivateKeyJWT(b *testing.B) {
	a, p := authenticator(b)
	made := make([]string, 0, b.N)
	exp := time.Now().Add(30 * time.Minute).Unix()
	for i := range b.N {
		assertion, err := p.Sign(map[string]any{"iss": "tpp", "sub": "tpp", "aud": issuer, "jti": fmt.Sprint(i), "iat": time.Now().Unix(), "exp": exp})
		if err != nil {
			b.Fatal(err)
		}
		made = append(made, assertion)
	}
	event := &oauth.Event{}
	b.ReportAllocs()
	b.ResetTimer()
	for _, assertion := range made {
		event.Reset()
		_, err := a.Authenticate(context.Background(), &clientauth.Attempt{Event: event, Form: oauth.Form{
			{Name: "client_assertion_type", Value: participant.AssertionType},
			{Name: "client_assertion", Value: assertion},
		}})
		if err != nil {
			b.Fatal(err)
		}
	}
}
