package server_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/servertest"
	"github.com/fapid/fapid/testkeys"
)

// forged is one assertion that must not be accepted, made afresh for each use.
type forged struct {
	row  string
	make func(t testing.TB, tpp *servertest.TPP) string
}

// refuseAll sends every assertion to every endpoint on both listeners. A client
// that fails to authenticate is answered 401 invalid_client (RFC 6749 section
// 5.2).
func refuseAll(t *testing.T, s *servertest.Server, tpp *servertest.TPP, rows []forged) {
	t.Helper()
	for _, row := range rows {
		t.Run(row.row, func(t *testing.T) {
			for _, d := range doors(s.Issuer, s.MTLS) {
				answer := post(t, s, tpp.HTTP, d.url, withAssertion(d.form(), row.make(t, tpp)))
				if answer.Status != http.StatusUnauthorized || answer.Error() != "invalid_client" {
					t.Errorf("%s: %s", d.name, answer)
				}
			}
		})
	}
}

// acceptAll wants a good assertion to pass everywhere.
func acceptAll(t *testing.T, s *servertest.Server, tpp *servertest.TPP, make func(t testing.TB, tpp *servertest.TPP) string) {
	t.Helper()
	for _, d := range doors(s.Issuer, s.MTLS) {
		if answer := post(t, s, tpp.HTTP, d.url, withAssertion(d.form(), make(t, tpp))); answer.Status != http.StatusOK {
			t.Errorf("%s refused a good assertion: %s", d.name, answer)
		}
	}
}

// claiming signs good claims with changes.
func claiming(changes ...any) func(testing.TB, *servertest.TPP) string {
	return func(t testing.TB, tpp *servertest.TPP) string {
		return assertion(t, tpp, headerOf(tpp), but(claimsOf(tpp), changes...))
	}
}

// heading signs good claims under a header with changes.
func heading(changes ...any) func(testing.TB, *servertest.TPP) string {
	return func(t testing.TB, tpp *servertest.TPP) string {
		return assertion(t, tpp, headerOf(tpp, changes...), claimsOf(tpp))
	}
}

// signing signs a good assertion with another algorithm or key.
func signing(alg, used string, key any, changes ...any) func(testing.TB, *servertest.TPP) string {
	return func(t testing.TB, tpp *servertest.TPP) string {
		return compact(t, used, key, encode(t, headerOf(tpp, append([]any{"alg", alg}, changes...)...)), encode(t, claimsOf(tpp)))
	}
}

func TestAttackB1B2B3(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	tpp := s.TPP("jwt", servertest.JWT)
	acceptAll(t, s, tpp, claiming())

	var rows []forged
	for _, alg := range []any{"none", "None", "nOnE", "NONE", "", nil} {
		rows = append(rows, forged{"B1 alg " + encode(t, alg), func(t testing.TB, tpp *servertest.TPP) string {
			return compact(t, "", nil, encode(t, headerOf(tpp, "alg", alg)), encode(t, claimsOf(tpp)))
		}})
	}
	rows = append(rows,
		forged{"B1 empty signature", signing("ES256", "", nil)},
		forged{"B1 none with a signature", signing("none", "ES256", tpp.SigningKey)},
		forged{"B3 RS256", signing("RS256", "RS256", testkeys.RSA(3))},
		forged{"B3 PS256 though registered for ES256", signing("PS256", "PS256", testkeys.RSA(3))},
		forged{"B3 ES384 with the P-256 key", signing("ES384", "ES384", tpp.SigningKey)},
		forged{"B3 EdDSA", signing("EdDSA", "", testkeys.Ed25519(1))},
		forged{"B3 another client's key", signing("ES256", "ES256", testkeys.P256(4))},
	)
	for name, secret := range publicForms(t, &tpp.SigningKey.(*ecdsa.PrivateKey).PublicKey) {
		for _, alg := range []string{"HS256", "HS384", "HS512"} {
			rows = append(rows, forged{"B2 " + alg + " keyed with the public key as " + name, signing(alg, alg, secret)})
		}
	}
	refuseAll(t, s, tpp, rows)

	// ES256 says which curve (RFC 7518 section 3.4): a P-384 key has no part in it.
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	curve := s.TPP("p384", servertest.JWT, func(m *registration.Metadata) {
		m.JWKS = json.RawMessage(encode(t, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
			{Key: &testkeys.P256(3).PublicKey, KeyID: "p256"}, {Key: &p384.PublicKey, KeyID: "p384"},
		}}))
	})
	refuseAll(t, s, curve, []forged{
		{"B3 ES256 with a P-384 key", signing("ES256", "ES256", p384, "kid", "p384")},
		{"B3 ES256 with a P-384 key, unnamed", signing("ES256", "ES256", p384, "kid", nil)},
	})

	// An RSA key could verify RS256; the list of algorithms says no.
	strong := s.TPP("ps256", servertest.JWT, withKeys(t, &testkeys.RSA(3).PublicKey, "rsa", ""))
	refuseAll(t, s, strong, []forged{
		{"B3 RS256 with a key for PS256", signing("RS256", "RS256", testkeys.RSA(3), "kid", "rsa")},
		{"B3 PS384", signing("PS384", "PS384", testkeys.RSA(3), "kid", "rsa")},
	})

	// Plain OAuth 2 allows RS256, FAPI does not even register it.
	plain := s.TPP("plain", servertest.JWT, servertest.Under("oauth2"), withKeys(t, &testkeys.RSA(3).PublicKey, "rsa", "RS256"))
	acceptAll(t, s, plain, signing("RS256", "RS256", testkeys.RSA(3), "kid", "rsa"))
	if err := s.Refuses("default", registration.Metadata{
		ClientID: "weak", TokenEndpointAuthMethod: oauth.AuthPrivateKeyJWT, TokenEndpointAuthSigningAlg: "RS256",
		GrantTypes: []string{"client_credentials"}, JWKS: keySet(t, &testkeys.RSA(3).PublicKey, "rsa"), Policy: "fapi2", CertificateBoundTokens: true,
	}); err != "invalid_client_metadata" {
		t.Errorf("a FAPI client with RS256 is registered: %q", err)
	}
}

