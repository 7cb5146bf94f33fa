package mtls

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"
)

// verdict is what a Trust concludes from a Presented once and for all.
type verdict struct {
	trust    *Trust
	paths    []path    // the chains that could be built; none if that failed
	ok       bool      // false although there is a path: the key usage is wrong
	findings []Finding // as they are when dates and revocation raise nothing
}

// path is a chain from the leaf to a trusted root, and the time all of it is
// valid in.
type path struct {
	chain               []*x509.Certificate
	notBefore, notAfter time.Time
}

func newPath(chain []*x509.Certificate) path {
	p := path{chain: chain, notBefore: chain[0].NotBefore, notAfter: chain[0].NotAfter}
	for _, c := range chain[1:] {
		if c.NotBefore.After(p.notBefore) {
			p.notBefore = c.NotBefore
		}
		if c.NotAfter.Before(p.notAfter) {
			p.notAfter = c.NotAfter
		}
	}
	return p
}

// judge does the work that need not be repeated. Keys come first, because the
// price of every later step is a signature check with one of them.
func (t *Trust) judge(p *Presented, now time.Time) *verdict {
	v := &verdict{trust: t}
	key, ok := t.keys.check(p)
	v.findings = append(v.findings, key)
	if !ok {
		return v
	}
	chains, clientAuth, err := t.build(p, now)
	if err != nil {
		v.findings = append(v.findings, t.explain(p, err))
		return v
	}
	for _, chain := range chains {
		v.paths = append(v.paths, newPath(chain))
	}
	usage := checkUsage(p.Leaf, clientAuth)
	v.ok = usage.OK
	v.findings = append(v.findings,
		Finding{Check: CheckChain, Expected: "a chain to a trusted CA", Presented: describeChain(chains[0]), OK: true},
		usage,
		Finding{
			Check:    CheckValidity,
			Expected: "every certificate of the chain valid now",
			Presented: fmt.Sprintf("valid from %s to %s",
				stamp(v.paths[0].notBefore), stamp(v.paths[0].notAfter)),
			OK: true,
		},
		Finding{Check: CheckRevocation, Expected: "no certificate of the chain revoked", Presented: "none revoked", OK: true},
	)
	return v
}

// build finds the chains of the leaf. crypto/x509 mixes three questions into
// one error, so they are asked one by one: if there is no chain with clientAuth
// now, is there one without it, and is there one at another time?
// ExtKeyUsageClientAuth must be named, or serverAuth would be asked for.
func (t *Trust) build(p *Presented, now time.Time) (chains [][]*x509.Certificate, clientAuth bool, err error) {
	options := x509.VerifyOptions{Roots: t.rootPool, Intermediates: x509.NewCertPool()}
	for _, c := range t.helpers(p) {
		options.Intermediates.AddCert(c)
	}
	wrongUsage := false
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageAny} {
		options.KeyUsages = []x509.ExtKeyUsage{usage}
		for _, at := range t.moments(p, now) {
			options.CurrentTime = at
			chains, verifyErr := p.Leaf.Verify(options)
			if verifyErr == nil {
				return chains, usage == x509.ExtKeyUsageClientAuth, nil
			}
			if invalid, ok := errors.AsType[x509.CertificateInvalidError](verifyErr); ok && invalid.Reason == x509.IncompatibleUsage {
				wrongUsage = true
			}
			if err == nil {
				err = verifyErr
			}
		}
		if !wrongUsage {
			break
		}
	}
	return nil, false, err
}

// helpers returns what may stand between the leaf and a root. A self-signed
// certificate never does; clients often send their root along.
func (t *Trust) helpers(p *Presented) []*x509.Certificate {
	return slices.DeleteFunc(slices.Concat(p.Intermediates, t.intermediates), selfSigned)
}

// maxMoments bounds how often a chain that cannot be built is tried.
const maxMoments = 4

// moments returns the times at which to look for a chain: now, and then times
// at which one could have been valid, so that an expired certificate is told
// from an unknown one. A chain that is ever valid is valid when its youngest
// certificate starts to be.
func (t *Trust) moments(p *Presented, now time.Time) []time.Time {
	moments := []time.Time{now}
	all := slices.Concat([]*x509.Certificate{p.Leaf}, t.helpers(p), t.roots)
	if !slices.ContainsFunc(all, func(c *x509.Certificate) bool { return now.Before(c.NotBefore) || now.After(c.NotAfter) }) {
		return moments // the dates are not to blame
	}
	for _, c := range all {
		outside := c.NotBefore.Before(p.Leaf.NotBefore) || c.NotBefore.After(p.Leaf.NotAfter)
		if len(moments) < maxMoments && !outside && !slices.ContainsFunc(moments, c.NotBefore.Equal) {
			moments = append(moments, c.NotBefore)
		}
	}
	return moments
}

