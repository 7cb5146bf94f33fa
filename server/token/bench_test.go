package token_test

import (
	"context"
	"crypto"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/token"
	"github.com/fapid/fapid/store"
	"github.com/fapid/fapid/testkeys"
)

// issuer is a realm's issuer over a store that is forgotten.
func issuer(b *testing.B) *token.Issuer {
	b.Helper()
	s, err := store.Open("", store.Options{Ephemeral: true})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	return issuerOver(b, s)
}

func issuerOver(b testing.TB, s store.Store) *token.Issuer {
	b.Helper()
	return issuerAt(b, s, time.Now)
}

// quick hands out the RSA test keys in turn; making one takes a second.
func quick() func(alg string) (crypto.Signer, error) {
	var made atomic.Int64
	return func(alg string) (crypto.Signer, error) {
		if alg == "PS256" {
			return testkeys.RSA(int(made.Add(1)-1)%2 + 1), nil
		}
		return nil, nil
	}
}

func issuerAt(b testing.TB, s store.Store, now func() time.Time) *token.Issuer {
	b.Helper()
	sealer, err := store.NewSealer(make([]byte, 32), "default/secrets")
	if err != nil {
		b.Fatal(err)
	}
	keys, err := token.OpenKeyring(context.Background(), token.KeyringConfig{
		Realm: "default", Store: s, Sealer: sealer, Now: now, LongestToken: time.Hour,
		Generate: quick(), AllowTestKeys: true,
	})
	if err != nil {
		b.Fatal(err)
	}
	return &token.Issuer{
		ID: "https://localhost:8443", Keys: keys, Now: now,
		Sessions:           token.NewSessions("default", s, sealer, now),
		Client:             func(string) (*registration.Client, bool) { return &registration.Client{}, true },
		CertificateRevoked: func(string) bool { return false },
	}
}

// authorization is a grant to a client with that signing algorithm.
func authorization(alg string) *token.Authorization {
	return &token.Authorization{
		Client: &registration.Client{ID: "tpp-tls", TokenAlg: alg}, Lifetime: 5 * time.Minute,
		Subject: "tpp-tls", Scope: oauth.Scope{"accounts"}, Audience: oauth.Audience{"https://localhost:8444/bank"},
		Confirmation: &oauth.Confirmation{CertificateThumbprint: "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"},
	}
}

func issue(b *testing.B, i *token.Issuer, alg string) string {
	b.Helper()
	compact, _, err := i.Issue(context.Background(), authorization(alg))
	if err != nil {
		b.Fatal(err)
	}
	return compact
}

func BenchmarkIssue(b *testing.B) {
	i := issuer(b)
	for _, alg := range token.Algs {
		b.Run(alg, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				issue(b, i, alg)
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	i := issuer(b)
	for _, alg := range token.Algs {
		b.Run(alg, func(b *testing.B) {
			compact := issue(b, i, alg)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := i.Parse(context.Background(), compact); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	i := issuer(b)
	compact := issue(b, i, "ES256")
	event := &oauth.Event{}
	b.ReportAllocs()
	for b.Loop() {
		event.Reset()
		if _, err := i.Verify(context.Background(), compact, event); err != nil {
			b.Fatal(err)
		}
	}
}
