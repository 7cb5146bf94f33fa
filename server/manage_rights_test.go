package server_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/manage"
	"github.com/fapid/fapid/server/servertest"
)

// TestAttackJ8 is escalation by the management API, on create and on update: what
// is judged is the state that there would be, and nobody can give what the token
// does not have.
func TestAttackJ8(t *testing.T) {
	s, _ := furnished(t, provisioning)
	registrar := newManager(t, s, "registrar", "fapid:clients.read", "fapid:clients.write")
	host := newManager(t, s, "host", "fapid:clients.write", "fapid:users.read", "internal_user_mgt_create")
	broker := newManager(t, s, "broker", "fapid:clients.write", "fapid:apis.write", "fapid:exchange.write")
	curator := newManager(t, s, "curator", "fapid:apis.read", "fapid:apis.write", "fapid:access-policies.read", "fapid:access-policies.write")
	operator := func(path, body string) {
		t.Helper()
		if answer := operate(t, s, http.MethodPut, "/realms/default"+path, body); answer.Status >= 300 {
			t.Fatal(answer)
		}
	}
	operator("/clients/mine", secretClient(`,"scope":"accounts"`))
	operator("/clients/strong", secretClient(`,"scope":"fapid:keys.write"`))
	operator("/clients/linked", secretClient(""))
	exchanging := func(client, from string) string {
		return fmt.Sprintf(`{"clients":{%q:{"exchange":[%q]}}}`, client, from)
	}
	operator("/apis/exchanging", exchanging("aggregator", "victim"))
	operator("/apis/for-all", exchanging("*", "victim"))
	operator("/access-policies/root", policyBody("linked", ""))
	operator("/access-policies/future", policyBody("not-there-yet", `,"scope":["fapid:keys.write"]`))
	before := state(t, s)
	with := func(scope string) string { return secretClient(fmt.Sprintf(`,"scope":%q`, scope)) }
	for _, test := range []struct {
		name         string
		m            *manager
		method, path string
		body, code   string
	}{
		{"a new client with a scope the caller lacks", registrar, "PUT", "/clients/new", with("fapid:keys.write"), "insufficient_scope"},
		{"by POST", registrar, "POST", "/clients", with("accounts fapid:keys.write"), "insufficient_scope"},
		{"a client gets such a scope", registrar, "PUT", "/clients/mine", with("accounts fapid:keys.read"), "insufficient_scope"},
		{"the caller's own client does", registrar, "PUT", "/clients/registrar", with("fapid:clients.read fapid:clients.write fapid:keys.read"), "insufficient_scope"},
		{"credentials of a stronger client are replaced", registrar, "PUT", "/clients/strong", with("fapid:keys.write"), "insufficient_scope"},
		{"and of one that a policy makes stronger", registrar, "PUT", "/clients/linked", with(""), "insufficient_scope"},
		{"a client under the id that a policy waits for", registrar, "PUT", "/clients/not-there-yet", with(""), "insufficient_scope"},
		{"by POST under that id", registrar, "POST", "/clients", secretClient(`,"client_id":"not-there-yet"`), "insufficient_scope"},
		{"a client is let give itself a scope the caller lacks", registrar, "PUT", "/clients/mine", secretClient(`,"scope":"accounts","registration_scope":"accounts fapid:keys.write"`), "invalid_client_metadata"},
		{"or one that no software may give itself", registrar, "PUT", "/clients/mine", secretClient(`,"scope":"accounts","registration_scope":"directory:software"`), "invalid_client_metadata"},
		{"a weaker policy", registrar, "PUT", "/clients/new", secretClient(`,"policy":"oauth2"`), "access_denied"},
		{"a client gets a weaker policy", registrar, "PUT", "/clients/mine", `{"policy":"oauth2","token_endpoint_auth_method":"client_secret_basic","client_secret":"abc","grant_types":["client_credentials"]}`, "access_denied"},
		{"a policy that gives all", curator, "PUT", "/access-policies/new", policyBody("curator", ""), "insufficient_scope"},
		{"a policy that gives one", curator, "PUT", "/access-policies/new", policyBody("curator", `,"scope":["fapid:clients.write"]`), "insufficient_scope"},
		{"by POST, to another", curator, "POST", "/access-policies", policyBody("mine", `,"scope":["fapid:keys.read"]`), "insufficient_scope"},
		{"a policy links another client", curator, "PUT", "/access-policies/root", policyBody("curator", ""), "insufficient_scope"},
		{"a policy goes on giving what it gave", curator, "PUT", "/access-policies/future", policyBody("curator", `,"scope":["fapid:keys.write"]`), "insufficient_scope"},
		{"an API with a management scope", curator, "PUT", "/apis/new", `{"scopes":["fapid:clients.write"],"clients":{"curator":{}}}`, "insufficient_scope"},
		{"an API gets one", curator, "PUT", "/apis/victim", `{"scopes":["fapid:keys.read"],"clients":{"*":{"scopes":["fapid:keys.read"]}}}`, "insufficient_scope"},
		{"a scope of Asgardeo's that is a part of one the caller lacks", registrar, "PUT", "/clients/new", with("internal_user_mgt_list"), "insufficient_scope"},
		{"one that is a part of another than the caller has", host, "PUT", "/clients/new", with("internal_user_mgt_update"), "insufficient_scope"},
		{"the whole of what the caller has a part of", host, "PUT", "/clients/new", with("fapid:users.write"), "insufficient_scope"},
		{"an API lets the caller be any user by its word", curator, "PUT", "/apis/new", exchanging("curator", "curator"), "insufficient_scope"},
		{"an API lets another exchange", curator, "PUT", "/apis/victim", exchanging("mine", "*"), "insufficient_scope"},
		{"everybody", curator, "PUT", "/apis/victim", exchanging("*", "victim"), "insufficient_scope"},
		{"an API goes on letting", curator, "PUT", "/apis/exchanging", exchanging("aggregator", "victim"), "insufficient_scope"},
		{"a client under the id that an API lets exchange", registrar, "PUT", "/clients/aggregator", with(""), "insufficient_scope"},
		{"by POST under such an id", registrar, "POST", "/clients", secretClient(`,"client_id":"aggregator"`), "insufficient_scope"},
		{"the scope to let", registrar, "PUT", "/clients/new", with("fapid:exchange.write"), "insufficient_scope"},
		{"an API in the place of the management API", curator, "PUT", "/apis/" + url.PathEscape(s.Issuer+"/manage"), `{"clients":{"curator":{}}}`, "invalid_request"},
	} {
		answer := test.m.do(test.method, test.path, test.body)
		if answer.Error() != test.code || answer.Status != map[string]int{"insufficient_scope": 403, "access_denied": 403, "invalid_request": 400, "invalid_client_metadata": 400}[test.code] {
			t.Errorf("%s: %s, want %s", test.name, answer, test.code)
		}
	}
	if after := state(t, s); after != before {
		t.Errorf("something changed:\n%s\nbefore:\n%s", after, before)
	}
	for _, test := range []struct {
		name       string
		m          *manager
		path, body string
	}{
		{"what the caller has may be given", registrar, "/clients/new", with("accounts fapid:clients.read")},
		{"a stronger client may be made weaker", registrar, "/clients/strong", with("accounts")},
		{"a policy may be made weaker", curator, "/access-policies/root", policyBody("linked", `,"scope":["fapid:apis.read"]`)},
		{"a policy may give what the caller has", curator, "/access-policies/new", policyBody("mine", `,"scope":["fapid:apis.write"]`)},
		{"another scope is no matter of management", curator, "/apis/new", `{"scopes":["fapidish","read"],"clients":{"*":{}}}`},
		{"a part of what the caller has", host, "/clients/lister", with("internal_user_mgt_list internal_user_mgt_view")},
		{"the part that the caller has", host, "/clients/creator", with("internal_user_mgt_create")},
		{"who may let exchange, lets", broker, "/apis/new", exchanging("aggregator", "mine")},
		{"and registers who is let", broker, "/clients/aggregator", with("accounts")},
		{"an API may stop letting", curator, "/apis/exchanging", `{"clients":{"aggregator":{}}}`},
		{"a policy that is named", registrar, "/clients/other", secretClient(`,"policy":"fapi2"`)},
	} {
		if answer := test.m.do("PUT", test.path, test.body); answer.Status >= 300 {
			t.Errorf("%s: %s", test.name, answer)
		}
	}
	operator("/clients/anything", `{"policy":"oauth2","token_endpoint_auth_method":"client_secret_basic","client_secret":"abc","grant_types":["client_credentials"],"scope":"`+manage.Scopes().String()+`"}`)
}

