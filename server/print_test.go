package server

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fapid/fapid/mtls"
)

// everything has a value, other than the default, for every key there is.
func everything(t *testing.T) Config {
	t.Helper()
	no, yes := false, true
	prefix := netip.MustParsePrefix
	return Config{
		Dir: certificateDir(t),
		Listeners: Listeners{
			Standard:  Listener{"0.0.0.0:443", "https://auth.bank.test"},
			MTLS:      Listener{"[::1]:8444", "https://mtls.bank.test:8444"},
			Directory: &Listener{"[::1]:8445", "https://directory.bank.test:8445"},
			Admin:     Listener{"127.0.0.1:9001", "https://ops.bank.test"},
		},
		Directory: &Directory{Ecosystem: "uk", StatementAlg: "ES256", Lock: true},
		TLS: ServerTLS{
			RSA: &KeyPair{"rsa.pem", "rsa.key"}, ECDSA: &KeyPair{"p256.pem", "p256.key"},
			Hosts: []string{"a.test", "::1", "*.b.test"},
		},
		Proxy:    &Proxy{Trusted: []netip.Prefix{prefix("10.0.0.5/32"), prefix("fd00::/16")}, Format: "rfc9440", Header: "X-Leaf", ChainHeader: "X-Chain"},
		Gateways: &Proxy{Trusted: []netip.Prefix{prefix("10.0.0.6/32")}, Format: "rfc9440", Header: "X-Api-Leaf", ChainHeader: "X-Api-Chain"},
		Policies: map[string]Policy{
			"1e3": {Base: "sandbox"},
			"mine": {
				Base: "oauth2", AuthMethods: []string{"private_key_jwt"}, AssertionAlgs: []string{"RS256", "ES256"},
				AssertionAudience: "issuer", AssertionLifetime: Duration(90 * time.Second), ClockSkew: Duration(10*time.Second + 5),
				HTTPSRedirects: &yes, SenderConstrained: &no, TokenAlgs: []string{"ES256"}, AccessTokenLifetime: Duration(time.Hour),
				MaxAccessTokenLifetime: Duration(90 * time.Minute), DNMatching: mtls.MatchBrazil,
				DPoPAlgs: []string{"PS256", "ES384"}, DPoPNonce: &yes,
				RefreshRotation: &yes, RefreshForClientCredentials: &yes, RefreshWithRenewedCertificate: &no,
				RefreshTokenLifetime: Duration(time.Hour), MaxRefreshTokenLifetime: Duration(2 * time.Hour),
				GrantTypes: []string{"client_credentials", "refresh_token"},
			},
		},
		Layouts: map[string]Layout{"true": {Base: "keycloak", Paths: map[string]string{"true": "/a /{realm}/b"}}},
		Realms: map[string]*Realm{
			"true": {
				Issuer: "https://auth.bank.test/ä b", Layout: "realm", Sandbox: true, JSONRequests: true, Policy: "mine", Policies: []string{"1e3", "fapi2"},
				Scopes: []string{"openid", "consent:*", "123", "null", "~", "a#b", "&x", "'", "- y", "yes", "0x1F", "urn:a:b:"}, Audience: "a: b # \"c\" \\",
				Clock:   Offset(-25 * time.Hour),
				Subject: "sa-{client_id}", FurtherClaims: []string{"nbf", "azp"}, EitherSecret: true, RefreshWithoutSecret: true,
				Management: &Management{UnboundTokens: true, Basic: true, Policies: []string{"mine", "fapi2"}},
				Trust:      Trust{SandboxCA: true, CAs: []string{"good.pem"}, CRLs: []string{"./good.pem"}},
				JWKS:       Fetch{AllowPrivate: []netip.Prefix{prefix("10.0.0.0/8")}, CAs: []string{"good.pem"}},
				Registration: &Registration{
					Access: []string{"open", "software_statement"}, Policy: "mine", MaxClients: 17, MaxClientsPerSoftware: 3, UnusedClients: Duration(time.Hour), Directory: []string{"raidiam"},
					Ecosystem: "brazil", DirectoryID: "74e929d9-33b6-4d85-8ba7-c146c867a817", Scopes: []string{"openid"},
					Issuers: map[string]*StatementIssuer{"true": {
						Ecosystem: "uk", Issuer: "OpenBanking Ltd", Keys: "https://keys.bank.test/openbanking.jwks",
						Algs: []string{"PS256"}, MaxAge: Duration(time.Hour), SingleUse: true, Policy: "mine",
					}},
				},
			},
		},
		Log: Log{Level: "debug"},
	}
}

func TestEverythingIsEverything(t *testing.T) {
	for _, path := range leaves(reflect.TypeFor[Config](), "true") {
		if strings.HasPrefix(path, "policies.") {
			path = strings.Replace(path, ".true.", ".mine.", 1)
		}
		if value := lookup(reflect.ValueOf(everything(t)), strings.Split(path, ".")); value.IsZero() {
			t.Errorf("%s has no value", path)
		}
	}
}

