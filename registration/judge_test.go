package registration_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/registration/faults"
)

func ecosystem(t testing.TB, name string) *registration.Ecosystem {
	t.Helper()
	found, ok := registration.FindEcosystem(name)
	if !ok {
		t.Fatalf("no ecosystem %s", name)
	}
	return found
}

// accept wants an attempt to be registered.
func (s *stage) accept(t testing.TB, a faults.Attempt, replaces *registration.Client) (*registration.Client, *registration.Admission, *oauth.Event) {
	t.Helper()
	client, admission, event, err := s.send(t, a, replaces)
	if err != nil {
		t.Fatalf("%v\n%+v", err, event.Checks)
	}
	return client, admission, event
}

// answered is what a client would be told, as members.
func (s *stage) answered(t testing.TB, client *registration.Client) map[string]any {
	t.Helper()
	statement, err := s.registry.Statement(t.Context(), client.ID)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := s.scene.Ecosystem.Answered(&client.Metadata, statement)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(raw)
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]any
	if err := json.Unmarshal(text, &members); err != nil {
		t.Fatal(err)
	}
	return members
}

// A good registration by the rules of each ecosystem, and what comes of it.
func TestGood(t *testing.T) {
	for name, want := range map[string]struct {
		scope     string
		redirects int
		answer    []string // members, beside those of every answer
	}{
		"rfc7591": {"", 2, []string{"software_statement", "client_name", "redirect_uris"}},
		"uk":      {"openid accounts", 1, []string{"software_statement", "org_id", "software_roles", "software_client_name", "org_status"}},
		"brazil":  {"openid accounts consents", 1, []string{"software_statement", "client_name"}},
		"cdr":     {"openid accounts cdr:registration", 1, []string{"software_statement", "org_name", "recipient_base_uri", "software_roles", "client_name"}},
		"uae":     {"openid accounts", 2, nil},
		"raidiam": {"", 1, []string{"software_statement"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := ecosystem(t, name)
			s := newStage(t, e, e.Statement.From == registration.FromCertificate)
			client, admission, event := s.accept(t, s.scene.Good(), nil)
			m := client.Metadata
			if m.Scope != want.scope || len(m.RedirectURIs) != want.redirects || m.ClientName != "Accounting" || m.JWKSURI != s.scene.Software.JWKSURI ||
				m.SoftwareID != softwareID || m.SoftwareStatementIssuer != "trusted" || m.Ecosystem != name || m.TokenEndpointAuthMethod != oauth.AuthPrivateKeyJWT ||
				!slices.Equal(m.GrantTypes, []string{"client_credentials"}) || m.Policy != "fapi" {
				t.Errorf("registered %+v", m)
			}
			if e.OwnClientID != (client.ID == softwareID) || len(client.ID) != 36 {
				t.Errorf("client id %s", client.ID)
			}
			if failed, yes := event.Failed(); yes || admission.Ecosystem != e || admission.Statement.SoftwareID != softwareID {
				t.Errorf("%+v, admission %+v", failed, admission)
			}
			members := s.answered(t, client)
			for _, member := range want.answer {
				if members[member] == nil {
					t.Errorf("the answer has no %s: %v", member, members)
				}
			}
			for _, member := range []string{"policy", "ecosystem", "software_statement_issuer", "iss", "iat", "jti"} {
				if members[member] != nil {
					t.Errorf("the answer has %s", member)
				}
			}
			if e.Answer.Empty != (members == nil) {
				t.Errorf("answered %v", members)
			}
		})
	}
}

