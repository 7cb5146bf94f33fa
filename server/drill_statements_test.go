package server_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/registration/faults"
	"github.com/fapid/fapid/server"
	"github.com/fapid/fapid/server/admin"
	"github.com/fapid/fapid/server/drill"
	"github.com/fapid/fapid/server/servertest"
)

// inEveryEcosystem has a realm for each, which believes the directory by its rules.
func inEveryEcosystem(config *server.Config) {
	for _, name := range registration.Ecosystems() {
		config.Realms["in-"+name] = &server.Realm{
			Policy: "fapi2", Scopes: []string{"openid", "accounts", "payments", "directory:software"}, Trust: server.Trust{SandboxCA: true},
			Registration: &server.Registration{Access: []string{"open", "software_statement"}, Ecosystem: name, Directory: []string{name}},
		}
	}
}

// operatorOf is the operator's client, as the verbs have it.
func operatorOf(t testing.TB, s *servertest.Server) *admin.Client {
	t.Helper()
	key, err := os.ReadFile(filepath.Join(s.Dir, "operator.key"))
	if err != nil {
		t.Fatal(err)
	}
	return &admin.Client{Base: s.Admin, Key: strings.TrimSpace(string(key))}
}

func explained(s *servertest.Server) drill.Explain {
	return func(_ context.Context, trace string) (*oauth.Event, error) {
		event := s.Explain(servertest.Answer{Header: http.Header{"X-Fapid-Trace": {trace}}})
		return &event, nil
	}
}

// statementsOf is the drill of an ecosystem at its realm.
func statementsOf(t testing.TB, s *servertest.Server, keys *drill.Keys, name string) *drill.Statements {
	t.Helper()
	return statementsAt(t, s, keys, "in-"+name, name)
}

func statementsAt(t testing.TB, s *servertest.Server, keys *drill.Keys, realmName, name string) *drill.Statements {
	t.Helper()
	operator := operatorOf(t, s)
	realm, err := operator.Realm(t.Context(), realmName)
	if err != nil {
		t.Fatal(err)
	}
	ecosystem, err := drill.Choose(realm, name)
	if err != nil {
		t.Fatal(err)
	}
	return &drill.Statements{Operator: operator, Realm: realm, Provider: realm.Provider(), Roots: s.Roots(), Ecosystem: ecosystem, Keys: keys}
}

func drillKeys(t testing.TB) *drill.Keys {
	t.Helper()
	keys, err := drill.NewKeys()
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// TestDrillStatements sends every bad registration of every ecosystem: each is refused
// for the reason that was meant, the good one is not, and nothing of it stays.
func TestDrillStatements(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.WithDirectory, inEveryEcosystem)
	m := s.Member("Alpha", aisp)
	before, participants := everything(t, s, m), s.Public("/participants").Body
	keys := drillKeys(t)
	for _, name := range registration.Ecosystems() {
		d := statementsOf(t, s, keys, name)
		results, err := drill.Run(t.Context(), d.Cases(), explained(s))
		if err != nil {
			t.Fatal(err)
		}
		if public := s.Public("/participants").Body; public != participants {
			t.Errorf("%s: the public list has the drill: %s", name, public)
		}
		if err := d.Close(t.Context()); err != nil {
			t.Error(err)
		}
		for i, result := range results {
			if result.Differs || result.Family != name || (result.Seen == drill.Accepted) != (result.Name == "good") || result.Name == "good" && i > 0 {
				t.Errorf("%+v", result)
			}
			if result.Skipped != "" && result.Name != "request-by-the-directory" {
				t.Errorf("%s %s is not tried: %s", name, result.Name, result.Skipped)
			}
		}
		ecosystem, _ := registration.FindEcosystem(name)
		if len(results) != len(faults.Cases(ecosystem))+1 {
			t.Errorf("%s: %d results", name, len(results))
		}
		if left := s.Clients("in-"+name).List("", 10); len(left) != 0 {
			t.Errorf("%s: %d clients stay", name, len(left))
		}
	}
	if after := everything(t, s, m); after != before {
		t.Errorf("the directory was\n%s\nand is\n%s", before, after)
	}
	m.Token() // it was not touched
}

