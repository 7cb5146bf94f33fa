package mtls

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"reflect"
	"strings"
	"testing"
)

// psd2Sample is the extension of a QWAC: QcCompliance, QcType web, and a PSD2
// statement with the role PSP_PI.
const psd2Sample = "304c3008060604008e4601013013060604008e4601063009060704008e46010603302b" +
	"0606040081982702302130133011060704008198270102" + "0c065053505f5049" + "0c0342614e" + "0c0544452d4246"

func withStatements(t testing.TB, der []byte) *x509.Certificate {
	t.Helper()
	return (*authority)(nil).issue(t, "q", func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: OIDQCStatements, Value: der}}
	}).cert
}

func TestQCStatements(t *testing.T) {
	want := &QCStatements{Compliance: true, Types: []string{QcWeb}, PSD2: &PSD2{Roles: []string{"PSP_PI"}, NCAName: "BaN", NCAID: "DE-BF"}}
	got, err := ParseQCStatements(withStatements(t, unhex(t, psd2Sample)))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("%+v %v", got, err)
	}
	if der, err := want.DER(); err != nil || string(der) != string(unhex(t, psd2Sample)) {
		t.Errorf("%x %v", der, err)
	}
	var lines []string
	for _, line := range got.Lines() {
		lines = append(lines, line[0]+": "+line[1])
	}
	if text := strings.Join(lines, "; "); text != "QC statements: web, QcCompliance; PSD2 roles: PSP_PI; PSD2 authority: BaN (DE-BF)" {
		t.Error(text)
	}
	if none, err := ParseQCStatements((*authority)(nil).issue(t, "q", nil).cert); none != nil || err != nil || none.Lines() != nil {
		t.Errorf("%+v %v", none, err)
	}
	// What is not known is named by its OID.
	odd := strings.NewReplacer("060704008e46010603", "060704008e46010607", "060704008198270102", "060704008198270109", "060604008e460101", "060604008e460104").Replace(psd2Sample)
	got, err = ParseQCStatements(withStatements(t, unhex(t, odd)))
	if err != nil || got.Compliance || got.Types[0] != "0.4.0.1862.1.6.7" || got.PSD2.Roles[0] != "0.4.0.19495.1.9" || got.Others[0] != "0.4.0.1862.1.4" {
		t.Errorf("%+v %v", got, err)
	}
	for _, bad := range []*QCStatements{{Types: []string{"x"}}, {PSD2: &PSD2{Roles: []string{"x"}}}} {
		if _, err := bad.DER(); err == nil {
			t.Errorf("%+v encoded", bad)
		}
	}
	for name, der := range map[string][]byte{
		"empty": nil, "text": []byte("hello"), "trailing": append(unhex(t, psd2Sample), 0),
		"statement": unhex(t, "30023000"), "types": unhex(t, "300a3008060604008e460106"), "psd2": unhex(t, "300c300a0606040081982702"+"3000"),
		"many": mustMarshal(t, make([]struct{ ID asn1.ObjectIdentifier }, 0)),
	} {
		if name == "many" {
			list := make([]struct{ ID asn1.ObjectIdentifier }, 33)
			for i := range list {
				list[i].ID = asn1.ObjectIdentifier{1, 2, 3}
			}
			der = mustMarshal(t, list)
		}
		if got, err := ParseQCStatements(withStatements(t, der)); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func mustMarshal(t testing.TB, value any) []byte {
	t.Helper()
	der, err := asn1.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func FuzzQCStatements(f *testing.F) {
	f.Add(unhex(f, psd2Sample))
	f.Fuzz(func(t *testing.T, der []byte) {
		certificate := &x509.Certificate{Extensions: []pkix.Extension{{Id: OIDQCStatements, Value: der}}}
		got, err := ParseQCStatements(certificate)
		if err != nil {
			return
		}
		got.Others = nil
		again, err := got.DER()
		if err != nil {
			return // types or roles without a name here
		}
		certificate.Extensions[0].Value = again
		if back, err := ParseQCStatements(certificate); err != nil || !reflect.DeepEqual(got, back) {
			t.Fatalf("%x: %+v, then %+v %v", der, got, back, err)
		}
	})
}
