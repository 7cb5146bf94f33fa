package server_test

import (
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server"
	"github.com/fapid/fapid/server/participant"
	"github.com/fapid/fapid/server/servertest"
	"github.com/fapid/fapid/testkeys"
)

// countClients is how many clients the default realm has.
func countClients(s *servertest.Server) int { return len(s.Clients("default").List("", 1<<20)) }

// J1: who has no initial access token, or one that is no good, registers nothing;
// of many with a token for one use one does.
func TestAttackJ1InitialAccessTokens(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Registering("initial_access_token"), func(c *server.Config) {
		c.Realms["strict"].Registration = &server.Registration{Access: []string{"initial_access_token"}}
	})
	ended, endedText, err := s.InitialTokens("default").Create(t.Context(), registration.Allowance{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.InitialTokens("default").Delete(t.Context(), ended.ID); err != nil {
		t.Fatal(err)
	}
	_, foreign, err := s.InitialTokens("strict").Create(t.Context(), registration.Allowance{})
	if err != nil {
		t.Fatal(err)
	}
	old := initialToken(t, s, registration.Allowance{Lifetime: 60})
	s.Clock.Move(61 * time.Second)
	used := initialToken(t, s, registration.Allowance{})
	want(t, (&servertest.Registrant{S: s, HTTP: s.Registrant(s.Issuer).HTTP, Endpoint: s.Issuer + "/reg", Initial: used}).Register(servertest.Plain()), 201)
	good := initialToken(t, s, registration.Allowance{Uses: 100})
	tpp := s.TPP("known")
	everywhere(t, s, func(t *testing.T, r *servertest.Registrant) {
		before := countClients(s)
		for name, token := range map[string]string{
			"none": "", "used": used, "expired": old, "deleted": endedText, "of another realm": foreign, "of nobody": "fapid_iat.x.y",
			"half": good[:len(good)-1], "longer": good + "A", "in another case": strings.ToLower(good), "empty parts": "fapid_iat..", "very long": "fapid_iat." + strings.Repeat("a", 4000),
			"an access token": tpp.Token(), "another's id": "fapid_iat." + ended.ID + good[strings.LastIndex(good, "."):],
		} {
			r.Initial = token
			answer := r.Register(servertest.Plain())
			if wantAnswer(t, answer, 401, "invalid_token"); answer.Header.Get("Www-Authenticate") == "" || answer.JSON["client_id"] != nil {
				t.Errorf("%s: %s %v", name, answer, answer.Header)
			}
			checkRules(t, s, answer, []string{used, good, foreign})
			// Nobody who may not register learns what would be wrong with it.
			wantAnswer(t, r.Register(servertest.Plain("scope", "admin")), 401, "invalid_token")
		}
		for name, header := range map[string][]string{"twice": {"Bearer " + good, "Bearer " + good}, "basic": {"Basic " + good}, "no scheme": {good}, "no token": {"Bearer "}} {
			answer := s.Do(r.HTTP, "POST", r.Endpoint, http.Header{"Authorization": header, "Content-Type": {"application/json"}}, "{}")
			wanted := 401
			if name == "twice" {
				wanted = 400 // RFC 6750 section 3.1: malformed
			}
			if answer.Status != wanted {
				t.Errorf("%s: %s", name, answer)
			}
		}
		if there := countClients(s); there != before {
			t.Errorf("%d clients were registered without a good token", there-before)
		}
		r.Initial = good
		want(t, r.Register(servertest.Plain()), 201)
		// A refusal uses nothing up.
		r.Initial = initialToken(t, s, registration.Allowance{})
		refused := r.Register(servertest.Plain("scope", "admin"))
		wantAnswer(t, refused, 400, "invalid_client_metadata")
		if challenge, has := refused.Header["Www-Authenticate"]; has { // clients would look at that alone
			t.Errorf("a challenge that has nothing to do with it: %s", challenge)
		}
		want(t, r.Register(servertest.Plain()), 201)
	})
	var registrants []*servertest.Registrant
	for i := range 16 {
		registrants = append(registrants, s.Registrant([]string{s.Issuer, s.MTLS}[i%2]))
	}
	for round := range rounds(t, 2) {
		uses := int64(1 + 2*(round%2))
		one := initialToken(t, s, registration.Allowance{Uses: uses})
		before := countClients(s)
		var created, refused atomic.Int64
		var racing sync.WaitGroup
		for _, r := range registrants {
			r.Initial = one
			racing.Go(func() {
				switch answer := r.Register(servertest.Plain()); {
				case answer.Status == 201:
					created.Add(1)
				case answer.Status == 401 && answer.Error() == "invalid_token":
					refused.Add(1)
				default:
					t.Errorf("%s", answer)
				}
			})
		}
		racing.Wait()
		if created.Load() != uses || refused.Load() != 16-uses {
			t.Errorf("%d registered with a token for %d uses, %d were refused", created.Load(), uses, refused.Load())
		}
		if there := countClients(s); there != before+int(uses) {
			t.Errorf("%d clients more, want %d", there-before, uses)
		}
	}
}

// J2: whatever address a registration names, the inside of the network is not
// connected to.
func TestAttackJ2RegistrationGoesNowherePrivate(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Registering(), func(c *server.Config) { c.Realms["default"].JWKS.AllowPrivate = nil })
	port, connections := trapdoor(t)
	members := []string{
		"jwks_uri", "sector_identifier_uri", "logo_uri", "client_uri", "policy_uri", "tos_uri", "initiate_login_uri",
		"backchannel_logout_uri", "backchannel_client_notification_endpoint", "request_uris", "redirect_uris", "frontchannel_logout_uri", "post_logout_redirect_uris",
	}
	targets := privateTargets(port)
	everywhere(t, s, func(t *testing.T, r *servertest.Registrant) {
		for _, member := range members {
			for _, target := range targets {
				var value any = target
				if strings.HasSuffix(member, "s") {
					value = []string{target}
				}
				metadata := servertest.Plain(member, value)
				switch member {
				case "jwks_uri":
					metadata = servertest.Plain(member, value, "token_endpoint_auth_method", "private_key_jwt")
				case "frontchannel_logout_uri":
					metadata["redirect_uris"] = []string{target}
				case "backchannel_client_notification_endpoint":
					metadata["backchannel_token_delivery_mode"] = "ping"
				case "sector_identifier_uri":
					metadata["redirect_uris"] = []string{"https://tpp.example/cb"}
				}
				answer := r.Register(metadata)
				if answer.Status != 201 && answer.Status != 400 || member == "sector_identifier_uri" && answer.Status == 201 {
					t.Errorf("%s %s: %s", member, target, answer)
				}
				if answer.Status == 201 && member == "jwks_uri" {
					// Now the keys are needed.
					form := "grant_type=client_credentials&client_id=" + r.ClientID + "&client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer&client_assertion=" + foreignAssertion(t, s, r.ClientID)
					wantAnswer(t, s.Do(r.HTTP, "POST", s.Issuer+"/token", servertest.Form, form), 401, "invalid_client")
				}
			}
		}
	})
	time.Sleep(20 * time.Millisecond) // a connection made is counted by then
	if n := connections.Load(); n != 0 {
		t.Errorf("%d connections were made", n)
	}
}