// What may be written in another way, and what comes of it.
func TestLeniency(t *testing.T) {
	for _, test := range []struct {
		name, ecosystem string
		change          func(*faults.Attempt)
		want            func(*registration.Client) bool
	}{
		{"parameters of the media type", "uk", func(a *faults.Attempt) { a.MediaType = "application/jwt; charset=ISO-8859-1" }, nil},
		{"parameters of JSON", "brazil", func(a *faults.Attempt) { a.MediaType = "application/json;charset=UTF-8" }, nil},
		{"a line feed after the JWT", "cdr", func(a *faults.Attempt) { a.Request.Mangle = func(text string) string { return text + "\r\n" } }, nil},
		{"no typ", "uk", func(a *faults.Attempt) { delete(a.Statement.Header, "typ"); delete(a.Request.Header, "typ") }, nil},
		{"typ application/jwt", "uk", func(a *faults.Attempt) { a.Statement.Header["typ"] = "application/JWT" }, nil},
		{"no kid", "brazil", func(a *faults.Attempt) { delete(a.Statement.Header, "kid") }, nil},
		{"a status in small letters", "uk", func(a *faults.Attempt) { a.Statement.Claims["org_status"] = "active" }, nil},
		{"a version that is a number", "uk", func(a *faults.Attempt) { a.Statement.Claims["software_version"] = json.Number("1.10") }, func(c *registration.Client) bool { return c.Metadata.SoftwareVersion == "1.10" }},
		{"the older name of jwks_uri", "brazil", func(a *faults.Attempt) {
			a.Statement.Claims["software_jwks_endpoint"] = a.Statement.Claims["software_jwks_uri"]
			delete(a.Statement.Claims, "software_jwks_uri")
		}, func(c *registration.Client) bool { return c.Metadata.JWKSURI != "" }},
		{"aud of the endpoint", "uk", func(a *faults.Attempt) {
			a.Request.Claims["aud"] = []string{"https://elsewhere.example", issuerURL + "/reg"}
		}, nil},
		{"dates with fractions", "uk", func(a *faults.Attempt) { a.Request.Claims["iat"] = json.Number("1.5e9") }, nil},
		{"scope as a list", "uk", func(a *faults.Attempt) { a.Request.Claims["scope"] = []string{"openid", "accounts"} }, func(c *registration.Client) bool { return c.Metadata.Scope == "openid accounts" }},
		{"some of the scope", "brazil", func(a *faults.Attempt) { a.Request.Claims["scope"] = "consents openid" }, func(c *registration.Client) bool { return c.Metadata.Scope == "consents openid" }},
		{"more scope than there is", "cdr", func(a *faults.Attempt) { a.Request.Claims["scope"] = "openid payments admin" }, func(c *registration.Client) bool { return c.Metadata.Scope == "openid" }},
		{"the older name of the subject", "uk", func(a *faults.Attempt) {
			a.Request.Claims["token_endpoint_auth_method"], a.Request.Claims["tls_client_auth_dn"] = "tls_client_auth", "CN=x,C=GB"
			delete(a.Request.Claims, "token_endpoint_auth_signing_alg")
		}, func(c *registration.Client) bool { return c.Metadata.TLSClientAuthSubjectDN == "CN=x,C=GB" }},
		{"what nobody knows", "cdr", func(a *faults.Attempt) {
			a.Request.Claims["flavour"], a.Request.Claims["client_id"] = "vanilla", "mine"
		}, func(c *registration.Client) bool { return c.ID != "mine" }},
		{"a webhook elsewhere than in Brazil", "uk", func(a *faults.Attempt) { a.Request.Claims["webhook_uris"] = []string{"https://x.example"} }, func(c *registration.Client) bool { return c.Metadata.WebhookURIs == nil }},
		{"the webhook of the statement", "brazil", func(a *faults.Attempt) { a.Request.Claims["webhook_uris"] = []string{"https://tpp.example/hook"} }, func(c *registration.Client) bool { return len(c.Metadata.WebhookURIs) == 1 }},
		{"no webhook", "brazil", func(*faults.Attempt) {}, func(c *registration.Client) bool { return c.Metadata.WebhookURIs == nil }},
		{"no redirect URIs", "uk", func(a *faults.Attempt) { delete(a.Request.Claims, "redirect_uris") }, func(c *registration.Client) bool { return len(c.Metadata.RedirectURIs) == 2 }},
		{"a translation of what the statement says", "brazil", func(a *faults.Attempt) { a.Request.Claims["client_name#fr"] = "Banque" }, func(c *registration.Client) bool { return len(c.Metadata.Localized) == 0 }},
		{"what the statement says otherwise", "brazil", func(a *faults.Attempt) { a.Request.Claims["client_name"] = "Bank of England" }, func(c *registration.Client) bool { return c.Metadata.ClientName == "Accounting" }},
		{"other redirect URIs than the statement", "rfc7591", func(a *faults.Attempt) { a.Request.Claims["redirect_uris"] = []string{"https://other.example/cb"} }, func(c *registration.Client) bool { return c.Metadata.RedirectURIs[0] == "https://tpp.example/cb" }},
		{"what the statement does not say", "raidiam", func(a *faults.Attempt) { a.Request.Claims["policy_uri"] = "https://tpp.example/policy" }, func(c *registration.Client) bool { return c.Metadata.PolicyURI == "https://tpp.example/policy" }},
		{"no method", "brazil", func(a *faults.Attempt) { delete(a.Request.Claims, "token_endpoint_auth_method") }, func(c *registration.Client) bool { return c.AuthMethod == oauth.AuthPrivateKeyJWT }},
		{"nothing at all", "uae", func(a *faults.Attempt) { a.Body, a.MediaType = []byte{}, "" }, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e := ecosystem(t, test.ecosystem)
			s := newStage(t, e, e.Statement.From == registration.FromCertificate)
			_, attempt := s.scene.Try(faults.Case{Change: test.change})
			client, _, _ := s.accept(t, attempt, nil)
			if test.want != nil && !test.want(client) {
				t.Errorf("registered %+v", client.Metadata)
			}
		})
	}
}

