package server_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server"
	"github.com/fapid/fapid/server/servertest"
)

// protect registers two APIs: one with roles for the TPP, one that knows nobody.
func protect(t *testing.T, s *servertest.Server) {
	t.Helper()
	for _, api := range []registration.API{
		{
			ID: "target-api", Scopes: []string{"accounts", "payments"}, Roles: []string{"reader", "writer"}, Client: "target-client", AccessTokenExpiration: 60,
			Clients: map[string]registration.Access{"tpp": {Roles: []string{"reader"}, Scopes: []string{"accounts"}}},
		},
		{ID: "https://other.example.com", Clients: map[string]registration.Access{registration.AnyClient: {}}},
		{ID: "closed"},
		{ID: "fapi-only", Policies: []string{"fapi2"}, Clients: map[string]registration.Access{registration.AnyClient: {}}},
	} {
		if _, err := s.APIs("default").Put(t.Context(), api); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTargets(t *testing.T) {
	s := servertest.Start(t)
	protect(t, s)
	tpp := s.TPP("tpp", func(m *registration.Metadata) { m.Scope = "accounts payments openid" })
	bank := s.MTLS + "/bank"
	for _, test := range []struct {
		name  string
		form  url.Values
		error string
		aud   any
		roles []any
		scope string
	}{
		{"none: the realm's own", url.Values{}, "", bank, nil, "accounts payments openid"},
		{"audience", url.Values{"audience": {"target-api"}}, "", "target-api", []any{"reader"}, "accounts"},
		{"resource", url.Values{"resource": {"target-api"}}, "", "target-api", []any{"reader"}, "accounts"},
		{"the same twice", url.Values{"resource": {"target-api"}, "audience": {"target-api"}}, "", "target-api", []any{"reader"}, "accounts"},
		{"two", url.Values{"resource": {"target-api", "https://other.example.com"}}, "", []any{"target-api", "https://other.example.com"}, []any{"reader"}, "accounts openid"},
		{"narrowed", url.Values{"audience": {"target-api"}, "scope": {"payments accounts"}}, "", "target-api", []any{"reader"}, "accounts"},
		{"nothing left", url.Values{"audience": {"target-api"}, "scope": {"payments"}}, "invalid_scope", nil, nil, ""},
		{"unknown", url.Values{"audience": {"nowhere"}}, "invalid_target", nil, nil, ""},
		{"not for this client", url.Values{"audience": {"closed"}}, "invalid_target", nil, nil, ""},
		{"not under this policy", url.Values{"audience": {"fapi-only"}}, "invalid_target", nil, nil, ""},
		{"one of two", url.Values{"resource": {"target-api", "closed"}}, "invalid_target", nil, nil, ""},
	} {
		test.form.Set("grant_type", "client_credentials")
		answer := tpp.Post("token_endpoint", test.form)
		if test.error != "" {
			if answer.Status != http.StatusBadRequest || answer.Error() != test.error {
				t.Errorf("%s: %s", test.name, answer)
			}
			continue
		}
		if answer.Status != http.StatusOK {
			t.Errorf("%s: %s", test.name, answer)
			continue
		}
		got := claims(t, answer.JSON["access_token"].(string))
		if !same(got["aud"], test.aud) || !same(got["roles"], any(test.roles)) || got["scope"] != test.scope {
			t.Errorf("%s: aud %v, roles %v, scope %v", test.name, got["aud"], got["roles"], got["scope"])
		}
	}
}

// TestTargetsTogether: a token for several APIs gives a client nothing at one of them
// that this one did not give it: each sees the whole token. What one has never heard
// of cannot hurt it. The trace says what is left out.
func TestTargetsTogether(t *testing.T) {
	s := servertest.Start(t)
	for _, api := range []registration.API{
		{
			ID: "careful", Scopes: []string{"accounts", "payments"}, Roles: []string{"reader", "admin"},
			Clients: map[string]registration.Access{"tpp": {Scopes: []string{"accounts"}, Roles: []string{"reader"}}},
		},
		{
			ID: "generous", Scopes: []string{"accounts", "payments", "openid"}, Roles: []string{"reader", "admin", "painter"},
			Clients: map[string]registration.Access{registration.AnyClient: {Roles: []string{"admin", "painter"}}},
		},
		{ID: "scopeless", Roles: []string{"admin"}, Clients: map[string]registration.Access{registration.AnyClient: {Roles: []string{"admin"}}}},
	} {
		if _, err := s.APIs("default").Put(t.Context(), api); err != nil {
			t.Fatal(err)
		}
	}
	tpp := s.TPP("tpp", func(m *registration.Metadata) { m.Scope = "accounts payments openid" })
	for _, test := range []struct {
		name  string
		apis  []string
		scope string // asked for
		got   string // or the error
		roles []any
		lost  []string // checks of the trace that say what is left out
	}{
		{"the generous one alone", []string{"generous"}, "", "accounts payments openid", []any{"admin", "painter"}, nil},
		{"both", []string{"careful", "generous"}, "", "accounts openid", []any{"painter"}, []string{"roles at the APIs", "scope at the API"}},
		{"both, the other way round", []string{"generous", "careful"}, "", "accounts openid", []any{"painter"}, []string{"roles at the APIs", "scope at the API"}},
		{"one that looks at no scope", []string{"careful", "scopeless"}, "", "accounts openid", []any{"reader"}, []string{"roles at the APIs", "scope at the API"}},
		{"the realm's own", []string{s.MTLS + "/bank", "careful"}, "", "accounts openid", []any{"reader"}, []string{"scope at the API"}},
		{"nothing left", []string{"careful", "generous"}, "payments", "invalid_scope", nil, nil},
		{"nothing to leave out", []string{"careful", "generous"}, "accounts", "accounts", []any{"painter"}, []string{"roles at the APIs"}},
		{"the same one twice", []string{"careful", "careful"}, "", "accounts", []any{"reader"}, []string{"scope at the API"}},
	} {
		form := url.Values{"grant_type": {"client_credentials"}, "resource": test.apis}
		if test.scope != "" {
			form.Set("scope", test.scope)
		}
		answer := tpp.Post("token_endpoint", form)
		if answer.Status != http.StatusOK {
			if answer.Error() != test.got {
				t.Errorf("%s: %s", test.name, answer)
			}
			event := s.Explain(answer)
			if check, _ := event.Failed(); check.Expected != "accounts openid" || check.Presented != test.scope {
				t.Errorf("%s: the trace says %+v", test.name, check)
			}
			continue
		}
		got := claims(t, answer.JSON["access_token"].(string))
		if got["scope"] != test.got || answer.JSON["scope"] != test.got || !same(got["roles"], any(test.roles)) {
			t.Errorf("%s: scope %v, roles %v", test.name, got["scope"], got["roles"])
		}
		var lost []string
		for _, check := range s.Explain(answer).Checks {
			if strings.HasSuffix(check.Name, "at the API") || strings.HasSuffix(check.Name, "at the APIs") {
				lost = append(lost, check.Name)
			}
		}
		if !slices.Equal(lost, test.lost) {
			t.Errorf("%s: the trace has %q", test.name, lost)
		}
	}
}

// TestTargetsExplained: all that a client is told is that it may have no token for the
// API; the trace says why, and what there is.
func TestTargetsExplained(t *testing.T) {
	s := servertest.Start(t)
	protect(t, s)
	tpp := s.TPP("tpp")
	for audience, want := range map[string][3]string{
		"target-api/": {"closed, fapi-only", "; the nearest is target-api", "register the API"},
		"closed":      {"lets tpp call it", "lets tpp call it", "among the clients"},
		"fapi-only":   {"fapi2", "under sandbox", "put the client under a policy of the API"},
	} {
		answer := tpp.Post("token_endpoint", url.Values{"grant_type": {"client_credentials"}, "audience": {audience}})
		event := s.Explain(answer)
		check, failed := event.Failed()
		if !failed || !strings.Contains(check.Expected, want[0]) || !strings.Contains(check.Expected, want[1]) || !strings.Contains(check.Advice, want[2]) {
			t.Errorf("%s: %+v", audience, check)
		}
		if description := answer.JSON["error_description"]; description != "the client may have no token for this API" {
			t.Errorf("%s: the client is told %v", audience, description)
		}
	}
}

// same compares what JSON gives: texts and lists of texts.
func same(a, b any) bool {
	listA, _ := a.([]any)
	listB, _ := b.([]any)
	_, lists := b.([]any)
	if listA == nil && listB == nil {
		return !lists && a == b || lists && a == nil
	}
	return slices.Equal(listA, listB)
}

// TestAPIClientIntrospects: the API's own client sees the tokens meant for it,
// and no others.
func TestAPIClientIntrospects(t *testing.T) {
	s := servertest.Start(t)
	protect(t, s)
	tpp, api := s.TPP("tpp"), s.TPP("target-client")
	token := tpp.Token(url.Values{"audience": {"target-api"}})
	answer := api.Post("introspection_endpoint", url.Values{"token": {token}})
	if answer.JSON["active"] != true || !same(answer.JSON["roles"], []any{"reader"}) {
		t.Errorf("its own API's token: %s", answer)
	}
	if got := answer.JSON["exp"].(float64) - answer.JSON["iat"].(float64); got != 60 {
		t.Errorf("the API's tokens live 60 s, this one %v", got)
	}
	if answer := api.Post("introspection_endpoint", url.Values{"token": {tpp.Token()}}); answer.Body != `{"active":false}` {
		t.Errorf("another API's token: %s", answer)
	}
	if answer := tpp.Bank(token); answer.Status != http.StatusUnauthorized {
		t.Errorf("the bank took another API's token: %s", answer)
	}
	s.Restart()
	tpp.Connect()
	tpp.Token(url.Values{"audience": {"target-api"}})
}

// TestSubjectTemplate: sub is what the realm says.
func TestSubjectTemplate(t *testing.T) {
	s := servertest.Start(t, func(config *server.Config) { config.Realms["strict"].Subject = "service-account-{client_id}" })
	if got := claims(t, s.TPPIn("strict", "my-client-id").Token())["sub"]; got != "service-account-my-client-id" {
		t.Errorf("sub is %v", got)
	}
}
