package mtls

import (
	"crypto"
	"crypto/dsa" //nolint:staticcheck // a certificate with such a key has to be refused
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"math/big"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// refused expects that the first failed check is the named one and that its
// text holds the words.
func refused(t *testing.T, trust *Trust, p *Presented, check, words string) {
	t.Helper()
	findings, ok := trust.Verify(p, noon)
	if ok {
		t.Fatal("accepted")
	}
	for _, f := range findings {
		if f.OK {
			continue
		}
		if f.Check != check || !strings.Contains(f.Presented, words) || f.Expected == "" || f.Advice == "" {
			t.Errorf("want %s with %q, got %+v", check, words, f)
		}
		return
	}
	t.Errorf("refused without a finding: %+v", findings)
}

// TestAddTellsRootsApart: an intermediate that is added helps to find its root, and is
// trusted for nothing of its own.
func TestAddTellsRootsApart(t *testing.T) {
	root := newRoot(t, "Root")
	intermediate := root.issue(t, "Issuing", asCA)
	var config TrustConfig
	config.Add(intermediate.cert, root.cert)
	if len(config.Roots) != 1 || config.Roots[0] != root.cert || len(config.Intermediates) != 1 || config.Intermediates[0] != intermediate.cert {
		t.Errorf("%d roots, %d intermediates", len(config.Roots), len(config.Intermediates))
	}
}

func TestVerifyAccepts(t *testing.T) {
	root := newRoot(t, "Root")
	intermediate := root.issue(t, "Issuing", asCA)
	leaf := intermediate.issue(t, "client", nil)
	trust := trustIn(t, TrustConfig{}, root)
	p := present(t, leaf, intermediate)
	findings, ok := trust.Verify(p, noon)
	if !ok {
		t.Fatalf("refused: %+v", findings)
	}
	want := []string{CheckKey, CheckChain, CheckUsage, CheckValidity, CheckRevocation}
	for i, f := range findings {
		if f.Check != want[i] || !f.OK || f.Expected == "" || f.Presented == "" {
			t.Errorf("finding %d: %+v", i, f)
		}
	}
	if len(findings) != len(want) {
		t.Errorf("%d findings", len(findings))
	}
	sum := sha256.Sum256(leaf.cert.Raw)
	if p.Thumbprint != base64.RawURLEncoding.EncodeToString(sum[:]) {
		t.Error("wrong thumbprint")
	}

	ed := func() crypto.Signer { _, key, _ := ed25519.GenerateKey(rand.Reader); return key }()
	for name, p := range map[string]*Presented{
		"root sent along":         present(t, leaf, intermediate, root),
		"straight from the root":  present(t, root.issue(t, "client", nil)),
		"Ed25519":                 present(t, root.issueKey(t, "client", ed, nil)),
		"no extended key usage":   present(t, root.issue(t, "client", func(c *x509.Certificate) { c.ExtKeyUsage = nil })),
		"client and server usage": present(t, root.issue(t, "client", func(c *x509.Certificate) { c.ExtKeyUsage = append(c.ExtKeyUsage, x509.ExtKeyUsageServerAuth) })),
	} {
		if findings, ok := trust.Verify(p, noon); !ok {
			t.Errorf("%s: %+v", name, findings)
		}
	}
	alone := present(t, leaf)
	configured := trustIn(t, TrustConfig{Intermediates: []*x509.Certificate{intermediate.cert}}, root)
	if findings, ok := configured.Verify(alone, noon); !ok {
		t.Errorf("leaf alone with a configured intermediate: %+v", findings)
	}
}

func TestVerifyChain(t *testing.T) { // A2, A11, A24
	organised := func(c *x509.Certificate) { asCA(c); c.Subject.Organization = []string{"Sandbox"} }
	root := (*authority)(nil).issue(t, "Root", organised)
	other := newRoot(t, "Other")
	intermediate := root.issue(t, "Issuing", organised)
	leaf := intermediate.issue(t, "client", nil)
	trust := trustIn(t, TrustConfig{}, root)

	refused(t, trust, present(t, (*authority)(nil).issue(t, "me", nil)), CheckChain, "self-signed certificate CN=me")
	refused(t, trust, present(t, (*authority)(nil).issue(t, "me", asCA)), CheckChain, "self-signed")
	refused(t, trust, present(t, other.issue(t, "client", nil)), CheckChain, "unknown issuer: CN=Other")
	refused(t, trust, present(t, leaf), CheckChain, "missing intermediate: nothing was sent for issuer CN=Issuing,O=Sandbox")
	refused(t, trust, present(t, other.issue(t, "client", nil), other), CheckChain, "unknown issuer: CN=Other")

	impostor := (*authority)(nil).issue(t, "Root", organised)
	refused(t, trust, present(t, impostor.issue(t, "client", nil)), CheckChain, "another key")

	notCA := root.issue(t, "Issuing", func(c *x509.Certificate) { organised(c); c.IsCA = false; c.KeyUsage = 0 })
	refused(t, trust, present(t, notCA.issue(t, "client", nil), notCA), CheckChain, "is not a CA")
	sibling := root.issue(t, "sibling", nil)
	refused(t, trust, present(t, sibling.issue(t, "client", nil), sibling), CheckChain, "is not a CA")

	short := root.issue(t, "Short", func(c *x509.Certificate) { asCA(c); c.MaxPathLenZero = true })
	below := short.issue(t, "Below", asCA)
	refused(t, trust, present(t, below.issue(t, "client", nil), below, short), CheckChain, "pathlen")

	narrow := root.issue(t, "Narrow", func(c *x509.Certificate) {
		asCA(c)
		c.ExcludedDNSDomains = []string{"example.com"}
	})
	for _, name := range []string{"a.example.com", "A.EXAMPLE.COM"} {
		bad := narrow.issue(t, "client", func(c *x509.Certificate) { c.DNSNames = []string{name} })
		refused(t, trust, present(t, bad, narrow), CheckChain, "may not issue")
	}

	// Somebody's own certificate in front, the victim's behind it.
	mine := (*authority)(nil).issue(t, "mine", nil)
	p := present(t, mine, leaf, intermediate)
	refused(t, trust, p, CheckChain, "self-signed certificate CN=mine")
	if p.Thumbprint != Thumbprint(mine.cert) || p.Subject().String() != "CN=mine" {
		t.Error("identity is not the leaf's")
	}
	// The chain in another order names another leaf.
	refused(t, trust, present(t, intermediate, leaf), CheckUsage, "CA certificate")
}

func TestVerifyUsage(t *testing.T) { // A4
	root := newRoot(t, "Root")
	trust := trustIn(t, TrustConfig{}, root)
	usage := func(usages ...x509.ExtKeyUsage) *Presented {
		return present(t, root.issue(t, "client", func(c *x509.Certificate) { c.ExtKeyUsage = usages }))
	}
	refused(t, trust, usage(x509.ExtKeyUsageServerAuth), CheckUsage, "serverAuth")
	refused(t, trust, usage(x509.ExtKeyUsageCodeSigning), CheckUsage, "codeSigning")
	refused(t, trust, present(t, root.issue(t, "CA", asCA)), CheckUsage, "CA certificate")
	refused(t, trust, present(t, root), CheckUsage, "CA certificate")
	refused(t, trust, present(t, root.issue(t, "client", func(c *x509.Certificate) {
		c.KeyUsage = x509.KeyUsageKeyEncipherment
	})), CheckUsage, "without digitalSignature")
	servers := root.issue(t, "Servers", func(c *x509.Certificate) {
		asCA(c)
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	})
	refused(t, trust, present(t, servers.issue(t, "client", nil), servers), CheckUsage, "clientAuth")
	// Both problems are told, not the first one only.
	findings, _ := trust.Verify(usage(x509.ExtKeyUsageServerAuth), noon.AddDate(0, 0, 2))
	if len(findings) != 5 || findings[2].OK || findings[3].OK {
		t.Errorf("server usage and expired: %+v", findings)
	}
}

func TestVerifyValidity(t *testing.T) { // A3
	root := newRoot(t, "Root")
	trust := trustIn(t, TrustConfig{}, root)
	day := func(from, to time.Duration) *Presented {
		return present(t, root.issue(t, "client", func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = noon.Add(from), noon.Add(to)
		}))
	}
	refused(t, trust, day(-2*time.Hour, -time.Hour), CheckValidity, "expired 2026-06-01T11:00:00Z")
	refused(t, trust, day(time.Hour, 2*time.Hour), CheckValidity, "not valid before")

	intermediate := root.issue(t, "Issuing", func(c *x509.Certificate) { asCA(c); c.NotAfter = noon.Add(-time.Minute) })
	refused(t, trust, present(t, intermediate.issue(t, "client", nil), intermediate), CheckValidity, "CN=Issuing: expired")

	// On a connection that stays open, in both directions of a movable clock.
	p := day(-time.Hour, time.Hour)
	for _, c := range []struct {
		offset time.Duration
		ok     bool
	}{{0, true}, {time.Hour, true}, {time.Hour + time.Second, false}, {0, true}, {-time.Hour - time.Second, false}, {-time.Hour, true}} {
		if findings, ok := trust.Verify(p, noon.Add(c.offset)); ok != c.ok {
			t.Errorf("at %v: %v %+v", c.offset, ok, findings)
		}
	}
	// First seen while expired, valid when the clock is set right.
	p = day(-2*time.Hour, -time.Hour)
	refused(t, trust, p, CheckValidity, "expired")
	if _, ok := trust.Verify(p, noon.Add(-90*time.Minute)); !ok {
		t.Error("refused at a time when it is valid")
	}
}

