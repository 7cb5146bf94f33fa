package server_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server"
	"github.com/fapid/fapid/server/endpoint"
	"github.com/fapid/fapid/server/manage"
	"github.com/fapid/fapid/server/servertest"
)

// managementRoutes are the routes of a realm that want a token for its management
// API; from the router, so that none can be forgotten.
func managementRoutes(t testing.TB, s *servertest.Server, realm string) []endpoint.Route {
	t.Helper()
	var routes []endpoint.Route
	for _, route := range server.Routes(s.Server, realm) {
		if route.Guard != nil && (strings.HasPrefix(route.Label, "management") || strings.HasPrefix(route.Label, "aidbox_")) {
			routes = append(routes, route)
		}
	}
	if len(routes) < 20 {
		t.Fatalf("%d routes", len(routes))
	}
	return routes
}

// scimRoutes are the routes of a realm that SCIM protects.
func scimRoutes(t testing.TB, s *servertest.Server, realm string) []endpoint.Route {
	t.Helper()
	routes := slices.DeleteFunc(server.Routes(s.Server, realm), func(route endpoint.Route) bool {
		return route.Guard == nil || !strings.HasPrefix(route.Label, "scim/")
	})
	if len(routes) != 8 {
		t.Fatalf("%d routes", len(routes))
	}
	return routes
}

// target gives the path and a body of a route, for something that is there.
func target(t testing.TB, s *servertest.Server, route endpoint.Route, session string) (path, body string) {
	id, body := "victim", ""
	switch {
	case strings.HasPrefix(route.Label, "scim/"):
		victim, ok := s.Users("default").ByUserName("victim")
		if !ok {
			t.Fatal("the victim is gone")
		}
		id, body = victim.ID, `{"userName":"victim","displayName":"Mallory"}`
		switch {
		case strings.HasSuffix(route.Path, ".search"):
			body = `{"count":1}`
		case route.Methods[0] == http.MethodPost:
			body = `{"userName":"mallory"}`
		case route.Methods[0] == http.MethodPatch:
			body = patch(`{"op":"replace","path":"displayName","value":"Mallory"}`)
		}
	case strings.Contains(route.Label, "session"):
		id = session
	case strings.Contains(route.Label, "registration_token"):
		id, body = victimToken(t, s), `{"policy":"fapi2"}`
	case strings.Contains(route.Label, "api"):
		body = apiBody
	case strings.Contains(route.Label, "user"):
		body = `{"displayName":"Mallory"}`
	case strings.Contains(route.Label, "polic"):
		body = policyBody("mallory", "")
	case strings.Contains(route.Label, "aidbox_client"):
		body = `{"secret":"a-secret-of-mallory","grant_types":["client_credentials"]}`
	case strings.Contains(route.Label, "client"):
		body = secretClient("")
	}
	if method := route.Methods[0]; method == http.MethodGet || method == http.MethodDelete {
		body = ""
	}
	return strings.NewReplacer("{id:.+}", id, "{id}", id).Replace(route.Path), body
}

// victimToken is the id of an initial access token, made if there is none.
func victimToken(t testing.TB, s *servertest.Server) string {
	t.Helper()
	list, err := s.InitialTokens("default").List(t.Context(), "", 1)
	if err != nil {
		t.Fatal(err)
	}
	if len(list) == 0 {
		made, _, err := s.InitialTokens("default").Create(t.Context(), registration.Allowance{Label: "victim"})
		if err != nil {
			t.Fatal(err)
		}
		return made.ID
	}
	return list[0].ID
}

// furnished is a server whose default realm has something of each kind, named
// victim, and a session.
func furnished(t testing.TB, change ...func(*server.Config)) (s *servertest.Server, session string) {
	t.Helper()
	s = servertest.Start(t, append([]func(*server.Config){managed, servertest.Registering()}, change...)...)
	victim := s.TPP("victim", opaque)
	session = strings.Split(victim.Token(), ".")[2]
	for path, body := range map[string]string{
		"/apis/victim": apiBody, "/users/victim": `{"password":"secret"}`,
		"/access-policies/victim": policyBody("victim", `,"scope":["fapid:keys.read"]`),
	} {
		if answer := operate(t, s, http.MethodPut, "/realms/default"+path, body); answer.Status != http.StatusCreated {
			t.Fatal(answer)
		}
	}
	victimToken(t, s)
	return s, session
}

