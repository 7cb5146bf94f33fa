package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server"
	"github.com/fapid/fapid/server/servertest"
)

// asJSON is the header of a JSON body.
var asJSON = http.Header{"Content-Type": {"application/json"}}

// TestJSONRequests: where the realm allows it a JSON object is worth a form, at
// all three endpoints and for every way to authenticate in a body.
func TestJSONRequests(t *testing.T) {
	s := servertest.Start(t, func(config *server.Config) { config.Realms["default"].JSONRequests = true })
	protect(t, s)
	tpp := s.TPP("tpp", refreshing, func(m *registration.Metadata) { m.Scope = "accounts payments" })
	secret := s.TPP("by-secret", servertest.Under("oauth2"), func(m *registration.Metadata) {
		m.TokenEndpointAuthMethod, m.ClientSecret, m.CertificateBoundTokens = oauth.AuthSecretPost, "a-secret-of-some-length", false
	})
	send := func(path, body string) servertest.Answer {
		return exchange(t, s, tpp.HTTP, http.MethodPost, s.MTLS+path, asJSON, body)
	}
	first := pairOf(t, send("/token", `{"grant_type": "client_credentials", "client_id": "tpp", "scope": "accounts", "resource": ["target-api", "https://other.example.com"]}`))
	if got := claims(t, first.access); got["scope"] != "accounts" || !same(got["aud"], []any{"target-api", "https://other.example.com"}) {
		t.Errorf("scope %v, aud %v", got["scope"], got["aud"])
	}
	second := pairOf(t, send("/token", fmt.Sprintf(`{"grant_type":"refresh_token","client_id":"tpp","refresh_token":%q,"audience":"target-api"}`, first.refresh)))
	if answer := send("/token/introspection", fmt.Sprintf(`{"client_id":"tpp","token":%q}`, second.access)); answer.JSON["active"] != true {
		t.Errorf("introspection: %s", answer)
	}
	if answer := send("/token/revocation", fmt.Sprintf(`{"client_id":"tpp","token":%q}`, second.refresh)); answer.Status != http.StatusOK {
		t.Errorf("revocation: %s", answer)
	}
	answer := exchange(t, s, secret.HTTP, http.MethodPost, s.Issuer+"/token", http.Header{"Content-Type": {"application/json; charset=utf-8"}},
		`{"grant_type":"client_credentials","client_id":"by-secret","client_secret":"a-secret-of-some-length"}`)
	if answer.Status != http.StatusOK {
		t.Errorf("a secret in JSON: %s", answer)
	}
	if answer := post(t, s, tpp.HTTP, s.MTLS+"/token", door{endpoint: "token_endpoint"}.form("client_id", "tpp")); answer.Status != http.StatusOK {
		t.Errorf("a form: %s", answer)
	}
}

// TestAttackE8 and E9, in JSON: what is not allowed or not strictly an object of
// strings is invalid_request, and nothing of it is guessed.
func TestAttackE8E9JSON(t *testing.T) {
	s := servertest.Start(t, func(config *server.Config) { config.Realms["default"].JSONRequests = true })
	tpp, strict := s.TPP("tpp"), s.TPPIn("strict", "tpp")
	good := `{"grant_type":"client_credentials","client_id":"tpp"}`
	with := func(member string) string { return strings.TrimSuffix(good, "}") + "," + member + "}" }
	for name, body := range map[string]string{
		"E9 duplicate":             with(`"client_id":"tpp"`),
		"E9 duplicate, escaped":    with(`"client\u005fid":"tpp"`),
		"E9 NUL":                   with(`"scope":"accounts\u0000"`),
		"E9 NUL in a name":         with(`"sc\u0000ope":"accounts"`),
		"E9 half a surrogate":      with(`"scope":"\ud800"`),
		"E9 invalid UTF-8":         with("\"scope\":\"\xff\""),
		"E9 many":                  with(many(101)),
		"E9 100,000 parameters":    with(`"audience":[` + strings.TrimSuffix(strings.Repeat(`"a",`, 10_000), ",") + `]`),
		"number":                   with(`"scope":1`),
		"boolean":                  with(`"scope":true`),
		"null":                     with(`"scope":null`),
		"object":                   with(`"scope":{}`),
		"array of what is one":     with(`"scope":["accounts"]`),
		"null in an array":         with(`"resource":[null]`),
		"number in an array":       with(`"resource":["target-api",1]`),
		"array in an array":        with(`"resource":[["target-api"]]`),
		"no object":                `[` + good + `]`,
		"a string":                 `"grant_type=client_credentials"`,
		"null alone":               `null`,
		"nothing":                  ``,
		"two objects":              good + good,
		"rubbish behind":           good + `x`,
		"a form":                   `grant_type=client_credentials&client_id=tpp`,
		"cut short":                good[:len(good)-1],
		"deep":                     with(`"x":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000)),
		"another case":             `{"Grant_Type":"client_credentials","client_id":"tpp"}`,
		"E8 grant_type in the URL": "",
	} {
		address := s.MTLS + "/token"
		if name == "E8 grant_type in the URL" {
			address, body = address+"?grant_type=client_credentials", good
		}
		answer := exchange(t, s, tpp.HTTP, http.MethodPost, address, asJSON, body)
		if answer.Status != http.StatusBadRequest || answer.Error() != "invalid_request" {
			t.Errorf("%s: %s", name, answer)
		}
	}
	for _, media := range []string{"text/json", "application/json+x", "application/jsonx", "multipart/form-data; boundary=x", ""} {
		answer := exchange(t, s, tpp.HTTP, http.MethodPost, s.MTLS+"/token", http.Header{"Content-Type": {media}}, good)
		wantAnswer(t, answer, http.StatusBadRequest, "invalid_request")
	}
	wantAnswer(t, exchange(t, s, tpp.HTTP, http.MethodGet, s.MTLS+"/token", asJSON, ""), http.StatusMethodNotAllowed, "method_not_allowed")
	// E8: a realm that does not allow it takes no JSON.
	wantAnswer(t, exchange(t, s, strict.HTTP, http.MethodPost, strict.Provider.Aliases["token_endpoint"], asJSON, good), http.StatusBadRequest, "invalid_request")
}

// many are so many members.
func many(n int) string {
	members := make([]string, n)
	for i := range members {
		members[i] = fmt.Sprintf(`"p%d":"x"`, i)
	}
	return strings.Join(members, ",")
}
