package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server"
	"github.com/fapid/fapid/server/directory"
	"github.com/fapid/fapid/server/participant"
	"github.com/fapid/fapid/server/servertest"
	"github.com/fapid/fapid/testkeys"
)

// Roles of the ecosystems that more than one test needs.
var (
	dados = directory.AuthorityClaim{Domain: "Open Finance Brasil", Role: "DADOS", RegistrationID: "12345678-DADOS"}
	bdsp  = directory.AuthorityClaim{Domain: "UAE Open Finance", Role: "BDSP", RegistrationID: "100200-BDSP"}
)

// believing has the default realm take the directory's statements by the rules of
// some ecosystems.
func believing(ecosystems ...string) func(*server.Config) {
	return func(c *server.Config) {
		c.Realms["default"].Registration = &server.Registration{Directory: ecosystems}
	}
}

// uaeRealm takes software of the directory without a statement.
func uaeRealm(c *server.Config) {
	c.Realms["uae"] = &server.Realm{
		Sandbox: true, Policy: "fapi2", Scopes: []string{"openid", "accounts", "payments"}, Trust: server.Trust{SandboxCA: true},
		Registration: &server.Registration{Ecosystem: "uae", Directory: []string{"uae"}},
	}
}

// withStatement registers with a software statement, by certificate: what is registered is
// what the request says beyond it.
func withStatement(statement string, changes ...any) map[string]any {
	return servertest.Changed(map[string]any{
		"software_statement": statement, "token_endpoint_auth_method": oauth.AuthTLS,
		"grant_types": []string{"client_credentials"}, "response_types": []string{},
		"redirect_uris": []string{"https://tpp.example/callback"},
	}, changes...)
}

// wantFailed is wantAnswer with the check of the trace that says why.
func wantFailed(t *testing.T, s *servertest.Server, answer servertest.Answer, status int, code, check string) {
	t.Helper()
	wantAnswer(t, answer, status, code)
	event := s.Explain(answer)
	if failed, _ := event.Failed(); failed.Name != check {
		t.Errorf("%s\nthe trace says %+v, want check %q", answer, failed, check)
	}
}

// A client of Brazil is known by its subject as Brazil has it, whatever the policy
// of the realm: one spelling is registered, and any order of its parts is presented.
func TestBrazilSubject(t *testing.T) {
	t.Parallel()
	root := newPKI(t, "another root")
	s := servertest.Start(t, servertest.WithDirectory, trusting(root.file(t)), believing("brazil"))
	m := s.Member("Alpha", dados)
	chain := want(t, m.Call("POST", m.Statement("/certificates/brcac"), string(rsaCSR(t)), http.Header{"Accept": {"application/x-pem-file"}}), 201)
	m.Transport, m.TransportKey = pemCertificates(t, chain.Body), testkeys.RSA(3)
	m.Connect()
	name := presentedBy(t, m).Subject()
	r := m.Registrant()
	misspelt := strings.Replace(name.Brazil(), "2.5.4.97=", "organizationIdentifier=", 1)
	if misspelt == name.Brazil() {
		t.Fatalf("the subject %s has no organizationIdentifier", name.Brazil())
	}
	// By the policy alone this would do, since it is the same name.
	refused := r.Register(withStatement(m.Assertion("brazil"), "tls_client_auth_subject_dn", misspelt))
	wantAnswer(t, refused, 400, oauth.CodeInvalidClientMetadata)
	if !strings.Contains(refused.Body, name.Brazil()) {
		t.Errorf("the refusal does not say how to write it: %s", refused)
	}
	want(t, r.Register(withStatement(m.Assertion("brazil"), "tls_client_auth_subject_dn", name.Brazil())), 201)

	// A token with the certificate, and with others of the same name.
	askAll(t, s, m.HTTP, s.MTLS, r.ClientID, 200, "")
	key, rdns := newKey(t), strings.Split(name.Brazil(), ",")
	for presented, status := range map[string]int{
		strings.Join(append(rdns[1:len(rdns):len(rdns)], rdns[0]), ","): 200,
		strings.Replace(name.Brazil(), "UID=", "CN=", 1):                401,
	} {
		client := holder(t, s, key, root.leaf(t, key, subjectOf(t, presented))...)
		askAll(t, s, client, s.MTLS, r.ClientID, status, map[int]string{401: oauth.CodeInvalidClient}[status])
	}
	// Managing the registration does not lose the rule.
	update := servertest.Changed(r.Read().JSON, "registration_access_token", nil, "registration_client_uri", nil, "client_id_issued_at", nil,
		"software_statement", m.Assertion("brazil"), "tls_client_auth_subject_dn", misspelt)
	wantAnswer(t, r.Update(update), 400, oauth.CodeInvalidClientMetadata)
	want(t, r.Update(servertest.Changed(update, "tls_client_auth_subject_dn", name.Brazil())), 200)
	askAll(t, s, m.HTTP, s.MTLS, r.ClientID, 200, "")
}

