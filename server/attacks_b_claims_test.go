package server_test

import (
	"context"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server"
	"github.com/fapid/fapid/server/participant"
	"github.com/fapid/fapid/server/servertest"
	"github.com/fapid/fapid/testkeys"
)

func TestAttackB9FAPI2(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	tpp := s.TPP("jwt", servertest.JWT, servertest.Under("fapi2"))
	port := s.Issuer[strings.LastIndex(s.Issuer, ":"):]
	rows := []forged{}
	for name, aud := range map[string]any{
		"token URL": s.Issuer + "/token", "token alias": s.MTLS + "/token", "introspection URL": s.Issuer + "/token/introspection",
		"array of issuer": []string{s.Issuer}, "issuer and other": []string{s.Issuer, "https://example.com"}, "empty array": []string{},
		"trailing slash": s.Issuer + "/", "upper case": strings.ToUpper(s.Issuer), "upper-case host": "https://LOCALHOST" + port,
		"host with a dot": "https://localhost." + port, "address": "https://127.0.0.1" + port, ":443": "https://localhost:443", "no port": "https://localhost",
		"other realm": s.Issuer + "/realms/strict", "space": s.Issuer + " ", "mTLS base": s.MTLS, "client": "jwt", "empty": "", "absent": nil,
		"number": 5, "true": true, "object": map[string]any{"a": s.Issuer}, "array in array": []any{[]any{s.Issuer}},
	} {
		rows = append(rows, forged{name, claiming("aud", aud)})
	}
	rows = append(rows, forged{"null", func(t testing.TB, tpp *servertest.TPP) string {
		payload := strings.Replace(encode(t, claimsOf(tpp)), `"`+s.Issuer+`"`, "null", 1)
		return compact(t, "ES256", tpp.SigningKey, encode(t, headerOf(tpp)), payload)
	}})
	refuseAll(t, s, tpp, rows)
	for _, d := range doors(s.MTLS) {
		wantAnswer(t, post(t, s, tpp.HTTP, d.url, withAssertion(d.form(), claiming()(t, tpp))), http.StatusOK, "")
	}
}

// FAPI 1 and plain OAuth 2 take aud as OpenID Connect Core section 9 has it:
// issuer or endpoint, with its alias, alone or in an array.
func TestAttackB9Endpoints(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	for _, policy := range []string{"fapi1-advanced", "oauth2", "sandbox"} {
		tpp := s.TPP("jwt-"+policy, servertest.JWT, servertest.Under(policy))
		refuseAll(t, s, tpp, []forged{
			{policy + " other realm", claiming("aud", s.Issuer+"/realms/strict")},
			{policy + " others", claiming("aud", []string{"https://example.com", s.Issuer + "/jwks"})},
			{policy + " trailing slash", claiming("aud", s.Issuer+"/")},
			{policy + " upper case", claiming("aud", strings.ToUpper(s.Issuer))},
			{policy + " empty array", claiming("aud", []string{})},
			{policy + " mixed array", claiming("aud", []any{s.Issuer, 5})},
			{policy + " number", claiming("aud", 5)},
			{policy + " absent", claiming("aud", nil)},
		})
		for _, d := range doors(s.MTLS) {
			path := strings.TrimPrefix(d.url, s.MTLS)
			for _, aud := range []any{
				s.Issuer, s.Issuer + path, d.url, s.Issuer + "/token", s.MTLS + "/token",
				[]string{s.Issuer}, []string{"https://example.com", s.Issuer + "/token"},
			} {
				answer := post(t, s, tpp.HTTP, d.url, withAssertion(d.form(), claiming("aud", aud)(t, tpp)))
				if answer.Status != http.StatusOK {
					t.Errorf("%s: %s refused aud %v: %s", policy, d.name, aud, answer)
				}
			}
		}
		answer := post(t, s, tpp.HTTP, s.MTLS+"/token", withAssertion(doors(s.MTLS)[0].form(), claiming("aud", s.MTLS+"/token/revocation")(t, tpp)))
		wantAnswer(t, answer, http.StatusUnauthorized, "invalid_client")
	}
}

