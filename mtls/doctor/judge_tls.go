package doctor

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
)

// fapi1Suites are what FAPI 1 Advanced section 8.5 leaves of TLS 1.2. The two
// with DHE are missing here because Go cannot offer them.
var fapi1Suites = []uint16{
	tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
}

// bcp195Suites are the ones of RFC 9325 section 4.2 and those with CHACHA20
// that the IANA registry recommends too; the conformance suite accepts both.
var bcp195Suites = append([]uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
}, fapi1Suites...)

// judgeRequested: a certificate is asked for where clients authenticate, and
// nowhere else, because browsers then ask the person (RFC 8705 section 5).
func (e *examination) judgeRequested(h *host) []Finding {
	if !h.hello.chosen || e.meta.members == nil {
		return nil
	}
	f := Finding{Name: "client certificate requested", Status: OK, Found: "no"}
	if h.hello.asked {
		f.Found = "yes"
	}
	switch {
	case h.mtls && !h.hello.asked:
		f.Expected = "yes: clients present their certificate here"
		f.Status, f.blocking = Fail, true
		f.Fix = "Ask for a client certificate and let the application verify it " +
			"(Go tls.RequestClientCert; nginx ssl_verify_client optional_no_ca; Apache SSLVerifyClient optional_no_ca)."
		if !e.meta.announcesMTLS() {
			// Nothing was promised: perhaps DPoP is what this server does.
			f.Status, f.blocking = Warn, false
			f.Fix = "The server announces no mTLS and asks for no certificate; yours is of no use here."
		}
	case h.mtls && h.browser:
		f.Expected = "yes on the mTLS host, no where browsers go"
		f.Status = Warn
		f.Fix = "Serve the mTLS endpoints on a host or port of their own and list them in mtls_endpoint_aliases; " +
			"browsers ask their user for a certificate on this one."
	case h.mtls:
		f.Expected = "yes: clients present their certificate here"
	case h.hello.asked:
		f.Expected = "no: browsers ask their user for a certificate"
		f.Status = Warn
		f.Fix = "Ask for client certificates on the mTLS host only."
	default:
		f.Expected = "no"
	}
	return []Finding{f}
}

// judgeHints: a client may send only a certificate issued by a CA the server
// hinted (RFC 8446 section 4.2.4), and Go, Java and browsers send none at all
// otherwise, without an error. curl sends it anyway, which hides the cause.
func (e *examination) judgeHints(h *host) []Finding {
	if !h.mtls || !h.hello.asked {
		return nil
	}
	f := Finding{
		Name: "certificate authorities hinted", Status: OK, Found: "none",
		Expected: "none, so that every client sends its certificate",
	}
	if len(h.hello.hints) == 0 {
		return []Finding{f}
	}
	f.Found = fmt.Sprintf("%d: %s", len(h.hello.hints), dnList(h.hello.hints))
	switch {
	case e.own == nil:
		f.Status = Warn
		f.Fix = "Hint no certificate authorities: Go, Java and browsers silently send nothing if theirs is not among them."
	case hinted(e.own.chain, h.hello.hints):
		f.Found += "; the issuer of yours is among them"
	default:
		f.Status, f.blocking = Fail, true
		f.Found += "; the issuer of yours is not: " + dnText(e.own.chain[0].RawIssuer)
		f.Fix = "Hint no certificate authorities, or add the issuer of your certificate to them and the intermediate " +
			"to your certificate file: Go, Java and browsers will silently send no certificate (curl sends it)."
	}
	return []Finding{f}
}

// hinted applies the rule of Go and Java: one certificate of the chain must
// have been issued by a hinted name.
func hinted(chain []*x509.Certificate, hints [][]byte) bool {
	return slices.ContainsFunc(chain, func(c *x509.Certificate) bool {
		return slices.ContainsFunc(hints, func(hint []byte) bool { return bytes.Equal(hint, c.RawIssuer) })
	})
}