// publicForms are the ways to write down a public key that was taken for an
// HMAC secret somewhere.
func publicForms(t testing.TB, key *ecdsa.PublicKey) map[string][]byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	jwk, err := json.Marshal(jose.JSONWebKey{Key: key})
	if err != nil {
		t.Fatal(err)
	}
	point, err := key.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	return map[string][]byte{
		"DER": der, "PEM": text, "PEM without its last line break": text[:len(text)-1], "JWK": jwk, "point": point,
		"base64": []byte(base64.StdEncoding.EncodeToString(der)), "nothing": {},
	}
}

// keySet is a JWKS of one public key.
func keySet(t testing.TB, key any, kid string) json.RawMessage {
	t.Helper()
	return json.RawMessage(encode(t, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key, KeyID: kid}}}))
}

// withKeys registers one key, and an algorithm or any.
func withKeys(t testing.TB, key any, kid, alg string) func(*registration.Metadata) {
	t.Helper()
	return func(m *registration.Metadata) {
		m.JWKS, m.TokenEndpointAuthSigningAlg = keySet(t, key, kid), alg
	}
}

func TestAttackB2RSA(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	public := &testkeys.RSA(3).PublicKey
	// Under plain OAuth 2 the HMAC algorithms exist, so the key must decide.
	tpp := s.TPP("rsa", servertest.JWT, servertest.Under("oauth2"), withKeys(t, public, "rsa", ""))
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	pkcs1 := x509.MarshalPKCS1PublicKey(public)
	var rows []forged
	for name, secret := range map[string][]byte{
		"DER": der, "PEM": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}),
		"PKCS #1": pkcs1, "PKCS #1 PEM": pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: pkcs1}),
		"JWKS": tpp.Metadata.JWKS, "modulus": public.N.Bytes(),
	} {
		for _, alg := range []string{"HS256", "HS384", "HS512"} {
			rows = append(rows, forged{alg + " keyed with the public key as " + name, signing(alg, alg, secret, "kid", "rsa")})
		}
	}
	refuseAll(t, s, tpp, rows)
	acceptAll(t, s, tpp, signing("PS256", "PS256", testkeys.RSA(3), "kid", "rsa"))
	// What OpenSSL signs unless it is told otherwise; the trace tells how.
	header, payload := encode(t, headerOf(tpp, "alg", "PS256", "kid", "rsa")), encode(t, claimsOf(tpp))
	parts := strings.Split(compact(t, "", nil, header, payload), ".")
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	longest, err := rsa.SignPSS(rand.Reader, testkeys.RSA(3), crypto.SHA256, digest[:], nil)
	if err != nil {
		t.Fatal(err)
	}
	answer := post(t, s, tpp.HTTP, s.Issuer+"/token", withAssertion(doors("")[0].form(), parts[0]+"."+parts[1]+"."+base64.RawURLEncoding.EncodeToString(longest)))
	wantAnswer(t, answer, 401, "invalid_client")
	if check := failedCheck(s, answer); check.Name != "client assertion signature" || !strings.Contains(check.Advice, "rsa_pss_saltlen:digest") {
		t.Errorf("the trace says %+v", check)
	}
}

