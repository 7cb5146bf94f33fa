package doctor

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// expirySoon is when days left become worth a warning.
const expirySoon = 14 * 24 * time.Hour

// judgeReachable says whether the host answered at all; nothing else is said
// about one that did not.
func (e *examination) judgeReachable(h *host) []Finding {
	f := Finding{Name: "reachable", Status: OK, Expected: "a TLS handshake", blocking: true}
	switch seen := h.hello; {
	case seen.chosen:
		f.Found = tls.VersionName(seen.version) + ", " + tls.CipherSuiteName(seen.suite)
	case seen.dialed:
		f.Status = Fail
		f.Found = "connected, but no TLS: " + shortError(seen.err)
		f.Fix = "Make the port speak TLS 1.2 or 1.3 (is the port right, and is it https?)."
	default:
		f.Status = Fail
		f.Found = shortError(seen.err)
		f.Fix = "Start the server, or correct host and port; check DNS and firewall."
	}
	return []Finding{f}
}

// certificates returns each leaf the host showed, with the versions it was
// shown in if that matters: a server may keep RSA for TLS 1.2.
func (h *host) certificates() (chains [][]*x509.Certificate, labels []string) {
	if len(h.hello.chain) > 0 {
		chains, labels = append(chains, h.hello.chain), append(labels, h.addr)
	}
	old := h.versions[tls.VersionTLS12].chain
	if len(old) > 0 && (len(chains) == 0 || !old[0].Equal(chains[0][0])) {
		chains, labels = append(chains, old), append(labels, h.addr+" (TLS 1.2)")
	}
	return chains, labels
}

func (e *examination) judgeServerCertificate(h *host) (all []Finding) {
	chains, labels := h.certificates()
	for i, chain := range chains {
		for _, f := range []Finding{
			judgeNames(chain[0], h.name),
			e.judgeChain(chain),
			judgeDates("server certificate dates", chain[0], e.Now(), "Renew the server certificate."),
			judgeStrength("server certificate key", chain[0],
				"Issue a server certificate with RSA of 2048 bits or P-256, signed with SHA-256."),
		} {
			f.On = labels[i]
			all = append(all, f)
		}
	}
	return all
}

// judgeNames: only subject alternative names count (RFC 9525 section 6.1).
func judgeNames(leaf *x509.Certificate, host string) Finding {
	f := Finding{
		Name: "server certificate names", Status: OK, Found: "no DNS name or IP address",
		Expected: host, blocking: true,
	}
	names := slices.Clone(leaf.DNSNames)
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) > 0 {
		f.Found = strings.Join(names, ", ")
	}
	if err := leaf.VerifyHostname(host); err != nil {
		f.Status = Fail
		f.Fix = fmt.Sprintf("Issue the server certificate for %s, or use a name it has.", host)
	}
	return f
}

// judgeChain builds the chain as a client does. An expired leaf is left to
// judgeDates: it must not hide what the chain looks like.
func (e *examination) judgeChain(chain []*x509.Certificate) Finding {
	leaf := chain[0]
	f := Finding{
		Name: "server certificate chain", Status: OK, blocking: true,
		Expected: "a chain to " + e.trust.source,
	}
	opt := x509.VerifyOptions{
		Roots: e.trust.pool, Intermediates: x509.NewCertPool(), CurrentTime: e.Now(),
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if opt.CurrentTime.After(leaf.NotAfter) {
		opt.CurrentTime = leaf.NotAfter
	} else if opt.CurrentTime.Before(leaf.NotBefore) {
		opt.CurrentTime = leaf.NotBefore
	}
	for _, c := range chain[1:] {
		opt.Intermediates.AddCert(c)
	}
	built, err := leaf.Verify(opt)
	if err == nil {
		path := built[0]
		f.Found = fmt.Sprintf("%d sent, trusted through %s", len(chain), dnText(path[len(path)-1].RawSubject))
		return f
	}
	f.Status = Fail
	f.Found = fmt.Sprintf("%d sent; %s", len(chain), shortError(err))
	f.Fix = "Replace the server certificate or its issuer: " + shortError(err) + "."
	if unknown := (x509.UnknownAuthorityError{}); errors.As(err, &unknown) {
		top := chain[len(chain)-1]
		f.Found = fmt.Sprintf("%d sent, the last issued by %s, which is not trusted", len(chain), dnText(top.RawIssuer))
		f.Fix = e.chainFix(top, len(chain) == 1)
	}
	return f
}

// chainFix says how to get from the last certificate sent to a root.
func (e *examination) chainFix(top *x509.Certificate, alone bool) string {
	issuer := dnText(top.RawIssuer)
	namesake := slices.ContainsFunc(e.trust.roots, func(root *x509.Certificate) bool {
		return bytes.Equal(root.RawSubject, top.RawIssuer)
	})
	switch {
	case namesake:
		return fmt.Sprintf("The --cacert file has another CA of the name %s: fetch the server's root anew.", issuer)
	case alone && !selfSigned(top):
		return fmt.Sprintf("The server sends its own certificate only: add the one of %s to its chain file, "+
			"or give the root with --cacert.", issuer)
	}
	return fmt.Sprintf("Give the server's root with --cacert (issuer %s), and trust it in your client.", issuer)
}

// judgeDates serves both ends of the connection.
func judgeDates(name string, c *x509.Certificate, now time.Time, fix string) Finding {
	f := Finding{
		Name: name, Status: OK, Expected: "valid now", blocking: true,
		Found: fmt.Sprintf("%s to %s, %s", day(c.NotBefore), day(c.NotAfter), daysLeftText(c, now)),
	}
	switch {
	case now.After(c.NotAfter):
		f.Status, f.Fix = Fail, fix
	case now.Before(c.NotBefore):
		f.Status = Fail
		f.Fix = "Wait until the certificate is valid, or correct this machine's clock."
	case c.NotAfter.Sub(now) < expirySoon:
		f.Status, f.Fix, f.blocking = Warn, fix, false
	}
	return f
}

// judgeStrength: FAPI 2 Security Profile section 5.4.1 asks for RSA keys of
// 2048 bits and elliptic curve keys of 224; P-224 is left out of TLS 1.3.
func judgeStrength(name string, c *x509.Certificate, fix string) Finding {
	f := Finding{
		Name: name, Status: OK, Found: keyText(c.PublicKey) + ", signed with " + c.SignatureAlgorithm.String(),
		Expected: "RSA of 2048 bits or more, P-256 or better; no MD5 or SHA-1",
	}
	weak := false
	switch key := c.PublicKey.(type) {
	case *rsa.PublicKey:
		weak = key.N.BitLen() < 2048
	case *ecdsa.PublicKey:
		weak = key.Curve.Params().BitSize < 256
	case ed25519.PublicKey:
	default:
		weak = true
	}
	switch c.SignatureAlgorithm {
	case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1:
		weak = true
	}
	if weak {
		f.Status, f.Fix = Fail, fix
	}
	return f
}

func selfSigned(c *x509.Certificate) bool {
	return bytes.Equal(c.RawSubject, c.RawIssuer) && c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
}
