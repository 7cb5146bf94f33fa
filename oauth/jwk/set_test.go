package jwk

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/fapid/fapid/oauth/jwk/jwktest"
	"github.com/fapid/fapid/testkeys"
)

// rough is an odd number of exactly that many bits without a factor below 752:
// a prime as far as the shape tests can tell, at no cost.
func rough(bits int) *big.Int {
	for {
		n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), uint(bits)))
		if err != nil {
			panic(err)
		}
		n.SetBit(n.SetBit(n.SetBit(n, 0, 1), bits-1, 1), bits-2, 1)
		if smallFactor(n) == 0 {
			return n
		}
	}
}

func product(a, b *big.Int) *big.Int { return new(big.Int).Mul(a, b) }

// twins are two close factors: what a generator that searches both primes from
// one starting point makes.
func twins(bits int) *big.Int {
	p := rough(bits)
	q := new(big.Int).Add(p, big.NewInt(2))
	for smallFactor(q) != 0 {
		q.Add(q, big.NewInt(2))
	}
	return product(p, q)
}

// rocaModulus has the structure of CVE-2017-15361: both factors are a power of
// 65537 modulo the product of the first primes.
func rocaModulus() *big.Int {
	m := big.NewInt(2)
	for _, batch := range smallPrimes() {
		for _, prime := range batch.primes {
			if prime <= 167 {
				m.Mul(m, new(big.Int).SetUint64(prime))
			}
		}
	}
	factor := func() *big.Int {
		for {
			power := new(big.Int).Exp(big.NewInt(rsaExponent), rough(64), m)
			if n := power.Add(power, product(m, rough(820))); smallFactor(n) == 0 {
				return n
			}
		}
	}
	return product(factor(), factor())
}

