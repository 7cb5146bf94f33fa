package mtls

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// explain turns the error of crypto/x509 into a finding. It walks up from the
// leaf by issuer name, because the error does not say where the walk ended.
func (t *Trust) explain(p *Presented, err error) Finding {
	f := Finding{Check: CheckChain, Expected: "a chain to a trusted CA: " + t.describeRoots()}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.CANotAuthorizedForThisName {
		f.Presented = "a name that a CA of the chain may not issue: " + invalid.Detail
		f.Advice = "Use a certificate whose names are within the name constraints of its CA."
		return f
	}
	helpers := t.helpers(p)
	seen := []*x509.Certificate{p.Leaf}
	for {
		c := seen[len(seen)-1]
		if selfSigned(c) {
			f.Presented = "self-signed certificate " + describeName(c.RawSubject)
			f.Advice = "Use a certificate from a trusted CA; a self-signed one needs a client registered for self_signed_tls_client_auth."
			return f
		}
		named := issuersOf(c, slices.Concat(t.roots, helpers))
		if len(named) == 0 {
			return t.explainUnknown(f, c)
		}
		signers := slices.DeleteFunc(slices.Clone(named), func(ca *x509.Certificate) bool {
			return !signed(c, ca)
		})
		if len(signers) == 0 {
			f.Presented = fmt.Sprintf("%s, whose issuer %s has the name of a known CA but another key",
				describeName(c.RawSubject), describeName(c.RawIssuer))
			f.Advice = "The certificate is from another CA of the same name, for example an older sandbox's. Have it issued again."
			return f
		}
		ca := signers[0]
		if problem := cannotIssue(ca, len(seen)-1); problem != "" {
			f.Presented = fmt.Sprintf("issuer %s %s", describeName(ca.RawSubject), problem)
			f.Advice = "Use a certificate issued directly by a CA that may issue it."
			return f
		}
		if slices.Contains(t.roots, ca) || slices.Contains(seen, ca) || len(seen) > maxChain {
			f.Presented = err.Error()
			f.Advice = "See the text of the error; the names and signatures up to the trusted CA are right."
			return f
		}
		seen = append(seen, ca)
	}
}

func issuersOf(c *x509.Certificate, cas []*x509.Certificate) (issuers []*x509.Certificate) {
	for _, ca := range cas {
		if bytes.Equal(ca.RawSubject, c.RawIssuer) {
			issuers = append(issuers, ca)
		}
	}
	return issuers
}

// signed checks the signature alone: CheckSignatureFrom would also refuse an
// issuer that is no CA, which is another finding.
func signed(c, ca *x509.Certificate) bool {
	return ca.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
}

// cannotIssue says why ca may not issue a certificate with that many CA
// certificates below it (RFC 5280 section 4.2.1.9).
func cannotIssue(ca *x509.Certificate, below int) string {
	switch {
	case !ca.BasicConstraintsValid || !ca.IsCA:
		return "is not a CA (basicConstraints CA:TRUE is missing)"
	case ca.KeyUsage != 0 && ca.KeyUsage&x509.KeyUsageCertSign == 0:
		return "may not sign certificates (keyUsage keyCertSign is missing)"
	case ca.MaxPathLen >= 0 && below > ca.MaxPathLen:
		return fmt.Sprintf("may have %d CAs below it (pathlen), there are %d", ca.MaxPathLen, below)
	}
	return ""
}

// explainUnknown names the issuer at which the chain breaks. An issuer of the
// same organisation as a trusted CA is taken for an intermediate not sent.
func (t *Trust) explainUnknown(f Finding, c *x509.Certificate) Finding {
	issuer := describeName(c.RawIssuer)
	for _, root := range t.roots {
		if len(c.Issuer.Organization) > 0 && slices.Equal(c.Issuer.Organization, root.Subject.Organization) {
			f.Presented = "missing intermediate: nothing was sent for issuer " + issuer
			f.Advice = "Send the intermediate after the leaf: put both into the certificate file, the leaf first."
			return f
		}
	}
	f.Presented = "unknown issuer: " + issuer
	f.Advice = "Use a certificate from a trusted CA. If its issuer is an intermediate of one, send the intermediate after the leaf."
	return f
}

func (t *Trust) describeRoots() string {
	const shown = 4
	var names []string
	for _, c := range t.roots[:min(shown, len(t.roots))] {
		names = append(names, describeName(c.RawSubject))
	}
	if more := len(t.roots) - shown; more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(names, "; ")
}

func describeChain(chain []*x509.Certificate) string {
	var names []string
	for _, c := range chain {
		names = append(names, describeName(c.RawSubject))
	}
	return strings.Join(names, " < ")
}