// TestDrillStatementsSeesDifferences: what is accepted and should not be, what is
// refused for another reason, and what gets no answer are found out.
func TestDrillStatementsSeesDifferences(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.WithDirectory, inEveryEcosystem)
	d := statementsOf(t, s, drillKeys(t), "brazil")
	defer func() {
		if err := d.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	cases := d.Cases()
	old := cases[slices.IndexFunc(cases, func(c drill.Case) bool { return c.Name == "statement-old" })]
	for name, change := range map[string]func(*drill.Case){
		"another check": func(c *drill.Case) { c.Check = "software statement exp" },
		"another code":  func(c *drill.Case) { c.Error = "unapproved_software_statement" },
		"accepted":      func(c *drill.Case) { c.Error, c.Check = "", "" },
		"another status": func(c *drill.Case) {
			c.Error, c.Check = "unsupported_media_type", "registration request Content-Type"
		},
	} {
		wrong := old
		change(&wrong)
		results, err := drill.Run(t.Context(), []drill.Case{wrong}, explained(s))
		if err != nil || !results[0].Differs || results[0].Seen != "invalid_software_statement: software statement iat" {
			t.Errorf("%s: %+v %v", name, results, err)
		}
	}
	refused := cases[0]
	refused.Error, refused.Check = old.Error, old.Check
	for _, explain := range []drill.Explain{explained(s), nil} {
		results, err := drill.Run(t.Context(), []drill.Case{refused, old}, explain)
		if err != nil || !results[0].Differs || results[0].Seen != drill.Accepted || results[1].Differs {
			t.Errorf("%+v %v", results, err)
		}
	}
	// A server that says the same with another status, and one that is not there.
	results, err := drill.Run(t.Context(), []drill.Case{old}, explained(s))
	if err != nil {
		t.Fatal(err)
	}
	broken := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Fapid-Trace", results[0].Trace)
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = w.Write([]byte(`{"error":"invalid_software_statement"}`))
	}))
	defer broken.Close()
	for address, seen := range map[string]string{broken.URL: results[0].Seen, "https://localhost:1/reg": "no answer: "} {
		elsewhere := statementsOf(t, s, drillKeys(t), "brazil")
		elsewhere.Provider.Aliases = map[string]string{"registration_endpoint": address}
		elsewhere.Roots = elsewhere.Roots.Clone()
		elsewhere.Roots.AddCert(broken.Certificate())
		cases := elsewhere.Cases()
		old := cases[slices.IndexFunc(cases, func(c drill.Case) bool { return c.Name == "statement-old" })]
		results, err := drill.Run(t.Context(), []drill.Case{old}, explained(s))
		if err != nil || !results[0].Differs || !strings.HasPrefix(results[0].Seen, seen) {
			t.Errorf("%s: %+v %v", address, results, err)
		}
		if err := elsewhere.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// TestDrillStatementsNeedRules: where a realm does not believe the directory there is
// nothing to try.
func TestDrillStatementsNeedRules(t *testing.T) {
	none := &admin.RealmView{Name: "x"}
	mixed := &admin.RealmView{Name: "x", Registration: &admin.RegistrationView{Ecosystem: "rfc7591", Directory: []string{"uk", "uae"}}}
	for _, row := range []struct {
		realm      *admin.RealmView
		name, says string
	}{
		{none, "uk", "no software registers itself"}, {mixed, "atlantis", "there is no ecosystem"},
		{mixed, "brazil", "does not believe the directory by the rules of brazil"}, {mixed, "uae", "brings no statement"},
	} {
		if _, err := drill.Choose(row.realm, row.name); err == nil || !strings.Contains(err.Error(), row.says) {
			t.Errorf("%s: %v", row.name, err)
		}
	}
	if got := drill.Trusted(mixed); !slices.Equal(got, []string{"uk"}) || drill.Trusted(none) != nil {
		t.Errorf("trusted %v", got)
	}
}

// drilled makes an organisation for a drill, with software.
func drilled(t *testing.T, s *servertest.Server) (organisation, software string) {
	t.Helper()
	o := want(t, s.Operate("POST", "/directory/organisations", `{"OrganisationName":"drill","CountryOfRegistration":"GB","Drill":true}`), 201)
	organisation = o.JSON["OrganisationId"].(string)
	made := want(t, s.Operate("POST", "/directory/organisations/"+organisation+"/softwarestatements", `{"ClientName":"a","RedirectUri":["https://drill.example.com/cb"]}`), 201)
	want(t, s.Operate("POST", "/directory/organisations/"+organisation+"/softwarestatements", `{"ClientName":"b","RedirectUri":["https://drill.example.com/cb"]}`), 201)
	return organisation, made.JSON["SoftwareStatementId"].(string)
}

// TestBadStatements: nobody gets a lie signed of somebody who is real, nor one of his
// own choice.
func TestBadStatements(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.WithDirectory)
	m := s.Member("Alpha", aisp)
	organisation, software := drilled(t, s)
	of := "/organisations/" + organisation + "/softwarestatements/" + software
	const old = "/faults?ecosystem=uk&case=statement-old"
	bad := want(t, s.Operate("POST", "/directory"+of+old, ""), 200)
	if claims := decodeJWT(t, bad.JSON["bad"].(string)); claims["software_id"] != software {
		t.Errorf("a statement of %v", claims["software_id"])
	}
	for name, c := range map[string]struct {
		answer servertest.Answer
		status int
		code   string
	}{
		"a participant, of itself":      {m.Call("POST", m.Statement(old), ""), 404, "not_found"},
		"a participant, of the drill":   {m.Call("POST", of+old, ""), 404, "not_found"},
		"without the operator key":      {s.Do(http.DefaultClient, "POST", s.Admin+"/directory"+of+old, nil, ""), 401, "invalid_token"},
		"the operator, of a real one":   {s.Operate("POST", "/directory"+m.Statement(old), ""), 403, "access_denied"},
		"of software that there is not": {s.Operate("POST", "/directory/organisations/"+organisation+"/softwarestatements/"+m.Software+old, ""), 404, "not_found"},
		"a case that there is not":      {s.Operate("POST", "/directory"+of+"/faults?ecosystem=uk&case=statement-mine", ""), 400, "invalid_request"},
		"no case":                       {s.Operate("POST", "/directory"+of+"/faults?ecosystem=uk", ""), 400, "invalid_request"},
		"an ecosystem without any":      {s.Operate("POST", "/directory"+of+"/faults?ecosystem=uae&case=policy", ""), 400, "invalid_request"},
		"claims of one's own":           {s.Operate("POST", "/directory"+of+old+"&software_id=x", ""), 400, "invalid_request"},
		"by reading":                    {s.Operate("GET", "/directory"+of+old, ""), 405, "method_not_allowed"},

		"one who joins the drill":        {m.Call("PUT", m.Of(""), `{"OrganisationName":"Alpha","CountryOfRegistration":"GB","RegistrationNumber":"12345678000195","RegistrationId":"PSDGB-FCA-765432","Drill":true}`), 403, "access_denied"},
		"one whom the operator has join": {s.Operate("PUT", "/directory"+m.Of(""), `{"OrganisationName":"Alpha","CountryOfRegistration":"GB","Drill":true}`), 403, "access_denied"},
		"one that leaves it":             {s.Operate("PUT", "/directory/organisations/"+organisation, `{"OrganisationName":"HSBC","CountryOfRegistration":"GB"}`), 403, "access_denied"},
	} {
		if c.answer.Status != c.status || c.answer.Error() != c.code {
			t.Errorf("%s: %s, want %d %s", name, c.answer, c.status, c.code)
		}
	}
	if strings.Contains(s.Public("/participants").Body, organisation) {
		t.Error("the public list has an organisation that was made for a drill")
	}
}