// privateTargets are addresses inside of the network, in every spelling.
func privateTargets(port string) []string {
	return []string{
		"https://127.0.0.1:" + port, "https://127.1.2.3:" + port, "https://0.0.0.0:" + port, "https://localhost:" + port, "https://LOCALHOST.:" + port,
		"https://[::1]:" + port, "https://[::]:" + port, "https://[::ffff:127.0.0.1]:" + port, "https://[64:ff9b::7f00:1]:" + port, "https://[2002:7f00:1::]:" + port,
		"https://10.0.0.1", "https://172.16.0.1", "https://192.168.0.1", "https://169.254.169.254/latest", "https://100.64.0.1", "https://[fd00::1]", "https://[fe80::1%25lo]:" + port,
		"https://2130706433:" + port, "https://0x7f000001:" + port, "https://0177.0.0.1:" + port, "https://127.1:" + port,
		"http://127.0.0.1:" + port, "file:///etc/passwd", "gopher://127.0.0.1:" + port, "ftp://127.0.0.1:" + port,
		"https://user@127.0.0.1:" + port, "https://tpp.example@127.0.0.1:" + port, "https://tpp.example\\@127.0.0.1:" + port, "//127.0.0.1:" + port, "https:127.0.0.1:" + port,
	}
}

// trapdoor counts every connection made to a port of the loopback interface.
func trapdoor(t *testing.T) (port string, connections *atomic.Int64) {
	t.Helper()
	connections = new(atomic.Int64)
	listen := func(address string) net.Listener {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			return nil // a machine without IPv6, or with one loopback address
		}
		t.Cleanup(func() { _ = listener.Close() })
		go func() {
			for {
				connection, err := listener.Accept()
				if err != nil {
					return
				}
				connections.Add(1)
				_ = connection.Close()
			}
		}()
		return listener
	}
	first := listen("127.0.0.1:0")
	if first == nil {
		t.Fatal("no loopback interface")
	}
	_, port, _ = net.SplitHostPort(first.Addr().String())
	listen("127.1.2.3:" + port)
	listen("[::1]:" + port)
	return port, connections
}

