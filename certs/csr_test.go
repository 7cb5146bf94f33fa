package certs_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"net/url"
	"slices"
	"testing"

	"github.com/fapid/fapid/certs"
	"github.com/fapid/fapid/testkeys"
)

func newCSR(t *testing.T, key crypto.Signer, template x509.CertificateRequest) *x509.CertificateRequest {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &template, key)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := certs.ParseCSR(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
	if err != nil {
		t.Fatal(err)
	}
	return csr
}

func mustMarshal(t testing.TB, value any) []byte {
	t.Helper()
	der, err := asn1.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// TestRequestedExtensionsAreIgnored asks for everything a requester should not
// get, and gets what the profile and the caller say.
func TestRequestedExtensionsAreIgnored(t *testing.T) {
	s := newSandbox(t)
	uri, err := url.Parse("https://admin.example")
	if err != nil {
		t.Fatal(err)
	}
	csr := newCSR(t, testkeys.RSA(1), x509.CertificateRequest{
		Subject:  pkix.Name{CommonName: "somebody-else"},
		DNSNames: []string{"victim.example"}, URIs: []*url.URL{uri}, EmailAddresses: []string{"root@victim.example"},
		ExtraExtensions: []pkix.Extension{
			{Id: asn1.ObjectIdentifier{2, 5, 29, 19}, Critical: true, Value: mustMarshal(t, struct{ CA bool }{true})},
			{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Value: mustMarshal(t, []asn1.ObjectIdentifier{{2, 5, 29, 37, 0}, {1, 3, 6, 1, 5, 5, 7, 3, 1}})},
			{Id: asn1.ObjectIdentifier{2, 5, 29, 15}, Critical: true, Value: mustMarshal(t, asn1.BitString{Bytes: []byte{0x06}, BitLength: 7})},
			{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}},
		},
	})
	want := s.client(t, testkeys.RSA(1)).Certificate
	issued, err := s.Sign(t.Context(), certs.ProfileClient, csr, tpp(t))
	if err != nil {
		t.Fatal(err)
	}
	got := issued.Certificate
	if issued.Key != nil || !slices.Equal(got.RawSubject, want.RawSubject) || got.IsCA || len(got.Extensions) != len(want.Extensions) {
		t.Fatalf("%+v", got)
	}
	for i, extension := range want.Extensions {
		if !extension.Id.Equal(got.Extensions[i].Id) || !slices.Equal(extension.Value, got.Extensions[i].Value) {
			t.Errorf("extension %s differs", extension.Id)
		}
	}
	own, err := s.Sign(t.Context(), certs.ProfileClient, csr, certs.Subject{Raw: csr.RawSubject})
	if err != nil || own.Record.Subject != "CN=somebody-else" || own.Record.SANs != nil {
		t.Errorf("%v %v", own, err)
	}
}

func TestBadRequests(t *testing.T) {
	s := newSandbox(t)
	p521, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := newCSR(t, testkeys.RSA(1), x509.CertificateRequest{Subject: pkix.Name{CommonName: "x"}})
	tests := []struct {
		name, text string
		csr        *x509.CertificateRequest
		profile    certs.Profile
	}{
		{"weak RSA", "1024 bits", rawCSR(t, big.NewInt(0).SetBit(big.NewInt(1), 1023, 1), 65537), ""},
		{"huge RSA", "8192 bits", rawCSR(t, big.NewInt(0).SetBit(big.NewInt(1), 8191, 1), 65537), ""},
		{"exponent 3", "exponent 3", rawCSR(t, testkeys.RSA(1).N, 3), ""},
		{"P-521", "P-521", newCSR(t, p521, x509.CertificateRequest{}), ""},
		{"Ed25519 for TLS", "takes keys of", newCSR(t, testkeys.Ed25519(1), x509.CertificateRequest{}), ""},
		{"wrong subject", "wants businessCategory", good, certs.ProfileBRCAC},
		{"SHA-1", "SHA1-RSA", sha1CSR(t, good), ""},
		{"bad signature", "not signed with its own key", tampered(t, good), ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			profile := test.profile
			if profile == "" {
				profile = certs.ProfileClient
			}
			_, err := s.Sign(t.Context(), profile, test.csr, tpp(t))
			refused(t, err, test.text)
		})
	}
	for name, text := range map[string][]byte{
		"empty": nil, "garbage": []byte("hello"), "huge": make([]byte, 1<<20),
		"certificate": certs.CertificatePEM(s.Root()), "trailing": append(slices.Clone(good.Raw), 0),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := certs.ParseCSR(text)
			refused(t, err, "certificate request")
		})
	}
	// What is wrong inside is said without the types of Go.
	inside := slices.Clone(good.Raw)
	inside[slices.Index(inside, 0x06)] = 0x02 // an integer where the first OBJECT IDENTIFIER was
	_, err = certs.ParseCSR(inside)
	refused(t, err, "not a PKCS #10 certificate request")
	_, err = certs.ParseCSR([]byte(bitcoin))
	refused(t, err, "unsupported elliptic curve")
}

