package resource_test

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/server/resource"
	"github.com/fapid/fapid/server/servertest"
	"github.com/fapid/fapid/testkeys"
)

// BenchmarkProtect is what a request to an API costs beside its TLS: with a token
// bound to nothing, with one bound to the certificate of the connection, and what
// of it is the signature.
func BenchmarkProtect(b *testing.B) {
	i := newIDP(b, nil)
	tpp := servertest.Start(b).TPP("tpp")
	bound := map[string]any{"x5t#S256": mtls.Thumbprint(tpp.Transport[0])}
	config := i.config()
	config.Now = nil
	guard := i.guard(config)
	if err := guard.Ready(b.Context()); err != nil {
		b.Fatal(err)
	}
	day := map[string]any{"exp": 4000000000, "iat": 0}
	plain := i.sign(jose.ES256, "ec", testkeys.P256(1), i.claims("exp", day["exp"], "iat", day["iat"]))
	certified := i.sign(jose.ES256, "ec", testkeys.P256(1), i.claims("exp", day["exp"], "iat", day["iat"], "cnf", bound))
	for name, token := range map[string]string{"Bearer": plain, "certificate": certified} {
		b.Run(name, func(b *testing.B) {
			handler := guard.Protect("accounts", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if resource.Token(r.Context()) == nil {
					b.Fatal("no token")
				}
				w.WriteHeader(http.StatusNoContent)
			}))
			r := httptest.NewRequest(http.MethodGet, "https://api.example.com/accounts", nil)
			r.TLS = &tls.ConnectionState{PeerCertificates: tpp.Transport}
			r.Header.Set("Authorization", "Bearer "+token)
			b.ReportAllocs()
			for b.Loop() {
				w := httptest.NewRecorder()
				if handler.ServeHTTP(w, r); w.Code != http.StatusNoContent {
					b.Fatal(w.Code, w.Body)
				}
			}
		})
	}
	b.Run("signature", func(b *testing.B) {
		jws, err := oauth.ParseCompact(plain)
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if !oauth.VerifySignature("ES256", testkeys.P256(1).Public(), jws.Signed, jws.Signature) {
				b.Fatal("bad")
			}
		}
	})
}