func TestVerifyRevocation(t *testing.T) { // A5
	root := newRoot(t, "Root")
	intermediate := root.issue(t, "Issuing", asCA)
	p := present(t, intermediate.issue(t, "client", nil), intermediate)
	var revoked atomic.Pointer[x509.Certificate]
	trust := trustIn(t, TrustConfig{Revoked: func(leaf, issuer *x509.Certificate) (Revocation, bool) {
		if leaf.CheckSignatureFrom(issuer) != nil {
			t.Errorf("%v is not the issuer of %v", issuer.Subject, leaf.Subject)
		}
		return Revocation{noon, "keyCompromise"}, leaf == revoked.Load()
	}}, root)
	for _, c := range []*x509.Certificate{p.Leaf, intermediate.cert} {
		revoked.Store(nil)
		if findings, ok := trust.Verify(p, noon); !ok {
			t.Fatalf("%+v", findings)
		}
		revoked.Store(c)
		refused(t, trust, p, CheckRevocation, describeName(c.RawSubject))
		refused(t, trust, p, CheckRevocation, "keyCompromise")
	}
}

// A cross-signed CA: the client is accepted by the path that is still good.
func TestVerifyTakesTheGoodPath(t *testing.T) {
	old, young := newRoot(t, "Old"), newRoot(t, "New")
	issuing := old.issue(t, "Issuing", func(c *x509.Certificate) { asCA(c); c.NotAfter = noon.Add(time.Hour) })
	cross := young.issueKey(t, "Issuing", issuing.key, asCA)
	p := present(t, issuing.issue(t, "client", nil), issuing, cross)
	revoked := false
	trust := trustIn(t, TrustConfig{Revoked: func(leaf, _ *x509.Certificate) (Revocation, bool) {
		return Revocation{}, revoked && leaf == cross.cert
	}}, old, young)
	for _, at := range []time.Duration{0, 2 * time.Hour} {
		if findings, ok := trust.Verify(p, noon.Add(at)); !ok {
			t.Errorf("after %v: %+v", at, findings)
		}
	}
	revoked = true
	if _, ok := trust.Verify(p, noon); !ok {
		t.Error("refused although one path has nothing revoked")
	}
	if _, ok := trust.Verify(p, noon.Add(2*time.Hour)); ok {
		t.Error("accepted by one half of each path")
	}
}

