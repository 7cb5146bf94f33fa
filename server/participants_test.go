package server_test

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fapid/fapid/certs"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server"
	"github.com/fapid/fapid/server/directory"
	"github.com/fapid/fapid/server/enrol"
	"github.com/fapid/fapid/server/participant"
	"github.com/fapid/fapid/server/servertest"
)

// enrolling has a realm for participants of every ecosystem, as a sandbox has.
func enrolling(config *server.Config) {
	servertest.WithDirectory(config)
	config.Realms["default"].Registration = &server.Registration{
		Access: []string{"software_statement"}, Directory: []string{"raidiam", "uk", "brazil", "cdr", "rfc7591"},
	}
	config.Realms["cdr"] = &server.Realm{
		Policy: "fapi2", Trust: server.Trust{SandboxCA: true}, Scopes: []string{"openid", "bank:accounts.basic:read", "cdr:registration"},
		Registration: &server.Registration{Access: []string{"software_statement"}, Directory: []string{"cdr"}},
	}
	config.Realms["uae"] = &server.Realm{
		Policy: "fapi2", Trust: server.Trust{SandboxCA: true}, Scopes: []string{"openid", "accounts"},
		Registration: &server.Registration{Access: []string{"certificate"}, Ecosystem: "uae", Directory: []string{"uae"}},
	}
}

// enrolled is a participant that works from its folder alone.
type enrolled struct {
	*servertest.TPP
	participant.Record
	folder string
}

// order has a participant made, and works from what comes of it.
func order(t *testing.T, s *servertest.Server, body string) *enrolled {
	t.Helper()
	answer := within[participant.Enrolled](t, want(t, operate(t, s, "POST", "/participants", body), 201))
	files, err := answer.Folder()
	if err != nil {
		t.Fatal(err)
	}
	e := &enrolled{Record: answer.Record, folder: filepath.Join(t.TempDir(), answer.Name)}
	if err := certs.WriteDir(e.folder, files); err != nil {
		t.Fatal(err)
	}
	p, err := participant.Load(e.folder)
	if err != nil {
		t.Fatal(err)
	}
	e.TPP = &servertest.TPP{Participant: p, S: s, Realm: answer.Realm}
	e.Connect()
	if e.Provider, err = participant.Discover(context.Background(), e.HTTP, s.Config().Realms[answer.Realm].Issuer); err != nil {
		t.Fatal(err)
	}
	return e
}

func (e *enrolled) read(name string) string {
	e.S.T.Helper()
	text, err := os.ReadFile(filepath.Join(e.folder, name))
	if err != nil {
		e.S.T.Fatal(err)
	}
	return string(text)
}

// variables are those of .env.
func (e *enrolled) variables() map[string]string {
	all := map[string]string{}
	for line := range strings.Lines(e.read(".env")) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			all[name] = strings.Trim(value, "'")
		}
	}
	return all
}

// ways are the ecosystems with the methods that each allows.
func ways() (all [][2]string) {
	for _, name := range registration.Ecosystems() {
		rules, _ := registration.FindEcosystem(name)
		for _, method := range []string{"private_key_jwt", "tls_client_auth"} {
			if len(rules.AuthMethods) == 0 || slices.Contains(rules.AuthMethods, method) {
				all = append(all, [2]string{name, method})
			}
		}
	}
	return all
}

