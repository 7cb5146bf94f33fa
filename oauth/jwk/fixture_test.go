package jwk

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

// jwk is the JSON of one public key; change edits its members.
func jwk(t testing.TB, public crypto.PublicKey, kid string, change func(map[string]any)) json.RawMessage {
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

func jwks(t testing.TB, keys ...json.RawMessage) json.RawMessage {
	t.Helper()
	data, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// certified is a JWK with a self-signed certificate of its key in x5c.
func certified(t testing.TB, key crypto.Signer, kid string) json.RawMessage {
	t.Helper()
	data, err := jose.JSONWebKey{Key: key.Public(), KeyID: kid, Certificates: []*x509.Certificate{selfSigned(t, key)}}.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func selfSigned(t testing.TB, key crypto.Signer) *x509.Certificate {
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
