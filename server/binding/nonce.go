package binding

import (
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"time"
)

// nonceWindow is how long one nonce is given out. It is good in its own window
// and in the next one: from five to ten minutes.
const nonceWindow = 5 * time.Minute

// nonceBytes of a keyed hash are more than anybody guesses in ten minutes.
const nonceBytes = 18

// nonce makes the nonce of the window that lies so many windows back (RFC 9449
// section 8). Nothing is stored: it is a keyed hash of the window, so every node
// with the realm's key makes the same and knows it again.
func (b *Binder) nonce(back int64) string {
	window := b.Now().Unix()/int64(nonceWindow/time.Second) - back
	sum := b.Nonces(binary.BigEndian.AppendUint64([]byte("dpop-nonce"), uint64(window)))
	return base64.RawURLEncoding.EncodeToString(sum[:nonceBytes])
}

// isNonce compares in constant time: a nonce is a hash under a key of ours.
func isNonce(presented, nonce string) bool {
	return subtle.ConstantTimeCompare([]byte(presented), []byte(nonce)) == 1
}