// state is all that the management API could change.
func state(t testing.TB, s *servertest.Server) string {
	t.Helper()
	var all strings.Builder
	for _, path := range []string{"/clients", "/apis", "/access-policies", "/users", "/keys", "/registration-tokens", "/sessions?client=victim"} {
		all.WriteString(operate(t, s, http.MethodGet, "/realms/default"+path, "").Body)
	}
	return all.String()
}

// TestAttackM9 is the matrix of every management route, SCIM's too, and everybody
// who may not use it: refused, and nothing changed.
func TestAttackM9(t *testing.T) {
	s, session := furnished(t)
	routes := append(managementRoutes(t, s, "default"), scimRoutes(t, s, "default")...)
	all := strings.Join(manage.Scopes(), " ")
	api := func() url.Values { return url.Values{"audience": {s.Issuer + "/manage"}} } // whoever asks adds to it
	scoped := func(scope string) func(*registration.Metadata) {
		return func(m *registration.Metadata) { m.Scope = scope }
	}
	admin, other, free := s.TPP("admin", scoped(all)), s.TPP("other"), s.TPP("free", servertest.JWT, scoped(all))
	dpop, narrow := s.TPP("dpop", servertest.DPoP, scoped(all)), s.TPP("narrow", scoped("accounts"))
	gone, abroad := s.TPP("gone", scoped(all)), s.TPPIn("strict", "admin", scoped(all))
	refreshable := s.TPP("refreshable", scoped(all), refreshing)
	revoked, ofGone := admin.Token(api()), gone.Token(api())
	if err := s.Clients("default").Delete(t.Context(), "gone"); err != nil {
		t.Fatal(err)
	}
	if answer := admin.Call(revoked, http.MethodDelete, s.MTLS+"/manage/sessions", nil, ""); answer.Status != http.StatusNoContent {
		t.Fatal(answer)
	}
	good, unbound := admin.Token(api()), free.Token(api())
	proved, narrowToken := dpop.Token(api()), narrow.Token(api())
	operatorKey := strings.TrimPrefix(operatorAuthorization(t, s), "Bearer ")
	before := state(t, s)
	bearer := func(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }
	for _, route := range routes {
		path, body := target(t, s, route, session)
		without := slices.DeleteFunc(manage.Scopes(), func(scope string) bool { return slices.Contains(strings.Fields(route.Scope), scope) })
		fewer := admin.Token(url.Values{"audience": {s.Issuer + "/manage"}, "scope": {without.String()}})
		for name, test := range map[string]struct {
			client   *servertest.TPP
			listener string
			header   http.Header
			status   int
		}{
			"no token":                            {admin, s.MTLS, nil, 401},
			"rubbish":                             {admin, s.MTLS, bearer("rubbish"), 401},
			"unbound token":                       {free, s.MTLS, bearer(unbound), 401},
			"unbound token, standard listener":    {free, s.Issuer, bearer(unbound), 401},
			"token without scope":                 {narrow, s.MTLS, bearer(narrowToken), 403},
			"all scopes but one":                  {admin, s.MTLS, bearer(fewer), 403},
			"another realm's token":               {abroad, s.MTLS, bearer(abroad.Token(url.Values{"audience": {s.Issuer + "/realms/strict/manage"}})), 401},
			"a token for the bank":                {other, s.MTLS, bearer(other.Token()), 401},
			"another client's bound token":        {other, s.MTLS, bearer(good), 401},
			"bound token, no certificate":         {admin, s.Issuer, bearer(good), 401},
			"DPoP token without proof, as Bearer": {dpop, s.MTLS, bearer(proved), 401},
			"DPoP token without proof":            {dpop, s.MTLS, http.Header{"Authorization": {"DPoP " + proved}}, 401},
			"bound token as DPoP":                 {admin, s.MTLS, http.Header{"Authorization": {"DPoP " + good}}, 401},
			"refresh token":                       {refreshable, s.MTLS, bearer(begin(t, refreshable, "audience", s.Issuer+"/manage").refresh), 401},
			"revoked token":                       {admin, s.MTLS, bearer(revoked), 401},
			"token of a client that is gone":      {gone, s.MTLS, bearer(ofGone), 401},
			"operator key":                        {admin, s.MTLS, bearer(operatorKey), 401},
			"HTTP Basic":                          {admin, s.MTLS, http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte("root:secret"))}}, 401},
			"two tokens":                          {admin, s.MTLS, http.Header{"Authorization": {"Bearer " + good, "Bearer " + good}}, 400},
			"token in the URL":                    {admin, s.MTLS, http.Header{"X-Query": {"?access_token=" + good}}, 400},
		} {
			if route.Scope == "" && (test.status == 403 || strings.HasPrefix(name, "unbound") || name == "a token for the bank") {
				continue // what a token is enough for, this one is enough for
			}
			header := http.Header{"Content-Type": {"application/json"}}
			for key, values := range test.header {
				header[key] = values
			}
			address := test.listener + path + header.Get("X-Query")
			header.Del("X-Query")
			answer := exchange(t, s, test.client.HTTP, route.Methods[0], address, header, body)
			if answer.Status != test.status {
				t.Errorf("%s %s with %s: %s, want %d", route.Methods[0], path, name, answer, test.status)
			}
			if test.status != 400 && !strings.Contains(strings.Join(answer.Header["Www-Authenticate"], " "), "DPoP realm") && answer.Header.Get("Www-Authenticate") == "" {
				t.Errorf("%s %s with %s: no challenge", route.Methods[0], path, name)
			}
		}
	}
	if after := state(t, s); after != before {
		t.Errorf("something changed:\n%s\nbefore:\n%s", after, before)
	}
	// Who may, can: the matrix refuses for the reasons it names.
	for _, route := range routes {
		path, body := target(t, s, route, session)
		for client, token := range map[*servertest.TPP]string{admin: good, dpop: proved} {
			if route.Scope == "" || route.Methods[0] == http.MethodDelete {
				continue // ends what the next needs
			}
			answer := client.Call(token, route.Methods[0], s.MTLS+path, http.Header{"Content-Type": {"application/json"}}, body)
			if answer.Status >= 300 && answer.Status != http.StatusConflict { // the second one's new user
				t.Errorf("%s %s: %s", route.Methods[0], path, answer)
			}
		}
	}
	before = state(t, s)
	s.Clock.Move(time.Hour)
	for _, route := range routes {
		path, body := target(t, s, route, session)
		header := bearer(good)
		header.Set("Content-Type", "application/json")
		answer := exchange(t, s, admin.HTTP, route.Methods[0], s.MTLS+path, header, body)
		if challenge := answer.Header.Get("Www-Authenticate"); answer.Status != http.StatusUnauthorized || !strings.Contains(challenge, `error="invalid_token"`) {
			t.Errorf("%s %s with an expired token: %s, %s", route.Methods[0], path, answer, challenge)
		}
	}
	s.Clock.Move(-time.Hour)
	if after := state(t, s); after != before {
		t.Errorf("an expired token changed something:\n%s\nbefore:\n%s", after, before)
	}
}