// foreignAssertion is a client assertion for a client, by a key that is not its.
func foreignAssertion(t *testing.T, s *servertest.Server, client string) string {
	t.Helper()
	signer := &participant.Participant{SigningKey: testkeys.P256(2), Metadata: registration.Metadata{TokenEndpointAuthSigningAlg: "ES256"}}
	text, err := signer.Sign(map[string]any{
		"iss": client, "sub": client, "aud": s.Issuer, "jti": fmt.Sprint(time.Now().UnixNano()), "iat": s.Clock.Now().Unix(), "exp": s.Clock.Now().Unix() + 60,
	})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// J4: what a client says of itself for people is not fetched, neither when it is
// registered nor when it is shown.
func TestAttackJ4NothingForPeopleIsFetched(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Registering()) // loopback is allowed
	p := publishing(t, s, `{}`)
	everywhere(t, s, func(t *testing.T, r *servertest.Registrant) {
		metadata := servertest.WithSecret("redirect_uris", []string{p.URL})
		for _, member := range []string{"logo_uri", "client_uri", "policy_uri", "tos_uri", "initiate_login_uri", "frontchannel_logout_uri", "backchannel_logout_uri"} {
			metadata[member] = p.URL
		}
		metadata["request_uris"] = []string{p.URL}
		want(t, r.Register(metadata), 201)
		want(t, r.Read(), 200)
		exchanged(t, r.Fetch())
		want(t, s.Do(http.DefaultClient, "GET", s.Admin+"/realms/default/clients", nil, ""), 200)
		want(t, r.Update(metadata), 200)
		want(t, r.Delete(), 204)
	})
	if n := p.Requests.Load(); n != 0 {
		t.Errorf("%d of them were fetched", n)
	}
}