// A participant of every ecosystem, with each method that it allows, has registered
// itself by the rules of the ecosystem, works, and is gone without a trace when it is
// deleted.
func TestParticipants(t *testing.T) {
	s := servertest.Start(t, enrolling)
	if all := ways(); len(all) != 10 {
		t.Fatalf("ways %v", all)
	}
	for _, way := range ways() {
		ecosystem, method := way[0], way[1]
		t.Run(ecosystem+" "+method, func(t *testing.T) {
			name := ecosystem + "-" + strings.ReplaceAll(method, "_", "-")
			e := order(t, s, fmt.Sprintf(`{"name":%q,"ecosystem":%q,"auth":%q}`, name, ecosystem, method))
			m := e.Metadata
			if m.Ecosystem != ecosystem || m.TokenEndpointAuthMethod != method || m.SoftwareStatementIssuer != "directory" || m.SoftwareID != e.SoftwareID ||
				m.ClientName != name || !m.CertificateBoundTokens || m.RegisteredBy == "" || m.JWKSURI == "" {
				t.Errorf("registered as %+v", m)
			}
			token := e.Token()
			if cnf, _ := decodeJWT(t, token)["cnf"].(map[string]any); cnf["x5t#S256"] == nil {
				t.Errorf("the token is not bound")
			}
			variables := e.variables()
			bearer := http.Header{"Authorization": {"Bearer " + token}}
			if bank := s.Do(e.HTTP, "GET", variables["BANK"], bearer, ""); bank.Status != 200 {
				t.Errorf("the bank: %s", bank)
			}
			checkManagement(t, e, bearer)
			if got, want := e.read("ca.pem"), string(certs.CertificatePEM(s.CA().Root())); got != want {
				t.Error("ca.pem is another CA's")
			}
			if !strings.Contains(e.read("jwks.json"), `"kid":"`+e.KeyID+`"`) || variables["KEY_ID"] != e.KeyID {
				t.Errorf("key %s is not in jwks.json or .env", e.KeyID)
			}

			want(t, operate(t, s, "DELETE", "/participants/"+name, ""), 204)
			gone(t, s, e)
			if bank := s.Do(e.HTTP, "GET", variables["BANK"], bearer, ""); bank.Status != 401 {
				t.Errorf("the bank, when the participant is deleted: %s", bank)
			}
		})
	}
}

// checkManagement reads the registration with what the ecosystem has for that.
func checkManagement(t *testing.T, e *enrolled, bearer http.Header) {
	t.Helper()
	variables := e.variables()
	rules, _ := registration.FindEcosystem(e.Ecosystem)
	switch rules.Management.With {
	case registration.RegistrationToken:
		bearer = http.Header{"Authorization": {"Bearer " + variables["REGISTRATION_ACCESS_TOKEN"]}}
	case registration.NoManagement:
		if variables["REGISTRATION_CLIENT_URI"] != "" {
			t.Errorf("%s has no management, and .env %v", e.Ecosystem, variables)
		}
		return
	}
	if own := e.S.Do(e.HTTP, "GET", variables["REGISTRATION_CLIENT_URI"], bearer, ""); own.Status != 200 || own.JSON["client_id"] != e.Record.ClientID {
		t.Errorf("the registration: %s", own)
	}
}

// gone looks for what is left of a participant.
func gone(t *testing.T, s *servertest.Server, e *enrolled) {
	t.Helper()
	if _, there := s.Directory().Organisation(e.OrganisationID); there {
		t.Error("the organisation is still there")
	}
	for realm := range s.Config().Realms {
		for _, id := range []string{e.Record.ClientID, e.SoftwareID} {
			if _, there := s.Clients(realm).Get(id); there {
				t.Errorf("client %s is still in realm %s", id, realm)
			}
		}
	}
	for _, certificate := range []string{"transport.pem", "signing.pem"} {
		leaf, err := certs.ParseCertificate([]byte(e.read(certificate)))
		if err != nil {
			t.Fatal(err)
		}
		if _, revoked := s.CA().Revoked(leaf, s.CA().Issuing()); !revoked {
			t.Errorf("%s is not revoked", certificate)
		}
	}
	want(t, operate(t, s, "GET", "/participants/"+e.Name, ""), 404)
}

// traces of what there is, that a failure may not change.
func population(t *testing.T, s *servertest.Server) string {
	t.Helper()
	var clients []string
	for realm := range s.Config().Realms {
		for _, client := range s.Clients(realm).List("", 1000) {
			clients = append(clients, realm+"/"+client.ID)
		}
	}
	slices.Sort(clients)
	organisations := want(t, operate(t, s, "GET", "/directory/organisations", ""), 200)
	valid := want(t, operate(t, s, "GET", "/certificates?status=valid", ""), 200)
	return fmt.Sprint(clients, organisations.JSON["content"], len(valid.JSON["certificates"].([]any)), want(t, operate(t, s, "GET", "/participants", ""), 200).Body)
}