func operatorAuthorization(t testing.TB, s *servertest.Server) string {
	t.Helper()
	return "Bearer " + readFile(t, s.Dir, "operator.key")
}

// TestEveryManagementRouteSaysItsScope: what reads wants the scope to read, what
// changes the scope to write, and the scopes offered are those that routes want.
func TestEveryManagementRouteSaysItsScope(t *testing.T) {
	s := servertest.Start(t, managed, func(config *server.Config) {
		config.Realms["aidbox"] = &server.Realm{Layout: "aidbox", Policy: "oauth2", Management: &server.Management{}, Trust: server.Trust{SandboxCA: true}}
	})
	for _, realm := range []string{"default", "aidbox"} {
		wanted := oauth.Scope{}
		for _, route := range managementRoutes(t, s, realm) {
			verb := ".write"
			if route.Methods[0] == http.MethodGet {
				verb = ".read"
			}
			if route.Scope == "" && !(route.Methods[0] == http.MethodDelete && strings.HasSuffix(route.Label, "sessions")) {
				t.Errorf("%s %s is for every token", route.Methods[0], route.Path)
			}
			if route.Scope != "" && !strings.HasSuffix(route.Scope, verb) {
				t.Errorf("%s %s wants %s", route.Methods[0], route.Path, route.Scope)
			}
			if !route.Guard.RequireBound && route.Scope != "" {
				t.Errorf("%s %s takes unbound tokens", route.Methods[0], route.Path)
			}
			if route.Scope != "" && !wanted.Has(route.Scope) {
				wanted = append(wanted, route.Scope)
			}
		}
		wanted = append(wanted, "fapid:exchange.write") // of who gives, on routes of others
		if missing, yes := wanted.Missing(manage.Scopes()); yes {
			t.Errorf("%s: no route wants %s", realm, missing)
		}
		if missing, yes := manage.Scopes().Missing(wanted); yes {
			t.Errorf("%s: %s is not offered", realm, missing)
		}
	}
}

