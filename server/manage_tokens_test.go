package server_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/servertest"
)

// TestManagedSessions: what was issued is listed, shown and ended, and dead at once
// wherever a token is looked at.
func TestManagedSessions(t *testing.T) {
	s := servertest.Start(t, managed)
	m := newAdministrator(t, s)
	tpp := s.TPP("tpp", refreshing, opaque)
	first, second := begin(t, tpp), begin(t, tpp)
	list := m.do("GET", "/sessions?client=tpp", "")
	sessions := list.JSON["sessions"].([]any)
	id := strings.Split(first.access, ".")[2]
	if len(sessions) != 2 || !has(sessions, "jti", id) {
		t.Fatalf("listed: %s", list)
	}
	if shown := m.do("GET", "/sessions/"+id, ""); shown.JSON["state"] != "live" || shown.JSON["client_id"] != "tpp" {
		t.Errorf("shown: %s", shown)
	}
	for _, header := range [][]string{{"If-Match", `"x"`}, {"If-Match", `"..json"`}, {"If-None-Match", "*"}} {
		wantAnswer(t, m.do("DELETE", "/sessions/"+id, "", header...), http.StatusPreconditionFailed, "precondition_failed")
	}
	if ended := m.do("DELETE", "/sessions/"+id, "", "If-Match", "*"); ended.Status != http.StatusNoContent {
		t.Errorf("ended: %s", ended)
	}
	wantAnswer(t, tpp.Bank(first.access), http.StatusUnauthorized, "invalid_token")
	if answer := tpp.Bank(second.access); answer.Status != http.StatusOK {
		t.Errorf("another session is dead, too: %s", answer)
	}
	wantAnswer(t, tpp.Post("token_endpoint", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {first.refresh}}), http.StatusBadRequest, "invalid_grant")
	shown := m.do("GET", "/sessions/"+id, "")
	if ended, _ := shown.JSON["ended"].(map[string]any); shown.JSON["state"] != "ended" || ended["by"] != "manager" {
		t.Errorf("shown after its end: %s", shown)
	}
	wantAnswer(t, m.do("DELETE", "/sessions/nothing", ""), http.StatusNotFound, "not_found")
	if strings.Contains(list.Body+shown.Body, "fapid_at") || strings.Contains(list.Body+shown.Body, "hash") {
		t.Errorf("a token is shown: %s", list)
	}
}

// TestEndOwnSession: whoever has a token ends its session with it, whatever the
// token is for and bound to, with no scope; it is dead everywhere, and a dead one
// ends nothing.
func TestEndOwnSession(t *testing.T) {
	s := servertest.Start(t, managed)
	protect(t, s)
	for name, test := range map[string]struct {
		change []func(*registration.Metadata)
		form   url.Values
	}{
		"JWT, not recorded, for the bank": {nil, url.Values{}},
		"JWT for another API":             {nil, url.Values{"audience": {"https://other.example.com"}}},
		"opaque":                          {[]func(*registration.Metadata){opaque}, url.Values{}},
		"bound by DPoP":                   {[]func(*registration.Metadata){servertest.DPoP}, url.Values{}},
		"unbound":                         {[]func(*registration.Metadata){servertest.JWT}, url.Values{}},
		"for the management API":          {nil, url.Values{"audience": {s.Issuer + "/manage"}}},
	} {
		tpp := s.TPP(fmt.Sprintf("tpp-%d", len(name)), append(test.change, func(m *registration.Metadata) { m.Scope = "accounts" })...)
		token := tpp.Token(test.form)
		end := func() servertest.Answer {
			return tpp.Call(token, http.MethodDelete, s.MTLS+"/manage/sessions", nil, "")
		}
		if answer := end(); answer.Status != http.StatusNoContent || answer.Body != "" {
			t.Errorf("%s: %s", name, answer)
			continue
		}
		wantAnswer(t, end(), http.StatusUnauthorized, "invalid_token")
		wantAnswer(t, tpp.Bank(token), http.StatusUnauthorized, "invalid_token")
		wantAnswer(t, tpp.Call(token, http.MethodGet, s.MTLS+"/manage/clients", nil, ""), http.StatusUnauthorized, "invalid_token")
		if answer := tpp.Post("introspection_endpoint", url.Values{"token": {token}}); answer.Body != `{"active":false}` {
			t.Errorf("%s: introspected as %s", name, answer)
		}
	}
	// The binding holds here, too: a thief ends nothing.
	tpp, thief := s.TPP("victim"), s.TPP("thief")
	token := tpp.Token()
	wantAnswer(t, thief.Call(token, http.MethodDelete, s.MTLS+"/manage/sessions", nil, ""), http.StatusUnauthorized, "invalid_token")
	if answer := tpp.Bank(token); answer.Status != http.StatusOK {
		t.Errorf("the token is dead: %s", answer)
	}
}