func TestAttackB6B7(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	tpp := s.TPP("jwt", servertest.JWT)
	header := func(raw string) func(testing.TB, *servertest.TPP) string {
		return func(t testing.TB, tpp *servertest.TPP) string {
			return compact(t, "ES256", tpp.SigningKey, strings.ReplaceAll(raw, "KID", tpp.KeyID), encode(t, claimsOf(tpp)))
		}
	}
	// payload adds raw members to good claims.
	payload := func(extra string) func(testing.TB, *servertest.TPP) string {
		return func(t testing.TB, tpp *servertest.TPP) string {
			return compact(t, "ES256", tpp.SigningKey, encode(t, headerOf(tpp)), strings.TrimSuffix(encode(t, claimsOf(tpp)), "}")+extra)
		}
	}
	mangled := func(mangle func(string) string) func(testing.TB, *servertest.TPP) string {
		return func(t testing.TB, tpp *servertest.TPP) string { return mangle(claiming()(t, tpp)) }
	}
	refuseAll(t, s, tpp, []forged{
		{"B6 unknown crit", heading("crit", []string{"http://example.com/x"}, "http://example.com/x", 1)},
		{"B6 empty crit", heading("crit", []string{})},
		{"B6 crit of a known header", heading("crit", []string{"exp"}, "exp", 1)},
		{"B6 b64 false", heading("b64", false, "crit", []string{"b64"})},
		{"B6 b64 false without crit", heading("b64", false)},
		{"B6 duplicate alg", header(`{"alg":"ES256","alg":"none","typ":"JWT","kid":"KID"}`)},
		{"B6 duplicate kid", header(`{"alg":"ES256","kid":"x","kid":"KID"}`)},
		{"B6 typ is a number", header(`{"alg":"ES256","typ":5,"kid":"KID"}`)},
		{"B6 header is an array", header(`["ES256"]`)},
		{"B6 header with a byte order mark", header("\ufeff" + `{"alg":"ES256","kid":"KID"}`)},
		{"B6 header followed by another", header(`{"alg":"ES256","kid":"KID"}{}`)},
		{"B6 header is not UTF-8", header(`{"alg":"ES256","kid":"KID","x":"` + "\xff" + `"}`)},
		{"B6 duplicate aud", payload(`,"aud":"https://example.com"}`)},
		{"B6 duplicate iss", payload(`,"iss":"jwt"}`)},
		{"B6 claims followed by more", payload(`}{"a":1}`)},
		{"B6 claims are not UTF-8", payload(`,"x":"` + "\xff\xfe" + `"}`)},
		{"B6 AUD instead of aud", claiming("aud", nil, "AUD", s.Issuer)},
		{"B6 SUB instead of sub", claiming("sub", nil, "SUB", "jwt")},
		{"B6 EXP instead of exp", claiming("exp", nil, "EXP", s.Clock.Now().Unix()+60)},
		{"B6 JSON serialisation", func(t testing.TB, tpp *servertest.TPP) string {
			parts := strings.Split(claiming()(t, tpp), ".")
			return encode(t, map[string]string{"protected": parts[0], "payload": parts[1], "signature": parts[2]})
		}},
		{"B6 padded base64", mangled(func(a string) string { return a + "==" })},
		{"B6 padding in the header", mangled(func(a string) string { return strings.Replace(a, ".", "=.", 1) })},
		{"B6 standard alphabet", mangled(func(a string) string { return strings.NewReplacer("-", "+", "_", "/").Replace(a) + "+/" })},
		{"B6 line break in the signature", mangled(func(a string) string { return a[:len(a)-5] + "\r\n" + a[len(a)-5:] })},
		{"B6 line break at the end", mangled(func(a string) string { return a + "\n" })},
		{"B6 line break in the claims", mangled(func(a string) string { return strings.Replace(a, ".", ".\n", 1) })},
		{"B6 space in front", mangled(func(a string) string { return " " + a })},
		{"B6 trailing bytes", mangled(func(a string) string { return a + "AAAA" })},
		{"B6 another part", mangled(func(a string) string { return a + ".AAAA" })},
		{"B6 last character spelled otherwise", mangled(respelled)},
		{"B6 last character of the claims spelled otherwise", func(t testing.TB, tpp *servertest.TPP) string {
			claims := encode(t, claimsOf(tpp))
			for len(claims)%3 == 0 {
				claims += " "
			}
			parts := strings.Split(compact(t, "ES256", tpp.SigningKey, encode(t, headerOf(tpp)), claims), ".")
			return parts[0] + "." + respelled(parts[1]) + "." + parts[2]
		}},
		{"B7 JWE for our key", func(t testing.TB, tpp *servertest.TPP) string { return encrypted(t, claiming()(t, tpp), nil) }},
		{"B7 nothing", func(testing.TB, *servertest.TPP) string { return "" }},
		{"B7 dots", func(testing.TB, *servertest.TPP) string { return ".." }},
	})
	jwe := post(t, s, tpp.HTTP, s.Issuer+"/token", withAssertion(doors("")[0].form("client_id", "jwt"), encrypted(t, claiming()(t, tpp), nil)))
	if event := s.Explain(jwe); !strings.Contains(event.Reason, "encrypted") {
		t.Errorf("of a JWE the trace says %q", event.Reason)
	}
	// A claim that is not understood is ignored (RFC 7519 section 4), also one
	// whose name differs from a known one in case only.
	acceptAll(t, s, tpp, claiming("AUD", "https://evil.example.com", "Iss", "evil", "nested", map[string]any{"a": []int{1}}))
	acceptAll(t, s, tpp, heading("typ", nil))
	acceptAll(t, s, tpp, heading("typ", "client-authentication+jwt"))
	acceptAll(t, s, tpp, heading("kid", nil))
}

