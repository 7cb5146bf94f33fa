package server_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/fapid/fapid/server"
	"github.com/fapid/fapid/server/directory"
	"github.com/fapid/fapid/server/servertest"
)

var aisp = directory.AuthorityClaim{Domain: "PSD2", Role: "AISP", RegistrationID: "1", Authorisations: []directory.Authorisation{{MemberState: "GB"}}}

// want fails the test unless an answer has a status.
func want(t *testing.T, answer servertest.Answer, status int) servertest.Answer {
	t.Helper()
	if answer.Status != status {
		t.Fatalf("answered %s, want %d", answer, status)
	}
	return answer
}

// within decodes an answer.
func within[T any](t *testing.T, answer servertest.Answer) (value T) {
	t.Helper()
	if err := json.Unmarshal([]byte(answer.Body), &value); err != nil {
		t.Fatalf("%v\n%s", err, answer)
	}
	return value
}

// A participant that was given a transport certificate fetches a token and does
// all it may, over HTTP alone.
func TestDirectoryParticipant(t *testing.T) {
	s := servertest.Start(t, servertest.WithDirectory)
	m := s.Member("Alpha", aisp)

	claims := decodeJWT(t, m.DirectoryToken())
	if claims["aud"] != s.Registry || claims["scope"] != "directory:software" {
		t.Errorf("token for %v with scope %v", claims["aud"], claims["scope"])
	}
	page := within[struct {
		Content []directory.Organisation `json:"content"`
		Total   int                      `json:"totalSize"`
	}](t, want(t, m.Call("GET", "/organisations", ""), 200))
	if page.Total != 1 || page.Content[0].ID != m.Organisation || page.Content[0].OrganisationName != "Alpha" {
		t.Errorf("its organisations are %+v", page)
	}

	// What comes back can be sent back, changed.
	own := want(t, m.Call("GET", m.Of(""), ""), 200)
	changed := strings.Replace(own.Body, `"City":"London"`, `"City":"London","Postcode":"EC1A"`, 1)
	answer := want(t, m.Call("PUT", m.Of(""), changed, http.Header{"If-Match": own.Header["Etag"]}), 200)
	if answer.JSON["Postcode"] != "EC1A" || answer.JSON["CreatedOn"] != own.JSON["CreatedOn"] {
		t.Errorf("changed to %s", answer)
	}
	want(t, m.Call("PUT", m.Of(""), changed, http.Header{"If-Match": own.Header["Etag"]}), http.StatusPreconditionFailed)

	// Software: made, changed, given a role, ended.
	made := want(t, m.Call("POST", m.Of("/softwarestatements"), `{"ClientName":"Second","RedirectUri":["https://tpp.example/cb"],"Version":1.10,"PolicyUri":null}`), 201)
	id, _ := made.JSON["SoftwareStatementId"].(string)
	if made.JSON["ClientId"] != id || made.JSON["RtsClientCreated"] != true || !strings.Contains(made.Body, `"Version":1.10`) {
		t.Errorf("made %s", made)
	}
	second := m.Of("/softwarestatements/" + id)
	edited := strings.Replace(made.Body, `"Second"`, `"Second, edited"`, 1)
	if answer := want(t, m.Call("PUT", second, edited), 200); answer.JSON["ClientName"] != "Second, edited" {
		t.Errorf("edited to %s", answer)
	}
	role := want(t, m.Call("POST", second+"/authorityclaims", `{"AuthorisationDomain":"PSD2","Role":"AISP"}`), 201)
	want(t, m.Call("POST", second+"/authorityclaims", `{"AuthorisationDomain":"PSD2","Role":"AISP"}`), 409)
	want(t, m.Call("POST", second+"/authorityclaims", `{"AuthorisationDomain":"PSD2","Role":"PISP"}`), 400) // no claim of the organisation
	want(t, m.Call("GET", second+"/authorityclaims/"+role.JSON["SoftwareAuthorityClaimId"].(string), ""), 200)
	if all := within[[]directory.SoftwareStatement](t, want(t, m.Call("GET", m.Of("/softwarestatements"), ""), 200)); len(all) != 2 {
		t.Errorf("%d pieces of software, want 2", len(all))
	}
	want(t, m.Call("DELETE", second, ""), 204)
	if answer := want(t, m.Call("GET", second, ""), 200); answer.JSON["Status"] != "Inactive" {
		t.Errorf("ended software is %s", answer)
	}

	// An authorization server with an API.
	put := want(t, m.Call("POST", m.Of("/authorisationservers"), `{"CustomerFriendlyName":"Bank A","OpenIDDiscoveryDocument":"https://bank.example/.well-known/openid-configuration"}`), 201)
	at := m.Of("/authorisationservers/" + put.JSON["AuthorisationServerId"].(string))
	api := want(t, m.Call("POST", at+"/apiresources", `{"ApiFamilyType":"accounts","ApiVersion":"2.0.0"}`), 201)
	endpoints := at + "/apiresources/" + api.JSON["ApiResourceId"].(string) + "/apidiscoveryendpoints"
	place := want(t, m.Call("POST", endpoints, `{"ApiEndpoint":"https://bank.example/accounts/{AccountId}"}`), 201)
	if participants := s.Public("/participants"); !strings.Contains(participants.Body, "https://bank.example/accounts/{AccountId}") {
		t.Errorf("participants: %s", participants)
	}
	want(t, m.Call("DELETE", endpoints+"/"+place.JSON["ApiDiscoveryId"].(string), ""), 204)
	want(t, m.Call("DELETE", at, ""), 204)
	want(t, m.Call("GET", at, ""), 404)
	for _, reference := range []string{"authorities", "authorisationdomains", "authorisationdomainroles?size=3&page=1"} {
		if answer := want(t, m.Call("GET", "/references/"+reference, ""), 200); answer.JSON["empty"] != false {
			t.Errorf("%s: %s", reference, answer)
		}
	}
}

