package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server"
	"github.com/fapid/fapid/server/directory"
	"github.com/fapid/fapid/server/servertest"
)

// vouching has the default realm believe the statements of its own directory, and
// take software that nobody vouches for, too.
func vouching(c *server.Config) {
	servertest.WithDirectory(c)
	c.Realms["default"].Registration = &server.Registration{
		Access: []string{"open", "initial_access_token", "software_statement"}, Policy: "oauth2", Directory: []string{"raidiam", "uk", "cdr"},
	}
	c.Realms["default"].Scopes = []string{"openid", "accounts", "payments", "directory:software", "cdr:registration"}
}

// vouched is a registration with a fresh statement of a member.
func vouched(m *servertest.Member, changes ...any) map[string]any {
	m.S.T.Helper()
	answer := m.Call(http.MethodGet, m.Statement("/assertion"), "")
	if answer.Status != 200 {
		m.S.T.Fatal(answer)
	}
	return servertest.Changed(map[string]any{
		"software_statement": answer.Body, "token_endpoint_auth_method": "private_key_jwt", "grant_types": []string{"client_credentials"}, "scope": "accounts",
	}, changes...)
}

// signer is a member that signs: its public key is in the directory.
type signer struct {
	*servertest.Member
	key *ecdsa.PrivateKey
}

func newSigner(t *testing.T, m *servertest.Member) *signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := jose.JSONWebKey{Key: key.Public(), KeyID: "sign", Use: "sig", Algorithm: "ES256"}.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	want(t, m.Call(http.MethodPost, m.Statement("/certificates/sigkey"), string(public)), 201)
	return &signer{m, key}
}

func (s *signer) sign(t *testing.T, claims map[string]any) string {
	t.Helper()
	return compact(t, "ES256", s.key, `{"alg":"ES256","kid":"sign"}`, encode(t, claims))
}

// send sends a registration that the software has signed, by the rules of an
// ecosystem, with a token where it is an update.
func (s *signer) send(t *testing.T, method, address, token, ecosystem string, changes ...any) servertest.Answer {
	t.Helper()
	statement := want(t, s.Call(http.MethodGet, s.Statement("/assertion?ecosystem="+ecosystem), ""), 200).Body
	now := s.S.Clock.Now().Unix()
	request := servertest.Changed(map[string]any{
		"iss": s.Software, "aud": s.S.Issuer, "iat": now, "exp": now + 60, "jti": rand.Text(), "software_statement": statement,
		"token_endpoint_auth_method": "private_key_jwt", "token_endpoint_auth_signing_alg": "ES256", "grant_types": []string{"client_credentials"}, "response_types": []string{},
		"application_type": "web", "id_token_signed_response_alg": "ES256", "request_object_signing_alg": "ES256",
	}, changes...)
	header := http.Header{"Content-Type": {registration.MediaJWT}}
	if token != "" {
		header.Set("Authorization", "Bearer "+token)
	}
	return s.S.Do(s.HTTP, method, address, header, s.sign(t, request))
}

// fetch fetches a token as the registered client, for the APIs that are named.
func (s *signer) fetch(t *testing.T, client, scope string, audience ...string) servertest.Answer {
	t.Helper()
	now := s.S.Clock.Now().Unix()
	form := withAssertion(url.Values{"grant_type": {"client_credentials"}, "scope": {scope}, "audience": audience}, s.sign(t, map[string]any{
		"iss": client, "sub": client, "aud": s.S.Issuer, "iat": now, "exp": now + 60, "jti": rand.Text(),
	}))
	return s.S.Do(s.HTTP, http.MethodPost, s.S.MTLS+"/token", servertest.Form, form.Encode())
}

// Whom the directory does not have as Active has no access to its registration
// either, and the registration is there still when he is Active again.
func TestRegistrationOfTheSuspended(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, vouching)
	m := s.Member("Alpha", aisp)
	r := m.Registrant()
	want(t, r.Register(vouched(m)), 201)
	fresh := vouched(m)
	for name, c := range map[string]struct{ path, status string }{
		"organisation suspended": {m.Of(""), "Suspended"}, "organisation withdrawn": {m.Of(""), "Withdrawn"}, "software suspended": {m.Statement(""), "Suspended"},
	} {
		want(t, s.SetStatus(c.path, c.status), 200)
		for door, call := range map[string]func() servertest.Answer{"read": r.Read, "delete": r.Delete, "change": func() servertest.Answer { return r.Update(fresh) }} {
			answer := call()
			if wantAnswer(t, answer, 401, "invalid_token"); answer.JSON["client_id"] != nil || answer.Header.Get("Www-Authenticate") == "" {
				t.Errorf("%s, %s: %s", name, door, answer)
			}
			event := s.Explain(answer)
			if check, _ := event.Failed(); check.Name != "client standing" || !strings.Contains(check.Presented, c.status) {
				t.Errorf("%s, %s: the trace says %+v", name, door, check)
			}
		}
		want(t, s.SetStatus(c.path, "Active"), 200)
		want(t, r.Read(), 200)
	}
}

