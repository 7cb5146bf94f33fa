package server_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/directory"
	"github.com/fapid/fapid/server/endpoint"
	"github.com/fapid/fapid/server/participant"
	"github.com/fapid/fapid/server/servertest"
)

var variable = regexp.MustCompile(`\{(\w+)(:[^}]*)?\}`)

// pathOf fills the variables of a route with what is a member's: of its software,
// or of the organisation itself.
func pathOf(path string, values map[string]string) string {
	of := ""
	if !strings.Contains(path, "{software") {
		of = "organisation's "
	}
	return variable.ReplaceAllStringFunc(path, func(found string) string {
		name := variable.FindStringSubmatch(found)[1]
		return cmp.Or(values[of+name], values[name])
	})
}

// holdings are a member's records, one of each kind, by the variables of paths.
func holdings(t *testing.T, s *servertest.Server, m *servertest.Member) map[string]string {
	t.Helper()
	claims := within[[]directory.AuthorityClaim](t, s.Operate("GET", "/directory"+m.Of("/authorityclaims"), ""))
	roles := within[[]directory.SoftwareRole](t, want(t, m.Call("GET", m.Statement("/authorityclaims"), ""), 200))
	seal := want(t, m.Call("POST", m.Of("/certificates/rtsseal"), string(rsaCSR(t))), 201)
	put := want(t, m.Call("POST", m.Of("/authorisationservers"), `{"CustomerFriendlyName":"Bank","OpenIDDiscoveryDocument":"https://bank.example/d",
		"ApiResources":[{"ApiFamilyType":"accounts","ApiVersion":"1","ApiDiscoveryEndpoints":[{"ApiEndpoint":"https://bank.example/a"}]}]}`), 201)
	server := within[directory.AuthorisationServer](t, put)
	keys := within[[]struct {
		Kid string `json:"kid"`
	}](t, want(t, m.Call("GET", m.Statement("/certificates/rtstransport"), ""), 200))
	return map[string]string{
		"organisation": m.Organisation, "software": m.Software, "claim": roles[0].ID, "organisation's claim": claims[0].ID, "server": server.ID,
		"api": server.APIResources[0].ID, "endpoint": server.APIResources[0].Endpoints[0].ID, "type": "rtstransport", "kid": keys[0].Kid,
		"organisation's type": "rtsseal", "organisation's kid": seal.JSON["kid"].(string),
	}
}

// everything is what the directory holds, as the operator sees it.
func everything(t *testing.T, s *servertest.Server, members ...*servertest.Member) string {
	t.Helper()
	var all strings.Builder
	for _, path := range []string{"/organisations", "/softwarestatements"} {
		all.WriteString(want(t, s.Operate("GET", "/directory"+path, ""), 200).Body)
	}
	for _, m := range members {
		for _, path := range []string{m.Of("/authorityclaims"), m.Of("/certificates"), m.Of("/authorisationservers"), m.Statement("/authorityclaims"), m.Statement("/certificates")} {
			all.WriteString(want(t, s.Operate("GET", "/directory"+path, ""), 200).Body)
		}
	}
	return all.String()
}

