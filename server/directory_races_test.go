package server_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/fapid/fapid/server/directory"
	"github.com/fapid/fapid/server/servertest"
)

// together does numbered things at once, and returns the statuses.
func together(do func(i int) servertest.Answer) (statuses []int) {
	var next atomic.Int32
	for _, answer := range race(func() servertest.Answer { return do(int(next.Add(1))) }) {
		statuses = append(statuses, answer.Status)
	}
	return statuses
}

// caller calls the directory with one token, which [servertest.Member.Call] fetches
// each time anew.
func caller(s *servertest.Server, m *servertest.Member) func(method, path, body string, match []string) servertest.Answer {
	token := m.DirectoryToken()
	return func(method, path, body string, match []string) servertest.Answer {
		header := http.Header{"Authorization": {"Bearer " + token}, "Content-Type": {"application/json"}}
		if match != nil {
			header["If-Match"] = match
		}
		return s.Do(m.HTTP, method, s.Registry+path, header, body)
	}
}

// Changes at the same time: with If-Match one wins; without it none is lost that
// another did not replace.
func TestDirectoryRaces(t *testing.T) {
	s := servertest.Start(t, servertest.WithDirectory)
	m := s.Member("Alpha", aisp)
	call := caller(s, m)
	for round := range rounds(t, 3) {
		seen := call("GET", m.Statement(""), "", nil)
		won := 0
		for _, status := range together(func(i int) servertest.Answer {
			return call("PUT", m.Statement(""), fmt.Sprintf(`{"ClientName":"name %d-%d"}`, round, i), seen.Header["Etag"])
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
	if apis := within[[]directory.APIResource](t, call("GET", at+"/apiresources", "", nil)); len(apis) != racers {
		t.Errorf("%d of %d additions are there", len(apis), racers)
	}
}

// Additions at the same time: each is all there, and none is one too many.
func TestDirectoryKeyRaces(t *testing.T) {
	s := servertest.Start(t, servertest.WithDirectory)
	m := s.Member("Alpha", aisp)
	call := caller(s, m)
	// One kid, one key.
	jwk := fmt.Sprintf(bareKey, "one")
	statuses := together(func(int) servertest.Answer { return call("POST", m.Statement("/certificates/sigkey"), jwk, nil) })
	if slices.Sort(statuses); statuses[0] != 201 || statuses[1] != 409 || statuses[racers-1] != 409 {
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
	if len(ids) != racers+1 {
		t.Errorf("%d pieces of software, want %d", len(ids), racers+1)
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

// An organisation that makes software at the same time has no more than it may have.
func TestDirectorySoftwareRace(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.WithDirectory)
	m := s.Member("Alpha", aisp)
	call := caller(s, m)
	const most, left = 1000, 5
	for range most - left - 1 { // and its first
		if _, err := s.Directory().CreateSoftware(t.Context(), directory.SoftwareStatement{OrganisationID: m.Organisation, ClientName: "x"}, 0); err != nil {
			t.Fatal(err)
		}
	}
	counts := map[int]int{}
	for _, status := range together(func(int) servertest.Answer {
		return call("POST", m.Of("/softwarestatements"), `{"ClientName":"x"}`, nil)
	}) {
		counts[status]++
	}
	all := within[[]directory.SoftwareStatement](t, call("GET", m.Of("/softwarestatements"), "", nil))
	if counts[201] != left || counts[409] != racers-left || len(all) != most {
		t.Errorf("answered %v, and there are %d", counts, len(all))
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
		if answer.Status < 400 || answer.Status >= 500 {
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
