package server_test

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server"
	"github.com/fapid/fapid/server/manage"
	"github.com/fapid/fapid/server/servertest"
)

// managed switches the management API of the default realm on, as it is without
// further keys, and that of the strict one.
func managed(config *server.Config) {
	config.Realms["default"].Management = &server.Management{Policies: []string{"sandbox", "fapi2"}}
	config.Realms["strict"].Management = &server.Management{}
}

// manager is a client with a token for the management API.
type manager struct {
	*servertest.TPP
	t     testing.TB
	base  string
	token string
}

// newManager registers a client for some scopes of the management API, and
// fetches a token for all of them.
func newManager(t testing.TB, s *servertest.Server, id string, scope ...string) *manager {
	t.Helper()
	tpp := s.TPP(id, func(m *registration.Metadata) { m.Scope = strings.Join(scope, " ") })
	m := &manager{TPP: tpp, t: t, base: s.MTLS + "/manage"}
	m.renew()
	return m
}

// newAdministrator is a manager with all scopes.
func newAdministrator(t testing.TB, s *servertest.Server) *manager {
	t.Helper()
	return newManager(t, s, "administrator", manage.Scopes()...)
}

// renew fetches another token.
func (m *manager) renew() { m.token = m.Token(url.Values{"audience": {m.S.Issuer + "/manage"}}) }

// do calls the management API; header are name, value pairs.
func (m *manager) do(method, path, body string, header ...string) servertest.Answer {
	m.t.Helper()
	sent := http.Header{"Authorization": {"Bearer " + m.token}}
	if body != "" {
		sent.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		sent.Set(header[i], header[i+1])
	}
	return exchange(m.t, m.S, m.HTTP, method, m.base+path, sent, body)
}

// put puts a thing that must be taken.
func (m *manager) put(path, body string) {
	m.t.Helper()
	if answer := m.do("PUT", path, body); answer.Status >= 300 {
		m.t.Fatal(answer)
	}
}

// operate calls the operator's listener with the operator key.
func operate(t testing.TB, s *servertest.Server, method, path, body string, header ...string) servertest.Answer {
	t.Helper()
	sent := http.Header{"Authorization": {"Bearer " + readFile(t, s.Dir, "operator.key")}, "Content-Type": {"application/json"}}
	for i := 0; i < len(header); i += 2 {
		sent.Set(header[i], header[i+1])
	}
	answer := s.Do(http.DefaultClient, method, s.Admin+path, sent, body)
	checkRules(t, s, answer, nil)
	return answer
}

// secretClient is the body of a client with a secret, whatever else it has.
func secretClient(members string) string {
	return `{"token_endpoint_auth_method":"tls_client_auth","tls_client_auth_san_dns":"new.example.com","grant_types":["client_credentials"]` + members + `}`
}

const apiBody = `{"scopes":["read"],"roles":["reader"],"clients":{"tpp":{"roles":["reader"]},"*":{}}}`

func policyBody(client, scope string) string {
	return fmt.Sprintf(`{"engine":"allow","link":[{"resourceType":"Client","id":%q}]%s}`, client, scope)
}

// TestManagementIsOff: a realm that does not have the key management has nothing
// at its path, offers no such scope and has no such API.
func TestManagementIsOff(t *testing.T) {
	s := servertest.Start(t)
	tpp := s.TPP("tpp")
	for _, path := range []string{"/manage", "/manage/clients", "/manage/openapi.json", "/scim/v2/Users", "/scim/v2/Schemas"} {
		wantAnswer(t, exchange(t, s, tpp.HTTP, http.MethodGet, s.MTLS+path, nil, ""), http.StatusNotFound, "not_found")
	}
	m := tpp.Metadata
	for _, scope := range []string{"fapid:clients.read", "internal_user_mgt_list"} {
		m.Scope = scope
		if got := s.Refuses("default", m); got != oauth.CodeInvalidClientMetadata {
			t.Errorf("a client for %s: %q", scope, got)
		}
	}
	wantAnswer(t, tpp.Post("token_endpoint", url.Values{"grant_type": {"client_credentials"}, "audience": {s.Issuer + "/manage"}}), http.StatusBadRequest, "invalid_target")
	document := s.Do(tpp.HTTP, http.MethodGet, s.Issuer+"/.well-known/openid-configuration", nil, "")
	if strings.Contains(document.Body, "fapid:") || strings.Contains(document.Body, "manage") {
		t.Errorf("discovery: %s", document)
	}
	if got := operate(t, s, http.MethodGet, "/realms/default/clients/tpp", ""); got.Status != http.StatusOK {
		t.Errorf("the operator's listener: %s", got)
	}
}