func TestVerifyForgetsWithTheTrust(t *testing.T) {
	a, b := newRoot(t, "A"), newRoot(t, "B")
	p := present(t, a.issue(t, "client", nil))
	for range 10 {
		if _, ok := trustIn(t, TrustConfig{}, a).Verify(p, noon); !ok {
			t.Error("refused by its own CA")
		}
		if _, ok := trustIn(t, TrustConfig{}, b).Verify(p, noon); ok {
			t.Error("accepted by another CA")
		}
	}
	if n := len(*p.verdicts.Load()); n > maxVerdicts {
		t.Errorf("%d verdicts are kept", n)
	}
}

// weakKey is an RSA key nobody would sign with; only its size matters.
func weakKey(bits, e int) *rsa.PublicKey {
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
	return &rsa.PublicKey{N: n.Add(n, big.NewInt(1)), E: e}
}

func TestVerifyKeys(t *testing.T) { // A21
	root := newRoot(t, "Root")
	trust := trustIn(t, TrustConfig{}, root)
	p224, _ := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	for _, c := range []struct {
		name string
		edit func(*x509.Certificate)
		want string
	}{
		{"RSA-1024", func(c *x509.Certificate) { c.PublicKey = weakKey(1024, 65537) }, "1024 bits"},
		{"RSA-16384", func(c *x509.Certificate) { c.PublicKey = weakKey(16384, 65537) }, "16384 bits"},
		{"exponent", func(c *x509.Certificate) { c.PublicKey = weakKey(2048, 1<<31-1) }, "e=2147483647"},
		{"exponent 3", func(c *x509.Certificate) { c.PublicKey = weakKey(2048, 3) }, "e=3"},
		{"DSA", func(c *x509.Certificate) { c.PublicKey, c.PublicKeyAlgorithm = &dsa.PublicKey{}, x509.DSA }, "DSA"},
		{"P-224", func(c *x509.Certificate) { c.PublicKey = &p224.PublicKey }, "P-224"},
		{"none", func(c *x509.Certificate) { c.PublicKey = nil }, "a key of type"},
		{"SHA-1", func(c *x509.Certificate) { c.SignatureAlgorithm = x509.SHA1WithRSA }, "SHA1"},
		{"MD5", func(c *x509.Certificate) { c.SignatureAlgorithm = x509.MD5WithRSA }, "MD5"},
	} {
		t.Run(c.name, func(t *testing.T) {
			leaf := *root.issue(t, "client", nil).cert
			c.edit(&leaf)
			refused(t, trust, present(t, &authority{cert: &leaf}), CheckKey, c.want)
			ca := *root.issue(t, "Issuing", asCA).cert
			c.edit(&ca)
			refused(t, trust, present(t, root.issue(t, "client", nil), &authority{cert: &ca}), CheckKey, "intermediate CN=Issuing")
		})
	}
}

