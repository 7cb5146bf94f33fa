package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server"
	"github.com/fapid/fapid/server/servertest"
	"github.com/fapid/fapid/server/users"
)

// provisioning lets clients be registered for the scopes of user management,
// fapid's and Asgardeo's.
func provisioning(config *server.Config) {
	managed(config)
	for _, realm := range []string{"default", "strict"} {
		config.Realms[realm].Scopes = append(config.Realms[realm].Scopes, users.PartScopes()...)
	}
}

// provisioner is a client that manages users, with a token: a request for scopes of
// user management alone is for the management API.
type provisioner struct {
	*servertest.TPP
	token, base string
}

func newProvisioner(s *servertest.Server, id, scope string) *provisioner {
	tpp := s.TPP(id, func(m *registration.Metadata) { m.Scope = scope })
	return &provisioner{tpp, tpp.Token(), s.MTLS + "/scim/v2"}
}

const readWrite = "fapid:users.read fapid:users.write"

// ask sends a request; headers are name, value pairs.
func (p *provisioner) ask(method, path, body string, headers ...string) servertest.Answer {
	p.S.T.Helper()
	header := http.Header{"Authorization": {"Bearer " + p.token}}
	if body != "" {
		header.Set("Content-Type", "application/scim+json")
	}
	for i := 0; i < len(headers); i += 2 {
		header.Set(headers[i], headers[i+1])
	}
	return p.S.Do(p.HTTP, method, p.base+path, header, body)
}

// done wants a request to have succeeded.
func (p *provisioner) done(answer servertest.Answer) {
	p.S.T.Helper()
	if answer.Status >= http.StatusMultipleChoices {
		p.S.T.Errorf("refused: %s", answer)
	}
}

// create makes a user, and gives its path.
func (p *provisioner) create(body string) (path string, created servertest.Answer) {
	p.S.T.Helper()
	created = p.ask(http.MethodPost, "/Users", body)
	if created.Status != http.StatusCreated {
		p.S.T.Fatalf("create: %s", created)
	}
	return fmt.Sprint("/Users/", created.JSON["id"]), created
}

// patch wraps operations into a patch.
func patch(operations string) string {
	return `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[` + operations + `]}`
}

// wantProblem wants a refusal in the words of SCIM.
func wantProblem(t *testing.T, what string, answer servertest.Answer, status int, scimType string) {
	t.Helper()
	kind, _ := answer.JSON["scimType"].(string)
	detail, _ := answer.JSON["detail"].(string)
	if answer.Status != status || kind != scimType || detail == "" ||
		fmt.Sprint(answer.JSON["schemas"]) != "[urn:ietf:params:scim:api:messages:2.0:Error]" || answer.JSON["status"] != fmt.Sprint(status) {
		t.Errorf("%s: %s, want %d %s", what, answer, status, scimType)
	}
	if got := answer.Header.Get("Content-Type"); got != "application/scim+json" {
		t.Errorf("%s: Content-Type %s", what, got)
	}
}

