package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server"
	"github.com/fapid/fapid/server/directory"
	"github.com/fapid/fapid/server/servertest"
	"github.com/fapid/fapid/testkeys"
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
	changed := strings.Replace(own.Body, `"City":"London"`, `"City":"Leeds"`, 1)
	answer := want(t, m.Call("PUT", m.Of(""), changed, http.Header{"If-Match": own.Header["Etag"]}), 200)
	if answer.JSON["City"] != "Leeds" || answer.JSON["CreatedOn"] != own.JSON["CreatedOn"] {
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

// Certificates and keys: issued for a request's key and no more of it, published
// by use, moved when they end.
func TestDirectoryCertificates(t *testing.T) {
	s := servertest.Start(t, servertest.WithDirectory)
	m := s.Member("Alpha", aisp)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	csr := string(servertest.CSR(t, key))
	kids := map[string]string{}
	for typeName, subject := range map[string]string{
		"rtstransport": "CN=" + m.Software + ",OU=" + m.Organisation + ",O=Alpha,C=GB",
		"rtssigning":   "CN=" + m.Software + ",OU=" + m.Organisation + ",O=Alpha,C=GB",
	} {
		answer := want(t, m.Call("POST", m.Statement("/certificates/"+typeName), csr, http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}), 201)
		kids[typeName] = answer.JSON["kid"].(string)
		if answer.JSON["x5dn"] != subject || answer.JSON["keyType"] != typeName || answer.JSON["Status"] != "Active" || answer.JSON["kid"] != answer.JSON["x5t#S256"] {
			t.Errorf("%s: %s", typeName, answer)
		}
	}
	chain := want(t, m.Call("POST", m.Statement("/certificates/rtstransport"), csr, http.Header{"Accept": {"application/x-pem-file"}}), 201)
	certificates := pemCertificates(t, chain.Body)
	if len(certificates) != 2 || slices.Contains(certificates[0].DNSNames, "bank.example") || certificates[0].DNSNames[0] != m.Software+".example.com" {
		t.Errorf("certificate for %v in a chain of %d", certificates[0].DNSNames, len(certificates))
	}
	jwk := `{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","kid":"my-%s"}`
	want(t, m.Call("POST", m.Statement("/certificates/sigkey"), fmt.Sprintf(jwk, "sig")), 201)
	want(t, m.Call("POST", m.Statement("/certificates/enckey"), fmt.Sprintf(jwk, "enc")), 201)
	want(t, m.Call("POST", m.Statement("/certificates/sigkey"), fmt.Sprintf(jwk, "sig")), 409) // a kid is one key's for ever
	published := strings.TrimSuffix(strings.TrimPrefix(s.Public("/"+m.Organisation+"/"+m.Software+"/transport.jwks").Body, `{"keys":[`), "]}")
	published = strings.Replace(published[:strings.Index(published, "}")+1], `"use":"tls",`, "", 1)
	for name, c := range map[string]struct{ typeName, body string }{
		"a certificate with a key": {"sigkey", strings.Replace(published, `"my-sig"`, `"x"`, 1)},
		"a key for a certificate":  {"rtstransport", fmt.Sprintf(jwk, "x")}, "a request for a key": {"sigkey", csr},
		"nothing": {"rtstransport", " "}, "a private key": {"sigkey", strings.Replace(fmt.Sprintf(jwk, "x"), `"kid"`, `"d":"AA","kid"`, 1)},
		"a kid that is a path": {"sigkey", fmt.Sprintf(jwk, "../x")}, "the wrong use": {"enckey", strings.Replace(fmt.Sprintf(jwk, "x"), `"kid"`, `"use":"sig","kid"`, 1)},
		"an EC request for BRCAC": {"brcac", csr},
	} {
		if answer := m.Call("POST", m.Statement("/certificates/"+c.typeName), c.body); answer.Status != 400 {
			t.Errorf("%s: %s, want 400", name, answer)
		}
	}
	want(t, m.Call("POST", m.Statement("/certificates/qwac"), csr), 404) // of organisations

	// The sets: transport keys are in one, the others in the other.
	sets := func(inactive string) (application, transport []string) {
		return kidsOf(t, s, "/"+m.Organisation+"/"+m.Software+inactive+"/application.jwks"), kidsOf(t, s, "/"+m.Organisation+"/"+m.Software+inactive+"/transport.jwks")
	}
	application, transport := sets("")
	if !slices.Equal(application, sorted(kids["rtssigning"], "my-sig", "my-enc")) || len(transport) != 3 || !slices.Contains(transport, kids["rtstransport"]) {
		t.Errorf("application.jwks has %v, transport.jwks %v", application, transport)
	}
	// Ended keys are moved, once and for all, and their certificates revoked.
	want(t, m.Call("DELETE", m.Statement("/certificates/sigkey/my-sig"), ""), 204)
	revoked := want(t, m.Call("PUT", m.Statement("/certificates/rtstransport/"+kids["rtstransport"]), `{"RevokeReason":"superseded"}`), 200)
	if revoked.JSON["Status"] != "Revoked" || !s.CA().RevokedThumbprint(kids["rtstransport"]) {
		t.Errorf("revoked: %s", revoked)
	}
	want(t, m.Call("PUT", m.Statement("/certificates/rtssigning/"+kids["rtssigning"]), `{"Status":"Active"}`), 400)
	// By the CA's operator it is the same.
	serial := fmt.Sprintf("%040x", pemCertificates(t, want(t, s.Public("/"+m.Organisation+"/"+m.Software+"/"+kids["rtssigning"]+".pem"), 200).Body)[0].SerialNumber)
	want(t, s.Operate("POST", "/certificates/"+serial+"/revoke", ""), 200)
	application, transport = sets("")
	ended, endedTransport := sets("/inactive")
	if !slices.Equal(application, []string{"my-enc"}) || len(transport) != 2 ||
		!slices.Equal(ended, sorted(kids["rtssigning"], "my-sig")) || !slices.Equal(endedTransport, []string{kids["rtstransport"]}) {
		t.Errorf("active %v and %v, inactive %v and %v", application, transport, ended, endedTransport)
	}
	if views := within[[]map[string]any](t, want(t, m.Call("GET", m.Statement("/certificates"), ""), 200)); len(views) != 6 {
		t.Errorf("%d certificates and keys, want 6", len(views))
	}
	// A certificate that ends is Expired.
	s.Clock.Move(366 * 24 * time.Hour)
	if _, transport = sets(""); len(transport) != 0 {
		t.Errorf("after a year, transport.jwks has %v", transport)
	}
}