func TestAttackB10B11(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	tpp := s.TPP("jwt", servertest.JWT)
	s.TPP("other", servertest.JWT, withKeys(t, &testkeys.P256(4).PublicKey, tpp.KeyID, "ES256"))
	defer s.Clock.Freeze()()
	now := s.Clock.Now().Unix()
	// raw writes a claim as it is.
	raw := func(name, value string) func(testing.TB, *servertest.TPP) string {
		return func(t testing.TB, tpp *servertest.TPP) string {
			payload := strings.TrimSuffix(encode(t, but(claimsOf(tpp), name, nil)), "}") + `,"` + name + `":` + value + `}`
			return compact(t, "ES256", tpp.SigningKey, encode(t, headerOf(tpp)), payload)
		}
	}
	rows := []forged{
		{"B10 iss differs", claiming("iss", "other")},
		{"B10 sub differs", claiming("sub", "other")},
		{"B10 both another client", claiming("sub", "other", "iss", "other")},
		{"B10 iss missing", claiming("iss", nil)},
		{"B10 sub missing", claiming("sub", nil)},
		{"B10 iss null", raw("iss", "null")},
		{"B10 iss is an array", claiming("iss", []string{"jwt"})},
		{"B10 sub is a number", claiming("sub", 5)},
		{"B10 case", claiming("iss", "JWT", "sub", "JWT")},
		{"B10 space", claiming("iss", "jwt ", "sub", "jwt ")},
		{"B10 NUL", claiming("iss", "jwt\x00", "sub", "jwt\x00")},
		{"B11 exp missing", claiming("exp", nil)},
		{"B11 exp null", raw("exp", "null")},
		{"B11 exp 5 min ago", claiming("exp", now-300)},
		{"B11 exp just past the skew", claiming("exp", now-31)},
		{"B11 exp in 24 h", claiming("exp", now+86400)},
		{"B11 exp in ten years", claiming("exp", now+10*365*86400)},
		{"B11 exp is a string", raw("exp", `"`+time.Now().Format(time.RFC3339)+`"`)},
		{"B11 exp is a number in a string", raw("exp", `"99999999999"`)},
		{"B12 jti missing", claiming("jti", nil)},
		{"B12 jti empty", claiming("jti", "")},
		{"B12 jti null", raw("jti", "null")},
		{"B12 jti is a number", claiming("jti", 5)},
		{"B12 jti of 8 KiB", claiming("jti", strings.Repeat("a", 8<<10))},
	}
	for _, name := range []string{"exp", "iat", "nbf"} {
		for _, value := range []string{"1e400", "-1e400", "1e308", "-1e308", "9223372036854775807", "1e19", "true", "[]", `"1"`, "-1", "NaN", "0x7f"} {
			rows = append(rows, forged{"B11 " + name + " " + value, raw(name, value)})
		}
		if name != "exp" {
			rows = append(rows, forged{"B11 " + name + " +61 s", claiming(name, now+61)})
		}
	}
	refuseAll(t, s, tpp, rows)

	// FAPI 2 section 5.3.2.1: 10 s ahead is accepted. RFC 7519 section 2: a
	// NumericDate may have a fraction.
	acceptAll(t, s, tpp, claiming("iat", now+8, "nbf", now+8))
	acceptAll(t, s, tpp, claiming("nbf", now-3600, "iat", nil))
	acceptAll(t, s, tpp, claiming("exp", float64(now)+59.5, "iat", float64(now)+0.25))
	acceptAll(t, s, tpp, claiming("exp", now-29))
}