// What cannot be had is refused with what can, and leaves nothing: neither what is
// refused before anything is made, nor what the door refuses when all is made.
func TestParticipantRefused(t *testing.T) {
	s := servertest.Start(t, enrolling)
	order(t, s, `{"name":"taken"}`)
	before := population(t, s)
	for _, c := range []struct {
		body   string
		status int
		want   string
	}{
		{`{"name":"x","ecosystem":"atlantis"}`, 400, "ecosystem is 'atlantis'; there are raidiam, uk, brazil, cdr, uae, rfc7591"},
		{`{"name":"x","ecosystem":"cdr","auth":"tls_client_auth"}`, 400, "auth is 'tls_client_auth'; participants of cdr have private_key_jwt"},
		{`{"name":"x","ecosystem":"uae","auth":"tls_client_auth"}`, 400, "participants of uae have private_key_jwt"},
		{`{"name":"x","ecosystem":"rfc7591","auth":"client_secret_basic"}`, 400, "participants of rfc7591 have private_key_jwt or tls_client_auth"},
		{`{"name":"x","ecosystem":"brazil","alg":"ES256"}`, 400, "alg is 'ES256'; participants of brazil have PS256"},
		{`{"name":"x","alg":"none"}`, 400, "alg is 'none'; participants of raidiam have PS256 or ES256"},
		{`{"name":"x","realm":"atlantis"}`, 404, "no realm 'atlantis'; there are default, cdr, strict, uae"},
		{`{"name":"x","realm":"strict"}`, 400, "software of raidiam cannot register itself in realm strict, but in default"},
		{`{"name":"x","ecosystem":"uk","realm":"uae"}`, 400, "software of uk cannot register itself in realm uae, but in default"},
		{`{"name":"x","roles":["KING"]}`, 400, "roles has 'KING', which no authority gives"},
		{`{"name":"x","roles":["AISP","AISP"]}`, 400, "roles has AISP twice"},
		{`{"name":"x","scope":"a  b"}`, 400, "scope"},
		{`{"name":"taken"}`, 409, "there is a participant taken, of raidiam in realm default; delete it first"},
		{`{"name":"taken","ecosystem":"uk"}`, 409, "there is a participant taken"},
		{`{"name":"x","members":1}`, 400, "members"},
		{`{"name":"x","name":"y"}`, 400, "name"},
		{`{}`, 400, "name is ''"},
		{`[]`, 400, ""},
		{``, 400, ""},
		{"name: x\nalg: none\n", 400, ""},
		// From here on, the door refuses.
		{`{"name":"x","scope":"admin"}`, 400, "realm default does not register the participant: scope 'admin' is not for this software, which may have openid, accounts, payments, cdr:registration (trace "},
		{`{"name":"x","ecosystem":"brazil","scope":"openid payments"}`, 400, "realm default does not register the participant: scope 'payments' is not for this software"},
		{`{"name":"x","ecosystem":"brazil","roles":["AISP"]}`, 400, "the software has no active role in Open Finance Brasil"},
		{`{"name":"x","ecosystem":"brazil","roles":[]}`, 400, "the software has no active role in Open Finance Brasil"},
		{`{"name":"x","ecosystem":"uk","roles":["DADOS"]}`, 400, "AISP of the domain PSD2"},
	} {
		answer := operate(t, s, "POST", "/participants", c.body)
		if description, _ := answer.JSON["error_description"].(string); answer.Status != c.status || !strings.Contains(description, c.want) {
			t.Errorf("%s: %s, want %d %s", c.body, answer, c.status, c.want)
		}
	}
	if after := population(t, s); after != before {
		t.Errorf("before: %s\nafter: %s", before, after)
	}
}

