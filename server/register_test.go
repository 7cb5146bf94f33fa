package server_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/servertest"
)

// everywhere runs a test for software that registers itself at each listener.
func everywhere(t *testing.T, s *servertest.Server, run func(t *testing.T, r *servertest.Registrant)) {
	t.Helper()
	for name, base := range map[string]string{"standard": s.Issuer, "mtls": s.MTLS} {
		t.Run(name, func(t *testing.T) { run(t, s.Registrant(base)) })
	}
}

// Software registers itself, is a client, and reads, changes and deletes its
// registration.
func TestRegister(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Registering())
	everywhere(t, s, func(t *testing.T, r *servertest.Registrant) {
		created := want(t, r.Register(servertest.WithSecret("policy_uri", "https://tpp.example/policy")), 201)
		for member, value := range map[string]any{
			"client_name": "My app", "scope": "accounts", "grant_types": []any{"client_credentials"}, "policy_uri": "https://tpp.example/policy",
			"token_endpoint_auth_method": "client_secret_post", "application_type": "web", "client_secret_expires_at": 0.,
		} {
			if !reflect.DeepEqual(created.JSON[member], value) {
				t.Errorf("%s is %v, want %v", member, created.JSON[member], value)
			}
		}
		if issued, _ := created.JSON["client_id_issued_at"].(float64); issued < 1e9 || created.Header.Get("Cache-Control") != "no-store" || len(r.Secret) < 43 {
			t.Errorf("%s\n%v", created, created.Header)
		}
		if !strings.HasPrefix(r.URI, strings.TrimSuffix(r.Endpoint, "/reg")+"/reg/"+r.ClientID) {
			t.Errorf("registration_client_uri %s of %s", r.URI, r.Endpoint)
		}
		token := exchanged(t, r.Fetch())

		read := want(t, r.Read(), 200)
		for member, value := range created.JSON {
			if member != "client_secret" && !reflect.DeepEqual(read.JSON[member], value) {
				t.Errorf("%s was %v and reads %v", member, value, read.JSON[member])
			}
		}
		before := r.Token
		changed := want(t, r.Update(servertest.Changed(created.JSON, "client_name", "Another name", "policy_uri", nil)), 200)
		if changed.JSON["client_name"] != "Another name" || changed.JSON["policy_uri"] != nil || changed.JSON["client_secret"] != nil ||
			changed.JSON["client_id"] != created.JSON["client_id"] || changed.JSON["client_id_issued_at"] != created.JSON["client_id_issued_at"] {
			t.Errorf("changed to %s", changed)
		}
		if r.Token == before {
			t.Error("the registration access token is the one before")
		}
		exchanged(t, r.Fetch()) // the secret has stayed
		after := r.Token
		want(t, r.Read(), 200)
		r.Token = before
		wantAnswer(t, r.Read(), 401, "invalid_token")
		r.Token = after

		if gone := want(t, r.Delete(), 204); gone.Body != "" {
			t.Errorf("answered %s", gone)
		}
		for name, call := range map[string]func() servertest.Answer{"read": r.Read, "delete": r.Delete, "change": func() servertest.Answer { return r.Update(servertest.Plain()) }} {
			if answer := call(); answer.Status != 401 || answer.JSON["client_id"] != nil || answer.Header.Get("Www-Authenticate") == "" {
				t.Errorf("%s after it was deleted: %s", name, answer)
			}
		}
		wantAnswer(t, r.Fetch(), 401, "invalid_client")
		if bank := s.Do(r.HTTP, "GET", s.MTLS+"/bank/accounts", http.Header{"Authorization": {"Bearer " + token}}, ""); bank.Status != 401 {
			t.Errorf("the bank takes the token of a deleted client: %s", bank)
		}
	})
	discovery := want(t, s.Do(s.Registrant(s.Issuer).HTTP, "GET", s.Issuer+"/.well-known/openid-configuration", nil, ""), 200)
	aliases, _ := discovery.JSON["mtls_endpoint_aliases"].(map[string]any)
	if discovery.JSON["registration_endpoint"] != s.Issuer+"/reg" || aliases["registration_endpoint"] != s.MTLS+"/reg" {
		t.Errorf("discovery has %v and %v", discovery.JSON["registration_endpoint"], aliases["registration_endpoint"])
	}
	other := want(t, s.Do(s.Registrant(s.Issuer).HTTP, "GET", s.Issuer+"/realms/strict/.well-known/openid-configuration", nil, ""), 200)
	if other.JSON["registration_endpoint"] != nil {
		t.Error("a realm without registration lists its endpoint")
	}
}

