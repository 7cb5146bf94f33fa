package server_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/servertest"
)

// claims and header read a JWT without verifying it.
func claims(t *testing.T, compact string) map[string]any { t.Helper(); return part(t, compact, 1) }
func header(t *testing.T, compact string) map[string]any { t.Helper(); return part(t, compact, 0) }

func part(t *testing.T, compact string, index int) (members map[string]any) {
	t.Helper()
	parts := strings.Split(compact, ".")
	if len(parts) != 3 {
		t.Fatalf("not a JWT: %s", compact)
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[index])
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &members); err != nil {
		t.Fatal(err)
	}
	return members
}

func TestBoundToken(t *testing.T) {
	s := servertest.Start(t)
	tpp, other := s.TPP("tpp"), s.TPP("other")

	token := tpp.Token()
	got := claims(t, token)
	digest := sha256.Sum256(tpp.Transport[0].Raw)
	if want := base64.RawURLEncoding.EncodeToString(digest[:]); got["cnf"].(map[string]any)["x5t#S256"] != want {
		t.Errorf("cnf is %v, want x5t#S256 %s", got["cnf"], want)
	}
	for claim, want := range map[string]any{"iss": s.Issuer, "sub": "tpp", "client_id": "tpp", "scope": "accounts", "aud": s.MTLS + "/bank"} {
		if got[claim] != want {
			t.Errorf("%s is %v, want %v", claim, got[claim], want)
		}
	}

	if answer := tpp.Bank(token); answer.Status != http.StatusOK {
		t.Errorf("the bank refused the token: %s", answer)
	}
	answer := other.Bank(token)
	if answer.Status != http.StatusUnauthorized || answer.Error() != "invalid_token" {
		t.Errorf("with another certificate: %s", answer)
	}
	event := s.Explain(answer)
	if check, failed := event.Failed(); !failed || check.Name != "token binding" {
		t.Errorf("the trace does not explain it: %+v", check)
	}
	standard := s.Do(tpp.HTTP, http.MethodGet, s.Issuer+"/bank/accounts", http.Header{"Authorization": {"Bearer " + token}}, "")
	if standard.Status != http.StatusUnauthorized || standard.Error() != "invalid_token" {
		t.Errorf("on the standard listener: %s", standard)
	}
}

// TestWithoutToken: whoever brings no token, or something else, is told how to
// authenticate and nothing about a token (RFC 6750 section 3.1).
func TestWithoutToken(t *testing.T) {
	s := servertest.Start(t)
	tpp := s.TPP("tpp")
	for _, authorization := range [][]string{nil, {"Basic eDp5"}, {"Negotiate x"}} {
		answer := s.Do(tpp.HTTP, http.MethodGet, s.MTLS+"/bank/accounts", http.Header{"Authorization": authorization}, "")
		challenges := answer.Header["Www-Authenticate"]
		if answer.Status != http.StatusUnauthorized || len(challenges) != 2 || challenges[0] != `Bearer realm="`+s.Issuer+`"` || !strings.HasPrefix(challenges[1], `DPoP realm="`+s.Issuer+`", algs="`) {
			t.Errorf("%q: %s, WWW-Authenticate %q", authorization, answer, challenges)
		}
	}
}

// TestNotToBeKept: no cache keeps a token, one of HTTP/1.0 neither (RFC 6749 section
// 5.1); what is for everybody may be kept.
func TestNotToBeKept(t *testing.T) {
	s := servertest.Start(t)
	tpp := s.TPP("tpp")
	form := url.Values{"grant_type": {"client_credentials"}}
	for what, answer := range map[string]servertest.Answer{
		"a token": tpp.Post("token_endpoint", form), "a refusal": tpp.Post("token_endpoint", nil), "introspection": tpp.Post("introspection_endpoint", url.Values{"token": {"x"}}),
	} {
		if answer.Header.Get("Cache-Control") != "no-store" || answer.Header.Get("Pragma") != "no-cache" {
			t.Errorf("%s: %v", what, answer.Header)
		}
	}
	if answer := s.Do(tpp.HTTP, http.MethodGet, s.Issuer+"/jwks", nil, ""); answer.Status != http.StatusOK || answer.Header.Get("Pragma") != "" {
		t.Errorf("keys: %v", answer.Header)
	}
}

