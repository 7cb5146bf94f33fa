package admin

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/fapid/fapid/certs"
	"github.com/fapid/fapid/mtls"
)

func parsed(t *testing.T, record certs.Record) *x509.Certificate {
	t.Helper()
	certificate, err := certs.ParseCertificate([]byte(record.PEM))
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

// requestFor makes a certificate request with a fresh key.
func requestFor(t *testing.T, template x509.CertificateRequest) (string, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &template, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})), key
}

func TestTerms(t *testing.T) {
	o := newOperated(t)
	end := time.Now().Add(90 * time.Minute).UTC().Truncate(time.Second)
	for _, term := range []Term{{Days: 1}, {Days: 365}, {NotAfter: end}, {}} {
		issued, err := o.client().Issue(t.Context(), IssueRequest{Subject: "CN=a", Key: certs.P256, Term: term})
		if err != nil {
			t.Fatalf("%+v: %v", term, err)
		}
		want := time.Duration(term.Days) * 24 * time.Hour
		if term == (Term{}) {
			want = 365 * 24 * time.Hour
		}
		left := time.Until(issued.NotAfter)
		if term.NotAfter.IsZero() && (left > want || left < want-time.Minute) || !term.NotAfter.IsZero() && !issued.NotAfter.Equal(end) {
			t.Errorf("%+v ends %s", term, issued.NotAfter)
		}
	}
	for _, term := range []Term{{Days: -1}, {Days: 366}, {Days: 1 << 40}, {Days: 1, NotAfter: end}, {NotAfter: time.Now().Add(-time.Hour)}, {NotAfter: end.AddDate(2, 0, 0)}} {
		_, err := o.client().Issue(t.Context(), IssueRequest{Subject: "CN=a", Key: certs.P256, Term: term})
		wantRefusal(t, err, http.StatusBadRequest, "invalid_request")
	}
}

func TestRenewals(t *testing.T) {
	o := newOperated(t)
	c, ctx := o.client(), t.Context()
	old, err := c.Issue(ctx, IssueRequest{Subject: "CN=tpp", SANs: []string{"tpp.example"}, Owner: "tpp", Key: certs.P256})
	if err != nil {
		t.Fatal(err)
	}
	csr, key := requestFor(t, x509.CertificateRequest{Subject: pkix.Name{CommonName: "another"}, DNSNames: []string{"another.example"}})
	for name, row := range map[string]struct {
		request RenewRequest
		made    bool // a key
		same    bool // key as before
	}{
		"same key":   {RenewRequest{}, false, true},
		"new key":    {RenewRequest{NewKey: true}, true, false},
		"other kind": {RenewRequest{NewKey: true, Key: certs.P384}, true, false},
		"of a CSR":   {RenewRequest{CSR: csr}, false, false},
		"for a day":  {RenewRequest{Term: Term{Days: 1}}, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			renewed, err := c.Renew(ctx, old.Serial, row.request)
			if err != nil {
				t.Fatal(err)
			}
			certificate := parsed(t, renewed.Record)
			if renewed.Replaces != old.Serial || renewed.Subject != "CN=tpp" || renewed.Owner != "tpp" || !slices.Equal(renewed.SANs, old.SANs) || (renewed.PrivateKey != "") != row.made {
				t.Errorf("%+v", renewed.Record)
			}
			if same := parsed(t, old.Record).PublicKey.(*ecdsa.PublicKey).Equal(certificate.PublicKey); same != row.same {
				t.Errorf("the key is the same: %v", same)
			}
			if row.request.CSR != "" && !key.PublicKey.Equal(certificate.PublicKey) {
				t.Error("the key is not that of the request")
			}
			if row.request.Key != "" && renewed.Key != row.request.Key {
				t.Errorf("a key of %s", renewed.Key)
			}
			// Both are good side by side.
			if before, err := c.Certificate(ctx, old.Serial); err != nil || before.Status != certs.StatusValid || renewed.Status != certs.StatusValid {
				t.Errorf("%+v %v", before, err)
			}
		})
	}
	weak, _ := requestFor(t, x509.CertificateRequest{})
	for name, request := range map[string]RenewRequest{
		"two keys": {NewKey: true, CSR: weak}, "algorithm alone": {Key: certs.P256}, "unknown algorithm": {NewKey: true, Key: "P-1"},
		"key of another profile": {NewKey: true, Key: certs.Ed25519}, "no CSR": {CSR: "x"}, "too long": {Term: Term{Days: 366}},
	} {
		t.Run(name, func(t *testing.T) {
			request.RevokeOld = true
			_, err := c.Renew(ctx, old.Serial, request)
			wantRefusal(t, err, http.StatusBadRequest, "invalid_request")
			if before, err := c.Certificate(ctx, old.Serial); err != nil || before.Status != certs.StatusValid {
				t.Errorf("a renewal that was refused has revoked the old one: %+v %v", before, err)
			}
		})
	}
	if w := o.request(t, http.MethodPost, "/certificates/"+old.Serial+"/renew", `{"subject":"CN=x"}`, "Authorization", "Bearer "+operatorKey, "Content-Type", "application/json"); w.Code != http.StatusBadRequest {
		t.Errorf("a renewal with another name: %d", w.Code)
	}
	renewed, err := c.Renew(ctx, old.Serial, RenewRequest{RevokeOld: true})
	if err != nil || renewed.Status != certs.StatusValid {
		t.Fatalf("%+v %v", renewed, err)
	}
	if before, err := c.Certificate(ctx, old.Serial); err != nil || before.Status != certs.StatusRevoked || before.Revoked.Reason != certs.ReasonSuperseded {
		t.Errorf("%+v %v", before, err)
	}
	_, err = c.Renew(ctx, old.Serial, RenewRequest{})
	wantRefusal(t, err, http.StatusBadRequest, "invalid_request")
}