// The CDR wants the issuer as aud, where the UK takes the endpoint, too.
func TestAudienceOfTheCDR(t *testing.T) {
	s := newStage(t, ecosystem(t, "cdr"), false)
	attempt := s.scene.Good()
	attempt.Request.Claims["aud"] = issuerURL + "/reg"
	_, _, event, err := s.send(t, attempt, nil)
	if failed, _ := event.Failed(); oauth.AsError(err).Code != oauth.CodeInvalidClientMetadata || failed.Name != "registration request aud" {
		t.Errorf("%v, %+v", err, failed)
	}
}

// A statement is good to the last second of its age.
func TestStatementAge(t *testing.T) {
	for _, test := range []struct {
		ecosystem string
		age       time.Duration
		good      bool
	}{
		{"brazil", 5 * time.Minute, true}, {"brazil", 5*time.Minute + time.Second, false},
		{"uk", 30 * time.Minute, true}, {"uk", 30*time.Minute + time.Second, false},
		{"cdr", 10*time.Minute - time.Second, true}, {"cdr", 10 * time.Minute, false},
		{"brazil", -time.Minute, true}, {"brazil", -time.Minute - time.Second, false},
	} {
		s := newStage(t, ecosystem(t, test.ecosystem), false)
		old := s.scene.Good()
		s.scene.Now = s.scene.Now.Add(test.age)
		attempt := s.scene.Good()
		attempt.Statement = old.Statement
		_, _, event, err := s.send(t, attempt, nil)
		if (err == nil) != test.good {
			t.Errorf("%s after %s: %v\n%+v", test.ecosystem, test.age, err, event.Checks)
		}
	}
}