// Every type of certificate has the subject of its ecosystem.
func TestDirectoryCertificateTypes(t *testing.T) {
	s := servertest.Start(t, servertest.WithDirectory)
	m := s.Member("Alpha", aisp)
	csr := string(rsaCSR(t))
	for path, want := range map[string]string{
		m.Statement("/certificates/brcac"): "CN=" + m.Software + ".example.com,UID=" + m.Software,
		m.Of("/certificates/rtswac"):       "CN=" + m.Organisation + ",O=Alpha,C=GB",
		m.Of("/certificates/rtsseal"):      "CN=" + m.Organisation + ",O=Alpha,C=GB",
		m.Of("/certificates/qwac"):         "CN=Alpha,2.5.4.97=#0c1050534447422d4643412d373635343332,O=Alpha,C=GB",
		m.Of("/certificates/qseal"):        "CN=Alpha,2.5.4.97=#0c1050534447422d4643412d373635343332,O=Alpha,C=GB",
		m.Of("/certificates/brseal"):       "CN=Alpha,OU=e-CNPJ A1,OU=12345678000195,OU=fapid sandbox,O=ICP-Brasil,C=BR,UID=" + m.Organisation,
	} {
		answer := m.Call("POST", path, csr)
		if dn, _ := answer.JSON["x5dn"].(string); answer.Status != 201 || !strings.HasPrefix(dn, want) {
			t.Errorf("%s: %s\nwant %s", path, answer, want)
		}
	}
	// Of an organisation that says less of itself there are fewer.
	want(t, s.Operate("PUT", "/directory"+m.Of(""), `{"OrganisationName":"Alpha","CountryOfRegistration":"GB"}`), 200)
	for _, path := range []string{m.Statement("/certificates/brcac"), m.Of("/certificates/qwac"), m.Of("/certificates/brseal")} {
		answer := want(t, m.Call("POST", path, csr), 400)
		if description, _ := answer.JSON["error_description"].(string); !strings.Contains(description, "has no Registration") {
			t.Errorf("%s of a bare organisation: %s", path, answer)
		}
	}
}