// TestManagementInDiscovery: the scopes are advertised, and no member that no
// specification has.
func TestManagementInDiscovery(t *testing.T) {
	s := servertest.Start(t, managed)
	tpp := s.TPP("tpp")
	document := s.Do(tpp.HTTP, http.MethodGet, s.Issuer+"/.well-known/openid-configuration", nil, "").JSON
	if document["management_endpoint"] != nil || document["mtls_endpoint_aliases"].(map[string]any)["management_endpoint"] != nil {
		t.Errorf("management_endpoint %v, alias %v", document["management_endpoint"], document["mtls_endpoint_aliases"])
	}
	for _, scope := range manage.Scopes() {
		if !strings.Contains(fmt.Sprint(document["scopes_supported"]), scope) {
			t.Errorf("%s is not in scopes_supported", scope)
		}
	}
}

// TestManagedResources: each kind of thing is made, read, listed, replaced and
// deleted, alike on the realm's listener and on the operator's, in JSON and YAML.
func TestManagedResources(t *testing.T) {
	s := servertest.Start(t, managed)
	m := newAdministrator(t, s)
	for _, kind := range []struct{ path, id, body, changed, idMember, list string }{
		{"/clients", "new", secretClient(`,"scope":"accounts"`), secretClient(`,"scope":"payments"`), "client_id", "clients"},
		{"/clients", "https://tpp.example/a?b", secretClient(`,"scope":"accounts"`), secretClient(``), "client_id", "clients"},
		{"/apis", "https://api.example.com", apiBody, `{"clients":{}}`, "identifier", "apis"},
		{"/access-policies", "new", policyBody("tpp", ""), policyBody("tpp", `,"scope":["fapid:keys.read"]`), "id", "access_policies"},
		{"/users", "DEFAULT/kim@example.com", `{"displayName":"Kim","accounts":[{"account_id":"k-1"}]}`, `{"USERNAME":"default/KIM@example.com"}`, "userName", "users"},
	} {
		for door, call := range map[string]func(method, path, body string, header ...string) servertest.Answer{
			"realm": m.do,
			"operator": func(method, path, body string, header ...string) servertest.Answer {
				return operate(t, s, method, "/realms/default"+path, body, header...)
			},
		} {
			at := kind.path + "/" + url.PathEscape(kind.id)
			wantAnswer(t, call("GET", at, ""), http.StatusNotFound, "not_found")
			made := call("PUT", at, kind.body)
			if made.Status != http.StatusCreated || made.JSON[kind.idMember] != kind.id || made.Header.Get("ETag") == "" {
				t.Fatalf("%s: PUT %s: %s", door, at, made)
			}
			again := call("PUT", at, kind.body)
			if again.Status != http.StatusOK || again.Body != made.Body || again.Header.Get("ETag") != made.Header.Get("ETag") {
				t.Errorf("%s: PUT %s again: %s", door, at, again)
			}
			read := call("GET", at, "")
			if read.Status != http.StatusOK || read.Body != made.Body || read.Header.Get("ETag") != made.Header.Get("ETag") {
				t.Errorf("%s: GET %s: %s, made %s", door, at, read, made)
			}
			if back := call("PUT", at, read.Body); back.Status != http.StatusOK || back.Body != read.Body {
				t.Errorf("%s: what was read is put back at %s: %s", door, at, back)
			}
			inYAML := call("GET", at, "", "Accept", "application/yaml")
			if inYAML.Header.Get("Content-Type") != "application/yaml" || inYAML.JSON != nil || inYAML.Header.Get("ETag") == read.Header.Get("ETag") {
				t.Errorf("%s: GET %s as YAML: %v %s", door, at, inYAML.Header, inYAML)
			}
			if back := call("PUT", at, inYAML.Body, "Content-Type", "text/yaml"); back.Status != http.StatusOK || back.Body != read.Body {
				t.Errorf("%s: what was read as YAML is put back at %s: %s\n%s", door, at, back, inYAML)
			}
			listed := call("GET", kind.path+"?limit=1000", "")
			if things, _ := listed.JSON[kind.list].([]any); listed.Status != http.StatusOK || !has(things, kind.idMember, kind.id) {
				t.Errorf("%s: GET %s: %s", door, kind.path, listed)
			}
			changed := call("PUT", at, kind.changed)
			if changed.Status != http.StatusOK || changed.Body == made.Body || changed.Header.Get("ETag") == made.Header.Get("ETag") {
				t.Errorf("%s: PUT %s: %s", door, at, changed)
			}
			if answer := call("DELETE", at, ""); answer.Status != http.StatusNoContent || answer.Body != "" {
				t.Errorf("%s: DELETE %s: %s", door, at, answer)
			}
			wantAnswer(t, call("DELETE", at, ""), http.StatusNotFound, "not_found")
		}
	}
}