// bitcoin is a request of OpenSSL for a key on secp256k1.
const bitcoin = `-----BEGIN CERTIFICATE REQUEST-----
MIHFMGwCAQAwDTELMAkGA1UEAwwCazEwVjAQBgcqhkjOPQIBBgUrgQQACgNCAATx
PZ49OE0SBNfuYXh5+FpD6wweBjc/yNEnLsxpsrkyjUGc+1Gv8RqrH7CS5tBd69rb
8XipZ/eKWBOTiE169qx5oAAwCgYIKoZIzj0EAwIDSQAwRgIhAJq/85ZdSvNcWCgX
vsNoABwTS5JpiTrWrZ4ZbgjNv/EiAiEAy/vxG+nfKU8s9yrzNCobc9BYoHu1c/dR
RJmYm5qVFRo=
-----END CERTIFICATE REQUEST-----`

// The three parts of a PKCS #10 request, to forge with.
type (
	forgedInfo struct {
		Version    int
		Subject    asn1.RawValue
		PublicKey  asn1.RawValue
		Attributes []asn1.RawValue `asn1:"tag:0,set"`
	}
	forgedCSR struct {
		Info      asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}
)

// rawCSR has an RSA key that nobody can make a signature with.
func rawCSR(t *testing.T, n *big.Int, e int) *x509.CertificateRequest {
	t.Helper()
	public, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: n, E: e})
	if err != nil {
		t.Fatal(err)
	}
	info := mustMarshal(t, forgedInfo{Subject: asn1.RawValue{FullBytes: []byte{0x30, 0}}, PublicKey: asn1.RawValue{FullBytes: public}})
	return forge(t, info, asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}, make([]byte, 256))
}

func sha1CSR(t *testing.T, good *x509.CertificateRequest) *x509.CertificateRequest {
	t.Helper()
	sum := sha1.Sum(good.RawTBSCertificateRequest)
	signature, err := rsa.SignPKCS1v15(rand.Reader, testkeys.RSA(1), crypto.SHA1, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return forge(t, good.RawTBSCertificateRequest, asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 5}, signature)
}

// tampered is signed with another key than it asks a certificate for.
func tampered(t *testing.T, good *x509.CertificateRequest) *x509.CertificateRequest {
	t.Helper()
	sum := crypto.SHA256.New()
	sum.Write(good.RawTBSCertificateRequest)
	signature, err := rsa.SignPKCS1v15(rand.Reader, testkeys.RSA(2), crypto.SHA256, sum.Sum(nil))
	if err != nil {
		t.Fatal(err)
	}
	return forge(t, good.RawTBSCertificateRequest, asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}, signature)
}

func forge(t *testing.T, info []byte, algorithm asn1.ObjectIdentifier, signature []byte) *x509.CertificateRequest {
	t.Helper()
	csr, err := certs.ParseCSR(mustMarshal(t, forgedCSR{
		Info:      asn1.RawValue{FullBytes: info},
		Algorithm: pkix.AlgorithmIdentifier{Algorithm: algorithm, Parameters: asn1.NullRawValue},
		Signature: asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)},
	}))
	if err != nil {
		t.Fatal(err)
	}
	return csr
}

func FuzzParseCSR(f *testing.F) {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{"a.example"}}, testkeys.P256(1))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(der)
	f.Add(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
	f.Fuzz(func(t *testing.T, text []byte) {
		csr, err := certs.ParseCSR(text)
		if err == nil && csr == nil {
			t.Fatal("neither a request nor an error")
		}
	})
}