// Names are labels: nothing of them can leave a folder, or a line.
func TestParticipantNames(t *testing.T) {
	s := servertest.Start(t, enrolling)
	before := population(t, s)
	for _, name := range []string{
		"", ".", "..", "../x", "a/b", `a\b`, "/etc", "a..b", "A", "é", "a b", "-a", "a-", "a\x00b", "a\nb", "a\r\nSet-Cookie: x", "\x1b[31m", "\u202ea", "a'b", `a"b`, "$(id)", "a;b", "%2e%2e", "con.txt",
		strings.Repeat("a", 64), strings.Repeat("a", 300), strings.Repeat("a", 60000),
	} {
		answer := operate(t, s, "POST", "/participants", encode(t, map[string]any{"name": name}))
		if description, _ := answer.JSON["error_description"].(string); answer.Status != 400 || !strings.HasPrefix(description, "name is ") {
			t.Errorf("%.80q: %s", name, answer)
		}
		for _, method := range []string{"GET", "DELETE"} {
			if answer := operate(t, s, method, "/participants/"+url.PathEscape(name), ""); answer.Status < 400 && answer.Body != `{"participants":[]}` && !strings.Contains(answer.Body, `"participants": []`) {
				t.Errorf("%s %.80q: %s", method, name, answer)
			}
		}
	}
	if after := population(t, s); after != before {
		t.Errorf("before: %s\nafter: %s", before, after)
	}
	for _, name := range []string{"a", "0", strings.Repeat("a", 63)} {
		order(t, s, encode(t, map[string]any{"name": name, "alg": "ES256"}))
	}
}

// A participant does not look like the client that its own software has at the
// directory: the operator is warned of others.
func TestParticipantLooksLikeNobody(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, enrolling)
	e := order(t, s, `{"name":"acme"}`)
	list := want(t, s.Do(http.DefaultClient, "GET", s.Admin+"/realms/default/clients?limit=200", nil, ""), 200)
	if !strings.Contains(list.Body, e.ClientID) || list.JSON["warnings"] != nil {
		t.Errorf("the operator is told %v", list.JSON["warnings"])
	}
}

// Nothing is made or deleted without the operator key, or for a web page.
func TestParticipantsNeedTheKey(t *testing.T) {
	s := servertest.Start(t, enrolling)
	order(t, s, `{"name":"there"}`)
	before := population(t, s)
	for _, header := range []http.Header{
		{}, {"Authorization": {"Bearer x"}}, {"Authorization": {"Basic " + readFile(t, s.Dir, "operator.key")}},
	} {
		header.Set("Content-Type", "application/json")
		wantAnswer(t, s.Do(http.DefaultClient, "POST", s.Admin+"/participants", header, `{"name":"x"}`), 401, "invalid_token")
		wantAnswer(t, s.Do(http.DefaultClient, "DELETE", s.Admin+"/participants/there", header, ""), 401, "invalid_token")
	}
	wantAnswer(t, operate(t, s, "POST", "/participants", `{"name":"x"}`, "Origin", "https://evil.example"), 403, "access_denied")
	for _, base := range []string{s.Issuer, s.MTLS, s.Registry} {
		if answer := s.Do(s.Registrant(base).HTTP, "GET", base+"/participants/there", nil, ""); answer.Status != 404 {
			t.Errorf("%s: %s", base, answer)
		}
	}
	if after := population(t, s); after != before {
		t.Errorf("before: %s\nafter: %s", before, after)
	}
}

// A server that lacks what it takes says what that is.
func TestParticipantNowhere(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*server.Config)
		body   string
		status int
		want   string
	}{
		"no directory":                       {servertest.Registering(), `{"name":"x"}`, 404, "this server has no directory of participants: its configuration lacks listeners.directory"},
		"no registration":                    {servertest.WithDirectory, `{"name":"x"}`, 400, "software of raidiam cannot register itself in any realm here: registration.directory of one has to list it"},
		"no registration without statements": {servertest.WithDirectory, `{"name":"x","ecosystem":"uae"}`, 400, "registration.directory of one has to list it, and registration.ecosystem to name it"},
		"no way in": {func(config *server.Config) {
			servertest.WithDirectory(config)
			config.Realms["default"].Registration = &server.Registration{Access: []string{"initial_access_token"}}
		}, `{"name":"x"}`, 400, "realm default does not register the participant: registration needs an initial access token"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := servertest.Start(t, c.change)
			answer := operate(t, s, "POST", "/participants", c.body)
			if description, _ := answer.JSON["error_description"].(string); answer.Status != c.status || !strings.Contains(description, c.want) {
				t.Errorf("%s, want %d %s", answer, c.status, c.want)
			}
			if list := want(t, operate(t, s, "GET", "/participants", ""), 200); !strings.Contains(list.Body, `"participants": []`) {
				t.Errorf("there is %s", list)
			}
			want(t, operate(t, s, "DELETE", "/participants/x", ""), 404)
		})
	}
}

