package server_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/servertest"
)

// opaque makes a TPP's access tokens opaque.
func opaque(m *registration.Metadata) { m.AccessTokenFormat = oauth.FormatOpaque }

// TestOpaqueToken: an opaque token is worth what a JWT is, at the bank, at
// introspection and at revocation, and survives a restart.
func TestOpaqueToken(t *testing.T) {
	s := servertest.Start(t)
	tpp, other, jwt := s.TPP("tpp", opaque), s.TPP("other"), s.TPP("by-jwt")
	token := tpp.Token()
	if strings.Count(token, ".") == 2 {
		t.Fatalf("%s is a JWT", token)
	}
	if answer := tpp.Bank(token); answer.Status != http.StatusOK {
		t.Errorf("the bank: %s", answer)
	}
	wantAnswer(t, other.Bank(token), http.StatusUnauthorized, "invalid_token")
	said := tpp.Post("introspection_endpoint", url.Values{"token": {token}})
	same := jwt.Post("introspection_endpoint", url.Values{"token": {jwt.Token()}})
	for member := range same.JSON {
		if said.JSON[member] == nil {
			t.Errorf("introspection of an opaque token has no %s: %s", member, said)
		}
	}
	if got := other.Post("introspection_endpoint", url.Values{"token": {token}}); got.Body != `{"active":false}` {
		t.Errorf("F8: a stranger learns %s", got)
	}
	s.Restart()
	tpp.Connect()
	if again := tpp.Post("introspection_endpoint", url.Values{"token": {token}}); !reflect.DeepEqual(again.JSON, said.JSON) {
		t.Errorf("after a restart: %s, before: %s", again, said)
	}
	if answer := tpp.Post("revocation_endpoint", url.Values{"token": {token}}); answer.Status != http.StatusOK {
		t.Fatalf("revocation: %s", answer)
	}
	wantAnswer(t, tpp.Bank(token), http.StatusUnauthorized, "invalid_token")
	if answer := tpp.Post("introspection_endpoint", url.Values{"token": {token}}); answer.Body != `{"active":false}` {
		t.Errorf("after revocation: %s", answer)
	}
}

// TestOpaqueTokenExpires: it ends when its life does.
func TestOpaqueTokenExpires(t *testing.T) {
	s := servertest.Start(t)
	tpp := s.TPP("tpp", opaque, func(m *registration.Metadata) { m.AccessTokenExpiration = 60 })
	defer s.Clock.Freeze()()
	token := tpp.Token()
	s.Clock.Move(59 * time.Second)
	if answer := tpp.Bank(token); answer.Status != http.StatusOK {
		t.Errorf("after 59 s: %s", answer)
	}
	s.Clock.Move(2 * time.Second)
	wantAnswer(t, tpp.Bank(token), http.StatusUnauthorized, "invalid_token")
}

// TestOpaqueEntropy: the random part has 256 bits, and the text as a whole passes
// the measure of the OpenID conformance suite (Shannon's, 96 bits at least).
func TestOpaqueEntropy(t *testing.T) {
	s := servertest.Start(t)
	tpp := s.TPP("tpp", opaque)
	seen := map[string]bool{}
	for range 20 {
		token := tpp.Token()
		secret := token[strings.LastIndexByte(token, '.')+1:]
		if random, err := base64.RawURLEncoding.DecodeString(secret); err != nil || len(random) < 32 || seen[secret] {
			t.Fatalf("%s ends in %d bytes, %v", token, len(random), err)
		}
		seen[secret] = true
		if bits := shannon(secret) * float64(len(secret)); bits < 128 {
			t.Errorf("%s has %.0f bits", token, bits)
		}
	}
}

// shannon is the entropy of a character of a text, in bits.
func shannon(text string) (bits float64) {
	counts := map[rune]float64{}
	for _, r := range text {
		counts[r]++
	}
	for _, count := range counts {
		share := count / float64(len(text))
		bits -= share * math.Log2(share)
	}
	return bits
}

