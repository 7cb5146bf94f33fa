package doctor

import (
	"crypto/tls"
	"fmt"
	"strings"
	"time"
)

// Clock differences that matter: client assertions and software statements live
// for minutes, and FAPI 2 section 5.3.2.1 lets a server refuse what is more
// than 60 s ahead. Date has whole seconds, so a few are noise.
const (
	skewWarn = 5 * time.Second
	skewFail = 60 * time.Second
)

// judgeRenegotiation finds servers that ask for the certificate only after the
// request arrived (per-directory rules of older Apache and IIS). TLS 1.3 and
// HTTP/2 have no renegotiation, and Go and many others refuse it in TLS 1.2.
func (e *examination) judgeRenegotiation(h *host) []Finding {
	x := h.withTLS12
	if x == nil {
		return nil
	}
	f := Finding{Name: "renegotiation", Status: OK, Found: "not needed", Expected: "not needed"}
	switch {
	case !h.versions[tls.VersionTLS12].chosen:
		f.Status, f.Found = Skip, "TLS 1.2 is not accepted"
	case x.err == nil:
	case strings.Contains(x.err.Error(), "no renegotiation"):
		f.Status, f.Found, f.blocking = Fail, "the server renegotiates before it answers", true
		f.Fix = "Ask for the client certificate in the first handshake of the whole listener, not by path after the request."
	default:
		f.Status, f.Found = Skip, "no answer over TLS 1.2: "+shortError(x.err)
	}
	return []Finding{f}
}

// judgeTickets: a resumed session stands on the certificate of an earlier
// handshake, so its expiry and revocation are easily missed.
func (e *examination) judgeTickets(h *host) []Finding {
	if !h.mtls || !h.hello.asked {
		return nil
	}
	f := Finding{Name: "session tickets", Status: OK, Found: "none", Expected: "none where certificates are presented"}
	answered := false
	for _, x := range []*exchange{h.with, h.without, h.withTLS12} {
		if x == nil || x.err != nil {
			continue
		}
		answered = true
		if n := x.tickets.count.Load(); n > 0 {
			f.Status, f.Found = Warn, "issued in "+tls.VersionName(x.version)
			f.Fix = "Turn session tickets off on the mTLS host, so that every connection shows its certificate anew."
			break
		}
	}
	if !answered {
		f.Status, f.Found = Skip, "no request was answered here"
	}
	return []Finding{f}
}

// judgeHTTP2 is for information: either version is fine.
func (e *examination) judgeHTTP2(h *host) []Finding {
	if !h.hello.chosen {
		return nil
	}
	f := Finding{Name: "HTTP/2", Status: OK, Found: "HTTP/1.1 only", Expected: "either"}
	if h.hello.alpn == "h2" {
		f.Found = "offered"
	}
	return []Finding{f}
}

func (e *examination) judgeClock(h *host) []Finding {
	var answered *exchange
	candidates := []*exchange{h.with, h.without, h.withTLS12}
	if h == e.target.host {
		for i := range e.documents {
			candidates = append(candidates, &e.documents[i].answer)
		}
	}
	for _, x := range candidates {
		if x != nil && x.header != nil && (answered == nil || x.dated && !answered.dated) {
			answered = x
		}
	}
	f := Finding{Name: "clock", Status: OK, Expected: "within 5 s of this machine's"}
	switch {
	case answered == nil:
		return nil
	case !answered.dated:
		f.Status, f.Found = Warn, "no readable Date header"
		f.Fix = "Send a Date header, so that clock differences can be seen (RFC 9110 section 6.6.1)."
		return []Finding{f}
	}
	skew := answered.skew.Round(time.Second)
	direction := "ahead"
	if skew < 0 {
		skew, direction = -skew, "behind"
	}
	f.Found = fmt.Sprintf("server %s %s", skew, direction)
	if skew <= time.Second {
		f.Found = "within a second of this machine's"
	}
	if skew > skewWarn {
		f.Status = Warn
		f.Fix = "Correct the clock of the server or of this machine (NTP): assertions and tokens will be refused as expired or as from the future."
	}
	if skew > skewFail {
		f.Status, f.blocking = Fail, true
	}
	return []Finding{f}
}
