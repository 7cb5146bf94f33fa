package server_test

import (
	"cmp"
	"net/http"
	"regexp"
	"strings"
	"testing"

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
	proof, err := tpp.Proof(http.MethodGet, address, participant.Proof{Token: token})
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