// TestManagedUsers: who is named by a userName is written under it, who is named by
// the id may get another name; nobody becomes somebody else, and what one has read
// does not match who has the name afterwards.
func TestManagedUsers(t *testing.T) {
	s := servertest.Start(t, managed)
	m := newAdministrator(t, s)
	made := m.do("PUT", "/users/kim", `{"password":"secret","accounts":[{"account_id":"k-1"}]}`)
	id, _ := made.JSON["id"].(string)
	if made.Status != http.StatusCreated || id == "" || made.JSON["active"] != true || strings.Contains(made.Body, "secret") {
		t.Fatal(made)
	}
	m.put("/users/sam", `{}`)
	for _, refused := range []struct {
		path, body, code string
		status           int
	}{
		{"/users/sam", fmt.Sprintf(`{"id":%q}`, id), "invalid_request", http.StatusBadRequest},
		{"/users/new", fmt.Sprintf(`{"id":%q}`, id), "invalid_request", http.StatusBadRequest},
		{"/users/" + id, `{"id":"other","userName":"kim"}`, "invalid_request", http.StatusBadRequest},
		{"/users/" + id, `{"userName":"SAM"}`, "already_exists", http.StatusConflict},
		{"/users/" + id, `{}`, "invalid_request", http.StatusBadRequest},
		{"/users/new", `{"accounts":[{"account_id":"k-1"}]}`, "already_exists", http.StatusConflict},
	} {
		wantAnswer(t, m.do("PUT", refused.path, refused.body), refused.status, refused.code)
	}
	renamed := m.do("PUT", "/users/"+id, `{"userName":"kimberly"}`, "If-Match", made.Header.Get("ETag"))
	if renamed.Status != http.StatusOK || renamed.JSON["id"] != id || renamed.JSON["accounts"] != nil {
		t.Errorf("renamed: %s", renamed)
	}
	if _, ok := s.Users("default").CheckPassword("Kimberly", "secret"); !ok {
		t.Error("the password is gone")
	}
	wantAnswer(t, m.do("GET", "/users/kim", ""), http.StatusNotFound, "not_found")
	for _, name := range []string{id, "kimberly", "KIMBERLY"} {
		if answer := m.do("GET", "/users/"+name, "", "If-None-Match", renamed.Header.Get("ETag")); answer.Status != http.StatusNotModified {
			t.Errorf("%s: %s", name, answer)
		}
	}
	// The next one of the name is another.
	if answer := m.do("DELETE", "/users/KimBerly", ""); answer.Status != http.StatusNoContent {
		t.Fatal(answer)
	}
	m.put("/users/kimberly", `{}`)
	m.put("/users/kimberly", `{"title":"Dr"}`)
	wantAnswer(t, m.do("DELETE", "/users/kimberly", "", "If-Match", renamed.Header.Get("ETag")), http.StatusPreconditionFailed, "precondition_failed")
	wantAnswer(t, m.do("POST", "/users", "{}"), http.StatusMethodNotAllowed, "method_not_allowed")
}

// has reports whether one of some objects has a member with a value.
func has(things []any, member, value string) bool {
	for _, thing := range things {
		if thing.(map[string]any)[member] == value {
			return true
		}
	}
	return false
}

// TestServerMadeIDs: POST makes an id where the body has none, and never replaces.
func TestServerMadeIDs(t *testing.T) {
	s := servertest.Start(t, managed)
	m := newAdministrator(t, s)
	for _, kind := range []struct{ path, body, member, with string }{
		{"/clients", secretClient(""), "client_id", secretClient(`,"client_id":"named"`)},
		{"/access-policies", policyBody("tpp", ""), "id", policyBody("tpp", `,"id":"named"`)},
	} {
		ids := map[any]bool{}
		for range 2 {
			made := m.do("POST", kind.path, kind.body)
			id, _ := made.JSON[kind.member].(string)
			if made.Status != http.StatusCreated || len(id) < 20 || ids[id] || made.Header.Get("ETag") == "" {
				t.Fatalf("POST %s: %s", kind.path, made)
			}
			ids[id] = true
			if at := made.Header.Get("Location"); at != "/manage"+kind.path+"/"+id {
				t.Errorf("Location %s", at)
			}
			if read := m.do("GET", kind.path+"/"+id, ""); read.Body != made.Body {
				t.Errorf("GET: %s", read)
			}
		}
		if made := m.do("POST", kind.path, kind.with); made.Status != http.StatusCreated || made.JSON[kind.member] != "named" {
			t.Errorf("POST %s with an id: %s", kind.path, made)
		}
		wantAnswer(t, m.do("POST", kind.path, kind.with), http.StatusConflict, "already_exists")
	}
	wantAnswer(t, m.do("POST", "/apis", apiBody), http.StatusMethodNotAllowed, "method_not_allowed")
}