// TestScopeTakenAway: what a client is not registered for any more it cannot do
// with the tokens it has, nor with an access policy that is gone.
func TestScopeTakenAway(t *testing.T) {
	s, _ := furnished(t)
	m := newManager(t, s, "manager", "fapid:keys.read", "fapid:apis.read")
	if answer := m.do("GET", "/keys", ""); answer.Status != http.StatusOK {
		t.Fatal(answer)
	}
	less := m.Metadata
	less.Scope = "fapid:apis.read"
	if _, _, err := s.Clients("default").Put(t.Context(), less); err != nil {
		t.Fatal(err)
	}
	wantAnswer(t, m.do("GET", "/keys", ""), http.StatusForbidden, "insufficient_scope")
	if answer := m.do("GET", "/apis", ""); answer.Status != http.StatusOK {
		t.Errorf("what it still has: %s", answer)
	}
}

// TestAccessPolicies: a linked client uses the management API without a scope, as
// far as the policy goes and as long as it is there.
func TestAccessPolicies(t *testing.T) {
	s, _ := furnished(t)
	m := newManager(t, s, "linked")
	wantAnswer(t, m.do("GET", "/keys", ""), http.StatusForbidden, "insufficient_scope")
	put := func(id, body string) {
		t.Helper()
		if answer := operate(t, s, http.MethodPut, "/realms/default/access-policies/"+id, body); answer.Status >= 300 {
			t.Fatal(answer)
		}
	}
	may := func(method, path, body string, want bool) {
		t.Helper()
		answer := m.do(method, path, body)
		if want && answer.Status >= 300 {
			t.Errorf("%s %s: %s", method, path, answer)
		} else if !want {
			wantAnswer(t, answer, http.StatusForbidden, "insufficient_scope")
		}
	}
	put("some", policyBody("linked", `,"scope":["fapid:keys.read"]`))
	may("GET", "/keys", "", true)
	may("GET", "/clients", "", false)
	may("POST", "/keys/rotate?alg=ES256", "", false)
	put("more", policyBody("linked", `,"scope":["fapid:clients.read","fapid:clients.write"]`))
	may("GET", "/clients", "", true)
	may("PUT", "/clients/new", secretClient(`,"scope":"fapid:keys.read"`), true)
	may("PUT", "/clients/new", secretClient(`,"scope":"fapid:keys.write"`), false)
	put("some", policyBody("other", ""))
	may("GET", "/keys", "", false)
	scim := func() int { return m.Call(m.token, http.MethodGet, s.MTLS+"/scim/v2/Users", nil, "").Status }
	if got := scim(); got != http.StatusForbidden {
		t.Errorf("SCIM without a policy for it: %d", got)
	}
	put("all", policyBody("linked", ""))
	may("GET", "/keys", "", true)
	if got := scim(); got != http.StatusOK {
		t.Errorf("SCIM: %d", got)
	}
	may("PUT", "/access-policies/mine", policyBody("victim", ""), true)
	may("DELETE", "/access-policies/all", "", true)
	may("GET", "/keys", "", false)
	may("GET", "/clients", "", true)
	s.Restart()
	m.Connect()
	may("GET", "/clients", "", true)
	may("GET", "/keys", "", false)
	// A policy gives the use of the management API, not its audience or binding.
	m.token = m.Token()
	wantAnswer(t, m.do("GET", "/clients", ""), http.StatusUnauthorized, "invalid_token")
	free := s.TPP("free", servertest.JWT)
	put("free", policyBody("free", ""))
	token := free.Token(url.Values{"audience": {s.Issuer + "/manage"}})
	wantAnswer(t, free.Call(token, http.MethodGet, s.MTLS+"/manage/keys", nil, ""), http.StatusUnauthorized, "invalid_token")
}