// Whose answer to a change is lost goes on with the registration access token of
// before: until the new one is used, or for a minute, as often as answers are lost.
func TestRegistrationTokenWhoseAnswerIsLost(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Registering())
	defer s.Clock.Freeze()()
	r := s.Registrant(s.Issuer)
	want(t, r.Register(servertest.Plain()), 201)
	known := r.Token
	lost := func(name string) string {
		t.Helper()
		r.Token = known
		want(t, r.Update(servertest.Plain("client_name", name)), 200)
		return r.Token
	}
	lost("one")
	second := lost("two")
	s.Restart()
	last := lost("three")
	r.Token = second // nobody has ever used it, and another has taken its place
	wantAnswer(t, r.Read(), 401, "invalid_token")
	r.Token = known
	if read := want(t, r.Read(), 200); read.JSON["client_name"] != "three" || read.JSON["registration_access_token"] != known {
		t.Errorf("%s", read)
	}
	r.Token = last
	want(t, r.Read(), 200)
	r.Token = known
	wantAnswer(t, r.Read(), 401, "invalid_token")
	known = last
	last = lost("four")
	s.Clock.Move(59 * time.Second)
	r.Token = known
	want(t, r.Read(), 200)
	s.Clock.Move(2 * time.Second)
	wantAnswer(t, r.Read(), 401, "invalid_token")
	r.Token = last
	want(t, r.Delete(), 204)
}

// A refusal speaks of what was sent, by the error that the member has, and not of how
// it is read.
func TestRegisterIsRefusedPlainly(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Registering())
	r := s.Registrant(s.MTLS)
	for _, test := range []struct{ body, code, says string }{
		{`[]`, "invalid_client_metadata", "expected an object, not: array"},
		{`"x"`, "invalid_client_metadata", "expected an object, not: string"},
		{`{"redirect_uris":["https://tpp.example/cb","https://tpp.example/cb"]}`, "invalid_redirect_uri", "twice"},
		{`{"redirect_uris":[""]}`, "invalid_redirect_uri", "entry 1 is empty"},
		{`{"contacts":["a","a"]}`, "invalid_client_metadata", "twice"},
		{`{"token_endpoint_auth_method":"tls_client_auth","tls_client_auth_dn":"CN=a"}`, "invalid_client_metadata", "older name, tls_client_auth_dn"},
	} {
		answer := r.Register(test.body)
		wantAnswer(t, answer, 400, test.code)
		if says, _ := answer.JSON["error_description"].(string); !strings.Contains(says, test.says) || strings.Contains(says, "Go value") {
			t.Errorf("%s: %s", test.body, answer)
		}
	}
}

