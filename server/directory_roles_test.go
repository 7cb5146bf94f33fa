package server_test

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/directory"
	"github.com/fapid/fapid/server/participant"
	"github.com/fapid/fapid/server/servertest"
)

// setRole changes the status of a claim of an organisation, or of a role of its
// software, as the operator does.
func setRole(t *testing.T, s *servertest.Server, path, role, status string) {
	t.Helper()
	for _, claim := range within[[]map[string]any](t, s.Operate("GET", "/directory"+path+"/authorityclaims", "")) {
		if claim["Role"] != role {
			continue
		}
		id, _ := claim["OrganisationAuthorityClaimId"].(string)
		if id == "" {
			id, _ = claim["SoftwareAuthorityClaimId"].(string)
		}
		claim["Status"] = status
		body, err := json.Marshal(claim)
		if err != nil {
			t.Fatal(err)
		}
		want(t, s.Operate("PUT", "/directory"+path+"/authorityclaims/"+id, string(body)), 200)
		return
	}
	t.Fatalf("%s has no role %s", path, role)
}

// A role that an authority has withdrawn ends what it let registered software do: at
// once, at every door, for the tokens that there are, too. What other roles allow goes
// on, and without any the client may do nothing.
func TestRoleWithdrawn(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, vouching)
	pisp := aisp
	pisp.Role = "PISP"
	aggregator := s.TPP("aggregator", servertest.Exchanging, wide)
	anybody := registration.AnyClient
	for _, api := range []registration.API{
		{ID: "aggregator-api", Client: "aggregator", Clients: map[string]registration.Access{anybody: {}}},
		{ID: s.MTLS + "/bank", Clients: map[string]registration.Access{anybody: {}, "aggregator": {Exchange: []string{anybody}}}},
	} {
		if _, err := s.APIs("default").Put(t.Context(), api); err != nil {
			t.Fatal(err)
		}
	}
	for name, of := range map[string]func(*servertest.Member) string{
		"of the organisation": func(m *servertest.Member) string { return m.Of("") },
		"of the software":     func(m *servertest.Member) string { return m.Statement("") },
	} {
		t.Run(name, func(t *testing.T) {
			member := s.Member("Alpha", aisp, pisp)
			m, path := newSigner(t, member), of(member)
			registered := want(t, m.send(t, http.MethodPost, s.MTLS+"/reg", "", "uk"), 201)
			id, _ := registered.JSON["client_id"].(string)
			if registered.JSON["scope"] != "openid accounts payments" && registered.JSON["scope"] != "openid payments accounts" {
				t.Fatalf("registered %s", registered)
			}
			fetch := func(scope string, audience ...string) string {
				t.Helper()
				token, _ := want(t, m.fetch(t, id, scope, audience...), 200).JSON["access_token"].(string)
				return token
			}
			at := func(client *http.Client, token string) servertest.Answer {
				return s.Do(client, http.MethodGet, s.MTLS+"/bank/accounts", http.Header{"Authorization": {"Bearer " + token}}, "")
			}
			bearer := func(more ...any) servertest.Answer {
				t.Helper()
				return aggregator.Bearer(m.grant(t, id, more...))
			}
			bank := func(token string) servertest.Answer { return at(m.HTTP, token) }
			all, reading, given := fetch(""), fetch("accounts"), fetch("", "aggregator-api")
			passedOn := exchanged(t, aggregator.Exchange(given))
			if answer := want(t, bearer(), 200); answer.JSON["scope"] != registered.JSON["scope"] {
				t.Errorf("by an assertion: %s", answer)
			}
			want(t, bank(all), 200)
			want(t, at(aggregator.HTTP, passedOn), 200)

			setRole(t, s, path, "PISP", "Inactive")
			wantFailed(t, s, bank(all), 401, "invalid_token", "access token roles")
			want(t, bank(reading), 200)
			wantFailed(t, s, at(aggregator.HTTP, passedOn), 401, "invalid_token", "exchanged token's origin")
			wantFailed(t, s, aggregator.Exchange(given), 400, "invalid_request", "access token roles")
			wantFailed(t, s, m.fetch(t, id, "payments"), 400, "invalid_scope", "roles of the software")
			wantFailed(t, s, m.fetch(t, id, "accounts payments"), 400, "invalid_scope", "roles of the software")
			if answer := want(t, m.fetch(t, id, ""), 200); answer.JSON["scope"] != "openid accounts" {
				t.Errorf("without PISP: %s", answer)
			}
			if answer := want(t, bearer(), 200); answer.JSON["scope"] != "openid accounts" {
				t.Errorf("by an assertion, without PISP: %s", answer)
			}
			wantFailed(t, s, bearer("scope", "payments"), 400, "invalid_scope", "roles of the software")

			setRole(t, s, path, "AISP", "Inactive")
			wantFailed(t, s, bank(reading), 401, "invalid_token", "access token client standing")
			wantFailed(t, s, m.fetch(t, id, ""), 401, "invalid_client", "client standing")
			manage := s.Do(m.HTTP, http.MethodGet, s.MTLS+"/reg/"+id, http.Header{"Authorization": {"Bearer " + reading}}, "")
			wantFailed(t, s, manage, 401, "invalid_token", "access token client standing")

			setRole(t, s, path, "AISP", "Active")
			setRole(t, s, path, "PISP", "Active")
			want(t, bank(all), 200)
		})
	}
}