// A BRCAC authenticates the same client as an rtstransport certificate.
func TestDirectoryBRCAC(t *testing.T) {
	s := servertest.Start(t, servertest.WithDirectory)
	m := s.Member("Alpha", aisp)
	chain := want(t, m.Call("POST", m.Statement("/certificates/brcac"), string(rsaCSR(t)), http.Header{"Accept": {"application/x-pem-file"}}), 201)
	m.Transport, m.TransportKey = pemCertificates(t, chain.Body), testkeys.RSA(3)
	m.Connect()
	want(t, m.Call("GET", m.Of(""), ""), 200)
}

// Suspended, withdrawn, revoked: no tokens, and those there are are dead, at once.
func TestDirectoryStanding(t *testing.T) {
	s := servertest.Start(t, servertest.WithDirectory)
	m := s.Member("Alpha", aisp)
	b := s.Member("Beta", aisp)
	// A client that was registered with a statement of Alpha's software, in another
	// realm, and one that only says it is that software.
	vouched := s.TPPIn("strict", "vouched", func(r *registration.Metadata) {
		r.SoftwareID, r.SoftwareStatementIssuer = m.Software, registration.DirectoryIssuer
	})
	claims := s.TPP("claims", func(r *registration.Metadata) { r.SoftwareID = m.Software })

	if _, err := s.APIs("default").Put(t.Context(), registration.API{
		ID: s.Registry, Scopes: []string{directory.Scope}, Client: "claims", Clients: map[string]registration.Access{registration.AnyClient: {}},
	}); err != nil {
		t.Fatal(err)
	}
	introspected := func(token string) any {
		return claims.Post("introspection_endpoint", url.Values{"token": {token}}).JSON["active"]
	}
	for name, c := range map[string]struct{ path, status string }{
		"organisation suspended": {m.Of(""), "Suspended"}, "organisation withdrawn": {m.Of(""), "Withdrawn"}, "organisation pending": {m.Of(""), "Pending"},
		"software suspended": {m.Statement(""), "Suspended"}, "software inactive": {m.Statement(""), "Inactive"},
	} {
		token, ofVouched, ofClaims := m.DirectoryToken(), vouched.Token(), claims.Token()
		if introspected(token) != true {
			t.Errorf("%s: the API is told that a good token is not active", name)
		}
		bearer := http.Header{"Authorization": {"Bearer " + token}}
		want(t, s.SetStatus(c.path, c.status), 200)
		for _, refused := range []*servertest.TPP{m.TPP, vouched} {
			answer := refused.Post("token_endpoint", url.Values{"grant_type": {"client_credentials"}})
			if answer.Status != 401 || answer.Error() != "invalid_client" {
				t.Errorf("%s: %s got %s", name, refused.Metadata.ClientID, answer)
			}
			event := s.Explain(answer)
			if check, _ := event.Failed(); check.Name != "client standing" || !strings.Contains(check.Presented, c.status) {
				t.Errorf("%s: the trace says %+v", name, check)
			}
		}
		if answer := s.Do(m.HTTP, "GET", s.Registry+m.Of(""), bearer, ""); answer.Status != 401 || answer.Error() != "invalid_token" {
			t.Errorf("%s: the directory answered %s", name, answer)
		}
		if introspected(token) != false {
			t.Errorf("%s: the API is told that the token is active", name)
		}
		if answer := vouchedBank(s, vouched, ofVouched); answer.Status != 401 {
			t.Errorf("%s: the bank answered %s", name, answer)
		}
		if answer := claims.Post("introspection_endpoint", url.Values{"token": {ofClaims}}); answer.JSON["active"] != true {
			t.Errorf("%s: a client that is not the software's is %s", name, answer)
		}
		want(t, b.Call("GET", b.Of(""), ""), 200) // nobody else
		want(t, s.SetStatus(c.path, "Active"), 200)
		want(t, s.Do(m.HTTP, "GET", s.Registry+m.Of(""), bearer, ""), 200)
		if answer := vouched.Post("introspection_endpoint", url.Values{"token": {ofVouched}}); answer.JSON["active"] != true {
			t.Errorf("%s: after it is Active again, %s", name, answer)
		}
	}

	// A revoked certificate takes its tokens with it.
	token := m.DirectoryToken()
	want(t, m.Call("DELETE", m.Statement("/certificates/rtstransport/"+mtls.Thumbprint(m.Transport[0])), ""), 204)
	if answer := s.Do(m.HTTP, "GET", s.Registry+m.Of(""), http.Header{"Authorization": {"Bearer " + token}}, ""); answer.Status != 401 {
		t.Errorf("after the certificate was revoked: %s", answer)
	}
	// Removed software is nobody's: its client is gone, and who was vouched for by it
	// has lost that.
	want(t, s.Operate("DELETE", "/directory"+m.Statement(""), ""), 204)
	if _, there := s.Clients("default").Get(m.Software); there {
		t.Error("the client of removed software is there still")
	}
	if answer := vouched.Post("token_endpoint", url.Values{"grant_type": {"client_credentials"}}); answer.Status != 401 {
		t.Errorf("vouched for by removed software: %s", answer)
	}
}