// TestPreconditions: If-Match and If-None-Match hold, in whatever form the thing
// was read, and a change that fails changes nothing.
func TestPreconditions(t *testing.T) {
	s, _ := furnished(t)
	m := newAdministrator(t, s)
	for _, kind := range []struct{ path, body, changed string }{
		{"/clients/thing", secretClient(`,"scope":"accounts"`), secretClient(`,"scope":"payments"`)},
		{"/apis/thing", apiBody, `{"clients":{}}`},
		{"/access-policies/thing", policyBody("a", ""), policyBody("b", "")},
		{"/users/thing", `{}`, `{"title":"Dr"}`},
	} {
		failed := func(answer servertest.Answer) {
			t.Helper()
			wantAnswer(t, answer, http.StatusPreconditionFailed, "precondition_failed")
		}
		done := func(answer servertest.Answer) servertest.Answer {
			t.Helper()
			if answer.Status >= 300 {
				t.Errorf("%s: %s", kind.path, answer)
			}
			return answer
		}
		failed(m.do("PUT", kind.path, kind.body, "If-Match", "*"))
		failed(m.do("PUT", kind.path, kind.body, "If-Match", `"x"`))
		for _, header := range []string{"If-Match", "If-None-Match", "Accept"} { // RFC 9110 section 13.2.1
			wantAnswer(t, m.do("DELETE", kind.path, "", header, "*"), http.StatusNotFound, "not_found")
			wantAnswer(t, m.do("GET", kind.path, "", header, "*"), http.StatusNotFound, "not_found")
		}
		first := done(m.do("PUT", kind.path, kind.body, "If-None-Match", "*")).Header.Get("ETag")
		failed(m.do("PUT", kind.path, kind.changed, "If-None-Match", "*"))
		failed(m.do("PUT", kind.path, kind.changed, "If-None-Match", `"x", `+first))
		failed(m.do("PUT", kind.path, kind.changed, "If-Match", "W/"+first))
		inYAML := m.do("GET", kind.path, "", "Accept", "text/yaml").Header.Get("ETag")
		second := done(m.do("PUT", kind.path, kind.changed, "If-Match", `"x",`+inYAML)).Header.Get("ETag")
		if first == second || first == inYAML || strings.HasPrefix(first, "W/") {
			t.Errorf("%s: tags %s, %s, %s", kind.path, first, inYAML, second)
		}
		failed(m.do("PUT", kind.path, kind.body, "If-Match", first))
		failed(m.do("DELETE", kind.path, "", "If-Match", first))
		failed(m.do("DELETE", kind.path, "", "If-None-Match", "*"))
		for _, bad := range []string{"x", `"x`, `x"`, `""x`, "*, \"x\"", "W/x"} {
			wantAnswer(t, m.do("PUT", kind.path, kind.body, "If-Match", bad), http.StatusBadRequest, "invalid_request")
			wantAnswer(t, m.do("DELETE", kind.path, "", "If-None-Match", bad), http.StatusBadRequest, "invalid_request")
		}
		if answer := m.do("GET", kind.path, "", "If-None-Match", second); answer.Status != http.StatusNotModified || answer.Header.Get("ETag") != second || answer.Header.Get("Vary") != "Accept" || answer.Body != "" {
			t.Errorf("not modified: %s", answer)
		}
		failed(m.do("GET", kind.path, "", "If-Match", first))
		failed(m.do("GET", kind.path, "", "If-Match", "W/"+second))
		done(m.do("GET", kind.path, "", "If-Match", second))
		if answer := m.do("GET", kind.path, "", "If-None-Match", first); answer.Status != http.StatusOK || answer.Header.Get("ETag") != second {
			t.Errorf("%s was changed by what failed: %s", kind.path, answer)
		}
		done(m.do("DELETE", kind.path, "", "If-Match", second))
	}
	// The secret of a client is not shown, and still makes another version.
	with := func(secret string) string {
		return `{"policy":"oauth2","token_endpoint_auth_method":"client_secret_basic","grant_types":["client_credentials"],"client_secret":"` + secret + `"}`
	}
	one := operate(t, s, "PUT", "/realms/default/clients/secret", with("one"))
	two := operate(t, s, "PUT", "/realms/default/clients/secret", with("two"))
	if one.Header.Get("ETag") == two.Header.Get("ETag") || one.Body != two.Body {
		t.Errorf("another secret: %s, %s", one.Header.Get("ETag"), two.Header.Get("ETag"))
	}
}

