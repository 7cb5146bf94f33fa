package mtls

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"testing"
)

// BenchmarkMatch is the comparison of a registered subject with the one of a
// certificate that is at hand parsed, as on every request.
func BenchmarkMatch(b *testing.B) {
	leaf := newRoot(b, "Root").issue(b, "client", func(c *x509.Certificate) {
		c.Subject = pkix.Name{Country: []string{"GB"}, Organization: []string{"Example TPP Ltd"}, OrganizationalUnit: []string{"open banking"}, CommonName: "tpp-tls"}
	})
	p := present(b, leaf)
	for name, order := range map[string]Matching{"strict": MatchStrict, "any": MatchAnyOrder} {
		b.Run(name, func(b *testing.B) {
			registered, err := ParseRegistered(KindSubjectDN, p.Subject().String(), order)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if !registered.Match(p).OK {
					b.Fatal("no match")
				}
			}
		})
	}
}

// BenchmarkPresented is what a new connection costs beside the chain.
func BenchmarkPresented(b *testing.B) {
	root := newRoot(b, "Root")
	leaf := root.issue(b, "client", nil)
	b.ReportAllocs()
	for b.Loop() {
		present(b, leaf, root)
	}
}
