package binding

import (
	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/oauth"
)

// Identity is whom a certificate is of: its subject as RFC 4514 has it, and the CA that
// says so, as [mtls.Presented.Issuer] tells it from others.
type Identity struct{ Subject, Issuer string }

// IdentityOf is that of a verified certificate; nothing for none.
func IdentityOf(certificate *mtls.Presented) Identity {
	if certificate == nil {
		return Identity{}
	}
	return Identity{certificate.SubjectText(), certificate.Issuer()}
}

// Carry holds a refresh token against the verified certificate of the request
// that uses it, and returns what the session carries over to the new access token
// (of a DPoP key only that there was one; the proof is looked at by Bind). The tokens of
// a session that was bound stay bound, to the certificate of the session or, by
// policy, to a renewed one of the same identity by the same CA: the one the client has
// just authenticated with by its registered name, or one of the subject that the session
// began with. A client that registers its certificates themselves names no CA.
func Carry(bound *oauth.Confirmation, began Identity, client *Client, certificate *mtls.Presented, event *oauth.Event) (*oauth.Confirmation, error) {
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
	if certificate.Thumbprint == bound.CertificateThumbprint {
		event.Pass(check, expected, presented)
		return carried, nil
	}
	now := IdentityOf(certificate)
	switch {
	case !client.Policy.RefreshWithRenewedCertificate:
		event.Fail(check, expected, presented, "use the certificate the session began with, or begin another; policy "+client.Policy.Name+" takes no renewed certificate")
	case client.AuthMethod != oauth.AuthSelfSignedTLS && now.Issuer != began.Issuer:
		event.Fail(check, expected+", or a renewed one by the same CA", presented+" by another CA", "have the certificate renewed by the CA of the one before, or begin another session")
	case client.AuthMethod != oauth.AuthTLS && client.AuthMethod != oauth.AuthSelfSignedTLS && now.Subject != began.Subject:
		event.Fail(check, expected+", or a renewed one of "+began.Subject, presented+" of "+now.Subject, "use a certificate of the same subject, or begin another session")
	default:
		event.CertificateBefore = bound.CertificateThumbprint
		event.Pass(check, expected+", or a renewed one of the same identity", "renewed: "+presented+" of "+now.Subject)
		return carried, nil
	}
	return nil, oauth.InvalidGrant("the refresh token is bound to another certificate").Because("x5t#S256 differs")
}
