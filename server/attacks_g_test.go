package server_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/fapid/fapid/server/servertest"
	"github.com/fapid/fapid/testkeys"
)

// gate is a place that wants a DPoP proof, on one of the listeners.
type gate struct {
	name   string
	s      *servertest.Server
	tpp    *servertest.TPP
	method string
	url    string
	token  string // for a protected resource
	status int    // of a refusal
}

// gates are the token endpoint and the bank on both listeners.
func gates(t testing.TB, s *servertest.Server, tpp *servertest.TPP) []gate {
	t.Helper()
	token := tpp.Token()
	var all []gate
	for _, base := range []string{s.Issuer, s.MTLS} {
		all = append(all,
			gate{"token endpoint at " + base, s, tpp, http.MethodPost, base + "/token", "", 400},
			gate{"bank at " + base, s, tpp, http.MethodGet, base + "/bank/accounts", token, 401})
	}
	return all
}

// ask sends a request with these DPoP headers, and others.
func (g gate) ask(t testing.TB, proofs []string, more http.Header) servertest.Answer {
	t.Helper()
	header := http.Header{"Dpop": proofs}
	for name, values := range more {
		header[name] = values
	}
	if g.token != "" {
		header.Set("Authorization", "DPoP "+g.token)
		return exchange(t, g.s, g.tpp.HTTP, g.method, g.url, header, "")
	}
	header["Content-Type"] = servertest.Form["Content-Type"]
	form := withAssertion(url.Values{"grant_type": {"client_credentials"}}, claiming()(t, g.tpp))
	return exchange(t, g.s, g.tpp.HTTP, g.method, g.url, header, form.Encode())
}

// header is that of a good proof by a key, some members changed.
func (g gate) header(key crypto.Signer, changes ...any) map[string]any {
	return but(map[string]any{"typ": "dpop+jwt", "alg": "ES256", "jwk": jose.JSONWebKey{Key: key.Public()}}, changes...)
}

// claims are those of a good proof, some changed.
func (g gate) claims(changes ...any) map[string]any {
	claims := map[string]any{"jti": rand.Text(), "htm": g.method, "htu": g.url, "iat": g.s.Clock.Now().Unix()}
	if g.token != "" {
		claims["ath"] = hash(g.token)
	}
	return but(claims, changes...)
}

func hash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// proof is a good one but for some claims.
func (g gate) proof(t testing.TB, changes ...any) string {
	t.Helper()
	return compact(t, "ES256", g.key(), encode(t, g.header(g.key())), encode(t, g.claims(changes...)))
}

// key signs the client's proofs.
func (g gate) key() crypto.Signer {
	if g.tpp.DPoPKey != nil {
		return g.tpp.DPoPKey
	}
	return g.tpp.SigningKey
}

// unproven is a request whose proofs must not be accepted.
type unproven struct {
	row   string
	check string // that refuses it
	make  func(t testing.TB, g gate) []string
	more  http.Header
}

// saying is a row that changes claims, heading one that changes the header.
func saying(row, check string, changes ...any) unproven {
	return unproven{row, check, func(t testing.TB, g gate) []string { return []string{g.proof(t, changes...)} }, nil}
}

func titled(row, check string, changes ...any) unproven {
	return unproven{row, check, func(t testing.TB, g gate) []string {
		return []string{compact(t, "ES256", g.key(), encode(t, g.header(g.key(), changes...)), encode(t, g.claims()))}
	}, nil}
}

// signedBy is a row with another key and algorithm, which fit each other.
func signedBy(row, check, alg string, key crypto.Signer) unproven {
	return unproven{row, check, func(t testing.TB, g gate) []string {
		return []string{compact(t, alg, key, encode(t, g.header(key, "alg", alg)), encode(t, g.claims()))}
	}, nil}
}

// keyed is a row whose jwk is this text; the signature is by the good key.
func keyed(row, alg, jwk string) unproven {
	return unproven{row, "DPoP jwk", func(t testing.TB, g gate) []string {
		header := strings.Replace(encode(t, g.header(g.key(), "alg", alg, "jwk", "JWK")), `"JWK"`, jwk, 1)
		return []string{compact(t, "ES256", g.tpp.SigningKey, header, encode(t, g.claims()))}
	}, nil}
}

// whole is a row that changes the text of a good proof.
func whole(row, check string, change func(proof string) []string) unproven {
	return unproven{row, check, func(t testing.TB, g gate) []string { return change(g.proof(t)) }, nil}
}

