package server_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/servertest"
)

// Hosts and proxies are held to the same rules as on the mTLS listener, and every
// request is logged and counted.
func TestDirectoryListener(t *testing.T) {
	s := servertest.Start(t, servertest.WithDirectory)
	m := s.Member("Alpha", aisp)
	answer := exchange(t, s, m.HTTP, http.MethodGet, s.Registry+"/participants", http.Header{"Host": {"other.example"}}, "")
	wantAnswer(t, answer, http.StatusMisdirectedRequest, "misdirected_request")
	answer = exchange(t, s, m.HTTP, http.MethodGet, s.Registry+"/participants", http.Header{"Client-Cert": {":AAAA:"}}, "")
	wantAnswer(t, answer, 400, "invalid_request")
	answer = want(t, m.Call("GET", m.Of(""), ""), 200)
	event := s.Explain(answer)
	if event.Listener != "directory" || event.Endpoint != "directory/organisations/{organisation}" || event.ClientID != m.Software || event.Realm != "default" {
		t.Errorf("the event is %+v", event)
	}
	metrics := want(t, s.Operate("GET", "/metrics", ""), 200).Body
	if !strings.Contains(metrics, `listener="directory"`) || !strings.Contains(metrics, `endpoint="directory/organisations/{organisation}"`) {
		t.Error("the directory is not in the metrics")
	}
	// The trace says who called, with what, for what.
	var checks []string
	for _, check := range event.Checks {
		checks = append(checks, check.Name)
	}
	if !slices.Contains(checks, "directory caller") || !slices.Contains(checks, "token binding") || !slices.Contains(checks, "scope") {
		t.Errorf("checks %v", checks)
	}
}

// Without listeners.directory there is none of it.
func TestNoDirectory(t *testing.T) {
	s := servertest.Start(t)
	if s.Directory() != nil || s.Registry != "" {
		t.Error("there is a directory")
	}
	want(t, s.Operate("GET", "/directory/organisations", ""), 404)
	tpp := s.TPP("tpp", func(m *registration.Metadata) { m.Scope = "accounts directory:software" })
	if aud := decodeJWT(t, tpp.Token(scope("directory:software")))["aud"]; aud != s.MTLS+"/bank" {
		t.Errorf("a token for %v", aud)
	}
}

// The directory's URL chooses it as any API's does, and its scope is its alone.
func TestDirectoryAudience(t *testing.T) {
	s := servertest.Start(t, servertest.WithDirectory)
	tpp := s.TPP("tpp", func(m *registration.Metadata) { m.Scope = "accounts directory:software" })
	for form, aud := range map[string]string{
		`{"scope":["directory:software"]}`:          s.Registry,
		`{"scope":["directory:software accounts"]}`: s.MTLS + "/bank",
		`{}`:                                  s.MTLS + "/bank",
		`{"resource":["` + s.Registry + `"]}`: s.Registry,
		`{"audience":["` + s.Registry + `"],"scope":["accounts directory:software"]}`: s.Registry,
	} {
		var values map[string][]string
		if err := json.Unmarshal([]byte(form), &values); err != nil {
			t.Fatal(err)
		}
		claims := decodeJWT(t, tpp.Token(values))
		if want := map[string]string{s.Registry: "directory:software", s.MTLS + "/bank": "accounts"}[aud]; claims["aud"] != aud || claims["scope"] != want {
			t.Errorf("%s: a token for %v with scope %v, want %s", form, claims["aud"], claims["scope"], aud)
		}
	}
	for api, scope := range map[string]string{s.Registry: "accounts", s.MTLS + "/bank": "directory:software"} {
		answer := tpp.Post("token_endpoint", map[string][]string{"grant_type": {"client_credentials"}, "audience": {api}, "scope": {scope}})
		wantAnswer(t, answer, 400, oauth.CodeInvalidScope)
	}
}