// TestDirectoryMatrix asks every route there is as everybody there is: those who
// may not are refused, whatever they send, and nothing changes for it.
func TestDirectoryMatrix(t *testing.T) {
	s := servertest.Start(t, servertest.WithDirectory)
	a, b := s.Member("Alpha", aisp), s.Member("Beta", aisp)
	ofA := holdings(t, s, a)
	holdings(t, s, b)
	stranger := s.TPP("stranger", func(m *registration.Metadata) { m.Scope = "accounts directory:software" })
	dpop := s.TPP("dpop", servertest.DPoP, func(m *registration.Metadata) { m.Scope = "directory:software" })
	before := everything(t, s, a, b)

	nobody := (&participant.Participant{}).Client(s.Roots())
	t.Cleanup(nobody.CloseIdleConnections)
	tokens := map[string]string{
		"A": a.DirectoryToken(), "B": b.DirectoryToken(), "stranger": stranger.Token(scope("directory:software")),
		"bank's": stranger.Token(scope("accounts")), "both": stranger.Token(scope("accounts directory:software")),
	}
	registry, operator := s.DirectoryRoutes()
	guarded := 0
	for _, route := range registry {
		path, method := pathOf(route.Path, ofA), route.Methods[0]
		call := func(client *http.Client, token string) servertest.Answer {
			header := http.Header{"Content-Type": {"application/json"}}
			if token != "" {
				header.Set("Authorization", "Bearer "+token)
			}
			body := "{}"
			if method == http.MethodGet || method == http.MethodDelete {
				body = ""
			}
			return exchange(t, s, client, method, s.Registry+path, header, body)
		}
		if route.Guard == nil {
			if !route.Open || method != http.MethodGet {
				t.Errorf("%s %s has no guard, and is no public document", method, path)
			}
			wantAnswer(t, call(nobody, ""), 200, "")
			continue
		}
		guarded++
		for who, c := range map[string]struct {
			client *http.Client
			token  string
			status int
			code   string
		}{
			"nobody":                              {nobody, "", 401, "invalid_token"},
			"A without a token":                   {a.HTTP, "", 401, "invalid_token"},
			"A's token without its certificate":   {nobody, tokens["A"], 401, "invalid_token"},
			"A's token with B's certificate":      {b.HTTP, tokens["A"], 401, "invalid_token"},
			"a client without software":           {stranger.HTTP, tokens["stranger"], 403, "access_denied"},
			"a token for the bank":                {stranger.HTTP, tokens["bank's"], 401, "invalid_token"},
			"a token for the bank of both scopes": {stranger.HTTP, tokens["both"], 401, "invalid_token"},
		} {
			if answer := call(c.client, c.token); answer.Status != c.status || answer.Error() != c.code {
				t.Errorf("%s: %s %s answered %s, want %d %s", who, method, path, answer, c.status, c.code)
			}
		}
		if strings.Contains(route.Path, "{organisation") {
			wantAnswer(t, call(b.HTTP, tokens["B"]), 403, "access_denied")
		}
		if method == http.MethodGet {
			wantAnswer(t, call(a.HTTP, tokens["A"]), 200, "")
		}
	}
	if guarded < 40 {
		t.Errorf("%d routes are guarded", guarded)
	}
	dpopBound(t, s, dpop)
	operatorMatrix(t, s, operator, ofA)
	if after := everything(t, s, a, b); after != before {
		t.Errorf("refused requests changed something\nbefore %s\nafter  %s", before, after)
	}
}

func scope(text string) map[string][]string { return map[string][]string{"scope": {text}} }

// dpopBound: a token that is bound to a DPoP key is of no use at the directory, which
// goes by certificates.
func dpopBound(t *testing.T, s *servertest.Server, tpp *servertest.TPP) {
	t.Helper()
	token := tpp.Token(scope("directory:software"))
	address := s.Registry + "/organisations"
	proof, err := tpp.Proof(http.MethodGet, address, participant.Proof{Token: token, Time: s.Clock.Now()})
	if err != nil {
		t.Fatal(err)
	}
	answer := exchange(t, s, tpp.HTTP, http.MethodGet, address, http.Header{"Authorization": {"DPoP " + token}, "Dpop": {proof}}, "")
	wantAnswer(t, answer, 401, "invalid_token")
}

// operatorMatrix: without the operator key nothing changes, and nothing is signed.
func operatorMatrix(t *testing.T, s *servertest.Server, routes []endpoint.Route, values map[string]string) {
	t.Helper()
	for _, route := range routes {
		path, method := pathOf(route.Path, values), route.Methods[0]
		for _, key := range []string{"", "Bearer wrong"} {
			header := http.Header{"Content-Type": {"application/json"}}
			if key != "" {
				header.Set("Authorization", key)
			}
			status := s.Do(http.DefaultClient, method, s.Admin+path, header, "").Status
			readable := method == http.MethodGet && !strings.HasSuffix(path, "/assertion")
			if readable && status != 200 || !readable && status != 401 {
				t.Errorf("%s %s with key %q answered %d", method, path, key, status)
			}
		}
		if method == http.MethodGet {
			want(t, s.Operate(method, path, ""), 200)
		}
	}
}