// TestManagedBodiesAreStrict: what is wrong with a body is refused with the member
// and the line, and nothing is written.
func TestManagedBodiesAreStrict(t *testing.T) {
	s := servertest.Start(t, managed)
	m := newAdministrator(t, s)
	for _, test := range []struct{ path, media, body, code, text string }{
		{"/clients/x", "application/json", "{\n \"client_name\": 1}", "invalid_client_metadata", "line 2, column 2: client_name must be a string, not a number"},
		{"/clients/x", "application/json", "{\n \"scope\": \"a\",\n \"scope\": \"b\"}", "invalid_client_metadata", "line 3, column 2"},
		{"/clients/x", "application/yaml", "client_name: a\nclient_nam: b\n", "invalid_client_metadata", "line 2, column 1: 'client_nam' is not"},
		{"/clients/x", "application/json", `{"client_id":"y"}`, "invalid_request", "the body is of client y"},
		{"/clients/x", "application/json", ``, "invalid_client_metadata", "strict JSON object"},
		{"/apis/x", "application/json", "{\"clients\":\n{\"a\":\n{\"scope\":[]}}}", "invalid_request", "line 3, column 2: 'clients.a.scope' is not an API member fapid knows; did you mean 'scopes'?"},
		{"/apis/x", "application/json", `{"clients":[]}`, "invalid_request", "clients must be an object, not an array"},
		{"/apis/x", "application/json", `{"clients":{"a":{"roles":["r"]}}}`, "invalid_request", "role 'r', which the API does not have"},
		{"/apis/x", "application/json", `{"clients":{"\u007f":{}}}`, "invalid_request", "is not the id of a client"},
		{"/apis/x", "application/json", `{"name":"\u0007","clients":{}}`, "invalid_request", "name holds a control character"},
		{"/apis/x", "application/json", `{"access_token_format":"paseto"}`, "invalid_request", "expected jwt or opaque"},
		{"/apis/x", "application/yaml", "clients:\n  a:\n    scopes: [read\n", "invalid_request", "YAML: ["},
		{"/apis/" + url.PathEscape(s.Issuer+"/manage"), "application/json", apiBody, "invalid_request", "is that of the management API"},
		{"/access-policies/x", "application/json", `{"engine":"sql","link":[{"resourceType":"Client","id":"a"}]}`, "invalid_request", "engine is 'sql'; the one that is known here is allow"},
		{"/access-policies/x", "application/json", `{"engine":"allow"}`, "invalid_request", "link is missing"},
		{"/access-policies/x", "application/json", `{"engine":"allow","link":[{"resourceType":"User","id":"a"}]}`, "invalid_request", "link[0].resourceType is 'User'"},
		{"/access-policies/x", "application/json", `{"engine":"allow","link":[{"resourceType":"Client"}]}`, "invalid_request", "link[0].id"},
		{"/access-policies/x", "application/json", "{\"engine\":\"allow\",\"link\":[\n{\"id\":\"a\"},\n{\"idd\":1}]}", "invalid_request", "line 3, column 2: 'link[1].idd' is not an access policy member"},
		{"/access-policies/x", "application/yaml", "engine: allow\nlink:\n- id: 1\n", "invalid_request", "line 3, column 3: link[0].id must be a string"},
		{"/access-policies/x", "application/json", policyBody("a", `,"scope":["fapid:all"]`), "invalid_request", "scope fapid:all is not one of the management API"},
		{"/access-policies/x", "application/json", policyBody("a", `,"sql":"x"`), "invalid_request", "'sql' is not an access policy member"},
		{"/users/x", "application/json", "{\"userName\":\"x\",\n\"emails\":[\n{\"value\":1}]}", "invalid_request", "line 3, column 2: emails[0].value must be a string, not a number"},
		{"/users/x", "application/yaml", "userName: x\nuserNam: y\n", "invalid_request", "line 2, column 1: 'userNam' is no attribute of a user; did you mean 'userName'?"},
		{"/users/x", "application/yaml", "userName: &x x\n", "invalid_request", "only plain YAML values"},
		{"/users/x", "application/json", `{"userName":"y"}`, "invalid_request", "userName is another one than that of the path"},
		{"/users/x", "application/json", `{"id":"y"}`, "invalid_request", "id is of another user"},
		{"/users/x", "application/json", `{"profileUrl":"javascript:x"}`, "invalid_request", "profileUrl is not an http or https address"},
		{"/users/x", "application/json", `[]`, "invalid_request", "must be a JSON object"},
		{"/access-policies/x?force=true", "application/json", policyBody("a", ""), "invalid_request", "unknown parameter force"},
	} {
		for _, method := range []string{"PUT", "POST"} {
			at := test.path
			if method == "POST" {
				at, _, _ = strings.Cut(at[1:], "/")
				if at = "/" + at; at == "/apis" || at == "/users" || strings.Contains(test.body, `"client_id"`) || strings.Contains(test.path, "?") {
					continue
				}
			}
			answer := m.do(method, at, test.body, "Content-Type", test.media)
			wantAnswer(t, answer, http.StatusBadRequest, test.code)
			if !strings.Contains(answer.Body, test.text) {
				t.Errorf("%s %s: %s, want %q", method, test.body, answer, test.text)
			}
		}
	}
	for _, path := range []string{"/clients/x", "/apis/x", "/access-policies/x", "/users/x"} {
		wantAnswer(t, m.do("PUT", path, "{}", "Content-Type", "text/plain"), http.StatusUnsupportedMediaType, "unsupported_media_type")
		wantAnswer(t, m.do("PUT", path, `{"x":"`+strings.Repeat("x", 70_000)+`"}`), http.StatusRequestEntityTooLarge, "request_too_large")
		wantAnswer(t, m.do("GET", path, ""), http.StatusNotFound, "not_found")
		wantAnswer(t, m.do("PATCH", path, "{}"), http.StatusMethodNotAllowed, "method_not_allowed")
	}
}

