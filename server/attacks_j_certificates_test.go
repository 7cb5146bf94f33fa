package server_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	_ "crypto/md5"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"testing"

	"github.com/fapid/fapid/certs"
	"github.com/fapid/fapid/server/admin"
	"github.com/fapid/fapid/server/servertest"
	"github.com/fapid/fapid/testkeys"
)

func csrPEM(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

// TestAttackJ12 asks for certificates that nobody should get: what the request says
// beyond its key is left out, or refused.
func TestAttackJ12(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	victim := s.TPP("victim")
	s.TPP("hosts", named("dns", "victim.example"))
	key := newKey(t)
	request := func(template x509.CertificateRequest, key crypto.Signer) string {
		der, err := x509.CreateCertificateRequest(rand.Reader, &template, key)
		if err != nil {
			t.Fatal(err)
		}
		return csrPEM(der)
	}
	extension := func(oid asn1.ObjectIdentifier, value any) pkix.Extension {
		return pkix.Extension{Id: oid, Critical: true, Value: marshal(t, value)}
	}
	greedy := x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "greedy"}, DNSNames: []string{"greedy.example"},
		ExtraExtensions: []pkix.Extension{
			extension(asn1.ObjectIdentifier{2, 5, 29, 19}, struct{ CA bool }{true}),
			extension(asn1.ObjectIdentifier{2, 5, 29, 37}, struct{ Any, Server asn1.ObjectIdentifier }{asn1.ObjectIdentifier{2, 5, 29, 37, 0}, asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 1}}),
			extension(asn1.ObjectIdentifier{2, 5, 29, 15}, asn1.BitString{Bytes: []byte{0x06}, BitLength: 7}),
			extension(asn1.ObjectIdentifier{2, 5, 29, 30}, struct{}{}),
			extension(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 3}, struct{}{}),
			extension(asn1.ObjectIdentifier{1, 2, 3, 4}, 5),
		},
		Attributes: []pkix.AttributeTypeAndValueSET{{ //nolint:staticcheck // the only way to a challengePassword
			Type:  asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 7},
			Value: [][]pkix.AttributeTypeAndValue{{{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "secret"}}},
		}},
	}
	answer := operate(t, s, http.MethodPost, "/certificates", encode(t, admin.IssueRequest{CSR: request(greedy, key)}))
	wantAnswer(t, answer, http.StatusCreated, "")
	got := issuedIn(t, answer)
	plain := issuedIn(t, operate(t, s, http.MethodPost, "/certificates", encode(t, admin.IssueRequest{Subject: "CN=greedy", SANs: []string{"greedy.example"}, Key: certs.P256})))
	if got.IsCA || len(got.Extensions) != len(plain.Extensions) {
		t.Fatalf("%+v", got)
	}
	for i, wanted := range plain.Extensions {
		// Only the subject key identifier is the key's own.
		if had := got.Extensions[i]; !had.Id.Equal(wanted.Id) || had.Critical != wanted.Critical || wanted.Id.String() != "2.5.29.14" && string(had.Value) != string(wanted.Value) {
			t.Errorf("extension %s is %x, without the request it is %x", had.Id, had.Value, wanted.Value)
		}
	}

	p521, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	good := x509.CertificateRequest{Subject: pkix.Name{CommonName: "good"}}
	for name, csr := range map[string]string{
		"RSA-1024":          request(good, weak),
		"P-521":             request(good, p521),
		"Ed25519":           request(good, testkeys.Ed25519(1)),
		"SHA-1":             forgedCSR(t, request(good, testkeys.RSA(1)), crypto.SHA1, testkeys.RSA(1)),
		"MD5":               forgedCSR(t, request(good, testkeys.RSA(1)), crypto.MD5, testkeys.RSA(1)),
		"another's key":     forgedCSR(t, request(good, testkeys.RSA(1)), crypto.SHA256, testkeys.RSA(2)),
		"no signature":      forgedCSR(t, request(good, testkeys.RSA(1)), crypto.SHA256, nil),
		"no subject":        request(x509.CertificateRequest{}, key),
		"victim's subject":  request(x509.CertificateRequest{RawSubject: victim.Transport[0].RawSubject}, key),
		"victim's DNS name": request(x509.CertificateRequest{Subject: pkix.Name{CommonName: "good"}, DNSNames: []string{"x.example", "VICTIM.example"}}, key),
		"certificate":       string(certs.CertificatePEM(victim.Transport[0])),
		"garbage":           csrPEM([]byte("garbage")),
		"key instead":       "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n",
	} {
		t.Run(name, func(t *testing.T) {
			wantAnswer(t, operate(t, s, http.MethodPost, "/certificates", encode(t, admin.IssueRequest{CSR: csr})), http.StatusBadRequest, "invalid_request")
		})
	}
	// For the client itself the name is right, and so it is where the operator says it.
	own := request(x509.CertificateRequest{Subject: pkix.Name{CommonName: "good"}, DNSNames: []string{"victim.example"}}, key)
	wantAnswer(t, operate(t, s, http.MethodPost, "/certificates", encode(t, admin.IssueRequest{CSR: own, Owner: "hosts"})), http.StatusCreated, "")
	wantAnswer(t, operate(t, s, http.MethodPost, "/certificates", encode(t, admin.IssueRequest{CSR: own, SANs: []string{"victim.example"}})), http.StatusCreated, "")

	serial := certs.SerialOf(victim.Transport[0])
	for name, csr := range map[string]string{
		"another's key": forgedCSR(t, request(good, testkeys.RSA(1)), crypto.SHA256, testkeys.RSA(2)),
		"SHA-1":         forgedCSR(t, request(good, testkeys.RSA(1)), crypto.SHA1, testkeys.RSA(1)),
		"RSA-1024":      request(good, weak),
	} {
		t.Run("renewal with "+name, func(t *testing.T) {
			wantAnswer(t, operate(t, s, http.MethodPost, "/certificates/"+serial+"/renew", encode(t, admin.RenewRequest{CSR: csr})), http.StatusBadRequest, "invalid_request")
		})
	}
	renewed := issuedIn(t, operate(t, s, http.MethodPost, "/certificates/"+serial+"/renew", encode(t, admin.RenewRequest{CSR: request(greedy, key)})))
	if renewed.IsCA || string(renewed.RawSubject) != string(victim.Transport[0].RawSubject) || len(renewed.Extensions) != len(victim.Transport[0].Extensions) || renewed.DNSNames[0] != "victim.example.com" {
		t.Errorf("renewed with what a request asks for: %+v", renewed)
	}
	// A revoked certificate is renewed by nobody.
	wantAnswer(t, operate(t, s, http.MethodPost, "/certificates/"+serial+"/revoke", encode(t, struct{}{})), http.StatusOK, "")
	wantAnswer(t, operate(t, s, http.MethodPost, "/certificates/"+serial+"/renew", encode(t, struct{}{})), http.StatusBadRequest, "invalid_request")
}