// TestIntrospectionForm: an answer is signed for those who prefer that (RFC 9701
// section 4), and for those who are registered for it whatever they accept.
func TestIntrospectionForm(t *testing.T) {
	const plain, signed = "application/json", "application/token-introspection+jwt"
	s := servertest.Start(t)
	tpp := s.TPP("tpp", servertest.JWT)
	registered := s.TPP("registered", servertest.JWT, func(m *registration.Metadata) { m.IntrospectionSignedResponseAlg = "ES256" })
	for accept, want := range map[string]string{
		"": plain, "*/*": plain, plain: plain, "text/html": plain, signed: signed, signed + ", " + plain: signed, signed + ", */*;q=0.5": signed,
		plain + ", " + signed + ";q=0.5": plain, signed + ";q=0.5, */*": plain, signed + ";q=0": plain, signed + ";q=0.1": signed,
	} {
		for who, want := range map[*servertest.TPP]string{tpp: want, registered: signed} {
			form := withAssertion(door{}.form("token", "x"), claiming()(t, who))
			header := http.Header{"Accept": {accept}, "Content-Type": servertest.Form["Content-Type"]}
			if answer := exchange(t, s, who.HTTP, http.MethodPost, s.MTLS+"/token/introspection", header, form.Encode()); answer.Status != http.StatusOK || answer.Header.Get("Content-Type") != want {
				t.Errorf("%s, Accept %q: %s %s, want %s", who.Metadata.ClientID, accept, answer.Header.Get("Content-Type"), answer, want)
			}
		}
	}
}

func TestRevocationBites(t *testing.T) {
	s := servertest.Start(t)
	tpp := s.TPP("tpp")
	token := tpp.Token()
	if answer := tpp.Post("introspection_endpoint", url.Values{"token": {token}}); answer.JSON["active"] != true {
		t.Fatalf("before: %s", answer)
	}
	if answer := tpp.Post("revocation_endpoint", url.Values{"token": {token}}); answer.Status != http.StatusOK {
		t.Fatalf("revocation: %s", answer)
	}
	if answer := tpp.Post("introspection_endpoint", url.Values{"token": {token}}); answer.Body != `{"active":false}` {
		t.Errorf("after: %s", answer)
	}
	answer := tpp.Bank(token)
	if answer.Status != http.StatusUnauthorized {
		t.Errorf("the bank after revocation: %s", answer)
	}
	if event := s.Explain(answer); event.ClientID != "" || event.ClaimedID != "tpp" {
		t.Errorf("the trace is of client %q, claimed %q, want a token of tpp that nobody may use", event.ClientID, event.ClaimedID)
	}
}

func TestPrivateKeyJWT(t *testing.T) {
	s := servertest.Start(t)
	tpp := s.TPP("tpp", servertest.JWT)
	if got := claims(t, tpp.Token()); got["cnf"] != nil {
		t.Errorf("a token nobody asked to bind has cnf %v", got["cnf"])
	}
}

// A client that is registered anew under the name of one that was deleted is
// another client: what the first had is dead.
func TestTokensDieWithTheirClient(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	tpp := s.TPP("phoenix")
	token := tpp.Token()
	wantAnswer(t, tpp.Bank(token), http.StatusOK, "")
	if err := s.Clients("default").Delete(t.Context(), "phoenix"); err != nil {
		t.Fatal(err)
	}
	wantAnswer(t, tpp.Bank(token), http.StatusUnauthorized, "invalid_token")
	s.Clock.Move(2 * time.Second)
	if _, _, err := s.Clients("default").Put(t.Context(), tpp.Metadata); err != nil {
		t.Fatal(err)
	}
	wantAnswer(t, tpp.Bank(token), http.StatusUnauthorized, "invalid_token")
	wantAnswer(t, tpp.Bank(tpp.Token()), http.StatusOK, "")
}
