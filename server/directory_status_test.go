package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server"
	"github.com/fapid/fapid/server/directory"
	"github.com/fapid/fapid/server/servertest"
)

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

// What others made of the tokens and of the word of suspended software is dead, too,
// and nothing more comes of its word.
func TestDirectoryStandingOfOrigins(t *testing.T) {
	s := servertest.Start(t, servertest.WithDirectory)
	chain(t, s)
	m := s.Member("Alpha", aisp)
	vouched := func(r *registration.Metadata) {
		r.SoftwareID, r.SoftwareStatementIssuer = m.Software, registration.DirectoryIssuer
	}
	tpp, signer := s.TPP("tpp", wide, vouched), s.TPP("signer", wide, vouched)
	shop := s.TPP("shop", servertest.Exchanging, wide)
	first := received(tpp, "shop-api")
	made, granted := exchanged(t, shop.Exchange(first, "audience", "stock-api")), exchanged(t, shop.Bearer(signer.Grant("signer")))
	for _, token := range []string{made, granted} {
		if introspected(shop, token)["active"] != true {
			t.Fatal("a good token is not active")
		}
	}
	want(t, s.SetStatus(m.Statement(""), "Suspended"), 200)
	for name, token := range map[string]string{"exchanged": made, "granted": granted} {
		if introspected(shop, token)["active"] != false {
			t.Errorf("a token that was %s for what suspended software gave is active", name)
		}
	}
	wantAnswer(t, shop.Exchange(first, "audience", "stock-api"), 400, "invalid_request")
	refused := shop.Bearer(signer.Grant("signer"))
	wantAnswer(t, refused, 400, "invalid_grant")
	event := s.Explain(refused)
	if check, _ := event.Failed(); check.Name != "client standing" {
		t.Errorf("the trace says %+v", check)
	}
	want(t, s.SetStatus(m.Statement(""), "Active"), 200)
	exchanged(t, shop.Bearer(signer.Grant("signer")))
}
