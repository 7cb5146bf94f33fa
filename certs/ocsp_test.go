package certs_test

import (
	"bytes"
	"crypto"
	_ "crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/fapid/fapid/certs"
	"github.com/fapid/fapid/testkeys"
)

// ask makes an OCSP request and reads the answer with another implementation, which
// verifies the signature.
func (s sandbox) ask(t testing.TB, leaf *x509.Certificate, hash crypto.Hash) *ocsp.Response {
	t.Helper()
	request, err := ocsp.CreateRequest(leaf, s.Issuing(), &ocsp.RequestOptions{Hash: hash})
	if err != nil {
		t.Fatal(err)
	}
	answer := s.OCSP(t.Context(), request)
	if answer.Problem != nil || answer.Once {
		t.Fatalf("%+v", answer)
	}
	response, err := ocsp.ParseResponseForCert(answer.DER, leaf, s.Issuing())
	if err != nil {
		t.Fatal(err)
	}
	return response
}

// Answers are signed with the issuing CA's key, and a key that signs anything but
// certificates and CRLs says so in its usage (RFC 5280 section 4.2.1.3).
func TestOCSPSignerUsage(t *testing.T) {
	s := newSandbox(t)
	if want := x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature; s.Issuing().KeyUsage != want {
		t.Errorf("key usage of the issuing CA %b, want %b", s.Issuing().KeyUsage, want)
	}
	if want := x509.KeyUsageCertSign | x509.KeyUsageCRLSign; s.Root().KeyUsage != want {
		t.Errorf("key usage of the root %b, want %b", s.Root().KeyUsage, want)
	}
}

func TestOCSP(t *testing.T) {
	s, other := newSandbox(t), newSandbox(t)
	one, two, foreign := s.client(t, testkeys.P256(1)), s.client(t, testkeys.P256(2)), other.client(t, testkeys.P256(1))
	for _, hash := range []crypto.Hash{crypto.SHA1, crypto.SHA256, crypto.SHA384, crypto.SHA512} {
		response := s.ask(t, one.Certificate, hash)
		if response.Status != ocsp.Good || !response.ProducedAt.Equal(s.clock.now) || response.Certificate != nil {
			t.Errorf("%s: %+v", hash, response)
		}
		if before, after := s.clock.now.Sub(response.ThisUpdate), response.NextUpdate.Sub(s.clock.now); before != 5*time.Minute || after != 5*time.Minute {
			t.Errorf("from %v before to %v after", before, after)
		}
	}
	if err := s.Revoke(t.Context(), one.Record.Serial, certs.ReasonKeyCompromise); err != nil {
		t.Fatal(err)
	}
	for _, s := range []sandbox{s, s.reopen(t)} {
		response := s.ask(t, one.Certificate, crypto.SHA1)
		if response.Status != ocsp.Revoked || response.RevocationReason != ocsp.KeyCompromise || !response.RevokedAt.Equal(s.clock.now) {
			t.Errorf("%+v", response)
		}
		if response.ThisUpdate.Before(response.RevokedAt) {
			t.Errorf("revoked at %s, and said to have been by %s", response.RevokedAt, response.ThisUpdate)
		}
		if response := s.ask(t, two.Certificate, crypto.SHA1); response.Status != ocsp.Good {
			t.Errorf("the other one: %+v", response)
		}
	}
	if err := s.Revoke(t.Context(), two.Record.Serial, certs.ReasonUnspecified); err != nil {
		t.Fatal(err)
	}
	if response := s.ask(t, two.Certificate, crypto.SHA256); response.Status != ocsp.Revoked || response.RevocationReason != ocsp.Unspecified {
		t.Errorf("%+v", response)
	}
	// Not ours, whatever its name: unknown, and so is what we did not issue.
	odd := *one.Certificate
	for _, serial := range []*big.Int{big.NewInt(1), new(big.Int).Lsh(big.NewInt(1), 500), new(big.Int).Neg(one.Certificate.SerialNumber), new(big.Int)} {
		odd.SerialNumber = serial
		if response := s.ask(t, &odd, crypto.SHA256); response.Status != ocsp.Unknown {
			t.Errorf("serial %x: %+v", serial, response)
		}
	}
	request, err := ocsp.CreateRequest(foreign.Certificate, other.Issuing(), nil)
	if err != nil {
		t.Fatal(err)
	}
	answer := s.OCSP(t.Context(), request)
	if response, err := ocsp.ParseResponse(answer.DER, s.Issuing()); err != nil || response.Status != ocsp.Unknown {
		t.Errorf("of another CA of the same name: %+v %v", response, err)
	}
}

