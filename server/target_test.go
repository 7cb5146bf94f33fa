package server_test

import (
	"net/http"
	"net/url"
	"slices"
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
		{"two", url.Values{"resource": {"target-api", "https://other.example.com"}}, "", []any{"target-api", "https://other.example.com"}, []any{"reader"}, "accounts payments openid"},
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

// same compares what JSON gives: texts and lists of texts.
func same(a, b any) bool {
	listA, _ := a.([]any)
	listB, _ := b.([]any)
	if listA == nil && listB == nil {
		return a == b || a == nil || b == nil && a == nil
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