// The operator reads and changes all of it.
func TestDirectoryOperator(t *testing.T) {
	s := servertest.Start(t, servertest.WithDirectory)
	made := want(t, s.Operate("POST", "/directory/organisations", `{"OrganisationName":"Gamma","CountryOfRegistration":"BR"}`), 201)
	id := made.JSON["OrganisationId"].(string)
	at := "/directory/organisations/" + id
	want(t, s.Operate("POST", at+"/authorityclaims", `{"AuthorisationDomain":"Open Finance Brasil","Role":"DADOS"}`), 201)
	want(t, s.Operate("POST", at+"/authorityclaims", `{"AuthorisationDomain":"Open Finance Brasil","Role":"DADOS"}`), 409)
	want(t, s.Operate("POST", at+"/authorityclaims", `{"AuthorisationDomain":"Open Finance Brasil","Role":"EMPEROR"}`), 400)
	s.TPP("hers")
	software := want(t, s.Operate("POST", at+"/softwarestatements", `{"ClientName":"App","ClientId":"hers","SoftwareStatementId":"7c9e6a1e-1c5d-4f53-9a63-1d2f5b8a4e01"}`), 201)
	if software.JSON["RtsClientCreated"] != false {
		t.Errorf("linked software: %s", software)
	}
	for body, status := range map[string]int{
		`{"ClientName":"App","ClientId":"hers"}`:                                                    409, // one client is one software's
		`{"ClientName":"App","ClientId":"nobody"}`:                                                  400,
		`{"ClientName":"App","SoftwareStatementId":"7c9e6a1e-1c5d-4f53-9a63-1d2f5b8a4e01"}`:         409,
		`{"ClientName":"App","SoftwareStatementId":"` + strings.ToUpper(id) + `"}`:                  400,
		`{"ClientName":"App","OrganisationId":"7c9e6a1e-1c5d-4f53-9a63-1d2f5b8a4e01"}`:              400,
		`{"ClientName":"App","SoftwareAuthorityClaims":[{"AuthorisationDomain":"CDR","Role":"x"}]}`: 400,
	} {
		if answer := s.Operate("POST", at+"/softwarestatements", body); answer.Status != status {
			t.Errorf("%s: %s, want %d", body, answer, status)
		}
	}
	// Ids are never given out again, also when what had them is gone.
	want(t, s.Operate("DELETE", at, ""), 204)
	want(t, s.Operate("GET", at+"/softwarestatements", ""), 404)
	want(t, s.Operate("POST", "/directory/organisations", `{"OrganisationId":"`+id+`","OrganisationName":"Gamma","CountryOfRegistration":"BR"}`), 409)
	if _, there := s.Clients("default").Get("hers"); !there {
		t.Error("a client that the directory did not make went with the software")
	}
	if answer := s.Operate("DELETE", at, ""); answer.Status != 404 {
		t.Errorf("deleted twice: %s", answer)
	}
}

// What was acknowledged is there after a restart, with its keys and its effect.
func TestDirectoryRestart(t *testing.T) {
	s := servertest.Start(t, servertest.WithDirectory)
	a, b := s.Member("Alpha", aisp), s.Member("Beta", aisp)
	holdings(t, s, a)
	statement := want(t, a.Call("GET", a.Statement("/assertion"), ""), 200).Body
	want(t, s.SetStatus(b.Of(""), "Suspended"), 200)
	want(t, s.Operate("DELETE", "/directory"+a.Statement("/certificates/rtstransport/"+strings.Repeat("A", 43)), ""), 404)
	before := everything(t, s, a, b)
	s.Restart()
	if after := everything(t, s, a, b); after != before {
		t.Errorf("before %s\nafter  %s", before, after)
	}
	verifyStatement(t, s, statement, "PS256")
	a.Connect()
	b.Connect()
	want(t, a.Call("GET", a.Of(""), ""), 200)
	if answer := b.Post("token_endpoint", map[string][]string{"grant_type": {"client_credentials"}}); answer.Error() != "invalid_client" {
		t.Errorf("suspended before the restart: %s", answer)
	}
	want(t, s.Operate("POST", "/directory/organisations", `{"OrganisationId":"`+a.Organisation+`","OrganisationName":"x","CountryOfRegistration":"GB"}`), 409)
}