func one(change func(string) string) func(string) []string {
	return func(proof string) []string { return []string{change(proof)} }
}

// refuseProofs sends every row to every gate: 400 at the token endpoint, 401 with
// a challenge at the bank, and the trace names the check.
func refuseProofs(t *testing.T, gates []gate, rows []unproven) {
	t.Helper()
	for _, row := range rows {
		t.Run(row.row, func(t *testing.T) {
			for _, g := range gates {
				answer := g.ask(t, row.make(t, g), row.more)
				if answer.Status != g.status || answer.Error() != "invalid_dpop_proof" {
					t.Errorf("%s: %s, want %d invalid_dpop_proof", g.name, answer, g.status)
					continue
				}
				event := g.s.Explain(answer)
				if check, failed := event.Failed(); !failed || check.Name != row.check || check.Advice == "" {
					t.Errorf("%s: the trace says %+v, want %s", g.name, check, row.check)
				}
				if challenge := answer.Header["Www-Authenticate"]; g.status == 401 && (len(challenge) != 1 ||
					!strings.HasPrefix(challenge[0], `DPoP realm="`+g.s.Issuer+`", algs="`) || !strings.Contains(challenge[0], `error="invalid_dpop_proof"`)) {
					t.Errorf("%s: challenge %q", g.name, challenge)
				}
			}
		})
	}
}

// TestAttackG1 breaks each of the twelve checks of RFC 9449 section 4.3.
func TestAttackG1(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	tpp := s.TPP("dpop", servertest.DPoP)
	all := gates(t, s, tpp)
	for _, g := range all {
		wantAnswer(t, g.ask(t, []string{g.proof(t)}, nil), 200, "")
	}
	refuseProofs(t, all, proofForms())
	refuseProofs(t, all, proofHeaders(t))
	defer s.Clock.Freeze()()
	refuseProofs(t, all, proofTimes(s))
	for _, g := range all {
		refuseProofs(t, []gate{g}, proofTargets(g))
	}
}

// proofForms break checks 1, 2, 3, 6 and 8.
func proofForms() []unproven {
	const header, form, signature, claims, htm = "DPoP header", "DPoP proof", "DPoP signature", "DPoP claims", "DPoP htm"
	rows := []unproven{
		{"no header", header, func(testing.TB, gate) []string { return nil }, nil},
		{"two headers", header, func(t testing.TB, g gate) []string { return []string{g.proof(t), g.proof(t)} }, nil},
		{"one proof twice", header, func(t testing.TB, g gate) []string { p := g.proof(t); return []string{p, p} }, nil},
		whole("two in one header", form, func(p string) []string { return []string{p + ", " + p} }),
		whole("empty", form, one(func(string) string { return "" })),
		whole("no JWT", form, one(func(string) string { return "proof" })),
		whole("four parts", form, one(func(p string) string { return p + ".e30" })),
		whole("JWE", form, one(func(p string) string { return p + ".e30.e30" })),
		whole("padded", form, one(func(p string) string { return p + "==" })),
		whole("quoted", form, one(func(p string) string { return `"` + p + `"` })),
		whole("flattened JSON", form, one(func(p string) string {
			parts := strings.Split(p, ".")
			return `{"protected":"` + parts[0] + `","payload":"` + parts[1] + `","signature":"` + parts[2] + `"}`
		})),
		whole("8 KiB", form, one(func(p string) string { return p + strings.Repeat("A", 8<<10) })),
		whole("signature cut off", signature, one(func(p string) string { return p[:strings.LastIndexByte(p, '.')+1] })),
		whole("signature of zeros", signature, one(func(p string) string {
			return p[:strings.LastIndexByte(p, '.')+1] + strings.Repeat("A", 86)
		})),
		{"signed by another key", signature, func(t testing.TB, g gate) []string {
			return []string{compact(t, "ES256", testkeys.P256(4), encode(t, g.header(g.key())), encode(t, g.claims()))}
		}, nil},
		{"payload of another proof", signature, func(t testing.TB, g gate) []string {
			a, b := strings.Split(g.proof(t), "."), strings.Split(g.proof(t), ".")
			return []string{a[0] + "." + b[1] + "." + a[2]}
		}, nil},
		{"claim twice", form, func(t testing.TB, g gate) []string {
			payload := strings.Replace(encode(t, g.claims()), `{`, `{"htm":"`+g.method+`",`, 1)
			return []string{compact(t, "ES256", g.key(), encode(t, g.header(g.key())), payload)}
		}, nil},
		{"payload no object", form, func(t testing.TB, g gate) []string {
			return []string{compact(t, "ES256", g.key(), encode(t, g.header(g.key())), `["jti"]`)}
		}, nil},
		{"payload not UTF-8", form, func(t testing.TB, g gate) []string {
			payload := strings.Replace(encode(t, g.claims()), `{`, "{\"x\":\"\xff\",", 1)
			return []string{compact(t, "ES256", g.key(), encode(t, g.header(g.key())), payload)}
		}, nil},
		saying("jti a number", form, "jti", 5),
		saying("iat a text", form, "iat", "now"),
		saying("htu an array", form, "htu", []string{"https://as.example"}),
		saying("jti of 257 bytes", claims, "jti", strings.Repeat("a", 257)),
		saying("htm in lower case", htm, "htm", "get"),
		saying("another htm", htm, "htm", "PUT"),
		saying("htm with a space", htm, "htm", " POST"),
	}
	for _, claim := range []string{"jti", "htm", "htu", "iat"} {
		rows = append(rows, saying("no "+claim, claims, claim, nil), saying(claim+" in capitals", claims, claim, nil, strings.ToUpper(claim), "x"))
		if claim != "iat" {
			rows = append(rows, saying("empty "+claim, claims, claim, ""))
		}
	}
	return rows
}

