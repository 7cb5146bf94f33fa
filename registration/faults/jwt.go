package faults

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
)

// JWT is a JWT before it is signed.
type JWT struct {
	Header map[string]any
	Claims map[string]any
	By     Signer
	// Twice names a claim that is there a second time, with another value.
	Twice string
	// Mangle, if set, changes the signed text.
	Mangle func(compact string) string
}

// clone shares no map with the JWT.
func (j *JWT) clone() JWT {
	c := *j
	c.Header, c.Claims = maps.Clone(j.Header), maps.Clone(j.Claims)
	return c
}

// header names algorithm and key of a signer.
func (s *Scene) header(by Signer) map[string]any {
	return map[string]any{"alg": alg(s.Keys[by].Private), "kid": s.Keys[by].Kid, "typ": "JWT"}
}

// alg is what a key usually signs by.
func alg(key crypto.Signer) string {
	if _, elliptic := key.(*ecdsa.PrivateKey); elliptic {
		return "ES256"
	}
	return "PS256"
}

// compact signs the JWT by the alg of its header; an unknown one leaves the
// signature empty.
func (j *JWT) compact(s *Scene) (string, error) {
	payload, err := json.Marshal(j.Claims)
	if err != nil {
		return "", fmt.Errorf("faults: claims: %w", err)
	}
	if j.Twice != "" {
		payload = append(payload[:len(payload)-1], `,"`+j.Twice+`":"another"}`...)
	}
	header, err := json.Marshal(j.Header)
	if err != nil {
		return "", fmt.Errorf("faults: header: %w", err)
	}
	encoding := base64.RawURLEncoding
	input := encoding.EncodeToString(header) + "." + encoding.EncodeToString(payload)
	name, _ := j.Header["alg"].(string)
	signature, err := sign(name, s.Keys[j.By].Private, []byte(input))
	if err != nil {
		return "", fmt.Errorf("faults: sign with %s: %w", name, err)
	}
	text := input + "." + encoding.EncodeToString(signature)
	if j.Mangle != nil {
		text = j.Mangle(text)
	}
	return text, nil
}

// sign makes a signature; HS256 is keyed with the public key, which everybody has.
func sign(name string, key crypto.Signer, input []byte) ([]byte, error) {
	digest := sha256.Sum256(input)
	switch private := key.(type) {
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, private, digest[:])
		if err != nil || name != "ES256" {
			return nil, err
		}
		return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...), nil
	case *rsa.PrivateKey:
		switch name {
		case "PS256":
			return rsa.SignPSS(rand.Reader, private, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		case "RS256":
			return rsa.SignPKCS1v15(nil, private, crypto.SHA256, digest[:])
		case "HS256":
			public, err := x509.MarshalPKIXPublicKey(private.Public())
			mac := hmac.New(sha256.New, public)
			mac.Write(input)
			return mac.Sum(nil), err
		}
	}
	return nil, nil
}