// Without a statement the directory is asked whose the certificate is; it says
// everything there is to register.
func TestRegisterByCertificateAlone(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.WithDirectory, uaeRealm)
	m := s.Member("Alpha", bdsp)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	published, err := json.Marshal(jose.JSONWebKey{Key: key.Public(), KeyID: "sig"})
	if err != nil {
		t.Fatal(err)
	}
	want(t, m.Call("POST", m.Statement("/certificates/sigkey"), string(published)), 201)
	m.SigningKey, m.KeyID = key, "sig"

	registrant := func(client *http.Client, base string) *servertest.Registrant {
		return &servertest.Registrant{S: s, HTTP: client, Endpoint: base + "/realms/uae/reg"}
	}
	r := registrant(m.HTTP, s.MTLS)
	for _, body := range []any{"{}", ""} { // the second takes the place of the first
		if answer := r.Register(body); answer.Status != 204 || answer.Body != "" {
			t.Fatalf("registered by certificate: %s, want 204 and nothing", answer)
		}
	}
	client, known := s.Clients("uae").Get(m.Software)
	if !known || client.Metadata.JWKSURI != s.Registry+"/"+m.Organisation+"/"+m.Software+"/application.jwks" || client.Metadata.Scope != "openid accounts" ||
		client.Metadata.SoftwareStatementIssuer != registration.DirectoryIssuer {
		t.Fatalf("registered: %+v", client)
	}
	tpp := &servertest.TPP{S: s, HTTP: m.HTTP, Realm: "uae", Participant: m.Participant}
	tpp.Metadata = registration.Metadata{
		ClientID: m.Software, TokenEndpointAuthMethod: oauth.AuthPrivateKeyJWT, TokenEndpointAuthSigningAlg: "ES256", CertificateBoundTokens: true,
	}
	if tpp.Provider, err = participant.Discover(t.Context(), tpp.HTTP, s.Issuer+"/realms/uae"); err != nil {
		t.Fatal(err)
	}
	answer := want(t, tpp.Post("token_endpoint", url.Values{"grant_type": {"client_credentials"}}), 200)
	if answer.JSON["scope"] != "openid accounts" {
		t.Errorf("a token: %s", answer)
	}

	// Who has no certificate, one that the directory does not know, or no role.
	wantFailed(t, s, registrant(holder(t, s, nil), s.MTLS).Register("{}"), 401, oauth.CodeInvalidClient, "client certificate")
	wantFailed(t, s, registrant(m.HTTP, s.Issuer).Register("{}"), 401, oauth.CodeInvalidClient, "client certificate")
	wantFailed(t, s, registrant(s.TPP("stranger").HTTP, s.MTLS).Register("{}"), 401, oauth.CodeInvalidClient, "certificate holder")
	wantFailed(t, s, registrant(s.Member("Beta", aisp).HTTP, s.MTLS).Register("{}"), 400, oauth.CodeUnapprovedStatement, "software roles")
	for body, check := range map[string]string{
		"[]": "registration request", `{"policy":"oauth2"}`: "policy", `{"token_endpoint_auth_method":"tls_client_auth"}`: "token_endpoint_auth_method",
	} {
		wantFailed(t, s, r.Register(body), 400, oauth.CodeInvalidClientMetadata, check)
	}
	// Who is suspended may do nothing, and registering again does not help.
	want(t, s.SetStatus(m.Statement(""), "Suspended"), 200)
	wantFailed(t, s, r.Register("{}"), 400, oauth.CodeUnapprovedStatement, "software status")
	wantAnswer(t, tpp.Post("token_endpoint", url.Values{"grant_type": {"client_credentials"}}), 401, oauth.CodeInvalidClient)
	want(t, s.SetStatus(m.Statement(""), "Active"), 200)
	want(t, s.SetStatus(m.Of(""), "Withdrawn"), 200)
	wantFailed(t, s, r.Register("{}"), 400, oauth.CodeUnapprovedStatement, "organisation status")
}