// A registration access token is of use with the certificate of the software alone,
// and what is not the caller's is not told apart from what is not there.
func TestRegistrationOfAnother(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, vouching)
	m, other := s.Member("Alpha", aisp), s.Member("Beta", aisp)
	r := m.Registrant()
	want(t, r.Register(vouched(m)), 201)
	stolen := *r
	stolen.HTTP = other.HTTP
	for name, answer := range map[string]servertest.Answer{"read": stolen.Read(), "delete": stolen.Delete(), "change": stolen.Update(vouched(m))} {
		wantAnswer(t, answer, 401, "invalid_token")
		event := s.Explain(answer)
		if check, _ := event.Failed(); check.Name != "certificate holder" {
			t.Errorf("%s: the trace says %+v", name, check)
		}
	}
	want(t, r.Read(), 200)

	// UK Open Banking manages by access tokens.
	uk := newSigner(t, m)
	id, _ := want(t, uk.send(t, http.MethodPost, s.MTLS+"/reg", "", "uk"), 201).JSON["client_id"].(string)
	stranger := newSigner(t, other)
	another, _ := want(t, stranger.send(t, http.MethodPost, s.MTLS+"/reg", "", "uk"), 201).JSON["client_id"].(string)
	its := exchanged(t, stranger.fetch(t, another, ""))
	for name, header := range map[string]http.Header{
		"none": {}, "nonsense": {"Authorization": {"Bearer x"}}, "a registration token": {"Authorization": {"Bearer " + r.Token}}, "another's": {"Authorization": {"Bearer " + its}},
		"another scheme": {"Authorization": {"DPoP x"}}, "two": {"Authorization": {"Bearer x", "Bearer y"}},
	} {
		said := map[string]bool{}
		for _, path := range []string{id, "nobody"} {
			answer := s.Do(other.HTTP, http.MethodGet, s.MTLS+"/reg/"+path, header, "")
			said[fmt.Sprint(answer.Status, answer.JSON["error"], answer.JSON["error_description"])] = true
		}
		if len(said) != 1 {
			t.Errorf("%s: somebody who has no token for a client learns whether there is one: %v", name, said)
		}
	}
	for _, path := range []string{id, "nobody"} {
		wantAnswer(t, s.Do(other.HTTP, http.MethodGet, s.MTLS+"/reg/"+path+"?access_token=x", nil, ""), 400, "invalid_request")
	}
	// The client itself is told what its token lacks.
	wantAnswer(t, s.Do(m.HTTP, http.MethodGet, s.MTLS+"/reg/"+id, http.Header{"Authorization": {"Bearer " + exchanged(t, uk.fetch(t, id, ""))}}, ""), 200, "")
}

// Updates at the same time are judged one after the other: the server is at no loss.
func TestUpdatesAtTheSameTime(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, vouching)
	m := s.Member("Alpha", aisp)
	for name, rotated := range map[string]bool{"a token for each update": true, "the same token": false} {
		r := m.Registrant()
		update := func(i int) any { return servertest.WithSecret("client_name", fmt.Sprint(i)) }
		if rotated {
			want(t, r.Register(update(0)), 201)
		} else {
			body := vouched(m)
			want(t, r.Register(body), 201)
			update = func(i int) any { return servertest.Changed(body, "contacts", []string{fmt.Sprint(i)}) }
		}
		var mu sync.Mutex
		statuses, tokens := map[int]int{}, map[string]bool{}
		var racing sync.WaitGroup
		for i := range racers {
			racing.Go(func() {
				one := *r
				answer := one.Update(update(i))
				mu.Lock()
				defer mu.Unlock()
				statuses[answer.Status]++
				tokens[one.Token] = true
			})
		}
		racing.Wait()
		// The token they all came with is good until the one in its place is used.
		if !maps.Equal(statuses, map[int]int{200: racers}) || rotated != (len(tokens) == racers) {
			t.Errorf("%s: answered %v with %d tokens", name, statuses, len(tokens))
		}
		good := 0
		for token := range tokens {
			one := *r
			if one.Token = token; one.Read().Status == 200 {
				good++
			}
		}
		if old := r.Read().Status; good != 1 || rotated != (old == 401) {
			t.Errorf("%s: %d tokens are good, the old one answers %d", name, good, old)
		}
	}
}

