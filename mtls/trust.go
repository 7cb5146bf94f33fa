package mtls

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"
)

// The checks of [Trust.Verify], in the order of its findings.
const (
	CheckKey        = "certificate key"
	CheckChain      = "certificate chain"
	CheckUsage      = "certificate extended key usage"
	CheckValidity   = "certificate validity"
	CheckRevocation = "certificate revocation"
)

// Revocation says since when and why a certificate is revoked.
type Revocation struct {
	Time   time.Time
	Reason string // a CRLReason of RFC 5280 section 5.3.1, such as keyCompromise
}

// TrustConfig says which client certificates a realm accepts.
type TrustConfig struct {
	Roots         []*x509.Certificate // trusted CAs; at least one
	Intermediates []*x509.Certificate // helps clients that send the leaf alone

	// Revoked looks a certificate up by its issuer and serial number. It is
	// called for every link of the chain on every request, from any number of
	// goroutines, so it must answer from memory. Nil means nothing is revoked.
	Revoked func(leaf, issuer *x509.Certificate) (Revocation, bool)

	MinRSABits int // 0 means 2048
	MaxRSABits int // 0 means 4096
}

// Add adds CAs: as roots those that have signed themselves, the others as intermediates.
func (c *TrustConfig) Add(cas ...*x509.Certificate) {
	for _, ca := range cas {
		if ca.CheckSignatureFrom(ca) == nil {
			c.Roots = append(c.Roots, ca)
		} else {
			c.Intermediates = append(c.Intermediates, ca)
		}
	}
}

// Trust decides whether a presented certificate may be believed now. It is
// immutable: when a CA is added or removed, a new Trust takes its place, and
// what was concluded with the old one is forgotten by that.
type Trust struct {
	roots         []*x509.Certificate
	intermediates []*x509.Certificate
	rootPool      *x509.CertPool
	revoked       func(leaf, issuer *x509.Certificate) (Revocation, bool)
	keys          keyRules
}

// NewTrust refuses a configuration that could not be meant: no root (which
// must not come to mean "the roots of the operating system"), or a CA
// certificate that no client could be verified with.
func NewTrust(config TrustConfig) (*Trust, error) {
	if len(config.Roots) == 0 {
		return nil, errors.New("no trusted CA certificate: every client certificate would be refused")
	}
	t := &Trust{
		roots:         slices.Clone(config.Roots),
		intermediates: slices.Clone(config.Intermediates),
		rootPool:      x509.NewCertPool(),
		revoked:       config.Revoked,
		keys:          newKeyRules(config.MinRSABits, config.MaxRSABits),
	}
	for _, c := range slices.Concat(t.roots, t.intermediates) {
		if !c.BasicConstraintsValid || !c.IsCA {
			return nil, fmt.Errorf("trusted certificate %q is not a CA certificate", describeName(c.RawSubject))
		}
		if problem := t.keys.key(c); problem != "" {
			return nil, fmt.Errorf("trusted certificate %q: %s", describeName(c.RawSubject), problem)
		}
	}
	for _, c := range t.roots {
		t.rootPool.AddCert(c)
	}
	return t, nil
}

// describeName prints a DER name with short names, for people.
func describeName(der []byte) string {
	name, err := ParseName(der)
	switch {
	case err != nil:
		return "unreadable name"
	case len(name) == 0:
		return "empty name"
	}
	return name.ShortNames()
}

// maxVerdicts bounds what a connection remembers. More than one Trust is asked
// on a connection only if the listener serves several realms.
const maxVerdicts = 4

// Verify checks the presented certificate at the time now: key, chain to a
// trusted CA, extended key usage, dates and revocation. Keys and signatures
// cannot change, so they are checked once per Presented and Trust; dates and
// revocation are checked by every call. The findings are in order and end at
// the check without which the next ones make no sense; they are shared, do not
// change them. Nothing is fetched from anywhere.
func (t *Trust) Verify(p *Presented, now time.Time) (findings []Finding, ok bool) {
	if p == nil {
		return []Finding{{
			Check:     CheckChain,
			Expected:  "a client certificate",
			Presented: "no certificate",
			Advice:    "Connect to the mTLS address with the client's certificate and key.",
		}}, false
	}
	v := t.verdict(p, now)
	if len(v.paths) == 0 {
		return v.findings, false
	}
	for i := range v.paths {
		if path := &v.paths[i]; path.current(now) && t.revocation(path) == nil {
			return v.findings, v.ok
		}
	}
	// No path will do, so the first one is explained.
	findings = slices.Clone(v.findings)
	for _, problem := range []*Finding{v.paths[0].validity(now), t.revocation(&v.paths[0])} {
		for i := range findings {
			if problem != nil && findings[i].Check == problem.Check {
				findings[i] = *problem
			}
		}
	}
	return findings, false
}

// verdict returns what was concluded about p before, or concludes it.
func (t *Trust) verdict(p *Presented, now time.Time) *verdict {
	if v := p.known(t); v != nil {
		return v
	}
	p.building.Lock()
	defer p.building.Unlock()
	if v := p.known(t); v != nil {
		return v
	}
	v := t.judge(p, now)
	all := []*verdict{v}
	if old := p.verdicts.Load(); old != nil {
		all = append(all, (*old)[:min(len(*old), maxVerdicts-1)]...)
	}
	p.verdicts.Store(&all)
	return v
}

func (p *Presented) known(t *Trust) *verdict {
	all := p.verdicts.Load()
	if all == nil {
		return nil
	}
	for _, v := range *all {
		if v.trust == t {
			return v
		}
	}
	return nil
}

// current reports whether now is within the dates of every certificate.
func (path *path) current(now time.Time) bool {
	return !now.Before(path.notBefore) && !now.After(path.notAfter)
}

// validity explains the first certificate that is not valid now, if any.
func (path *path) validity(now time.Time) *Finding {
	for _, c := range path.chain {
		problem := ""
		switch {
		case now.Before(c.NotBefore):
			problem = "not valid before " + stamp(c.NotBefore)
		case now.After(c.NotAfter):
			problem = "expired " + stamp(c.NotAfter)
		default:
			continue
		}
		return &Finding{
			Check:     CheckValidity,
			Expected:  "every certificate of the chain valid at " + stamp(now),
			Presented: fmt.Sprintf("%s: %s", describeName(c.RawSubject), problem),
			Advice:    "Renew the certificate, or check the clock: the server's time is " + stamp(now) + ".",
		}
	}
	return nil
}

// revocation looks every link of the path up, the root excepted.
func (t *Trust) revocation(path *path) *Finding {
	if t.revoked == nil {
		return nil
	}
	for i, c := range path.chain[:len(path.chain)-1] {
		revocation, revoked := t.revoked(c, path.chain[i+1])
		if !revoked {
			continue
		}
		return &Finding{
			Check:    CheckRevocation,
			Expected: "no certificate of the chain revoked",
			Presented: fmt.Sprintf("%s, serial %x: revoked %s, %s",
				describeName(c.RawSubject), c.SerialNumber, stamp(revocation.Time), revocation.Reason),
			Advice: "Use a certificate that has not been revoked; revocation cannot be undone.",
		}
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