// TestAttackM10: a cursor is of use as it was given, for the list it was given
// for, with the same filter, in the same realm; any other is refused.
func TestAttackM10(t *testing.T) {
	s, _ := furnished(t)
	m := newAdministrator(t, s)
	for i := range 3 {
		id := fmt.Sprintf("more-%d", i)
		tpp := s.TPP(id, opaque)
		tpp.Token()
		tpp.Token()
		for path, body := range map[string]string{"/apis/": apiBody, "/access-policies/": policyBody("victim", ""), "/users/": "{}"} {
			m.put(path+id, body)
		}
		want(t, m.do("POST", "/registration-tokens", `{"policy":"fapi2"}`), 201)
	}
	type list struct {
		address string
		call    func(query string) servertest.Answer
	}
	lists := []list{}
	for _, path := range []string{"/clients", "/registration-tokens", "/apis", "/access-policies", "/users", "/sessions"} {
		lists = append(lists, list{path, func(query string) servertest.Answer { return m.do("GET", path+query, "") }})
		lists = append(lists, list{"operator " + path, func(query string) servertest.Answer {
			return operate(t, s, "GET", "/realms/default"+path+query, "")
		}})
	}
	lists = append(lists, list{"/certificates", func(query string) servertest.Answer { return operate(t, s, "GET", "/certificates"+query, "") }})
	cursors := map[string]string{}
	for _, l := range lists {
		first := l.call("?limit=1")
		cursor, _ := first.JSON["next"].(string)
		if first.Status != http.StatusOK || cursor == "" {
			t.Fatalf("%s: %s", l.address, first)
		}
		cursors[l.address] = cursor
		if second := l.call("?limit=2&cursor=" + cursor); second.Status != http.StatusOK || second.Body == first.Body {
			t.Errorf("%s, the second page: %s", l.address, second)
		}
	}
	for _, l := range lists {
		cursor := cursors[l.address]
		content, err := base64.RawURLEncoding.DecodeString(cursor)
		if err != nil {
			t.Fatal(err)
		}
		place := base64.RawURLEncoding.EncodeToString(content[16:])
		bad := []string{"x", "!", cursor[:len(cursor)-1], cursor + "A", cursor + "%0A", cursor + "=", "%00", place, strings.Repeat("A", 22) + place, strings.Repeat("A", 5000), "'%20OR%201=1"}
		for i := range cursor {
			changed := []byte(cursor)
			if changed[i] = 'A'; cursor[i] == 'A' {
				changed[i] = 'B'
			}
			bad = append(bad, string(changed))
		}
		for address, other := range cursors {
			if other != cursor && strings.TrimPrefix(address, "operator ") != strings.TrimPrefix(l.address, "operator ") {
				bad = append(bad, other)
			}
		}
		for _, cursor := range bad {
			wantAnswer(t, l.call("?limit=1&cursor="+cursor), http.StatusBadRequest, "invalid_request")
		}
		wantAnswer(t, l.call("?limit=1&cursor="+cursor+"&cursor="+cursor), http.StatusBadRequest, "invalid_request")
		wantAnswer(t, l.call("?limit=1&after=victim"), http.StatusBadRequest, "invalid_request")
		wantAnswer(t, l.call("?limit=1&sort=id"), http.StatusBadRequest, "invalid_request")
	}
	filtered := m.do("GET", "/sessions?limit=1&client=more-0", "")
	cursor := filtered.JSON["next"].(string)
	for _, query := range []string{"", "&client=victim", "&client=more-0&state=live", "&subject=more-0"} {
		wantAnswer(t, m.do("GET", "/sessions?limit=1&cursor="+cursor+query, ""), http.StatusBadRequest, "invalid_request")
	}
	if answer := m.do("GET", "/sessions?cursor="+cursor+"&client=more-0&limit=5", ""); answer.Status != http.StatusOK {
		t.Errorf("the same filter: %s", answer)
	}
	there := operate(t, s, "GET", "/realms/strict/clients?limit=1&cursor="+cursors["/clients"], "")
	wantAnswer(t, there, http.StatusBadRequest, "invalid_request")
}