// J5, J6: bodies that are no registration.
func TestAttackJ5Bodies(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Registering())
	many := func(n int) string { return strings.TrimSuffix(strings.Repeat(`"https://tpp.example/x",`, n), ",") }
	bodies := map[string]string{
		"nothing": "", "space": "  ", "null": "null", "a text": `"x"`, "a list": "[]", "two objects": "{}{}", "half": `{"client_name":`, "a BOM": "\ufeff{}",
		"1 MiB":                   `{"client_name":"` + strings.Repeat("x", 1<<20) + `"}`,
		"10,000 redirect URIs":    `{"redirect_uris":[` + many(2500) + `]}`,
		"a member twice":          `{"scope":"accounts","scope":"payments"}`,
		"a member twice, escaped": `{"scope":"accounts","sc\u006fpe":"payments"}`,
		"another case":            `{"Scope":"accounts"}`,
		"a long s":                `{"\u017fcope":"accounts"}`,
		"null for a text":         `{"client_name":null}`, "null for a list": `{"redirect_uris":null}`, "null in a list": `{"redirect_uris":[null]}`,
		"a number for a text": `{"client_name":1}`, "a text for a list": `{"grant_types":"client_credentials"}`, "a list for a text": `{"client_name":["x"]}`,
		"a text for a switch": `{"dpop_bound_access_tokens":"true"}`, "an object for a text": `{"client_name":{}}`, "a text for keys": `{"jwks":"{}"}`, "keys of null": `{"jwks":{"keys":null}}`,
		"invalid UTF-8": "{\"client_name\":\"a\xff\"}", "half a character": `{"client_name":"\ud800"}`, "a control character": `{"client_name":"a\u0000b"}`, "a line break": `{"client_name":"a\nb"}`,
		"deep":            `{"jwks":` + strings.Repeat("[", 30000) + strings.Repeat("]", 30000) + `}`,
		"both keys":       `{"jwks":{"keys":[]},"jwks_uri":"https://tpp.example/jwks"}`,
		"a long member":   `{"client_name":"` + strings.Repeat("x", 3000) + `"}`,
		"one entry twice": `{"redirect_uris":["https://tpp.example","https://tpp.example"]}`,
		"a big number":    `{"default_max_age":1e400}`,
	}
	everywhere(t, s, func(t *testing.T, r *servertest.Registrant) {
		before := countClients(s)
		for name, body := range bodies {
			answer := r.Register(body)
			if answer.Status != 400 || answer.Error() != "invalid_client_metadata" && answer.Error() != "invalid_redirect_uri" {
				t.Errorf("%s: %s", name, answer)
			}
			checkRules(t, s, answer, nil)
		}
		if there := countClients(s); there != before {
			t.Errorf("%d clients were registered", there-before)
		}
		for media, status := range map[string]int{
			"application/json": 201, "application/json; charset=utf-8": 201, "APPLICATION/JSON": 201, "text/plain": 415, "application/x-www-form-urlencoded": 415,
			"application/yaml": 415, "application/jwt": 400, "application/jose": 400, "multipart/form-data; boundary=x": 415, "": 415, "x": 415,
		} {
			answer := s.Do(r.HTTP, "POST", r.Endpoint, http.Header{"Content-Type": {media}}, `{"grant_types":["client_credentials"]}`)
			if answer.Status != status {
				t.Errorf("Content-Type %q: %s", media, answer)
			}
		}
		wantAnswer(t, s.Do(r.HTTP, "POST", r.Endpoint+"?scope=admin", http.Header{"Content-Type": {"application/json"}}, `{}`), 400, "invalid_client_metadata")
		wantAnswer(t, s.Do(r.HTTP, "GET", r.Endpoint, nil, ""), 405, "method_not_allowed")
		wantAnswer(t, s.Do(r.HTTP, "GET", r.Endpoint+"/", nil, ""), 404, "not_found")
	})
}

// escalations are members by which software would give itself more than it may have.
func escalations() map[string]any {
	all := map[string]any{"client_secret": "chosen-by-the-client", "grant_types": []string{"client_credentials", "basic"}}
	for _, scope := range []string{"fapid:clients.write", "fapid:users.write", "internal_user_mgt_delete", "directory:software", "cdr:registration", "admin"} {
		all["scope "+scope] = "accounts " + scope
	}
	for _, row := range registration.Members() {
		if row.By == registration.OperatorDecides && row.Name != "client_secret" {
			all[row.Name] = map[string]any{
				"policy": "sandbox", "access_token_signed_response_alg": "ES256", "access_token_expiration": 86400, "refresh_token_expiration": 86400, "access_token_format": "opaque",
				"software_statement_issuer": "directory", "refresh_token_expiration_from": "last_use", "ecosystem": "brazil", "registration_scope": "accounts payments",
				"registered_by": "software_statement",
			}[row.Name]
			if all[row.Name] == nil {
				all[row.Name] = true
			}
		}
	}
	return all
}

