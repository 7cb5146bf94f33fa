package server_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/fapid/fapid/server/participant"
	"github.com/fapid/fapid/server/servertest"
)

// The attack tests are named by the rows of the list of attacks they come from:
// A mutual TLS, B client assertions, E and F tokens, G DPoP, K parsers, L HTTP. All of
// them send through exchange, which holds every answer against the rules that
// no row may break.

// door is an endpoint that a client authenticates at, on one of the listeners.
type door struct{ name, url, endpoint string }

var endpoints = []struct{ name, path string }{
	{"token_endpoint", "/token"},
	{"introspection_endpoint", "/token/introspection"},
	{"revocation_endpoint", "/token/revocation"},
}

// doors are the three endpoints on the listeners.
func doors(listeners ...string) []door {
	var all []door
	for _, base := range listeners {
		for _, e := range endpoints {
			all = append(all, door{base + " " + e.name, base + e.path, e.name})
		}
	}
	return all
}

// form is a request that succeeds once the client has authenticated.
func (d door) form(more ...string) url.Values {
	form := url.Values{"token": {"unknown"}}
	if d.endpoint == "token_endpoint" {
		form = url.Values{"grant_type": {"client_credentials"}}
	}
	for i := 0; i+1 < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	return form
}

// exchange sends one request and checks the rules.
func exchange(t testing.TB, s *servertest.Server, client *http.Client, method, address string, header http.Header, body string) servertest.Answer {
	t.Helper()
	request, err := http.NewRequest(method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		request.Header[name] = values
	}
	if host := request.Header.Get("Host"); host != "" {
		request.Host = host
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	answer := readAnswer(t, response)
	checkRules(t, s, answer, secretsOf(header, body))
	return answer
}

func readAnswer(t testing.TB, response *http.Response) servertest.Answer {
	t.Helper()
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	answer := servertest.Answer{Status: response.StatusCode, Header: response.Header, Body: string(text)}
	_ = json.Unmarshal(text, &answer.JSON) // empty bodies and lists are answers too
	return answer
}

// post sends a form.
func post(t testing.TB, s *servertest.Server, client *http.Client, address string, form url.Values) servertest.Answer {
	t.Helper()
	return exchange(t, s, client, http.MethodPost, address, servertest.Form, form.Encode())
}

// postRaw sends a body as a form, whatever it is.
func postRaw(t testing.TB, s *servertest.Server, client *http.Client, address, body string) servertest.Answer {
	t.Helper()
	return exchange(t, s, client, http.MethodPost, address, servertest.Form, body)
}

// callBank calls the bank with a token on a listener.
func callBank(t testing.TB, s *servertest.Server, client *http.Client, listener, token string) servertest.Answer {
	t.Helper()
	return exchange(t, s, client, http.MethodGet, listener+"/bank/accounts", http.Header{"Authorization": {"Bearer " + token}}, "")
}

// wantAnswer compares status and error code; an empty code means success.
func wantAnswer(t testing.TB, answer servertest.Answer, status int, code string) {
	t.Helper()
	if answer.Status != status || answer.Error() != code {
		t.Errorf("answered %s, want %d %s", answer, status, code)
	}
}

// internals are what no answer may tell of the server.
var internals = []string{".go:", "goroutine", "runtime error", "panic", "bbolt", "go-jose", "crypto/", "x509:", "json:", "Go value", "/tmp/", "fapid.db", "go1."}

// checkRules are what every row demands beside its own answer: never a 5xx, one
// event, and an error that is small, not cached, well formed and tells nothing
// of the server's insides; no secret in the log, the trace or the answer.
func checkRules(t testing.TB, s *servertest.Server, answer servertest.Answer, secrets []string) {
	t.Helper()
	if answer.Status >= 500 {
		t.Errorf("the server failed: %s", answer)
	}
	id := answer.Header.Get("X-Fapid-Trace")
	mark := `"trace_id":"` + id + `"`
	// A long answer is on the wire before its event is finished.
	eventually(t, "the log line", func() bool { return s.Log.Count(mark) > 0 })
	if got := s.Log.Count(mark); id == "" || got != 1 {
		t.Errorf("trace id %q is in %d log lines, want 1", id, got)
	}
	checkSecrets(t, s, answer, secrets)
	if answer.Status < 400 {
		return
	}
	if len(answer.Body) > 1024 {
		t.Errorf("an error of %d bytes", len(answer.Body))
	}
	if got := answer.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control of an error is %q", got)
	}
	for _, word := range internals {
		if strings.Contains(answer.Body, word) {
			t.Errorf("an error tells of the insides (%s): %s", word, answer.Body)
		}
	}
	description, _ := answer.JSON["error_description"].(string)
	for _, c := range []byte(description) {
		if c < 0x20 || c == '"' || c == '\\' || c > 0x7e { // RFC 6749 section 5.2
			t.Errorf("error_description holds %q: %s", c, answer.Body)
		}
	}
}

