package server_test

import (
	"net/http"
	"testing"

	"github.com/fapid/fapid/server/servertest"
)

// signedIntrospection fetches an RFC 9701 answer about a token.
func signedIntrospection(t testing.TB, tpp *servertest.TPP, token string) string {
	t.Helper()
	s := tpp.S
	form := withAssertion(door{}.form("token", token), claiming()(t, tpp))
	header := http.Header{"Accept": {"application/token-introspection+jwt"}}
	header["Content-Type"] = servertest.Form["Content-Type"]
	answer := exchange(t, s, tpp.HTTP, http.MethodPost, s.MTLS+"/token/introspection", header, form.Encode())
	if answer.Status != http.StatusOK || answer.Header.Get("Content-Type") != "application/token-introspection+jwt" {
		t.Fatalf("no signed answer: %s", answer)
	}
	return answer.Body
}
