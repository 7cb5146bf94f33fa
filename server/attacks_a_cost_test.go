package server_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/server/servertest"
	"github.com/fapid/fapid/testkeys"
)

// TestAttackA21 presents certificates that are made to cost. Each handshake
// fails or is answered 401, soon, and the server lives on.
func TestAttackA21(t *testing.T) {
	t.Parallel()
	root := newPKI(t, "root")
	s := servertest.Start(t, trusting(root.file(t)))
	s.TPP("leaf", named("dn", "CN=leaf,O=Attack"))
	key := newKey(t)
	names := func(count int) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			for i := range count {
				c.DNSNames = append(c.DNSNames, fmt.Sprint("host-", i, ".example.com"))
			}
		}
	}
	deep := root
	for i := range 50 {
		deep = deep.below(t, fmt.Sprint("CA ", i), nil)
	}
	maze := root
	for i := range 8 {
		maze = maze.below(t, fmt.Sprint("maze ", i), func(c *x509.Certificate) {
			for j := range 300 {
				c.PermittedDNSDomains = append(c.PermittedDNSDomains, fmt.Sprintf("d%d.x%d.example.com", j, i))
			}
		})
	}
	// The same name on many keys makes paths to try.
	var crowd []*x509.Certificate
	for range 8 {
		crowd = append(crowd, root.below(t, "crowd", nil).certificate)
	}
	odd := root.leaf(t, key, nil)[0]
	mangled := func(at int) *x509.Certificate {
		raw := append([]byte{}, odd.Raw...)
		raw[at] ^= 0x55
		return &x509.Certificate{Raw: raw}
	}
	modulus := testkeys.RSA(3).N
	large := &rsa.PublicKey{N: new(big.Int).Add(new(big.Int).Lsh(modulus, 16384-2048), big.NewInt(1)), E: 65537}
	exponent := &rsa.PublicKey{N: modulus, E: 1<<31 - 1}
	for name, row := range map[string]struct {
		key   crypto.Signer
		chain []*x509.Certificate
	}{
		"10,000 SANs":        {key, root.leaf(t, key, names(10_000))},
		"300 SANs":           {key, root.leaf(t, key, names(300))},
		"1 MB":               {key, []*x509.Certificate{odd, {Raw: make([]byte, 1<<20)}}},
		"50 deep":            {key, deep.leaf(t, key, nil)},
		"name maze":          {key, maze.leaf(t, key, names(200))},
		"crowd":              {key, append(root.below(t, "crowd", nil).leaf(t, key, nil)[:1], crowd...)},
		"RSA-16384":          {publicOnly{large}, forgedLeaf(t, root, large)},
		"e = 2^31-1":         {publicOnly{exponent}, forgedLeaf(t, root, exponent)},
		"DSA":                {key, []*x509.Certificate{withKey(t, root, odd, dsaKey)}},
		"no key at all":      {key, []*x509.Certificate{withKey(t, root, odd, "3000")}},
		"bad ASN.1 in front": {key, []*x509.Certificate{mangled(1)}},
		"bad ASN.1 inside":   {key, []*x509.Certificate{mangled(len(odd.Raw) / 2)}},
		"bad ASN.1 early":    {key, []*x509.Certificate{mangled(12)}},
		"no ASN.1":           {key, []*x509.Certificate{{Raw: []byte("certificate")}}},
		"empty":              {key, []*x509.Certificate{{Raw: []byte{}}}},
	} {
		t.Run(name, func(t *testing.T) {
			promptly(t, name, func() {
				client := holder(t, s, row.key, row.chain...)
				response, err := client.PostForm(s.MTLS+"/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {"leaf"}})
				if err == nil {
					answer := readAnswer(t, response)
					checkRules(t, s, answer, nil)
					wantAnswer(t, answer, 401, "invalid_client")
				}
			})
		})
	}
	askAll(t, s, holder(t, s, key, root.leaf(t, key, nil)...), s.MTLS, "leaf", 200, "")
}

// dsaKey is the SubjectPublicKeyInfo of a DSA key with parameters of a few bytes.
const dsaKey = "301c" + "3014" + "06072a8648ce380401" + "3009" + "020117" + "02010b" + "020102" + "0304" + "00" + "020103"

// withKey replaces the key in a certificate of the CA, and signs it again.
func withKey(t testing.TB, p *pki, c *x509.Certificate, spki string) *x509.Certificate {
	t.Helper()
	info, err := hex.DecodeString(spki)
	if err != nil {
		t.Fatal(err)
	}
	var body asn1.RawValue
	if _, err := asn1.Unmarshal(c.RawTBSCertificate, &body); err != nil {
		t.Fatal(err)
	}
	tbs := marshal(t, asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: bytes.Replace(body.Bytes, c.RawSubjectPublicKeyInfo, info, 1)})
	digest := sha256.Sum256(tbs)
	signature, err := p.key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	der := marshal(t, struct {
		TBS       asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}{asn1.RawValue{FullBytes: tbs}, pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}}, asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)}})
	return &x509.Certificate{Raw: der}
}