// Whatever software can say of itself comes back as it is in force, and can be sent
// back; what cannot be honoured is refused, left out or replaced.
func TestRegisterEveryMember(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Registering())
	tpp := s.TPP("known", servertest.JWT)
	full := map[string]any{
		"client_name": "Full", "client_uri": "https://tpp.example", "logo_uri": "https://tpp.example/logo", "policy_uri": "https://tpp.example/p", "tos_uri": "https://tpp.example/t",
		"contacts": []any{"a@tpp.example"}, "client_name#ja-Jpan-JP": "クライアント名", "tos_uri#de": "https://tpp.example/agb", "token_endpoint_auth_method": "private_key_jwt", "token_endpoint_auth_signing_alg": "ES256",
		"grant_types": []any{"client_credentials"}, "response_types": []any{}, "redirect_uris": []any{"https://tpp.example/cb"}, "scope": "accounts payments",
		"jwks": parsed(t, tpp.Metadata.JWKS), "software_id": "s", "software_version": "1", "application_type": "native", "subject_type": "public",
		"id_token_signed_response_alg": "PS256", "userinfo_signed_response_alg": "ES256", "request_object_signing_alg": "ES256",
		"authorization_signed_response_alg": "PS256", "introspection_signed_response_alg": "PS256", "backchannel_authentication_request_signing_alg": "ES256",
		"default_max_age": 0., "require_auth_time": true, "default_acr_values": []any{"x"}, "initiate_login_uri": "https://tpp.example/login",
		"request_uris": []any{"https://tpp.example/r#" + strings.Repeat("A", 43)}, "post_logout_redirect_uris": []any{"https://tpp.example/out"},
		"frontchannel_logout_uri": "https://tpp.example/fc", "frontchannel_logout_session_required": true,
		"backchannel_logout_uri": "https://tpp.example/bc", "backchannel_logout_session_required": true,
		"require_pushed_authorization_requests": true, "require_signed_request_object": true,
		"backchannel_token_delivery_mode": "ping", "backchannel_client_notification_endpoint": "https://tpp.example/ciba",
		"tls_client_certificate_bound_access_tokens": true, "dpop_bound_access_tokens": true, "use_mtls_endpoint_aliases": true,
	}
	everywhere(t, s, func(t *testing.T, r *servertest.Registrant) {
		sent := servertest.Changed(full, "scope", []string{"accounts", "payments"}, "authorization_details_types", []string{"x"}, "backchannel_user_code_parameter", true, "unknown", 1, "localized", map[string]any{"client_name#fr": "x"})
		for _, answer := range []servertest.Answer{want(t, r.Register(sent), 201), want(t, r.Update(r.Answer.Body), 200), want(t, r.Update(r.Answer.Body), 200)} {
			for member, value := range full {
				if value != nil && !reflect.DeepEqual(answer.JSON[member], value) && !reflect.DeepEqual(value, []any{}) {
					t.Errorf("%s is %v, want %v", member, answer.JSON[member], value)
				}
			}
			for _, member := range []string{"authorization_details_types", "backchannel_user_code_parameter", "unknown", "localized", "client_name#fr", "policy", "registered_by", "ecosystem", "registration_scope"} {
				if answer.JSON[member] != nil {
					t.Errorf("%s is answered: %v", member, answer.JSON[member])
				}
			}
		}
		for _, row := range members() {
			answer := r.Register(servertest.Changed(full, row.changes...))
			if answer.Status != 400 || answer.Error() != row.code || !strings.Contains(answer.Body, row.says) {
				t.Errorf("%v: %s, want %s with %q", row.changes, answer, row.code, row.says)
			}
			event := s.Explain(answer)
			if check, failed := event.Failed(); !failed || check.Advice == "" {
				t.Errorf("%v: the trace does not say what failed", row.changes)
			}
		}
	})
	// The table of the members says so, too.
	for _, row := range registration.Members() {
		if _, sent := full[row.Name]; row.By == registration.ClientDecides && row.Otherwise != registration.Refused && !sent &&
			row.Name != "authorization_details_types" && row.Name != "backchannel_user_code_parameter" && row.Name != "jwks_uri" {
			t.Errorf("%s is not tried", row.Name)
		}
	}
}

type badMember struct {
	changes    []any
	code, says string
}