// checkUsage says whether the leaf is a client's. A CA certificate is not, and
// neither is a key that may not sign (RFC 8446 section 4.4.2.4).
func checkUsage(leaf *x509.Certificate, clientAuth bool) Finding {
	f := Finding{Check: CheckUsage, Expected: "clientAuth (1.3.6.1.5.5.7.3.2)", Presented: describeUsage(leaf)}
	switch {
	case leaf.IsCA:
		f.Expected = "a client's own certificate"
		f.Presented = "a CA certificate (basicConstraints CA:TRUE)"
		f.Advice = "Use a certificate issued by the CA, not the CA's."
	case !clientAuth:
		f.Advice = "Use a certificate with extended key usage clientAuth: a transport certificate, not a signing or server one. The CAs above it must not exclude clientAuth either."
	case leaf.KeyUsage != 0 && leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0:
		f.Expected = "key usage digitalSignature"
		f.Presented = "a key usage without digitalSignature"
		f.Advice = "Use a certificate whose key may sign, as TLS does with it."
	default:
		f.OK = true
	}
	return f
}

var usageNames = map[x509.ExtKeyUsage]string{
	x509.ExtKeyUsageAny:             "anyExtendedKeyUsage",
	x509.ExtKeyUsageServerAuth:      "serverAuth",
	x509.ExtKeyUsageClientAuth:      "clientAuth",
	x509.ExtKeyUsageCodeSigning:     "codeSigning",
	x509.ExtKeyUsageEmailProtection: "emailProtection",
	x509.ExtKeyUsageTimeStamping:    "timeStamping",
	x509.ExtKeyUsageOCSPSigning:     "OCSPSigning",
}

func describeUsage(c *x509.Certificate) string {
	var names []string
	for _, usage := range c.ExtKeyUsage {
		name, ok := usageNames[usage]
		if !ok {
			name = fmt.Sprintf("usage %d", usage)
		}
		names = append(names, name)
	}
	for _, oid := range c.UnknownExtKeyUsage {
		names = append(names, oid.String())
	}
	if len(names) == 0 {
		return "no extended key usage, which allows any"
	}
	return fmt.Sprint(names)
}

// keyRules are the keys and signatures that may appear in a chain: RSA of
// bounded size with the usual exponent, NIST curves, Ed25519. An odd key is
// either weak or made to be slow (RFC 9325 sections 4.4 and 4.5).
type keyRules struct{ minRSA, maxRSA int }

func newKeyRules(minRSA, maxRSA int) keyRules {
	if minRSA == 0 {
		minRSA = 2048
	}
	if maxRSA == 0 {
		maxRSA = 4096
	}
	return keyRules{minRSA, maxRSA}
}

// check examines every presented certificate that a chain could be built with.
func (k keyRules) check(p *Presented) (Finding, bool) {
	f := Finding{
		Check:     CheckKey,
		Expected:  fmt.Sprintf("RSA of %d to %d bits with e=65537, P-256, P-384, P-521 or Ed25519, signed with SHA-256 or better", k.minRSA, k.maxRSA),
		Presented: describeKey(p.Leaf),
		Advice:    "Use a certificate with a key and a signature algorithm of this list.",
	}
	if problem := k.certificate(p.Leaf); problem != "" {
		f.Presented = problem
		return f, false
	}
	for _, c := range p.Intermediates {
		if problem := k.certificate(c); problem != "" && !selfSigned(c) {
			f.Presented = fmt.Sprintf("intermediate %s: %s", describeName(c.RawSubject), problem)
			return f, false
		}
	}
	f.Advice, f.OK = "", true
	return f, true
}

func (k keyRules) certificate(c *x509.Certificate) (problem string) {
	if problem := k.key(c); problem != "" {
		return problem
	}
	switch c.SignatureAlgorithm {
	case x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA,
		x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS, x509.SHA512WithRSAPSS,
		x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512, x509.PureEd25519:
		return ""
	}
	return "signed with " + c.SignatureAlgorithm.String()
}

func (k keyRules) key(c *x509.Certificate) (problem string) {
	switch key := c.PublicKey.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < k.minRSA || bits > k.maxRSA || key.E != 65537 {
			return describeKey(c)
		}
		return ""
	case *ecdsa.PublicKey:
		if key.Curve == elliptic.P256() || key.Curve == elliptic.P384() || key.Curve == elliptic.P521() {
			return ""
		}
	case ed25519.PublicKey:
		return ""
	}
	return describeKey(c)
}

func describeKey(c *x509.Certificate) string {
	switch key := c.PublicKey.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA of %d bits with e=%d", key.N.BitLen(), key.E)
	case *ecdsa.PublicKey:
		return key.Curve.Params().Name
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return "a key of type " + c.PublicKeyAlgorithm.String()
}
