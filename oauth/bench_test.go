package oauth_test

import (
	"testing"

	"github.com/fapid/fapid/oauth"
)

func BenchmarkParseForm(b *testing.B) {
	for name, body := range map[string]string{
		"certificate": "client_id=tpp-tls&grant_type=client_credentials&scope=accounts+payments",
		"escaped":     "client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&grant_type=client_credentials&scope=accounts",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := oauth.ParseForm(body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkParseScope(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := oauth.ParseScope("openid accounts payments"); err != nil {
			b.Fatal(err)
		}
	}
}