// TestManagedPaths: the id of a thing may be escaped or not; nothing else in the
// path may, and no id leads to another kind of thing.
func TestManagedPaths(t *testing.T) {
	s, _ := furnished(t)
	m := newAdministrator(t, s)
	id := "https://api.example.com/v1?x#y"
	if answer := m.do("PUT", "/apis/"+url.PathEscape(id), apiBody); answer.Status != http.StatusCreated {
		t.Fatal(answer)
	}
	for _, path := range []string{"/apis/" + url.PathEscape(id), "/apis/https://api.example.com%2fv1%3Fx%23y"} {
		if answer := m.do("GET", path, ""); answer.JSON["identifier"] != id {
			t.Errorf("%s: %s", path, answer)
		}
	}
	for _, path := range []string{
		"/%61pis/victim", "/apis%2Fvictim", "%2Fapis/victim", "/apis/..%2fclients%2fvictim", "/apis/%2e%2e/clients/victim",
		"/clients/x/../../apis/victim", "/apis/.", "/apis/a%2F.%2Fb", "/sessions/..%2Fkeys", "/keys%2Frotate", "//apis/victim",
	} {
		wantAnswer(t, m.do("GET", path, ""), http.StatusNotFound, "not_found")
		wantAnswer(t, m.do("PUT", path, apiBody), http.StatusNotFound, "not_found")
	}
	if all := m.do("GET", "/apis", ""); strings.Contains(all.Body, "..") {
		t.Errorf("an API was made: %s", all)
	}
}

// TestTwoMediaTypes: a body that is said to be two things is neither.
func TestTwoMediaTypes(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Registering())
	tpp := s.TPP("tpp")
	twice := http.Header{"Content-Type": {"application/x-www-form-urlencoded", "application/json"}}
	for _, path := range []string{"/token", "/token/introspection", "/token/revocation", "/reg"} {
		answer := s.Do(tpp.HTTP, http.MethodPost, s.MTLS+path, twice, "grant_type=client_credentials&client_id=tpp")
		if answer.Status != http.StatusBadRequest || !strings.Contains(answer.Body, "Content-Type is given 2 times") {
			t.Errorf("%s: %s", path, answer)
		}
	}
}