// members are values of members that are refused.
func members() []badMember {
	rows := []badMember{
		{[]any{"redirect_uris", []string{"https://tpp.example/cb#f"}}, "invalid_redirect_uri", "fragment"},
		{[]any{"client_name#fr", 1}, "invalid_client_metadata", "client_name#fr must be a string"},
		{[]any{"client_name#", "x"}, "invalid_client_metadata", "language tag"},
		{[]any{"client_name#f_r", "x"}, "invalid_client_metadata", "language tag"},
		{[]any{"client_name#fr", ""}, "invalid_client_metadata", "is empty"},
		{[]any{"logo_uri#fr", "javascript:alert(1)"}, "invalid_client_metadata", "logo_uri#fr"},
		{[]any{"redirect_uris", []string{"http://tpp.example/cb"}}, "invalid_redirect_uri", "https"},
		{[]any{"redirect_uris", []string{"javascript:alert(1)"}}, "invalid_redirect_uri", "absolute"},
		{[]any{"redirect_uris", []string{"data:text/html,x"}}, "invalid_redirect_uri", "absolute"},
		{[]any{"redirect_uris", []string{"https://*.example/cb"}}, "invalid_redirect_uri", "wildcard"},
		{[]any{"redirect_uris", []string{"com.example.app:/cb"}, "application_type", "web"}, "invalid_redirect_uri", "absolute"},
		{[]any{"redirect_uris", []string{"com.example.app://x/cb"}}, "invalid_redirect_uri", "https"},
		{[]any{"application_type", "desktop"}, "invalid_client_metadata", "application_type"},
		{[]any{"application_type", "mobile"}, "invalid_client_metadata", "application_type"},
		{[]any{"token_endpoint_auth_method", "none"}, "invalid_client_metadata", "token_endpoint_auth_method"},
		{[]any{"token_endpoint_auth_signing_alg", "none"}, "invalid_client_metadata", "token_endpoint_auth_signing_alg"},
		{[]any{"token_endpoint_auth_signing_alg", "PS256"}, "invalid_client_metadata", "jwks"},
		{[]any{"grant_types", []string{"password"}}, "invalid_client_metadata", "grant_types"},
		{[]any{"grant_types", []string{"basic"}}, "invalid_client_metadata", "grant_types"},
		{[]any{"response_types", []string{"code"}}, "invalid_client_metadata", "response_types"},
		{[]any{"scope", "accounts  payments"}, "invalid_client_metadata", "scope"},
		{[]any{"scope", "admin"}, "invalid_client_metadata", "scope"},
		{[]any{"scope", []any{"accounts", 1}}, "invalid_client_metadata", "scope"},
		{[]any{"jwks_uri", "https://tpp.example/jwks"}, "invalid_client_metadata", "jwks"},
		{[]any{"jwks", nil, "jwks_uri", "http://tpp.example/jwks"}, "invalid_client_metadata", "jwks_uri"},
		{[]any{"jwks", nil}, "invalid_client_metadata", "jwks"},
		{[]any{"subject_type", "pairwise"}, "invalid_client_metadata", "subject_type"},
		{[]any{"id_token_signed_response_alg", "none"}, "invalid_client_metadata", "id_token_signed_response_alg"},
		{[]any{"id_token_signed_response_alg", "RS384"}, "invalid_client_metadata", "id_token_signed_response_alg"},
		{[]any{"userinfo_signed_response_alg", "HS256"}, "invalid_client_metadata", "userinfo_signed_response_alg"},
		{[]any{"authorization_signed_response_alg", "none"}, "invalid_client_metadata", "authorization_signed_response_alg"},
		{[]any{"introspection_signed_response_alg", "x"}, "invalid_client_metadata", "introspection_signed_response_alg"},
		{[]any{"request_object_signing_alg", "none"}, "invalid_client_metadata", "request_object_signing_alg"},
		{[]any{"request_object_signing_alg", "HS256"}, "invalid_client_metadata", "request_object_signing_alg"},
		{[]any{"request_object_signing_alg", "PS256"}, "invalid_client_metadata", "request_object_signing_alg"},
		{[]any{"backchannel_authentication_request_signing_alg", "PS256"}, "invalid_client_metadata", "backchannel_authentication_request_signing_alg"},
		{[]any{"require_signed_request_object", "yes"}, "invalid_client_metadata", "require_signed_request_object"},
		{[]any{"default_max_age", -1}, "invalid_client_metadata", "default_max_age"},
		{[]any{"default_max_age", 1.5}, "invalid_client_metadata", "default_max_age"},
		{[]any{"request_uris", []string{"https://tpp.example/r#x"}}, "invalid_client_metadata", "request_uris"},
		{[]any{"request_uris", []string{"http://tpp.example/r"}}, "invalid_client_metadata", "request_uris"},
		{[]any{"post_logout_redirect_uris", []string{"http://tpp.example"}}, "invalid_client_metadata", "post_logout_redirect_uris"},
		{[]any{"frontchannel_logout_uri", "https://other.example"}, "invalid_client_metadata", "frontchannel_logout_uri"},
		{[]any{"frontchannel_logout_uri", "https://tpp.example:8443"}, "invalid_client_metadata", "frontchannel_logout_uri"},
		{[]any{"backchannel_token_delivery_mode", "push"}, "invalid_client_metadata", "backchannel_token_delivery_mode"},
		{[]any{"backchannel_token_delivery_mode", "poll"}, "invalid_client_metadata", "backchannel_client_notification_endpoint"},
		{[]any{"backchannel_client_notification_endpoint", nil}, "invalid_client_metadata", "backchannel_client_notification_endpoint"},
		{[]any{"tls_client_auth_subject_dn", "CN=x"}, "invalid_client_metadata", "tls_client_auth_subject_dn"},
		{[]any{"token_endpoint_auth_method", "tls_client_auth", "token_endpoint_auth_signing_alg", nil}, "invalid_client_metadata", "tls_client_auth_subject_dn"},
		{[]any{"token_endpoint_auth_method", "tls_client_auth", "tls_client_auth_san_dns", "a.example", "tls_client_auth_san_ip", "192.0.2.1"}, "invalid_client_metadata", "tls_client_auth_san_"},
		{[]any{"client_secret", "mine"}, "invalid_client_metadata", "client_secret"},
		{[]any{"software_id", 7}, "invalid_client_metadata", "software_id"},
		{[]any{"Scope", "accounts"}, "invalid_client_metadata", "scope"},
	}
	for _, member := range []string{"client_uri", "logo_uri", "policy_uri", "tos_uri", "initiate_login_uri", "backchannel_logout_uri", "backchannel_client_notification_endpoint", "sector_identifier_uri"} {
		for _, uri := range []string{"http://tpp.example", "javascript:alert(1)", "https://user@tpp.example", "https://0x7f.1/"} {
			rows = append(rows, badMember{[]any{member, uri}, "invalid_client_metadata", member})
		}
	}
	for _, what := range []string{"id_token_encrypted_response", "userinfo_encrypted_response", "authorization_encrypted_response", "introspection_encrypted_response", "request_object_encryption"} {
		rows = append(rows,
			badMember{[]any{what + "_alg", "RSA-OAEP"}, "invalid_client_metadata", what + "_alg"},
			badMember{[]any{what + "_enc", "A256GCM"}, "invalid_client_metadata", what + "_enc"})
	}
	return rows
}

