package certs

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/fapid/fapid/store"
)

// crlLifetime is from thisUpdate to nextUpdate. A CRL is replaced after half of
// it, so whoever fetches one can use it for at least the other half.
const crlLifetime = 24 * time.Hour

// cachedCRL is the CRL last signed.
type cachedCRL struct {
	der     []byte
	changes uint64 // Authority.changes it was made at
	until   time.Time
}

// crlNumber is the last CRL number used. It is written before it is used.
type crlNumber struct {
	Number int64 `json:"number"`
}

const crlNumberKey = "number"

// CRL returns the current CRL of the issuing CA, DER (RFC 5280 section 5). It is
// signed anew after a revocation and after half of its lifetime of 24 hours.
// Its number only grows, also over restarts. Do not modify the bytes.
func (a *Authority) CRL(ctx context.Context) ([]byte, error) {
	a.crlMu.Lock()
	defer a.crlMu.Unlock()
	now := a.config.Now().UTC().Truncate(time.Second)
	a.mu.RLock()
	fresh := a.crl.der != nil && a.crl.changes == a.changes && now.Before(a.crl.until)
	a.mu.RUnlock()
	if fresh {
		return a.crl.der, nil
	}
	number, err := a.nextCRLNumber(ctx, now)
	if err != nil {
		return nil, err
	}
	entries, changes := a.crlEntries(now)
	der, err := a.signCRL(number, now.Add(-backdate), now.Add(crlLifetime), entries)
	if err != nil {
		return nil, fmt.Errorf("sign CRL %d: %w", number, err)
	}
	a.crl = cachedCRL{der: der, changes: changes, until: now.Add(crlLifetime / 2)}
	return der, nil
}

// crlEntries lists what is revoked and has not ended so long ago that a CRL
// issued after the end has been seen by everyone (RFC 5280 section 3.3).
func (a *Authority) crlEntries(now time.Time) ([]x509.RevocationListEntry, uint64) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	entries := make([]x509.RevocationListEntry, 0, len(a.revoked))
	for serial, revocation := range a.revoked {
		if now.After(revocation.NotAfter.Add(crlLifetime)) {
			continue
		}
		entries = append(entries, x509.RevocationListEntry{
			SerialNumber:   new(big.Int).SetBytes([]byte(serial)),
			RevocationTime: revocation.At,
			ReasonCode:     int(revocation.Reason),
		})
	}
	return entries, a.changes
}

// nextCRLNumber takes a number. It starts from the clock, so that numbers grow
// even when the store was lost and the CA was not.
func (a *Authority) nextCRLNumber(ctx context.Context, now time.Time) (int64, error) {
	first := crlNumber{Number: now.Unix()}
	err := a.numbers.Create(ctx, crlNumberKey, first, time.Time{})
	if err == nil {
		return first.Number, nil
	}
	if !errors.Is(err, store.ErrExists) {
		return 0, fmt.Errorf("number CRL: %w", err)
	}
	taken, err := a.numbers.Update(ctx, crlNumberKey, func(n *crlNumber) error {
		n.Number = max(n.Number+1, now.Unix())
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("number CRL: %w", err)
	}
	return taken.Number, nil
}
