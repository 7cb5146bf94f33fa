package server_test

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/servertest"
)

// promptly fails when the answer took longer than any honest request does. The
// margin is wide: what these inputs aim at takes seconds or gigabytes.
func promptly(t *testing.T, what string, work func()) {
	t.Helper()
	started := time.Now()
	work()
	if took := time.Since(started); took > time.Minute {
		t.Errorf("%s took %s", what, took)
	}
}

func TestAttackK1K5(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	tpp := s.TPP("jwt", servertest.JWT)
	token := tpp.Token()
	part := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	var deflated bytes.Buffer
	writer, err := flate.NewWriter(&deflated, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = writer.Write(make([]byte, 8<<20))
	_ = writer.Close()
	bomb, err := jose.NewEncrypter(jose.A128GCM, jose.Recipient{Algorithm: jose.DIRECT, Key: make([]byte, 16)}, &jose.EncrypterOptions{Compression: jose.DEFLATE})
	if err != nil {
		t.Fatal(err)
	}
	zipped, err := bomb.Encrypt(make([]byte, 4<<20))
	if err != nil {
		t.Fatal(err)
	}
	inflating, err := zipped.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	shape := func(header string, rest ...string) string { return part(header) + "." + strings.Join(rest, ".") }
	epk := `{"alg":"ECDH-ES","enc":"A128GCM","epk":{"kty":"EC","crv":"P-256","x":"AAAA","y":"AAAA"}}`
	for name, foreign := range map[string]string{
		"K1 PBES2 p2c":         shape(`{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2s":"AAAA","p2c":1000000000}`, "AAAA", "AAAA", "AAAA", "AAAA"),
		"K1 PBES2 p2c on JWS":  shape(`{"alg":"PBES2-HS256+A128KW","p2c":1000000000}`, part(`{}`), "AAAA"),
		"K2 zip of a JWE":      inflating,
		"K2 zip of a JWS":      shape(`{"alg":"ES256","zip":"DEF"}`, base64.RawURLEncoding.EncodeToString(deflated.Bytes()), "AAAA"),
		"K3 dots":              strings.Repeat(".", 60_000),
		"K3 dots between":      strings.Repeat("a.", 30_000),
		"K3 header of 40 KiB":  shape(`{"alg":"ES256","x":"`+strings.Repeat("a", 30_000)+`"}`, part(`{}`), "AAAA"),
		"K4 empty key":         shape(`{"alg":"RSA-OAEP","enc":"A128GCM"}`, "", "AAAA", "AAAA", "AAAA"),
		"K4 key wrap, empty":   shape(`{"alg":"A128KW","enc":"A128GCM"}`, "", "", "", ""),
		"K4 short tag":         encrypted(t, "{}", func(parts []string) { parts[4] = "AA" }),
		"K4 epk off the curve": shape(epk, "", "AAAA", "AAAA", "AAAA"),
		"K4 empty parts":       shape(`{"alg":"dir","enc":"A128GCM"}`, "", "", "", ""),
		"K5 JWE for our key":   encrypted(t, token, nil),
		"K6 BOM":               shape("\ufeff"+`{"alg":"ES256"}`, part("{}"), "AAAA"),
		"K6 deep header":       shape(strings.Repeat("[", 9_000), part("{}"), "AAAA"),
		"K6 deep member":       shape(`{"alg":"ES256","x":`+strings.Repeat(`{"a":`, 1_500)+"1"+strings.Repeat("}", 1_501), part("{}"), "AAAA"),
	} {
		t.Run(name, func(t *testing.T) {
			for _, listener := range []string{s.Issuer, s.MTLS} {
				promptly(t, name, func() {
					for _, d := range doors(listener) {
						wantAnswer(t, post(t, s, tpp.HTTP, d.url, withAssertion(d.form(), foreign)), 401, "invalid_client")
						wantAnswer(t, post(t, s, tpp.HTTP, d.url, withAssertion(d.form("client_id", "jwt"), foreign)), 401, "invalid_client")
					}
					form := withAssertion(url.Values{"token": {foreign}}, claiming()(t, tpp))
					if answer := post(t, s, tpp.HTTP, listener+"/token/introspection", form); answer.Body != `{"active":false}` {
						t.Errorf("as a token: %s", answer)
					}
					if len(foreign) < 8_000 {
						wantAnswer(t, callBank(t, s, tpp.HTTP, listener, foreign), 401, "invalid_token")
					}
				})
			}
		})
	}
	promptly(t, "a megabyte of dots", func() {
		for _, d := range doors(s.Issuer, s.MTLS) {
			wantAnswer(t, post(t, s, tpp.HTTP, d.url, withAssertion(d.form(), strings.Repeat(".", 1<<20))), 413, "request_too_large")
		}
	})
}

// TestAttackK6 has the client itself sign JSON that is hard to read. What
// cannot be read is no authentication: 401, not 400 (RFC 6749 section 5.2).
func TestAttackK6(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	tpp := s.TPP("jwt", servertest.JWT)
	payload := func(extra string) func(testing.TB, *servertest.TPP) string {
		return func(t testing.TB, tpp *servertest.TPP) string {
			return compact(t, "ES256", tpp.SigningKey, encode(t, headerOf(tpp)), strings.TrimSuffix(encode(t, claimsOf(tpp)), "}")+extra+"}")
		}
	}
	var members strings.Builder
	for i := range 3_000 {
		fmt.Fprintf(&members, `,"%x":1`, i)
	}
	many := members.String()
	promptly(t, "JSON", func() {
		refuseAll(t, s, tpp, []forged{
			{"invalid UTF-8", payload(`,"x":"` + "\xc3\x28" + `"`)},
			{"1e400 as exp", payload(`,"exp":1e400`)},
			{"unfinished", payload(`,"x":[`)},
			{"depth 9999", payload(`,"x":` + strings.Repeat("[", 9_999) + strings.Repeat("]", 9_999))},
			{"many members, one twice", payload(many + `,"0":1`)},
			{"BOM", func(t testing.TB, tpp *servertest.TPP) string {
				return compact(t, "ES256", tpp.SigningKey, encode(t, headerOf(tpp)), "\ufeff"+encode(t, claimsOf(tpp)))
			}},
			{"scalar", func(t testing.TB, tpp *servertest.TPP) string {
				return compact(t, "ES256", tpp.SigningKey, encode(t, headerOf(tpp)), `"jwt"`)
			}},
			{"null", func(t testing.TB, tpp *servertest.TPP) string {
				return compact(t, "ES256", tpp.SigningKey, encode(t, headerOf(tpp)), `null`)
			}},
		})
		acceptAll(t, s, tpp, payload(",\"deep\":"+strings.Repeat("[", 1_000)+strings.Repeat("]", 1_000)))
	})
}

func TestAttackK7(t *testing.T) { // not parallel: it measures memory
	s := servertest.Start(t)
	tpp := s.TPP("jwt", servertest.JWT)
	port := s.Issuer[strings.LastIndex(s.Issuer, ":"):]
	flood := func(round, requests int) {
		long := strings.Repeat("x", 4_000)
		for i := range requests {
			form := withAssertion(doors("")[0].form("client_id", fmt.Sprint("client-", round, i, long), "ui_locales", fmt.Sprint(i)), heading("kid", fmt.Sprint("kid-", round, i))(t, tpp))
			s.Do(tpp.HTTP, http.MethodPost, s.Issuer+"/token", servertest.Form, form.Encode())
			request, err := http.NewRequest("GET", fmt.Sprintf("%s/%d-%d%s", s.Issuer, round, i, long), nil)
			if err != nil {
				t.Fatal(err)
			}
			if i%2 == 0 {
				request.Host = fmt.Sprintf("host-%d-%d.example%s", round, i, port)
			}
			response, err := tpp.HTTP.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			if answer := readAnswer(t, response); answer.Status != 404 && answer.Status != 421 {
				t.Fatal(answer)
			}
		}
	}
	series := func() int {
		return strings.Count(s.Do(http.DefaultClient, http.MethodGet, s.Admin+"/metrics", nil, "").Body, "\n")
	}
	flood(1, 1_100) // fills what is kept of failures
	memory, metrics := heap(s), series()
	flood(2, 1_100)
	eventually(t, "less than 2 MiB held by keys that callers choose", func() bool { return heap(s)-memory < 2<<20 })
	if grown := series() - metrics; grown > 20 {
		t.Errorf("%d new lines of metrics", grown)
	}
}

func TestAttackK8(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	tpp := s.TPP("post", func(m *registration.Metadata) {
		m.TokenEndpointAuthMethod, m.CertificateBoundTokens, m.Policy, m.JWKS = oauth.AuthSecretPost, false, "oauth2", nil
		m.ClientSecret = "a-secret-that-nobody-knows"
	})
	promptly(t, "long secrets", func() {
		for _, d := range doors(s.Issuer, s.MTLS) {
			for _, secret := range []string{strings.Repeat("a", 50_000), tpp.Secret + strings.Repeat("\x01", 600), tpp.Secret + " "} {
				wantAnswer(t, post(t, s, tpp.HTTP, d.url, d.form("client_id", "post", "client_secret", secret)), 401, "invalid_client")
			}
			wantAnswer(t, post(t, s, tpp.HTTP, d.url, d.form("client_id", "post", "client_secret", strings.Repeat("a", 1<<20))), 413, "request_too_large")
			wantAnswer(t, post(t, s, tpp.HTTP, d.url, d.form("client_id", "post", "client_secret", tpp.Secret)), 200, "")
		}
	})
}
