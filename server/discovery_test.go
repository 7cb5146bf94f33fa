package server_test

import (
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fapid/fapid/server"
	"github.com/fapid/fapid/server/servertest"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares a text with a file of testdata, after the addresses of this
// run are replaced by those of the README.
func golden(t *testing.T, s *servertest.Server, name, got string) {
	t.Helper()
	got = strings.NewReplacer(s.Issuer, "https://localhost:8443", s.MTLS, "https://localhost:8444", s.Admin, "http://localhost:9000").Replace(got)
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; if that is meant, run go test ./server -update\ngot:\n%s\nwant:\n%s", name, got, want)
	}
}

// TestDiscovery: what a realm serves is what it advertises, at both places a
// client looks, on both listeners, also for an issuer with a path.
func TestDiscovery(t *testing.T) {
	s := servertest.Start(t)
	client := s.TPP("reader").HTTP
	for _, realm := range []struct{ name, oidc, oauth string }{
		{"default", "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"},
		{"strict", "/realms/strict/.well-known/openid-configuration", "/.well-known/oauth-authorization-server/realms/strict"},
	} {
		for _, base := range []string{s.Issuer, s.MTLS} {
			for _, path := range []string{realm.oidc, realm.oauth} {
				answer := s.Do(client, http.MethodGet, base+path, nil, "")
				if answer.Status != http.StatusOK || answer.Header.Get("Content-Type") != "application/json" {
					t.Fatalf("%s: %s", base+path, answer)
				}
				golden(t, s, "discovery-"+realm.name+".json", answer.Body)
			}
		}
	}
}

// TestAliasesAreServed: every endpoint that discovery names answers, and an
// alias is of an endpoint that is named without it too.
func TestAliasesAreServed(t *testing.T) {
	s := servertest.Start(t)
	client := s.TPP("reader").HTTP
	document := s.Do(client, http.MethodGet, s.Issuer+"/.well-known/openid-configuration", nil, "").JSON
	aliases := document["mtls_endpoint_aliases"].(map[string]any)
	for name, address := range aliases {
		if _, ok := document[name]; !ok {
			t.Errorf("alias %s has no counterpart", name)
		}
		if answer := s.Do(client, http.MethodPost, address.(string), servertest.Form, ""); answer.Status != http.StatusUnauthorized {
			t.Errorf("%s: %s", address, answer)
		}
	}
	for _, name := range []string{"token_endpoint", "introspection_endpoint", "revocation_endpoint"} {
		if aliases[name] == nil {
			t.Errorf("no alias for %s", name)
		}
	}
	if answer := s.Do(client, http.MethodGet, document["jwks_uri"].(string), nil, ""); len(answer.JSON["keys"].([]any)) != 6 {
		t.Errorf("jwks: %s", answer)
	}
}

// TestRealmsAreApart: one realm's clients, tokens and keys are nothing in another.
func TestRealmsAreApart(t *testing.T) {
	s := servertest.Start(t)
	here, there := s.TPPIn("default", "tpp"), s.TPPIn("strict", "tpp")
	token := there.Token()
	if answer := here.Post("introspection_endpoint", map[string][]string{"token": {token}}); answer.Body != `{"active":false}` {
		t.Errorf("a foreign realm's token introspects as %s", answer)
	}
	if answer := here.Bank(token); answer.Status != http.StatusUnauthorized {
		t.Errorf("the bank took a foreign realm's token: %s", answer)
	}
	refused := s.Do(there.HTTP, http.MethodPost, there.Provider.Aliases["token_endpoint"], servertest.Form, "grant_type=client_credentials&client_id=only-here")
	if refused.Error() != "invalid_client" {
		t.Errorf("a client of another realm: %s", refused)
	}
	if _, leaks := refused.JSON["error_uri"]; leaks {
		t.Errorf("a strict realm explains itself on the wire: %s", refused)
	}
	explained := s.Do(here.HTTP, http.MethodPost, here.Provider.Aliases["token_endpoint"], servertest.Form, "grant_type=client_credentials&client_id=nobody")
	if _, ok := explained.JSON["error_uri"]; !ok {
		t.Errorf("a sandbox realm does not explain itself: %s", explained)
	}
}

// TestRealmClock: what is valid by one realm's clock has expired by another's.
func TestRealmClock(t *testing.T) {
	s := servertest.Start(t, func(config *server.Config) {
		config.Realms["strict"].Clock = server.Offset(400 * 24 * time.Hour)
	})
	s.TPPIn("default", "tpp").Token()
	late := s.TPPIn("strict", "late")
	answer := s.Do(late.HTTP, http.MethodPost, late.Provider.Aliases["token_endpoint"], servertest.Form, "grant_type=client_credentials&client_id=late")
	if answer.Status != http.StatusUnauthorized || answer.Error() != "invalid_client" {
		t.Fatalf("a certificate that has expired by the realm's clock: %s", answer)
	}
	event := s.Explain(answer)
	if check, failed := event.Failed(); !failed || check.Name != "certificate validity" {
		t.Errorf("the trace says %+v", check)
	}
}