func TestSCIMLife(t *testing.T) {
	s := servertest.Start(t, provisioning)
	p := newProvisioner(s, "provisioner", readWrite)
	path, created := p.create(`{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"kim@example.com","password":"aBcd!23#",
		"id":"mine","meta":{"version":"mine"},"name":{"givenName":"Kim","familyName":"Berry"},"emails":[{"value":"kim@example.com","primary":true}],
		"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"manager":{"value":"Taylor"}},"urn:scim:wso2:schema":{"verifyEmail":true}}`)
	meta, _ := created.JSON["meta"].(map[string]any)
	if at := created.Header.Get("Location"); at != p.base+path || at != meta["location"] || created.Header.Get("ETag") != meta["version"] || meta["resourceType"] != "User" {
		t.Errorf("created at %s, %v", at, meta)
	}
	if strings.Contains(created.Body, "aBcd") || strings.Contains(created.Body, "accounts") || strings.Contains(created.Body, "mine") || created.JSON["active"] != true {
		t.Errorf("created: %s", created)
	}
	if shown := p.ask(http.MethodGet, path, ""); shown.Body != created.Body || shown.Header.Get("ETag") != created.Header.Get("ETag") {
		t.Errorf("shown: %s", shown)
	}
	if _, ok := s.Users("default").CheckPassword("KIM@example.com", "aBcd!23#"); !ok {
		t.Error("the password is not good")
	}
	// Replaced: what is left out is gone, but for the password.
	replaced := p.ask(http.MethodPut, path, `{"userName":"kim@example.com","title":"Dr","active":false}`)
	if replaced.Status != http.StatusOK || replaced.JSON["name"] != nil || replaced.JSON["title"] != "Dr" || replaced.JSON["active"] != false || replaced.JSON["id"] != created.JSON["id"] {
		t.Errorf("replaced: %s", replaced)
	}
	patched := p.ask(http.MethodPatch, path, patch(`{"op":"Add","path":"emails[type eq \"work\"].value","value":"k@work.example"},{"op":"replace","value":{"active":true}}`))
	if patched.Status != http.StatusOK || !strings.Contains(patched.Body, `"emails":[{"value":"k@work.example","type":"work"}]`) || patched.Header.Get("ETag") != `W/"3"` {
		t.Errorf("patched: %s", patched)
	}
	if _, ok := s.Users("default").CheckPassword("kim@example.com", "aBcd!23#"); !ok {
		t.Error("the password is gone")
	}
	s.Restart()
	p.Connect()
	if shown := p.ask(http.MethodGet, path, ""); shown.Body != patched.Body {
		t.Errorf("after a restart: %s, before: %s", shown, patched)
	}
	if deleted := p.ask(http.MethodDelete, path, ""); deleted.Status != http.StatusNoContent || deleted.Body != "" {
		t.Errorf("deleted: %s", deleted)
	}
	for _, method := range []string{http.MethodGet, http.MethodDelete, http.MethodPut, http.MethodPatch} {
		body := map[string]string{http.MethodPut: `{"userName":"x"}`, http.MethodPatch: patch(`{"op":"remove","path":"title"}`)}[method]
		wantProblem(t, method+" of a deleted user", p.ask(method, path, body), http.StatusNotFound, "")
	}
	if again, _ := p.create(`{"userName":"kim@example.com"}`); again == path {
		t.Error("an id was used twice")
	}
}