// forgedLeaf is a certificate for a public key that nobody has to hold.
func forgedLeaf(t testing.TB, p *pki, public crypto.PublicKey) []*x509.Certificate {
	t.Helper()
	return p.leaf(t, publicOnly{public}, nil)
}

// publicOnly is a signer that cannot sign.
type publicOnly struct{ public crypto.PublicKey }

func (p publicOnly) Public() crypto.PublicKey { return p.public }

func (publicOnly) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return make([]byte, 256), nil
}

// TestAttackA22 leaves handshakes half open; they end, and so do their goroutines.
func TestAttackA22(t *testing.T) {
	t.Parallel()
	half := func(s *servertest.Server) (open []net.Conn) {
		for i := range 300 {
			conn, err := net.Dial("tcp", strings.TrimPrefix([]string{s.Issuer, s.MTLS}[i%2], "https://"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = conn.Close() })
			if i%3 == 0 {
				_, _ = conn.Write([]byte("\x16\x03\x01\x00\xf0\x01\x00\x00\xec"))
			}
			open = append(open, conn)
		}
		return open
	}
	s := limited(t, time.Hour)
	tpp := s.TPP("tpp")
	open := half(s)
	askAll(t, s, tpp.HTTP, s.MTLS, "tpp", 200, "")
	for _, conn := range open {
		_ = conn.Close()
	}
	askAll(t, s, tpp.HTTP, s.MTLS, "tpp", 200, "")
	s.Stop()

	s = limited(t, 3*time.Second)
	var ending sync.WaitGroup
	for _, conn := range half(s) {
		ending.Go(func() { closed(t, conn) })
	}
	ending.Wait()
	eventually(t, "the end of the handshakes", func() bool { return handshakes() < 50 })
	eventually(t, "an answer after them", func() bool {
		response, err := holder(t, s, nil).Get(s.MTLS + "/jwks")
		return err == nil && readAnswer(t, response).Status == http.StatusOK
	})
}

// handshakes counts the goroutines that are in one.
func handshakes() int {
	stacks := make([]byte, 16<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	return strings.Count(string(stacks), "mtls.(*Listener).handshake(")
}

func TestAttackA23(t *testing.T) {
	t.Parallel()
	root := newPKI(t, "root")
	s := servertest.Start(t, trusting(root.file(t)))
	s.TPP("leaf", named("dn", "CN=leaf,O=Attack"))
	p := publishing(t, s, "")
	key := newKey(t)
	pointing := func(c *x509.Certificate) {
		c.CRLDistributionPoints, c.OCSPServer, c.IssuingCertificateURL = []string{p.URL}, []string{p.URL}, []string{p.URL}
	}
	middle := root.below(t, "middle", pointing)
	askAll(t, s, holder(t, s, key, middle.leaf(t, key, pointing)...), s.MTLS, "leaf", 200, "")
	// Without its issuer, which the address in it would give.
	askAll(t, s, holder(t, s, key, middle.leaf(t, key, pointing)[0]), s.MTLS, "leaf", 401, "invalid_client")
	if got := p.Requests.Load(); got != 0 {
		t.Errorf("%d requests to addresses from a certificate", got)
	}
}

// TestAttackA25 rolls a client's certificate over while its pools are in use.
func TestAttackA25(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	tpp := s.TPP("tpp")
	type holding struct {
		client     *http.Client
		thumbprint string
	}
	old := holding{tpp.HTTP, mtls.Thumbprint(tpp.Transport[0])}
	tpp.Renew()
	renewed := holding{tpp.HTTP, mtls.Thumbprint(tpp.Transport[0])}
	renewed.client.Transport.(*http.Transport).ForceAttemptHTTP2 = false
	renewed.client.Transport.(*http.Transport).TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	var rolling sync.WaitGroup
	for range 8 {
		rolling.Go(func() {
			for i := range 1_250 {
				with := []holding{old, renewed}[i%2]
				answer := s.Do(with.client, http.MethodPost, s.MTLS+"/token", servertest.Form, "grant_type=client_credentials&client_id=tpp")
				token, _ := answer.JSON["access_token"].(string)
				if answer.Status != http.StatusOK || strings.Count(token, ".") != 2 {
					t.Errorf("no token: %s", answer)
					return
				}
				if got := claims(t, token)["cnf"].(map[string]any)["x5t#S256"]; got != with.thumbprint {
					t.Errorf("a token is bound to %v, its request came with %s", got, with.thumbprint)
					return
				}
			}
		})
	}
	rolling.Wait()
}
