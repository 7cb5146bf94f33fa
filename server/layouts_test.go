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

// TestRegistrationInLayouts: where software may register itself, it does so at the path
// that the clients of that server know, on both listeners, and manages itself below it;
// discovery says so. Where it may not, there is no such path and no word of it.
func TestRegistrationInLayouts(t *testing.T) {
	t.Parallel()
	paths := map[string]string{
		"default": "/reg", "realm": "/realms/at-realm/reg", "keycloak": "/realms/at-keycloak/clients-registrations/openid-connect",
		"cern":     "/auth/realms/at-cern/clients-registrations/openid-connect",
		"asgardeo": "/t/at-asgardeo/api/identity/oauth2/dcr/v1.1/register", "aidbox": "/at-aidbox/reg", "mine": "/my/at-mine/register",
	}
	realm := func(layout string) string {
		if layout == "default" {
			return layout
		}
		return "at-" + layout
	}
	run := func(t *testing.T, on bool) {
		s := servertest.Start(t, func(config *server.Config) {
			for layout := range paths {
				if layout != "default" {
					config.Realms[realm(layout)] = &server.Realm{Layout: layout, Policy: "oauth2", Scopes: []string{"accounts"}, Trust: server.Trust{SandboxCA: true}}
				}
				if on {
					config.Realms[realm(layout)].Registration = &server.Registration{Access: []string{"open"}, Policy: "oauth2"}
				}
			}
			config.Layouts = map[string]server.Layout{"mine": {Base: "realm", Paths: map[string]string{"registration_endpoint": "/my/{realm}/register"}}}
		})
		for layout, path := range paths {
			issuer := s.Config().Realms[realm(layout)].Issuer
			discovery := want(t, s.Do(s.Registrant(s.Issuer).HTTP, http.MethodGet, issuer+"/.well-known/openid-configuration", nil, ""), 200).JSON
			aliases, _ := discovery["mtls_endpoint_aliases"].(map[string]any)
			if !on {
				if discovery["registration_endpoint"] != nil || aliases["registration_endpoint"] != nil {
					t.Errorf("%s: discovery has %v and %v without registration", layout, discovery["registration_endpoint"], aliases["registration_endpoint"])
				}
				for _, at := range []string{path, path + "/x"} {
					wantAnswer(t, s.Do(s.Registrant(s.MTLS).HTTP, http.MethodPost, s.MTLS+at, nil, "{}"), 404, "not_found")
				}
				continue
			}
			if discovery["registration_endpoint"] != s.Issuer+path || aliases["registration_endpoint"] != s.MTLS+path {
				t.Errorf("%s: discovery has %v and %v", layout, discovery["registration_endpoint"], aliases["registration_endpoint"])
			}
			for _, base := range []string{s.Issuer, s.MTLS} {
				r := s.Registrant(base)
				r.Endpoint = base + path
				want(t, r.Register(servertest.WithSecret()), 201)
				if r.URI != base+path+"/"+r.ClientID {
					t.Errorf("%s: registration_client_uri is %s", layout, r.URI)
				}
				want(t, r.Read(), 200)
				want(t, r.Update(servertest.WithSecret("client_name", "Another")), 200)
				want(t, r.Delete(), 204)
				wantAnswer(t, r.Read(), 401, "invalid_token")
			}
		}
	}
	t.Run("on", func(t *testing.T) { run(t, true) })
	t.Run("off", func(t *testing.T) { run(t, false) })
}