func vouchedBank(s *servertest.Server, tpp *servertest.TPP, token string) servertest.Answer {
	return s.Do(tpp.HTTP, "GET", s.MTLS+"/realms/strict/bank/accounts", http.Header{"Authorization": {"Bearer " + token}}, "")
}

// The assertion is signed by a published key, in each dialect, and says what the
// records say.
func TestDirectoryAssertion(t *testing.T) {
	s := servertest.Start(t, servertest.WithDirectory)
	m := s.Member("Alpha", aisp)
	accept := http.Header{"Accept": {"application/jwt; charset=utf-8"}}
	for _, ecosystem := range append([]string{""}, registration.Dialects()...) {
		path := m.Statement("/assertion")
		dialect, _ := registration.FindDialect("raidiam")
		if ecosystem != "" {
			path += "?ecosystem=" + ecosystem
			dialect, _ = registration.FindDialect(ecosystem)
		}
		answer := want(t, m.Call("GET", path, "", accept), 200)
		if media := answer.Header.Get("Content-Type"); media != "application/jwt" {
			t.Errorf("%s: Content-Type %s", ecosystem, media)
		}
		statement, err := dialect.Read(verifyStatement(t, s, answer.Body, "PS256"))
		if err != nil {
			t.Fatalf("%s: %v", ecosystem, err)
		}
		issuer := dialect.Issuer
		if issuer == "" {
			issuer = s.Registry
		}
		if statement.Issuer != issuer || statement.SoftwareID != m.Software || statement.ClientName != "Alpha app" ||
			statement.JWKSURI != s.Registry+"/"+m.Organisation+"/"+m.Software+"/application.jwks" ||
			(statement.Expires > 0) != (dialect.Lifetime > 0) || (statement.ID != "") != dialect.Unique {
			t.Errorf("%s: %+v", ecosystem, statement)
		}
	}
	want(t, m.Call("GET", m.Statement("/assertion?ecosystem=atlantis"), ""), 400)
	want(t, m.Call("GET", m.Statement("/assertion?ecosystem="), ""), 400)
	want(t, m.Call("GET", m.Statement("/assertion?ecosistem=uk"), ""), 400)

	// A role counts while the organisation's does.
	roles := func() any {
		dialect, _ := registration.FindDialect("brazil")
		statement, err := dialect.Read(verifyStatement(t, s, want(t, m.Call("GET", m.Statement("/assertion?ecosystem=brazil"), ""), 200).Body, "PS256"))
		if err != nil {
			t.Fatal(err)
		}
		return statement.Roles
	}
	if got := fmt.Sprint(roles()); got != "[{AISP PSD2 Active}]" {
		t.Errorf("roles %s", got)
	}
	claim := within[[]directory.AuthorityClaim](t, s.Operate("GET", "/directory"+m.Of("/authorityclaims"), ""))[0]
	want(t, s.Operate("PUT", "/directory"+m.Of("/authorityclaims/"+claim.ID), `{"AuthorisationDomain":"PSD2","Role":"AISP","Status":"Inactive"}`), 200)
	if got := fmt.Sprint(roles()); got != "[{AISP PSD2 Inactive}]" {
		t.Errorf("roles after the claim is inactive %s", got)
	}
	// The operator sees the statement of software that is suspended: it says so.
	want(t, s.SetStatus(m.Of(""), "Suspended"), 200)
	payload := verifyStatement(t, s, want(t, s.Operate("GET", "/directory"+m.Statement("/assertion"), ""), 200).Body, "PS256")
	if !strings.Contains(string(payload), `"org_status":"Suspended"`) {
		t.Errorf("statement of a suspended organisation: %s", payload)
	}
	// Before and after a rotation, by the published keys.
	before := want(t, s.Operate("GET", "/directory"+m.Statement("/assertion"), ""), 200).Body
	want(t, s.Operate("POST", "/directory/keys/rotate?alg=PS256", ""), 200)
	after := want(t, s.Operate("GET", "/directory"+m.Statement("/assertion"), ""), 200).Body
	if kid(t, before) == kid(t, after) {
		t.Error("the key is the same after a rotation")
	}
	verifyStatement(t, s, before, "PS256")
	verifyStatement(t, s, after, "PS256")
}

