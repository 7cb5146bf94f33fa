package certs

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"net"
	"net/url"
	"time"
)

// SelfSigned makes a client certificate signed with its own key, for
// self_signed_tls_client_auth (RFC 8705 section 2.2). It follows the client
// profile, except that no authority records it or can revoke it. now is when it
// starts; lifetime is at most what the caller likes.
func SelfSigned(subject Subject, key crypto.Signer, now time.Time, lifetime time.Duration) (*x509.Certificate, error) {
	row, err := ProfileClient.row()
	if err != nil {
		return nil, err
	}
	if _, err := row.checkKey(key.Public()); err != nil {
		return nil, err
	}
	raw, _, err := subject.distinguishedName()
	if err != nil {
		return nil, err
	}
	var names leafTemplate
	if err := subject.alternativeNames(row, &names); err != nil {
		return nil, err
	}
	now = now.UTC().Truncate(time.Second)
	template := &x509.Certificate{
		SerialNumber:          newSerial(),
		RawSubject:            raw,
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(lifetime),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
		DNSNames:              names.DNSNames,
		EmailAddresses:        names.EmailAddresses,
	}
	for _, ip := range names.IPAddresses {
		template.IPAddresses = append(template.IPAddresses, net.ParseIP(ip))
	}
	for _, uri := range names.URIs {
		u, err := url.Parse(uri)
		if err != nil {
			return nil, err
		}
		template.URIs = append(template.URIs, u)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("self-signed certificate: %w", err)
	}
	return x509.ParseCertificate(der)
}
