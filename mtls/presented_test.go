package mtls

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"testing"
)

func TestNewPresentedRefuses(t *testing.T) { // A21
	leaf := newRoot(t, "Root").issue(t, "client", nil).cert
	many := newRoot(t, "Root").issue(t, "client", func(c *x509.Certificate) {
		for i := range 10_000 {
			c.DNSNames = append(c.DNSNames, fmt.Sprint("h", i))
		}
	}).cert
	some := newRoot(t, "Root").issue(t, "client", func(c *x509.Certificate) {
		for i := range maxSANs + 1 {
			c.DNSNames = append(c.DNSNames, fmt.Sprint("h", i))
		}
	}).cert
	large := newRoot(t, "Root").issue(t, "client", func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: []int{1, 2, 3}, Value: make([]byte, maxLeaf)}}
	}).cert
	long := make([]*x509.Certificate, 50)
	for i := range long {
		long[i] = leaf
	}
	for name, chain := range map[string][]*x509.Certificate{
		"none": nil, "50 deep": long, "10,000 names": {many}, "many names": {some}, "large": {large}, "large chain": {leaf, many, many},
	} {
		if _, err := NewPresented(chain, "tls"); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
