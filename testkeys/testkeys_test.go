package testkeys_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"testing"

	"github.com/fapid/fapid/testkeys"
)

func TestKnown(t *testing.T) {
	for _, public := range []any{testkeys.RSA(1).Public(), testkeys.P256(4).Public(), testkeys.Ed25519(1).Public()} {
		if !testkeys.Known(public) {
			t.Errorf("a test key of type %T is not known", public)
		}
	}
	fresh, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if testkeys.Known(fresh.Public()) {
		t.Error("a fresh key is taken for a test key")
	}
}
