package server

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/fapid/fapid/testkeys"
)

// aKeySet is one that nobody has the private keys of: x and y are of RFC 7517
// appendix A.1.
const aKeySet = `{"keys":[{"kty":"EC","kid":"1","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}`

// keySetDir is certificateDir with key sets.
func keySetDir(t *testing.T) string {
	t.Helper()
	dir := certificateDir(t)
	known, err := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: testkeys.P256(1).Public(), KeyID: "1"}}}.Keys[0].MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"good.jwks": aKeySet, "known.jwks": `{"keys":[` + string(known) + `]}`, "none.jwks": `{"keys":[]}`} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestRegistrationRefused(t *testing.T) {
	const realm = "realms:\n  default:\n    trust: {sandbox_ca: true}\n    registration:\n      "
	for text, want := range map[string]string{
		"ecosystem: atlantis": `5:7: realms.default.registration.ecosystem: no ecosystem "atlantis"; there are rfc7591, uk, brazil, cdr, uae, raidiam`,
		"ecosystem: uae":      `5:7: realms.default.registration.ecosystem: uae has no software statements: it asks the directory whose a certificate is; list it in directory`,
		"{ecosystem: uae, directory: [uae]}\nlisteners: {directory: {}}": `5:8: realms.default.registration.ecosystem: uae gives software the client_id that it has at the directory, and in this realm, the first, the directory has given it to a client of its own; use another realm`,
		"{directory: [uk, uae]}\nlisteners: {directory: {}}":             `5:24: realms.default.registration.directory[1]: uae has no software statements, so its rules hold for nothing here: make it the ecosystem, whose rules hold for requests without one`,
		"scopes: [admin]": `5:16: realms.default.registration.scopes[0]: "admin" is not among the realm's scopes`,

		"issuers: {ob: {keys: good.jwks}}":                                                    `5:17: realms.default.registration.issuers.ob.ecosystem: is missing`,
		"issuers: {ob: {ecosystem: uk}}":                                                      `5:17: realms.default.registration.issuers.ob.keys: is missing`,
		"issuers: {ob: {ecosystem: rfc7591, keys: good.jwks}}":                                `5:17: realms.default.registration.issuers.ob.issuer: is missing, and statements of rfc7591 have none that is always the same`,
		"issuers: {ob: {ecosystem: uae, keys: good.jwks}}":                                    `5:22: realms.default.registration.issuers.ob.ecosystem: uae has no statements to verify: it asks the directory of the certificate, so the directory must be in this process`,
		"issuers: {ob: {ecosystem: uk, keys: missing.jwks}}":                                  `5:37: realms.default.registration.issuers.ob.keys: DIR/missing.jwks cannot be read: no such file or directory`,
		"issuers: {ob: {ecosystem: uk, keys: good.pem}}":                                      `5:37: realms.default.registration.issuers.ob.keys: DIR/good.pem: not a JWK Set: invalid character '-' in numeric literal`,
		"issuers: {ob: {ecosystem: uk, keys: none.jwks}}":                                     `5:37: realms.default.registration.issuers.ob.keys: DIR/none.jwks: the key set has no keys`,
		"issuers: {ob: {ecosystem: uk, keys: '{\"keys\":[{\"kty\":\"oct\"}]}'}}":              `5:37: realms.default.registration.issuers.ob.keys: key 1 (kid ""): `,
		"issuers: {ob: {ecosystem: uk, keys: 'http://keys.example/jwks'}}":                    `5:37: realms.default.registration.issuers.ob.keys: "http://keys.example/jwks" must begin with https://`,
		"issuers: {ob: {ecosystem: brazil, keys: good.jwks, algs: [ES256]}}":                  `5:58: realms.default.registration.issuers.ob.algs: ES256 is not taken by brazil, which has PS256`,
		"issuers: {ob: {ecosystem: uk, keys: good.jwks, algs: [RS256]}}":                      `5:54: realms.default.registration.issuers.ob.algs: RS256 is not taken by uk, which has PS256, ES256`,
		"issuers: {ob: {ecosystem: brazil, keys: good.jwks, max_age: 6m}}":                    `5:58: realms.default.registration.issuers.ob.max_age: is 6m0s; brazil takes no statement that is older than 5m0s`,
		"issuers: {ob: {ecosystem: uk, keys: good.jwks, policy: sandbox}}":                    `5:54: realms.default.registration.issuers.ob.policy: "sandbox" is not a policy of the realm; list it in policies`,
		"issuers: {directory: {ecosystem: uk, keys: good.jwks}}":                              `5:17: realms.default.registration.issuers.directory: is the name of the directory of this process; choose another`,
		"issuers: {a: {ecosystem: uk, keys: good.jwks}, b: {ecosystem: uk, keys: good.jwks}}": `5:54: realms.default.registration.issuers.b.issuer: "OpenBanking Ltd" is the iss of a, too; which keys a statement is verified with is found by it`,
	} {
		t.Run(text, func(t *testing.T) {
			dir := keySetDir(t)
			_, err := completeText(realm+text+"\n", "FAPID_DIR="+dir)
			want := "fapid.yaml:" + strings.ReplaceAll(want, "DIR", dir)
			if got := lines(err); len(got) == 0 || !slices.ContainsFunc(got, func(line string) bool { return strings.HasPrefix(line, want) }) {
				t.Errorf("%q\nwant %q", got, want)
			}
		})
	}
}

func TestRegistrationAccepted(t *testing.T) {
	const text = `
realms:
  default:
    trust: {sandbox_ca: true}
    policies: [fapi1-advanced]
    registration:
      issuers:
        ob: {ecosystem: uk, keys: good.jwks, policy: fapi1-advanced, max_age: 10m}
        register: {ecosystem: cdr, keys: 'https://api.example/jwks', algs: [PS256], single_use: true}
        mine: {ecosystem: rfc7591, issuer: 'https://mine.example', keys: '` + aKeySet + `'}
`
	config, err := completeText(text, "FAPID_DIR="+keySetDir(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := config.Unsafe(); err != nil {
		t.Error(err)
	}
	r := config.Realms["default"].Registration
	if r.Ecosystem != "rfc7591" || r.Issuers["ob"].Issuer != "OpenBanking Ltd" || !slices.Equal(r.Scopes, []string{"openid", "accounts", "payments", "cdr:registration"}) {
		t.Errorf("%+v", r)
	}
}

// The configuration in the document is one.
func TestRegistrationDocumented(t *testing.T) {
	content, err := os.ReadFile("../docs/ecosystems.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(content), "```yaml\n")
	text, _, found := strings.Cut(text, "```")
	config, err := completeText(text)
	if !found || err != nil || config.Realms["default"].Registration.Issuers["ob"].Issuer != "OpenBanking Ltd" {
		t.Errorf("%v\n%s", err, text)
	}
}

// Whoever has the private keys of an issuer can vouch for himself.
func TestRegistrationUnsafe(t *testing.T) {
	dir := keySetDir(t)
	config, err := completeText("realms: {default: {trust: {sandbox_ca: true}, registration: {issuers: {ob: {ecosystem: uk, keys: known.jwks}}}}}\n", "FAPID_DIR="+dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := lines(config.Unsafe()); len(got) != 1 || !strings.Contains(got[0], "realms.default.registration.issuers.ob.keys: "+dir+"/known.jwks: key 1") || !strings.Contains(got[0], "public test key") {
		t.Errorf("%q", got)
	}
}