// parsed reads a document into what a test compares.
func parsed(t *testing.T, text []byte) (value any) {
	t.Helper()
	if err := json.Unmarshal(text, &value); err != nil {
		t.Fatal(err)
	}
	return value
}

// initialToken makes an initial access token for the default realm.
func initialToken(t testing.TB, s *servertest.Server, allows registration.Allowance) string {
	t.Helper()
	_, text, err := s.InitialTokens("default").Create(t.Context(), allows)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Where redirect URIs may lead depends on the application type, and on the policy.
func TestRegisterRedirectURIs(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Registering())
	secret := initialToken(t, s, registration.Allowance{Policy: "fapi2", Uses: 100})
	tpp := s.TPP("known", servertest.JWT)
	keys := parsed(t, tpp.Metadata.JWKS)
	for _, row := range []struct {
		uri, kind     string
		oauth2, fapi2 bool
	}{
		{"https://tpp.example/cb", "", true, true}, {"https://tpp.example/cb", "native", true, true},
		{"http://localhost:3000/cb", "", true, false}, {"http://localhost:3000/cb", "web", true, false}, {"http://localhost:3000/cb", "native", true, true},
		{"http://127.0.0.1/cb", "native", true, true}, {"http://[::1]:8080/cb", "native", true, true},
		{"com.example.app:/cb", "native", true, false}, {"com.example.app:/cb", "web", false, false}, {"myapp:/cb", "native", false, false},
		{"http://tpp.example/cb", "native", false, false}, {"http://127.0.0.1.tpp.example/cb", "native", false, false},
	} {
		for policy, accepted := range map[string]bool{"oauth2": row.oauth2, "fapi2": row.fapi2} {
			r := s.Registrant(s.Issuer)
			if policy == "fapi2" {
				r.Initial = secret
			}
			answer := r.Register(servertest.Plain("redirect_uris", []string{row.uri}, "application_type", any(row.kind),
				"token_endpoint_auth_method", "private_key_jwt", "jwks", keys))
			if accepted != (answer.Status == 201) || !accepted && answer.Error() != "invalid_redirect_uri" {
				t.Errorf("%s of %s under %s: %s", row.uri, row.kind, policy, answer)
			}
		}
	}
}

