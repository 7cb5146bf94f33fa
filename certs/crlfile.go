package certs

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fapid/fapid/mtls"
)

// pollEvery is how often a CRL file is looked at for changes, at most.
const pollEvery = time.Second

// maxCRLFile bounds a CRL file in bytes.
const maxCRLFile = 64 << 20

// CRLFileConfig says which CRLs to read and how strictly.
type CRLFileConfig struct {
	// Path of the file: one DER CRL, or any number of PEM ones.
	Path string
	// Issuers are the trusted CA certificates. Every CRL of the file must be
	// signed by one of them. A certificate of an issuer without a CRL in the
	// file is never revoked by it.
	Issuers []*x509.Certificate
	// Now is the clock CRL dates are held against (default time.Now).
	Now func() time.Time
	// AllowStale keeps trusting certificates after the CRL of their issuer
	// has passed its nextUpdate. By default they all count as revoked then,
	// because nobody can know (RFC 5280 section 6.3.3); a CRL without
	// nextUpdate never gets stale. Either way Err reports it.
	AllowStale bool
}

// CRLFile checks certificates of other authorities against CRLs in a file. The
// file is read again when it changes. If the new one is bad, the old CRLs stay
// in force and Err says why.
type CRLFile struct {
	config CRLFileConfig
	lists  atomic.Pointer[[]revocationList]

	lastPoll atomic.Int64 // Unix nanoseconds of the machine's clock
	polling  sync.Mutex   // held while the file is looked at or read
	seen     fs.FileInfo  // of the last attempt, good or bad
	problem  atomic.Pointer[error]
}

// LoadCRLFile reads the file; at the start a bad or missing one is an error.
func LoadCRLFile(config CRLFileConfig) (*CRLFile, error) {
	if config.Now == nil {
		config.Now = time.Now
	}
	f := &CRLFile{config: config}
	f.lastPoll.Store(time.Now().UnixNano())
	if err := f.Reload(); err != nil {
		return nil, err
	}
	return f, nil
}

// Revoked reports whether a CRL of the file lists the certificate, or, unless
// AllowStale, whether the CRL that should say is out of date. It answers from
// memory without allocating; once a second one caller looks at the file's
// dates, and a changed file is read in the background.
func (f *CRLFile) Revoked(leaf, issuer *x509.Certificate) (mtls.Revocation, bool) {
	f.poll()
	lists := *f.lists.Load()
	for i := range lists {
		list := &lists[i] // not copied: this runs on every request
		if !issuedBy(list.issuer, leaf, issuer) {
			continue
		}
		if revocation, revoked := f.listed(list, leaf.SerialNumber); revoked {
			return revocation, true
		}
	}
	return mtls.Revocation{}, false
}

// RevokedSerial is Revoked for a certificate of which only the issuer's name, DER,
// and the serial number are at hand.
func (f *CRLFile) RevokedSerial(rawIssuer []byte, serial *big.Int) bool {
	f.poll()
	lists := *f.lists.Load()
	for i := range lists {
		list := &lists[i]
		if !bytes.Equal(list.issuer.RawSubject, rawIssuer) {
			continue
		}
		if _, revoked := f.listed(list, serial); revoked {
			return true
		}
	}
	return false
}

func (f *CRLFile) listed(list *revocationList, serial *big.Int) (mtls.Revocation, bool) {
	if revocation, ok := list.revoked.lookup(serial); ok {
		return mtls.Revocation{Time: revocation.At, Reason: revocation.Reason.String()}, true
	}
	if !f.config.AllowStale && list.stale(f.config.Now()) {
		return mtls.Revocation{Time: list.nextUpdate, Reason: "unknown, because the CRL of its issuer is out of date"}, true
	}
	return mtls.Revocation{}, false
}

// Err reports what is wrong now: why the file as it is could not be used, or
// which CRL is out of date. Nil means all is well.
func (f *CRLFile) Err() error {
	var problems []error
	if problem := f.problem.Load(); problem != nil {
		problems = append(problems, *problem)
	}
	now := f.config.Now()
	for _, list := range *f.lists.Load() {
		if list.stale(now) {
			problems = append(problems, fmt.Errorf("%s: the CRL of %q was to be replaced by %s",
				f.config.Path, list.name(), list.nextUpdate.Format(time.RFC3339)))
		}
	}
	return errors.Join(problems...)
}

// poll starts a reload if the file has changed.
func (f *CRLFile) poll() {
	last, now := f.lastPoll.Load(), time.Now().UnixNano()
	if now-last < int64(pollEvery) && now >= last || !f.lastPoll.CompareAndSwap(last, now) {
		return
	}
	if !f.polling.TryLock() {
		return
	}
	defer f.polling.Unlock()
	if state, err := os.Stat(f.config.Path); err != nil || !Unchanged(f.seen, state) {
		go f.Reload() //nolint:errcheck // kept for Err
	}
}

// Unchanged reports whether a file is the one it was; nil is a file that is not there.
// Its time alone does not say so: it may come with the file that takes its place, and
// two writes can have one.
func Unchanged(before, now fs.FileInfo) bool {
	if before == nil || now == nil {
		return before == nil && now == nil
	}
	return os.SameFile(before, now) && before.Size() == now.Size() && before.ModTime().Equal(now.ModTime())
}

// Reload reads the file now. On an error the CRLs read before stay in force,
// and Err reports it until a Reload succeeds.
func (f *CRLFile) Reload() error {
	f.polling.Lock()
	defer f.polling.Unlock()
	lists, err := f.read()
	if err == nil {
		err = f.supersedes(lists)
	}
	if err != nil {
		err = fmt.Errorf("CRL file %s: %w", f.config.Path, err)
		f.problem.Store(&err)
		return err
	}
	f.lists.Store(&lists)
	f.problem.Store(nil)
	return nil
}

func (f *CRLFile) read() ([]revocationList, error) {
	// The dates come before the content: a write in between is seen again.
	state, err := os.Stat(f.config.Path)
	if err != nil {
		return nil, err
	}
	f.seen = state
	if state.Size() > maxCRLFile {
		return nil, fmt.Errorf("%d bytes, more than %d", state.Size(), maxCRLFile)
	}
	content, err := os.ReadFile(f.config.Path)
	if err != nil {
		return nil, err
	}
	return parseLists(content, f.config.Issuers, f.config.Now())
}

// supersedes refuses what would silently un-revoke certificates: a file that
// lacks an issuer that was covered, or a CRL older than the one in force.
func (f *CRLFile) supersedes(lists []revocationList) error {
	current := f.lists.Load()
	if current == nil {
		return nil
	}
	for _, old := range *current {
		covered := false
		for _, list := range lists {
			if !old.sameIssuer(list) {
				continue
			}
			covered = true
			if list.thisUpdate.Before(old.thisUpdate) || list.numbered() && old.numbered() && list.number.Cmp(old.number) < 0 {
				return fmt.Errorf("the CRL of %q is older than the one in force", list.name())
			}
		}
		if !covered {
			return fmt.Errorf("the CRL of %q is gone", old.name())
		}
	}
	return nil
}
