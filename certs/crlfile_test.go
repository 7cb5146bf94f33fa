package certs_test

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fapid/fapid/certs"
	"github.com/fapid/fapid/testkeys"
)

// crlCase is another authority's CA, a certificate of it, and its CRL file.
type crlCase struct {
	sandbox
	leaf *x509.Certificate
	path string
}

func newCRLCase(t *testing.T) crlCase {
	s := newSandbox(t)
	return crlCase{sandbox: s, leaf: s.client(t, testkeys.P256(1)).Certificate, path: filepath.Join(t.TempDir(), "ca.crl")}
}

// sign makes a CRL of the issuing CA as the case wants it.
func (c crlCase) sign(t *testing.T, change func(*x509.RevocationList)) []byte {
	t.Helper()
	keyText, err := os.ReadFile(filepath.Join(c.config.Dir, "issuing.key"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := certs.ParseKey(keyText)
	if err != nil {
		t.Fatal(err)
	}
	list := &x509.RevocationList{Number: big.NewInt(7), ThisUpdate: c.clock.now, NextUpdate: c.clock.now.Add(time.Hour)}
	if change != nil {
		change(list)
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, c.Issuing(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func (c crlCase) listing(list *x509.RevocationList) {
	list.Number = big.NewInt(8)
	list.RevokedCertificateEntries = []x509.RevocationListEntry{{SerialNumber: c.leaf.SerialNumber, RevocationTime: c.clock.now, ReasonCode: 4}}
}

func (c crlCase) write(t *testing.T, content []byte) {
	t.Helper()
	if err := certs.WritePublic(c.path, content); err != nil {
		t.Fatal(err)
	}
}

func (c crlCase) load(allowStale bool) (*certs.CRLFile, error) {
	return certs.LoadCRLFile(certs.CRLFileConfig{Path: c.path, Issuers: c.Chain(), Now: c.clock.Now, AllowStale: allowStale})
}

func (c crlCase) mustLoad(t *testing.T, allowStale bool) *certs.CRLFile {
	t.Helper()
	f, err := c.load(allowStale)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func crlPEM(ders ...[]byte) []byte {
	var text []byte
	for _, der := range ders {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})...)
	}
	return text
}

func TestCRLFile(t *testing.T) {
	c := newCRLCase(t)
	for name, content := range map[string][]byte{"DER": c.sign(t, c.listing), "PEM": crlPEM(c.sign(t, c.listing))} {
		t.Run(name, func(t *testing.T) {
			c.write(t, content)
			f := c.mustLoad(t, false)
			revocation, revoked := f.Revoked(c.leaf, c.Issuing())
			if !revoked || revocation.Reason != "superseded" || !revocation.Time.Equal(c.clock.now) {
				t.Errorf("%+v %v", revocation, revoked)
			}
			if _, revoked := f.Revoked(c.client(t, testkeys.P256(2)).Certificate, c.Issuing()); revoked {
				t.Error("another certificate is revoked")
			}
			other := newSandbox(t)
			if _, revoked := f.Revoked(c.leaf, other.Issuing()); revoked {
				t.Error("revoked under another CA")
			}
			if f.Err() != nil {
				t.Error(f.Err())
			}
			if n := testing.AllocsPerRun(100, func() { f.Revoked(c.leaf, c.Issuing()) }); n > 0 {
				t.Errorf("allocates %v times", n)
			}
		})
	}
}

func TestCRLFileOfOurCA(t *testing.T) {
	c := newCRLCase(t)
	if err := c.Revoke(t.Context(), certs.SerialOf(c.leaf), certs.ReasonSuperseded); err != nil {
		t.Fatal(err)
	}
	der, err := c.CRL(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c.write(t, der)
	if _, revoked := c.mustLoad(t, false).Revoked(c.leaf, c.Issuing()); !revoked {
		t.Error("not revoked")
	}
}

func TestStaleCRL(t *testing.T) {
	c := newCRLCase(t)
	c.write(t, c.sign(t, nil))
	strict, lenient := c.mustLoad(t, false), c.mustLoad(t, true)
	c.clock.now = c.clock.now.Add(time.Hour + time.Second)
	revocation, revoked := strict.Revoked(c.leaf, c.Issuing())
	if !revoked || !strings.Contains(revocation.Reason, "out of date") {
		t.Errorf("strict: %+v %v", revocation, revoked)
	}
	if _, revoked := lenient.Revoked(c.leaf, c.Issuing()); revoked {
		t.Error("lenient: revoked")
	}
	for _, f := range []*certs.CRLFile{strict, lenient} {
		if err := f.Err(); err == nil || !strings.Contains(err.Error(), "to be replaced by") {
			t.Errorf("Err: %v", err)
		}
	}
}

func TestBadCRLs(t *testing.T) {
	c, other := newCRLCase(t), newCRLCase(t)
	scope := func(critical bool, value ...byte) func(*x509.RevocationList) {
		return func(list *x509.RevocationList) {
			list.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: critical, Value: value}}
		}
	}
	good := c.sign(t, nil)
	tampered := slices.Clone(good)
	tampered[len(tampered)-1] ^= 1
	for name, test := range map[string]struct {
		content []byte
		text    string
	}{
		"garbage":         {[]byte("hello"), "malformed"},
		"empty":           {nil, "malformed"},
		"certificate":     {certs.CertificatePEM(c.Root()), "not a CRL"},
		"another CA":      {other.sign(t, nil), "not signed by that CA"},
		"tampered":        {tampered, "not signed by that CA"},
		"twice":           {crlPEM(good, good), "two CRLs"},
		"cut off":         {crlPEM(good, good)[:len(crlPEM(good))+100], "cut off"},
		"future":          {c.sign(t, func(l *x509.RevocationList) { l.ThisUpdate = l.ThisUpdate.Add(6 * time.Minute) }), "future"},
		"indirect":        {c.sign(t, scope(true, 0x30, 3, 0x84, 1, 0xff)), "does not cover"},
		"some reasons":    {c.sign(t, scope(true, 0x30, 4, 0x83, 2, 6, 0x40)), "does not cover"},
		"CAs only":        {c.sign(t, scope(false, 0x30, 3, 0x82, 1, 0xff)), "does not cover"},
		"malformed scope": {c.sign(t, scope(true, 0x30, 9)), "malformed"},
		"delta": {c.sign(t, func(l *x509.RevocationList) {
			l.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 27}, Critical: true, Value: []byte{2, 1, 1}}}
		}), "critical extension 2.5.29.27"},
		"entry of another CA": {c.sign(t, func(l *x509.RevocationList) {
			c.listing(l)
			l.RevokedCertificateEntries[0].ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 29}, Critical: true, Value: []byte{0x30, 0}}}
		}), "critical extension 2.5.29.29"},
	} {
		t.Run(name, func(t *testing.T) {
			c.write(t, test.content)
			if _, err := c.load(false); err == nil || !strings.Contains(err.Error(), test.text) || !strings.Contains(err.Error(), c.path) {
				t.Errorf("got %v, want %q", err, test.text)
			}
		})
	}
	c.write(t, c.sign(t, scope(true, 0x30, 3, 0x81, 1, 0xff)))
	if _, err := c.load(false); err != nil {
		t.Error("for user certificates only:", err)
	}
	if err := os.Remove(c.path); err != nil {
		t.Fatal(err)
	}
	if _, err := c.load(false); err == nil {
		t.Error("missing file accepted")
	}
}