// Changes at the same time: with If-Match one wins; without it none is lost that
// another did not replace.
func TestDirectoryRaces(t *testing.T) {
	s := servertest.Start(t, servertest.WithDirectory)
	m := s.Member("Alpha", aisp)
	const callers = 12
	token := m.DirectoryToken()
	call := func(method, path, body string, match []string) servertest.Answer {
		header := http.Header{"Authorization": {"Bearer " + token}, "Content-Type": {"application/json"}}
		if match != nil {
			header["If-Match"] = match
		}
		return s.Do(m.HTTP, method, s.Registry+path, header, body)
	}
	seen := call("GET", m.Statement(""), "", nil)
	together := func(do func(int) servertest.Answer) (statuses []int) {
		statuses = make([]int, callers)
		var running sync.WaitGroup
		for i := range callers {
			running.Go(func() { statuses[i] = do(i).Status })
		}
		running.Wait()
		return statuses
	}
	won := 0
	for _, status := range together(func(i int) servertest.Answer {
		return call("PUT", m.Statement(""), fmt.Sprintf(`{"ClientName":"name %d"}`, i), seen.Header["Etag"])
	}) {
		switch status {
		case 200:
			won++
		case http.StatusPreconditionFailed:
		default:
			t.Errorf("a change answered %d", status)
		}
	}
	if won != 1 {
		t.Errorf("%d changes of one version won, want 1", won)
	}
	// Each adds to one server record, through its own path.
	put := call("POST", m.Of("/authorisationservers"), `{"CustomerFriendlyName":"Bank","OpenIDDiscoveryDocument":"https://bank.example/d"}`, nil)
	at := m.Of("/authorisationservers/" + put.JSON["AuthorisationServerId"].(string))
	for _, status := range together(func(i int) servertest.Answer {
		return call("POST", at+"/apiresources", fmt.Sprintf(`{"ApiFamilyType":"f%d","ApiVersion":"1"}`, i), nil)
	}) {
		if status != 201 {
			t.Errorf("an addition answered %d", status)
		}
	}
	if apis := within[[]directory.APIResource](t, call("GET", at+"/apiresources", "", nil)); len(apis) != callers {
		t.Errorf("%d of %d additions are there", len(apis), callers)
	}
	// One kid, one key.
	jwk := `{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","kid":"one"}`
	statuses := together(func(int) servertest.Answer { return call("POST", m.Statement("/certificates/sigkey"), jwk, nil) })
	if slices.Sort(statuses); statuses[0] != 201 || statuses[1] != 409 {
		t.Errorf("one kid many times: %v", statuses)
	}
	// Software made at the same time has an id and a client each.
	together(func(int) servertest.Answer {
		return call("POST", m.Of("/softwarestatements"), `{"ClientName":"x"}`, nil)
	})
	ids := map[string]bool{}
	for _, software := range within[[]directory.SoftwareStatement](t, call("GET", m.Of("/softwarestatements"), "", nil)) {
		ids[software.ID] = true
		if _, there := s.Clients("default").Get(software.ClientID); !there {
			t.Errorf("software %s has no client", software.ID)
		}
	}
	if len(ids) != callers+1 {
		t.Errorf("%d pieces of software, want %d", len(ids), callers+1)
	}
	// The last key may not be one too many.
	statuses = together(func(i int) servertest.Answer {
		return call("POST", m.Statement("/certificates/sigkey"), strings.Replace(jwk, `"one"`, fmt.Sprintf(`"key-%d"`, i), 1), nil)
	})
	statuses = append(statuses, together(func(i int) servertest.Answer {
		return call("POST", m.Statement("/certificates/enckey"), strings.Replace(jwk, `"one"`, fmt.Sprintf(`"enc-%d"`, i), 1), nil)
	})...)
	made := 0
	for _, status := range statuses {
		if status == 201 {
			made++
		} else if status != 409 {
			t.Errorf("a key answered %d", status)
		}
	}
	if made != 18 { // and one transport certificate, and "one"
		t.Errorf("%d more keys were taken, want 18", made)
	}
}