// J8: nothing that is not the software's to decide is decided by it, neither when it
// registers nor afterwards; an update is judged by what would be registered then.
func TestAttackJ8Escalation(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Registering(), func(c *server.Config) {
		c.Realms["default"].Scopes = append(c.Realms["default"].Scopes, "internal_user_mgt_delete")
		c.Realms["default"].Management = &server.Management{UnboundTokens: true, Basic: true}
	})
	narrow := initialToken(t, s, registration.Allowance{Policy: "fapi2", Scope: "accounts", Uses: 1000})
	tpp := s.TPP("known", servertest.JWT)
	keys := parsed(t, tpp.Metadata.JWKS)
	everywhere(t, s, func(t *testing.T, r *servertest.Registrant) {
		names := slices.Sorted(maps.Keys(escalations()))
		if len(names) < 20 {
			t.Fatalf("only %v", names)
		}
		for name, value := range escalations() {
			member, _, _ := strings.Cut(name, " ")
			answer := r.Register(servertest.WithSecret(member, value))
			wantAnswer(t, answer, 400, "invalid_client_metadata")
			want(t, r.Register(servertest.WithSecret()), 201)
			before, _ := s.Clients("default").Get(r.ClientID)
			answer = r.Update(servertest.WithSecret(member, value))
			wantAnswer(t, answer, 400, "invalid_client_metadata")
			if after, _ := s.Clients("default").Get(r.ClientID); after != before {
				t.Errorf("%s: a refused update has changed the client", name)
			}
			want(t, r.Update(servertest.WithSecret()), 200)
		}
		// What an initial access token limits stays limited.
		limited := *r
		limited.Initial = narrow
		strong := servertest.Plain("token_endpoint_auth_method", "private_key_jwt", "jwks", keys)
		want(t, limited.Register(strong), 201)
		for name, changes := range map[string][]any{
			"more scope": {"scope", "accounts payments"}, "a weaker method": {"token_endpoint_auth_method", "client_secret_basic", "jwks", nil}, "the default method": {"token_endpoint_auth_method", nil},
			"a weaker algorithm": {"token_endpoint_auth_signing_alg", "RS256"}, "no keys": {"jwks", nil},
		} {
			for _, send := range []func(any) servertest.Answer{limited.Register, limited.Update} {
				if answer := send(servertest.Changed(strong, changes...)); answer.Status != 400 {
					t.Errorf("%s: %s", name, answer)
				}
			}
		}
		// Tokens stay bound whatever it says, because its policy wants it.
		want(t, limited.Update(servertest.Changed(strong, "tls_client_certificate_bound_access_tokens", false, "dpop_bound_access_tokens", false)), 200)
		if client, _ := s.Clients("default").Get(limited.ClientID); !client.BoundTokens || client.Policy.Name != "fapi2" || client.Metadata.RegistrationScope != "accounts" {
			t.Errorf("%+v", client)
		}
		// What is left out is gone, not kept: the whole is judged anew.
		wantAnswer(t, limited.Update(map[string]any{"client_name": "x"}), 400, "invalid_client_metadata")
		// Another client's id, and a secret that is not its own.
		want(t, r.Register(servertest.WithSecret()), 201)
		wantAnswer(t, r.Update(servertest.WithSecret("client_id", limited.ClientID)), 400, "invalid_client_metadata")
		wantAnswer(t, r.Update(servertest.WithSecret("client_id", 7)), 400, "invalid_client_metadata")
		wantAnswer(t, r.Update(servertest.WithSecret("client_secret", r.Secret+"x")), 400, "invalid_client_metadata")
		want(t, r.Update(servertest.WithSecret("client_id", r.ClientID, "client_secret", r.Secret)), 200)
		// A method that wants no secret takes it away, one that wants one makes another.
		before := r.Secret
		want(t, r.Update(servertest.Plain("token_endpoint_auth_method", "private_key_jwt", "jwks", keys)), 200)
		wantAnswer(t, r.Fetch(), 401, "invalid_client")
		want(t, r.Update(servertest.WithSecret()), 200)
		if r.Secret == before {
			t.Error("the secret of before is good again")
		}
		exchanged(t, r.Fetch())
	})
}

