package server

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/testkeys"
)

// completeText loads and completes a configuration that is called fapid.yaml.
// Unless it has realms, it gets a good one.
func completeText(text string, env ...string) (Config, error) {
	if !strings.Contains(text, "realms:") {
		text += "\nrealms: {default: {trust: {sandbox_ca: true}}}\n"
	}
	config, err := loadText(text, env...)
	if err == nil {
		err = config.Complete()
	}
	return config, err
}

func TestDefaults(t *testing.T) {
	t.Chdir(t.TempDir())
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	config, err := completeText("realms:\n  default: {trust: {sandbox_ca: true}}\n  uk: {trust: {sandbox_ca: true}}\n")
	if err != nil {
		t.Fatal(err)
	}
	scopes := []string{"openid", "accounts", "payments", "directory:software"}
	want := Config{
		Dir: filepath.Join(here, ".fapid"),
		Listeners: Listeners{
			Standard: Listener{"localhost:8443", "https://localhost:8443"},
			MTLS:     Listener{"localhost:8444", "https://localhost:8444"},
			Admin:    Listener{"localhost:9000", "http://localhost:9000"},
		},
		Realms: map[string]*Realm{
			"default": {
				Issuer: "https://localhost:8443", Layout: "default", Policy: "fapi2", Scopes: scopes,
				Audience: "https://localhost:8444/bank", Subject: "{client_id}", Trust: Trust{SandboxCA: true},
			},
			"uk": {
				Issuer: "https://localhost:8443/realms/uk", Layout: "realm", Policy: "fapi2", Scopes: scopes,
				Audience: "https://localhost:8444/realms/uk/bank", Subject: "{client_id}", Trust: Trust{SandboxCA: true},
			},
		},
		Log: Log{Level: "info"},
	}
	if config.origins = nil; !reflect.DeepEqual(config, want) {
		t.Errorf("got  %+v\nwant %+v", config, want)
	}
}

func TestURLFromAddress(t *testing.T) {
	for address, want := range map[string]string{
		"localhost:443":      "https://localhost",
		"Auth.Bank.test:443": "https://auth.bank.test",
		"127.0.0.1:1":        "https://127.0.0.1:1",
		"[::1]:443":          "https://[::1]",
		"[::1]:8443":         "https://[::1]:8443",
	} {
		config, err := completeText("listeners: {standard: {address: '" + address + "'}}")
		if got := config.Listeners.Standard.URL; got != want || err != nil {
			t.Errorf("%s: %s, want %s (%v)", address, got, want, err)
		}
	}
}

func TestProxyHeaders(t *testing.T) {
	for format, want := range map[string]Proxy{
		"":                      {Format: "rfc9440", Header: "Client-Cert", ChainHeader: "Client-Cert-Chain"},
		", format: pem-escaped": {Format: "pem-escaped", Header: "X-SSL-Client-Cert"},
		", format: xfcc":        {Format: "xfcc", Header: "X-Forwarded-Client-Cert"},
		", header: X-Cert":      {Format: "rfc9440", Header: "X-Cert", ChainHeader: "Client-Cert-Chain"},
	} {
		config, err := completeText("proxy: {trusted: [10.0.0.5/32]" + format + "}")
		if err != nil {
			t.Fatal(err)
		}
		want.Trusted = []netip.Prefix{netip.MustParsePrefix("10.0.0.5/32")}
		if !reflect.DeepEqual(*config.Proxy, want) {
			t.Errorf("%q: %+v, want %+v", format, *config.Proxy, want)
		}
	}
}

