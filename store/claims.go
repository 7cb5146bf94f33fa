package store

import (
	"context"
	"time"
)

// Claims are single-use values that somebody else has chosen and that carry
// nothing: the jti of an assertion, of a DPoP proof, of a request object. They
// are several times cheaper than records of a [Table].
//
// A claim needs no clock. It stands until it is swept, some time after its
// expiry; and where the expiry follows from what is claimed (its exp, plus the
// skew that is allowed for), no clock that is set back makes it winnable again:
// after the sweep the answer is [ErrSwept], which is an [ErrExists].
type Claims struct {
	Store Store
	// Name carries the realm and the kind, as that of a [Table] does.
	Name string
}

// Claim marks the key as used: of any number of callers exactly one wins, the
// others get [ErrExists]. A zero expires means for ever.
func (c Claims) Claim(ctx context.Context, key string, expires time.Time) error {
	return c.Store.Update(ctx, func(tx Tx) error { return c.ClaimTx(tx, key, expires) })
}

// ClaimTx is Claim inside a transaction the caller holds.
func (c Claims) ClaimTx(tx Tx, key string, expires time.Time) error {
	return tx.Claim(c.Name, []byte(key), expires)
}
