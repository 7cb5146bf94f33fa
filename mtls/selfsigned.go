package mtls

import (
	"fmt"
	"time"
)

// SelfSigned reports whether the certificate is its own issuer.
func (p *Presented) SelfSigned() bool { return selfSigned(p.Leaf) }

// VerifySelfSigned checks a certificate that is trusted because it was
// registered, not because of who issued it (RFC 8705 section 2.2): its key and
// its dates. There is no chain to build and nobody who could revoke it.
func VerifySelfSigned(p *Presented, now time.Time) (findings []Finding, ok bool) {
	key, ok := newKeyRules(0, 0).check(p)
	if !ok {
		return []Finding{key}, false
	}
	validity := Finding{
		Check:     CheckValidity,
		Expected:  "a certificate valid at " + stamp(now),
		Presented: fmt.Sprintf("valid from %s to %s", stamp(p.Leaf.NotBefore), stamp(p.Leaf.NotAfter)),
		OK:        !now.Before(p.Leaf.NotBefore) && !now.After(p.Leaf.NotAfter),
	}
	if !validity.OK {
		validity.Advice = "Make a new certificate and register it, or check the clock: the server's time is " + stamp(now) + "."
	}
	return []Finding{key, validity}, validity.OK
}