// A maze of CAs that sign each other, all of allowed size.
func TestVerifyMazeIsCheap(t *testing.T) {
	root := newRoot(t, "Root")
	key, err := rsa.GenerateKey(rand.Reader, 4096)
	if err != nil {
		t.Fatal(err)
	}
	a := (*authority)(nil).issueKey(t, "A", key, asCA)
	b := (*authority)(nil).issueKey(t, "B", key, asCA)
	chain := []*authority{a.issue(t, "client", nil)}
	for range (maxChain - 1) / 2 {
		chain = append(chain, b.issueKey(t, "A", key, asCA), a.issueKey(t, "B", key, asCA))
	}
	trust := trustIn(t, TrustConfig{}, root)
	p := present(t, chain...)
	best := time.Hour
	for i := 0; i < 20 && best > 500*time.Millisecond; i++ { // the machine may be busy with something else
		start := time.Now()
		refused(t, trust, p, CheckChain, "")
		best = min(best, time.Since(start))
	}
	if best > 500*time.Millisecond {
		t.Errorf("took %v", best)
	}
}

func TestNewTrustRefuses(t *testing.T) { // A16
	root := newRoot(t, "Root")
	weak := *root.cert
	weak.PublicKey = weakKey(1024, 65537)
	for name, config := range map[string]TrustConfig{
		"no root":           {},
		"leaf as root":      {Roots: []*x509.Certificate{root.issue(t, "x", nil).cert}},
		"leaf as issuer":    {Roots: []*x509.Certificate{root.cert}, Intermediates: []*x509.Certificate{root.issue(t, "x", nil).cert}},
		"weak root":         {Roots: []*x509.Certificate{&weak}},
		"only intermediate": {Intermediates: []*x509.Certificate{root.cert}},
	} {
		if _, err := NewTrust(config); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if findings, ok := trustIn(t, TrustConfig{}, root).Verify(nil, noon); ok || findings[0].Presented != "no certificate" {
		t.Errorf("no certificate: %+v", findings)
	}
}

func TestVerifyConcurrently(t *testing.T) {
	root := newRoot(t, "Root")
	p := present(t, root.issue(t, "client", nil))
	trusts := []*Trust{trustIn(t, TrustConfig{}, root), trustIn(t, TrustConfig{}, root)}
	var group sync.WaitGroup
	for i := range 32 {
		group.Go(func() {
			for range 50 {
				if _, ok := trusts[i%2].Verify(p, noon); !ok {
					t.Error("refused")
				}
			}
		})
	}
	group.Wait()
}

func TestKeptConnectionAllocatesNothing(t *testing.T) {
	root := newRoot(t, "Root")
	trust := trustIn(t, TrustConfig{Revoked: func(_, _ *x509.Certificate) (r Revocation, ok bool) { return }}, root)
	p := present(t, root.issue(t, "client", nil))
	registered, err := ParseRegistered(KindSubjectDN, "cn=CLIENT", MatchStrict)
	if err != nil {
		t.Fatal(err)
	}
	allocations := testing.AllocsPerRun(100, func() {
		if _, ok := trust.Verify(p, noon); !ok {
			t.Fatal("refused")
		}
		if !registered.Match(p).OK {
			t.Fatal("no match")
		}
	})
	if allocations != 0 {
		t.Errorf("%v allocations", allocations)
	}
}

func BenchmarkVerifyKept(b *testing.B) {
	root := newRoot(b, "Root")
	trust := trustIn(b, TrustConfig{Revoked: func(_, _ *x509.Certificate) (r Revocation, ok bool) { return }}, root)
	p := present(b, root.issue(b, "client", nil))
	b.ReportAllocs()
	for b.Loop() {
		trust.Verify(p, noon)
	}
}

func BenchmarkVerifyNew(b *testing.B) {
	root := newRoot(b, "Root")
	trust := trustIn(b, TrustConfig{}, root)
	leaf := root.issue(b, "client", nil)
	b.ReportAllocs()
	for b.Loop() {
		trust.Verify(present(b, leaf), noon)
	}
}