// J9: a registration access token is good for one client, while that is there and
// the operator has nothing against it.
func TestAttackJ9RegistrationAccessTokens(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Registering())
	tpp := s.TPP("operators")
	everywhere(t, s, func(t *testing.T, r *servertest.Registrant) {
		other := *r
		want(t, r.Register(servertest.WithSecret()), 201)
		want(t, other.Register(servertest.WithSecret()), 201)
		calls := map[string]func(*servertest.Registrant) servertest.Answer{
			"read": (*servertest.Registrant).Read, "delete": (*servertest.Registrant).Delete,
			"change": func(r *servertest.Registrant) servertest.Answer {
				return r.Update(servertest.WithSecret("client_name", "x"))
			},
		}
		var said string
		for name, token := range map[string]string{
			"of another": other.Token, "none": "", "cut": r.Token[:len(r.Token)-1], "longer": r.Token + "A", "an access token": tpp.Token(), "the secret": r.Secret, "very long": strings.Repeat("a", 8000),
			"its prefix": "fapid_rat.", "in another case": strings.ToLower(r.Token),
		} {
			for call, make := range calls {
				for whose, uri := range map[string]string{"its": r.URI, "nobody's": r.Endpoint + "/nobody", "an operator's": r.Endpoint + "/operators"} {
					answer := make(&servertest.Registrant{S: s, HTTP: r.HTTP, URI: uri, Token: token})
					if answer.Status != 401 || answer.JSON["client_id"] != nil || answer.Header.Get("Www-Authenticate") == "" {
						t.Errorf("%s with a token that is %s at %s uri: %s", call, name, whose, answer)
					}
					// Who has not the token learns nothing of whether there is a client.
					text := fmt.Sprint(answer.JSON["error"], answer.JSON["error_description"])
					if said == "" && token != "" {
						said = text
					}
					if token != "" && text != said {
						t.Errorf("%s: %s, and %s", whose, text, said)
					}
				}
			}
		}
		want(t, r.Read(), 200)
		wantAnswer(t, s.Do(r.HTTP, "POST", r.URI, http.Header{"Authorization": {"Bearer " + r.Token}}, "{}"), 405, "method_not_allowed")

		// The operator locks a registration: it can be read.
		set := func(change func(*registration.Metadata)) {
			t.Helper()
			client, _ := s.Clients("default").Get(r.ClientID)
			metadata := client.Metadata
			change(&metadata)
			if _, _, err := s.Clients("default").Put(t.Context(), metadata); err != nil {
				t.Fatal(err)
			}
		}
		token := exchanged(t, r.Fetch())
		set(func(m *registration.Metadata) { m.RegistrationLocked = true })
		want(t, r.Read(), 200)
		wantAnswer(t, r.Update(servertest.WithSecret()), 403, "access_denied")
		wantAnswer(t, r.Update(servertest.WithSecret("scope", "admin")), 403, "access_denied")
		wantAnswer(t, r.Delete(), 403, "access_denied")
		exchanged(t, r.Fetch())
		// He disables the client: nothing works, and nothing the client does undoes it.
		set(func(m *registration.Metadata) { m.RegistrationLocked, m.Disabled = false, true })
		for name, call := range calls {
			if answer := call(r); answer.Status != 401 {
				t.Errorf("%s of a disabled client: %s", name, answer)
			}
		}
		refused := r.Fetch()
		wantAnswer(t, refused, 401, "invalid_client")
		event := s.Explain(refused)
		if check, _ := event.Failed(); check.Name != "client standing" {
			t.Errorf("the trace says %+v", check)
		}
		if introspected(tpp, token)["active"] != false {
			t.Error("a token of a disabled client is active")
		}
		set(func(m *registration.Metadata) { m.Disabled = false })
		want(t, r.Update(servertest.WithSecret()), 200)
		exchanged(t, r.Fetch())
		// What the operator has set for the client stays when it updates itself.
		set(func(m *registration.Metadata) { m.AccessTokenExpiration, m.RegistrationScope = 60, "accounts" })
		want(t, r.Update(servertest.WithSecret()), 200)
		wantAnswer(t, r.Update(servertest.WithSecret("scope", "accounts payments")), 400, "invalid_client_metadata")
		if life := r.Fetch().JSON["expires_in"]; life != 60. {
			t.Errorf("its tokens live %v s", life)
		}
	})
}