// judgeVersions: RFC 9325 section 3.1.1, and the conformance suite, which also
// wants TLS 1.3 preferred where it is offered.
func (e *examination) judgeVersions(h *host) []Finding {
	if !h.hello.chosen {
		return nil
	}
	accepts := func(version uint16) bool { return h.versions[version].chosen }
	old := Finding{Name: "TLS 1.0 and 1.1", Status: OK, Found: "both refused", Expected: "both refused (RFC 9325 section 3.1.1)"}
	var accepted []string
	for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS11} {
		if accepts(version) {
			accepted = append(accepted, tls.VersionName(version))
		}
	}
	if len(accepted) > 0 {
		old.Status, old.Found = Fail, joinAnd(accepted)+" accepted"
		old.Fix = "Refuse TLS 1.0 and 1.1: set the minimum version to TLS 1.2."
	}

	modern := Finding{
		Name: "TLS 1.2 and 1.3", Status: OK, Expected: "TLS 1.3, preferred where both are offered",
		Found: "preferred " + tls.VersionName(h.hello.version),
	}
	switch {
	case !accepts(tls.VersionTLS12) && !accepts(tls.VersionTLS13):
		modern.Status, modern.Found = Fail, "neither accepted"
		modern.Fix = "Offer TLS 1.2 and 1.3."
	case !accepts(tls.VersionTLS13):
		modern.Status, modern.Found = Warn, "TLS 1.2 only"
		modern.Fix = "Offer TLS 1.3 as well."
	case !accepts(tls.VersionTLS12):
		modern.Found = "TLS 1.3 only"
	case h.hello.version != tls.VersionTLS13:
		modern.Status = Fail
		modern.Fix = "Prefer TLS 1.3 when the client offers it."
	default:
		modern.Found = "both accepted, TLS 1.3 preferred"
	}
	return []Finding{old, modern}
}

func (e *examination) judgeSuites(h *host) []Finding {
	if !h.hello.chosen {
		return nil
	}
	const bcp, fapi1 = "TLS 1.2 suites, BCP 195", "TLS 1.2 suites, FAPI 1"
	if !h.versions[tls.VersionTLS12].chosen {
		return []Finding{
			{Name: bcp, Status: Skip, Found: "TLS 1.2 is not accepted"},
			{Name: fapi1, Status: Skip, Found: "TLS 1.2 is not accepted"},
		}
	}
	strict := h.suitesWithin(bcp195Suites)
	strict.Name = bcp
	strict.Found += "; DHE not tried, Go cannot offer it"
	strict.Expected = "only ECDHE with AES-GCM or CHACHA20 (RFC 9325 section 4.2)"
	if strict.Status == Fail {
		strict.Fix = "Accept no TLS 1.2 suites but TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 and " +
			"TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 (RFC 9325 section 4.2)."
	}
	old := h.suitesWithin(fapi1Suites)
	old.Name = fapi1
	old.Expected = "only ECDHE or DHE with RSA and AES-GCM (FAPI 1 Advanced section 8.5)"
	if old.Status == Fail {
		// FAPI 2 allows more, so this fails only a FAPI 1 or FAPI-CIBA plan.
		old.Status = Warn
		old.Fix = "For FAPI 1 Advanced and FAPI-CIBA, accept only TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 and " +
			"TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 in TLS 1.2, with an RSA server certificate; FAPI 2 does not need it."
	}
	return []Finding{strict, old}
}

// suitesWithin lists what was accepted, and fails if any is not allowed or
// none of the allowed ones was accepted.
func (h *host) suitesWithin(allowed []uint16) Finding {
	var good, bad, unknown []string
	for _, probe := range h.suites {
		switch {
		case probe.timedOut:
			unknown = append(unknown, probe.suite.Name)
		case !probe.accepted:
		case slices.Contains(allowed, probe.suite.ID):
			good = append(good, probe.suite.Name)
		default:
			bad = append(bad, probe.suite.Name)
		}
	}
	f := Finding{Status: OK}
	var found []string
	if len(bad) > 0 {
		f.Status = Fail
		found = append(found, "not allowed: "+strings.Join(bad, ", "))
	}
	if len(good) > 0 {
		found = append(found, "allowed: "+strings.Join(good, ", "))
	} else {
		f.Status = Fail
		found = append(found, "none of the allowed ones")
	}
	if len(unknown) > 0 {
		found = append(found, "no answer in time: "+strings.Join(unknown, ", "))
	}
	f.Found = strings.Join(found, "; ")
	return f
}
