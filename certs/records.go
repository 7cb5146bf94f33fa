package certs

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/store"
)

// retention is how long a record and its revocation are kept after the
// certificate ends.
const retention = 90 * 24 * time.Hour

// Record is what is known about one issued certificate.
type Record struct {
	Serial     string       `json:"serial"` // 40 lower case hex digits
	Profile    Profile      `json:"profile"`
	Owner      string       `json:"owner,omitempty"`
	Subject    string       `json:"subject"` // RFC 4514
	SANs       []string     `json:"sans,omitempty"`
	Key        KeyAlgorithm `json:"key"`
	IssuedAt   time.Time    `json:"issued_at"`
	NotBefore  time.Time    `json:"not_before"`
	NotAfter   time.Time    `json:"not_after"`
	Thumbprint string       `json:"x5t#S256"`           // RFC 8705 section 3.1
	Replaces   string       `json:"replaces,omitempty"` // serial this one renews
	PEM        string       `json:"pem"`

	// Revoked and Status are filled in when a record is read and are not
	// stored: revocations have a table of their own.
	Revoked *Revocation `json:"revoked,omitempty"`
	Status  Status      `json:"status,omitempty"`
}

// Status of a certificate at the moment its record was read.
type Status string

// The statuses; revoked wins over expired.
const (
	StatusValid   Status = "valid"
	StatusRevoked Status = "revoked"
	StatusExpired Status = "expired"
)

// Filter selects records; empty fields select all.
type Filter struct {
	Profile Profile
	Owner   string
	Status  Status
	After   string // serial of the last record of the page before
	Limit   int    // 0: no limit
}

// Get reads a record by its serial number in any spelling ParseSerial knows.
func (a *Authority) Get(ctx context.Context, serial string) (Record, error) {
	key, err := ParseSerial(serial)
	if err != nil {
		return Record{}, err
	}
	record, err := a.records.Get(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return Record{}, oauth.NotFound("no certificate with serial number %s", key).Because("%w", err)
	}
	if err != nil {
		return Record{}, fmt.Errorf("read certificate %s: %w", key, err)
	}
	return a.describe(record), nil
}

// List reads a page of records in the order of their serial numbers, which are
// random.
func (a *Authority) List(ctx context.Context, filter Filter) ([]Record, error) {
	after := ""
	if filter.After != "" {
		var err error
		if after, err = ParseSerial(filter.After); err != nil {
			return nil, err
		}
	}
	var page []Record
	err := a.records.Scan(ctx, "", after, func(_ string, record Record) (bool, error) {
		record = a.describe(record)
		if filter.accepts(record) {
			page = append(page, record)
		}
		return filter.Limit == 0 || len(page) < filter.Limit, nil
	})
	if err != nil {
		return nil, fmt.Errorf("list certificates: %w", err)
	}
	return page, nil
}

func (f Filter) accepts(record Record) bool {
	return (f.Profile == "" || f.Profile == record.Profile) &&
		(f.Owner == "" || f.Owner == record.Owner) &&
		(f.Status == "" || f.Status == record.Status)
}

func (a *Authority) describe(record Record) Record {
	record.Status = StatusValid
	if !a.config.Now().Before(record.NotAfter) {
		record.Status = StatusExpired
	}
	if revocation, ok := a.revocation(record.Serial); ok {
		record.Revoked, record.Status = &revocation, StatusRevoked
	}
	return record
}

// serialSize is the longest serial number RFC 5280 section 4.1.2.2 allows, in
// bytes.
const serialSize = 20

// newSerial returns a serial number of 158 random bits. Its first bits are 01:
// positive, and of the same length always.
func newSerial() *big.Int {
	var b [serialSize]byte
	rand.Read(b[:]) // never fails: it crashes the program instead
	b[0] = b[0]&0x3f | 0x40
	return new(big.Int).SetBytes(b[:])
}

// SerialOf returns the serial number of a certificate of ours as records spell
// it.
func SerialOf(certificate *x509.Certificate) string {
	return fmt.Sprintf("%040x", certificate.SerialNumber)
}

// ParseSerial reads a serial number as records, openssl and browsers print it:
// hex digits in any case, with or without colons and 0x.
func ParseSerial(s string) (string, error) {
	digits := strings.ToLower(strings.ReplaceAll(strings.TrimSpace(s), ":", ""))
	digits = strings.TrimPrefix(digits, "0x")
	if digits == "" || len(digits) > 2*serialSize || strings.Trim(digits, "0123456789abcdef") != "" {
		return "", oauth.InvalidRequest("%q is not a serial number in hex", s)
	}
	return strings.Repeat("0", 2*serialSize-len(digits)) + digits, nil
}
