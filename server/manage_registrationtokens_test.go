package server_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/fapid/fapid/server"
	"github.com/fapid/fapid/server/servertest"
)

// TestManagedRegistrationTokens: an initial access token is made, read, listed, used
// and revoked, alike on the realm's listener and on the operator's; its text is in one
// answer and nowhere else.
func TestManagedRegistrationTokens(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, managed, servertest.Registering("initial_access_token"), func(c *server.Config) {
		c.Realms["default"].Management.Policies = []string{"oauth2"}
	})
	m := newAdministrator(t, s)
	for door, call := range map[string]func(method, path, body string, header ...string) servertest.Answer{
		"realm": m.do,
		"operator": func(method, path, body string, header ...string) servertest.Answer {
			return operate(t, s, method, "/realms/default"+path, body, header...)
		},
	} {
		made := want(t, call("POST", "/registration-tokens", `{"label":"for `+door+`","uses":2,"lifetime":60,"scope":"accounts"}`), 201)
		text, _ := made.JSON["token"].(string)
		id, _ := made.JSON["id"].(string)
		at := "/registration-tokens/" + id
		if !strings.HasPrefix(text, "fapid_iat."+id+".") || !strings.HasSuffix(made.Header.Get("Location"), at) || made.JSON["state"] != "live" ||
			made.JSON["expires_at"] != made.JSON["created_at"].(float64)+60 {
			t.Errorf("%s: %s %v", door, made, made.Header)
		}
		secret := strings.Split(text, ".")[2]
		is := func(state string, used float64) {
			t.Helper()
			read := want(t, call("GET", at, ""), 200)
			if read.JSON["state"] != state || read.JSON["used"] != used || strings.Contains(read.Body, secret) {
				t.Errorf("%s: %s, want %s and %v uses", door, read, state, used)
			}
		}
		r := s.Registrant(s.Issuer)
		r.Initial = text
		want(t, r.Register(servertest.Plain()), 201)
		wantAnswer(t, r.Register(servertest.Plain("scope", "payments")), 400, "invalid_client_metadata")
		is("live", 1)
		want(t, r.Register(servertest.Plain()), 201)
		is("used_up", 2)
		s.Clock.Move(61 * time.Second)
		m.renew()
		is("expired", 2)

		other := want(t, call("POST", "/registration-tokens", `uses: 3`, "Content-Type", "application/yaml"), 201)
		r.Initial, _ = other.JSON["token"].(string)
		id, _ = other.JSON["id"].(string)
		listed := want(t, call("GET", "/registration-tokens?limit=1000", ""), 200)
		if things, _ := listed.JSON["registration_tokens"].([]any); !has(things, "id", id) || strings.Contains(listed.Body, "fapid_iat") {
			t.Errorf("%s: %s", door, listed)
		}
		first := want(t, call("GET", "/registration-tokens?limit=1", ""), 200)
		next, _ := first.JSON["next"].(string)
		second := want(t, call("GET", "/registration-tokens?limit=1&cursor="+url.QueryEscape(next), ""), 200)
		if things, _ := first.JSON["registration_tokens"].([]any); len(things) != 1 || first.Body == second.Body {
			t.Errorf("%s: pages %s and %s", door, first, second)
		}
		want(t, r.Register(servertest.Plain()), 201)
		wantAnswer(t, call("DELETE", "/registration-tokens/"+id, "", "If-Match", `"x"`), 412, "precondition_failed")
		want(t, call("DELETE", "/registration-tokens/"+id, ""), 204)
		for _, method := range []string{"GET", "DELETE"} {
			wantAnswer(t, call(method, "/registration-tokens/"+id, ""), 404, "not_found")
		}
		wantAnswer(t, r.Register(servertest.Plain()), 401, "invalid_token")
		want(t, r.Read(), 200) // who has registered stays

		for body, says := range map[string]string{
			`{"expires_at":1}`: "expires_at", `{"uses":"2"}`: "uses", `{"uses":-1}`: "uses", `{"uses":1000001}`: "uses", `{"lifetime":-1}`: "lifetime", `{"lifetime":315360001}`: "lifetime", `{"quota":-1}`: "quota",
			`{"scope":"nothing"}`: "nothing", `{"scope":"fapid:keys.read"}`: "fapid:keys.read", `{"scope":"\""}`: "scope",
			`{"label":"a\nb"}`: "label", `{"label":"` + strings.Repeat("a", 201) + `"}`: "label", `{"uses":1,"uses":2}`: "uses", `[]`: "object",
		} {
			answer := call("POST", "/registration-tokens", body)
			if wantAnswer(t, answer, 400, "invalid_request"); !strings.Contains(answer.Body, says) {
				t.Errorf("%s: %s: %s", door, body, answer)
			}
		}
		wantAnswer(t, call("POST", "/registration-tokens?uses=2", `{}`), 400, "invalid_request")
	}
}

// TestRegistrationTokensGiveNoMore: who may make initial access tokens, and nothing
// else, lets nobody be under a policy that is not his to give; that of the realm is none
// of them either.
func TestRegistrationTokensGiveNoMore(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, managed, servertest.Registering(), func(c *server.Config) {
		c.Realms["strict"].Registration = &server.Registration{Access: []string{"open"}}
	})
	m := newManager(t, s, "issuer", "fapid:registration-tokens.write")
	for body, code := range map[string]string{`{}`: "access_denied", `{"policy":"oauth2"}`: "access_denied", `{"policy":"fapi2"}`: "", `{"policy":"sandbox"}`: ""} {
		answer := m.do("POST", "/registration-tokens", body)
		if answer.Error() != code {
			t.Errorf("%s: %s, want %q", body, answer, code)
		}
	}
	wantAnswer(t, m.do("GET", "/registration-tokens", ""), http.StatusForbidden, "insufficient_scope")
	wantAnswer(t, m.do("POST", "/clients", secretClient("")), http.StatusForbidden, "insufficient_scope")
	want(t, operate(t, s, "POST", "/realms/default/registration-tokens", `{}`), 201)
	wantAnswer(t, operate(t, s, "POST", "/realms/default/registration-tokens", `{"policy":"none"}`), 400, "invalid_request")
	// No token is made that nobody takes.
	refused := operate(t, s, "POST", "/realms/strict/registration-tokens", `{}`)
	if wantAnswer(t, refused, 400, "invalid_request"); !strings.Contains(refused.Body, "registration.access") {
		t.Errorf("%s", refused)
	}
	want(t, operate(t, s, "GET", "/realms/strict/registration-tokens", ""), 200)
	none := servertest.Start(t, managed)
	for _, method := range []string{"GET", "POST"} {
		wantAnswer(t, operate(t, none, method, "/realms/default/registration-tokens", ""), 404, "not_found")
	}
}