// What was answered, with another statement, is an update that changes nothing.
func TestAnswerComesBack(t *testing.T) {
	for _, name := range []string{"rfc7591", "uk", "brazil", "cdr", "raidiam"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, ecosystem(t, name), false)
			client, _, _ := s.accept(t, s.scene.Good(), nil)
			s.scene.Now = s.scene.Now.Add(time.Minute)
			next := s.scene.Good()
			members := s.answered(t, client)
			delete(members, "software_statement")
			members["registration_access_token"], members["registration_client_uri"] = "secret", "https://as.example/reg/1"
			sent := maps.Clone(next.Request.Claims)
			maps.Copy(sent, members)
			next.Request.Claims = sent
			again, _, _ := s.accept(t, next, client)
			before, after := client.Metadata, again.Metadata
			left, err := json.Marshal(before)
			right, otherErr := json.Marshal(after)
			if err != nil || otherErr != nil || string(left) != string(right) {
				t.Errorf("%v %v\nbefore %s\nafter  %s", err, otherErr, left, right)
			}
		})
	}
}

// What the operator has set stays, whatever the software sends.
func TestUpdateKeepsTheOperators(t *testing.T) {
	s := newStage(t, ecosystem(t, "brazil"), false)
	client, _, _ := s.accept(t, s.scene.Good(), nil)
	m := client.Metadata
	m.AccessTokenExpiration, m.RecordAccessTokens = 30, true
	client, _, err := s.registry.Put(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	next := s.scene.Good()
	next.Request.Claims["record_access_tokens"] = true
	next.Request.Claims["redirect_uris"] = []string{"https://tpp.example/cb2"}
	updated, _, _ := s.accept(t, next, client)
	if got := updated.Metadata; got.AccessTokenExpiration != 30 || !got.RecordAccessTokens || got.RedirectURIs[0] != "https://tpp.example/cb2" || updated.ID != client.ID {
		t.Errorf("updated to %+v", got)
	}
}

// Certificates that say in another way whose they are.
func TestHolders(t *testing.T) {
	for _, test := range []struct {
		name, ecosystem string
		subject         []attribute
		change          func(*faults.Attempt)
		good            bool
	}{
		{"OBWAC: the organisation as CN", "uk", []attribute{{"C", "GB"}, {"organizationIdentifier", "PSDGB-OB-1"}, {"CN", organisationID}}, nil, true},
		{"OBWAC of another organisation", "uk", []attribute{{"CN", otherOrg}}, nil, false},
		{"eIDAS: authority and number", "uk", []attribute{{"organizationIdentifier", "PSDGB-FCA-123456"}, {"CN", "tpp.example"}}, fca("Active"), true},
		{"eIDAS, another number", "uk", []attribute{{"organizationIdentifier", "PSDGB-FCA-123457"}}, fca("Active"), false},
		{"eIDAS, another authority", "uk", []attribute{{"organizationIdentifier", "PSDGB-BOE-123456"}}, fca("Active"), false},
		{"eIDAS, another country", "uk", []attribute{{"organizationIdentifier", "PSDFR-FCA-123456"}}, fca("Active"), false},
		{"eIDAS, no PSD2", "uk", []attribute{{"organizationIdentifier", "GB-FCA-123456"}}, fca("Active"), false},
		{"eIDAS, not admitted any more", "uk", []attribute{{"organizationIdentifier", "PSDGB-FCA-123456"}}, fca("Withdrawn"), false},
		{"Brazil before September 2022", "brazil", []attribute{{"OU", organisationID}, {"UID", softwareID}}, nil, true},
		{"Brazil, upper case", "brazil", []attribute{{"organizationIdentifier", "OFBBR-" + strings.ToUpper(organisationID)}, {"UID", strings.ToUpper(softwareID)}}, nil, true},
		{"Brazil, no prefix", "brazil", []attribute{{"organizationIdentifier", organisationID}, {"UID", softwareID}}, nil, false},
		{"Brazil, the software alone", "brazil", []attribute{{"UID", softwareID}}, nil, false},
		{"Brazil, the organisation alone", "brazil", []attribute{{"organizationIdentifier", "OFBBR-" + organisationID}}, nil, false},
		{"Brazil, an organisation without id", "brazil", []attribute{{"organizationIdentifier", "OFBBR-"}, {"UID", softwareID}}, func(a *faults.Attempt) { delete(a.Statement.Claims, "org_id") }, false},
		{"CDR by ids", "cdr", []attribute{{"OU", organisationID}, {"CN", softwareID}}, nil, true},
		{"CDR, another brand", "cdr", []attribute{{"O", "Another"}, {"CN", "Accounting"}}, nil, false},
		{"no subject", "raidiam", nil, nil, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, ecosystem(t, test.ecosystem), false)
			s.shown[faults.Own] = presented(t, test.subject...)
			change := test.change
			if change == nil {
				change = func(*faults.Attempt) {}
			}
			_, attempt := s.scene.Try(faults.Case{Change: change})
			_, _, event, err := s.send(t, attempt, nil)
			failed, _ := event.Failed()
			if (err == nil) != test.good || !test.good && failed.Name != "certificate holder" {
				t.Errorf("%v, %+v", err, failed)
			}
		})
	}
}