// TestAttackJ12Authentication calls every route of the CA without the operator key.
func TestAttackJ12Authentication(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	tpp := s.TPP("tpp")
	token := tpp.Token()
	for _, path := range []string{"/certificates", "/certificates/1", "/certificates/1/renew", "/certificates/1/revoke"} {
		method := http.MethodPost
		if path == "/certificates/1" {
			method = http.MethodGet
		}
		for name, authorization := range map[string][]string{"none": nil, "wrong": {"Bearer wrong"}, "basic": {"Basic eDp5"}, "a client's token": {"Bearer " + token}} {
			header := http.Header{"Content-Type": {"application/json"}}
			if authorization != nil {
				header["Authorization"] = authorization
			}
			answer := s.Do(http.DefaultClient, method, s.Admin+path, header, `{"subject":"CN=x"}`)
			checkRules(t, s, answer, nil)
			if method == http.MethodPost && answer.Status != http.StatusUnauthorized {
				t.Errorf("%s with %s: %s", path, name, answer)
			}
		}
		for _, listener := range []string{s.Issuer, s.MTLS} {
			wantAnswer(t, exchange(t, s, tpp.HTTP, method, listener+path, http.Header{"Content-Type": {"application/json"}}, `{}`), http.StatusNotFound, "not_found")
		}
	}
	if list, err := s.CA().List(t.Context(), certs.Filter{Owner: "", Profile: certs.ProfileClient}); err != nil || len(list) != 1 {
		t.Errorf("%d client certificates, %v", len(list), err)
	}
}

func issuedIn(t *testing.T, answer servertest.Answer) *x509.Certificate {
	t.Helper()
	var issued admin.Issued
	if err := json.Unmarshal([]byte(answer.Body), &issued); err != nil {
		t.Fatalf("%v: %s", err, answer)
	}
	certificate, err := certs.ParseCertificate([]byte(issued.Chain))
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

// forgedCSR signs a request of an RSA key anew; nil leaves a signature of zeros.
func forgedCSR(t *testing.T, text string, hash crypto.Hash, signer *rsa.PrivateKey) string {
	t.Helper()
	block, _ := pem.Decode([]byte(text))
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	signature := make([]byte, 256)
	if signer != nil {
		digest := hash.New()
		digest.Write(csr.RawTBSCertificateRequest)
		if signature, err = rsa.SignPKCS1v15(rand.Reader, signer, hash, digest.Sum(nil)); err != nil {
			t.Fatal(err)
		}
	}
	last := map[crypto.Hash]int{crypto.MD5: 4, crypto.SHA1: 5, crypto.SHA256: 11}[hash]
	return csrPEM(marshal(t, struct {
		Info      asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}{
		asn1.RawValue{FullBytes: csr.RawTBSCertificateRequest},
		pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, last}, Parameters: asn1.NullRawValue},
		asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)},
	}))
}