// Whatever is sent, the answer is a refusal that says what is wrong, and never a
// failure of the server.
func TestDirectoryBadInput(t *testing.T) {
	s := servertest.Start(t, servertest.WithDirectory)
	m := s.Member("Alpha", aisp)
	values := holdings(t, s, m)
	long := strings.Repeat("x", 3000)
	bodies := []string{
		``, ` `, `null`, `[]`, `"x"`, `{`, `{}`, `{"OrganisationName":1}`, `{"ClientName":["x"]}`, `{"ClientName":"x","ClientName":"y"}`,
		`{"clientname":"x"}`, `{"ClientName":"x","Locked":"yes"}`, `{"ClientName":"\u0000"}`, `{"ClientName":"\ud800"}`, "{\"ClientName\":\"\xff\"}",
		`{"ClientName":"` + long + `"}`, `{"ClientName":"x","Version":"1e999"}`, `{"ClientName":"x","Version":1e999}`, `{"ClientName":"x","Version":[]}`,
		`{"ClientName":"x","RedirectUri":["http://tpp.example/"]}`, `{"ClientName":"x","RedirectUri":["https://a.example/#f"]}`,
		`{"ClientName":"x","RedirectUri":["https://a.example/","https://a.example/"]}`, `{"ClientName":"x","LogoUri":"javascript:alert(1)"}`,
		`{"ClientName":"x","Mode":"live"}`, `{"ClientName":"x","Ecosystem":"atlantis"}`, `{"ClientName":"x","Status":"Deleted"}`,
		`{"ClientName":"x"} trailing`, `{"ClientName":{"a":{"b":[[[[[[]]]]]]}}}`, strings.Repeat("[", 30000), `{"ApiResources":[null,{}]}`, `{"ApiResources":{}}`,
		`{"CustomerFriendlyName":"x","OpenIDDiscoveryDocument":"https://a.example","ApiResources":[{"ApiFamilyType":"a","ApiVersion":"1","Secret":1}]}`,
		`{"AuthorisationDomain":"PSD2"}`, `{"RevokeReason":"boredom"}`, `{"Status":7}`,
		`{"ClientName":"x","RedirectUri":[` + strings.Repeat(`"https://a.example/`+`x",`, 200) + `"https://b.example"]}`,
		"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
		`{"kty":"RSA","n":"AQ","e":"AQAB"}`, `{"kty":"oct","k":"AAAA"}`, `{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}`,
	}
	registry, _ := s.DirectoryRoutes()
	token := m.DirectoryToken()
	for _, route := range registry {
		if method := route.Methods[0]; method == http.MethodPost || method == http.MethodPut {
			for _, body := range bodies {
				path := pathOf(route.Path, values)
				for _, media := range []string{"application/json", "text/plain"} {
					answer := exchange(t, s, m.HTTP, method, s.Registry+path, http.Header{"Authorization": {"Bearer " + token}, "Content-Type": {media}}, body)
					if answer.Status < 400 && media == "text/plain" && !strings.Contains(path, "/certificates/") {
						t.Errorf("%s %s took %.60s as %s: %s", method, path, body, media, answer)
					}
					if answer.Status == 201 && strings.Contains(path, "/certificates/") {
						t.Errorf("%s %s made a key of %.60q", method, path, body)
					}
				}
			}
		}
	}
	// Paths and queries that are not meant.
	for _, path := range []string{
		"/organisations?page=-1", "/organisations?size=0", "/organisations?size=a", "/organisations?page=1&page=2", "/organisations?sort=x", "/organisations?page=%zz",
		m.Of("/certificates/%2e%2e"), m.Of("/authorityclaims/" + strings.Repeat("0", 36)), m.Statement("/certificates/rtstransport/nothing"),
		"/organisations/" + strings.Repeat("f", 4000), m.Of("/softwarestatements/" + m.Organisation), m.Of("//softwarestatements"), m.Of("/softwarestatements/"),
	} {
		answer := exchange(t, s, m.HTTP, http.MethodGet, s.Registry+path, http.Header{"Authorization": {"Bearer " + token}}, "")
		if answer.Status < 400 {
			t.Errorf("%s answered %s", path, answer)
		}
	}
	for _, path := range []string{
		"/" + m.Organisation + "/" + m.Organisation + "/application.jwks", "/" + m.Software + "/application.jwks", "/" + m.Organisation + "/x.pem",
		"/" + m.Organisation + "/" + m.Software + "/..pem", "/" + m.Organisation + "/" + m.Software + "/../application.jwks.pem", "/x/y/application.jwks",
	} {
		if answer := s.Public(path); answer.Status != 404 {
			t.Errorf("%s answered %s", path, answer)
		}
	}
	// A good record is taken still.
	want(t, m.Call("GET", m.Of(""), ""), 200)
}