func TestCompleteRefuses(t *testing.T) {
	const realm = "realms:\n  default:\n    trust: {sandbox_ca: true}\n    "
	const narrow = "; a policy built on it can only narrow it (start from sandbox or oauth2 for free choice)"
	for name, c := range map[string]struct{ text, want string }{
		"policy":                            {realm + "policy: fapi3\n", `fapid.yaml:4:5: realms.default.policy: no policy "fapi3"; there are fapi1-advanced, fapi2, oauth2, sandbox (or define it under policies)`},
		"policies":                          {"policies: {mine: {base: fapi2}}\n" + realm + "policies: [mine, other]\n", `fapid.yaml:5:22: realms.default.policies[1]: no policy "other"; there are fapi1-advanced, fapi2, mine, oauth2, sandbox (or define it under policies)`},
		"policy twice":                      {realm + "policies: [sandbox, sandbox]\n", `fapid.yaml:4:25: realms.default.policies[1]: "sandbox" is listed twice`},
		"layout":                            {realm + "layout: raidiam\n", `fapid.yaml:4:5: realms.default.layout: no layout "raidiam"; there are aidbox, asgardeo, cern, default, keycloak, realm (or define it under layouts)`},
		"layout shared":                     {realm + "\n  uk: {layout: default, issuer: 'https://localhost:8443/uk', trust: {sandbox_ca: true}}\n", `fapid.yaml:5:8: realms.uk.layout: layout "default" has room for one realm, which is default`},
		"own layout":                        {"layouts: {keycloak: {base: default, paths: {jwks_uri: /k}}}", "fapid.yaml:1:11: layouts.keycloak: is the name of a built-in layout; choose another"},
		"two endpoints at one path":         {"layouts: {mine: {base: realm, paths: {token_endpoint: '/{realm}/x', revocation_endpoint: '/{realm}/x'}}}\nrealms: {a: {layout: mine, trust: {sandbox_ca: true}}}", `fapid.yaml:1:39: layouts.mine.paths.token_endpoint: /a/x is the path of revocation_endpoint, too; give one of them another`},
		"an endpoint at discovery":          {"layouts: {mine: {base: realm, paths: {jwks_uri: '/realms/{realm}/.well-known/openid-configuration'}}}\nrealms: {a: {layout: mine, trust: {sandbox_ca: true}}}", `fapid.yaml:1:39: layouts.mine.paths.jwks_uri: /realms/a/.well-known/openid-configuration is the path of discovery, too; give one of them another`},
		"an endpoint at a path of the base": {"layouts: {mine: {base: realm, paths: {jwks_uri: '/realms/{realm}/token'}}}\nrealms: {a: {layout: mine, trust: {sandbox_ca: true}}}", `fapid.yaml:2:14: realms.a.layout: /realms/a/token is the path of jwks_uri, too; give one of them another`},
		"one path twice":                    {"layouts: {mine: {base: realm, paths: {jwks_uri: '/{realm}/keys /{realm}/keys'}}}\nrealms: {a: {layout: mine, trust: {sandbox_ca: true}}}", `fapid.yaml:1:39: layouts.mine.paths.jwks_uri: "/a/keys" is listed twice`},
		"one path for two realms":           {"layouts: {mine: {base: realm, paths: {token_endpoint: /token}}}\nrealms: {default: {trust: {sandbox_ca: true}}, other: {layout: mine, trust: {sandbox_ca: true}}}", `fapid.yaml:1:39: layouts.mine.paths.token_endpoint: /token is the path of token_endpoint of realm default, too; give one of them another layout`},
		"layout path":                       {"layouts: {mine: {base: default, paths: {jwks_uri: 'keys?a=b'}}}", `fapid.yaml:1:41: layouts.mine.paths.jwks_uri: "keys?a=b" is not a path: start with /, without query, fragment and empty or dotted segments`},
		"layout name":                       {"layouts: {mine: {base: default, paths: {token_endpont: /t}}}", "fapid.yaml:1:41: layouts.mine.paths.token_endpont: unknown endpoint; did you mean token_endpoint?"},
		"realm name":                        {"realms: {UK: {issuer: 'https://localhost:8443/uk', trust: {sandbox_ca: true}}}\n", "fapid.yaml:1:10: realms.UK: a name is 1 to 64 of a-z, 0-9 and -"},
		"policy name":                       {"policies: {my_own: {base: fapi2}}", "fapid.yaml:1:12: policies.my_own: a name is 1 to 64 of a-z, 0-9 and -"},
		"built-in name":                     {"policies: {fapi2: {base: oauth2}}", "fapid.yaml:1:12: policies.fapi2: is the name of a built-in policy; choose another"},
		"no base":                           {"policies: {mine: {clock_skew: 10s}}", "fapid.yaml:1:12: policies.mine.base: is missing"},
		"base":                              {"policies: {a: {base: b}, b: {base: fapi2}}", `fapid.yaml:1:16: policies.a.base: no built-in policy "b"; there are fapi1-advanced, fapi2, oauth2, sandbox`},
		"method":                            {"policies: {a: {base: oauth2, token_endpoint_auth_methods: [none]}}", `fapid.yaml:1:60: policies.a.token_endpoint_auth_methods[0]: no client authentication method "none"; there are tls_client_auth, self_signed_tls_client_auth, private_key_jwt, client_secret_basic, client_secret_post, client_secret_jwt`},
		"alg none":                          {"policies: {a: {base: oauth2, token_endpoint_auth_signing_algs: [none]}}", `fapid.yaml:1:65: policies.a.token_endpoint_auth_signing_algs[0]: no signing algorithm for client assertions "none"; there are PS256, ES256, EdDSA, Ed25519, PS384, PS512, ES384, ES512, RS256`},
		"token alg":                         {"policies: {a: {base: oauth2, access_token_signing_algs: [RS384]}}", `fapid.yaml:1:58: policies.a.access_token_signing_algs[0]: no signing algorithm for tokens "RS384"; there are ES256, PS256, EdDSA, RS256`},
		"audience":                          {"policies: {a: {base: oauth2, client_assertion_audience: any}}", `fapid.yaml:1:30: policies.a.client_assertion_audience: no audience rule "any"; there are issuer, endpoints`},
		"short":                             {"policies: {a: {base: oauth2, clock_skew: 9s}}", "fapid.yaml:1:30: policies.a.clock_skew: 9s is not from 10s to 5m"},
		"long":                              {"policies: {a: {base: oauth2, client_assertion_lifetime: 25h}}", "fapid.yaml:1:30: policies.a.client_assertion_lifetime: 25h is not from 10s to 24h"},
		"lifetimes":                         {"policies: {a: {base: oauth2, access_token_lifetime: 2h, max_access_token_lifetime: 1h}}", "fapid.yaml:1:30: policies.a.access_token_lifetime: 2h is longer than max_access_token_lifetime, 1h"},
		"lifetime alone":                    {"policies: {a: {base: fapi2, access_token_lifetime: 2h}}", "fapid.yaml:1:29: policies.a.access_token_lifetime: 2h is longer than max_access_token_lifetime, 1h"},
		"wider method":                      {"policies: {a: {base: fapi2, token_endpoint_auth_methods: [client_secret_post]}}", "fapid.yaml:1:59: policies.a.token_endpoint_auth_methods[0]: fapi2 has no client_secret_post" + narrow},
		"wider token alg":                   {"policies: {a: {base: fapi2, access_token_signing_algs: [RS256]}}", "fapid.yaml:1:57: policies.a.access_token_signing_algs[0]: fapi2 has no RS256" + narrow},
		"wider alg":                         {"policies: {a: {base: fapi1-advanced, token_endpoint_auth_signing_algs: [RS256]}}", "fapid.yaml:1:73: policies.a.token_endpoint_auth_signing_algs[0]: fapi1-advanced has no RS256" + narrow},
		"wider tokens":                      {"policies: {a: {base: fapi1-advanced, access_token_signing_algs: [EdDSA]}}", "fapid.yaml:1:66: policies.a.access_token_signing_algs[0]: fapi1-advanced has no EdDSA" + narrow},
		"dpop alg":                          {"policies: {a: {base: oauth2, dpop_signing_algs: [RS256]}}", `fapid.yaml:1:50: policies.a.dpop_signing_algs[0]: no signing algorithm for DPoP proofs "RS256"; there are ES256, PS256, EdDSA, Ed25519, ES384, ES512, PS384, PS512`},
		"grant":                             {"policies: {a: {base: oauth2, grant_types: [password]}}", `fapid.yaml:1:44: policies.a.grant_types[0]: no grant type "password"; there are ` + strings.Join(grantTypes, ", ")},
		"wider DPoP":                        {"policies: {a: {base: fapi1-advanced, dpop_signing_algs: [ES256]}}", "fapid.yaml:1:58: policies.a.dpop_signing_algs[0]: fapi1-advanced has no ES256" + narrow},
		"wider audience":                    {"policies: {a: {base: fapi2, client_assertion_audience: endpoints}}", "fapid.yaml:1:29: policies.a.client_assertion_audience: fapi2 takes the issuer alone" + narrow},
		"wider binding":                     {"policies: {a: {base: fapi2, sender_constrained_access_tokens: false}}", "fapid.yaml:1:29: policies.a.sender_constrained_access_tokens: fapi2 binds every token" + narrow},
		"wider skew":                        {"policies: {a: {base: fapi2, clock_skew: 61s}}", "fapid.yaml:1:29: policies.a.clock_skew: fapi2 allows at most 1m" + narrow},
		"directory alone":                   {"directory: {ecosystem: uk}", "fapid.yaml:1:1: directory: is served at listeners.directory, which is not set"},
		"ecosystem":                         {"listeners: {directory: {}}\ndirectory: {ecosystem: mars}", `fapid.yaml:2:13: directory.ecosystem: no ecosystem "mars"; there are raidiam, brazil, uk, cdr, rfc7591`},
		"directory scope":                   {"listeners: {directory: {}}\n" + realm + "scopes: [accounts]\n", "fapid.yaml:5:5: realms.default.scopes: the directory of listeners.directory takes tokens of this realm with scope directory:software, which it does not offer"},
		"directory's CA":                    {"listeners: {directory: {}}\nrealms: {default: {trust: {cas: [good.pem]}}}\n", "fapid.yaml:2:20: realms.default.trust: the directory of listeners.directory issues certificates of the sandbox CA, which this realm does not trust; set sandbox_ca: true"},
		"directory port":                    {"listeners: {directory: {address: 'localhost:8443', url: 'https://directory.test'}}", "fapid.yaml:1:25: listeners.directory.address: port 8443 is that of listeners.standard, too"},
		"level":                             {"log: {level: trace}", `fapid.yaml:1:7: log.level: no log level "trace"; there are debug, info, warn, error`},
		"wider rotation":                    {"policies: {a: {base: fapi2, refresh_rotation: true}}", "fapid.yaml:1:29: policies.a.refresh_rotation: fapi2 keeps a refresh token good" + narrow},
		"wider refresh":                     {"policies: {a: {base: fapi2, refresh_for_client_credentials: true}}", "fapid.yaml:1:29: policies.a.refresh_for_client_credentials: fapi2 gives none" + narrow},
		"refresh lifetime":                  {"policies: {a: {base: oauth2, refresh_token_lifetime: 9000h}}", "fapid.yaml:1:30: policies.a.refresh_token_lifetime: 9000h is longer than max_refresh_token_lifetime, 8760h"},

		"address":         {"listeners: {mtls: {address: localhost}}", `fapid.yaml:1:20: listeners.mtls.address: "localhost" is not host:port, such as localhost:8443`},
		"port 0":          {"listeners: {mtls: {address: 'localhost:0'}}", `fapid.yaml:1:20: listeners.mtls.address: "0" is not a port from 1 to 65535`},
		"named port":      {"listeners: {mtls: {address: 'localhost:https'}}", `fapid.yaml:1:20: listeners.mtls.address: "https" is not a port from 1 to 65535`},
		"host":            {"listeners: {mtls: {address: 'my host:8444'}}", `fapid.yaml:1:20: listeners.mtls.address: "my host" is not a host name or an address`},
		"no URL":          {"listeners: {mtls: {address: '0.0.0.0:8444'}}", "fapid.yaml:1:13: listeners.mtls.url: is needed: the address 0.0.0.0:8444 does not say how clients reach it"},
		"port twice":      {"listeners: {mtls: {address: '127.0.0.1:8443', url: 'https://mtls.test'}}", "fapid.yaml:1:20: listeners.mtls.address: port 8443 is that of listeners.standard, too"},
		"port everywhere": {"listeners: {mtls: {address: '127.0.0.1:1', url: 'https://b.test'}, standard: {address: '[::]:1', url: 'https://a.test'}}", "fapid.yaml:1:20: listeners.mtls.address: port 1 is that of listeners.standard, too"},
		"URL twice":       {"listeners: {mtls: {url: 'https://localhost:8443'}}", "fapid.yaml:1:20: listeners.mtls.url: is that of listeners.standard, too; what is asked of each is another"},
		"admin":           {"listeners: {admin: {address: '0.0.0.0:9000'}}", "fapid.yaml:1:21: listeners.admin.address: 0.0.0.0:9000 can be reached from other machines; the operator's listener is for this one alone, such as localhost:9000"},
		"admin by name":   {"listeners: {admin: {address: 'ops.test:9000'}}", "fapid.yaml:1:21: listeners.admin.address: ops.test:9000 can be reached from other machines; the operator's listener is for this one alone, such as localhost:9000"},
		"http":            {"listeners: {mtls: {url: 'http://mtls.test'}}", `fapid.yaml:1:20: listeners.mtls.url: "http://mtls.test" is not an https URL`},
		"URL with path":   {"listeners: {mtls: {url: 'https://mtls.test/'}}", `fapid.yaml:1:20: listeners.mtls.url: "https://mtls.test/" should be scheme, host and port alone: https://mtls.test`},
		"default port":    {"listeners: {mtls: {url: 'https://mtls.test:443'}}", `fapid.yaml:1:20: listeners.mtls.url: "https://mtls.test:443" should be scheme, host and port alone: https://mtls.test`},
		"upper case":      {"listeners: {mtls: {url: 'https://MTLS.test'}}", `fapid.yaml:1:20: listeners.mtls.url: "https://MTLS.test" should be scheme, host and port alone: https://mtls.test`},
		"user":            {"listeners: {mtls: {url: 'https://a@mtls.test'}}", `fapid.yaml:1:20: listeners.mtls.url: "https://a@mtls.test" has a user, query or fragment`},
		"query":           {"listeners: {mtls: {url: 'https://mtls.test?'}}", `fapid.yaml:1:20: listeners.mtls.url: "https://mtls.test?" has a user, query or fragment`},

		"issuer http":    {realm + "issuer: http://localhost:8443\n", `fapid.yaml:4:5: realms.default.issuer: "http://localhost:8443" is not an https URL`},
		"issuer query":   {realm + "issuer: https://localhost:8443/?a=b\n", `fapid.yaml:4:5: realms.default.issuer: "https://localhost:8443/?a=b" has a user, query or fragment`},
		"issuer slash":   {realm + "issuer: https://localhost:8443/\n", `fapid.yaml:4:5: realms.default.issuer: "https://localhost:8443/" ends with a slash`},
		"issuer dots":    {realm + "issuer: https://localhost:8443/a/../b\n", `fapid.yaml:4:5: realms.default.issuer: "https://localhost:8443/a/../b" is not written plainly: lower case host, no default port, no empty or dotted segments`},
		"issuer case":    {realm + "issuer: https://LOCALHOST:8443/b\n", `fapid.yaml:4:5: realms.default.issuer: "https://LOCALHOST:8443/b" is not written plainly: lower case host, no default port, no empty or dotted segments`},
		"issuer host":    {realm + "issuer: https://localhost:8444\n", `fapid.yaml:4:5: realms.default.issuer: "https://localhost:8444" is not below https://localhost:8443, the URL of the standard listener, where its documents are served`},
		"issuer twice":   {realm + "\n  uk: {issuer: 'https://localhost:8443', trust: {sandbox_ca: true}}\n", "fapid.yaml:5:8: realms.uk.issuer: https://localhost:8443 is the issuer of realm default, too"},
		"scope":          {realm + "scopes: [openid, 'a b']\n", `fapid.yaml:4:22: realms.default.scopes[1]: "a b" is not a scope: printable ASCII without space, quote and backslash`},
		"scopes":         {realm + "scopes: [" + strings.Repeat("x", 2500) + "," + strings.Repeat("y", 2500) + "]\n", "fapid.yaml:4:5: realms.default.scopes: is more than one request could ask for"},
		"no trust":       {"realms: {default: {trust: {sandbox_ca: false}}}\n", "fapid.yaml:1:20: realms.default.trust: names nobody, so every client certificate would be refused; set sandbox_ca: true or list cas"},
		"CRLs":           {"realms: {default: {trust: {sandbox_ca: true, crls: [good.pem]}}}\n", "fapid.yaml:1:46: realms.default.trust.crls: are of the CAs listed in cas, and there are none"},
		"CRL missing":    {"realms: {default: {trust: {cas: [good.pem], crls: [missing.crl]}}}\n", "fapid.yaml:1:52: realms.default.trust.crls[0]: DIR/missing.crl cannot be read: no such file or directory"},
		"CA missing":     {"realms: {default: {trust: {cas: [missing.pem]}}}\n", "fapid.yaml:1:34: realms.default.trust.cas[0]: DIR/missing.pem cannot be read: no such file or directory"},
		"CA empty":       {"realms: {default: {trust: {cas: [good.pem, empty.pem]}}}\n", "fapid.yaml:1:44: realms.default.trust.cas[1]: DIR/empty.pem is empty"},
		"CA garbage":     {"realms: {default: {trust: {cas: [garbage.pem]}}}\n", "fapid.yaml:1:34: realms.default.trust.cas[0]: DIR/garbage.pem: there is no PEM certificate in it"},
		"CA a folder":    {"realms: {default: {trust: {cas: [.]}}}\n", "fapid.yaml:1:34: realms.default.trust.cas[0]: DIR cannot be read: is a directory"},
		"JWKS CA":        {realm + "jwks: {cas: [garbage.pem]}\n", "fapid.yaml:4:18: realms.default.jwks.cas[0]: DIR/garbage.pem: there is no PEM certificate in it"},
		"private wide":   {realm + "jwks: {allow_private: [8.0.0.0/7]}\n", "fapid.yaml:4:28: realms.default.jwks.allow_private[0]: 8.0.0.0/7 is too wide; a prefix has at least /8 here"},
		"private bits":   {realm + "jwks: {allow_private: [10.0.0.1/8]}\n", "fapid.yaml:4:28: realms.default.jwks.allow_private[0]: 10.0.0.1/8 has bits beyond its length; write 10.0.0.0/8"},
		"private cloud":  {realm + "jwks: {allow_private: [169.254.169.254/32]}\n", "fapid.yaml:4:28: realms.default.jwks.allow_private[0]: 169.254.169.254/32 covers 169.254.0.0/16, where machines keep their credentials"},
		"no gateways":    {"gateways: {format: xfcc}", "fapid.yaml:1:1: gateways.trusted: is missing"},
		"every gateway":  {"gateways: {trusted: [0.0.0.0/0]}", "fapid.yaml:1:22: gateways.trusted[0]: 0.0.0.0/0 is too wide; a prefix has at least /8 here"},
		"its header":     {"gateways: {trusted: [10.0.0.5/32], header: 'X Cert'}", `fapid.yaml:1:36: gateways.header: "X Cert" is not the name of a header`},
		"no proxies":     {"proxy: {format: xfcc}", "fapid.yaml:1:1: proxy.trusted: is missing"},
		"every proxy":    {"proxy: {trusted: [0.0.0.0/0]}", "fapid.yaml:1:19: proxy.trusted[0]: 0.0.0.0/0 is too wide; a prefix has at least /8 here"},
		"every proxy v6": {"proxy: {trusted: ['2000::/15']}", "fapid.yaml:1:19: proxy.trusted[0]: 2000::/15 is too wide; a prefix has at least /16 here"},
		"mapped proxy":   {"proxy: {trusted: ['::ffff:10.0.0.5/128']}", "fapid.yaml:1:19: proxy.trusted[0]: ::ffff:10.0.0.5/128 is compared with no address; write it as an IPv4 prefix"},
		"format":         {"proxy: {trusted: [10.0.0.5/32], format: nginx}", `fapid.yaml:1:33: proxy.format: no format "nginx"; there are rfc9440, pem-escaped, xfcc`},
		"header":         {"proxy: {trusted: [10.0.0.5/32], header: 'X Cert'}", `fapid.yaml:1:33: proxy.header: "X Cert" is not the name of a header`},
		"chain header":   {"proxy: {trusted: [10.0.0.5/32], chain_header: 'X:'}", `fapid.yaml:1:33: proxy.chain_header: "X:" is not the name of a header`},
		"one header":     {"proxy: {trusted: [10.0.0.5/32], chain_header: client_cert}", "fapid.yaml:1:1: proxy: one header for the certificate and for the chain"},

		"half a pair":       {"tls: {rsa: {certificate: rsa.pem}}", "fapid.yaml:1:7: tls.rsa.key: is missing"},
		"ECDSA alone":       {"tls: {ecdsa: {certificate: p256.pem, key: p256.key}}", "fapid.yaml:1:1: tls.rsa: is needed beside ecdsa: TLS 1.2 clients without ECDSA could not connect"},
		"key missing":       {"tls: {rsa: {certificate: rsa.pem, key: missing.key}}", "fapid.yaml:1:35: tls.rsa.key: DIR/missing.key cannot be read: no such file or directory"},
		"another's key":     {"tls: {rsa: {certificate: rsa.pem, key: p256.key}}", "fapid.yaml:1:7: tls.rsa: private key type does not match public key type"},
		"wrong type":        {"tls: {rsa: {certificate: p256.pem, key: p256.key}}", "fapid.yaml:1:13: tls.rsa.certificate: DIR/p256.pem has a ECDSA key"},
		"management policy": {realm + "management: {policies: [fapi2, oauth2]}\n", `fapid.yaml:4:36: realms.default.management.policies[1]: "oauth2" is not a policy of this realm, which has fapi2`},
		"management basic":  {realm + "management: {basic: true}\n", `fapid.yaml:4:18: realms.default.management.basic: no policy of this realm has client_secret_basic, so nobody could use it`},
		"management key":    {realm + "management: {unbound: true}\n", `fapid.yaml:4:18: realms.default.management.unbound: unknown key; there are unbound_tokens, basic, policies`},
		"reserved scope":    {realm + "scopes: [accounts, 'fapid:clients.read']\n", `fapid.yaml:4:24: realms.default.scopes[1]: "fapid:clients.read" is of the management API, whose scopes are offered where the realm has the key management`},
		"hosts":             {"tls: {hosts: [a.test], rsa: {certificate: rsa.pem, key: rsa.key}}", "fapid.yaml:1:7: tls.hosts: are for certificates of the sandbox CA; those in files have their own names"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := certificateDir(t)
			_, err := completeText(c.text, "FAPID_DIR="+dir)
			wantLines(t, err, strings.ReplaceAll(c.want, "DIR", dir))
		})
	}
}