// The parts of a request, to build others than x/crypto makes.
type (
	ocspExtension struct {
		ID       asn1.ObjectIdentifier
		Critical bool `asn1:"optional"`
		Value    []byte
	}
	ocspCertID struct {
		Hash      pkix.AlgorithmIdentifier
		Name, Key []byte
		Serial    *big.Int
	}
	ocspSingle struct {
		ID         ocspCertID
		Extensions []ocspExtension `asn1:"explicit,tag:0,optional,omitempty"`
	}
	ocspTBS struct {
		Version    int `asn1:"explicit,tag:0,default:0,optional"`
		List       []ocspSingle
		Extensions []ocspExtension `asn1:"explicit,tag:2,optional,omitempty"`
	}
)

// requestOf is the CertID of a certificate as x/crypto writes it.
func (s sandbox) requestOf(t testing.TB, leaf *x509.Certificate) ocspSingle {
	t.Helper()
	der, err := ocsp.CreateRequest(leaf, s.Issuing(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var request struct{ TBS ocspTBS }
	if _, err := asn1.Unmarshal(der, &request); err != nil {
		t.Fatal(err)
	}
	return request.TBS.List[0]
}

func nonceExtension(t testing.TB, nonce []byte) ocspExtension {
	t.Helper()
	value, err := asn1.Marshal(nonce)
	if err != nil {
		t.Fatal(err)
	}
	return ocspExtension{ID: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 2}, Value: value}
}

func TestOCSPNonceAndLists(t *testing.T) {
	s := newSandbox(t)
	one, two := s.client(t, testkeys.P256(1)), s.client(t, testkeys.P256(2))
	if err := s.Revoke(t.Context(), two.Record.Serial, certs.ReasonSuperseded); err != nil {
		t.Fatal(err)
	}
	first, second := s.requestOf(t, one.Certificate), s.requestOf(t, two.Certificate)
	for _, size := range []int{1, 16, 32, 128} {
		nonce := bytes.Repeat([]byte{0xa5}, size)
		answer := s.OCSP(t.Context(), mustMarshal(t, struct{ TBS ocspTBS }{ocspTBS{List: []ocspSingle{first, second}, Extensions: []ocspExtension{nonceExtension(t, nonce)}}}))
		if answer.Problem != nil || !answer.Once {
			t.Fatalf("%+v", answer)
		}
		if !bytes.Contains(answer.DER, mustMarshal(t, []ocspExtension{nonceExtension(t, nonce)})) {
			t.Errorf("the nonce of %d bytes is not repeated", size)
		}
		for leaf, status := range map[*x509.Certificate]int{one.Certificate: ocsp.Good, two.Certificate: ocsp.Revoked} {
			if response, err := ocsp.ParseResponseForCert(answer.DER, leaf, s.Issuing()); err != nil || response.Status != status {
				t.Errorf("%x: %+v %v", leaf.SerialNumber, response, err)
			}
		}
	}
	// An extension that is not known is left alone, and so is a signature.
	extra := ocspExtension{ID: asn1.ObjectIdentifier{1, 2, 3}, Value: []byte{5, 0}}
	signed := struct {
		TBS       ocspTBS
		Signature asn1.RawValue
	}{ocspTBS{List: []ocspSingle{first}, Extensions: []ocspExtension{extra}}, asn1.RawValue{Class: 2, Tag: 0, IsCompound: true, Bytes: []byte{0x30, 0}}}
	if answer := s.OCSP(t.Context(), mustMarshal(t, signed)); answer.Problem != nil || answer.Once {
		t.Errorf("%+v", answer)
	}
}

func TestBadOCSPRequests(t *testing.T) {
	s := newSandbox(t)
	single := s.requestOf(t, s.client(t, testkeys.P256(1)).Certificate)
	request := func(tbs ocspTBS) []byte { return mustMarshal(t, struct{ TBS ocspTBS }{tbs}) }
	good := request(ocspTBS{List: []ocspSingle{single}})
	many := make([]ocspSingle, 17)
	for i := range many {
		many[i] = single
	}
	one := []ocspSingle{single}
	nonce := func(size int) []ocspExtension { return []ocspExtension{nonceExtension(t, make([]byte, size))} }
	bare := single
	bare.ID.Serial = nil
	for name, c := range map[string]struct {
		der  []byte
		want string
	}{
		"empty":              {nil, "not an OCSPRequest"},
		"text":               {[]byte("hello"), "not an OCSPRequest"},
		"trailing":           {append(bytes.Clone(good), 0), "not an OCSPRequest"},
		"cut":                {good[:len(good)-1], "not an OCSPRequest"},
		"huge":               {make([]byte, certs.MaxOCSPRequest+1), "more than"},
		"other version":      {request(ocspTBS{Version: 1, List: one}), "version"},
		"nobody":             {request(ocspTBS{}), "no certificate is asked for"},
		"17 certificates":    {request(ocspTBS{List: many}), "more than 16"},
		"empty nonce":        {request(ocspTBS{List: one, Extensions: nonce(0)}), "nonce has 1 to 128"},
		"long nonce":         {request(ocspTBS{List: one, Extensions: nonce(129)}), "nonce has 1 to 128"},
		"bare nonce":         {request(ocspTBS{List: one, Extensions: []ocspExtension{{ID: nonceExtension(t, nil).ID, Value: []byte("12345678")}}}), "nonce has"},
		"two nonces":         {request(ocspTBS{List: one, Extensions: append(nonce(16), nonce(16)...)}), "two nonces"},
		"critical extension": {request(ocspTBS{List: one, Extensions: []ocspExtension{{ID: asn1.ObjectIdentifier{1, 2, 3}, Critical: true}}}), "critical extension 1.2.3"},
		"critical in single": {request(ocspTBS{List: []ocspSingle{{ID: single.ID, Extensions: []ocspExtension{{ID: asn1.ObjectIdentifier{1, 2, 3}, Critical: true}}}}}), "critical extension 1.2.3"},
		"certificate":        {s.Root().Raw, ""},
	} {
		t.Run(name, func(t *testing.T) {
			answer := s.OCSP(t.Context(), c.der)
			if answer.Problem == nil || !strings.Contains(answer.Problem.Error(), c.want) {
				t.Errorf("%v, want %q", answer.Problem, c.want)
			}
			if _, err := ocsp.ParseResponse(answer.DER, s.Issuing()); err == nil || err.Error() != "ocsp: error from server: malformed" {
				t.Errorf("answer %x: %v", answer.DER, err)
			}
		})
	}
	// An issuer named by a hash that nobody uses is not ours.
	single.ID.Hash.Algorithm = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 5}
	answer := s.OCSP(t.Context(), request(ocspTBS{List: []ocspSingle{single}}))
	if answer.Problem != nil || !bytes.Contains(answer.DER, []byte{0x82, 0}) {
		t.Errorf("%+v", answer)
	}
}