// TestLostUpdates: of sixteen who change what they have all read, one wins.
func TestLostUpdates(t *testing.T) {
	s, _ := furnished(t)
	m := newAdministrator(t, s)
	for kind, bodies := range map[string]func(i int) string{
		"/clients/thing":         func(i int) string { return secretClient(fmt.Sprintf(`,"client_name":"racer %d"`, i)) },
		"/apis/thing":            func(i int) string { return fmt.Sprintf(`{"name":"racer %d","clients":{}}`, i) },
		"/access-policies/thing": func(i int) string { return policyBody(fmt.Sprintf("racer-%d", i), "") },
		"/users/thing":           func(i int) string { return fmt.Sprintf(`{"title":"racer %d"}`, i) },
	} {
		race := func(header, value string) (winners, losers int32) {
			var won, lost atomic.Int32
			var racing sync.WaitGroup
			for i := range 16 {
				racing.Go(func() {
					switch answer := m.do("PUT", kind, bodies(i), header, value); answer.Status {
					case http.StatusOK, http.StatusCreated:
						won.Add(1)
					case http.StatusPreconditionFailed:
						lost.Add(1)
					default:
						t.Errorf("%s: %s", kind, answer)
					}
				})
			}
			racing.Wait()
			return won.Load(), lost.Load()
		}
		if won, lost := race("If-None-Match", "*"); won != 1 || lost != 15 {
			t.Errorf("%s is created by %d, %d lost", kind, won, lost)
		}
		for range rounds(t, 5) {
			tag := m.do("PUT", kind, bodies(99)).Header.Get("ETag")
			if won, lost := race("If-Match", tag); won != 1 || lost != 15 {
				t.Errorf("%s is changed by %d, %d lost", kind, won, lost)
			}
		}
	}
}

