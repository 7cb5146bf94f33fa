package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/fapid/fapid/server"
	"github.com/fapid/fapid/server/servertest"
)

// TestLayouts: a realm of each layout serves a token where its own clients look
// for it, advertises the first path, and lets a client name either as audience.
func TestLayouts(t *testing.T) {
	s := servertest.Start(t, func(config *server.Config) {
		for _, layout := range []string{"keycloak", "cern", "asgardeo", "aidbox", "mine"} {
			config.Realms["in-"+layout] = &server.Realm{Layout: layout, Policy: "sandbox", Scopes: []string{"accounts"}, Trust: server.Trust{SandboxCA: true}, Management: &server.Management{}}
		}
		config.Layouts = map[string]server.Layout{"mine": {Base: "realm", Paths: map[string]string{"token_endpoint": "/my/{realm}/token"}}}
	})
	for layout, at := range map[string]struct{ issuer, token, further, scim string }{
		"keycloak": {"/realms/in-keycloak", "/realms/in-keycloak/protocol/openid-connect/token", "", "/realms/in-keycloak/scim/v2"},
		"cern":     {"/auth/realms/in-cern", "/auth/realms/in-cern/protocol/openid-connect/token", "/auth/realms/in-cern/api-access/token", "/auth/realms/in-cern/scim/v2"},
		"asgardeo": {"/t/in-asgardeo/oauth2/token", "/t/in-asgardeo/oauth2/token", "", "/t/in-asgardeo/scim2"},
		"aidbox":   {"/in-aidbox", "/auth/token", "", "/in-aidbox/scim/v2"},
		"mine":     {"/realms/in-mine", "/my/in-mine/token", "", "/realms/in-mine/scim/v2"},
	} {
		tpp := s.TPPIn("in-"+layout, "tpp")
		if got := tpp.Provider.Issuer; got != s.Issuer+at.issuer {
			t.Errorf("%s: issuer %s", layout, got)
		}
		if got := tpp.Provider.TokenEndpoint; got != s.Issuer+at.token {
			t.Errorf("%s: token_endpoint %s", layout, got)
		}
		if got := claims(t, tpp.Token())["iss"]; got != s.Issuer+at.issuer {
			t.Errorf("%s: iss %v", layout, got)
		}
		answer := s.Do(tpp.HTTP, http.MethodGet, s.MTLS+at.scim+"/ResourceTypes/User", nil, "")
		if answer.Status != http.StatusOK || !strings.Contains(answer.Body, `"location":"`+s.MTLS+at.scim+`/ResourceTypes/User"`) {
			t.Errorf("%s: %s: %s", layout, at.scim, answer)
		}
		if at.further == "" {
			continue
		}
		answer = s.Do(tpp.HTTP, http.MethodPost, s.MTLS+at.further, servertest.Form, "grant_type=client_credentials&client_id=tpp")
		if answer.Status != http.StatusOK {
			t.Errorf("%s: %s: %s", layout, at.further, answer)
		}
		jwt := s.TPPIn("in-"+layout, "jwt", servertest.JWT)
		assertion, err := jwt.Assertion(s.Issuer+at.further, s.Clock.Now())
		if err != nil {
			t.Fatal(err)
		}
		answer = s.Do(jwt.HTTP, http.MethodPost, s.Issuer+at.further, servertest.Form,
			"grant_type=client_credentials&client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer&client_assertion="+assertion)
		if answer.Status != http.StatusOK {
			t.Errorf("%s: aud %s: %s", layout, at.further, answer)
		}
	}
}