// spent sends one assertion and wants it refused, because it was used before.
func spent(t testing.TB, tpp *servertest.TPP, d door, assertion string) {
	t.Helper()
	answer := post(t, tpp.S, tpp.HTTP, d.url, withAssertion(d.form(), assertion))
	wantAnswer(t, answer, http.StatusUnauthorized, "invalid_client")
	event := tpp.S.Explain(answer)
	if check, _ := event.Failed(); check.Name != "client assertion jti" {
		t.Errorf("it was refused for another reason: %+v", check)
	}
}

func TestAttackB12B13B14(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	tpp, other := s.TPP("jwt", servertest.JWT), s.TPP("other", servertest.JWT)
	all := doors(s.Issuer, s.MTLS)
	var used []string
	for _, first := range all {
		compact := claiming()(t, tpp)
		wantAnswer(t, post(t, s, tpp.HTTP, first.url, withAssertion(first.form(), compact)), http.StatusOK, "")
		for _, second := range all {
			spent(t, tpp, second, compact)
		}
		used = append(used, compact)
	}
	// The same jti in another assertion is a replay too; from another client
	// it is not: nobody can burn another's.
	claims := claimsOf(tpp)
	wantAnswer(t, post(t, s, tpp.HTTP, all[0].url, withAssertion(all[0].form(), assertion(t, tpp, headerOf(tpp), claims))), http.StatusOK, "")
	spent(t, tpp, all[0], claiming("jti", claims["jti"])(t, tpp))
	wantAnswer(t, post(t, s, other.HTTP, all[0].url, withAssertion(all[0].form(), claiming("jti", claims["jti"])(t, other))), http.StatusOK, "")
	// Whoever fails to authenticate spends nothing.
	claims = claimsOf(tpp)
	for _, bad := range []string{
		assertion(t, other, headerOf(other, "kid", "x"), claims),
		assertion(t, tpp, headerOf(tpp), but(claims, "aud", "https://example.com")),
	} {
		wantAnswer(t, post(t, s, tpp.HTTP, all[0].url, withAssertion(all[0].form(), bad)), http.StatusUnauthorized, "invalid_client")
	}
	wantAnswer(t, post(t, s, tpp.HTTP, all[0].url, withAssertion(all[0].form(), assertion(t, tpp, headerOf(tpp), but(claims, "aud", s.Issuer)))), http.StatusOK, "")

	s.Restart()
	for _, compact := range used {
		spent(t, tpp, all[0], compact)
	}
	// At the very end of the time in which the assertion would be good but for
	// its jti, and after what has expired was swept.
	defer s.Clock.Freeze()()
	edge := claiming("exp", s.Clock.Now().Unix()+60)(t, tpp)
	fresh := claiming("exp", s.Clock.Now().Unix()+60)(t, tpp)
	wantAnswer(t, post(t, s, tpp.HTTP, all[0].url, withAssertion(all[0].form(), edge)), http.StatusOK, "")
	s.Clock.Move(60*time.Second + 29*time.Second) // the skew is 30 s
	server.EveryMinute(s.Server, context.Background())
	spent(t, tpp, all[0], edge)
	wantAnswer(t, post(t, s, tpp.HTTP, all[0].url, withAssertion(all[0].form(), fresh)), http.StatusOK, "")
	s.Clock.Move(time.Hour)
	server.EveryMinute(s.Server, context.Background())
	s.Clock.Move(-time.Hour) // a clock set back makes nothing good again
	wantAnswer(t, post(t, s, tpp.HTTP, all[0].url, withAssertion(all[0].form(), edge)), http.StatusUnauthorized, "invalid_client")
}

