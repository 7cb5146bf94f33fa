package certs

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/store"
)

// Reason is a CRL reason code (RFC 5280 section 5.3.1).
type Reason int

// The reasons to revoke for good. certificateHold and removeFromCRL are not
// offered, because a revocation here is never taken back.
const (
	ReasonUnspecified          Reason = 0
	ReasonKeyCompromise        Reason = 1
	ReasonCACompromise         Reason = 2
	ReasonAffiliationChanged   Reason = 3
	ReasonSuperseded           Reason = 4
	ReasonCessationOfOperation Reason = 5
	ReasonPrivilegeWithdrawn   Reason = 9
)

// reasonNames also names what the CRLs of others may hold.
var reasonNames = map[Reason]string{
	0: "unspecified", 1: "keyCompromise", 2: "cACompromise", 3: "affiliationChanged", 4: "superseded",
	5: "cessationOfOperation", 6: "certificateHold", 8: "removeFromCRL", 9: "privilegeWithdrawn", 10: "aACompromise",
}

// String returns the name RFC 5280 gives the reason.
func (r Reason) String() string {
	if name, ok := reasonNames[r]; ok {
		return name
	}
	return "unknown"
}

// ParseReason reads the name of a reason to revoke, in any case. Empty means
// unspecified.
func ParseReason(s string) (Reason, error) {
	if s == "" {
		return ReasonUnspecified, nil
	}
	for reason, name := range reasonNames {
		if strings.EqualFold(name, s) && reason.final() {
			return reason, nil
		}
	}
	var final []string
	for _, reason := range slices.Sorted(maps.Keys(reasonNames)) {
		if reason.final() {
			final = append(final, reasonNames[reason])
		}
	}
	return 0, oauth.InvalidRequest("%q is not a reason to revoke a certificate; there are %s", s, oauth.List(final))
}

// MarshalText spells the reason by name in JSON.
func (r Reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText is ParseReason.
func (r *Reason) UnmarshalText(text []byte) (err error) {
	*r, err = ParseReason(string(text))
	return err
}

func (r Reason) final() bool {
	switch r {
	case ReasonUnspecified, ReasonKeyCompromise, ReasonCACompromise, ReasonAffiliationChanged,
		ReasonSuperseded, ReasonCessationOfOperation, ReasonPrivilegeWithdrawn:
		return true
	}
	return false
}

// Revocation says when and why a certificate was revoked.
type Revocation struct {
	At       time.Time `json:"at"`
	Reason   Reason    `json:"reason"`
	NotAfter time.Time `json:"not_after"` // end of the certificate
	// Thumbprint is the certificate's x5t#S256: tokens are bound to it.
	Thumbprint string `json:"x5t#S256"`
}

// serials are revocations by serial number, minimal big-endian.
type serials map[string]Revocation

// maxStackSerial covers every serial number in use; a longer one only costs an
// allocation.
const maxStackSerial = 64

func (s serials) lookup(serial *big.Int) (Revocation, bool) {
	size := (serial.BitLen() + 7) / 8
	if size > maxStackSerial {
		revocation, ok := s[string(serial.Bytes())]
		return revocation, ok
	}
	var b [maxStackSerial]byte
	revocation, ok := s[string(serial.FillBytes(b[:size]))]
	return revocation, ok
}

// issuedBy reports whether ca issued leaf, whose chain was verified to issuer.
// A renewed certificate of the same CA key counts as the same issuer. Without
// an issuer only the names are compared.
func issuedBy(ca, leaf, issuer *x509.Certificate) bool {
	return bytes.Equal(ca.RawSubject, leaf.RawIssuer) &&
		(issuer == nil || bytes.Equal(ca.RawSubjectPublicKeyInfo, issuer.RawSubjectPublicKeyInfo))
}

// Revoke revokes a certificate for good. When it returns, the revocation is on
// disk and in force. Revoking again changes nothing and is no error.
func (a *Authority) Revoke(ctx context.Context, serial string, reason Reason) error {
	if !reason.final() {
		return oauth.InvalidRequest("%s is not a reason to revoke a certificate", reason)
	}
	record, err := a.Get(ctx, serial)
	if err != nil {
		return err
	}
	a.revoking.Lock()
	defer a.revoking.Unlock()
	revocation := Revocation{At: a.config.Now().UTC().Truncate(time.Second), Reason: reason, NotAfter: record.NotAfter, Thumbprint: record.Thumbprint}
	err = a.revocations.Create(ctx, record.Serial, revocation, record.NotAfter.Add(retention))
	if errors.Is(err, store.ErrExists) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("revoke %s: %w", record.Serial, err)
	}
	key, err := serialKey(record.Serial)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.revoked[key] = revocation
	a.thumbprints[revocation.Thumbprint] = true
	a.changes++
	return nil
}

// Revoked reports whether a certificate of this authority is revoked, since
// when and why. It allocates nothing and is meant for every request: it is the
// Revoked of mtls.TrustConfig. issuer is the next certificate of the verified
// chain. Certificates of other authorities are not revoked here.
func (a *Authority) Revoked(leaf, issuer *x509.Certificate) (mtls.Revocation, bool) {
	if !issuedBy(a.issuing, leaf, issuer) {
		return mtls.Revocation{}, false
	}
	a.mu.RLock()
	revocation, revoked := a.revoked.lookup(leaf.SerialNumber)
	a.mu.RUnlock()
	if !revoked {
		return mtls.Revocation{}, false
	}
	return mtls.Revocation{Time: revocation.At, Reason: revocation.Reason.String()}, true
}

// RevokedThumbprint reports whether the certificate with this x5t#S256 (RFC 8705
// section 3.1) is revoked: what is bound to it is dead, although nobody presents
// it any more. It allocates nothing.
func (a *Authority) RevokedThumbprint(thumbprint string) bool {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.thumbprints[thumbprint]
}

// Revocations counts what was revoked since the start: it tells when what was made of
// the revocations before is out of date.
func (a *Authority) Revocations() uint64 {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.changes
}

func (a *Authority) revocation(serial string) (Revocation, bool) {
	key, err := serialKey(serial)
	if err != nil {
		return Revocation{}, false
	}
	a.mu.RLock()
	defer a.mu.RUnlock()
	revocation, ok := a.revoked[key]
	return revocation, ok
}

// serialKey turns the spelling of records into the key of serials.
func serialKey(serial string) (string, error) {
	b, err := hex.DecodeString(serial)
	if err != nil {
		return "", fmt.Errorf("serial number %q: %w", serial, err)
	}
	return string(bytes.TrimLeft(b, "\x00")), nil
}

func (a *Authority) loadRevocations(ctx context.Context) error {
	a.revoked, a.thumbprints = make(serials), map[string]bool{}
	err := a.revocations.Scan(ctx, "", "", func(serial string, revocation Revocation) (bool, error) {
		key, err := serialKey(serial)
		if err != nil {
			return false, err
		}
		a.revoked[key] = revocation
		a.thumbprints[revocation.Thumbprint] = true
		return true, nil
	})
	if err != nil {
		return fmt.Errorf("load revocations: %w", err)
	}
	return nil
}
