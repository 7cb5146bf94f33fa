package binding

import (
	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/oauth"
)

// enforceCertificate holds a token against the certificate of the request that
// uses it (RFC 8705 section 3). The certificate itself has to be good still: its
// dates and revocation are looked at on every request.
func (b *Binder) enforceCertificate(bound string, sender *Sender) error {
	certificate, event := sender.Certificate, sender.Event
	if certificate == nil {
		event.Fail("token binding", "the certificate with x5t#S256 "+bound, "no client certificate",
			"use the token on the mTLS listener with the certificate it was issued to")
		return oauth.InvalidToken("the access token is bound to a certificate, and none was presented").Because("no certificate")
	}
	if certificate.Thumbprint != bound {
		event.Fail("token binding", "the certificate with x5t#S256 "+bound, "x5t#S256 "+certificate.Thumbprint,
			"use the certificate the token was issued to, or fetch a token with this one")
		return oauth.InvalidToken("the access token is bound to another certificate").Because("x5t#S256 differs")
	}
	event.Pass("token binding", bound, bound)
	verify := mtls.VerifySelfSigned
	if b.Trust != nil && !certificate.SelfSigned() {
		verify = b.Trust().Verify
	}
	findings, ok := verify(certificate, b.Now())
	for _, finding := range findings {
		event.Record(finding.Check, finding.Expected, finding.Presented, finding.Advice, finding.OK)
	}
	if !ok {
		return oauth.InvalidToken("the client certificate is not acceptable").Because("certificate check failed")
	}
	return nil
}