// Hosts and proxies are held to the same rules as on the mTLS listener, and every
// request is logged and counted.
func TestDirectoryListener(t *testing.T) {
	s := servertest.Start(t, servertest.WithDirectory)
	m := s.Member("Alpha", aisp)
	answer := exchange(t, s, m.HTTP, http.MethodGet, s.Registry+"/participants", http.Header{"Host": {"other.example"}}, "")
	wantAnswer(t, answer, http.StatusMisdirectedRequest, "misdirected_request")
	answer = exchange(t, s, m.HTTP, http.MethodGet, s.Registry+"/participants", http.Header{"Client-Cert": {":AAAA:"}}, "")
	wantAnswer(t, answer, 400, "invalid_request")
	answer = want(t, m.Call("GET", m.Of(""), ""), 200)
	event := s.Explain(answer)
	if event.Listener != "directory" || event.Endpoint != "directory/organisations/{organisation}" || event.ClientID != m.Software || event.Realm != "default" {
		t.Errorf("the event is %+v", event)
	}
	metrics := want(t, s.Operate("GET", "/metrics", ""), 200).Body
	if !strings.Contains(metrics, `listener="directory"`) || !strings.Contains(metrics, `endpoint="directory/organisations/{organisation}"`) {
		t.Error("the directory is not in the metrics")
	}
	// Its server certificate names its host, as the others do.
	var checks []string
	for _, check := range event.Checks {
		checks = append(checks, check.Name)
	}
	if !slices.Contains(checks, "directory caller") || !slices.Contains(checks, "token binding") || !slices.Contains(checks, "scope") {
		t.Errorf("checks %v", checks)
	}
}

// Without listeners.directory there is none of it.
func TestNoDirectory(t *testing.T) {
	s := servertest.Start(t)
	if s.Directory() != nil || s.Registry != "" {
		t.Error("there is a directory")
	}
	want(t, s.Operate("GET", "/directory/organisations", ""), 404)
	tpp := s.TPP("tpp", func(m *registration.Metadata) { m.Scope = "accounts directory:software" })
	if aud := decodeJWT(t, tpp.Token(scope("directory:software")))["aud"]; aud != s.MTLS+"/bank" {
		t.Errorf("a token for %v", aud)
	}
}

// The directory's URL chooses it as any API's does.
func TestDirectoryAudience(t *testing.T) {
	s := servertest.Start(t, servertest.WithDirectory)
	tpp := s.TPP("tpp", func(m *registration.Metadata) { m.Scope = "accounts directory:software" })
	for form, aud := range map[string]string{
		`{"scope":["directory:software"]}`:          s.Registry,
		`{"scope":["directory:software accounts"]}`: s.MTLS + "/bank",
		`{}`:                                  s.MTLS + "/bank",
		`{"resource":["` + s.Registry + `"]}`: s.Registry,
		`{"audience":["` + s.Registry + `"],"scope":["accounts directory:software"]}`: s.Registry,
		`{"audience":["` + s.MTLS + `/bank"],"scope":["directory:software"]}`:         s.MTLS + "/bank",
	} {
		var values map[string][]string
		if err := json.Unmarshal([]byte(form), &values); err != nil {
			t.Fatal(err)
		}
		claims := decodeJWT(t, tpp.Token(values))
		if claims["aud"] != aud || aud == s.Registry && claims["scope"] != "directory:software" {
			t.Errorf("%s: a token for %v with scope %v, want %s", form, claims["aud"], claims["scope"], aud)
		}
	}
	answer := tpp.Post("token_endpoint", map[string][]string{"grant_type": {"client_credentials"}, "audience": {s.Registry}, "scope": {"accounts"}})
	wantAnswer(t, answer, 400, oauth.CodeInvalidScope)
}