// Software for which somebody vouches is under the policy of his software, by
// whatever way it came to that, unless the operator has decided otherwise.
func TestPolicyOfTheVouchedFor(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, vouching, func(c *server.Config) {
		c.Realms["default"].Policy, c.Realms["default"].Policies = "fapi2", []string{"sandbox", "oauth2", "fapi1-advanced"}
	})
	m := s.Member("Alpha", aisp)
	policy := func(r *servertest.Registrant) string {
		client, _ := s.Clients("default").Get(r.ClientID)
		return client.Metadata.Policy
	}
	expect := func(name string, r *servertest.Registrant, wanted string) {
		t.Helper()
		if got := policy(r); got != wanted {
			t.Errorf("%s: policy %s, want %s", name, got, wanted)
		}
	}
	direct, plain, later, token, tokens := m.Registrant(), m.Registrant(), m.Registrant(), m.Registrant(), m.Registrant()
	want(t, direct.Register(vouched(m)), 201)
	expect("with a statement", direct, "fapi2")
	want(t, plain.Register(servertest.WithSecret()), 201)
	expect("without", plain, "oauth2")
	want(t, plain.Update(vouched(m)), 200)
	expect("without at first", plain, "fapi2")
	token.Initial = initialToken(t, s, registration.Allowance{})
	want(t, token.Register(vouched(m)), 201)
	expect("with a statement and a token that names no policy", token, "fapi2")
	tokens.Initial = initialToken(t, s, registration.Allowance{Policy: "sandbox"})
	want(t, tokens.Register(vouched(m)), 201)
	expect("and one that does", tokens, "sandbox")

	want(t, later.Register(servertest.Plain("token_endpoint_auth_method", "tls_client_auth", "tls_client_auth_san_dns", "tpp.example")), 201)
	client, _ := s.Clients("default").Get(later.ClientID)
	metadata := client.Metadata
	metadata.Policy = "sandbox"
	if _, _, err := s.Clients("default").Put(t.Context(), metadata); err != nil {
		t.Fatal(err)
	}
	want(t, later.Update(vouched(m)), 200)
	expect("the operator has decided", later, "sandbox")
}

// As many clients of one software as there may be are there, whichever way they came
// to be of it.
func TestClientsOfOneSoftware(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, vouching, func(c *server.Config) { c.Realms["default"].Registration.MaxClientsPerSoftware = 2 })
	m := s.Member("Alpha", aisp)
	r, first := m.Registrant(), m.Registrant()
	want(t, first.Register(vouched(m)), 201)
	want(t, r.Register(vouched(m)), 201)
	wantAnswer(t, r.Register(vouched(m)), 429, "too_many_requests")
	want(t, r.Register(servertest.WithSecret()), 201)
	wantAnswer(t, r.Update(vouched(m)), 429, "too_many_requests")
	want(t, first.Update(vouched(m)), 200)
	want(t, first.Delete(), 204)
	want(t, r.Update(vouched(m)), 200)
}

// The directory writes statements in every dialect, and who is admitted in one
// ecosystem is not so admitted in another.
func TestStatementOfAnotherEcosystem(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, vouching)
	recipient := directory.AuthorityClaim{Domain: "CDR", Role: "DATA_RECIPIENT"}
	for name, test := range map[string]struct {
		roles         []directory.AuthorityClaim
		uk, australia int
	}{
		"United Kingdom": {[]directory.AuthorityClaim{aisp}, 201, 400},
		"Australia":      {[]directory.AuthorityClaim{recipient}, 400, 201},
		"nowhere":        {nil, 400, 400},
	} {
		m := newSigner(t, s.Member(name, test.roles...))
		for ecosystem, wanted := range map[string]int{"uk": test.uk, "cdr": test.australia} {
			answer := m.send(t, http.MethodPost, s.MTLS+"/reg", "", ecosystem)
			if answer.Status != wanted || wanted == 400 && answer.Error() != "unapproved_software_statement" {
				t.Errorf("admitted in %s, by the rules of %s: %s", name, ecosystem, answer)
			}
			if event := s.Explain(answer); wanted == 400 {
				if check, _ := event.Failed(); check.Name != "software roles" {
					t.Errorf("%s, %s: the trace says %+v", name, ecosystem, check)
				}
			}
		}
	}
}