// TestBadStatementsSayNothingOfOthers: whatever is wrong with them, what the directory
// signs is of software made for the drill or of none that there is.
func TestBadStatementsSayNothingOfOthers(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.WithDirectory)
	organisation, software := drilled(t, s)
	signed := 0
	for _, name := range registration.Ecosystems() {
		ecosystem, _ := registration.FindEcosystem(name)
		for _, c := range faults.Cases(ecosystem) {
			if ecosystem.Statement.From == registration.FromCertificate {
				continue
			}
			made, err := s.Directory().Faulty(software, name, c.Name)
			if err != nil {
				t.Errorf("%s %s: %v", name, c.Name, err)
				continue
			}
			for _, text := range []string{made.Good, made.Bad} {
				parts := strings.Split(text, ".")
				if len(parts) < 3 {
					continue
				}
				payload, err := base64.RawURLEncoding.DecodeString(parts[1])
				var claims map[string]any
				if err != nil || json.Unmarshal(payload, &claims) != nil {
					t.Errorf("%s %s: %q %v", name, c.Name, text, err)
					continue
				}
				signed++
				id, _ := claims["software_id"].(string)
				if found, known := s.Directory().Software(strings.ToLower(id)); known && found.OrganisationID != organisation {
					t.Errorf("%s %s is of software %s", name, c.Name, id)
				}
				if of := claims["org_id"]; of != nil && of != organisation {
					t.Errorf("%s %s is of organisation %s", name, c.Name, of)
				}
			}
		}
	}
	if signed < 400 {
		t.Errorf("%d statements", signed)
	}
}