func TestPSD2Request(t *testing.T) {
	o := newOperated(t)
	request := IssueRequest{
		Profile: certs.ProfileQWAC, Subject: "CN=tpp,organizationIdentifier=PSDDE-BAFIN-123456,O=Example,C=DE", Key: certs.P256,
		PSD2Roles: []string{"PSP_AI", "PISP"}, NCAName: "Bundesanstalt",
	}
	issued, err := o.client().Issue(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	statements, err := mtls.ParseQCStatements(parsed(t, issued.Record))
	if err != nil || !statements.Compliance || statements.PSD2.NCAID != "DE-BAFIN" || !slices.Equal(statements.PSD2.Roles, []string{"PSP_AI", "PSP_PI"}) {
		t.Errorf("%+v %v", statements, err)
	}
	for _, change := range []func(*IssueRequest){
		func(r *IssueRequest) { r.PSD2Roles = nil }, func(r *IssueRequest) { r.NCAName = "" }, func(r *IssueRequest) { r.Profile, r.Subject = "client", "CN=a" },
		func(r *IssueRequest) { r.NCAID = "DE" }, func(r *IssueRequest) { r.PSD2Roles = []string{"PSP_XX"} },
	} {
		bad := request
		change(&bad)
		_, err := o.client().Issue(t.Context(), bad)
		wantRefusal(t, err, http.StatusBadRequest, "invalid_request")
	}
	seal, err := o.client().Issue(t.Context(), IssueRequest{
		Profile: certs.ProfileBRSEAL, Subject: "CN=Example,OU=c,OU=b,OU=a,O=ICP-Brasil,C=BR,UID=1",
		SANs: []string{"otherName:2.16.76.1.3.2=JOAO", "othername:2.16.76.1.3.3=43142666000197"},
	})
	if err != nil || len(seal.SANs) != 4 || seal.SANs[1] != "otherName:2.16.76.1.3.3=43142666000197" {
		t.Errorf("%+v %v", seal, err)
	}
	_, err = o.client().Issue(t.Context(), IssueRequest{Subject: "CN=a", SANs: []string{"otherName:x=1"}})
	wantRefusal(t, err, http.StatusBadRequest, "invalid_request")
}

// TestNamesOfOthersInCSR: a name by which a client is registered is taken from a
// request for that client only.
func TestNamesOfOthersInCSR(t *testing.T) {
	o := newOperated(t)
	csr, _ := requestFor(t, x509.CertificateRequest{Subject: pkix.Name{CommonName: "victim"}, DNSNames: []string{"victim.example"}})
	issue := func(request IssueRequest) error {
		request.CSR = csr
		_, err := o.client().Issue(t.Context(), request)
		return err
	}
	o.named = []string{"victim"}
	wantRefusal(t, issue(IssueRequest{}), http.StatusBadRequest, "invalid_request")
	wantRefusal(t, issue(IssueRequest{Owner: "attacker"}), http.StatusBadRequest, "invalid_request")
	if err := issue(IssueRequest{Owner: "victim"}); err != nil {
		t.Error(err)
	}
	o.named = nil
	if err := issue(IssueRequest{}); err != nil {
		t.Error(err)
	}
}