func TestCheckRSA(t *testing.T) {
	even := product(rough(1024), rough(1024))
	even.SetBit(even, 0, 0)
	for name, test := range map[string]struct {
		n    *big.Int
		e    int
		want string // empty: accepted
	}{
		"2048":          {product(rough(1024), rough(1024)), 65537, ""},
		"4096":          {product(rough(2048), rough(2048)), 65537, ""},
		"real":          {testkeys.RSA(1).N, 65537, ""},
		"1024":          {product(rough(512), rough(512)), 65537, "RSA modulus of 1024 bits, expected 2048 to 4096"},
		"2047":          {new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 2047), big.NewInt(9)), 65537, "RSA modulus of 2047 bits"},
		"4097":          {new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), 4096), big.NewInt(1)), 65537, "RSA modulus of 4097 bits"},
		"e=1":           {testkeys.RSA(1).N, 1, "RSA exponent 1, expected 65537"},
		"e=3":           {testkeys.RSA(1).N, 3, "RSA exponent 3"},
		"e even":        {testkeys.RSA(1).N, 65536, "RSA exponent 65536"},
		"even modulus":  {even, 65537, "RSA modulus is even"},
		"factor 3":      {product(product(rough(1023), rough(1024)), big.NewInt(3)), 65537, "RSA modulus is divisible by 3"},
		"factor 751":    {product(product(rough(1014), rough(1025)), big.NewInt(751)), 65537, "RSA modulus is divisible by 751"},
		"close primes":  {twins(1024), 65537, "RSA primes are so close"},
		"square":        {func() *big.Int { p := rough(1024); return product(p, p) }(), 65537, "RSA primes are so close"},
		"ROCA":          {rocaModulus(), 65537, "CVE-2017-15361"},
		"zero":          {big.NewInt(0), 65537, "RSA modulus of 0 bits"},
		"power of two":  {new(big.Int).Lsh(big.NewInt(1), 2047), 65537, "RSA modulus is even"},
		"all bits set ": {new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 2048), big.NewInt(1)), 65537, "RSA modulus is divisible by 3"},
	} {
		t.Run(name, func(t *testing.T) {
			err := checkRSA(&rsa.PublicKey{N: test.n, E: test.e})
			if err == nil {
				err = checkFactors(test.n)
			}
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}

func b64(n *big.Int) string { return base64.RawURLEncoding.EncodeToString(n.Bytes()) }

// onSecp256k1 is that curve's generator, a point of no curve fapid takes.
const secp256k1 = `{"kty":"EC","crv":"secp256k1","kid":"k","x":"eb5mfvncu6xVoGKVzocLBwKb_NstzijZWfKBWxb4F5g","y":"SDradyajxGVdpPv8DhEIqP0XtEimhVQZnEfQj_sQ1Lg"}`

func TestKeyRules(t *testing.T) {
	rsaKey, ec := testkeys.RSA(1), testkeys.P256(1)
	set := func(name string, value any) func(map[string]any) {
		return func(k map[string]any) { k[name] = value }
	}
	rsaJWK := func(change func(map[string]any)) json.RawMessage { return jwktest.Key(t, rsaKey.Public(), "k", change) }
	ecJWK := func(change func(map[string]any)) json.RawMessage { return jwktest.Key(t, ec.Public(), "k", change) }
	private := func(key any) json.RawMessage {
		data, err := jose.JSONWebKey{Key: key, KeyID: "k"}.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	otherCert := jwktest.SelfSigned(t, testkeys.P256(2))
	for name, test := range map[string]struct {
		key  json.RawMessage
		want string // empty: accepted
	}{
		"RSA":                      {rsaJWK(nil), ""},
		"P-256":                    {ecJWK(nil), ""},
		"Ed25519":                  {jwktest.Key(t, testkeys.Ed25519(1).Public(), "k", nil), ""},
		"use sig":                  {ecJWK(set("use", "sig")), ""},
		"use enc":                  {ecJWK(set("use", "enc")), ""},
		"unknown member":           {ecJWK(set("iat", 5)), ""},
		"alg":                      {rsaJWK(set("alg", "PS256")), ""},
		"no kid":                   {jwktest.Key(t, ec.Public(), "", nil), ""},
		"x5c":                      {jwktest.Certified(t, ec, "k"), ""},
		"1024 bits":                {rsaJWK(set("n", b64(product(rough(512), rough(512))))), "RSA modulus of 1024 bits"},
		"close primes":             {rsaJWK(set("n", b64(twins(1024)))), "so close"},
		"e=1":                      {rsaJWK(set("e", "AQ")), `RSA exponent e is "AQ", expected "AQAB"`},
		"e=3":                      {rsaJWK(set("e", "Aw")), "RSA exponent e is"},
		"e=2^64+65537":             {rsaJWK(set("e", "AQAAAAAAAQAB")), "RSA exponent e is"},
		"e missing":                {rsaJWK(func(k map[string]any) { delete(k, "e") }), "RSA exponent e is"},
		"n missing":                {rsaJWK(func(k map[string]any) { delete(k, "n") }), "missing n/e"},
		"n padded":                 {rsaJWK(set("n", b64(rsaKey.N)+"=")), "illegal base64"},
		"RSA private":              {private(rsaKey), "private key member"},
		"EC private":               {private(ec), `private key member "d"`},
		"Ed25519 private":          {private(testkeys.Ed25519(1)), `private key member "d"`},
		"q alone":                  {rsaJWK(set("q", "AQAB")), `private key member "q"`},
		"oth":                      {rsaJWK(set("oth", []string{})), `private key member "oth"`},
		"null d":                   {rsaJWK(set("d", nil)), `private key member "d"`},
		"symmetric":                {json.RawMessage(`{"kty":"oct","k":"AAAA","kid":"k"}`), "a symmetric key"},
		"symmetric without k":      {json.RawMessage(`{"kty":"oct","kid":"k"}`), "a symmetric key"},
		"k in an RSA key":          {rsaJWK(set("k", "AAAA")), "a symmetric key"},
		"secp256k1":                {json.RawMessage(secp256k1), `curve "secp256k1", expected P-256, P-384 or P-521`},
		"P-192":                    {ecJWK(set("crv", "P-192")), `curve "P-192"`},
		"X25519":                   {jwktest.Key(t, testkeys.Ed25519(1).Public(), "k", set("crv", "X25519")), `curve "X25519", expected Ed25519`},
		"off the curve":            {ecJWK(set("x", b64(new(big.Int).Add(ec.X, big.NewInt(1))))), "not on declared curve"},
		"infinity":                 {ecJWK(func(k map[string]any) { k["x"], k["y"] = strings.Repeat("A", 43), strings.Repeat("A", 43) }), "curve"},
		"short coordinate":         {ecJWK(set("x", "AAAA")), "wrong length for x"},
		"P-256 point named P-384":  {ecJWK(set("crv", "P-384")), "wrong length"},
		"Ed25519 of low order":     {jwktest.Key(t, testkeys.Ed25519(1).Public(), "k", set("x", strings.Repeat("A", 43))), "low-order"},
		"Ed25519 too short":        {jwktest.Key(t, testkeys.Ed25519(1).Public(), "k", set("x", "AAAA")), "wrong length"},
		"no kty":                   {ecJWK(func(k map[string]any) { delete(k, "kty") }), `kty "", expected RSA, EC or OKP`},
		"unknown kty":              {ecJWK(set("kty", "PQ")), `kty "PQ"`},
		"kty in another case":      {ecJWK(set("kty", "ec")), `kty "ec"`},
		"kid a number":             {ecJWK(set("kid", 7)), "kid must be a string, not a number"},
		"kid null":                 {ecJWK(set("kid", nil)), "kid must be a string, not null"},
		"long kid":                 {ecJWK(set("kid", strings.Repeat("x", 513))), "kid is longer than 512 bytes"},
		"use in another case":      {ecJWK(set("use", "SIG")), `use "SIG", expected sig or enc`},
		"use tls":                  {ecJWK(set("use", "tls")), ""},
		"alg of another type":      {ecJWK(set("alg", "PS256")), "alg PS256 does not go with this key's type (P-256)"},
		"alg of another curve":     {ecJWK(set("alg", "ES384")), "alg ES384 does not go with"},
		"certificate of other key": {ecJWK(set("x5c", []string{base64.StdEncoding.EncodeToString(otherCert.Raw)})), "do not match"},
		"broken certificate":       {ecJWK(set("x5c", []string{"AAAA"})), "x5c"},
		"thumbprint of other cert": {withThumbprint(t, jwktest.Certified(t, ec, "k")), "thumbprint does not match"},
		"not an object":            {json.RawMessage(`"x"`), "not a JSON object"},
		"null":                     {json.RawMessage(`null`), "not a JSON object"},
		"duplicate member":         {json.RawMessage(`{"kty":"EC","kty":"RSA"}`), "each member once"},
		"duplicate unknown member": {json.RawMessage(`{"kty":"EC","zz":1,"zz":2}`), "each member once"},
		"key_ops of another type":  {ecJWK(set("key_ops", "verify")), "key_ops must be an array of strings, not a string"},
		"private in another case":  {ecJWK(set("D", "AAAA")), ""}, // an unknown member, as go-jose sees it
	} {
		t.Run(name, func(t *testing.T) {
			parsed, err := Parse(jwktest.Set(t, test.key), Registered, nil)
			if test.want == "" {
				if err != nil || len(parsed.keys) != 1 {
					t.Fatalf("refused: %v", err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), "key 1 (kid ") {
				t.Fatalf("%v, want %q", err, test.want)
			}
			// A fetched set goes on without the key and remembers why.
			good := jwktest.Key(t, testkeys.P256(3).Public(), "good", nil)
			parsed, err = Parse(jwktest.Set(t, test.key, good), Fetched, nil)
			if err != nil || len(parsed.keys) != 1 || parsed.keys[0].KeyID != "good" || len(parsed.refused) != 1 {
				t.Errorf("in a fetched set: %+v, %v", parsed, err)
			}
		})
	}
}

func withThumbprint(t *testing.T, key json.RawMessage) json.RawMessage {
	var members map[string]any
	if err := json.Unmarshal(key, &members); err != nil {
		t.Fatal(err)
	}
	members["x5t#S256"] = strings.Repeat("A", 43)
	data, _ := json.Marshal(members)
	return data
}

func TestJWKSRules(t *testing.T) {
	ec := jwktest.Key(t, testkeys.P256(1).Public(), "k", nil)
	ec2 := jwktest.Key(t, testkeys.P256(2).Public(), "k", nil)
	rsaKey := jwktest.Key(t, testkeys.RSA(1).Public(), "k", nil)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keys := func(n int) string {
		var all []string
		for i := range n {
			all = append(all, string(jwktest.Key(t, testkeys.P256(1).Public(), fmt.Sprint(i), nil)))
		}
		return `{"keys":[` + strings.Join(all, ",") + `]}`
	}
	for name, test := range map[string]struct{ text, want string }{
		"50 keys":                     {keys(50), ""},
		"51 keys":                     {keys(51), "key set has 51 keys, more than 50"},
		"same kid, other kty":         {string(jwktest.Set(t, ec, rsaKey)), ""},
		"same kid, same kty":          {string(jwktest.Set(t, ec, ec2)), "another key of the same kty has the same kid"},
		"same kid, other curve":       {string(jwktest.Set(t, ec, jwktest.Key(t, p384.Public(), "k", nil))), "another key of the same kty has the same kid"},
		"two without kid":             {string(jwktest.Set(t, jwktest.Key(t, testkeys.P256(1).Public(), "", nil), jwktest.Key(t, testkeys.P256(2).Public(), "", nil))), ""},
		"empty":                       {`{"keys":[]}`, ""},
		"no keys member":              {`{}`, `has no "keys" array`},
		"null keys":                   {`{"keys":null}`, `has no "keys" array`},
		"keys an object":              {`{"keys":{}}`, "not a JWK Set"},
		"bare array":                  {`[]`, "not a JWK Set"},
		"one bare key":                {string(ec), `has no "keys" array`},
		"Keys":                        {`{"Keys":[]}`, `has no "keys" array`},
		"keys twice":                  {`{"keys":[],"keys":[]}`, "duplicate key"},
		"trailing data":               {`{"keys":[]} x`, "not a JWK Set"},
		"invalid UTF-8":               {"{\"keys\":[],\"x\":\"\xff\"}", "not valid UTF-8"},
		"longer than 64 KiB":          {`{"keys":[],"x":"` + strings.Repeat("x", 64<<10) + `"}`, "longer than 65536 bytes"},
		"HTML":                        {`<html>`, "not a JWK Set"},
		"other members beside keys":   {`{"keys":[],"issuer":"x"}`, ""},
		"10,000 empty keys":           {`{"keys":[` + strings.TrimSuffix(strings.Repeat(`{},`, 10000), ",") + `]}`, "more than 50"},
		"deeply nested unknown value": {`{"keys":[],"x":` + strings.Repeat("[", 30000) + strings.Repeat("]", 30000) + `}`, "not a JWK Set"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, from := range []Origin{Registered, Fetched, Stored} {
				_, err := Parse([]byte(test.text), from, nil)
				if from == Fetched && strings.HasPrefix(name, "same kid") {
					continue
				}
				if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
					t.Errorf("origin %d: %v, want %q", from, err, test.want)
				}
			}
		})
	}
}

func TestFind(t *testing.T) {
	set := func(name string, value any) func(map[string]any) {
		return func(k map[string]any) { k[name] = value }
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := Parse(jwktest.Set(t,
		jwktest.Key(t, testkeys.RSA(1).Public(), "both", nil),
		jwktest.Key(t, testkeys.P256(1).Public(), "both", nil),
		jwktest.Key(t, testkeys.Ed25519(1).Public(), "ed", nil),
		jwktest.Key(t, testkeys.RSA(2).Public(), "ps", set("alg", "PS256")),
		jwktest.Key(t, testkeys.P256(2).Public(), "enc", set("use", "enc")),
		jwktest.Key(t, testkeys.P256(3).Public(), "ops", set("key_ops", []string{"encrypt"})),
		jwktest.Key(t, testkeys.RSA(3).Public(), "oaep", set("alg", "RSA-OAEP")),
		jwktest.Key(t, p384.Public(), "", nil),
	), Registered, nil)
	if err != nil {
		t.Fatal(err)
	}
	keys := In(parsed)
	for _, test := range []struct{ kid, alg, found, want string }{
		{"both", "PS256", "both", ""},
		{"both", "RS256", "both", ""},
		{"both", "ES256", "both", ""},
		{"both", "ES384", "", `the key with kid "both" in jwks cannot verify ES384: it is P-256; it is RSA`},
		{"both", "EdDSA", "", "cannot verify EdDSA"},
		{"ed", "EdDSA", "ed", ""},
		{"ed", "Ed25519", "ed", ""},
		{"ps", "PS256", "ps", ""},
		{"ps", "RS256", "", `cannot verify RS256: it is RSA, alg PS256`},
		{"enc", "ES256", "", "cannot verify ES256: it is P-256, use enc"},
		{"ops", "ES256", "", "cannot verify ES256: it is P-256, use other than verify"},
		{"oaep", "PS256", "", "cannot verify PS256: it is RSA, alg RSA-OAEP"},
		{"", "PS256", "both ps", ""},
		{"", "ES512", "", "no key in jwks can verify ES512 (has: "},
		{"nope", "ES256", "", `no key with kid "nope" in jwks (has: one without kid, both, both, ed, enc, oaep, ops, ps)`},
		{"../../etc/passwd\x00", "ES256", "", `no key with kid "../../etc/passwd\x00" in jwks`},
		{"' OR 1=1 --", "ES256", "", "no key with kid"},
		{strings.Repeat("k", 8<<10), "ES256", "", "no key with kid"},
		{"both", "HS256", "", `"HS256" is not a signature algorithm fapid verifies`},
		{"both", "none", "", "is not a signature algorithm"},
		{"both", "", "", "is not a signature algorithm"},
	} {
		found, err := keys.Find(t.Context(), test.kid, test.alg)
		var kids []string
		for _, key := range found {
			kids = append(kids, key.KeyID)
		}
		if got := strings.Join(kids, " "); got != test.found {
			t.Errorf("Find(%.20q, %s) = %s, want %s", test.kid, test.alg, got, test.found)
		}
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("Find(%.20q, %s): %v, want %q", test.kid, test.alg, err, test.want)
		}
		if err != nil && len(err.Error()) > 400 {
			t.Errorf("Find(%.20q, %s): an error of %d bytes", test.kid, test.alg, len(err.Error()))
		}
	}
	if found, _ := keys.Find(t.Context(), "both", "ES256"); len(found) == 1 && keyType(found[0]) != "P-256" {
		t.Errorf("of two keys with one kid the wrong one was chosen: %s", keyType(found[0]))
	}
}

func TestFindWithoutKidIsBounded(t *testing.T) {
	var all []json.RawMessage
	for i := range 6 {
		all = append(all, jwktest.Key(t, testkeys.P256(1).Public(), fmt.Sprint(i), nil))
	}
	for n, want := range map[int]int{5: 5, 6: 0} {
		parsed, err := Parse(jwktest.Set(t, all[:n]...), Registered, nil)
		if err != nil {
			t.Fatal(err)
		}
		found, err := parsed.find("", "ES256", "jwks")
		if len(found) != want || (err == nil) != (want > 0) {
			t.Errorf("of %d keys %d were found, %v", n, len(found), err)
		}
	}
}

func TestHasCertificate(t *testing.T) {
	key := testkeys.P256(1)
	certificate := jwktest.SelfSigned(t, key)
	issuer := jwktest.SelfSigned(t, testkeys.P256(2))
	data, err := jose.JSONWebKey{Key: key.Public(), KeyID: "k", Certificates: []*x509.Certificate{certificate, issuer}}.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := Parse(jwktest.Set(t, data), Registered, nil)
	if err != nil {
		t.Fatal(err)
	}
	keys := In(parsed)
	for name, test := range map[string]struct {
		certificate *x509.Certificate
		want        bool
	}{
		"registered":                   {certificate, true},
		"same key, other certificate":  {jwktest.SelfSigned(t, key), false},
		"another in the same x5c":      {issuer, false},
		"a certificate of another key": {jwktest.SelfSigned(t, testkeys.P256(3)), false},
	} {
		has, known, err := keys.HasCertificate(t.Context(), thumbprint(test.certificate))
		if err != nil || has != test.want || len(known) != 1 || known[0] != thumbprint(certificate) {
			t.Errorf("%s: %t, %v, %v", name, has, known, err)
		}
	}
}

func thumbprint(certificate *x509.Certificate) string {
	sum := sha256.Sum256(certificate.Raw)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func FuzzJWKS(f *testing.F) {
	f.Add([]byte(jwktest.Set(f, jwktest.Key(f, testkeys.RSA(1).Public(), "r", nil), jwktest.Key(f, testkeys.Ed25519(1).Public(), "e", nil))))
	f.Add([]byte(jwktest.Set(f, jwktest.Certified(f, testkeys.P256(1), "c"))))
	f.Add([]byte(`{"keys":[` + secp256k1 + `]}`))
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"AA"},{"kty":"AKP","alg":"ML-DSA-44","pub":"AA"},{}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		strict, strictErr := Parse(data, Registered, nil)
		lenient, err := Parse(data, Fetched, nil)
		if strictErr == nil && (err != nil || len(lenient.keys) != len(strict.keys) || lenient.refused != nil) {
			t.Fatalf("strict took what lenient did not: %v", err)
		}
		if err != nil {
			return
		}
		for _, key := range lenient.keys {
			if !key.Valid() || !key.IsPublic() || keyType(key) == "" {
				t.Fatalf("took key %+v", key)
			}
			for alg, family := range signatureAlgs {
				found, err := lenient.find(key.KeyID, alg, "jwks")
				for i := range found {
					if keyType(found[i]) != family || found[i].Use == "enc" {
						t.Fatalf("a %s key for %s", keyType(found[i]), alg)
					}
				}
				if err == nil && len(found) == 0 {
					t.Fatal("no key and no error")
				}
			}
		}
	})
}
