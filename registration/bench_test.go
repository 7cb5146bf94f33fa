package registration

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/fapid/fapid/oauth/jwk/jwktest"
	"github.com/fapid/fapid/store"
	"github.com/fapid/fapid/testkeys"
)

func TestLookupsDoNotAllocate(t *testing.T) {
	registry := newRegistry(t)
	if _, _, err := registry.Put(t.Context(), jwtClient(oneKey(t))); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	client, _ := registry.Get("tpp-jwt")
	for name, lookup := range map[string]func(){
		"Get":              func() { registry.Get("tpp-jwt") },
		"Find":             func() { _, _ = client.Keys.Find(ctx, "k1", "ES256") },
		"Find without kid": func() { _, _ = client.Keys.Find(ctx, "", "ES256") },
		"MayUse":           func() { client.MayUse("client_credentials") },
		"HasCertificate":   func() { _, _, _ = client.Keys.HasCertificate(ctx, "x") },
	} {
		if allocations := testing.AllocsPerRun(100, lookup); allocations != 0 {
			t.Errorf("%s allocates %.0f times", name, allocations)
		}
	}
}

func BenchmarkGetAndFind(b *testing.B) {
	registry := newRegistry(b)
	if _, _, err := registry.Put(b.Context(), jwtClient(oneKey(b))); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		client, _ := registry.Get("tpp-jwt")
		if _, err := client.Keys.Find(b.Context(), "k1", "ES256"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCheckSecret(b *testing.B) {
	client, _, err := newRegistry(b).Put(b.Context(), secretClient("verysecret"))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		client.CheckSecret("verysecret")
	}
}

// BenchmarkOpen opens a realm of 10,000 clients, half with a DN and half with an
// RSA key and its certificate.
func BenchmarkOpen(b *testing.B) {
	s := openStore(b, filepath.Join(b.TempDir(), "fapid.db"))
	defer s.Close()
	config := fixtureConfig(b, s)
	keys := jwktest.Set(b, jwktest.Certified(b, testkeys.RSA(1), "k1"))
	err := s.Update(b.Context(), func(tx store.Tx) error {
		for i := range 10_000 {
			m := tlsClient()
			if i%2 == 1 {
				m = jwtClient(keys)
			}
			m.ClientID, m.Policy = fmt.Sprintf("client-%05d", i), "strict"
			value, err := json.Marshal(record{Metadata: m})
			if err != nil {
				return err
			}
			if err := tx.Put(config.Realm+"/client", []byte(m.ClientID), value, time.Time{}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if got := len(openRegistry(b, config).ids); got != 10_000 {
			b.Fatal(got)
		}
	}
}