func TestAttackB12Race(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	tpp := s.TPP("jwt", servertest.JWT)
	for range rounds(t, 5) {
		var mu sync.Mutex
		var won, lost int
		var racing sync.WaitGroup
		compact := claiming()(t, tpp)
		for i := range 16 {
			racing.Go(func() {
				d := doors(s.Issuer, s.MTLS)[i%6]
				answer := post(t, s, tpp.HTTP, d.url, withAssertion(d.form(), compact))
				mu.Lock()
				defer mu.Unlock()
				switch {
				case answer.Status == http.StatusOK:
					won++
				case answer.Status == http.StatusUnauthorized && answer.Error() == "invalid_client":
					lost++
				}
			})
		}
		racing.Wait()
		if won != 1 || lost != 15 {
			t.Errorf("of 16 racers with one assertion %d won and %d lost", won, lost)
		}
	}
}

func TestAttackB15(t *testing.T) { // not parallel: it measures memory
	s := servertest.Start(t)
	tpp := s.TPP("jwt", servertest.JWT)
	flood := func(requests int) {
		for range requests {
			form := withAssertion(doors(s.Issuer)[0].form(), claiming("exp", s.Clock.Now().AddDate(10, 0, 0).Unix())(t, tpp))
			if answer := s.Do(tpp.HTTP, http.MethodPost, s.Issuer+"/token", servertest.Form, form.Encode()); answer.Status != http.StatusUnauthorized {
				t.Fatal(answer)
			}
		}
	}
	flood(2200) // fills what is kept of failures
	before := heap(s)
	flood(2000)
	// In the end, because the runtime frees at its own pace what pools and connections held.
	eventually(t, "less than 2 MiB held by 2000 refused assertions", func() bool { return heap(s)-before < 2<<20 })
}

