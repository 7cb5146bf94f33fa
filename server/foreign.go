package server

import (
	"context"
	"fmt"
	"math/big"
	"sync"
	"time"

	"github.com/fapid/fapid/certs"
	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/store"
)

// foreign are the certificates of other CAs that clients of a realm have authenticated
// with. A CRL names certificates by issuer and serial number, a token is bound to a
// thumbprint: this leads from the one to the other when nobody presents the
// certificate, as at introspection.
type foreign struct {
	table store.Table[issuedAs]
	crls  []*certs.CRLFile

	mu    sync.RWMutex
	known map[string]issuedAs // by x5t#S256
	full  bool
}

// issuedAs is what a CRL knows a certificate by.
type issuedAs struct {
	Issuer []byte   `json:"issuer"` // DER
	Serial *big.Int `json:"serial"`
}

const (
	// maxForeign bounds the certificates of a realm that are remembered; of any
	// more, a revocation counts only when they are presented.
	maxForeign = 100_000
	// foreignKept is how long after its end a certificate is remembered: as long as
	// an access token may last.
	foreignKept = 24 * time.Hour
)

// openForeign reads what was remembered.
func openForeign(ctx context.Context, realm string, records store.Store, crls []*certs.CRLFile, now func() time.Time) (*foreign, error) {
	f := &foreign{
		table: store.Table[issuedAs]{Store: records, Name: realm + "/foreign-certificate", Now: now},
		crls:  crls, known: map[string]issuedAs{},
	}
	err := f.table.Scan(ctx, "", "", func(thumbprint string, as issuedAs) (bool, error) {
		f.known[thumbprint] = as
		return len(f.known) < maxForeign, nil
	})
	if err != nil {
		return nil, fmt.Errorf("certificates of other CAs: %w", err)
	}
	return f, nil
}

// remember is told of every certificate that a client has authenticated with. The
// first time it is on disk when this returns, before a token is bound to it.
func (f *foreign) remember(ctx context.Context, certificate *mtls.Presented) error {
	f.mu.RLock()
	_, known := f.known[certificate.Thumbprint]
	full := f.full
	f.mu.RUnlock()
	if known || full {
		return nil
	}
	leaf := certificate.Leaf
	as := issuedAs{Issuer: leaf.RawIssuer, Serial: leaf.SerialNumber}
	if err := f.table.Put(ctx, certificate.Thumbprint, as, leaf.NotAfter.Add(foreignKept)); err != nil {
		return oauth.TemporarilyUnavailable().Because("remember a certificate: %w", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.known[certificate.Thumbprint] = as
	f.full = len(f.known) >= maxForeign
	return nil
}

// revoked reports whether a CRL lists the certificate with this x5t#S256, or cannot
// say because it is out of date.
func (f *foreign) revoked(thumbprint string) bool {
	f.mu.RLock()
	as, known := f.known[thumbprint]
	f.mu.RUnlock()
	if !known {
		return false
	}
	for _, crl := range f.crls {
		if crl.RevokedSerial(as.Issuer, as.Serial) {
			return true
		}
	}
	return false
}
