package users

import (
	"crypto/rand"
	"crypto/subtle"
	"runtime"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"
)

// The cost of a password in a sandbox, where it is worth little and there is not
// much memory: some 10 ms and 8 MiB.
const (
	hashPasses = 2
	hashMemory = 8 << 10 // KiB
	hashLength = 32      // bytes
	saltLength = 16      // bytes
)

// credential is a password as it is kept: argon2id (RFC 9106) with its parameters,
// so that they can change.
type credential struct {
	Salt   []byte `json:"salt"`
	Hash   []byte `json:"hash"`
	Passes uint32 `json:"passes"`
	Memory uint32 `json:"memory"` // KiB
}

// hashing bounds how many passwords are hashed at once, and so the memory.
var hashing = make(chan struct{}, max(1, runtime.GOMAXPROCS(0)))

func newCredential(password string) *credential {
	c := &credential{Salt: make([]byte, saltLength), Passes: hashPasses, Memory: hashMemory}
	_, _ = rand.Read(c.Salt) // never fails (crypto/rand)
	c.Hash = c.hash(password)
	return c
}

// hash derives from the password in normal form, so that it does not matter how a
// keyboard puts an accent on a letter (RFC 8265 section 4.2).
func (c *credential) hash(password string) []byte {
	hashing <- struct{}{}
	defer func() { <-hashing }()
	return argon2.IDKey([]byte(norm.NFC.String(password)), c.Salt, c.Passes, c.Memory, 1, hashLength)
}

// matches takes as long for a wrong password as for the right one.
func (c *credential) matches(password string) bool {
	return subtle.ConstantTimeCompare(c.hash(password), c.Hash) == 1
}

// nobody is the credential of users who do not exist or have no password: it
// costs what theirs would, and nothing matches it.
var nobody = &credential{Salt: make([]byte, saltLength), Passes: hashPasses, Memory: hashMemory}
