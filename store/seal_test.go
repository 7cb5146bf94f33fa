package store_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/fapid/fapid/store"
)

func sealer(t *testing.T, master byte, purpose string) *store.Sealer {
	t.Helper()
	s, err := store.NewSealer(bytes.Repeat([]byte{master}, 32), purpose)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSealOpensOnlyWhereItBelongs(t *testing.T) {
	plain, context := []byte("verysecret"), []byte("client-1")
	s := sealer(t, 1, "default/secrets")
	sealed := s.Seal(plain, context)
	if bytes.Contains(sealed, plain) {
		t.Fatal("the sealed value shows the plain one")
	}
	if again := s.Seal(plain, context); bytes.Equal(again, sealed) {
		t.Fatal("sealing twice gave the same bytes: the nonce is not fresh")
	}
	if opened, err := sealer(t, 1, "default/secrets").Open(sealed, context); err != nil || !bytes.Equal(opened, plain) {
		t.Fatalf("Open = %q, %v", opened, err)
	}

	flipped := bytes.Clone(sealed)
	flipped[len(flipped)-1] ^= 1
	for name, open := range map[string]func() ([]byte, error){
		"another context": func() ([]byte, error) { return s.Open(sealed, []byte("client-2")) },
		"another purpose": func() ([]byte, error) { return sealer(t, 1, "other/secrets").Open(sealed, context) },
		"another master":  func() ([]byte, error) { return sealer(t, 2, "default/secrets").Open(sealed, context) },
		"one bit changed": func() ([]byte, error) { return s.Open(flipped, context) },
		"cut short":       func() ([]byte, error) { return s.Open(sealed[:10], context) },
		"nothing":         func() ([]byte, error) { return s.Open(nil, context) },
	} {
		if opened, err := open(); !errors.Is(err, store.ErrSealBroken) {
			t.Errorf("%s: Open = %q, %v", name, opened, err)
		}
	}
}

func TestMACIsKeyed(t *testing.T) {
	message := []byte("verysecret")
	mac := sealer(t, 1, "default/secrets").MAC(message)
	if len(mac) != 32 {
		t.Fatalf("%d bytes", len(mac))
	}
	if !bytes.Equal(mac, sealer(t, 1, "default/secrets").MAC(message)) {
		t.Error("the same key and message gave another MAC")
	}
	for name, other := range map[string][]byte{
		"purpose": sealer(t, 1, "other/secrets").MAC(message),
		"master":  sealer(t, 2, "default/secrets").MAC(message),
		"message": sealer(t, 1, "default/secrets").MAC([]byte("verysecreT")),
	} {
		if bytes.Equal(mac, other) {
			t.Errorf("another %s gave the same MAC", name)
		}
	}
}

func TestNewSealerRefuses(t *testing.T) {
	if _, err := store.NewSealer(make([]byte, 31), "default/secrets"); err == nil {
		t.Error("a short master key was taken")
	}
	if _, err := store.NewSealer(make([]byte, 32), ""); err == nil {
		t.Error("an empty purpose was taken")
	}
}
