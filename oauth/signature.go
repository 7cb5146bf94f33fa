package oauth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rsa"
	_ "crypto/sha256" // SHA-256
	_ "crypto/sha512" // SHA-384, SHA-512
	"math/big"
	"strings"
)

// jwsAlg is a row of RFC 7518 section 3.1.
type jwsAlg struct {
	hash   crypto.Hash
	verify func(key any, hash crypto.Hash, digest, signature []byte) bool
	curve  elliptic.Curve // of the elliptic ones
}

var jwsAlgs = map[string]jwsAlg{
	"RS256": {hash: crypto.SHA256, verify: verifyPKCS1}, "RS384": {hash: crypto.SHA384, verify: verifyPKCS1}, "RS512": {hash: crypto.SHA512, verify: verifyPKCS1},
	"PS256": {hash: crypto.SHA256, verify: verifyPSS}, "PS384": {hash: crypto.SHA384, verify: verifyPSS}, "PS512": {hash: crypto.SHA512, verify: verifyPSS},
	"ES256": {hash: crypto.SHA256, curve: elliptic.P256()}, "ES384": {hash: crypto.SHA384, curve: elliptic.P384()}, "ES512": {hash: crypto.SHA512, curve: elliptic.P521()},
	"HS256": {hash: crypto.SHA256}, "HS384": {hash: crypto.SHA384}, "HS512": {hash: crypto.SHA512},
}

// VerifySignature reports whether a JWS signature over signed is good by the
// algorithm and the key: a public key, or the []byte of an HMAC. A key of
// another type or curve than the algorithm's is never good, and neither is an
// algorithm that is not in RFC 7518 section 3, RFC 8037 or RFC 9864; "none" is not.
// go-jose does the same; it decodes and encodes everything once more, which
// costs a client assertion a tenth of its verification.
func VerifySignature(alg string, key any, signed string, signature []byte) bool {
	if alg == "EdDSA" || alg == "Ed25519" { // RFC 8037, and the name RFC 9864 gives it
		public, ok := key.(ed25519.PublicKey)
		return ok && len(public) == ed25519.PublicKeySize && ed25519.Verify(public, []byte(signed), signature)
	}
	row, known := jwsAlgs[alg]
	if !known {
		return false
	}
	if row.verify == nil && row.curve == nil {
		secret, ok := key.([]byte)
		mac := hmac.New(row.hash.New, secret)
		mac.Write([]byte(signed))
		return ok && len(secret) > 0 && hmac.Equal(mac.Sum(nil), signature)
	}
	digest := row.hash.New()
	digest.Write([]byte(signed))
	if row.curve != nil {
		return verifyECDSA(key, row.curve, digest.Sum(nil), signature)
	}
	return row.verify(key, row.hash, digest.Sum(nil), signature)
}

func verifyPKCS1(key any, hash crypto.Hash, digest, signature []byte) bool {
	public, ok := key.(*rsa.PublicKey)
	return ok && rsa.VerifyPKCS1v15(public, hash, digest, signature) == nil
}

// verifyPSS wants a salt as long as the hash (RFC 7518 section 3.5). OpenSSL signs
// with the longest there can be unless it is told otherwise, and then no server that
// looks at the salt takes it.
func verifyPSS(key any, hash crypto.Hash, digest, signature []byte) bool {
	public, ok := key.(*rsa.PublicKey)
	return ok && rsa.VerifyPSS(public, hash, digest, signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
}

// SigningAdvice is what to do about a signature by alg that does not verify: to sign
// with that key, in the way that is most often missed.
func SigningAdvice(key, alg string) string {
	advice := "sign with " + key
	if strings.HasPrefix(alg, "PS") {
		advice += "; the salt has to be as long as the hash (openssl: -sigopt rsa_pss_saltlen:digest)"
	}
	return advice
}

// verifyECDSA takes R || S, each as long as the curve's order (RFC 7518 section 3.4).
func verifyECDSA(key any, curve elliptic.Curve, digest, signature []byte) bool {
	public, ok := key.(*ecdsa.PublicKey)
	size := (curve.Params().BitSize + 7) / 8
	if !ok || public.Curve != curve || len(signature) != 2*size {
		return false
	}
	r, s := new(big.Int).SetBytes(signature[:size]), new(big.Int).SetBytes(signature[size:])
	return ecdsa.Verify(public, digest, r, s)
}