// heap is the memory in use after a collection, but for the log.
func heap(s *servertest.Server) int64 {
	s.Log.Reset()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

func TestAttackB16(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	tpp := s.TPP("jwt", servertest.JWT)
	secret := func(method string) func(*registration.Metadata) {
		return func(m *registration.Metadata) {
			m.TokenEndpointAuthMethod, m.CertificateBoundTokens, m.Policy = method, false, "oauth2"
			m.ClientSecret, m.JWKS = "a-long-enough-secret-for-hmac-0123456789", nil
		}
	}
	basic, body := s.TPP("basic", secret(oauth.AuthSecretBasic)), s.TPP("post", secret(oauth.AuthSecretPost))
	hmac, mutual := s.TPP("hmac", secret(oauth.AuthSecretJWT)), s.TPP("tls")
	authorization := func(id, secret string) string {
		request := http.Request{Header: http.Header{}}
		request.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret))
		return request.Header.Get("Authorization")
	}
	unsigned := func(id string) string {
		return compact(t, "", nil, `{"alg":"none"}`, encode(t, but(claimsOf(tpp), "iss", id, "sub", id)))
	}
	good := authorization("basic", basic.Secret)
	for _, d := range doors(s.Issuer, s.MTLS) {
		signed := func() string { return claiming()(t, tpp) }
		keyed := func(id string) string {
			return compact(t, "HS256", []byte(basic.Secret), `{"alg":"HS256","typ":"JWT"}`, encode(t, but(claimsOf(tpp), "iss", id, "sub", id)))
		}
		for _, row := range []struct {
			name          string
			authorization string
			form          url.Values
			status        int
			code          string
		}{
			{"assertion and Basic", good, withAssertion(d.form(), signed()), 400, "invalid_request"},
			{"assertion and Basic of the same client", authorization("jwt", "x"), withAssertion(d.form("client_id", "jwt"), signed()), 400, "invalid_request"},
			{"assertion and secret", "", withAssertion(d.form("client_id", "post", "client_secret", body.Secret), signed()), 400, "invalid_request"},
			{"Basic and secret", good, d.form("client_id", "basic", "client_secret", basic.Secret), 400, "invalid_request"},
			{"Basic and an unsigned assertion", good, withAssertion(d.form(), unsigned("basic")), 400, "invalid_request"},
			{"secret and an unsigned assertion", "", withAssertion(d.form("client_id", "post", "client_secret", body.Secret), unsigned("post")), 400, "invalid_request"},
			{"two Authorization headers", "two", d.form(), 400, "invalid_request"},
			{"Basic and another client_id", good, d.form("client_id", "post"), 401, "invalid_client"},
			{"post, though registered for Basic", "", d.form("client_id", "basic", "client_secret", basic.Secret), 401, "invalid_client"},
			{"Basic, though registered for post", authorization("post", body.Secret), d.form(), 401, "invalid_client"},
			{"Basic, though registered for a JWT", authorization("hmac", hmac.Secret), d.form(), 401, "invalid_client"},
			{"a JWT keyed with the secret, though registered for Basic", "", withAssertion(d.form(), keyed("basic")), 401, "invalid_client"},
			{"a JWT keyed with nothing", "", withAssertion(d.form(), compact(t, "HS256", []byte{}, `{"alg":"HS256"}`, encode(t, claimsOf(hmac)))), 401, "invalid_client"},
			{"no credentials, though registered for Basic", "", d.form("client_id", "basic"), 401, "invalid_client"},
			{"no credentials, though registered for an assertion", "", d.form("client_id", "jwt"), 401, "invalid_client"},
			{"a certificate and a secret", "", d.form("client_id", "tls", "client_secret", "x"), 401, "invalid_client"},
			{"nothing at all", "", d.form(), 401, "invalid_client"},
			{"empty secret", "", d.form("client_id", "post", "client_secret", ""), 401, "invalid_client"},
			{"empty Basic password", authorization("basic", ""), d.form(), 401, "invalid_client"},
			{"wrong secret", authorization("basic", basic.Secret+"x"), d.form(), 401, "invalid_client"},
			{"another client's secret", authorization("basic", "verysecret-0123456789"), d.form(), 401, "invalid_client"},
			{"unknown client", authorization("nobody", basic.Secret), d.form(), 401, "invalid_client"},
			{"Basic that is no base64", "Basic %%%", d.form(), 401, "invalid_client"},
			{"Basic without a colon", "Basic YWJj", d.form(), 401, "invalid_client"},
			{"Bearer", "Bearer " + basic.Secret, d.form(), 401, "invalid_client"},
			{"another assertion type", "", setting(withAssertion(d.form(), signed()), "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"), 401, "invalid_client"},
			{"no assertion type", "", setting(withAssertion(d.form(), signed()), "client_assertion_type", ""), 401, "invalid_client"},
			{"no assertion", "", d.form("client_id", "jwt", "client_assertion_type", participant.AssertionType), 401, "invalid_client"},
			{"an assertion for another client_id", "", withAssertion(d.form("client_id", "post"), signed()), 401, "invalid_client"},
			{"good Basic", good, d.form(), 200, ""},
			{"good secret", "", d.form("client_id", "post", "client_secret", body.Secret), 200, ""},
			{"good JWT keyed with the secret", "", withAssertion(d.form(), keyed("hmac")), 200, ""},
		} {
			header := http.Header{"Content-Type": servertest.Form["Content-Type"]}
			switch row.authorization {
			case "":
			case "two":
				header["Authorization"] = []string{good, good}
			default:
				header.Set("Authorization", row.authorization)
			}
			answer := exchange(t, s, mutual.HTTP, http.MethodPost, d.url, header, row.form.Encode())
			if answer.Status != row.status || answer.Error() != row.code {
				t.Errorf("%s: %s: %s, want %d %s", d.name, row.name, answer, row.status, row.code)
			}
			// RFC 6749 section 5.2: the challenge names the scheme that was tried.
			if challenged := answer.Header.Get("WWW-Authenticate") != ""; challenged != (answer.Status == 401 && row.authorization != "") {
				t.Errorf("%s: %s: challenge %q", d.name, row.name, answer.Header.Get("WWW-Authenticate"))
			}
		}
	}
}

// setting sets a parameter.
func setting(form url.Values, name, value string) url.Values {
	form.Set(name, value)
	return form
}
