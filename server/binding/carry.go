package binding

import (
	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/oauth"
)

// Carry holds a refresh token against the verified certificate of the request
// that uses it, and returns what the session carries over to the new access token
// (of a DPoP key only that there was one; the proof is looked at by Bind). The tokens of
// a session that was bound stay bound, to the certificate of the session or, by
// policy, to a renewed one of the same identity: the one the client has just
// authenticated with by its registered name or certificate, or one of the subject
// that the session began with.
func Carry(bound *oauth.Confirmation, subject string, client *Client, certificate *mtls.Presented, event *oauth.Event) (*oauth.Confirmation, error) {
	if bound == nil || bound.CertificateThumbprint == "" {
		return bound, nil
	}
	const check = "refresh token binding"
	expected := "the certificate with x5t#S256 " + bound.CertificateThumbprint
	if certificate == nil {
		event.Fail(check, expected, "no client certificate", "send the request with the certificate to the address in mtls_endpoint_aliases")
		return nil, oauth.InvalidGrant("the refresh token is bound to a certificate, and none was presented").Because("no certificate")
	}
	carried := &oauth.Confirmation{CertificateThumbprint: certificate.Thumbprint, KeyThumbprint: bound.KeyThumbprint}
	presented := "x5t#S256 " + certificate.Thumbprint
	switch {
	case certificate.Thumbprint == bound.CertificateThumbprint:
		event.Pass(check, expected, presented)
		return carried, nil
	case !client.Policy.RefreshWithRenewedCertificate:
		event.Fail(check, expected, presented, "use the certificate the session began with, or begin another; policy "+client.Policy.Name+" takes no renewed certificate")
	case client.AuthMethod != oauth.AuthTLS && client.AuthMethod != oauth.AuthSelfSignedTLS && certificate.Subject().String() != subject:
		event.Fail(check, expected+", or a renewed one of "+subject, presented+" of "+certificate.Subject().String(), "use a certificate of the same subject, or begin another session")
	default:
		event.Pass(check, expected+", or a renewed one of the same identity", "renewed: "+presented+" of "+certificate.Subject().String())
		return carried, nil
	}
	return nil, oauth.InvalidGrant("the refresh token is bound to another certificate").Because("x5t#S256 differs")
}
