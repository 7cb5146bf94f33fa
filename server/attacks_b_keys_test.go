package server_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/fapid/fapid/certs"
	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/servertest"
	"github.com/fapid/fapid/testkeys"
)

// publisher serves a client's key set and counts who asks for it.
type publisher struct {
	URL      string
	Requests atomic.Int64
	mu       sync.Mutex
	body     string
}

func (p *publisher) publish(body string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.body = body
}

// publishing starts a publisher with a certificate of the server's CA.
func publishing(t testing.TB, s *servertest.Server, body string) *publisher {
	t.Helper()
	p := publishingBy(t, s, func(p *publisher, w http.ResponseWriter, _ *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		_, _ = w.Write([]byte(p.body))
	})
	p.publish(body)
	return p
}

// publishingBy starts a publisher that answers in a way of its own.
func publishingBy(t testing.TB, s *servertest.Server, serve func(*publisher, http.ResponseWriter, *http.Request)) *publisher {
	t.Helper()
	name, err := certs.NewName(certs.Attribute{Type: "CN", Value: "localhost"})
	if err != nil {
		t.Fatal(err)
	}
	issued, err := s.CA().Issue(context.Background(), certs.ProfileServer, certs.Subject{Name: name, DNS: []string{"localhost"}}, certs.KeyRequest{Algorithm: certs.P256})
	if err != nil {
		t.Fatal(err)
	}
	p := &publisher{}
	web := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.Requests.Add(1)
		w.Header().Set("Content-Type", "application/jwk-set+json")
		serve(p, w, r)
	}))
	web.Config.ErrorLog = log.New(io.Discard, "", 0)
	certificate := tls.Certificate{PrivateKey: issued.Key}
	for _, link := range issued.Chain {
		certificate.Certificate = append(certificate.Certificate, link.Raw)
	}
	web.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	web.StartTLS()
	t.Cleanup(web.Close)
	_, port, _ := net.SplitHostPort(web.Listener.Addr().String())
	// A path of its own: the port of a publisher that has closed may be given out
	// again, and its set would still be cached under the same address.
	p.URL = "https://localhost:" + port + "/" + rand.Text()
	return p
}

// fetching registers a TPP by jwks_uri.
func fetching(p *publisher) func(*registration.Metadata) {
	return func(m *registration.Metadata) {
		servertest.JWT(m)
		m.JWKS, m.JWKSURI, m.TokenEndpointAuthSigningAlg = nil, p.URL, ""
	}
}

// keys writes a JWKS of pairs of kid and public key.
func keys(t testing.TB, pairs ...any) string {
	t.Helper()
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for i := 0; i+1 < len(pairs); i += 2 {
		set.Keys = append(set.Keys, jose.JSONWebKey{KeyID: pairs[i].(string), Key: pairs[i+1]})
	}
	return encode(t, set)
}

func TestAttackB4(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	p := publishing(t, s, keys(t, "a", &testkeys.P256(3).PublicKey))
	remote, inline := s.TPP("remote", fetching(p)), s.TPP("inline", servertest.JWT)
	var rows []forged
	for name, kid := range map[string]any{
		"SQL": "' OR 1=1 --", "path": "../../../../etc/passwd", "absolute path": "/dev/null", "NUL": "a\x00", "NUL in front": "\x00a",
		"8 KiB": strings.Repeat("a", 8<<10), "number": 5, "array": []string{"a"}, "object": map[string]any{"a": 1}, "true": true,
		"URL": "https://example.com/jwks", "line break": "a\r\nSet-Cookie: x=y", "escape sequence": "\x1b[31m", "bidi": "a\u202ea", "case": "A", "space": "a ",
	} {
		rows = append(rows, forged{name, heading("kid", kid)})
	}
	refuseAll(t, s, inline, rows)
	long := s.Explain(post(t, s, inline.HTTP, s.Issuer+"/token", withAssertion(doors("")[0].form(), heading("kid", strings.Repeat("a", 8<<10))(t, inline))))
	if check, _ := long.Failed(); check.Name != "client assertion kid" {
		t.Errorf("a kid of 8 KiB was looked up: %+v", check)
	}
	s.Clock.Move(time.Minute)
	refuseAll(t, s, remote, rows)

	// Any number of unknown kids costs one fetch in 10 seconds.
	s.Clock.Move(time.Minute)
	defer s.Clock.Freeze()()
	before := p.Requests.Load()
	for i := range 400 {
		form := withAssertion(doors(s.Issuer)[0].form(), heading("kid", fmt.Sprint("unknown-", i))(t, remote))
		if answer := s.Do(remote.HTTP, http.MethodPost, s.Issuer+"/token", servertest.Form, form.Encode()); answer.Status != http.StatusUnauthorized {
			t.Fatal(answer)
		}
		if i%40 == 39 {
			s.Clock.Move(time.Second)
		}
	}
	if fetched := p.Requests.Load() - before; fetched < 1 || fetched > 2 {
		t.Errorf("400 unknown kids caused %d fetches", fetched)
	}
	acceptAll(t, s, remote, heading("kid", "a"))
	acceptAll(t, s, remote, heading("kid", nil))
}

