package oauth

import (
	"strings"
	"time"
)

// Event records one request: who asked for what, every check in order, and how
// it ended. The log line, the metrics and the trace a tester reads are all made
// from it, once, when the request is over. It never holds a secret, a token or
// an assertion.
type Event struct {
	ID       string        `json:"trace_id"`
	Time     time.Time     `json:"time"`
	Duration time.Duration `json:"duration_ns"`

	Realm    string `json:"realm,omitempty"`
	Listener string `json:"listener"` // "standard", "mtls", "directory" or "admin"
	Endpoint string `json:"endpoint"` // metadata name, e.g. "token_endpoint"
	Method   string `json:"method,omitempty"`
	Path     string `json:"path,omitempty"` // without the query
	Remote   string `json:"remote"`
	TLS      string `json:"tls,omitempty"` // e.g. "TLS 1.3, TLS_AES_128_GCM_SHA256"

	ClientID    string `json:"client_id,omitempty"`         // as authenticated
	ClaimedID   string `json:"claimed_client_id,omitempty"` // as the request, or an access token of ours, says
	AuthMethod  string `json:"client_auth_method,omitempty"`
	GrantType   string `json:"grant_type,omitempty"`
	Certificate string `json:"certificate,omitempty"` // x5t#S256 of the client certificate
	// CertificateBefore is the x5t#S256 of the one whose place it takes, where the tokens
	// of a session go on with a renewed certificate.
	CertificateBefore string `json:"certificate_before,omitempty"`
	// CertificateLeft is how long the client certificate lasts still, if that is
	// not for long; otherwise zero.
	CertificateLeft time.Duration `json:"certificate_left_ns,omitempty"`

	Status      int     `json:"status,omitempty"` // 0: no HTTP answer, the handshake failed
	Error       string  `json:"error,omitempty"`
	Description string  `json:"error_description,omitempty"`
	Reason      string  `json:"reason,omitempty"` // why it really failed
	Checks      []Check `json:"checks"`
}

// Check is one thing that was looked at.
type Check struct {
	Name      string `json:"check"`
	OK        bool   `json:"ok"`
	Expected  string `json:"expected,omitempty"`
	Presented string `json:"presented,omitempty"`
	Advice    string `json:"advice,omitempty"` // what to do, on failure
}

// Bounds that keep a trace small whatever a caller sends.
const (
	maxChecks    = 64
	maxCheckText = 512 // bytes of each text
)

// Pass records a check that succeeded.
func (e *Event) Pass(name, expected, presented string) {
	e.record(Check{Name: name, OK: true, Expected: expected, Presented: presented})
}

// Fail records a check that did not: the first difference and what to do.
func (e *Event) Fail(name, expected, presented, advice string) {
	e.record(Check{Name: name, Expected: expected, Presented: presented, Advice: advice})
}

// Record adds a check made elsewhere, whichever way it went.
func (e *Event) Record(name, expected, presented, advice string, ok bool) {
	e.record(Check{Name: name, OK: ok, Expected: expected, Presented: presented, Advice: advice})
}

func (e *Event) record(check Check) {
	if len(e.Checks) >= maxChecks {
		return
	}
	check.Expected = Clip(check.Expected)
	check.Presented = Clip(check.Presented)
	e.Checks = append(e.Checks, check)
}

// Reset empties the event for another request and keeps its memory.
func (e *Event) Reset() {
	*e = Event{Checks: e.Checks[:0]}
}

// Failed returns the first check that failed, if any.
func (e *Event) Failed() (Check, bool) {
	for _, check := range e.Checks {
		if !check.OK {
			return check, true
		}
	}
	return Check{}, false
}

// Clip cuts a text to what a trace may hold of it.
func Clip(text string) string {
	if len(text) <= maxCheckText {
		return text
	}
	return strings.ToValidUTF8(text[:maxCheckText], "") + "…"
}