// J10: whoever has the sector vouches for the redirect URIs.
func TestAttackJ10SectorIdentifier(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Registering())
	const mine, other = "https://tpp.example/cb", "https://other.example/cb"
	everywhere(t, s, func(t *testing.T, r *servertest.Registrant) {
		for name, row := range map[string]struct {
			document string
			status   int
		}{
			"all": {`["` + mine + `","` + other + `"]`, 201}, "with space": {" [\"" + mine + "\", \"" + other + "\"]\n", 201}, "more": {`["https://x.example","` + mine + `","` + other + `"]`, 201},
			"one only": {`["` + mine + `"]`, 400}, "none": {`[]`, 400}, "an object": {`{"redirect_uris":["` + mine + `","` + other + `"]}`, 400}, "a text": {`"` + mine + `"`, 400},
			"another spelling": {`["https://TPP.example/cb","` + other + `"]`, 400}, "no JSON": {`[`, 400}, "a number in it": {`["` + mine + `","` + other + `",1]`, 400}, "nothing": {``, 400},
			"too many": {`["` + mine + `","` + other + `"` + strings.Repeat(`,"x"`, 1000) + `]`, 400}, "too long": {`["` + mine + `","` + other + `","` + strings.Repeat("x", 70000) + `"]`, 400},
		} {
			p := publishing(t, s, row.document)
			answer := r.Register(servertest.WithSecret("redirect_uris", []string{mine, other}, "sector_identifier_uri", p.URL))
			if answer.Status != row.status || row.status == 400 && (answer.Error() != "invalid_client_metadata" || !strings.Contains(answer.Body, "sector_identifier_uri")) {
				t.Errorf("%s: %s", name, answer)
			}
			if p.Requests.Load() != 1 {
				t.Errorf("%s: fetched %d times", name, p.Requests.Load())
			}
			if row.status == 201 { // an update is judged as a whole
				p.publish(`["` + mine + `"]`)
				wantAnswer(t, r.Update(servertest.WithSecret("redirect_uris", []string{mine, other}, "sector_identifier_uri", p.URL)), 400, "invalid_client_metadata")
				want(t, r.Update(servertest.WithSecret("redirect_uris", []string{mine}, "sector_identifier_uri", p.URL)), 200)
			}
		}
	})
}

// J11: a name that could deceive whoever is asked to trust it is shown as text, and
// the operator is told.
func TestAttackJ11Names(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Registering())
	s.TPP("bank", func(m *registration.Metadata) { m.ClientName = "Monzo Bank" })
	r := s.Registrant(s.Issuer)
	for name, warning := range map[string]string{
		"My app":                             "",
		"M\u043enz\u043e Bank":               "has letters of Latin and Cyrillic",
		"Monz0 bank":                         "looks like that of bank",
		"MONZO  BANK":                        "looks like that of bank",
		"<script>alert(1)</script>":          "has characters of markup or code",
		"{{.Secret}}":                        "has characters of markup or code",
		"Moore \u202eknaB":                   "cannot be seen, or that turn around",
		"zero\u200bwidth":                    "cannot be seen, or that turn around",
		"\u039c\u03bf\u03bd\u03b6\u03bf app": "has letters of Latin and Greek",
	} {
		answer := r.Register(servertest.WithSecret("client_name", name))
		if answer.Status == 400 && answer.Error() == "invalid_client_metadata" && strings.Contains(warning, "cannot be seen") {
			continue // is not even taken
		}
		if answer.Status != 201 || strings.Contains(answer.Body, "<") || answer.JSON["client_name"] != name {
			t.Errorf("%q: %s", name, answer)
			continue
		}
		list := want(t, s.Do(http.DefaultClient, "GET", s.Admin+"/realms/default/clients?limit=200", nil, ""), 200)
		warnings, _ := list.JSON["warnings"].(map[string]any)
		said := fmt.Sprint(warnings[r.ClientID])
		if warning == "" && warnings[r.ClientID] != nil || !strings.Contains(said, warning) || strings.Contains(list.Body, "<script>") || warnings["bank"] != nil {
			t.Errorf("%q: the operator is told %s, want %q", name, said, warning)
		}
		want(t, r.Delete(), 204)
	}
}