func lookup(v reflect.Value, keys []string) reflect.Value {
	for _, key := range keys {
		v = reflect.Indirect(v)
		if v.Kind() == reflect.Map {
			v = v.MapIndex(reflect.ValueOf(key))
			continue
		}
		f, _ := fieldNamed(v.Type(), key)
		v = v.Field(f.index)
	}
	return v
}

func TestRoundTrip(t *testing.T) {
	minimal, err := completeText("")
	if err != nil {
		t.Fatal(err)
	}
	for name, config := range map[string]Config{"everything": everything(t), "minimal": minimal, "nothing": {}} {
		for _, commented := range []bool{false, true} {
			reloads(t, name, config, commented)
		}
	}
}

// reloads prints a configuration and wants the same back.
func reloads(t *testing.T, name string, config Config, commented bool) {
	t.Helper()
	text, err := config.YAML(commented)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Load(Source{YAML: text})
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, text)
	}
	config.origins, again.origins = nil, nil
	if !reflect.DeepEqual(config, again) {
		t.Errorf("%s: printed\n%s\nand loaded again it is\n%+v\nnot\n%+v", name, text, again, config)
	}
}

func TestCommentsAboveEveryKey(t *testing.T) {
	config := everything(t)
	text, err := config.YAML(true)
	if err != nil {
		t.Fatal(err)
	}
	written := strings.Split(string(text), "\n")
	for i, line := range written {
		if len(line) > commentWidth && strings.Contains(line, "#") && !strings.Contains(line, ":") {
			t.Errorf("line %d is %d letters long", i+1, len(line))
		}
	}
	for _, f := range fieldsOf(reflect.TypeFor[Realm]()) {
		at := slices.IndexFunc(written, func(line string) bool { return strings.HasPrefix(line, "    "+f.key+":") })
		if at < 1 || !strings.HasPrefix(written[at-1], "    # ") {
			t.Errorf("no comment above realms.true.%s", f.key)
		}
	}
}

// What describes a key is there for each, and names a table that exists.
func TestEveryKeyIsDescribed(t *testing.T) {
	var walk func(section reflect.Type)
	walk = func(section reflect.Type) {
		for _, f := range fieldsOf(section) {
			if !strings.HasSuffix(f.doc, ".") || f.key == "" {
				t.Errorf("%s.%s: doc %q", section.Name(), f.key, f.doc)
			}
			if _, known := choices[f.choices]; f.choices != "" && !known {
				t.Errorf("%s.%s: no choices %q", section.Name(), f.key, f.choices)
			}
			member := bare(section.Field(f.index).Type)
			if kindOf(member) == kindNamed {
				member = bare(member.Elem())
			}
			if kindOf(member) == kindSection {
				walk(member)
			}
		}
	}
	walk(reflect.TypeFor[Config]())
}

func TestDurationText(t *testing.T) {
	for length, want := range map[time.Duration]string{
		0: "0s", time.Second: "1s", 90 * time.Second: "1m30s", 10 * time.Minute: "10m", time.Hour: "1h",
		90 * time.Minute: "1h30m", time.Hour + time.Second: "1h0m1s", 24 * time.Hour: "24h", 1500 * time.Millisecond: "1.5s",
	} {
		text, err := Duration(length).MarshalText()
		if string(text) != want || err != nil {
			t.Errorf("%v is %s, %v; want %s", length, text, err, want)
		}
		var again Duration
		if err := again.UnmarshalText(text); length != 0 && (err != nil || again != Duration(length)) {
			t.Errorf("%s read again is %v, %v", text, again, err)
		}
	}
	text, err := json.Marshal(Policy{ClockSkew: Duration(time.Minute)})
	if want := `{"base":"","clock_skew":"1m"}`; string(text) != want || err != nil {
		t.Errorf("JSON is %s, %v; want %s", text, err, want)
	}
}

// FuzzConfig: no file makes the loader panic, and what it takes is printed so
// that it takes it again as the same.
func FuzzConfig(f *testing.F) {
	for _, seed := range []string{
		"", "dir: a\n", "log: {level: debug}\n", "realms:\n  default:\n    trust: {sandbox_ca: true}\n    scopes: [openid, 'a b', \"\\u00e9\"]\n",
		"policies:\n  mine: {base: oauth2, clock_skew: 1m30s, dn_matching: strict}\n", "proxy: {trusted: ['::1/128', 10.0.0.0/8]}\n",
		"realms:\n", "dir: |\n  a\n", "dir: >-\n  a\n  b\n", "? a\n", "- - -", "a: &a [*a]", "{", "\ufeffdir: x\r\n", "realms: {1: {}, true: {}, ~: {}, 'a.b': {}}\n",
		"tls: {rsa: {certificate: a, key: b}}", "---\ndir: a\n...\n", "dir: a #b\n#c\n", "\"dir\": 'it''s'\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		config, err := Load(Source{YAML: text})
		if err != nil {
			_ = err.Error()
			return
		}
		reloads(t, "loaded", config, true)
		if config.Complete() == nil {
			reloads(t, "completed", config, false)
			_ = config.Unsafe()
		}
	})
}
