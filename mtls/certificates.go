package mtls

import (
	"crypto/tls"
	"slices"
	"sync/atomic"
)

// ServerCertificate is a server's certificate that can be renewed while
// connections are served: the next handshake uses what was set last.
type ServerCertificate struct {
	current atomic.Pointer[tls.Certificate]
}

// NewServerCertificate holds c until another one is set.
func NewServerCertificate(c *tls.Certificate) *ServerCertificate {
	s := new(ServerCertificate)
	s.Set(c)
	return s
}

// Set replaces the certificate. c must not be changed afterwards.
func (s *ServerCertificate) Set(c *tls.Certificate) { s.current.Store(c) }

// Get returns the certificate in use, for showing its dates.
func (s *ServerCertificate) Get() *tls.Certificate { return s.current.Load() }

// Certificates are a server's two certificates for the same names. RSA is
// needed, because it is the only kind that the TLS 1.2 suites of FAPI can use.
// ECDSA may be nil; signing with it costs the server far less.
type Certificates struct{ RSA, ECDSA *ServerCertificate }

// choose answers a ClientHello: ECDSA for a TLS 1.3 client that verifies P-256
// signatures, RSA for all others.
func (c Certificates) choose(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c.ECDSA != nil &&
		slices.Contains(hello.SupportedVersions, tls.VersionTLS13) &&
		slices.Contains(hello.SignatureSchemes, tls.ECDSAWithP256AndSHA256) {
		return c.ECDSA.Get(), nil
	}
	return c.RSA.Get(), nil
}

// ServerConfig is the TLS configuration of a listener: TLS 1.3, and TLS 1.2
// with the suites of FAPI 1 Advanced section 8.5 that Go has.
//
// With askClient, any certificate is asked for and none refused, and no list of
// CAs is sent along, since Go and Java clients keep silent if theirs is not in
// it. Sessions are not resumed then: a resumed one reports the certificate of
// the first connection, even if it was revoked or another one is held now
// (CVE-2025-68121). Go never renegotiates as a server and has no early data.
func ServerConfig(certs Certificates, askClient bool) *tls.Config {
	config := &tls.Config{
		GetCertificate: certs.choose,
		MinVersion:     tls.VersionTLS12,
		CipherSuites: []uint16{
			tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		},
		NextProtos: []string{"h2", "http/1.1"},
	}
	if askClient {
		config.ClientAuth = tls.RequestClientCert
		config.SessionTicketsDisabled = true
	}
	return config
}