// The door that a participant comes in by is that of the mTLS listener, with all its
// checks: the trace of a refusal says so.
func TestParticipantThroughTheDoor(t *testing.T) {
	s := servertest.Start(t, enrolling)
	refused := operate(t, s, "POST", "/participants", `{"name":"x","ecosystem":"uk","scope":"admin"}`)
	_, trace, _ := strings.Cut(refused.JSON["error_description"].(string), "(trace ")
	event := s.Explain(servertest.Answer{Header: http.Header{"X-Fapid-Trace": {strings.TrimSuffix(trace, ")")}}})
	passed := map[string]bool{}
	for _, check := range event.Checks {
		passed[check.Name] = check.OK
	}
	for _, check := range []string{"registration", "certificate chain", "software statement iss", "certificate holder", "registration request aud"} {
		if !passed[check] {
			t.Errorf("no check %s: %v", check, event.Checks)
		}
	}
	if event.Listener != "mtls" || event.Path != "/reg" || event.Error != "invalid_client_metadata" {
		t.Errorf("%+v", event)
	}
}

// Roles and scopes are the participant's; without a scope for the bank there is no
// line that calls it.
func TestParticipantRoles(t *testing.T) {
	s := servertest.Start(t, enrolling)
	payer := order(t, s, `{"name":"payer","ecosystem":"uk","roles":["PISP"],"alg":"PS256"}`)
	if payer.Scope != "openid payments" || payer.variables()["BANK"] != "" || strings.Contains(payer.read("curl.sh"), "the bank") || strings.Contains(payer.read("postman_collection.json"), "BANK") {
		t.Errorf("scope %s, %v", payer.Scope, payer.variables())
	}
	both := order(t, s, `{"name":"both","ecosystem":"uk","roles":["AISP","PISP"],"scope":"accounts"}`)
	if both.Scope != "accounts" || both.variables()["BANK"] == "" {
		t.Errorf("scope %s, %v", both.Scope, both.variables())
	}
	// The realm that was named, although it lacks the scopes.
	poor := order(t, s, `{"name":"poor","ecosystem":"cdr","realm":"default"}`)
	if poor.Record.Realm != "default" || poor.Scope != "openid cdr:registration" || poor.variables()["BANK"] != "" {
		t.Errorf("realm %s, scope %s, %v", poor.Record.Realm, poor.Scope, poor.variables())
	}
	curve := order(t, s, `{"name":"curve","ecosystem":"cdr","alg":"ES256"}`)
	curve.Token()
	if curve.Metadata.TokenEndpointAuthSigningAlg != "ES256" || curve.Record.Realm != "cdr" {
		t.Errorf("%+v", curve.Metadata)
	}
}

// Of any number of equal orders one is carried out.
func TestParticipantOnce(t *testing.T) {
	s := servertest.Start(t, enrolling)
	statuses := make([]int, 6)
	var orders sync.WaitGroup
	for i := range statuses {
		orders.Go(func() {
			statuses[i] = operate(t, s, "POST", "/participants", `{"name":"acme","alg":"ES256"}`).Status
		})
	}
	orders.Wait()
	slices.Sort(statuses)
	if !slices.Equal(statuses, []int{201, 409, 409, 409, 409, 409}) {
		t.Errorf("answered %v", statuses)
	}
	organisations := want(t, operate(t, s, "GET", "/directory/organisations", ""), 200)
	if n := strings.Count(organisations.Body, `"OrganisationName":"acme"`); n != 1 {
		t.Errorf("%d organisations", n)
	}
}