// TestOCSPWithoutStore: when nobody can say, the answer is to ask later.
func TestOCSPWithoutStore(t *testing.T) {
	s := newSandbox(t)
	request, err := ocsp.CreateRequest(s.client(t, testkeys.P256(1)).Certificate, s.Issuing(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.config.Store.(interface{ Close() error }).Close(); err != nil {
		t.Fatal(err)
	}
	answer := s.OCSP(t.Context(), request)
	if _, err := ocsp.ParseResponse(answer.DER, s.Issuing()); answer.Problem == nil || err == nil || err.Error() != "ocsp: error from server: try later" {
		t.Errorf("%+v %v", answer, err)
	}
}

func FuzzOCSP(f *testing.F) {
	s := newSandbox(f)
	single := s.requestOf(f, s.client(f, testkeys.P256(1)).Certificate)
	for _, tbs := range []ocspTBS{{List: []ocspSingle{single}}, {List: []ocspSingle{single, single}, Extensions: []ocspExtension{nonceExtension(f, []byte("0123456789abcdef"))}}} {
		der, err := asn1.Marshal(struct{ TBS ocspTBS }{tbs})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(der)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		answer := s.OCSP(t.Context(), der)
		var response struct {
			Status asn1.Enumerated
			Rest   asn1.RawValue `asn1:"optional,explicit,tag:0"`
		}
		if rest, err := asn1.Unmarshal(answer.DER, &response); err != nil || len(rest) > 0 {
			t.Fatalf("%x: %v", answer.DER, err)
		}
		if (answer.Problem == nil) != (response.Status == 0) {
			t.Fatalf("status %d, problem %v", response.Status, answer.Problem)
		}
	})
}

func BenchmarkOCSP(b *testing.B) {
	s := newSandbox(b)
	request, err := ocsp.CreateRequest(s.client(b, testkeys.P256(1)).Certificate, s.Issuing(), nil)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if answer := s.OCSP(b.Context(), request); answer.Problem != nil {
			b.Fatal(answer.Problem)
		}
	}
}
