package doctor

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/fapid/fapid/mtls"
)

// judgeIdentity looks at the tester's own certificate, as files: much of what
// fails on a server can be seen here.
func (e *examination) judgeIdentity() []Finding {
	if e.own == nil {
		return []Finding{{
			Name: "certificate", On: OnCertificate, Status: Skip,
			Found: "none given; use --cert and --key to have it checked and tried",
		}}
	}
	leaf := e.own.chain[0]
	all := []Finding{
		judgeKey(e.own),
		judgeSubject(leaf),
		judgePurpose(leaf),
		judgeDates("certificate dates", leaf, e.Now(), "Renew your certificate."),
		e.judgeOwnChain(),
		judgeStrength("certificate strength", leaf,
			"Use a certificate with an RSA key of 2048 bits or P-256, signed with SHA-256."),
		{Name: "certificate thumbprint", Status: OK, Found: mtls.Thumbprint(leaf), Expected: "cnf.x5t#S256 of your tokens (RFC 8705 section 3.1)"},
	}
	for i := range all {
		all[i].On = OnCertificate
	}
	return all
}

func judgeKey(own *identity) Finding {
	f := Finding{Name: "certificate key", Status: OK, Found: "the key is the certificate's", Expected: "the key of the first certificate in the file", blocking: true}
	if own.keyErr == nil {
		return f
	}
	f.Status, f.Found = Fail, own.keyErr.Error()
	f.Fix = "Give the key of the first certificate with --key, and put your own certificate first in the file."
	if errors.Is(own.keyErr, errEncrypted) {
		f.Fix = "Decrypt the key first: openssl pkey -in KEY -out PLAIN."
	}
	return f
}

// judgeSubject prints the spellings among which registrations fail; it has no
// rule to break but that the name can be read at all.
func judgeSubject(leaf *x509.Certificate) Finding {
	f := Finding{Name: "certificate subject", Status: OK, Expected: "the registered tls_client_auth_subject_dn"}
	subject, err := spell(leaf.RawSubject)
	if err != nil {
		f.Status, f.Found = Fail, err.Error()
		f.Fix = "Have the certificate issued again: its subject cannot be read."
		return f
	}
	f.Found = "RFC 4514: " + subject.RFC4514
	for _, other := range []struct{ label, text string }{
		{"short names", subject.ShortNames}, {"OIDs", subject.OIDs}, {"Brazil", subject.Brazil},
	} {
		if other.text != subject.RFC4514 {
			f.Found += "; " + other.label + ": " + other.text
		}
	}
	if subject.RFC4514 == "" {
		f.Found = "empty; register a subject alternative name"
	}
	return f
}

func judgePurpose(leaf *x509.Certificate) Finding {
	f := Finding{Name: "certificate purpose", Status: OK, Expected: "clientAuth (RFC 5280 section 4.2.1.12)", blocking: true}
	purposes := extKeyUsages(leaf)
	f.Found = strings.Join(purposes, ", ")
	switch {
	case leaf.IsCA && !selfSigned(leaf):
		f.Status, f.Found = Fail, "a CA certificate"
		f.Fix = "Use a certificate issued by the CA, not the CA's own."
	case len(purposes) == 0:
		f.Status, f.blocking, f.Found = Warn, false, "no extended key usage, which allows any"
		f.Fix = "Have clientAuth put into the extended key usage of your certificate; some servers insist on it."
	case !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth) && !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny):
		f.Status = Fail
		f.Fix = "Use a transport certificate: the extended key usage must have clientAuth."
	case leaf.KeyUsage != 0 && leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0:
		f.Status, f.Found = Fail, f.Found+", but key usage without digitalSignature"
		f.Fix = "Use a certificate whose key usage has digitalSignature: TLS signs with the key."
	}
	return f
}

// judgeOwnChain: a server usually trusts roots only and fetches nothing, so the
// intermediates must come with the leaf, each issued by the next.
func (e *examination) judgeOwnChain() Finding {
	f := Finding{Name: "certificate chain", Status: OK, Expected: "your certificate, then its intermediates"}
	chain := e.own.chain
	for i, c := range chain[1:] {
		if !issuedBy(chain[i], c) {
			f.Status = Warn
			f.Found = fmt.Sprintf("certificate %d was not issued by certificate %d", i+1, i+2)
			f.Fix = "Put your certificate first in the file, then the one that issued it, and so on."
			return f
		}
	}
	top := chain[len(chain)-1]
	byRoot := slices.ContainsFunc(e.trust.roots, func(root *x509.Certificate) bool { return issuedBy(top, root) })
	switch {
	case len(chain) == 1 && selfSigned(top):
		f.Found = "self-signed: register it in jwks for self_signed_tls_client_auth"
	case selfSigned(top):
		f.Found = fmt.Sprintf("%d certificates, up to the root (which need not be sent)", len(chain))
	case len(chain) > 1 || byRoot:
		f.Found = fmt.Sprintf("%s, the last issued by %s", plural(len(chain), "certificate"), dnText(top.RawIssuer))
	default:
		f.Status = Warn
		f.Found = "your certificate only; that of its issuer is not in the file: " + dnText(top.RawIssuer)
		f.Fix = "Append the certificate of " + dnText(top.RawIssuer) +
			" to your certificate file, unless it is a root the server trusts; servers do not fetch it."
	}
	return f
}

func issuedBy(c, issuer *x509.Certificate) bool {
	return bytes.Equal(c.RawIssuer, issuer.RawSubject) &&
		issuer.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
}
