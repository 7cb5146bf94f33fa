package certs_test

import (
	"crypto/x509"
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

func TestEcosystemSubjects(t *testing.T) {
	s := newSandbox(t)
	brazil := map[string]string{
		"businessCategory": "Private Organization", "jurisdictionC": "BR", "serialNumber": "43142666000197",
		"C": "BR", "O": "Chicago Advisory Partners", "ST": "SP", "L": "São Paulo",
		"organizationIdentifier": "OFBBR-d7384bd0-842f-43c5-be02-9d2b2d5efc2c",
		"UID":                    "bc97b8f0-cae0-4f2f-9978-d93f0e56a833", "CN": "web.conftpp.directory.openbankingbrasil.org.br",
	}
	qwac := map[string]string{"C": "GB", "O": "TPP Ltd", "organizationIdentifier": "PSDGB-FCA-123456", "CN": "tpp.example"}
	tests := []struct {
		profile certs.Profile
		values  map[string]string
		bad     map[string]string // replaces one value
		want    string
	}{
		{certs.ProfileBRCAC, brazil, map[string]string{"organizationIdentifier": "PSDGB-FCA-1"},
			"CN=web.conftpp.directory.openbankingbrasil.org.br,UID=bc97b8f0-cae0-4f2f-9978-d93f0e56a833," +
				"2.5.4.97=#0c2a4f464242522d64373338346264302d383432662d343363352d626530322d396432623264356566633263," +
				"L=São Paulo,ST=SP,O=Chicago Advisory Partners,C=BR,2.5.4.5=#130e3433313432363636303030313937," +
				"1.3.6.1.4.1.311.60.2.1.3=#13024252,2.5.4.15=#0c1450726976617465204f7267616e697a6174696f6e"},
		{certs.ProfileQWAC, qwac, map[string]string{"organizationIdentifier": "GB-1"},
			"CN=tpp.example,2.5.4.97=#0c1050534447422d4643412d313233343536,O=TPP Ltd,C=GB"},
		{certs.ProfileOBTransport, map[string]string{"C": "GB", "O": "OpenBanking", "OU": "0015800001041RHAAY", "CN": "4kTcLc9oLw0vFFlvFJXkJS"}, map[string]string{"C": "gb"},
			"CN=4kTcLc9oLw0vFFlvFJXkJS,OU=0015800001041RHAAY,O=OpenBanking,C=GB"},
	}
	for _, test := range tests {
		name, err := test.profile.Name(test.values)
		if err != nil || name.String() != test.want {
			t.Fatalf("%s: %v\n got %s\nwant %s", test.profile, err, name, test.want)
		}
		issued, err := s.Issue(t.Context(), test.profile, certs.Subject{Name: name}, certs.KeyRequest{Key: testkeys.RSA(1)})
		if err != nil || issued.Record.Subject != test.want {
			t.Fatalf("%s: %v %s", test.profile, err, issued.Record.Subject)
		}
		if err := s.verify(issued.Certificate, x509.ExtKeyUsageClientAuth); err != nil {
			t.Error(err)
		}
		_, err = s.Issue(t.Context(), test.profile, certs.Subject{Name: name}, certs.KeyRequest{Key: testkeys.Ed25519(1)})
		refused(t, err, "takes keys of")
		for key, value := range test.bad {
			good := test.values[key]
			test.values[key] = value
			_, err := test.profile.Name(test.values)
			refused(t, err, key)
			test.values[key] = good
		}
		swapped := slices.Clone(name)
		slices.Reverse(swapped)
		_, err = s.Issue(t.Context(), test.profile, certs.Subject{Name: swapped}, certs.KeyRequest{Key: testkeys.RSA(1)})
		refused(t, err, "wants")
		test.values["extra"] = "x"
		_, err = test.profile.Name(test.values)
		refused(t, err, "attributes")
		delete(test.values, "extra")
		delete(test.values, "CN")
		_, err = test.profile.Name(test.values)
		refused(t, err, "CN")
	}
	name, err := certs.ProfileBRCAC.Name(brazil)
	if err == nil {
		t.Fatal("without CN", name)
	}
	_, err = certs.ProfileClient.Name(qwac)
	refused(t, err, "no order")
}

func TestEveryProfileIssues(t *testing.T) {
	for _, p := range certs.Profiles() {
		if p.About() == "" {
			t.Errorf("%s says nothing about itself", p)
		}
	}
	if certs.Profile("nonsense").About() != "" || len(certs.ProfileBRCAC.Attributes()) != 10 {
		t.Error("profile table")
	}
}