// proofHeaders break checks 4, 5 and 7.
func proofHeaders(t testing.TB) []unproven {
	const typ, alg, jwk = "DPoP typ", "DPoP alg", "DPoP jwk"
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	number := func(n *big.Int) string { return base64.RawURLEncoding.EncodeToString(n.Bytes()) }
	modulus := testkeys.RSA(3).N
	rsaKey := func(n *big.Int, e string) string {
		return `{"kty":"RSA","n":"` + number(n) + `","e":"` + e + `"}`
	}
	long := func(bits uint) *big.Int {
		return new(big.Int).Add(new(big.Int).Lsh(modulus, bits-2048), big.NewInt(1))
	}
	public := func(members string) string {
		key := encode(t, jose.JSONWebKey{Key: &testkeys.P256(3).PublicKey})
		return strings.Replace(key, `{`, `{`+members+`,`, 1)
	}
	rows := []unproven{
		titled("RS256 with an EC key", alg, "alg", "RS256"),
		signedBy("RS256", alg, "RS256", testkeys.RSA(3)),
		signedBy("ES384", alg, "ES384", p384),
		{"HS256 keyed with the public key", alg, func(t testing.TB, g gate) []string {
			for _, secret := range publicForms(t, &testkeys.P256(3).PublicKey) {
				return []string{compact(t, "HS256", secret, encode(t, g.header(g.key(), "alg", "HS256")), encode(t, g.claims()))}
			}
			return nil
		}, nil},
		titled("no jwk", jwk, "jwk", nil),
		titled("crit", "DPoP proof", "crit", []string{"exp"}),
		titled("b64", "DPoP proof", "b64", false),
		titled("jwk private", jwk, "jwk", jose.JSONWebKey{Key: testkeys.P256(3)}),
		titled("jwk private RSA", jwk, "alg", "PS256", "jwk", jose.JSONWebKey{Key: testkeys.RSA(3)}),
		titled("jwk symmetric", jwk, "jwk", map[string]string{"kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"}),
		titled("jwk by reference", jwk, "jwk", nil, "jku", "https://localhost/jwks", "kid", "a"),
		titled("jwk in x5c", jwk, "jwk", nil, "x5c", []string{"AA"}),
		titled("jwk of another type", jwk, "jwk", jose.JSONWebKey{Key: testkeys.RSA(3).Public()}),
		titled("jwk of another curve", jwk, "jwk", jose.JSONWebKey{Key: p384.Public()}),
		titled("jwk for another alg", jwk, "jwk", jose.JSONWebKey{Key: &testkeys.P256(3).PublicKey, Algorithm: "ES384"}),
		keyed("jwk null", "ES256", "null"),
		keyed("jwk a text", "ES256", `"key"`),
		keyed("jwk an array", "ES256", "[]"),
		keyed("jwk with kty twice", "ES256", public(`"kty":"EC"`)),
		keyed("jwk with an empty d", "ES256", public(`"d":""`)),
		keyed("jwk with d null", "ES256", public(`"d":null`)),
		keyed("jwk with a prime", "ES256", public(`"p":"AA"`)),
		keyed("jwk with a secret", "ES256", public(`"k":"AA"`)),
		keyed("jwk for encryption", "ES256", public(`"use":"enc"`)),
		keyed("jwk not for verifying", "ES256", public(`"key_ops":["encrypt"]`)),
		keyed("G6 off the curve", "ES256", `{"kty":"EC","crv":"P-256","x":"`+strings.Repeat("A", 43)+`","y":"`+strings.Repeat("A", 43)+`"}`),
		keyed("G6 secp256k1", "ES256", strings.Replace(public(`"use":"sig"`), "P-256", "secp256k1", 1)),
		keyed("G6 RSA-1024", "PS256", rsaKey(new(big.Int).Rsh(modulus, 1024), "AQAB")),
		keyed("G6 RSA-16384", "PS256", rsaKey(long(16384), "AQAB")),
		keyed("G6 RSA-4104", "PS256", rsaKey(long(4104), "AQAB")),
		keyed("G6 e = 3", "PS256", rsaKey(modulus, "Aw")),
		keyed("G6 e = 2^31-1", "PS256", rsaKey(modulus, number(big.NewInt(1<<31-1)))),
		keyed("G6 Ed25519 of low order", "EdDSA", `{"kty":"OKP","crv":"Ed25519","x":"`+strings.Repeat("A", 43)+`"}`),
	}
	for _, value := range []any{nil, "", "JWT", "at+jwt", "DPoP+JWT", "application/dpop+jwt", "dpop+jwt "} {
		rows = append(rows, titled("typ "+encode(t, value), typ, "typ", value))
	}
	for _, value := range []any{nil, "", "none", "None", "HS256", "ES384", "es256"} {
		rows = append(rows, titled("alg "+encode(t, value), alg, "alg", value))
	}
	return rows
}