func TestAttackB5(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	tpp := s.TPP("jwt", servertest.JWT)
	evil := testkeys.P256(4)
	p := publishing(t, s, keys(t, tpp.KeyID, &evil.PublicKey))
	jwk := jose.JSONWebKey{Key: &evil.PublicKey, KeyID: tpp.KeyID}
	pki := newPKI(t, "evil")
	x5c := []string{base64.StdEncoding.EncodeToString(pki.leaf(t, evil, nil)[0].Raw)}
	own := s.TPP("certified")
	var rows []forged
	for name, changes := range map[string][]any{
		"jku": {"jku", p.URL}, "x5u": {"x5u", p.URL}, "jwk": {"jwk", jwk}, "x5c": {"x5c", x5c},
		"jku without kid": {"jku", p.URL, "kid", nil}, "jwk without kid": {"jwk", jwk, "kid", nil},
	} {
		rows = append(rows, forged{name + ", the attacker's signature", func(t testing.TB, tpp *servertest.TPP) string {
			return compact(t, "ES256", evil, encode(t, headerOf(tpp, changes...)), encode(t, claimsOf(tpp)))
		}})
		if !strings.HasPrefix(name, "x5c") {
			rows = append(rows, forged{name + ", the client's signature", heading(changes...)})
		}
	}
	refuseAll(t, s, tpp, rows)
	if got := p.Requests.Load(); got != 0 {
		t.Errorf("%d requests to an address from an assertion", got)
	}
	// A certificate beside a good signature says nothing (RFC 7515 section 4.1.6).
	acceptAll(t, s, tpp, heading("x5c", []string{base64.StdEncoding.EncodeToString(own.Transport[0].Raw)}))
}

