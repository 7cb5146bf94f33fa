package server_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/fapid/fapid/server/participant"
	"github.com/fapid/fapid/server/servertest"
)

// TestRefreshBoundByDPoP: a session that began with a DPoP proof goes on with one
// and never without (attack F6), although the client registered for no binding.
// Being refused for that spends nothing.
func TestRefreshBoundByDPoP(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	tpp := s.TPP("tpp", servertest.JWT, refreshing)
	ask := func(form ...string) servertest.Answer {
		t.Helper()
		assertion, err := tpp.Assertion(s.Issuer, s.Clock.Now())
		if err != nil {
			t.Fatal(err)
		}
		proof, err := tpp.Proof(http.MethodPost, s.Issuer+"/token", participant.Proof{})
		if err != nil {
			t.Fatal(err)
		}
		header := servertest.Form.Clone()
		header.Set("DPoP", proof)
		form = append(form, "client_assertion_type", participant.AssertionType, "client_assertion", assertion)
		return s.Do(tpp.HTTP, http.MethodPost, s.Issuer+"/token", header, door{endpoint: "token_endpoint"}.form(form...).Encode())
	}
	first := pairOf(t, ask())
	s.Clock.Move(2 * time.Second)
	wantAnswer(t, refresh(tpp, first.refresh), http.StatusBadRequest, "invalid_grant")
	again := ask("grant_type", "refresh_token", "refresh_token", first.refresh)
	second := pairOf(t, again)
	if again.JSON["token_type"] != "DPoP" {
		t.Errorf("token_type is %v", again.JSON["token_type"])
	}
	if before, after := claims(t, first.access)["cnf"], claims(t, second.access)["cnf"]; before.(map[string]any)["jkt"] != after.(map[string]any)["jkt"] {
		t.Errorf("bound to %v at first, then to %v", before, after)
	}
}
