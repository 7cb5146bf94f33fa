// Package binding ties tokens to what their client can prove: a certificate.
package binding

import (
	"time"

	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
)

// Bind returns what a new token of the client is bound to (RFC 8705 section 3):
// the verified certificate of the request that asks for it, where the client or
// its policy wants bound tokens; nil where neither does.
func Bind(client *registration.Client, certificate *mtls.Presented, event *oauth.Event) (*oauth.Confirmation, error) {
	if !client.BoundTokens {
		return nil, nil
	}
	if certificate == nil {
		event.Fail("token binding", "a client certificate to bind the token to", "none",
			"send the request with the certificate to the address in mtls_endpoint_aliases")
		return nil, oauth.InvalidRequest("this client's tokens are bound to its certificate, and none was presented").Because("no certificate to bind to")
	}
	event.Pass("token binding", "x5t#S256", certificate.Thumbprint)
	return &oauth.Confirmation{CertificateThumbprint: certificate.Thumbprint}, nil
}

// Enforce holds a token against the certificate of the request that uses it, as
// a resource server must (RFC 8705 section 3). The certificate itself has to be
// good still: its dates and revocation are looked at on every request.
func Enforce(confirmation *oauth.Confirmation, certificate *mtls.Presented, trust *mtls.Trust, now time.Time, event *oauth.Event) error {
	if confirmation == nil {
		return nil
	}
	bound := confirmation.CertificateThumbprint
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
	verify := trust.Verify
	if certificate.SelfSigned() {
		verify = mtls.VerifySelfSigned
	}
	findings, ok := verify(certificate, now)
	for _, finding := range findings {
		event.Record(finding.Check, finding.Expected, finding.Presented, finding.Advice, finding.OK)
	}
	if !ok {
		return oauth.InvalidToken("the client certificate is not acceptable").Because("certificate check failed")
	}
	return nil
}