// proofTimes break check 11.
func proofTimes(s *servertest.Server) []unproven {
	const iat = "DPoP iat"
	late := func(row, claim string, by time.Duration) unproven {
		return unproven{row, iat, func(t testing.TB, g gate) []string {
			return []string{g.proof(t, claim, s.Clock.Now().Add(by).Unix())}
		}, nil}
	}
	return []unproven{
		late("iat an hour ago", "iat", -time.Hour), late("iat an hour ahead", "iat", time.Hour),
		late("iat 92 s ago", "iat", -92*time.Second), late("iat 35 s ahead", "iat", 35*time.Second),
		late("iat in milliseconds", "iat", 50*365*24*time.Hour), saying("iat of 1970", iat, "iat", 0),
		saying("iat beyond time", iat, "iat", 1e300), saying("iat before time", iat, "iat", -1e300),
		late("exp a minute ago", "exp", -time.Minute), late("nbf a minute ahead", "nbf", time.Minute),
	}
}

// proofTargets break check 9, as the gate's address allows.
func proofTargets(g gate) []unproven {
	u, err := url.Parse(g.url)
	if err != nil {
		panic(err)
	}
	forwarded := http.Header{"X-Forwarded-Host": {"evil.example"}, "X-Forwarded-Proto": {"https"}, "Forwarded": {"host=evil.example;proto=https"}}
	var rows []unproven
	for row, htu := range map[string]string{
		"path in other case": "https://" + u.Host + strings.ToUpper(u.Path), "slash at the end": g.url + "/", "slash doubled": "https://" + u.Host + "/" + u.Path,
		"another port": "https://localhost:1" + u.Path, "no port": "https://localhost" + u.Path, "http": "http://" + u.Host + u.Path,
		"another host": "https://evil.example" + u.Path, "host of X-Forwarded-Host": "https://evil.example" + u.Path, "another endpoint": "https://" + u.Host + "/jwks",
		"user": "https://user@" + u.Host + u.Path, "path alone": u.Path, "origin alone": "https://" + u.Host, "issuer": g.s.Issuer, "address as its path": "https://evil.example/" + g.url, "escaped": url.QueryEscape(g.url),
	} {
		made := saying("htu "+row+" at "+g.name, "DPoP htu", "htu", htu)
		made.more = forwarded
		rows = append(rows, made)
	}
	return rows
}