// respelled changes the bits of the last character that base64 does not use.
func respelled(compact string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, compact[len(compact)-1])
	return compact[:len(compact)-1] + alphabet[last^1:last^1+1]
}

// encrypted is a JWE around a payload; change may spoil it.
func encrypted(t testing.TB, payload string, change func([]string)) string {
	t.Helper()
	key := testkeys.RSA(1) // signs for the server
	encrypter, err := jose.NewEncrypter(jose.A128GCM, jose.Recipient{Algorithm: jose.RSA_OAEP_256, Key: &rsa.PublicKey{N: key.N, E: key.E}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	jwe, err := encrypter.Encrypt([]byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	text, err := jwe.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(text, ".")
	if change != nil {
		change(parts)
	}
	return strings.Join(parts, ".")
}

func TestAttackB8(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	tpp := s.TPP("jwt", servertest.JWT)
	token := tpp.Token()
	now := s.Clock.Now().Unix()
	rows := []forged{
		{"our access token", func(testing.TB, *servertest.TPP) string { return token }},
		{"our introspection answer", func(t testing.TB, tpp *servertest.TPP) string { return signedIntrospection(t, tpp, token) }},
	}
	for _, typ := range []string{
		"at+jwt", "application/at+jwt", "dpop+jwt", "oauth-authz-req+jwt", "logout+jwt", "token-introspection+jwt",
		"secevent+jwt", "entity-statement+jwt", "JOSE", "JWS", "jwt-bearer+jwt", "vc+sd-jwt", "wallet-attestation+jwt",
	} {
		rows = append(rows, forged{"typ " + typ, heading("typ", typ)})
	}
	for name, changes := range map[string][]any{
		"ID token":           {"iss", s.Issuer, "sub", "alice", "aud", "jwt", "nonce", "n"},
		"request object":     {"sub", nil, "client_id", "jwt", "response_type", "code", "jti", nil},
		"DPoP proof":         {"iss", nil, "sub", nil, "aud", nil, "exp", nil, "htm", "POST", "htu", s.Issuer + "/token"},
		"software statement": {"iss", "directory", "sub", nil, "aud", nil, "exp", nil, "software_id", "jwt"},
		"JARM answer":        {"iss", s.Issuer, "sub", nil, "aud", "jwt", "code", "c"},
		"logout token":       {"iss", s.Issuer, "sub", "alice", "aud", "jwt", "events", map[string]any{}},
		"bearer grant":       {"iss", "jwt", "sub", "alice", "iat", now},
	} {
		rows = append(rows, forged{name, claiming(changes...)})
	}
	refuseAll(t, s, tpp, rows)
}
