package token

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"strings"
	"time"
)

// Ids of tokens are 48 bits of time and 80 random bits in base32hex, which keeps
// the order of bytes: 26 characters. The time is in milliseconds and inverted,
// so that in the order of keys the newest come first, and a crowd of new records
// goes to one page of the store.
const (
	timeBytes   = 6
	randomBytes = 10
)

var idEncoding = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)

// newID makes the id of a new session.
func newID(now time.Time) string {
	var random [randomBytes]byte
	_, _ = rand.Read(random[:]) // never fails (crypto/rand)
	return idAt(now, random)
}

// idAt is the id of a time and random bits; all zero bits give the first id of a
// millisecond, in the order of keys.
func idAt(at time.Time, random [randomBytes]byte) string {
	var id [8 + randomBytes]byte
	binary.BigEndian.PutUint64(id[:], ^uint64(at.UnixMilli()))
	copy(id[8:], random[:])
	return idEncoding.EncodeToString(id[8-timeBytes:])
}

// further is what stands between the id of a session and the number of a token
// that was fetched later.
const further = "-"

// sessionOf is the id of the session that a token belongs to: its own, or what
// its own begins with where it was fetched by a refresh token.
func sessionOf(id string) string {
	session, _, _ := strings.Cut(id, further)
	return session
}