// TestManagementTargets: a request for the scopes of the management API alone is
// for it; a token for another API never has them.
func TestManagementTargets(t *testing.T) {
	s := servertest.Start(t, managed)
	protect(t, s)
	tpp := s.TPP("tpp", func(m *registration.Metadata) { m.Scope = "accounts fapid:keys.read" })
	api, bank, other := s.Issuer+"/manage", s.MTLS+"/bank", "https://other.example.com"
	for _, test := range []struct {
		form  url.Values
		error string
		aud   any
		scope string
	}{
		{url.Values{}, "", bank, "accounts"},
		{url.Values{"scope": {"fapid:keys.read"}}, "", api, "fapid:keys.read"},
		{url.Values{"scope": {"fapid:keys.read accounts"}}, "", bank, "accounts"},
		{url.Values{"audience": {api}}, "", api, "fapid:keys.read"},
		{url.Values{"audience": {api}, "scope": {"accounts"}}, "invalid_scope", nil, ""},
		{url.Values{"audience": {api}, "scope": {"fapid:keys.write"}}, "invalid_scope", nil, ""},
		{url.Values{"audience": {other}}, "", other, "accounts"},
		{url.Values{"audience": {other}, "scope": {"fapid:keys.read"}}, "invalid_scope", nil, ""},
		{url.Values{"audience": {bank}, "scope": {"fapid:keys.read"}}, "invalid_scope", nil, ""},
		{url.Values{"resource": {other, api}}, "", []any{other, api}, "accounts fapid:keys.read"},
	} {
		test.form.Set("grant_type", "client_credentials")
		answer := tpp.Post("token_endpoint", test.form)
		if test.error != "" {
			wantAnswer(t, answer, http.StatusBadRequest, test.error)
			continue
		}
		if answer.Status != http.StatusOK {
			t.Errorf("%v: %s", test.form, answer)
			continue
		}
		got := claims(t, answer.JSON["access_token"].(string))
		if !same(got["aud"], test.aud) || got["scope"] != test.scope || answer.JSON["scope"] != test.scope {
			t.Errorf("%v: aud %v, scope %v", test.form, got["aud"], got["scope"])
		}
	}
	// A client without any such scope has tokens for it, too: policies are for that.
	plain := s.TPP("plain")
	if got := claims(t, plain.Token(url.Values{"audience": {api}})); got["aud"] != api || got["scope"] != nil {
		t.Errorf("aud %v, scope %v", got["aud"], got["scope"])
	}
}

