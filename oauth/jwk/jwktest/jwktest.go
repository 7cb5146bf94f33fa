// Package jwktest makes public keys as clients publish them, for tests.
package jwktest

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"math/big"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Key is the JSON of one public key; change edits its members.
func Key(t testing.TB, public crypto.PublicKey, kid string, change func(map[string]any)) json.RawMessage {
	t.Helper()
	data, err := jose.JSONWebKey{Key: public, KeyID: kid}.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	if change == nil {
		return data
	}
	var members map[string]any
	if err := json.Unmarshal(data, &members); err != nil {
		t.Fatal(err)
	}
	change(members)
	if data, err = json.Marshal(members); err != nil {
		t.Fatal(err)
	}
	return data
}

// Set is a JWK Set of keys.
func Set(t testing.TB, keys ...json.RawMessage) json.RawMessage {
	t.Helper()
	data, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Certified is a JWK with a self-signed certificate of its key in x5c.
func Certified(t testing.TB, key crypto.Signer, kid string) json.RawMessage {
	t.Helper()
	data, err := jose.JSONWebKey{Key: key.Public(), KeyID: kid, Certificates: []*x509.Certificate{SelfSigned(t, key)}}.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// SelfSigned is a certificate of a key, valid for an hour on either side of now.
func SelfSigned(t testing.TB, key crypto.Signer) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: "tpp", Organization: []string{"bank"}},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}
