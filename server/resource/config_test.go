package resource_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fapid/fapid/server/resource"
	"github.com/fapid/fapid/testkeys"
)

func TestConfigIsRefused(t *testing.T) {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	asks := func(change func(*resource.Introspection)) func(*resource.Config) {
		return func(c *resource.Config) {
			c.Introspection = &resource.Introspection{ClientID: "api", Secret: "secret"}
			change(c.Introspection)
		}
	}
	for name, row := range map[string]struct {
		change func(*resource.Config)
		want   string // empty: accepted
	}{
		"the least":                {func(*resource.Config) {}, ""},
		"a server on this machine": {func(c *resource.Config) { c.Issuer = "http://localhost:8080/realms/test" }, ""},
		"everything": {func(c *resource.Config) {
			c.URL, c.Types, c.Algs, c.DPoPAlgs = "https://gw.example/api", []string{"at+jwt", "JWT", ""}, []string{"RS256"}, []string{"ES256"}
			c.Skew, c.NonceKey, c.RequireBound = time.Minute, make([]byte, 32), true
			c.Proxy = &resource.Proxy{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.5/32")}, Format: "pem-escaped"}
			c.Introspection = &resource.Introspection{ClientID: "api", Key: testkeys.P256(1), KeyID: "k", Always: true, Keep: time.Minute, URL: "https://as.example/introspect"}
		}, ""},
		"introspection by certificate": {asks(func(i *resource.Introspection) { i.Secret, i.Certificate = "", &tls.Certificate{} }), ""},

		"no issuer":              {func(c *resource.Config) { c.Issuer = "" }, "Issuer: it is missing"},
		"issuer without scheme":  {func(c *resource.Config) { c.Issuer = "as.example" }, "Issuer: \"as.example\" is not an absolute URL"},
		"issuer over http":       {func(c *resource.Config) { c.Issuer = "http://as.example" }, "Issuer: \"http://as.example\" does not begin with https://"},
		"issuer with a query":    {func(c *resource.Config) { c.Issuer = "https://as.example?x" }, "Issuer: \"https://as.example?x\" has a query"},
		"issuer with a quote":    {func(c *resource.Config) { c.Issuer = `https://as.example/"` }, "a quote"},
		"issuer with a password": {func(c *resource.Config) { c.Issuer = "https://a:b@as.example" }, "is not an absolute URL"},
		"no audience":            {func(c *resource.Config) { c.Audience = "" }, "Audience is missing"},
		"URL with a slash":       {func(c *resource.Config) { c.URL = "https://api.example/" }, "URL: \"https://api.example/\" must not end with /"},
		"URL a path":             {func(c *resource.Config) { c.URL = "/api" }, "URL: \"/api\" is not an absolute URL"},
		"no types":               {func(c *resource.Config) { c.Types = []string{} }, "Types lists nothing"},
		"no algorithms":          {func(c *resource.Config) { c.Algs = []string{} }, "Algs lists nothing"},
		"alg none":               {func(c *resource.Config) { c.Algs = []string{"none"} }, `Algs: "none" is none of PS256`},
		"alg HS256":              {func(c *resource.Config) { c.Algs = []string{"HS256"} }, `Algs: "HS256"`},
		"DPoP alg HS256":         {func(c *resource.Config) { c.DPoPAlgs = []string{"HS256"} }, `DPoPAlgs: "HS256"`},
		"no skew to speak of":    {func(c *resource.Config) { c.Skew = time.Millisecond }, "Skew is 1ms, expected 1s to 5m0s"},
		"too much skew":          {func(c *resource.Config) { c.Skew = time.Hour }, "Skew is 1h0m0s"},
		"a short nonce key":      {func(c *resource.Config) { c.URL, c.NonceKey = "https://api.example", make([]byte, 31) }, "NonceKey has 31 bytes"},
		"a nonce without DPoP":   {func(c *resource.Config) { c.NonceKey = make([]byte, 32) }, "NonceKey goes with URL"},
		"no proxies":             {func(c *resource.Config) { c.Proxy = &resource.Proxy{} }, "Proxy: no proxy address is trusted"},
		"everybody a proxy": {func(c *resource.Config) {
			c.Proxy = &resource.Proxy{Trusted: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}}
		}, "Proxy: trusting 0.0.0.0/0"},
		"an unknown format":            {func(c *resource.Config) { c.Proxy = &resource.Proxy{Format: "der"} }, `Proxy: format "der" is none of`},
		"a CA that is none":            {func(c *resource.Config) { c.ClientCAs = []*x509.Certificate{{}} }, "ClientCAs: "},
		"introspection by nobody":      {asks(func(i *resource.Introspection) { i.ClientID = "" }), "Introspection.ClientID is missing"},
		"introspection without proof":  {asks(func(i *resource.Introspection) { i.Secret = "" }), "exactly one of Certificate, Key and Secret"},
		"introspection with two":       {asks(func(i *resource.Introspection) { i.Key = testkeys.P256(1) }), "exactly one of Certificate, Key and Secret"},
		"a kid without a key":          {asks(func(i *resource.Introspection) { i.KeyID = "k" }), "Introspection.KeyID goes with Key"},
		"a key of another curve":       {asks(func(i *resource.Introspection) { i.Secret, i.Key = "", p384 }), "Introspection.Key is a *ecdsa.PublicKey, expected RSA, P-256 or Ed25519"},
		"answers kept for long":        {asks(func(i *resource.Introspection) { i.Keep = time.Hour }), "Introspection.Keep is 1h0m0s, expected 0 to 1m0s"},
		"introspection over http":      {asks(func(i *resource.Introspection) { i.URL = "http://as.example/introspect" }), "Introspection.URL: "},
		"several things, all of which": {func(c *resource.Config) { c.Issuer, c.Audience = "", "" }, "Issuer: it is missing\nAudience is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			config := resource.Config{Issuer: "https://as.example", Audience: audience}
			row.change(&config)
			types := slices.Clone(config.Types)
			_, err := resource.New(config)
			if row.want == "" && err != nil || row.want != "" && (err == nil || !strings.HasPrefix(err.Error(), "resource: ") || !strings.Contains(err.Error(), row.want)) {
				t.Errorf("%v, want %q", err, row.want)
			}
			if !slices.Equal(types, config.Types) {
				t.Error("the caller's list was changed")
			}
		})
	}
}