// fca has an authority know the organisation.
func fca(status string) func(*faults.Attempt) {
	return func(a *faults.Attempt) {
		a.Statement.Claims["organisation_competent_authority_claims"] = map[string]any{
			"authority_id": "FCAGBR", "registration_id": "123456", "status": status,
			"authorisations": []any{map[string]any{"member_state": "GB", "roles": []string{"AISP"}}},
		}
	}
}

// A certificate that the directory itself has issued goes by its record, whatever
// its subject says.
func TestHolderOnRecord(t *testing.T) {
	for name, holder := range map[string]struct {
		record [2]string
		good   bool
	}{
		"the software":           {[2]string{organisationID, softwareID}, true},
		"its organisation":       {[2]string{organisationID, ""}, true},
		"other software":         {[2]string{organisationID, otherSoftware}, false},
		"another organisation":   {[2]string{otherOrg, ""}, false},
		"nobody at all, a blank": {[2]string{"", ""}, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, ecosystem(t, "cdr"), true)
			s.shown[faults.Own] = presented(t, attribute{"OU", organisationID}, attribute{"CN", softwareID})
			s.records.certificates[s.shown[faults.Own].Thumbprint] = holder.record
			_, _, event, err := s.send(t, s.scene.Good(), nil)
			if (err == nil) != holder.good {
				t.Errorf("%v\n%+v", err, event.Checks)
			}
		})
	}
}

// Software that the directory of the process has suspended since the statement was
// made, and a role that it has taken since.
func TestDirectoryOfTheProcess(t *testing.T) {
	s := newStage(t, ecosystem(t, "brazil"), true)
	s.records.facts.Roles = append(s.records.facts.Roles, registration.StatementRole{Role: "PAGTO", Status: "Active"})
	// A role that the statement does not have is none yet.
	client, _, _ := s.accept(t, s.scene.Good(), nil)
	if client.Metadata.Scope != "openid accounts consents" {
		t.Errorf("scope %q", client.Metadata.Scope)
	}
	s.records.facts.Roles = []registration.StatementRole{{Role: "DADOS", Domain: "another", Status: "Active"}}
	_, _, event, err := s.send(t, s.scene.Good(), client)
	if failed, _ := event.Failed(); err == nil || failed.Name != "software roles" {
		t.Errorf("%v, %+v", err, failed)
	}
}

