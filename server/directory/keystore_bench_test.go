package directory

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/fapid/fapid/certs"
	keyset "github.com/fapid/fapid/oauth/jwk"
)

// BenchmarkChangingKeySet reads the key set of one of 10,000 software as a token request
// does, from memory, and when another record has changed before each of them.
func BenchmarkChangingKeySet(b *testing.B) {
	const many = 10_000
	d := &Directory{
		config:        Config{URL: "https://directory.example", CA: new(certs.Authority), Now: time.Now},
		organisations: records[Organisation]{byID: map[string]*Organisation{"org": {ID: "org"}}},
		software:      records[SoftwareStatement]{byID: map[string]*SoftwareStatement{}},
		byThumbprint:  map[string]string{},
		byOwner:       map[string]map[string]*Key{},
	}
	for i := range many {
		software := fmt.Sprintf("software-%d", i)
		d.software.byID[software] = &SoftwareStatement{ID: software, OrganisationID: "org"}
		for _, use := range []string{"sig", useTLS} {
			key := &Key{
				ID: use, Use: use, OrganisationID: "org", SoftwareID: software, Status: statusActive,
				Public: public{Kty: "EC", Crv: "P-256", X: "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", Y: "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM", Alg: "ES256"},
			}
			d.index(key)
		}
	}
	for name, changes := range map[string]uint64{"unchanged": 0, "changed": 1} {
		b.Run(name, func(b *testing.B) {
			cache := keyset.NewCache(keyset.CacheConfig{What: "jwks_uri", Version: d.Version, Fresh: time.Minute, Load: func(_ context.Context, uri string) ([]byte, http.Header, error) {
				document, ok := d.Document(uri)
				if !ok {
					return nil, nil, errors.New(uri)
				}
				return document, http.Header{}, nil
			}})
			keys := cache.Keys("https://directory.example/org/software-77"+applicationSet, true)
			for b.Loop() {
				d.changes.Add(changes)
				if found, err := keys.Find(b.Context(), "sig", "ES256"); err != nil || len(found) != 1 {
					b.Fatal(found, err)
				}
			}
		})
	}
}
