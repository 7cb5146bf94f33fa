package oauth

import (
	"crypto/rand"
	"fmt"
)

// NewUUID makes a random UUID (version 4, RFC 9562 section 5.4).
func NewUUID() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails (crypto/rand)
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}