// The key set of software can be a client's jwks_uri: it is read without a client
// certificate, by us as by others.
func TestDirectoryKeySetOfClient(t *testing.T) {
	s := servertest.Start(t, servertest.WithDirectory)
	m := s.Member("Alpha", aisp)
	tpp := s.TPP("tpp", servertest.JWT)
	key, err := json.Marshal(jose.JSONWebKey{Key: tpp.SigningKey.Public(), KeyID: tpp.KeyID})
	if err != nil {
		t.Fatal(err)
	}
	registered := tpp.Metadata
	registered.JWKS, registered.JWKSURI = nil, s.Registry+"/"+m.Organisation+"/"+m.Software+"/application.jwks"
	if code := s.Refuses("default", registered); code != "" {
		t.Fatal(code)
	}
	if answer := tpp.Post("token_endpoint", url.Values{"grant_type": {"client_credentials"}}); answer.Error() != "invalid_client" {
		t.Errorf("before the key is published: %s", answer)
	}
	want(t, m.Call("POST", m.Statement("/certificates/sigkey"), string(key)), 201)
	s.Clock.Move(time.Minute) // a key set that lacks a key is read again, but not at once
	want(t, tpp.Post("token_endpoint", url.Values{"grant_type": {"client_credentials"}}), 200)
}

