package clientauth

import (
	"context"
	"strings"

	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
)

// checkCertificate verifies a presented certificate, whatever the client
// authenticates with: it may become what a token is bound to, and a tester who
// presents a bad one wants to know. Without one there is nothing to check; the
// methods that need one say so.
func (a *Authenticator) checkCertificate(ctx context.Context, client *registration.Client, attempt *Attempt) error {
	if attempt.Certificate == nil {
		return nil
	}
	if client.AuthMethod == oauth.AuthSelfSignedTLS {
		return a.selfSigned(ctx, client, attempt)
	}
	findings, ok := a.Trust().Verify(attempt.Certificate, a.Now())
	return a.verdict(attempt.Event, findings, ok)
}

// byCertificate is tls_client_auth (RFC 8705 section 2.1): a certificate from a
// trusted CA whose registered name is the client's.
func (a *Authenticator) byCertificate(_ context.Context, client *registration.Client, attempt *Attempt) error {
	if err := a.presented(attempt); err != nil {
		return err
	}
	finding := client.Certificate.Match(attempt.Certificate)
	attempt.Event.Record(finding.Check, finding.Expected, finding.Presented, finding.Advice, finding.OK)
	if !finding.OK {
		return a.refused("the client certificate is not the one registered for this client", "%s does not match", client.Certificate.Kind)
	}
	return nil
}

// bySelfSigned is self_signed_tls_client_auth (RFC 8705 section 2.2); the
// certificate has been found among the client's own.
func (a *Authenticator) bySelfSigned(_ context.Context, _ *registration.Client, attempt *Attempt) error {
	return a.presented(attempt)
}

// selfSigned accepts the very certificate that the client registered as x5c in
// its JWKS: there is no chain to follow, the registration is the trust.
func (a *Authenticator) selfSigned(ctx context.Context, client *registration.Client, attempt *Attempt) error {
	findings, ok := mtls.VerifySelfSigned(attempt.Certificate, a.Now())
	if err := a.verdict(attempt.Event, findings, ok); err != nil {
		return err
	}
	thumbprint := attempt.Certificate.Thumbprint
	registered, known, err := client.Keys.HasCertificate(ctx, thumbprint)
	if err != nil {
		attempt.Event.Fail("registered certificate", "an x5c in the client's JWKS", err.Error(), "make the client's jwks_uri reachable and valid")
		return failed("JWKS: %w", err)
	}
	if !registered {
		attempt.Event.Fail("registered certificate", "x5t#S256 "+strings.Join(known, " or "), "x5t#S256 "+thumbprint,
			"register this certificate as x5c in the client's JWKS, or present the registered one")
		return a.refused("the client certificate is not the one registered for this client", "not in the client's JWKS")
	}
	attempt.Event.Pass("registered certificate", thumbprint, thumbprint)
	return nil
}

// presented refuses a request that came without a certificate.
func (a *Authenticator) presented(attempt *Attempt) error {
	if attempt.Certificate != nil {
		return nil
	}
	if attempt.Event.Listener == "standard" {
		attempt.Event.Fail("client certificate", "a client certificate", "none: this listener never asks for one",
			"send the request to "+a.MTLSURL+", see mtls_endpoint_aliases in discovery")
	} else {
		attempt.Event.Fail("client certificate", "a client certificate", "none",
			"present one: curl needs --cert and --key; a client library may have withheld it")
	}
	return a.refused("a client certificate is required", "no client certificate on this connection")
}

// verdict records what a verification found.
func (a *Authenticator) verdict(event *oauth.Event, findings []mtls.Finding, ok bool) error {
	for _, finding := range findings {
		event.Record(finding.Check, finding.Expected, finding.Presented, finding.Advice, finding.OK)
	}
	if !ok {
		return a.refused("the client certificate is not acceptable", "certificate check failed")
	}
	return nil
}

// refused says what is wrong with a certificate, for the trace alone where strangers
// are not to know that the client exists.
func (a *Authenticator) refused(text, format string, args ...any) oauth.Error {
	if a.Discreet {
		return failed(text+": "+format, args...)
	}
	return oauth.InvalidClient("%s", text).Because(format, args...)
}