// grant is an authorization grant of the registered client (RFC 7523 section 2.1).
func (s *signer) grant(t *testing.T, client string, more ...any) string {
	t.Helper()
	now := s.S.Clock.Now().Unix()
	return compact(t, "ES256", s.key, `{"alg":"ES256","kid":"sign","typ":"`+participant.TypeGrant+`"}`, encode(t, but(map[string]any{
		"iss": client, "sub": client, "aud": s.S.Issuer, "iat": now, "exp": now + 60, "jti": rand.Text(),
	}, more...)))
}

// Only what a role lets software have ends with it: the operator may have given a client
// more. Roles are looked at where they were when the client registered itself.
func TestRoleWithdrawnFromOthers(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, vouching)
	m := s.Member("Alpha", directory.AuthorityClaim{Domain: "CDR", Role: "DATA_RECIPIENT"}, aisp)
	signs := newSigner(t, m)
	cdr := want(t, signs.send(t, http.MethodPost, s.MTLS+"/reg", "", "cdr"), 201).JSON["client_id"].(string)
	uk := want(t, signs.send(t, http.MethodPost, s.MTLS+"/reg", "", "uk"), 201).JSON["client_id"].(string)
	client, _ := s.Clients("default").Get(uk)
	metadata := client.Metadata
	metadata.Scope += " cdr:registration"
	if _, _, err := s.Clients("default").Put(t.Context(), metadata); err != nil {
		t.Fatal(err)
	}
	raidiam := m.Registrant()
	want(t, raidiam.Register(vouched(m)), 201)
	want(t, signs.fetch(t, uk, "cdr:registration"), 200)
	// What the directory has of a client as its own says nothing for who vouched for it.
	want(t, s.Operate("POST", "/directory"+s.Member("Beta").Of("/softwarestatements"), `{"ClientName":"x","ClientId":"`+uk+`"}`), 201)

	setRole(t, s, m.Of(""), "DATA_RECIPIENT", "Inactive")
	wantFailed(t, s, signs.fetch(t, cdr, ""), 401, "invalid_client", "client standing")
	want(t, signs.fetch(t, uk, ""), 200)
	setRole(t, s, m.Of(""), "AISP", "Inactive")
	wantFailed(t, s, signs.fetch(t, uk, "cdr:registration"), 401, "invalid_client", "client standing")
	want(t, signs.fetch(t, raidiam.ClientID, ""), 200)
	if suspended := s.Directory().Vouched(&registration.Client{Metadata: registration.Metadata{SoftwareID: m.Software}}); suspended != nil {
		t.Errorf("nobody vouched for it: %v", suspended)
	}
}
