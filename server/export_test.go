package server

import "crypto/x509"

// ServerCertificates are the certificates of the listeners, RSA and ECDSA.
func (s *Server) ServerCertificates() []*x509.Certificate {
	return []*x509.Certificate{s.certs.RSA.Get().Leaf, s.certs.ECDSA.Get().Leaf}
}

// EveryMinute does what the server does once a minute, now.
var EveryMinute = (*Server).everyMinute