// TestNoBadStatementsInProduction: a directory that is not a sandbox's has no way to
// sign a lie, also of what it finds in its store.
func TestNoBadStatementsInProduction(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	sandbox := servertest.StartIn(t, dir, servertest.WithDirectory)
	organisation, software := drilled(t, sandbox)
	of := "/directory/organisations/" + organisation + "/softwarestatements/" + software + "/faults?ecosystem=uk&case=statement-old"
	want(t, sandbox.Operate("POST", of, ""), 200)
	sandbox.Stop()

	s := servertest.StartIn(t, dir, servertest.WithDirectory, func(c *server.Config) { c.Realms["default"].Sandbox = false })
	wantAnswer(t, s.Operate("POST", of, ""), 404, "not_found")
	wantAnswer(t, s.Operate("POST", "/directory/organisations", `{"OrganisationName":"drill","CountryOfRegistration":"GB","Drill":true}`), 403, "access_denied")
	if made, err := s.Directory().Faulty(software, "uk", "statement-old"); err == nil {
		t.Errorf("made %+v", made)
	}
	_, operator := s.DirectoryRoutes()
	for _, route := range operator {
		if strings.Contains(route.Path, "faults") {
			t.Errorf("there is %s", route.Path)
		}
	}
}

// TestDrillsLeaveNothing: what a drill that was killed has left is removed by a later
// one, and nothing else.
func TestDrillsLeaveNothing(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.WithDirectory)
	m := s.Member("Alpha", aisp)
	operator := operatorOf(t, s)
	before := everything(t, s, m)
	organisation, _ := drilled(t, s)
	if err := drill.Outdated(t.Context(), operator, s.Clock.Now().Add(30*time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, there := s.Directory().Organisation(organisation); !there {
		t.Error("removed while its statements are good")
	}
	if err := drill.Outdated(t.Context(), operator, s.Clock.Now().Add(2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if after := everything(t, s, m); after != before {
		t.Errorf("the directory was\n%s\nand is\n%s", before, after)
	}
}