// TestManagedRecordsSurvive: a restart loses none.
func TestManagedRecordsSurvive(t *testing.T) {
	s := servertest.Start(t, managed)
	m := newAdministrator(t, s)
	texts := map[string]string{}
	for path, body := range map[string]string{"/clients/new": secretClient(""), "/apis/api": apiBody, "/access-policies/p": policyBody("new", "")} {
		texts[path] = m.do("PUT", path, body).Body
	}
	s.Restart()
	m.Connect()
	for path, text := range texts {
		if got := m.do("GET", path, ""); got.Status != http.StatusOK || got.Body != text {
			t.Errorf("%s: %s, was %s", path, got, text)
		}
	}
}

// TestManagedRealm: what is in force is shown, and no secret and no file of the
// server with it.
func TestManagedRealm(t *testing.T) {
	s := servertest.Start(t, managed)
	m := newAdministrator(t, s)
	answer := m.do("GET", "", "")
	if answer.JSON["issuer"] != s.Issuer || answer.JSON["policy"] != "sandbox" || answer.JSON["management"].(map[string]any)["audience"] != s.Issuer+"/manage" {
		t.Errorf("the realm: %s", answer)
	}
	if discovery := answer.JSON["discovery"].(map[string]any); discovery["issuer"] != s.Issuer {
		t.Errorf("discovery: %v", discovery)
	}
	if strings.Contains(answer.Body, s.Dir) || strings.Contains(answer.Body, "secrets") {
		t.Errorf("it says too much: %s", answer)
	}
	if there := operate(t, s, http.MethodGet, "/realms/default", ""); there.Body != answer.Body {
		t.Errorf("the operator is shown %s", there)
	}
}

// TestManagedKeys: rotated by a client with the scope, the old key stays published.
func TestManagedKeys(t *testing.T) {
	s := servertest.Start(t, managed)
	m := newAdministrator(t, s)
	before, after := m.do("GET", "/keys", ""), m.do("POST", "/keys/rotate?alg=ES256", "")
	if before.Status != http.StatusOK || after.Status != http.StatusOK || before.Body == after.Body || strings.Contains(after.Body, "sealed") {
		t.Errorf("before %s, after %s", before, after)
	}
	if answer := m.do("GET", "/keys", ""); answer.Body != after.Body {
		t.Errorf("the key that signed this token is gone: %s", answer)
	}
	wantAnswer(t, m.do("POST", "/keys/rotate?alg=none", ""), http.StatusBadRequest, "invalid_request")
}

// readFile reads a file of the server's directory, without the white space around.
func readFile(t testing.TB, dir, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}
