package server_test

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server"
	"github.com/fapid/fapid/server/servertest"
)

// crl writes a list of a CA, which revokes the certificates.
func (p *pki) crl(t testing.TB, path string, number int64, revoked ...*x509.Certificate) {
	t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(number), ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(24 * time.Hour)}
	for _, c := range revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: c.SerialNumber, RevocationTime: time.Now()})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, p.certificate, p.key)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, path, pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}))
}

// TestForeignRevocation: what is bound to a certificate that another CA's list
// revokes is dead, although nobody presents the certificate when it is asked about.
func TestForeignRevocation(t *testing.T) {
	t.Parallel()
	root := newPKI(t, "root")
	list := filepath.Join(t.TempDir(), "root.crl")
	root.crl(t, list, 1)
	s := servertest.Start(t, func(c *server.Config) {
		realm := c.Realms["default"]
		realm.Audience = "api"
		realm.Trust.CAs, realm.Trust.CRLs = []string{root.file(t)}, []string{list}
	})
	api := s.TPP("api", servertest.JWT)
	key, other := newKey(t), newKey(t)
	leaf, kept := root.leaf(t, key, nil), root.leaf(t, other, nil)
	bound := func(m *registration.Metadata) { m.CertificateBoundTokens = true }
	s.TPP("leaf", named("dn", "CN=leaf,O=Attack"), bound)
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {"leaf"}}
	dead := post(t, s, holder(t, s, key, leaf...), s.MTLS+"/token", form).JSON["access_token"].(string)
	alive := post(t, s, holder(t, s, other, kept...), s.MTLS+"/token", form).JSON["access_token"].(string)
	active := func(token string) bool {
		t.Helper()
		form := withAssertion(url.Values{"token": {token}}, claiming()(t, api))
		return strings.HasPrefix(post(t, s, api.HTTP, s.Issuer+"/token/introspection", form).Body, `{"active":true`)
	}
	if !active(dead) || !active(alive) {
		t.Fatal("a fresh token is not active")
	}
	root.crl(t, list, 2, leaf[0])
	eventually(t, "the revocation", func() bool { return !active(dead) })
	if !active(alive) {
		t.Error("another certificate's token died with it")
	}
	s.Restart()
	api.Connect()
	if active(dead) || !active(alive) {
		t.Error("the restart has forgotten whose token it is")
	}
}