// Whoever asks and goes away leaves a whole participant, or nothing.
func TestParticipantGoneAway(t *testing.T) {
	s := servertest.Start(t, enrolling)
	before := population(t, s)
	for wait := 5 * time.Millisecond; wait < 1500*time.Millisecond; wait = wait * 8 / 5 {
		impatient := &http.Client{Timeout: wait}
		request, err := http.NewRequestWithContext(t.Context(), "POST", s.Admin+"/participants", strings.NewReader(`{"name":"acme","alg":"ES256"}`))
		if err != nil {
			t.Fatal(err)
		}
		request.Header = http.Header{"Authorization": {"Bearer " + readFile(t, s.Dir, "operator.key")}, "Content-Type": {"application/json"}}
		if answer, err := impatient.Do(request); err == nil {
			_ = answer.Body.Close()
		}
		// Either it comes to be, and can be deleted, or it does not. The server may see the
		// order after the first attempt to delete it.
		for deadline := time.Now().Add(servertest.Patience); ; time.Sleep(10 * time.Millisecond) {
			deleted := operate(t, s, "DELETE", "/participants/acme", "")
			if deleted.Status != 204 && deleted.Status != 404 && deleted.Status != 409 {
				t.Fatalf("after %v: %s", wait, deleted)
			}
			after := population(t, s)
			if after == before {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("after %v, before: %s\nafter: %s", wait, before, after)
			}
		}
	}
}

// What a server that was killed has left of a participant is listed as that, goes when
// the participant is made again or deleted, and stands in nobody's way.
func TestParticipantUnfinished(t *testing.T) {
	s := servertest.Start(t, enrolling)
	before := population(t, s)
	first := order(t, s, `{"name":"acme","alg":"ES256"}`)
	for _, killed := range []func(){
		func() {}, // at the very end
		func() { want(t, operate(t, s, "DELETE", "/directory/organisations/"+first.OrganisationID, ""), 204) }, // at the very beginning
		func() { // when the software was registered as a client, and was not there yet
			client, _ := s.Clients("default").Get(first.SoftwareID)
			want(t, operate(t, s, "DELETE", "/directory/organisations/"+first.OrganisationID, ""), 204)
			if _, _, err := s.Clients("default").Put(t.Context(), client.Metadata); err != nil {
				t.Fatal(err)
			}
		},
	} {
		killed()
		if err := server.Unfinish(t.Context(), s.Server, "acme"); err != nil {
			t.Fatal(err)
		}
		if shown := want(t, operate(t, s, "GET", "/participants/acme", ""), 200); shown.JSON["client_id"] != nil {
			t.Errorf("shown as %s", shown)
		}
		again := order(t, s, `{"name":"acme","alg":"ES256"}`)
		again.Token()
		for _, id := range []string{first.Record.ClientID, first.SoftwareID} {
			if _, there := s.Clients("default").Get(id); there {
				t.Errorf("client %s is still there", id)
			}
		}
		if _, there := s.Directory().Organisation(first.OrganisationID); there {
			t.Error("the organisation is still there")
		}
		first = again
	}
	if err := server.Unfinish(t.Context(), s.Server, "acme"); err != nil {
		t.Fatal(err)
	}
	want(t, operate(t, s, "DELETE", "/participants/acme", ""), 204)
	if after := population(t, s); after != before {
		t.Errorf("before: %s\nafter: %s", before, after)
	}
}

// Whoever makes software and goes away, whenever that is, leaves no client of it.
func TestDirectoryGoneAway(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.WithDirectory)
	m := s.Member("Alpha", aisp)
	before := countClients(s)
	var err error
	for patience := 0; patience == 0 || err != nil; patience++ {
		if there := countClients(s); there != before {
			t.Fatalf("who went away after %d steps left %d clients", patience-1, there-before)
		}
		_, err = s.Directory().CreateSoftware(servertest.Leaving(t.Context(), patience), directory.SoftwareStatement{OrganisationID: m.Organisation, ClientName: "x"}, 0)
	}
	if there := countClients(s); there != before+1 {
		t.Errorf("%d clients for one that stayed", there-before)
	}
}

