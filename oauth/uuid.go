package oauth

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"time"
)

// NewUUID makes a random UUID (version 4, RFC 9562 section 5.4).
func NewUUID() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails (crypto/rand)
	return writeUUID(id, 4)
}

// NewTimedUUID makes a UUID of the time in milliseconds and 74 random bits (version
// 7, RFC 9562 section 5.7): in its order, a crowd of new records goes to a few pages
// of the store.
func NewTimedUUID(now time.Time) string {
	var id [16]byte
	binary.BigEndian.PutUint64(id[:], uint64(now.UnixMilli())<<16)
	_, _ = rand.Read(id[6:]) // never fails (crypto/rand)
	return writeUUID(id, 7)
}

func writeUUID(id [16]byte, version byte) string {
	id[6], id[8] = id[6]&0x0f|version<<4, id[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}