func TestAttackB17(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Registering())
	r := s.Registrant(s.Issuer)
	number := func(n *big.Int) string { return base64.RawURLEncoding.EncodeToString(n.Bytes()) }
	modulus := testkeys.RSA(3).N
	rsaKey := func(n *big.Int, e string) string {
		return `{"kty":"RSA","kid":"a","n":"` + number(n) + `","e":"` + e + `"}`
	}
	ec := func(curve, x, y string) string {
		return `{"kty":"EC","kid":"a","crv":"` + curve + `","x":"` + x + `","y":"` + y + `"}`
	}
	p256 := &testkeys.P256(3).PublicKey
	point, err := p256.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	x, y := base64.RawURLEncoding.EncodeToString(point[1:33]), base64.RawURLEncoding.EncodeToString(point[33:])
	private, err := jose.JSONWebKey{Key: testkeys.P256(3), KeyID: "a"}.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	prime := func(bits int) *big.Int {
		n, err := rand.Prime(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	half := prime(1024)
	next := new(big.Int).Add(half, big.NewInt(2))
	for !next.ProbablyPrime(10) {
		next.Add(next, big.NewInt(2))
	}
	for name, key := range map[string]string{
		"RSA-1024":            rsaKey(new(big.Int).Mul(prime(512), prime(512)), "AQAB"),
		"RSA-2040":            rsaKey(new(big.Int).Rsh(modulus, 8), "AQAB"),
		"RSA-8192":            rsaKey(new(big.Int).Add(new(big.Int).Lsh(modulus, 6144), big.NewInt(1)), "AQAB"),
		"e = 1":               rsaKey(modulus, "AQ"),
		"e = 2":               rsaKey(modulus, "Ag"),
		"e = 3":               rsaKey(modulus, "Aw"),
		"even e":              rsaKey(modulus, "AQAC"),
		"even modulus":        rsaKey(new(big.Int).Sub(modulus, big.NewInt(1)), "AQAB"),
		"modulus times three": rsaKey(new(big.Int).Mul(big.NewInt(3), prime(2047)), "AQAB"),
		"primes close":        rsaKey(new(big.Int).Mul(half, next), "AQAB"),
		"secp256k1":           ec("secp256k1", x, y),
		"P-192":               ec("P-192", x, y),
		"off the curve":       ec("P-256", x, x),
		"point of zeros":      ec("P-256", strings.Repeat("A", 43), strings.Repeat("A", 43)),
		"private members":     string(private),
		"symmetric":           `{"kty":"oct","kid":"a","k":"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"}`,
		"use enc":             strings.Replace(ec("P-256", x, y), `{`, `{"use":"enc",`, 1),
		"key_ops without any": strings.Replace(ec("P-256", x, y), `{`, `{"key_ops":["encrypt"],`, 1),
		"another alg":         strings.Replace(ec("P-256", x, y), `{`, `{"alg":"ES384",`, 1),
		"none of them":        ec("P-256", x, y),
	} {
		t.Run(name, func(t *testing.T) {
			set := `{"keys":[` + key + `]}`
			registration := servertest.Plain("token_endpoint_auth_method", oauth.AuthPrivateKeyJWT, "jwks", json.RawMessage(set))
			if name == "none of them" {
				want(t, r.Register(registration), 201)
				return
			}
			wantFailed(t, s, r.Register(registration), 400, "invalid_client_metadata", "client metadata")
			// At fetch the key is not used, whatever was signed with.
			p := publishing(t, s, set)
			tpp := s.TPP("remote", fetching(p))
			for _, signer := range []struct {
				alg string
				key crypto.Signer
			}{{"ES256", testkeys.P256(3)}, {"PS256", testkeys.RSA(3)}} {
				form := withAssertion(doors(s.Issuer)[0].form(), signing(signer.alg, signer.alg, signer.key, "kid", "a")(t, tpp))
				wantAnswer(t, post(t, s, tpp.HTTP, s.Issuer+"/token", form), http.StatusUnauthorized, "invalid_client")
			}
			if p.Requests.Load() != 1 {
				t.Errorf("%d fetches, want 1", p.Requests.Load())
			}
		})
	}
}

func TestAttackB18(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	old, renewed := testkeys.P256(3), testkeys.P256(4)
	// One kid for keys of different types: the algorithm tells them apart
	// (RFC 7517 section 4.5).
	p := publishing(t, s, keys(t, "a", &testkeys.RSA(3).PublicKey, "a", &old.PublicKey, "a", testkeys.Ed25519(1).Public()))
	tpp := s.TPP("remote", fetching(p))
	defer s.Clock.Freeze()()
	acceptAll(t, s, tpp, signing("ES256", "ES256", old, "kid", "a"))
	acceptAll(t, s, tpp, signing("PS256", "PS256", testkeys.RSA(3), "kid", "a"))
	acceptAll(t, s, tpp, signing("EdDSA", "", testkeys.Ed25519(1), "kid", "a"))
	acceptAll(t, s, tpp, signing("Ed25519", "", testkeys.Ed25519(1), "kid", "a")) // its name since RFC 9864
	refuseAll(t, s, tpp, []forged{
		{"the key of another type", signing("ES256", "ES256", p384, "kid", "a")},
		{"not published yet", signing("ES256", "ES256", renewed, "kid", "b")},
		{"not published yet, under the old kid", signing("ES256", "ES256", renewed, "kid", "a")},
	})

	p.publish(keys(t, "b", &renewed.PublicKey))
	s.Clock.Move(11 * time.Second) // the cool-down; a kid that is not known has it fetched
	acceptAll(t, s, tpp, signing("ES256", "ES256", renewed, "kid", "b"))
	refuseAll(t, s, tpp, []forged{
		{"rotated out", signing("ES256", "ES256", old, "kid", "a")},
		{"rotated out, without kid", signing("ES256", "ES256", old, "kid", nil)},
	})
	p.publish(keys(t))
	s.Clock.Move(61 * time.Second) // no set counts longer
	refuseAll(t, s, tpp, []forged{{"taken out", signing("ES256", "ES256", renewed, "kid", "b")}})
	if got := p.Requests.Load(); got > 6 {
		t.Errorf("%d fetches", got)
	}
}

// TestMalformedKeys: a key set that cannot be read is refused with what is wrong with
// it, in the words of whoever wrote it.
func TestMalformedKeys(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Registering())
	r := s.Registrant(s.Issuer)
	good := encode(t, jose.JSONWebKey{Key: &testkeys.P256(3).PublicKey, KeyID: "a"})
	with := func(members string) string { return strings.Replace(good, `{`, `{`+members+`,`, 1) }
	for key, want := range map[string]string{
		with(`"x5c":["AAAA"]`): "malformed certificate", with(`"x5c":["!"]`): "x5c", with(`"x5c":"AAAA"`): "expected an array", with(`"x5c":[]`): "",
		with(`"x5t":"!"`): "x5t", with(`"x5t#S256":"AAAA"`): "x5t#S256", with(`"x5u":7`): "expected a string", with(`"use":7`): "use", with(`"alg":[]`): "expected a string", with(`"key_ops":"verify"`): "key_ops",
		`{"kty":"EC","kid":"a","crv":"P-256","x":7,"y":7}`: "", `{"kty":"EC","kid":"a","crv":"P-256"}`: "missing x/y", `{"kty":"EC","kid":"a","crv":"P-256","x":"AA","y":"AA"}`: "wrong length",
		`{"kty":"RSA","kid":"a"}`: "exponent", `{"kty":"RSA","kid":"a","n":"!","e":"AQAB"}`: "", `{"kty":"OKP","kid":"a","crv":"Ed25519"}`: "missing x", `{"kid":"a"}`: "kty", `{"kty":7}`: "kty",
		`{}`: "", `[]`: "", `7`: "", `null`: "", `"a"`: "",
	} {
		answer := r.Register(servertest.Plain("token_endpoint_auth_method", oauth.AuthPrivateKeyJWT, "jwks", json.RawMessage(`{"keys":[`+key+`]}`)))
		checkRules(t, s, answer, nil)
		if key == with(`"x5c":[]`) { // says nothing
			wantAnswer(t, answer, http.StatusCreated, "")
			continue
		}
		wantAnswer(t, answer, http.StatusBadRequest, "invalid_client_metadata")
		if description, _ := answer.JSON["error_description"].(string); !strings.Contains(description, want) {
			t.Errorf("%s: %s, want %q", key, description, want)
		}
	}
}