// checkSecrets looks for pieces of secrets wherever the request left something.
func checkSecrets(t testing.TB, s *servertest.Server, answer servertest.Answer, secrets []string) {
	t.Helper()
	if len(secrets) == 0 {
		return
	}
	text := s.Trace(answer)
	for _, secret := range secrets {
		switch {
		case strings.Contains(text, secret):
			t.Errorf("the trace holds a secret (%s): %s", secret, text)
		case s.Log.Count(secret) > 0:
			t.Errorf("the log holds a secret (%s)", secret)
		case answer.Status >= 400 && strings.Contains(answer.Body, secret):
			t.Errorf("the error holds a secret (%s): %s", secret, answer.Body)
		}
	}
}

// credentialNames are the parameters that hold one.
var credentialNames = []string{"client_secret", "client_assertion", "token", "refresh_token", "subject_token", "actor_token", "assertion"}

// secretsOf finds the credentials in a request, in pieces long enough to be
// told from chance, because what leaks is often cut.
func secretsOf(header http.Header, body string) (pieces []string) {
	add := func(secret string) {
		parts := strings.Split(secret, ".")
		if len(parts) == 3 {
			parts = parts[1:] // anybody knows the header of a JWT
		}
		if strings.HasPrefix(secret, "fapid_") {
			parts = parts[len(parts)-1:] // the rest says where the record is
		}
		for _, part := range parts {
			if len(part) >= 16 {
				pieces = append(pieces, part[:min(len(part), 40)])
			}
		}
	}
	for _, value := range header["Authorization"] {
		scheme, credentials, _ := strings.Cut(value, " ")
		if decoded, err := base64.StdEncoding.DecodeString(credentials); err == nil && scheme == "Basic" {
			_, secret, _ := strings.Cut(string(decoded), ":")
			credentials = secret
		}
		add(credentials)
	}
	for _, proof := range header["Dpop"] {
		add(proof)
	}
	for pair := range strings.SplitSeq(body, "&") {
		name, value, _ := strings.Cut(pair, "=")
		if value, err := url.QueryUnescape(value); err == nil && slices.Contains(credentialNames, name) {
			add(value)
		}
	}
	return pieces
}

// claimsOf are those of a good client assertion.
func claimsOf(tpp *servertest.TPP) map[string]any {
	now := tpp.S.Clock.Now().Unix()
	return map[string]any{
		"iss": tpp.Metadata.ClientID, "sub": tpp.Metadata.ClientID, "aud": tpp.Provider.Issuer,
		"jti": rand.Text(), "iat": now, "exp": now + 60,
	}
}

// but returns claims with some of them changed; nil leaves one out.
func but(claims map[string]any, changes ...any) map[string]any {
	for i := 0; i+1 < len(changes); i += 2 {
		name := changes[i].(string)
		if changes[i+1] == nil {
			delete(claims, name)
		} else {
			claims[name] = changes[i+1]
		}
	}
	return claims
}

// headerOf is the JOSE header of a good assertion.
func headerOf(tpp *servertest.TPP, changes ...any) map[string]any {
	return but(map[string]any{"alg": "ES256", "typ": "JWT", "kid": tpp.KeyID}, changes...)
}

// assertion signs with the TPP's key, ES256.
func assertion(t testing.TB, tpp *servertest.TPP, header, claims map[string]any) string {
	t.Helper()
	return compact(t, "ES256", tpp.SigningKey, encode(t, header), encode(t, claims))
}

// withAssertion adds one to a form.
func withAssertion(form url.Values, assertion string) url.Values {
	form.Set("client_assertion_type", participant.AssertionType)
	form.Set("client_assertion", assertion)
	return form
}

func encode(t testing.TB, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// compact signs header and payload as they are, whatever the header claims.
func compact(t testing.TB, alg string, key any, header, payload string) string {
	t.Helper()
	encoding := base64.RawURLEncoding
	input := encoding.EncodeToString([]byte(header)) + "." + encoding.EncodeToString([]byte(payload))
	return input + "." + encoding.EncodeToString(signature(t, alg, key, []byte(input)))
}

func signature(t testing.TB, alg string, key any, input []byte) []byte {
	t.Helper()
	hash := map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}[alg[max(0, len(alg)-3):]]
	var digest []byte
	if hash != 0 {
		h := hash.New()
		h.Write(input)
		digest = h.Sum(nil)
	}
	var made []byte
	var err error
	switch key := key.(type) {
	case nil:
	case []byte:
		mac := hmac.New(hash.New, key)
		mac.Write(input)
		made = mac.Sum(nil)
	case *ecdsa.PrivateKey:
		size := (key.Params().BitSize + 7) / 8
		r, s, signErr := ecdsa.Sign(rand.Reader, key, digest)
		made, err = append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...), signErr
	case *rsa.PrivateKey:
		if strings.HasPrefix(alg, "PS") {
			made, err = rsa.SignPSS(rand.Reader, key, hash, digest, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		} else {
			made, err = rsa.SignPKCS1v15(nil, key, hash, digest)
		}
	case ed25519.PrivateKey:
		made = ed25519.Sign(key, input)
	}
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Clone(made)
}