// SCIM does not know of the accounts at the bank, and so does not lose them.
func TestSCIMKeepsAccounts(t *testing.T) {
	s := servertest.Start(t, provisioning)
	p := newProvisioner(s, "provisioner", readWrite)
	path, _ := p.create(`{"userName":"alice","accounts":[{"account_id":"1"}]}`)
	id := strings.TrimPrefix(path, "/Users/")
	if user, _ := s.Users("default").Get(id); user.Accounts != nil {
		t.Errorf("%+v", user)
	}
	if _, err := s.Users("default").Update(t.Context(), id, func(user *users.User) error {
		user.Accounts = []users.Account{{ID: "10001", Currency: "GBP", Balance: "1.00"}}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if shown := p.ask(http.MethodGet, path, ""); strings.Contains(shown.Body, "10001") {
		t.Errorf("shown: %s", shown)
	}
	p.done(p.ask(http.MethodPut, path, `{"userName":"alice","displayName":"Alice"}`))
	p.done(p.ask(http.MethodPatch, path, patch(`{"op":"replace","path":"title","value":"Dr"}`)))
	bank := s.TPP("tpp")
	answer := bank.Bank(bank.Token())
	if answer.Status != http.StatusOK || !strings.Contains(answer.Body, `"AccountId":"10001"`) || !strings.Contains(answer.Body, `"Name":"Alice"`) {
		t.Errorf("the bank: %s", answer)
	}
	p.done(p.ask(http.MethodDelete, path, ""))
	if answer := bank.Bank(bank.Token()); strings.Contains(answer.Body, "10001") {
		t.Errorf("an account of nobody: %s", answer)
	}
}

// Every operation wants its scope, and a token of this realm for its audience,
// used by whom it is bound to.
func TestSCIMScopes(t *testing.T) {
	s := servertest.Start(t, provisioning)
	p := newProvisioner(s, "provisioner", readWrite)
	path, _ := p.create(`{"userName":"alice"}`)
	type request struct{ method, path, body string }
	operations := map[string]request{
		"list": {http.MethodGet, "/Users", ""}, "search": {http.MethodPost, "/Users/.search", `{"count":1}`}, "search all": {http.MethodPost, "/.search", `{"count":1}`},
		"view": {http.MethodGet, path, ""}, "create": {http.MethodPost, "/Users", `{"userName":"alice"}`},
		"replace": {http.MethodPut, path, `{"userName":"alice"}`}, "patch": {http.MethodPatch, path, patch(`{"op":"remove","path":"title"}`)},
		"delete": {http.MethodDelete, "/Users/nobody", ""},
	}
	done := map[string]int{"create": http.StatusConflict, "delete": http.StatusNotFound}
	for scope, allowed := range map[string]string{
		"fapid:users.read": "list search view", "fapid:users.write": "create replace patch delete",
		"internal_user_mgt_list": "list search", "internal_user_mgt_view": "view", "internal_user_mgt_create": "create",
		"internal_user_mgt_update": "replace patch", "internal_user_mgt_delete": "delete", "accounts": "",
	} {
		with := newProvisioner(s, "with-"+strings.ReplaceAll(scope, ":", "-"), scope)
		if scope == "accounts" {
			with.token = with.Token(url.Values{"audience": {s.Issuer + "/manage"}})
		}
		for name, o := range operations {
			answer := with.ask(o.method, o.path, o.body)
			if !slices.Contains(strings.Fields(allowed), strings.Fields(name)[0]) {
				wantProblem(t, name+" with "+scope, answer, http.StatusForbidden, "")
				if challenge := answer.Header.Get("WWW-Authenticate"); !strings.Contains(challenge, `error="insufficient_scope"`) {
					t.Errorf("%s with %s: WWW-Authenticate %s", name, scope, challenge)
				}
			} else if want := max(http.StatusOK, done[name]); answer.Status != want {
				t.Errorf("%s with %s: %s, want %d", name, scope, answer, want)
			}
		}
	}
	other := s.TPP("other", func(m *registration.Metadata) { m.Scope = readWrite })
	elsewhere := s.TPPIn("strict", "elsewhere", func(m *registration.Metadata) { m.Scope = readWrite })
	if _, err := s.APIs("default").Put(t.Context(), registration.API{ID: "another-api", Clients: map[string]registration.Access{registration.AnyClient: {}}}); err != nil {
		t.Fatal(err)
	}
	teller, free := s.TPP("teller"), s.TPP("free", servertest.JWT, func(m *registration.Metadata) { m.Scope = readWrite })
	for name, bad := range map[string]*provisioner{
		"somebody else's token":    {other, p.token, p.base},
		"a token bound, unbound":   {p.TPP, p.token, s.Issuer + "/scim/v2"},
		"another realm's token":    {elsewhere, elsewhere.Token(), p.base},
		"a token for another API":  {teller, teller.Token(url.Values{"audience": {"another-api"}}), p.base},
		"a token for the bank":     {teller, teller.Token(), p.base},
		"a token bound to nothing": {free, free.Token(), p.base},
		"no token":                 {p.TPP, "", p.base},
	} {
		for operation, o := range operations {
			wantProblem(t, operation+" with "+name, bad.ask(o.method, o.path, o.body), http.StatusUnauthorized, "")
		}
	}
	if n := len(s.Users("default").List()); n != 1 {
		t.Errorf("%d users", n)
	}
}

func TestSCIMList(t *testing.T) {
	s := servertest.Start(t, provisioning)
	p := newProvisioner(s, "provisioner", readWrite)
	for i := range 7 {
		_, _ = p.create(fmt.Sprintf(`{"userName":"user-%d","externalId":"e-%d","active":%t,"emails":[{"value":"u%d@example.com","type":"work"}]}`, i, i, i%2 == 0, i))
	}
	for _, row := range []struct {
		query       string
		total, page int
		first       string
	}{
		{"", 7, 7, "user-0"},
		{"?startIndex=3&count=2", 7, 2, "user-2"},
		{"?startIndex=0&count=1", 7, 1, "user-0"},
		{"?startIndex=-5", 7, 7, "user-0"},
		{"?startIndex=8", 7, 0, ""},
		{"?startIndex=2147483647&count=2147483647", 7, 0, ""},
		{"?count=0", 7, 0, ""},
		{"?count=-1", 7, 0, ""},
		{"?count=1000000", 7, 7, "user-0"},
		{"?filter=" + url.QueryEscape(`userName eq "USER-4"`), 1, 1, "user-4"},
		{"?filter=" + url.QueryEscape(`externalId eq "e-5"`), 1, 1, "user-5"},
		{"?filter=" + url.QueryEscape(`externalId eq "E-5"`), 0, 0, ""},
		{"?filter=" + url.QueryEscape(`active eq false and emails[type eq "work"]`), 3, 3, "user-1"},
		{"?sortBy=userName&sortOrder=descending&count=1", 7, 1, "user-6"},
		{"?domain=DEFAULT&count=1", 7, 1, "user-0"}, // of WSO2's clients
	} {
		answer := p.ask(http.MethodGet, "/Users"+row.query, "")
		var page struct {
			Total     int `json:"totalResults"`
			Start     int `json:"startIndex"`
			Per       int `json:"itemsPerPage"`
			Resources []users.User
		}
		if err := json.Unmarshal([]byte(answer.Body), &page); err != nil || answer.Status != http.StatusOK {
			t.Fatalf("%s: %s, %v", row.query, answer, err)
		}
		first := ""
		if len(page.Resources) > 0 {
			first = page.Resources[0].UserName
		}
		if page.Total != row.total || page.Per != row.page || len(page.Resources) != row.page || first != row.first || page.Start < 1 || !strings.Contains(answer.Body, `"Resources":[`) {
			t.Errorf("%s: %s", row.query, answer)
		}
	}
	found := p.ask(http.MethodPost, "/Users/.search", `{"schemas":["urn:ietf:params:scim:api:messages:2.0:SearchRequest"],
		"attributes":["userName","emails.value"],"filter":"userName sw user and active eq true","domain":"PRIMARY","sortBy":"userName","sortOrder":"descending","startIndex":2,"count":1}`)
	if found.Status != http.StatusOK || found.JSON["totalResults"] != 4.0 ||
		!strings.Contains(found.Body, `"userName":"user-4","emails":[{"value":"u4@example.com"}]}]`) {
		t.Errorf("search: %s", found)
	}
}

func TestSCIMAttributes(t *testing.T) {
	s := servertest.Start(t, provisioning)
	p := newProvisioner(s, "provisioner", readWrite)
	path, _ := p.create(`{"userName":"alice","externalId":"e","name":{"givenName":"Alice"},"emails":[{"value":"a","type":"work"},{"display":"b"}],
		"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"department":"d","division":"v"}}`)
	const both = `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User","urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"],"id":"ID"`
	for query, want := range map[string]string{
		"attributes=userName":                                                              both + `,"userName":"alice"}`,
		"attributes=USERNAME,nothing,password":                                             both + `,"userName":"alice"}`,
		"attributes=nothing":                                                               both + `}`,
		"attributes=name.givenName,emails.value":                                           both + `,"name":{"givenName":"Alice"},"emails":[{"value":"a"}]}`,
		"attributes=name.familyName,emails.primary":                                        both + `}`,
		"attributes=name.givenName,name":                                                   both + `,"name":{"givenName":"Alice"}}`,
		"attributes=urn:ietf:params:scim:schemas:core:2.0:User:userName":                   both + `,"userName":"alice"}`,
		"attributes=urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department": both + `,"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"department":"d"}}`,
		"attributes=urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":            both + `,"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"division":"v","department":"d"}}`,
		"excludedAttributes=id,meta,emails,name,active,externalId,urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:division": both + `,"userName":"alice","urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"department":"d"}}`,
		"excludedAttributes=meta,emails.type,emails.display,name.givenName,urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": both + `,"externalId":"e","userName":"alice","active":true,"emails":[{"value":"a"}]}`,
	} {
		want = strings.ReplaceAll(want, "ID", strings.TrimPrefix(path, "/Users/"))
		for _, answer := range []servertest.Answer{
			p.ask(http.MethodGet, path+"?"+query, ""), p.ask(http.MethodPatch, path+"?"+query, patch(`{"op":"remove","path":"title"}`)),
		} {
			if answer.Body != want {
				t.Errorf("%s\ngave %s\nwant %s", query, answer.Body, want)
			}
		}
		if listed := p.ask(http.MethodGet, "/Users?"+query, ""); !strings.Contains(listed.Body, `"Resources":[`+want+"]") {
			t.Errorf("%s: listed %s", query, listed)
		}
	}
}

func TestSCIMVersions(t *testing.T) {
	s := servertest.Start(t, provisioning)
	p := newProvisioner(s, "provisioner", readWrite)
	path, _ := p.create(`{"userName":"alice"}`)
	const body = `{"userName":"alice","title":"Dr"}`
	for _, row := range []struct {
		method, header, value, body string
		status                      int
	}{
		{http.MethodGet, "If-None-Match", `W/"1"`, "", http.StatusNotModified},
		{http.MethodGet, "If-None-Match", `"0", "1"`, "", http.StatusNotModified},
		{http.MethodGet, "If-None-Match", `*`, "", http.StatusNotModified},
		{http.MethodGet, "If-None-Match", `W/"2"`, "", http.StatusOK},
		{http.MethodGet, "If-Match", `W/"2"`, "", http.StatusPreconditionFailed},
		{http.MethodGet, "If-Match", `W/"1"`, "", http.StatusOK},
		{http.MethodPut, "If-Match", `W/"2"`, body, http.StatusPreconditionFailed},
		{http.MethodPatch, "If-Match", `W/"11", "x"`, patch(`{"op":"add","path":"title","value":"Dr"}`), http.StatusPreconditionFailed},
		{http.MethodDelete, "If-Match", `garbage`, "", http.StatusPreconditionFailed},
		{http.MethodPut, "If-None-Match", `*`, body, http.StatusPreconditionFailed},
		{http.MethodPut, "If-Match", `W/"1"`, body, http.StatusOK},
		{http.MethodPut, "If-Match", `W/"1"`, body, http.StatusPreconditionFailed}, // it is "2" by now
		{http.MethodPut, "If-Match", `W/"2"`, body, http.StatusOK},                 // and changes nothing
		{http.MethodPatch, "If-Match", `W/"1", W/"2"`, patch(`{"op":"remove","path":"title"}`), http.StatusOK},
		{http.MethodDelete, "If-Match", `W/"2"`, "", http.StatusPreconditionFailed},
		{http.MethodDelete, "If-Match", `*`, "", http.StatusNoContent},
	} {
		answer := p.ask(row.method, path, row.body, row.header, row.value)
		if answer.Status == http.StatusPreconditionFailed && row.status == answer.Status {
			wantProblem(t, row.method+" "+row.header, answer, row.status, "")
		} else if answer.Status != row.status {
			t.Errorf("%s with %s: %s: %s, want %d", row.method, row.header, row.value, answer, row.status)
		}
		if answer.Status == http.StatusNotModified && (answer.Body != "" || answer.Header.Get("ETag") != `W/"1"`) {
			t.Errorf("not modified: %s", answer)
		}
	}
}

// Of many who create a user of one name at once, exactly one is told that it did.
func TestSCIMRace(t *testing.T) {
	s := servertest.Start(t, provisioning)
	p := newProvisioner(s, "provisioner", readWrite)
	for round := range rounds(t, 5) {
		counts := map[int]int{}
		for _, answer := range race(func() servertest.Answer {
			return p.ask(http.MethodPost, "/Users", fmt.Sprintf(`{"userName":"user-%d"}`, round))
		}) {
			counts[answer.Status]++
			if answer.Status != http.StatusCreated {
				wantProblem(t, "the slower ones", answer, http.StatusConflict, "uniqueness")
			}
		}
		if counts[http.StatusCreated] != 1 {
			t.Errorf("round %d: %v", round, counts)
		}
	}
	// Nor is one change lost among others.
	path, _ := p.create(`{"userName":"alice"}`)
	var number atomic.Int32
	for _, answer := range race(func() servertest.Answer {
		return p.ask(http.MethodPatch, path, patch(fmt.Sprintf(`{"op":"add","path":"emails","value":{"value":"%d"}}`, number.Add(1))))
	}) {
		if answer.Status != http.StatusOK {
			t.Errorf("patch: %s", answer)
		}
	}
	if user, _ := s.Users("default").ByUserName("alice"); len(user.Emails) != racers {
		t.Errorf("%d of %d emails were kept", len(user.Emails), racers)
	}
}