// TestReloadKeepsTheOldCRL: nothing that happens to the file un-revokes.
func TestReloadKeepsTheOldCRL(t *testing.T) {
	c := newCRLCase(t)
	c.write(t, c.sign(t, c.listing))
	f := c.mustLoad(t, false)
	other := newCRLCase(t)
	for name, content := range map[string][]byte{
		"garbage":      []byte("-----BEGIN"),
		"another CA":   other.sign(t, nil),
		"lower number": c.sign(t, nil),
		"older": c.sign(t, func(l *x509.RevocationList) {
			l.Number, l.ThisUpdate = big.NewInt(9), l.ThisUpdate.Add(-time.Minute)
		}),
	} {
		t.Run(name, func(t *testing.T) {
			c.write(t, content)
			if err := f.Reload(); err == nil || f.Err() == nil {
				t.Errorf("Reload %v, Err %v", err, f.Err())
			}
			if _, revoked := f.Revoked(c.leaf, c.Issuing()); !revoked {
				t.Error("no longer revoked")
			}
		})
	}
	c.write(t, c.sign(t, func(l *x509.RevocationList) { l.Number = big.NewInt(9) }))
	if err := f.Reload(); err != nil || f.Err() != nil {
		t.Fatal(err, f.Err())
	}
	if _, revoked := f.Revoked(c.leaf, c.Issuing()); revoked {
		t.Error("a good new CRL has no effect")
	}
}

func TestCRLFileIsWatched(t *testing.T) {
	c := newCRLCase(t)
	c.write(t, c.sign(t, nil))
	f := c.mustLoad(t, false)
	c.write(t, c.sign(t, c.listing))
	deadline := time.Now().Add(time.Minute)
	for time.Now().Before(deadline) {
		if _, revoked := f.Revoked(c.leaf, c.Issuing()); revoked {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Error("the new CRL was not noticed:", f.Err())
}
