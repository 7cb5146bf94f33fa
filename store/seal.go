package store

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
)

// masterKeyBytes is the length of a master key: as strong as the AES-256 and
// the HMAC-SHA256 keys made from it.
const masterKeyBytes = 32

// ErrSealBroken says that sealed bytes were changed, were sealed under another
// key or purpose, or belong to another context.
var ErrSealBroken = errors.New("store: sealed value does not open with this key")

// Sealer protects values the store must keep but a copy of its file must not
// give away. Keys are derived by HKDF-SHA256 (RFC 5869) from one master key and
// a purpose, so what is sealed for one realm or purpose never opens in another.
// It is safe for concurrent use.
type Sealer struct {
	aead cipher.AEAD
	mac  []byte
}

// NewSealer derives the keys for a purpose, which carries the realm:
// "default/secrets". The master key must be 32 random bytes.
func NewSealer(master []byte, purpose string) (*Sealer, error) {
	if len(master) != masterKeyBytes {
		return nil, fmt.Errorf("store: the master key has %d bytes, expected %d", len(master), masterKeyBytes)
	}
	if purpose == "" {
		return nil, errors.New("store: a sealer needs a purpose")
	}
	sealing, err := hkdf.Key(sha256.New, master, nil, "fapid seal AES-256-GCM: "+purpose, 32)
	if err != nil {
		return nil, err
	}
	mac, err := hkdf.Key(sha256.New, master, nil, "fapid mac HMAC-SHA256: "+purpose, 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(sealing)
	if err != nil {
		return nil, err
	}
	// The nonce is random and stored in front: NIST SP 800-38D section 8.3
	// allows 2^32 values under one key, far more than a realm ever seals.
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	return &Sealer{aead: aead, mac: mac}, nil
}

// Seal encrypts and authenticates plain. It opens only with the same context,
// which is not secret and not stored: the key of the record it is kept in, so
// that a sealed value copied into another record does not open there.
func (s *Sealer) Seal(plain, context []byte) []byte {
	return s.aead.Seal(nil, nil, plain, context) //nolint:gosec // the AEAD makes its own random nonce
}

// Open gives back what was sealed, or [ErrSealBroken].
func (s *Sealer) Open(sealed, context []byte) ([]byte, error) {
	plain, err := s.aead.Open(nil, nil, sealed, context)
	if err != nil {
		return nil, ErrSealBroken
	}
	return plain, nil
}

// MAC is HMAC-SHA256 of message under a key of its own: a keyed hash, which
// someone who holds the store but not the master key cannot search. The result
// has 32 bytes; compare it in constant time.
func (s *Sealer) MAC(message []byte) []byte {
	mac := hmac.New(sha256.New, s.mac)
	mac.Write(message)
	return mac.Sum(nil)
}
