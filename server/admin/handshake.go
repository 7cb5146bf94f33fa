package admin

import (
	"fmt"
	"strings"
	"time"

	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/server/endpoint"
)

// handshakeEndpoint names failed handshakes in traces and metrics.
const handshakeEndpoint = "tls_handshake"

// HandshakeEvent makes an event of a TLS handshake that failed, for traces, log
// and metrics: status 0, the cause as error, what the client offered and its
// certificate, if it sent one, as checks.
func HandshakeEvent(failure mtls.HandshakeFailure, listener string) *oauth.Event {
	event := &oauth.Event{
		ID: endpoint.NewTraceID(), Time: failure.Time,
		Listener: listener, Endpoint: handshakeEndpoint,
		Error: failure.Cause,
	}
	if failure.Remote != nil {
		event.Remote = failure.Remote.String()
	}
	if failure.Err != nil {
		event.Reason = oauth.Clip(failure.Err.Error())
	}
	if failure.ServerName != "" {
		event.Pass("server name (SNI)", "", failure.ServerName)
	}
	offered := []struct{ name, expected, cause, offered string }{
		{"TLS versions offered", "TLS 1.2 or TLS 1.3", mtls.CauseVersion, strings.Join(failure.Versions, ", ")},
		{"cipher suites offered", "one of TLS 1.3, or ECDHE-RSA with AES-GCM", mtls.CauseCipher, strings.Join(failure.Suites, ", ")},
	}
	for _, row := range offered {
		if row.offered != "" {
			event.Record(row.name, row.expected, row.offered, "", row.cause != failure.Cause)
		}
	}
	if len(failure.Certificates) > 0 {
		recordPresented(event, failure)
	}
	event.Fail("TLS handshake", "a handshake that succeeds", event.Reason, failure.Advice)
	return event
}

// recordPresented adds what the client's certificate says of itself.
func recordPresented(event *oauth.Event, failure mtls.HandshakeFailure) {
	leaf := failure.Certificates[0]
	event.Certificate = mtls.Thumbprint(leaf)
	for _, name := range []struct {
		label string
		raw   []byte
	}{{"certificate subject", leaf.RawSubject}, {"certificate issuer", leaf.RawIssuer}} {
		parsed, err := mtls.ParseName(name.raw)
		if err != nil {
			event.Fail(name.label, "a distinguished name", err.Error(), "have the certificate issued again")
			continue
		}
		event.Pass(name.label, "", parsed.String())
	}
	event.Pass("certificate validity", "", fmt.Sprintf("%s to %s",
		leaf.NotBefore.UTC().Format(time.RFC3339), leaf.NotAfter.UTC().Format(time.RFC3339)))
	event.Pass("certificates sent", "", fmt.Sprint(len(failure.Certificates)))
}