// The directory of the process vouches by the rules of every ecosystem, with the keys
// that it publishes now.
func TestDirectoryIssuers(t *testing.T) {
	for _, name := range registration.Ecosystems() {
		s := newStage(t, ecosystem(t, name), true)
		published := registration.LiveKeys(func() []byte { return jwks(t, keys[faults.Issuer]) }, true)
		registrar, err := registration.NewRegistrar(registration.RegistrarConfig{
			Realm: "default", Issuer: issuerURL, Ecosystem: s.scene.Ecosystem, Scopes: oauth.Scope{"openid", "accounts"},
			Issuers: registration.DirectoryIssuers("https://directory.example", published, s.records),
			Grants:  func(string) bool { return true }, Fetch: s.fetch, Now: func() time.Time { return s.scene.Now }, AllowTestKeys: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		s.registrar = registrar
		_, admission, _, err := s.send(t, s.scene.Good(), nil)
		if admission == nil || admission.Metadata.SoftwareStatementIssuer != registration.DirectoryIssuer || admission.Ecosystem.Name != name {
			t.Errorf("%s: %v, %+v", name, err, admission)
		}
	}
}

// A request without a statement, where the realm takes such.
func TestWithoutStatement(t *testing.T) {
	s := newStage(t, ecosystem(t, "rfc7591"), false)
	attempt := s.scene.Good()
	attempt.Statement = nil
	attempt.Request.Claims["software_id"], attempt.Request.Claims["scope"] = softwareID, "accounts"
	attempt.Request.Claims["jwks"] = json.RawMessage(jwks(t, keys[faults.Software]))
	client, admission, _ := s.accept(t, attempt, nil)
	if m := client.Metadata; m.SoftwareStatementIssuer != "" || m.Ecosystem != "rfc7591" || m.Scope != "accounts" || admission.Statement != nil || admission.StatementText != "" {
		t.Errorf("registered %+v", m)
	}
	if text, err := s.registry.Statement(t.Context(), client.ID); text != "" || err != nil {
		t.Errorf("statement %q, %v", text, err)
	}
	// It may have somebody vouch for it later, under the profile of his software.
	s.issuer.Policy = "narrow"
	vouched, _, _ := s.accept(t, s.scene.Good(), client)
	if vouched.ID != client.ID || vouched.Metadata.SoftwareStatementIssuer != "trusted" || vouched.Policy.Name != "narrow" {
		t.Errorf("updated to %+v", vouched.Metadata)
	}
}

// The secret of a client may be sent back, and no other.
func TestUpdateWithSecret(t *testing.T) {
	s := newStage(t, ecosystem(t, "rfc7591"), false)
	s.policy.AuthMethods = append(s.policy.AuthMethods, oauth.AuthSecretBasic)
	_, _, err := s.registry.Put(t.Context(), registration.Metadata{
		ClientID: "secret", TokenEndpointAuthMethod: oauth.AuthSecretBasic, ClientSecret: "verysecret", GrantTypes: []string{"client_credentials"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for secret, good := range map[string]bool{"verysecret": true, "another": false} {
		attempt := s.scene.Good()
		attempt.Statement = nil
		attempt.Request.Claims = map[string]any{"client_secret": secret, "client_id": "secret", "grant_types": []string{"client_credentials"}}
		client, _ := s.registry.Get("secret")
		_, _, event, err := s.send(t, attempt, client)
		if failed, _ := event.Failed(); (err == nil) != good || !good && failed.Name != "client_secret" {
			t.Errorf("%s: %v\n%+v", secret, err, event.Checks)
		}
	}
	if client, _ := s.registry.Get("secret"); !client.CheckSecret("verysecret") {
		t.Error("the secret is lost")
	}
}

// otherJWTs are those that go back and forth between clients and this server.
func otherJWTs(now int64) map[string]faults.JWT {
	return map[string]faults.JWT{
		"client assertion":       {Header: map[string]any{"typ": "JWT"}, Claims: map[string]any{"iss": softwareID, "sub": softwareID, "aud": issuerURL, "jti": "1", "iat": now, "exp": now + 60}},
		"typed client assertion": {Header: map[string]any{"typ": "client-authentication+jwt"}, Claims: map[string]any{"iss": softwareID, "sub": softwareID, "aud": issuerURL, "jti": "1", "iat": now, "exp": now + 60}},
		"access token":           {Header: map[string]any{"typ": "at+jwt"}, Claims: map[string]any{"iss": issuerURL, "sub": softwareID, "aud": issuerURL, "client_id": softwareID, "jti": "1", "iat": now, "exp": now + 60, "scope": "openid"}},
		"ID token":               {Header: map[string]any{"typ": "JWT"}, Claims: map[string]any{"iss": issuerURL, "sub": "user", "aud": softwareID, "iat": now, "exp": now + 60, "nonce": "1"}},
		"request object":         {Header: map[string]any{"typ": "oauth-authz-req+jwt"}, Claims: map[string]any{"iss": softwareID, "aud": issuerURL, "client_id": softwareID, "response_type": "code", "iat": now, "exp": now + 60, "jti": "1"}},
		"untyped request object": {Header: map[string]any{}, Claims: map[string]any{"iss": softwareID, "aud": issuerURL, "client_id": softwareID, "response_type": "code", "iat": now, "exp": now + 60, "jti": "1", "redirect_uri": "https://tpp.example/cb", "scope": "openid"}},
		"DPoP proof":             {Header: map[string]any{"typ": "dpop+jwt", "jwk": map[string]any{}}, Claims: map[string]any{"htm": "POST", "htu": issuerURL + "/reg", "iat": now, "jti": "1"}},
		"introspection answer":   {Header: map[string]any{"typ": "token-introspection+jwt"}, Claims: map[string]any{"iss": issuerURL, "aud": softwareID, "iat": now, "token_introspection": map[string]any{"active": true}}},
	}
}

// J7: no other JWT is a software statement or a registration request, though the
// keys of those had signed it.
func TestOtherJWTsAreNoStatements(t *testing.T) {
	for _, name := range []string{"rfc7591", "uk", "brazil", "cdr", "raidiam"} {
		s := newStage(t, ecosystem(t, name), false)
		for kind, other := range otherJWTs(s.scene.Now.Unix()) {
			for _, iss := range []any{other.Claims["iss"], s.scene.StatementIssuer} {
				attempt := s.scene.Good()
				jwt := other
				jwt.Header, jwt.Claims, jwt.By = maps.Clone(attempt.Statement.Header), maps.Clone(other.Claims), faults.Issuer
				delete(jwt.Header, "typ")
				maps.Copy(jwt.Header, other.Header)
				jwt.Claims["iss"] = iss
				attempt.Statement = &jwt
				_, _, _, err := s.send(t, attempt, nil)
				if code := oauth.AsError(err).Code; err == nil || code != oauth.CodeInvalidStatement && code != oauth.CodeUnapprovedStatement {
					t.Errorf("%s: %s with iss %v is a statement: %v", name, kind, iss, err)
				}
			}
			if !s.scene.Ecosystem.Signs() {
				continue
			}
			attempt := s.scene.Good()
			header := maps.Clone(attempt.Request.Header)
			delete(header, "typ")
			maps.Copy(header, other.Header)
			attempt.Request = faults.JWT{Header: header, Claims: maps.Clone(other.Claims), By: faults.Software}
			for _, with := range []*faults.JWT{nil, attempt.Statement} { // the worst case is that it brings one along
				attempt.Statement = with
				_, _, _, err := s.send(t, attempt, nil)
				if code := oauth.AsError(err).Code; err == nil || oauth.AsError(err).Status != 400 {
					t.Errorf("%s: %s is a registration request: %s %v", name, kind, code, err)
				}
			}
		}
		// Nor is a statement a request, nor a request a statement.
		attempt := s.scene.Good()
		if s.scene.Ecosystem.Signs() {
			both := attempt
			statement := *attempt.Statement
			both.Request, both.Statement = statement, nil
			if _, _, _, err := s.send(t, both, nil); err == nil {
				t.Errorf("%s: a statement is a request", name)
			}
			request := attempt.Request
			attempt.Statement = &request
			if _, _, _, err := s.send(t, attempt, nil); err == nil {
				t.Errorf("%s: a request is a statement", name)
			}
		}
	}
}
