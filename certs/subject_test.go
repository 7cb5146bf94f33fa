package certs_test

import (
	"encoding/asn1"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/fapid/fapid/certs"
	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/testkeys"
)

func TestSubjectKeepsItsBytes(t *testing.T) {
	s := newSandbox(t)
	name := mustName(t,
		certs.Attribute{Type: "O", Value: "Plain", As: certs.PrintableString},
		certs.Attribute{Type: "C", Value: "BR"},
		certs.Attribute{Type: "OU", Value: "Plain"},
		certs.Attribute{Type: "OU", Value: `{{ env "HOME" }}"}`},
		certs.Attribute{Type: "2.5.4.97", Value: "PSDGB-FCA-1"},
	)
	multi, err := mtls.ParseDN(`OU=y+CN=x,O=\#z,1.3.6.1.4.1.311.60.2.1.3=#13024252,2.5.4.15=#0c0141`)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []mtls.Name{name, multi} {
		issued, err := s.Issue(t.Context(), certs.ProfileClient, certs.Subject{Name: name}, certs.KeyRequest{Key: testkeys.P256(1)})
		if err != nil {
			t.Fatal(err)
		}
		got, err := mtls.ParseName(issued.Certificate.RawSubject)
		if err != nil || got.OIDs() == "" || len(got) != len(name) {
			t.Fatalf("%v %v", got, err)
		}
		if difference := mtls.CompareNames(name, got, mtls.MatchStrict); difference != nil {
			t.Errorf("%+v", difference)
		}
		for i, rdn := range name {
			if len(rdn) == 2 && got[i][0].OID.String() != "2.5.4.3" {
				t.Error("a SET OF out of DER order")
			}
			if len(rdn) == 1 && !slices.Equal(rdn[0].Raw.FullBytes, got[i][0].Raw.FullBytes) {
				t.Errorf("RDN %d: %x, want %x", i, got[i][0].Raw.FullBytes, rdn[0].Raw.FullBytes)
			}
		}
		again, err := s.Issue(t.Context(), certs.ProfileClient, certs.Subject{Raw: issued.Certificate.RawSubject}, certs.KeyRequest{Key: testkeys.P256(1)})
		if err != nil || !slices.Equal(again.Certificate.RawSubject, issued.Certificate.RawSubject) {
			t.Errorf("raw subject: %v", err)
		}
		if issued.Record.Subject != got.String() {
			t.Errorf("record %q", issued.Record.Subject)
		}
	}
}

func TestBadSubjects(t *testing.T) {
	s := newSandbox(t)
	long := strings.Repeat("x", 600)
	for _, a := range []certs.Attribute{
		{Type: "CN", Value: ""}, {Type: "CN", Value: long}, {Type: "CN", Value: "a\x00b"}, {Type: "CN", Value: "a\nb"},
		{Type: "CN", Value: "a\xff"}, {Type: "C", Value: "Ö"}, {Type: "serialNumber", Value: "a@b"},
		{Type: "nonsense", Value: "x"}, {Type: "CN=a,O", Value: "x"}, {Type: "", Value: "x"}, {Type: "CN", Value: "ü", As: certs.IA5String},
	} {
		if _, err := certs.NewName(a); err == nil {
			t.Errorf("%+v accepted", a)
		}
	}
	badTag, err := asn1.Marshal([]any{})
	if err != nil {
		t.Fatal(err)
	}
	good := tpp(t)
	for name, change := range map[string]func(*certs.Subject){
		"empty":        func(s *certs.Subject) { s.Name = nil },
		"empty raw":    func(s *certs.Subject) { s.Raw = badTag },
		"raw not DER":  func(s *certs.Subject) { s.Raw = []byte("CN=x") },
		"DNS":          func(s *certs.Subject) { s.DNS = []string{"a,DNS:b"} },
		"upper case":   func(s *certs.Subject) { s.DNS = []string{"A.example"} },
		"relative URI": func(s *certs.Subject) { s.URI = []string{"/x"} },
		"no IP":        func(s *certs.Subject) { s.IP = []netip.Addr{{}} },
		"zone":         func(s *certs.Subject) { s.IP = []netip.Addr{netip.MustParseAddr("fe80::1%eth0")} },
		"email":        func(s *certs.Subject) { s.Email = []string{"Bob <bob@example.org>"} },
	} {
		t.Run(name, func(t *testing.T) {
			subject := good
			change(&subject)
			_, err := s.Issue(t.Context(), certs.ProfileClient, subject, certs.KeyRequest{Key: testkeys.P256(1)})
			refused(t, err, "")
		})
	}
	_, err = s.Issue(t.Context(), "nonsense", good, certs.KeyRequest{})
	refused(t, err, "unknown certificate profile")
	_, err = s.Issue(t.Context(), certs.ProfileServer, good, certs.KeyRequest{Key: testkeys.P256(1)})
	refused(t, err, "uri alternative names")
}