// TestDefaultAudience: what a client registered is what its tokens are for when it
// asks for nothing.
func TestDefaultAudience(t *testing.T) {
	s := servertest.Start(t)
	protect(t, s)
	tpp := s.TPP("tpp", refreshing, func(m *registration.Metadata) {
		m.DefaultAudience = []string{"target-api", "https://other.example.com"}
	})
	tokens := begin(t, tpp)
	if got := claims(t, tokens.access)["aud"]; !same(got, []any{"target-api", "https://other.example.com"}) {
		t.Errorf("aud %v", got)
	}
	if got := claims(t, tpp.Token(url.Values{"audience": {"target-api"}}))["aud"]; got != "target-api" {
		t.Errorf("aud %v", got)
	}
	again := pairOf(t, tpp.Post("token_endpoint", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tokens.refresh}}))
	if got := claims(t, again.access)["aud"]; !same(got, []any{"target-api", "https://other.example.com"}) {
		t.Errorf("aud after a refresh %v", got)
	}
	closed := s.TPP("closed", func(m *registration.Metadata) { m.DefaultAudience = []string{"closed"} })
	wantAnswer(t, closed.Post("token_endpoint", url.Values{"grant_type": {"client_credentials"}}), http.StatusBadRequest, "invalid_target")
}

// TestManagementIsNotExchangedFor: no token for the management API comes of what is
// another client's, nor of a client's word; of its own a client can make less.
func TestManagementIsNotExchangedFor(t *testing.T) {
	s := servertest.Start(t, managed)
	chain(t, s)
	api := s.Issuer + "/manage"
	scoped := func(m *registration.Metadata) { m.Scope = "accounts fapid:keys.read fapid:keys.write" }
	m, shop := s.TPP("administrator", servertest.Exchanging, scoped), s.TPP("shop", servertest.Exchanging, scoped)
	held := received(m, "shop-api", "resource", api, "scope", "accounts fapid:keys.read")
	for name, answer := range map[string]servertest.Answer{
		"a token that names both": shop.Exchange(held, "audience", api),
		"its scopes alone":        shop.Exchange(held, "scope", "fapid:keys.read"),
		"another's word":          shop.Bearer(m.Grant("administrator"), "audience", api),
		"its own word":            shop.Bearer(shop.Grant("shop"), "audience", api),
	} {
		if answer.Error() != "invalid_target" {
			t.Errorf("%s: %s", name, answer)
		}
	}
	less := exchanged(t, m.Exchange(m.Token(url.Values{"audience": {api}}), "scope", "fapid:keys.read"))
	if got := claims(t, less); got["aud"] != api || got["scope"] != "fapid:keys.read" {
		t.Errorf("aud %v, scope %v", got["aud"], got["scope"])
	}
	if answer := m.Call(less, http.MethodGet, s.MTLS+"/manage/keys", nil, ""); answer.Status != http.StatusOK {
		t.Errorf("read: %s", answer)
	}
	wantAnswer(t, m.Call(less, http.MethodPost, s.MTLS+"/manage/keys/rotate", nil, ""), http.StatusForbidden, "insufficient_scope")
}

// What was issued to a client ends with it, whoever deletes it: another client of its
// name, be it there within the same second, has nothing of it.
func TestSessionsEndWithTheClient(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, managed)
	m := newAdministrator(t, s)
	for name, remove := range map[string]func(path string) servertest.Answer{
		"manager": func(path string) servertest.Answer { return m.do(http.MethodDelete, path, "") },
		"operator": func(path string) servertest.Answer {
			return operate(t, s, http.MethodDelete, "/realms/default"+path, "")
		},
	} {
		tpp := s.TPP("of-"+name, opaque)
		token := tpp.Token()
		client, _ := s.Clients("default").Get("of-" + name)
		if answer := remove("/clients/of-" + name); answer.Status != 204 {
			t.Fatal(answer)
		}
		if left := m.do(http.MethodGet, "/sessions?state=live&client=of-"+name, ""); left.Status != 200 || !strings.Contains(strings.ReplaceAll(left.Body, " ", ""), `"sessions":[]`) {
			t.Errorf("%s: sessions of a deleted client are live: %s", name, left)
		}
		if _, _, err := s.Clients("default").Put(t.Context(), client.Metadata); err != nil {
			t.Fatal(err)
		}
		if answer := callBank(t, s, tpp.HTTP, s.MTLS, token); answer.Status != 401 {
			t.Errorf("%s: a token of the deleted client is good again: %s", name, answer)
		}
	}
}