// The zip is the folder, with its modes.
func TestParticipantZip(t *testing.T) {
	s := servertest.Start(t, enrolling)
	folder := order(t, s, `{"name":"acme"}`)
	answer := operate(t, s, "POST", "/participants", "name: zipped\n", "Content-Type", "application/yaml", "Accept", "application/zip")
	if answer.Status != 201 || answer.Header.Get("Content-Type") != "application/zip" || answer.Header.Get("Location") != "/participants/zipped" || answer.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %v", answer.Status, answer.Header)
	}
	archive, err := zip.NewReader(bytes.NewReader([]byte(answer.Body)), int64(len(answer.Body)))
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, file := range archive.File {
		name, below := strings.CutPrefix(file.Name, "zipped/")
		state, err := os.Stat(filepath.Join(folder.folder, name))
		if err != nil || !below || state.Mode().Perm() != file.Mode().Perm() {
			t.Errorf("%s %v in the zip, in the folder %v, %v", file.Name, file.Mode(), state, err)
		}
		names[name] = true
		reader, err := file.Open()
		if err != nil {
			t.Fatal(err)
		}
		if content, err := io.ReadAll(reader); err != nil || len(content) == 0 {
			t.Errorf("%s: %v", file.Name, err)
		}
	}
	entries, err := os.ReadDir(folder.folder)
	if err != nil || len(entries) != len(names) {
		t.Errorf("%d files in the folder, %d in the zip", len(entries), len(names))
	}
	for _, secret := range []string{".env", "transport.key", "transport.p12", "signing.key", "signing.jwk", "client.json", "registration.json", "postman_environment.json"} {
		if state, err := os.Stat(filepath.Join(folder.folder, secret)); err != nil || state.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", secret, state, err)
		}
	}
}

// The server keeps no private key and no registration access token, and tells none; and
// none is in Postman's collection, which goes from hand to hand.
func TestParticipantSecrets(t *testing.T) {
	s := servertest.Start(t, enrolling)
	e := order(t, s, `{"name":"acme"}`)
	e.Token()
	secrets := []string{e.variables()["REGISTRATION_ACCESS_TOKEN"]}
	for _, key := range []string{"transport.key", "signing.key"} {
		secrets = append(secrets, strings.Split(e.read(key), "\n")[3])
	}
	told := e.read("postman_collection.json") + operate(t, s, "GET", "/participants/acme", "").Body + operate(t, s, "GET", "/traces", "").Body + s.Log.String()
	kept := readFile(t, s.Dir, "fapid.db")
	for _, secret := range secrets {
		if len(secret) < 30 || strings.Contains(told, secret) || strings.Contains(kept, secret) {
			t.Errorf("%.6s... is kept, or told", secret)
		}
	}
}

// Every route is described, what is described is routed, and what is answered is as
// described.
func TestParticipantsAreDescribed(t *testing.T) {
	s := servertest.Start(t, enrolling)
	d := readDescription(t, func(name string) servertest.Answer {
		return s.Do(http.DefaultClient, http.MethodGet, s.Admin+"/"+name, nil, "")
	})
	d.wellFormed()
	described := []string{}
	for operation := range d.operations() {
		if strings.Contains(operation, " /participants") {
			described = append(described, operation)
		}
	}
	routed := []string{}
	for _, route := range new(enrol.Desk).Routes() {
		routed = append(routed, route.Method+" "+route.Path)
	}
	slices.Sort(described)
	slices.Sort(routed)
	if !slices.Equal(described, routed) {
		t.Errorf("%v are described, %v are routed", described, routed)
	}
	for _, call := range []struct{ method, path, body, accept string }{
		{"GET", "/participants", "", "application/json"},
		{"POST", "/participants", `{"name":"acme"}`, "application/json"},
		{"POST", "/participants", `{"name":"acme"}`, "application/json"},
		{"POST", "/participants", `{"name":"zipped","alg":"ES256"}`, "application/zip"},
		{"POST", "/participants", `{"x":1}`, "application/json"},
		{"GET", "/participants", "", "application/json"},
		{"GET", "/participants", "", "application/yaml"},
		{"GET", "/participants/{name}", "", "application/json"},
		{"GET", "/participants/{name}", "", "application/yaml"},
		{"DELETE", "/participants/{name}", "", "application/json"},
		{"DELETE", "/participants/{name}", "", "application/json"},
		{"GET", "/participants/{name}", "", "application/json"},
	} {
		d.conforms(call.method, call.path, operate(t, s, call.method, strings.Replace(call.path, "{name}", "acme", 1), call.body, "Accept", call.accept))
	}
}
