package mtls

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

// HandshakeFailure is a TLS handshake that did not succeed, with what was
// learned of the client until then.
type HandshakeFailure struct {
	Remote net.Addr
	Time   time.Time

	ServerName   string   // SNI
	Versions     []string // offered, as far as a ClientHello was read
	Suites       []string
	Certificates []*x509.Certificate // the client's, if they were read

	Err    error
	Cause  string // one of the Cause constants: a metric label
	Advice string
}

// The causes of failed handshakes.
const (
	CauseClosed       = "client_closed"      // port scans and health checks among them
	CauseTimeout      = "timeout"            // no complete handshake in time
	CauseCrowdedOut   = "crowded_out"        // half-open for long while others waited
	CauseShutdown     = "shutdown"           // the listener was closed
	CauseNotTLS       = "not_tls"            // plain HTTP, or something else
	CauseVersion      = "no_shared_version"  // TLS 1.1 and older
	CauseCipher       = "no_shared_cipher"   // a TLS 1.2 client without the FAPI suites
	CauseProtocol     = "no_shared_protocol" // ALPN
	CauseUnknownCA    = "unknown_ca"         // the client does not trust our certificate
	CauseServerCert   = "server_certificate" // the client dislikes our certificate otherwise
	CauseCertificate  = "bad_certificate"    // the client's certificate or its proof
	CauseClientAlert  = "client_alert"       // any other alert from the client
	CauseUnclassified = "other"
)

// failureAdvice says what the owner of the client can do.
var failureAdvice = map[string]string{
	CauseTimeout:     "The client opened a connection and did not complete the handshake. Check for a proxy or firewall in between.",
	CauseCrowdedOut:  "The handshake took over a second while too many others were waiting. Try again.",
	CauseNotTLS:      "Use https:// for this port.",
	CauseVersion:     "Use TLS 1.2 or 1.3.",
	CauseCipher:      "Use TLS 1.3, or in TLS 1.2 ECDHE-RSA-AES128-GCM-SHA256 or ECDHE-RSA-AES256-GCM-SHA384.",
	CauseProtocol:    "Offer h2 or http/1.1 in ALPN, or no ALPN.",
	CauseUnknownCA:   "Make the client trust the server's CA certificate (curl --cacert).",
	CauseServerCert:  "The client refused the server's certificate: check the host name it connects to, its clock and its CA file.",
	CauseCertificate: "Check that the client's certificate and private key belong together, and that the key is of an accepted kind and size.",
	CauseClientAlert: "The client ended the handshake; its own log says why.",
}

// fail classifies the error and tells the callback.
func (l *Listener) fail(p *pending, conn *tls.Conn, err error) {
	err = plainAlert(p.tail, err)
	cause := classify(err)
	select {
	case <-l.done:
		cause = CauseShutdown
	default:
		if p.evicted.Load() {
			cause = CauseCrowdedOut
		}
	}
	if cause == CauseNotTLS {
		answerPlain(err)
	}
	if l.limits.Failed == nil {
		return
	}
	f := HandshakeFailure{
		Remote:       p.RemoteAddr(),
		Time:         time.Now(),
		Certificates: conn.ConnectionState().PeerCertificates,
		Err:          err,
		Cause:        cause,
		Advice:       failureAdvice[cause],
	}
	if hello := p.hello; hello != nil {
		f.ServerName = hello.ServerName
		f.Versions = offered(hello.SupportedVersions, tls.VersionName)
		f.Suites = offered(hello.CipherSuites, tls.CipherSuiteName)
	}
	l.limits.Failed(f)
}

// offered names what a ClientHello lists, as much of it as a person would read.
func offered(values []uint16, name func(uint16) string) []string {
	const most = 40
	names := make([]string, 0, min(len(values), most))
	for _, v := range values[:min(len(values), most)] {
		names = append(names, name(v))
	}
	return names
}

// plainAlert returns the alert that a client sent, if it sent it in plain text
// where crypto/tls wanted an encrypted record and so found a bad MAC. OpenSSL
// does that in TLS 1.3 when it refuses the server's certificate, which makes it
// what is behind most failed handshakes of curl.
func plainAlert(tail [7]byte, err error) error {
	op, ok := errors.AsType[*net.OpError](err)
	if !ok || op.Op != "local error" || [5]byte(tail[:5]) != [5]byte{21, 3, 3, 0, 2} {
		return err
	}
	return &net.OpError{Op: "remote error", Err: tls.AlertError(tail[6])}
}

// classify finds the cause of a handshake error. crypto/tls has few types for
// them, so the rest goes by text, which the tests pin.
func classify(err error) string {
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return CauseNotTLS
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "remote error" {
		return classifyAlert(op.Err.Error())
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return CauseTimeout
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return CauseClosed
	}
	for _, row := range []struct{ text, cause string }{
		{"unsupported versions", CauseVersion},
		{"no cipher suite supported by both", CauseCipher},
		{"no ECDHE curve supported by both", CauseCipher},
		{"signature algorithms", CauseCipher},
		{"unsupported application protocols", CauseProtocol},
		{"client certificate", CauseCertificate},
		{"client sent certificate", CauseCertificate},
	} {
		if strings.Contains(err.Error(), row.text) {
			return row.cause
		}
	}
	return CauseUnclassified
}

// classifyAlert sorts the alerts a client sends (RFC 8446 section 6.2). With
// a server that verifies no certificate in TLS, those about certificates are
// about the server's.
func classifyAlert(text string) string {
	switch strings.TrimPrefix(text, "tls: ") {
	case "unknown certificate authority":
		return CauseUnknownCA
	case "bad certificate", "unsupported certificate", "revoked certificate", "expired certificate", "unknown certificate":
		return CauseServerCert
	case "protocol version not supported":
		return CauseVersion
	case "user canceled", "close notify":
		return CauseClosed
	}
	return CauseClientAlert
}

// answerPlain answers somebody who speaks HTTP to a TLS port in HTTP.
func answerPlain(err error) {
	header, ok := errors.AsType[tls.RecordHeaderError](err)
	if !ok || header.Conn == nil {
		return
	}
	switch string(header.RecordHeader[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "OPTIO", "PATCH", "DELET":
		_, _ = io.WriteString(header.Conn, "HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n"+
			"This is an https port: use https:// in the address.\n")
	}
}