// TestRS256: an API that takes nothing else is served, by the policies that have it
// (RFC 9068 section 2.1). Its keys are made once, for the first who wants one.
func TestRS256(t *testing.T) {
	s := servertest.Start(t)
	wants := func(m *registration.Metadata) {
		m.AccessTokenSignedResponseAlg, m.IntrospectionSignedResponseAlg = "RS256", "RS256"
	}
	for _, policy := range []string{"fapi2", "fapi1-advanced", "sandbox", "oauth2"} {
		fapi := registration.Metadata{ClientID: policy, Policy: policy, TokenEndpointAuthMethod: oauth.AuthTLS, TLSClientAuthSubjectDN: "CN=" + policy, GrantTypes: []string{"client_credentials"}, AccessTokenSignedResponseAlg: "RS256"}
		if code := s.Refuses("default", fapi); (code == "invalid_client_metadata") != (policy != "oauth2") {
			t.Errorf("under %s: %s", policy, code)
		}
	}
	tpp := s.TPP("tpp", servertest.Under("oauth2"), wants)
	published := func() (rsa []jose.JSONWebKey) {
		var set jose.JSONWebKeySet
		if err := json.Unmarshal([]byte(s.Do(tpp.HTTP, http.MethodGet, s.Issuer+"/jwks", nil, "").Body), &set); err != nil {
			t.Fatal(err)
		}
		return slices.DeleteFunc(set.Keys, func(key jose.JSONWebKey) bool { return key.Algorithm != "RS256" })
	}
	rotate := func() servertest.Answer { return operate(t, s, "POST", "/realms/default/keys/rotate?alg=RS256", "") }
	if keys := published(); len(keys) != 0 {
		t.Errorf("keys that nobody has wanted: %v", keys)
	}
	wantAnswer(t, rotate(), http.StatusBadRequest, "invalid_request")

	kids := make(chan string, 16)
	var racers sync.WaitGroup
	for range cap(kids) {
		racers.Go(func() { kids <- fmt.Sprint(header(t, tpp.Token())["kid"]) })
	}
	racers.Wait()
	first := <-kids
	for range cap(kids) - 1 {
		if kid := <-kids; kid != first {
			t.Fatalf("keys %s and %s", first, kid)
		}
	}
	verified := func(compact string) {
		t.Helper()
		jws, err := jose.ParseSignedCompact(compact, []jose.SignatureAlgorithm{jose.RS256})
		if err != nil {
			t.Fatalf("%s: %v", compact, err)
		}
		keys := published()
		at := slices.IndexFunc(keys, func(key jose.JSONWebKey) bool { return key.KeyID == jws.Signatures[0].Header.KeyID })
		if at < 0 {
			t.Fatalf("its key is not published: %v", keys)
		}
		if _, err := jws.Verify(keys[at]); err != nil {
			t.Error(err)
		}
	}
	for _, rotated := range []bool{false, true} {
		s.Restart()
		tpp.Connect()
		if rotated {
			if answer := rotate(); answer.Status != http.StatusOK {
				t.Fatalf("rotation: %s", answer)
			}
		}
		token := tpp.Token()
		if verified(token); (header(t, token)["kid"] != first) != rotated || len(published()) < 2 {
			t.Errorf("after %t: kid %v, at first %s; %d keys", rotated, header(t, token)["kid"], first, len(published()))
		}
		if answer := tpp.Bank(token); answer.Status != http.StatusOK {
			t.Errorf("the bank: %s", answer)
		}
		verified(tpp.Post("introspection_endpoint", url.Values{"token": {token}}).Body)
	}
}

// TestAPIFormat: the API says which format it takes; without a word of its own
// it is the client's, and two that differ cannot share a token.
func TestAPIFormat(t *testing.T) {
	s := servertest.Start(t)
	everybody := map[string]registration.Access{registration.AnyClient: {}}
	for id, format := range map[string]string{"opaque-api": "opaque", "jwt-api": "jwt", "any-api": ""} {
		if _, err := s.APIs("default").Put(t.Context(), registration.API{ID: id, AccessTokenFormat: format, Clients: everybody}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.APIs("default").Put(t.Context(), registration.API{ID: "x", AccessTokenFormat: "paseto"}); oauth.AsError(err).Code != oauth.CodeInvalidRequest {
		t.Errorf("an API with format paseto: %v", err)
	}
	byJWT, byOpaque := s.TPP("by-jwt"), s.TPP("by-opaque", opaque)
	for _, test := range []struct {
		tpp    *servertest.TPP
		apis   []string
		opaque bool
	}{
		{byJWT, []string{"opaque-api"}, true},
		{byJWT, []string{"any-api"}, false},
		{byJWT, []string{"any-api", "opaque-api"}, true},
		{byOpaque, []string{"jwt-api"}, false},
		{byOpaque, []string{"any-api"}, true},
		{byOpaque, nil, true},
	} {
		token := test.tpp.Token(url.Values{"resource": test.apis})
		if got := strings.Count(token, ".") != 2; got != test.opaque {
			t.Errorf("%s for %v: opaque is %v", test.tpp.Metadata.ClientID, test.apis, got)
		}
	}
	answer := byJWT.Post("token_endpoint", url.Values{"grant_type": {"client_credentials"}, "resource": {"jwt-api", "opaque-api"}})
	wantAnswer(t, answer, http.StatusBadRequest, "invalid_target")
}

// TestOpaqueTokenChanged is E6: no text but the token itself is taken for it.
func TestOpaqueTokenChanged(t *testing.T) {
	s := servertest.Start(t)
	tpp := s.TPP("tpp", opaque)
	token := tpp.Token()
	for _, changed := range mutations(token) {
		if answer := tpp.Post("introspection_endpoint", url.Values{"token": {changed}}); answer.Body != `{"active":false}` {
			t.Errorf("E6: %s for %s: %s", changed, token, answer)
		}
		if answer := tpp.Post("revocation_endpoint", url.Values{"token": {changed}}); answer.Status != http.StatusOK {
			t.Errorf("E6: revocation of %s: %s", changed, answer)
		}
	}
	if answer := tpp.Bank(token); answer.Status != http.StatusOK {
		t.Errorf("E6: the token itself: %s", answer)
	}
}

// mutations are every single change, cut and extension of a text, one way each.
func mutations(text string) (all []string) {
	for i := range len(text) {
		flipped := []byte(text)
		if flipped[i] ^= 1; flipped[i] == ' ' || flipped[i] == '/' {
			flipped[i] ^= 3
		}
		all = append(all, string(flipped), text[:max(i, 1)], text[:i]+text[i+1:])
	}
	return append(all, text+"A", text+"=", text+".", "A"+text, text+"\n", strings.ToUpper(text))
}