// A statement says what was when it was issued. The directory of this process knows
// what is now; of another process there is nothing but the statement.
func TestStatementOfSuspended(t *testing.T) {
	t.Parallel()
	near := servertest.Start(t, servertest.WithDirectory, believing("raidiam"))
	keys, ca := filepath.Join(t.TempDir(), "directory.jwks"), filepath.Join(t.TempDir(), "ca.pem")
	published := want(t, near.Public("/openbanking.jwks"), 200)
	writeFile(t, keys, []byte(published.Body))
	writeFile(t, ca, (&pki{certificate: near.CA().Root()}).pem())
	far := servertest.Start(t, trusting(ca), func(c *server.Config) {
		c.Realms["default"].Registration = &server.Registration{Issuers: map[string]*server.StatementIssuer{
			"elsewhere": {Ecosystem: "raidiam", Keys: keys},
		}}
	})
	m := near.Member("Alpha", aisp)
	register := func(s *servertest.Server, statement string) servertest.Answer {
		r := &servertest.Registrant{S: s, HTTP: holder(t, s, m.TransportKey, m.Transport...), Endpoint: s.MTLS + "/reg"}
		return r.Register(withStatement(statement, "tls_client_auth_subject_dn", presentedBy(t, m).Subject().String()))
	}
	issued := m.Assertion("raidiam")
	want(t, register(near, issued), 201)
	want(t, register(far, issued), 201)
	for _, c := range []struct{ path, status, check string }{
		{m.Statement(""), "Suspended", "software status"},
		{m.Of(""), "Suspended", "organisation status"},
		{m.Of(""), "Withdrawn", "organisation status"},
	} {
		want(t, near.SetStatus(c.path, c.status), 200)
		wantFailed(t, near, register(near, issued), 400, oauth.CodeUnapprovedStatement, c.check)
		if answer := register(far, issued); answer.Status != 201 {
			t.Errorf("%s: by a statement of before, elsewhere: %s", c.check, answer)
		}
		// The operator fetches it: the participant gets no token for the directory now.
		stated := want(t, near.Operate(http.MethodGet, "/directory"+m.Statement("/assertion?ecosystem=raidiam"), ""), 200).Body
		for _, s := range []*servertest.Server{near, far} {
			wantFailed(t, s, register(s, stated), 400, oauth.CodeUnapprovedStatement, c.check)
		}
		want(t, near.SetStatus(c.path, "Active"), 200)
		want(t, register(near, issued), 201)
	}
}

// presentedBy is the certificate that a member presents.
func presentedBy(t *testing.T, m *servertest.Member) *mtls.Presented {
	t.Helper()
	presented, err := mtls.NewPresented(m.Transport, "tls")
	if err != nil {
		t.Fatal(err)
	}
	return presented
}