func TestCompleteAccepts(t *testing.T) {
	for name, text := range map[string]string{
		"one port, two addresses": "listeners: {standard: {address: '127.0.0.2:443', url: 'https://a.test'}, mtls: {address: '127.0.0.3:443', url: 'https://b.test'}}",
		"admin on IPv6":           "listeners: {admin: {address: '[::1]:9000'}}",
		"admin behind a proxy":    "listeners: {admin: {url: 'https://ops.test'}}",
		"issuer with a path":      "realms: {default: {issuer: 'https://localhost:8443/a/b', trust: {sandbox_ca: true}}}",
		"own weak policy":         "policies: {a: {base: sandbox, token_endpoint_auth_methods: [client_secret_basic], token_endpoint_auth_signing_algs: [RS256], clock_skew: 5m}}",
		"own narrow policy":       "policies: {a: {base: fapi1-advanced, client_assertion_audience: issuer, token_endpoint_auth_methods: [private_key_jwt], clock_skew: 1m, dn_matching: any_order, dpop_nonce: true}}",
		"management":              "realms: {default: {management: , trust: {sandbox_ca: true}}}",
		"Aidbox's paths":          "layouts: {a: {base: default, paths: {aidbox_client: '/Client', aidbox_session: '/Session /fhir/Session'}}}",
		"server certificates":     "tls: {rsa: {certificate: rsa.pem, key: rsa.key}, ecdsa: {certificate: p256.pem, key: p256.key}}",
		"CAs":                     "realms: {default: {trust: {cas: [good.pem], crls: [good.pem]}, jwks: {allow_private: ['fc00::/7'], cas: [good.pem]}}}",
	} {
		if _, err := completeText(text, "FAPID_DIR="+certificateDir(t)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Problems name the layer that a value came from, whichever it is.
func TestCompleteNamesTheLayer(t *testing.T) {
	config, err := Load(Source{
		File: "fapid.yaml", YAML: []byte("realms:\n  default:\n    trust: {sandbox_ca: true}\n    scopes: [openid]\n"),
		Env:   []string{"FAPID_REALMS__DEFAULT__POLICY=fapi3", "FAPID_REALMS__DEFAULT__SCOPES=a,b c"},
		Flags: map[string]string{"log.level": "loud"},
	})
	if err != nil {
		t.Fatal(err)
	}
	config.Realms["made-in-code"] = &Realm{}
	wantLines(t, config.Complete(),
		"fapid.yaml:1:1: realms.made-in-code.trust: names nobody, so every client certificate would be refused; set sandbox_ca: true or list cas",
		`FAPID_REALMS__DEFAULT__POLICY: realms.default.policy: no policy "fapi3"; there are fapi1-advanced, fapi2, oauth2, sandbox (or define it under policies)`,
		`FAPID_REALMS__DEFAULT__SCOPES: realms.default.scopes[1]: "b c" is not a scope: printable ASCII without space, quote and backslash`,
		`command line: log.level: no log level "loud"; there are debug, info, warn, error`,
	)
	var made Config
	wantLines(t, made.Complete(), "realms.default.trust: names nobody, so every client certificate would be refused; set sandbox_ca: true or list cas")
}

// Every key of a policy of one's own changes the policy that clients get.
func TestOwnPolicyOverrides(t *testing.T) {
	yes := true
	own := Policy{
		Base: "fapi2", AuthMethods: []string{oauth.AuthTLS}, AssertionAlgs: []string{"RS256"},
		AssertionAudience: oauth.AudienceEndpoints, AssertionLifetime: Duration(time.Second), ClockSkew: Duration(time.Second),
		HTTPSRedirects: new(bool), SenderConstrained: new(bool), TokenAlgs: []string{"PS256"}, AccessTokenLifetime: Duration(time.Second),
		MaxAccessTokenLifetime: Duration(time.Second), DNMatching: mtls.MatchBrazil, DPoPAlgs: []string{"ES384"}, DPoPNonce: &yes,
		RefreshRotation: &yes, RefreshForClientCredentials: &yes, RefreshWithRenewedCertificate: new(bool),
		RefreshTokenLifetime: Duration(time.Second), MaxRefreshTokenLifetime: Duration(time.Second), GrantTypes: []string{"client_credentials"},
	}
	config := Config{Policies: map[string]Policy{"mine": own, "same": {Base: "fapi2"}, "lost": {Base: "nothing"}}}
	row, ok := config.Policy("mine")
	if !ok || row.Name != "mine" {
		t.Fatalf("got %+v, %v", row, ok)
	}
	base := policies["fapi2"]
	got, was, from := reflect.ValueOf(*row), reflect.ValueOf(base), reflect.ValueOf(own)
	for i := range got.NumField() {
		if reflect.DeepEqual(got.Field(i).Interface(), was.Field(i).Interface()) {
			t.Errorf("%s is that of the base", got.Type().Field(i).Name)
		}
	}
	for i := range from.NumField() {
		if from.Field(i).IsZero() {
			t.Errorf("%s is not tried", from.Type().Field(i).Name)
		}
	}
	same, _ := config.Policy("same")
	if base.Name = "same"; !reflect.DeepEqual(*same, base) {
		t.Errorf("a policy that changes nothing is %+v", *same)
	}
	for _, name := range []string{"lost", "none", ""} {
		if _, ok := config.Policy(name); ok {
			t.Errorf("there is a policy %q", name)
		}
	}
}

func TestUnsafe(t *testing.T) {
	const public = "listeners: {standard: {address: '0.0.0.0:8443', url: 'https://auth.test'}}\n"
	const proxied = "listeners: {mtls: {url: 'https://mtls.test'}}\n"
	const sandbox = "realms: {default: {sandbox: true, trust: {sandbox_ca: true}}}\n"
	const lead = "fapid.yaml:2:20: realms.default.sandbox: other machines reach this realm, and error_uri would lead them to http://localhost:9000; leave it out, or set listeners.admin.url to what they reach"
	const secrets = "fapid.yaml:1:12: policies.a: takes client_secret_basic, client_secret_post, client_secret_jwt from oauth2 without saying so; list token_endpoint_auth_methods"
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"plain":                  {public, nil},
		"sandbox here":           {sandbox, nil},
		"sandbox public":         {public + sandbox, []string{lead}},
		"directory public":       {"listeners: {directory: {address: '0.0.0.0:8445', url: 'https://directory.test'}}\n" + sandbox, []string{lead}},
		"sandbox behind a proxy": {proxied + sandbox, []string{lead}},
		"sandbox explained":      {"listeners: {standard: {address: '0.0.0.0:8443', url: 'https://auth.test'}, admin: {url: 'https://ops.test'}}\n" + sandbox, nil},
		"sandbox on IPv6":        {"listeners: {standard: {address: '[::1]:8443'}}\n" + sandbox, nil},
		"oauth2 by name":         {"realms: {default: {policy: oauth2, trust: {sandbox_ca: true}}}", nil},
		"secrets taken over":     {"policies: {a: {base: oauth2}}\nrealms: {default: {policy: a, trust: {sandbox_ca: true}}}", []string{secrets}},
		"secrets also allowed":   {"policies: {a: {base: oauth2}}\nrealms: {default: {policies: [a], trust: {sandbox_ca: true}}}", []string{secrets}},
		"secrets unused":         {"policies: {a: {base: oauth2}}", nil},
		"secrets written down":   {"policies: {a: {base: oauth2, token_endpoint_auth_methods: [client_secret_basic]}}\nrealms: {default: {policy: a, trust: {sandbox_ca: true}}}", nil},
		"jwks_uri into loopback": {public + "realms: {default: {trust: {sandbox_ca: true}, jwks: {allow_private: [10.0.0.0/8, 127.0.0.1/32]}}}", []string{"fapid.yaml:2:82: realms.default.jwks.allow_private[1]: 127.0.0.1/32 is this machine, and other machines reach the server: their jwks_uri could ask what listens here only"}},
		"jwks_uri here":          {"realms: {default: {trust: {sandbox_ca: true}, jwks: {allow_private: [127.0.0.1/32]}}}", nil},
		"clock":                  {"realms: {default: {clock: -24h, trust: {sandbox_ca: true}}}", []string{"fapid.yaml:1:20: realms.default.clock: certificates and tokens that have expired would be taken again; only a realm with sandbox: true may have it"}},
		"clock in a sandbox":     {"realms: {default: {clock: -24h, sandbox: true, trust: {sandbox_ca: true}}}", nil},
		"management":             {"realms: {default: {management: {}, trust: {sandbox_ca: true}}}", nil},
		"open management": {"realms: {default: {policies: [oauth2], management: {unbound_tokens: true, basic: true}, trust: {sandbox_ca: true}}}", []string{
			"fapid.yaml:1:53: realms.default.management.unbound_tokens: policy fapi2 of this realm binds every token, and whoever saw an unbound one could manage the realm; leave it out",
			"fapid.yaml:1:75: realms.default.management.basic: policy fapi2 of this realm binds every token, and whoever learned a secret could manage the realm; leave it out",
		}},
		"open management of an open realm": {"realms: {default: {policy: oauth2, management: {unbound_tokens: true, basic: true}, trust: {sandbox_ca: true}}}", nil},
		"known CA":                         {"realms: {default: {trust: {cas: [good.pem, p256.pem]}}}", []string{`fapid.yaml:1:28: realms.default.trust.cas: the private key of "p256" is a public test key`}},
		"known server keys": {"tls: {rsa: {certificate: rsa.pem, key: rsa.key}, ecdsa: {certificate: p256.pem, key: p256.key}}", []string{
			`fapid.yaml:1:13: tls.rsa.certificate: the private key of "rsa" is a public test key`,
			`fapid.yaml:1:58: tls.ecdsa.certificate: the private key of "p256" is a public test key`,
		}},
	} {
		config, err := completeText(c.text, "FAPID_DIR="+certificateDir(t))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := lines(config.Unsafe()); !slices.Equal(got, c.want) {
			t.Errorf("%s:\n%q\nwant:\n%q", name, got, c.want)
		}
	}
}

func TestLogLevel(t *testing.T) {
	for text, want := range map[string]slog.Level{"": slog.LevelInfo, "debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError} {
		if got := (&Config{Log: Log{Level: text}}).LogLevel(); got != want {
			t.Errorf("%q is %v", text, got)
		}
	}
}

func freshKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// certificateDir is a folder with good.pem (a fresh key), rsa and p256 (test
// keys, with .key), empty.pem and garbage.pem.
func certificateDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	write := func(name string, content []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, key := range map[string]crypto.Signer{"good": freshKey(t), "rsa": testkeys.RSA(1), "p256": testkeys.P256(1)} {
		template := x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour)}
		der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		private, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		write(name+".pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
		write(name+".key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	}
	write("empty.pem", nil)
	write("garbage.pem", []byte("not a certificate\n"))
	return dir
}