// TestRefusedClientsAreShown: a stored client that the rules in force do not allow
// is named with the reason, cannot be made anew by If-None-Match, and can be
// replaced.
func TestRefusedClientsAreShown(t *testing.T) {
	dir := t.TempDir()
	s := servertest.StartIn(t, dir, managed)
	s.TPP("manager", func(m *registration.Metadata) { m.Scope = "fapid:keys.read" })
	s.Stop()
	s = servertest.StartIn(t, dir) // without the management API
	list := operate(t, s, http.MethodGet, "/realms/default/clients", "")
	if refused, _ := list.JSON["refused"].(map[string]any); !strings.Contains(fmt.Sprint(refused["manager"]), "fapid:keys.read is not offered") && !strings.Contains(fmt.Sprint(refused["manager"]), "not offered by this realm") {
		t.Errorf("listed: %s", list)
	}
	wantAnswer(t, operate(t, s, http.MethodGet, "/realms/default/clients/manager", ""), http.StatusNotFound, "not_found")
	wantAnswer(t, operate(t, s, http.MethodPut, "/realms/default/clients/manager", secretClient(""), "If-None-Match", "*"), http.StatusPreconditionFailed, "precondition_failed")
	if answer := operate(t, s, http.MethodPut, "/realms/default/clients/manager", secretClient(""), "If-Match", "*"); answer.Status != http.StatusOK {
		t.Errorf("replaced: %s", answer)
	}
}