// The tokens and secrets of a registration are nowhere on disk, in no log and in no
// trace.
func TestRegisterKeepsNoSecret(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Registering())
	r := s.Registrant(s.MTLS)
	r.Initial = initialToken(t, s, registration.Allowance{Uses: 5})
	want(t, r.Register(servertest.WithSecret()), 201)
	secrets := []string{r.Initial, r.Secret, r.Token}
	want(t, r.Read(), 200)
	want(t, r.Update(servertest.WithSecret("client_secret", r.Secret)), 200)
	secrets = append(secrets, r.Token)
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {r.ClientID}, "client_secret": {"wrong"}}
	s.Do(r.HTTP, "POST", s.Issuer+"/token", servertest.Form, form.Encode())
	traces := s.Do(http.DefaultClient, "GET", s.Admin+"/traces", http.Header{"Accept": {"application/json"}}, "").Body
	s.Stop()
	database, err := os.ReadFile(filepath.Join(s.Dir, "fapid.db"))
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range secrets {
		for _, part := range strings.Split(secret, ".") {
			if len(part) < 40 {
				continue
			}
			for where, text := range map[string]string{"database": string(database), "log": s.Log.String(), "traces": traces} {
				if strings.Contains(text, part) {
					t.Errorf("%s is in the %s", secret, where)
				}
			}
		}
	}
}

// A client without grants, or without response types, is not told that it has those
// that are presumed of who names none; what it was answered changes nothing.
func TestRegisterWithoutGrants(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Registering())
	r := s.Registrant(s.Issuer)
	for name, metadata := range map[string]any{"no grants": servertest.WithSecret("grant_types", []string{}, "scope", nil), "no response types": servertest.WithSecret()} {
		created := want(t, r.Register(metadata), 201)
		if _, listed := created.JSON["grant_types"].([]any); !listed || !reflect.DeepEqual(created.JSON["response_types"], []any{}) {
			t.Errorf("%s: answered %s", name, created)
		}
		changed := want(t, r.Update(created.Body), 200)
		if !reflect.DeepEqual(changed.JSON["grant_types"], created.JSON["grant_types"]) || !reflect.DeepEqual(changed.JSON["response_types"], created.JSON["response_types"]) {
			t.Errorf("%s: was %s, and sent back %s", name, created, changed)
		}
	}
	if answer := r.Register(servertest.WithSecret("scope", "two  spaces")); strings.Contains(answer.Body, "scope scope") || answer.Error() != "invalid_client_metadata" {
		t.Errorf("%s", answer)
	}
}
