package oauth_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"math/big"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/testkeys"
)

// TestVerifySignature holds the verification against what go-jose signs: each
// algorithm with its own key, and with every other key.
func TestVerifySignature(t *testing.T) {
	p384, p521 := curveKey(t, elliptic.P384()), curveKey(t, elliptic.P521())
	edPublic, edPrivate, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	secret := make([]byte, 64)
	rsaKey, p256 := testkeys.RSA(1), testkeys.P256(1)
	publics := map[string]any{
		"RSA": rsaKey.Public(), "P-256": p256.Public(), "P-384": p384.Public(), "P-521": p521.Public(),
		"Ed25519": edPublic, "oct": secret, "nothing": nil, "no bytes": []byte{},
	}
	for alg, with := range map[string]struct {
		key  any
		kind string
	}{
		"RS256": {rsaKey, "RSA"}, "RS384": {rsaKey, "RSA"}, "RS512": {rsaKey, "RSA"},
		"PS256": {rsaKey, "RSA"}, "PS384": {rsaKey, "RSA"}, "PS512": {rsaKey, "RSA"},
		"ES256": {p256, "P-256"}, "ES384": {p384, "P-384"}, "ES512": {p521, "P-521"},
		"EdDSA": {edPrivate, "Ed25519"},
		"HS256": {secret, "oct"}, "HS384": {secret, "oct"}, "HS512": {secret, "oct"},
	} {
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(alg), Key: with.key}, nil)
		if err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		made, err := signer.Sign([]byte(`{"iss":"tpp"}`))
		if err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		text, err := made.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		jws, err := oauth.ParseCompact(text)
		if err != nil {
			t.Fatal(err)
		}
		for kind, key := range publics {
			if good := oauth.VerifySignature(alg, key, jws.Signed, jws.Signature); good != (kind == with.kind) {
				t.Errorf("%s with a key of kind %s: %v", alg, kind, good)
			}
		}
		if oauth.VerifySignature(alg, publics[with.kind], jws.Signed+"x", jws.Signature) {
			t.Errorf("%s: good over another text", alg)
		}
		if oauth.VerifySignature(alg, publics[with.kind], jws.Signed, jws.Signature[1:]) || oauth.VerifySignature(alg, publics[with.kind], jws.Signed, nil) {
			t.Errorf("%s: good although shortened", alg)
		}
	}
	for _, alg := range []string{"none", "", "None", "ES256K", "HS1"} {
		if oauth.VerifySignature(alg, publics["P-256"], "a.b", nil) {
			t.Errorf("%q verifies", alg)
		}
	}
}

func curveKey(t *testing.T, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// TestVerifyForged: what is nearly a signature, or is one in another form.
func TestVerifyForged(t *testing.T) {
	const signed = "e30.e30"
	digest := sha256.Sum256([]byte(signed))
	key := testkeys.P256(1)
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	der, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	pair := func(r, s *big.Int, size int) []byte {
		return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
	}
	zero, order := new(big.Int), key.Params().N
	if !oauth.VerifySignature("ES256", key.Public(), signed, pair(r, s, 32)) {
		t.Error("a good one is refused: the test does not test")
	}
	for name, signature := range map[string][]byte{
		"r = 0": pair(zero, s, 32), "s = 0": pair(r, zero, 32), "both 0": make([]byte, 64), "r = n": pair(order, s, 32), "s = n": pair(r, order, 32),
		"all ones": bytes.Repeat([]byte{0xff}, 64), "DER": der, "swapped": pair(s, r, 32), "padded": pair(r, s, 33), "one byte more": append(pair(r, s, 32), 0), "r alone": r.FillBytes(make([]byte, 32)),
	} {
		if oauth.VerifySignature("ES256", key.Public(), signed, signature) {
			t.Errorf("ES256, %s: it verifies", name)
		}
	}
	for salt, good := range map[int]bool{32: true, rsa.PSSSaltLengthEqualsHash: true, rsa.PSSSaltLengthAuto: false, 1: false, 20: false, 33: false} {
		signature, err := rsa.SignPSS(rand.Reader, testkeys.RSA(1), crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: salt})
		if err != nil {
			t.Fatal(err)
		}
		if oauth.VerifySignature("PS256", testkeys.RSA(1).Public(), signed, signature) != good {
			t.Errorf("PS256 with a salt of %d bytes: want %v", salt, good)
		}
	}
}