// With lock_statements, an assertion locks the software until the operator unlocks
// it; and ES256 signs where the ecosystem takes it.
func TestDirectoryLock(t *testing.T) {
	s := servertest.Start(t, servertest.WithDirectory, func(c *server.Config) {
		c.Directory = &server.Directory{Lock: true, StatementAlg: "ES256", Ecosystem: "uk"}
	})
	m := s.Member("Alpha", aisp)
	change := `{"ClientName":"New name"}`
	want(t, m.Call("PUT", m.Statement(""), change), 200)
	first := want(t, m.Call("GET", m.Statement("/assertion"), ""), 200).Body
	verifyStatement(t, s, first, "ES256")
	verifyStatement(t, s, want(t, m.Call("GET", m.Statement("/assertion?ecosystem=brazil"), ""), 200).Body, "PS256") // takes nothing else
	if got := want(t, m.Call("GET", m.Statement(""), ""), 200); got.JSON["Locked"] != true {
		t.Errorf("after an assertion: %s", got)
	}
	for _, c := range []struct{ method, path, body string }{
		{"PUT", m.Statement(""), change}, {"DELETE", m.Statement(""), ""},
		{"POST", m.Statement("/authorityclaims"), `{"AuthorisationDomain":"PSD2","Role":"AISP"}`},
	} {
		if answer := m.Call(c.method, c.path, c.body); answer.Status != 403 {
			t.Errorf("%s %s of locked software: %s", c.method, c.path, answer)
		}
	}
	want(t, s.Operate("PUT", "/directory"+m.Statement(""), change), 200)
	want(t, s.Operate("PUT", "/directory"+m.Statement("/unlock"), ""), 200)
	want(t, m.Call("PUT", m.Statement(""), change), 200)
}

// rsaCSR is a request by a test key, as ecosystems that know RSA alone want it.
func rsaCSR(t *testing.T) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, testkeys.RSA(3))
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
}

func decodeJWT(t *testing.T, compact string) map[string]any {
	t.Helper()
	signed, err := jose.ParseSignedCompact(compact, []jose.SignatureAlgorithm{"ES256", "PS256", "EdDSA"})
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(signed.UnsafePayloadWithoutVerification(), &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

func kid(t *testing.T, compact string) string {
	t.Helper()
	signed, err := jose.ParseSignedCompact(compact, []jose.SignatureAlgorithm{"ES256", "PS256"})
	if err != nil {
		t.Fatal(err)
	}
	return signed.Signatures[0].Header.KeyID
}

// verifyStatement verifies an assertion with go-jose and the published keys, as a
// bank would, and gives its claims.
func verifyStatement(t *testing.T, s *servertest.Server, compact, alg string) []byte {
	t.Helper()
	set := within[jose.JSONWebKeySet](t, want(t, s.Public("/openbanking.jwks"), 200))
	signed, err := jose.ParseSignedCompact(compact, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)})
	if err != nil {
		t.Fatal(err)
	}
	keys := set.Key(signed.Signatures[0].Header.KeyID)
	if len(keys) != 1 {
		t.Fatalf("%d published keys with the statement's kid", len(keys))
	}
	payload, err := signed.Verify(keys[0])
	if err != nil {
		t.Fatal(err)
	}
	if typ := signed.Signatures[0].Protected.ExtraHeaders["typ"]; typ != "JWT" {
		t.Errorf("typ %v", typ)
	}
	return payload
}

func pemCertificates(t *testing.T, text string) (certificates []*x509.Certificate) {
	t.Helper()
	for block, rest := pem.Decode([]byte(text)); block != nil; block, rest = pem.Decode(rest) {
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		certificates = append(certificates, certificate)
	}
	if len(certificates) == 0 {
		t.Fatalf("no certificate in %q", text)
	}
	return certificates
}

func kidsOf(t *testing.T, s *servertest.Server, path string) (kids []string) {
	t.Helper()
	answer := want(t, s.Public(path), 200)
	if cache, origin := answer.Header.Get("Cache-Control"), answer.Header.Get("Access-Control-Allow-Origin"); cache != "public, max-age=60" || origin != "*" {
		t.Errorf("%s: Cache-Control %q, Access-Control-Allow-Origin %q", path, cache, origin)
	}
	set := within[jose.JSONWebKeySet](t, answer)
	for _, key := range set.Keys {
		if !key.Valid() {
			t.Errorf("%s: key %s is not valid", path, key.KeyID)
		}
		kids = append(kids, key.KeyID)
	}
	return sorted(kids...)
}

func sorted(texts ...string) []string { slices.Sort(texts); return texts }
