package server_test

import (
	"crypto"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server"
	"github.com/fapid/fapid/server/servertest"
	"github.com/fapid/fapid/testkeys"
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

// TestAttackE6 changes each character of an access token and of an assertion.
// A change costs a signature check, so every place gets a few characters: among
// them the nearest, which differs in the last bit only.
func TestAttackE6(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	tpp := s.TPP("jwt", servertest.JWT)
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	variants := func(compact string) []string {
		all := []string{"", compact + "A", compact + "AAAA", compact + "=", compact + ".", "A" + compact, compact + compact, "." + compact}
		for i := range compact {
			all = append(all, compact[:i], compact[:i]+compact[i+1:])
			if at := strings.IndexByte(alphabet, compact[i]); at >= 0 {
				all = append(all, compact[:i]+alphabet[at^1:at^1+1]+compact[i+1:])
			}
			if i%7 == 0 {
				all = append(all, compact[:i]+"."+compact[i+1:], compact[:i]+"\n"+compact[i:], compact[:i]+"="+compact[i:])
			}
		}
		return all
	}
	for _, alg := range []string{"ES256", "EdDSA"} {
		issued := s.TPP("token-"+strings.ToLower(alg), servertest.JWT, func(m *registration.Metadata) { m.AccessTokenSignedResponseAlg = alg })
		token := issued.Token()
		wantAnswer(t, callBank(t, s, issued.HTTP, s.MTLS, token), 200, "")
		for _, variant := range variants(token) {
			if strings.ContainsAny(variant, "\n") || variant == "" {
				continue // no header can hold it
			}
			answer := s.Do(issued.HTTP, http.MethodGet, s.MTLS+"/bank/accounts", http.Header{"Authorization": {"Bearer " + variant}}, "")
			if answer.Status != http.StatusUnauthorized || answer.Error() != "invalid_token" {
				t.Errorf("the bank about a changed token: %s\n%s", answer, variant)
			}
		}
		for i, variant := range variants(token) {
			if i%5 != 0 || variant == "" {
				continue
			}
			form := withAssertion(url.Values{"token": {variant}}, claiming()(t, issued))
			if answer := s.Do(tpp.HTTP, http.MethodPost, s.Issuer+"/token/introspection", servertest.Form, form.Encode()); answer.Body != `{"active":false}` {
				t.Errorf("a changed token introspects as %s\n%s", answer, variant)
			}
		}
	}
	compact := claiming()(t, tpp)
	for _, variant := range variants(compact) {
		form := withAssertion(url.Values{"token": {"x"}, "client_id": {"jwt"}}, variant)
		if answer := s.Do(tpp.HTTP, http.MethodPost, s.Issuer+"/token/introspection", servertest.Form, form.Encode()); answer.Status != 401 || answer.Error() != "invalid_client" {
			t.Errorf("a changed assertion: %s\n%s", answer, variant)
		}
	}
	wantAnswer(t, post(t, s, tpp.HTTP, s.Issuer+"/token", withAssertion(doors("")[0].form(), compact)), 200, "")
}

// TestAttackE7F10 uses every artefact there is as every other.
func TestAttackE7F10(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	tpp := s.TPP("jwt", servertest.JWT)
	token := tpp.Token()
	strict := s.TPPIn("strict", "jwt", func(m *registration.Metadata) {
		m.TokenEndpointAuthMethod, m.TokenEndpointAuthSigningAlg = oauth.AuthPrivateKeyJWT, "ES256"
	})
	answer := post(t, s, tpp.HTTP, s.Issuer+"/token/introspection", withAssertion(url.Values{"token": {token}}, claiming()(t, tpp)))
	jti, _ := answer.JSON["jti"].(string)
	raw, err := base64.RawURLEncoding.DecodeString(token[:strings.Index(token, ".")])
	if err != nil {
		t.Fatal(err)
	}
	header := string(raw)
	_, rest, _ := strings.Cut(header, `"kid":"`)
	keyID, _, _ := strings.Cut(rest, `"`)
	key := testkeys.P256(1) // signs for the server, or the second one does
	if thumbprint(t, &key.PublicKey) != keyID {
		key = testkeys.P256(2)
	}
	artefacts := map[string]string{
		"assertion": claiming()(t, tpp), "introspection answer": signedIntrospection(t, tpp, token), "jti": jti, "client_id": "jwt",
		"token of another realm": strict.Token(), "JWE": encrypted(t, token, nil),
		"token without a signature":       token[:strings.LastIndex(token, ".")+1],
		"token, alg none":                 compact(t, "", nil, `{"alg":"none","typ":"at+jwt","kid":"`+keyID+`"}`, encode(t, claims(t, token))),
		"token by a client's key":         compact(t, "ES256", tpp.SigningKey, `{"alg":"ES256","typ":"at+jwt","kid":"`+keyID+`"}`, encode(t, claims(t, token))),
		"token by the key of another alg": compact(t, "PS256", testkeys.RSA(1), `{"alg":"PS256","typ":"at+jwt","kid":"`+keyID+`"}`, encode(t, claims(t, token))),
		"token without typ":               compact(t, "ES256", key, `{"alg":"ES256","kid":"`+keyID+`"}`, encode(t, claims(t, token))),
		"token of typ JWT":                compact(t, "ES256", key, `{"alg":"ES256","typ":"JWT","kid":"`+keyID+`"}`, encode(t, claims(t, token))),
		"token without kid":               compact(t, "ES256", key, `{"alg":"ES256","typ":"at+jwt"}`, encode(t, claims(t, token))),
		"token of another issuer":         compact(t, "ES256", key, header, encode(t, but(claims(t, token), "iss", s.Issuer+"/realms/strict"))),
		"token for another API":           compact(t, "ES256", key, header, encode(t, but(claims(t, token), "aud", "https://example.com"))),
		"token that has expired":          compact(t, "ES256", key, header, encode(t, but(claims(t, token), "exp", s.Clock.Now().Unix()-1))),
		"token without exp":               compact(t, "ES256", key, header, encode(t, but(claims(t, token), "exp", nil))),
		"token of nobody":                 compact(t, "ES256", key, header, encode(t, but(claims(t, token), "client_id", "nobody"))),
	}
	for name, artefact := range artefacts {
		t.Run(name, func(t *testing.T) {
			wantAnswer(t, callBank(t, s, tpp.HTTP, s.MTLS, artefact), 401, "invalid_token")
			introspected := post(t, s, tpp.HTTP, s.Issuer+"/token/introspection", withAssertion(url.Values{"token": {artefact}}, claiming()(t, tpp)))
			if introspected.Body != `{"active":false}` && name != "token for another API" { // its own client may ask
				t.Errorf("it introspects as %s", introspected)
			}
			if name != "assertion" {
				refused := post(t, s, tpp.HTTP, s.Issuer+"/token", withAssertion(doors("")[0].form("client_id", "jwt"), artefact))
				wantAnswer(t, refused, 401, "invalid_client")
			}
		})
	}
	// Nothing was consumed.
	wantAnswer(t, post(t, s, tpp.HTTP, s.Issuer+"/token", withAssertion(doors("")[0].form(), artefacts["assertion"])), 200, "")
	wantAnswer(t, callBank(t, s, tpp.HTTP, s.MTLS, token), 200, "")
	control := compact(t, "ES256", key, header, encode(t, but(claims(t, token), "jti", "x")))
	if answer := callBank(t, s, tpp.HTTP, s.MTLS, control); answer.Status != 200 {
		t.Errorf("the forger's tools are blunt: a good token is refused: %s %+v", answer, s.Explain(answer))
	}
}

// thumbprint is the kid of a signing key, or the jkt of a DPoP key (RFC 7638).
func thumbprint(t testing.TB, public any) string {
	t.Helper()
	jwk := jose.JSONWebKey{Key: public}
	sum, err := jwk.Thumbprint(crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(sum)
}

func TestAttackE8E9(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	tpp := s.TPP("tls")
	good := "grant_type=client_credentials&client_id=tls"
	large := strings.Repeat("a=1&", 15_000)
	for _, listener := range []string{s.Issuer, s.MTLS} {
		for _, e := range endpoints {
			address := listener + e.path
			for _, method := range []string{"GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW", "post"} {
				answer := exchange(t, s, tpp.HTTP, method, address, servertest.Form, "")
				if answer.Status != http.StatusMethodNotAllowed || answer.Header.Get("Allow") != "POST" {
					t.Errorf("%s %s: %s, Allow %q", method, address, answer, answer.Header.Get("Allow"))
				}
			}
			wantAnswer(t, exchange(t, s, tpp.HTTP, "POST", address+"?"+good, servertest.Form, ""), 400, "invalid_request")
			wantAnswer(t, exchange(t, s, tpp.HTTP, "POST", address+"?client_id=tls", servertest.Form, good), 400, "invalid_request")
			for media, body := range map[string]string{
				"application/json": `{"grant_type":"client_credentials","client_id":"tls"}`, "": good, "text/plain": good, "application/x-www-form": good,
				"application/x-www-form-urlencoded; charset=utf-8; charset=x": good, "multipart/form-data; boundary=x": "--x\r\nContent-Disposition: form-data; name=\"client_id\"\r\n\r\ntls\r\n--x--\r\n",
				"application/jwt": "e30.e30.", "x": good, "application/x-www-form-urlencoded, application/json": good,
			} {
				wantAnswer(t, exchange(t, s, tpp.HTTP, "POST", address, http.Header{"Content-Type": {media}}, body), 400, "invalid_request")
			}
			for name, body := range map[string]string{
				"twice": good + "&client_id=tls", "twice, the first empty": "client_id=&" + good, "twice, spelled otherwise": good + "&client%5fid=tls", "an unknown one twice": good + "&x=1&x=1",
				"semicolon": "grant_type=client_credentials;client_id=tls", "NUL": good + "%00", "NUL in a name": good + "&a%00=1", "raw NUL": good + "\x00", "bad UTF-8": good + "%ff", "overlong": good + "%c0%80",
				"surrogate": good + "%ed%a0%80", "bad escape": good + "%zz", "cut escape": good + "%", "30000 parameters": large[:60_000], "101 parameters": manyParameters(101), "long name twice": strings.Repeat("&"+strings.Repeat("<", 2000)+"=1", 2),
				"JSON": `{"client_id":"tls"}` + "%", "control characters twice": "%1b[31m%0d%0aX=1&%1b[31m%0d%0aX=1", "token as name, twice": strings.Repeat("secret-secret-secret=1&", 2),
			} {
				t.Run(e.name+" "+name, func(t *testing.T) {
					wantAnswer(t, postRaw(t, s, tpp.HTTP, address, body), 400, "invalid_request")
				})
			}
			// Over the limit the body is not read: the size is what is wrong with it.
			wantAnswer(t, postRaw(t, s, tpp.HTTP, address, strings.Repeat("a=1&", 100_000)), 413, "request_too_large")
		}
	}
	wantAnswer(t, postRaw(t, s, tpp.HTTP, s.MTLS+"/token", good), 200, "")
	wantAnswer(t, exchange(t, s, tpp.HTTP, "POST", s.MTLS+"/token", http.Header{"Content-Type": {"application/x-www-form-urlencoded;charset=UTF-8"}}, good), 200, "")
}

func manyParameters(count int) string {
	var body strings.Builder
	for i := range count {
		fmt.Fprintf(&body, "p%d=1&", i)
	}
	return body.String()
}

func TestAttackE10(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	tpp := s.TPP("tls")
	for name, row := range map[string]struct{ form, code string }{
		"password":        {"grant_type=password&username=alice&password=alice", "unsupported_grant_type"},
		"implicit":        {"grant_type=implicit", "unsupported_grant_type"},
		"code":            {"grant_type=authorization_code&code=x", "unsupported_grant_type"},
		"refresh":         {"grant_type=refresh_token&refresh_token=x", "unauthorized_client"},
		"JWT bearer":      {"grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer&assertion=x", "unauthorized_client"},
		"exchange":        {"grant_type=urn:ietf:params:oauth:grant-type:token-exchange&subject_token=x", "unauthorized_client"},
		"SAML bearer":     {"grant_type=urn:ietf:params:oauth:grant-type:saml2-bearer&assertion=x", "unsupported_grant_type"},
		"unknown":         {"grant_type=x", "unsupported_grant_type"},
		"case":            {"grant_type=Client_Credentials", "unsupported_grant_type"},
		"space":           {"grant_type=client_credentials+", "unsupported_grant_type"},
		"long":            {"grant_type=" + strings.Repeat("<", 20_000), "unsupported_grant_type"},
		"two":             {"grant_type=client_credentials+password", "unsupported_grant_type"},
		"none":            {"", "invalid_request"},
		"empty":           {"grant_type=", "invalid_request"},
		"foreign scope":   {"grant_type=client_credentials&scope=payments", "invalid_scope"},
		"unknown scope":   {"grant_type=client_credentials&scope=accounts+x", "invalid_scope"},
		"scope of quotes": {"grant_type=client_credentials&scope=%22", "invalid_scope"},
		"two spaces":      {"grant_type=client_credentials&scope=accounts++accounts", "invalid_scope"},
		"many scopes":     {"grant_type=client_credentials&scope=" + strings.Repeat("a+", 25_000), "invalid_scope"},
	} {
		t.Run(name, func(t *testing.T) {
			wantAnswer(t, postRaw(t, s, tpp.HTTP, s.MTLS+"/token", row.form+"&client_id=tls"), 400, row.code)
		})
	}
	// A grant that is served, by a client that has not registered it.
	without := s.TPP("without", func(m *registration.Metadata) { m.GrantTypes = []string{} })
	if client, ok := s.Clients("default").Get("without"); ok && !client.MayUse("client_credentials") {
		answer := post(t, s, without.HTTP, s.MTLS+"/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {"without"}})
		wantAnswer(t, answer, 400, "unauthorized_client")
	} else {
		t.Error("a client without grants has one")
	}
}

func TestAttackF7F8(t *testing.T) {
	t.Parallel()
	const api = "api"
	s := servertest.Start(t, func(c *server.Config) { c.Realms["default"].Audience = api })
	owner, other, resource := s.TPP("owner", servertest.JWT), s.TPP("other", servertest.JWT), s.TPP(api, servertest.JWT)
	token := owner.Token()
	revoke := func(who *servertest.TPP, token string) servertest.Answer {
		return post(t, s, who.HTTP, s.Issuer+"/token/revocation", withAssertion(url.Values{"token": {token}}, claiming()(t, who)))
	}
	introspect := func(who *servertest.TPP, token string) servertest.Answer {
		return post(t, s, who.HTTP, s.Issuer+"/token/introspection", withAssertion(url.Values{"token": {token}}, claiming()(t, who)))
	}
	// F7: another client's token is refused (RFC 7009 section 2.1) and unharmed,
	// an unknown one is no error (section 2.2).
	for _, who := range []*servertest.TPP{other, resource} {
		wantAnswer(t, revoke(who, token), 400, "invalid_grant")
	}
	for _, unknown := range []string{"x", rand.Text(), token[:len(token)-4], "a.b.c", "....", claiming()(t, owner)} {
		wantAnswer(t, revoke(owner, unknown), 200, "")
	}
	wantAnswer(t, revoke(owner, ""), 400, "invalid_request")
	for _, e := range []string{"/token/revocation", "/token/introspection"} {
		for _, listener := range []string{s.Issuer, s.MTLS} {
			wantAnswer(t, post(t, s, holder(t, s, nil), listener+e, url.Values{"token": {token}}), 401, "invalid_client")
			wantAnswer(t, post(t, s, holder(t, s, nil), listener+e, url.Values{"token": {token}, "client_id": {"owner"}}), 401, "invalid_client")
		}
	}
	// F8: only the API it is for and its own client learn of a token.
	for who, active := range map[*servertest.TPP]bool{owner: true, resource: true, other: false} {
		if got := introspect(who, token); (got.JSON["active"] == true) != active || !active && got.Body != `{"active":false}` {
			t.Errorf("%s learns %s", who.Metadata.ClientID, got)
		}
		// RFC 9701 section 5: also the signed answer says inactive, and of the
		// token nothing else.
		signed := claims(t, signedIntrospection(t, who, token))
		report, _ := signed["token_introspection"].(map[string]any)
		if report["active"] != active || !active && len(report) != 1 {
			t.Errorf("%s learns %v, signed", who.Metadata.ClientID, report)
		}
		if signed["aud"] != who.Metadata.ClientID || signed["iss"] != s.Issuer || signed["sub"] != nil || signed["exp"] != nil {
			t.Errorf("a signed answer of %v", signed) // RFC 9701 section 8.1
		}
	}
	wantAnswer(t, revoke(owner, token), 200, "")
	for _, who := range []*servertest.TPP{owner, resource, other} {
		if got := introspect(who, token); got.Body != `{"active":false}` {
			t.Errorf("a revoked token introspects as %s", got)
		}
	}
	s.Restart()
	if got := introspect(owner, token); got.Body != `{"active":false}` {
		t.Errorf("after a restart a revoked token introspects as %s", got)
	}
	wantAnswer(t, revoke(owner, token), 200, "")
}