// What is the operator's is not the participant's, even of its own organisation.
func TestDirectoryLimitsOfParticipants(t *testing.T) {
	s := servertest.Start(t, servertest.WithDirectory)
	m := s.Member("Alpha", aisp)
	own := m.Call("GET", m.Of(""), "").Body
	for name, c := range map[string]struct {
		method, path, body string
		status             int
	}{
		"withdraws itself":           {"PUT", m.Of(""), strings.Replace(own, `"Status":"Active"`, `"Status":"Withdrawn"`, 1), 403},
		"moves to another id":        {"PUT", m.Of(""), `{"OrganisationId":"7c9e6a1e-1c5d-4f53-9a63-1d2f5b8a4e01","OrganisationName":"Alpha","CountryOfRegistration":"GB"}`, 400},
		"takes another name":         {"PUT", m.Of(""), strings.Replace(own, `"OrganisationName":"Alpha"`, `"OrganisationName":"HSBC"`, 1), 403},
		"takes another's number":     {"PUT", m.Of(""), strings.Replace(own, "PSDGB-FCA-765432", "PSDGB-FCA-123456", 1), 403},
		"moves its seat":             {"PUT", m.Of(""), strings.Replace(own, `"City":"London"`, `"City":"Sao Paulo"`, 1), 403},
		"moves to another state":     {"PUT", m.Of(""), strings.Replace(own, `"State":"LN"`, `"State":"SP"`, 1), 403},
		"takes itself a parent":      {"PUT", m.Of(""), strings.Replace(own, `"City":"London"`, `"City":"London","ParentOrganisationReference":"7c9e6a1e-1c5d-4f53-9a63-1d2f5b8a4e01"`, 1), 403},
		"brings its claims":          {"PUT", m.Of(""), `{"OrganisationName":"Alpha","CountryOfRegistration":"GB","OrgDomainRoleClaims":[{"AuthorisationDomain":"PSD2","Role":"PISP"}]}`, 400},
		"gives itself a claim":       {"POST", m.Of("/authorityclaims"), `{"AuthorisationDomain":"PSD2","Role":"PISP"}`, 405},
		"adds an organisation":       {"POST", "/organisations", `{"OrganisationName":"B","CountryOfRegistration":"GB"}`, 405},
		"removes itself":             {"DELETE", m.Of(""), "", 405},
		"takes another's client":     {"POST", m.Of("/softwarestatements"), `{"ClientName":"x","ClientId":"tpp-tls"}`, 403},
		"chooses an id":              {"POST", m.Of("/softwarestatements"), `{"ClientName":"x","SoftwareStatementId":"7c9e6a1e-1c5d-4f53-9a63-1d2f5b8a4e01"}`, 403},
		"changes its client":         {"PUT", m.Statement(""), `{"ClientName":"x","ClientId":"tpp-tls"}`, 400},
		"moves to another":           {"PUT", m.Statement(""), `{"ClientName":"x","OrganisationId":"7c9e6a1e-1c5d-4f53-9a63-1d2f5b8a4e01"}`, 400},
		"suspends itself":            {"PUT", m.Statement(""), `{"ClientName":"x","Status":"Suspended"}`, 403},
		"unlocks":                    {"PUT", m.Statement("/unlock"), "", 404},
		"brings roles with itself":   {"PUT", m.Statement(""), `{"ClientName":"x","SoftwareAuthorityClaims":[]}`, 400},
		"chooses a server's id":      {"POST", m.Of("/authorisationservers"), `{"AuthorisationServerId":"7c9e6a1e-1c5d-4f53-9a63-1d2f5b8a4e01","CustomerFriendlyName":"x","OpenIDDiscoveryDocument":"https://a.example"}`, 403},
		"reads all software":         {"GET", "/softwarestatements", "", 404},
		"reads the statement keys":   {"GET", "/keys", "", 404},
		"rotates the statement keys": {"POST", "/keys/rotate", "", 404},
	} {
		if answer := m.Call(c.method, c.path, c.body); answer.Status != c.status {
			t.Errorf("%s: %s, want %d", name, answer, c.status)
		}
	}
	// A suspension is lifted by the operator alone; the other software of the
	// organisation cannot.
	other := want(t, m.Call("POST", m.Of("/softwarestatements"), `{"ClientName":"Other"}`), 201)
	at := m.Of("/softwarestatements/" + other.JSON["SoftwareStatementId"].(string))
	want(t, s.SetStatus(at, "Suspended"), 200)
	want(t, m.Call("PUT", at, `{"ClientName":"Other","Status":"Active"}`), 403)
	want(t, m.Call("DELETE", at, ""), 403)
	want(t, m.Call("PUT", at, `{"ClientName":"Renamed"}`), 200) // the status stays
	if answer := m.Call("GET", at, ""); answer.JSON["Status"] != "Suspended" {
		t.Errorf("after a change without status: %s", answer)
	}
}

// The operator's home page says where the directory is, if there is one.
func TestHomePageOfDirectory(t *testing.T) {
	for _, with := range []bool{true, false} {
		s := servertest.Start(t, func(c *server.Config) {
			if with {
				servertest.WithDirectory(c)
			}
		})
		home := want(t, s.Operate("GET", "/", "", http.Header{"Accept": {"text/html"}}), 200)
		if strings.Contains(home.Body, "/participants") != with || with && !strings.Contains(home.Body, s.Registry+"/participants") {
			t.Errorf("with a directory: %v\n%s", with, home)
		}
	}
}
