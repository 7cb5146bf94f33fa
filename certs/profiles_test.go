package certs_test

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fapid/fapid/certs"
	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/testkeys"
)

type values = map[string][]string

var (
	openBankingValues = values{"C": {"GB"}, "O": {"OpenBanking"}, "OU": {"0015800001041RHAAY"}, "CN": {"4kTcLc9oLw0vFFlvFJXkJS"}}
	psd2Values        = values{"C": {"GB"}, "O": {"TPP Ltd"}, "organizationIdentifier": {"PSDGB-FCA-123456"}, "CN": {"tpp.example"}}
	uaeValues         = values{"C": {"AE"}, "O": {"TPP LLC"}, "OU": {"org-1"}, "CN": {"bc97b8f0-cae0-4f2f-9978-d93f0e56a833"}}
	brazilValues      = values{
		"businessCategory": {"Private Organization"}, "jurisdictionC": {"BR"}, "serialNumber": {"43142666000197"},
		"C": {"BR"}, "O": {"Chicago Advisory Partners"}, "ST": {"SP"}, "L": {"São Paulo"},
		"organizationIdentifier": {"OFBBR-d7384bd0-842f-43c5-be02-9d2b2d5efc2c"},
		"UID":                    {"bc97b8f0-cae0-4f2f-9978-d93f0e56a833"}, "CN": {"web.conftpp.directory.openbankingbrasil.org.br"},
	}
)

const (
	openBankingDN = "CN=4kTcLc9oLw0vFFlvFJXkJS,OU=0015800001041RHAAY,O=OpenBanking,C=GB"
	psd2DN        = "CN=tpp.example,2.5.4.97=#0c1050534447422d4643412d313233343536,O=TPP Ltd,C=GB"
	uaeDN         = "CN=bc97b8f0-cae0-4f2f-9978-d93f0e56a833,OU=org-1,O=TPP LLC,C=AE"
)

// ecosystem is what a profile that has a subject of its own makes.
type ecosystem struct {
	profile certs.Profile
	values  values
	want    string // subject
	bad     values // each value is refused in its place
	usage   x509.KeyUsage
	eku     []x509.ExtKeyUsage
	qcType  string
	quality bool // QcCompliance
}

var ecosystems = []ecosystem{
	{certs.ProfileOBTransport, openBankingValues, openBankingDN, values{"C": {"gb"}}, transportUsage, bothAuth, "", false},
	{certs.ProfileOBSigning, openBankingValues, openBankingDN, values{"OU": {""}}, signingUsage, nil, "", false},
	{certs.ProfileOBWAC, psd2Values, psd2DN, values{"organizationIdentifier": {"GB-1"}}, transportUsage, bothAuth, mtls.QcWeb, false},
	{certs.ProfileOBSEAL, psd2Values, psd2DN, values{"organizationIdentifier": {"PSDgb-FCA-1"}}, signingUsage, nil, mtls.QcSeal, false},
	{certs.ProfileQWAC, psd2Values, psd2DN, values{"organizationIdentifier": {"PSDGB-F-1"}}, transportUsage, bothAuth, mtls.QcWeb, true},
	{certs.ProfileQSEAL, psd2Values, psd2DN, values{"organizationIdentifier": {"NTRGB-1"}}, signingUsage, nil, mtls.QcSeal, true},
	{
		certs.ProfileBRCAC, brazilValues,
		"CN=web.conftpp.directory.openbankingbrasil.org.br,UID=bc97b8f0-cae0-4f2f-9978-d93f0e56a833," +
			"2.5.4.97=#0c2a4f464242522d64373338346264302d383432662d343363352d626530322d396432623264356566633263," +
			"L=São Paulo,ST=SP,O=Chicago Advisory Partners,C=BR,2.5.4.5=#130e3433313432363636303030313937," +
			"1.3.6.1.4.1.311.60.2.1.3=#13024252,2.5.4.15=#0c1450726976617465204f7267616e697a6174696f6e",
		values{"organizationIdentifier": {"PSDGB-FCA-1"}, "serialNumber": {"4314266600019"}}, transportUsage, clientAuth, "", false,
	},
	{
		certs.ProfileBRSEAL,
		values{"UID": {"d7384bd0"}, "C": {"BR"}, "O": {"ICP-Brasil"}, "OU": {"AC Exemplo", "43142666000197", "Presencial"}, "CN": {"Chicago Advisory Partners"}},
		"CN=Chicago Advisory Partners,OU=Presencial,OU=43142666000197,OU=AC Exemplo,O=ICP-Brasil,C=BR,UID=d7384bd0",
		values{"O": {"Chicago"}, "OU": {"one", "two"}}, signingUsage, nil, "", false,
	},
	{
		certs.ProfileCDR, values{"C": {"AU"}, "O": {"Brand"}, "OU": {"Consumer Data Right"}, "CN": {"Product"}},
		"CN=Product,OU=Consumer Data Right,O=Brand,C=AU", values{"OU": {"Other"}}, transportUsage, clientAuth, "", false,
	},
	{certs.ProfileUAETransport, uaeValues, uaeDN, values{"CN": {"tpp"}}, transportUsage, clientAuth, "", false},
	{certs.ProfileUAESigning, uaeValues, uaeDN, values{"C": {"GB"}}, signingUsage, nil, "", false},
	{certs.ProfileUAEEncryption, uaeValues, uaeDN, values{"C": {"GB"}}, x509.KeyUsageKeyEncipherment, nil, "", false},
}

const (
	transportUsage = x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment
	signingUsage   = x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment
)

var (
	clientAuth = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	bothAuth   = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
)

// holder is a subject with what its profile asks for beside the name.
func holder(p certs.Profile, name mtls.Name) certs.Subject {
	subject := certs.Subject{Name: name}
	if p.PSD2() {
		subject.PSD2 = &mtls.PSD2{Roles: []string{"PSP_AI", "PISP"}, NCAName: "Financial Conduct Authority"}
	}
	if len(p.OtherNames()) > 0 {
		subject.Others = []mtls.OtherName{{OID: icp(2), Value: "JOAO DA SILVA"}, {OID: icp(3), Value: "43142666000197"}}
	}
	return subject
}

// icp is a name of ICP-Brasil.
func icp(n int) asn1.ObjectIdentifier { return asn1.ObjectIdentifier{2, 16, 76, 1, 3, n} }

func TestEcosystems(t *testing.T) {
	s := newSandbox(t)
	for _, test := range ecosystems {
		t.Run(string(test.profile), func(t *testing.T) {
			name, err := test.profile.Name(test.values)
			if err != nil || name.String() != test.want {
				t.Fatalf("%v\n got %s\nwant %s", err, name, test.want)
			}
			issued, err := s.Issue(t.Context(), test.profile, holder(test.profile, name), certs.KeyRequest{Key: testkeys.RSA(1)})
			if err != nil || issued.Record.Subject != test.want {
				t.Fatalf("%v %+v", err, issued)
			}
			leaf := issued.Certificate
			der, err := name.DER()
			if err != nil || !slices.Equal(leaf.RawSubject, der) {
				t.Errorf("subject is not kept byte for byte: %x %v", leaf.RawSubject, err)
			}
			if leaf.KeyUsage != test.usage || !slices.Equal(leaf.ExtKeyUsage, test.eku) {
				t.Errorf("usage %b, extended %v", leaf.KeyUsage, leaf.ExtKeyUsage)
			}
			if !slices.Equal(leaf.CRLDistributionPoints, []string{crlURL}) || !slices.Equal(leaf.OCSPServer, []string{ocspURL}) {
				t.Errorf("CRL %v, OCSP %v", leaf.CRLDistributionPoints, leaf.OCSPServer)
			}
			if err := s.verify(leaf, x509.ExtKeyUsageAny); err != nil {
				t.Error(err)
			}
			checkStatements(t, leaf, test.qcType, test.quality)
			_, err = s.Issue(t.Context(), test.profile, holder(test.profile, name), certs.KeyRequest{Key: testkeys.P256(1)})
			if test.profile != certs.ProfileQWAC && test.profile != certs.ProfileQSEAL {
				refused(t, err, "takes keys of")
			}
			checkNames(t, s, test.profile, test.values, test.bad, name)

			// Renewed, it says the same.
			renewed, err := s.Renew(t.Context(), issued.Record.Serial, certs.Renewal{})
			if err != nil || len(renewed.Certificate.Extensions) != len(leaf.Extensions) {
				t.Fatalf("renewed: %v", err)
			}
			for i, extension := range leaf.Extensions {
				if again := renewed.Certificate.Extensions[i]; !again.Id.Equal(extension.Id) || !slices.Equal(again.Value, extension.Value) {
					t.Errorf("renewed with another extension %s", extension.Id)
				}
			}
		})
	}
}

// checkNames tries subjects that are nearly those of the profile.
func checkNames(t *testing.T, s sandbox, p certs.Profile, good, bad values, name mtls.Name) {
	t.Helper()
	with := func(typ string, list []string) values {
		changed := values{}
		for t, v := range good {
			changed[t] = v
		}
		changed[typ] = list
		return changed
	}
	for typ, list := range bad {
		_, err := p.Name(with(typ, list))
		refused(t, err, typ)
	}
	swapped := slices.Clone(name)
	slices.Reverse(swapped)
	_, err := s.Issue(t.Context(), p, holder(p, swapped), certs.KeyRequest{Key: testkeys.RSA(1)})
	refused(t, err, "subject of profile")
	printable := slices.Clone(name)
	last := len(printable) - 1
	printable[last] = mustName(t, certs.Attribute{Type: "CN", Value: name[last][0].Value, As: certs.PrintableString})[0]
	_, err = s.Issue(t.Context(), p, holder(p, printable), certs.KeyRequest{Key: testkeys.RSA(1)})
	refused(t, err, "ASN.1 string type")
	_, err = p.Name(with("extra", []string{"x"}))
	refused(t, err, "attributes")
	_, err = p.Name(with("CN", nil))
	refused(t, err, "CN")
}

// checkStatements compares the extension with one that encoding/asn1 makes.
func checkStatements(t *testing.T, leaf *x509.Certificate, qcType string, compliance bool) {
	t.Helper()
	got, err := mtls.ParseQCStatements(leaf)
	if err != nil {
		t.Fatal(err)
	}
	if qcType == "" {
		if got != nil {
			t.Errorf("statements %+v", got)
		}
		return
	}
	if got == nil || got.Compliance != compliance || !slices.Equal(got.Types, []string{qcType}) || got.PSD2 == nil || len(got.Others) > 0 ||
		!slices.Equal(got.PSD2.Roles, []string{"PSP_AI", "PSP_PI"}) || got.PSD2.NCAName != "Financial Conduct Authority" || got.PSD2.NCAID != "GB-FCA" {
		t.Fatalf("%+v", got)
	}
	type oid = asn1.ObjectIdentifier
	type role struct {
		OID  oid
		Name string `asn1:"utf8"`
	}
	type psd2 struct {
		Roles []role
		Name  string `asn1:"utf8"`
		ID    string `asn1:"utf8"`
	}
	number := map[string]int{mtls.QcSeal: 2, mtls.QcWeb: 3}[qcType]
	list := []asn1.RawValue{
		{FullBytes: mustMarshal(t, struct {
			ID    oid
			Types []oid
		}{oid{0, 4, 0, 1862, 1, 6}, []oid{{0, 4, 0, 1862, 1, 6, number}}})},
		{FullBytes: mustMarshal(t, struct {
			ID   oid
			PSD2 psd2
		}{oid{0, 4, 0, 19495, 2}, psd2{
			[]role{{oid{0, 4, 0, 19495, 1, 3}, "PSP_AI"}, {oid{0, 4, 0, 19495, 1, 2}, "PSP_PI"}}, "Financial Conduct Authority", "GB-FCA",
		}})},
	}
	if compliance {
		list = slices.Insert(list, 0, asn1.RawValue{FullBytes: mustMarshal(t, struct{ ID oid }{oid{0, 4, 0, 1862, 1, 1}})})
	}
	want := mustMarshal(t, list)
	for _, extension := range leaf.Extensions {
		if extension.Id.Equal(mtls.OIDQCStatements) && (extension.Critical || hex.EncodeToString(extension.Value) != hex.EncodeToString(want)) {
			t.Errorf("critical %v\n got %x\nwant %x", extension.Critical, extension.Value, want)
		}
	}
}

func TestPSD2Refusals(t *testing.T) {
	s := newSandbox(t)
	name, err := certs.ProfileQWAC.Name(psd2Values)
	if err != nil {
		t.Fatal(err)
	}
	issue := func(p certs.Profile, psd2 *mtls.PSD2) error {
		_, err := s.Issue(t.Context(), p, certs.Subject{Name: name, PSD2: psd2}, certs.KeyRequest{Key: testkeys.RSA(1)})
		return err
	}
	refused(t, issue(certs.ProfileQWAC, nil), "states the PSD2 roles of the holder")
	refused(t, issue(certs.ProfileClient, &mtls.PSD2{Roles: []string{"PSP_AI"}, NCAName: "x"}), "states no PSD2 roles")
	for text, psd2 := range map[string]mtls.PSD2{
		"at least one role":   {NCAName: "x"},
		"is not a PSD2 role":  {Roles: []string{"PSP_XX"}, NCAName: "x"},
		"is given twice":      {Roles: []string{"PSP_AI", "aisp"}, NCAName: "x"},
		"1 to 256 characters": {Roles: []string{"PSP_AI"}},
		"such as Financial":   {Roles: []string{"PSP_AI"}, NCAName: "a\x00b"},
		"has 1 to 256":        {Roles: []string{"PSP_AI"}, NCAName: strings.Repeat("x", 257)},
		"id of a competent":   {Roles: []string{"PSP_AI"}, NCAName: "x", NCAID: "FCA"},
		"is not the id of a":  {Roles: []string{"PSP_AI"}, NCAName: "x", NCAID: "gb-fca"},
	} {
		refused(t, issue(certs.ProfileQWAC, &psd2), text)
	}
	issued, err := s.Issue(t.Context(), certs.ProfileQWAC, certs.Subject{Name: name, PSD2: &mtls.PSD2{
		Roles: []string{"psp_as", "CBPII"}, NCAName: "Autoridad", NCAID: "ES-BE",
	}}, certs.KeyRequest{Key: testkeys.P256(1)})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := mtls.ParseQCStatements(issued.Certificate); err != nil || got.PSD2.NCAID != "ES-BE" || !slices.Equal(got.PSD2.Roles, []string{"PSP_AS", "PSP_IC"}) {
		t.Errorf("%+v %v", got, err)
	}
}

// TestBrazilianSeal: the names by OID are all there, as ICP-Brasil wants them.
func TestBrazilianSeal(t *testing.T) {
	s := newSandbox(t)
	test := ecosystems[slices.IndexFunc(ecosystems, func(e ecosystem) bool { return e.profile == certs.ProfileBRSEAL })]
	name, err := test.profile.Name(test.values)
	if err != nil {
		t.Fatal(err)
	}
	issue := func(others ...mtls.OtherName) (*certs.Issued, error) {
		return s.Issue(t.Context(), certs.ProfileBRSEAL, certs.Subject{Name: name, Others: others}, certs.KeyRequest{Key: testkeys.RSA(1)})
	}
	person, company := mtls.OtherName{OID: icp(2), Value: "JOAO DA SILVA"}, mtls.OtherName{OID: icp(3), Value: "43142666000197"}
	issued, err := issue(person, company)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"otherName:2.16.76.1.3.2=JOAO DA SILVA", "otherName:2.16.76.1.3.3=43142666000197",
		"otherName:2.16.76.1.3.4=" + strings.Repeat("0", 45), "otherName:2.16.76.1.3.7=" + strings.Repeat("0", 12),
	}
	if !slices.Equal(issued.Record.SANs, want) {
		t.Errorf("%v", issued.Record.SANs)
	}
	_, err = issue(person)
	refused(t, err, "wants the alternative name otherName:2.16.76.1.3.3=")
	_, err = issue(person, company, company)
	refused(t, err, "given 2 times")
	_, err = issue(person, mtls.OtherName{OID: icp(3), Value: "43.142.666/0001-97"})
	refused(t, err, "(CNPJ)")
	_, err = issue(person, company, mtls.OtherName{OID: icp(9), Value: "1"})
	refused(t, err, "no alternative name of type 2.16.76.1.3.9")
	_, err = s.Issue(t.Context(), certs.ProfileBRSEAL, certs.Subject{Name: name, Others: []mtls.OtherName{person, company}, DNS: []string{"a.example"}}, certs.KeyRequest{Key: testkeys.RSA(1)})
	refused(t, err, "no dns alternative names")

	// OpenSSL reads the same values.
	for _, extension := range issued.Certificate.Extensions {
		if extension.Id.String() != "2.5.29.17" {
			continue
		}
		dir := exported(t, s, map[string][]byte{"san.der": extension.Value})
		out := run(t, dir, "openssl", "asn1parse", "-inform", "DER", "-in", "san.der")
		if !strings.Contains(out, "OBJECT            :2.16.76.1.3.3") || !strings.Contains(out, "PRINTABLESTRING   :43142666000197") {
			t.Error(out)
		}
	}
}

// TestProfileTable: every row can be used, and says what it is.
func TestProfileTable(t *testing.T) {
	s := newSandbox(t)
	covered := map[certs.Profile]bool{certs.ProfileServer: true, certs.ProfileClient: true, certs.ProfileSigning: true}
	for _, test := range ecosystems {
		covered[test.profile] = true
	}
	for _, p := range certs.Profiles() {
		if p.About() == "" || !covered[p] {
			t.Errorf("%s says nothing about itself, or is not tried", p)
		}
		name := mustName(t, certs.Attribute{Type: "CN", Value: "x"})
		_, err := s.Issue(t.Context(), p, certs.Subject{
			Name: name, DNS: []string{"a.example"}, IP: []netip.Addr{netip.MustParseAddr("192.0.2.1")}, URI: []string{"https://a.example"}, Email: []string{"a@a.example"},
			Others: []mtls.OtherName{{OID: icp(2), Value: "X"}},
		}, certs.KeyRequest{Key: testkeys.RSA(1)})
		if err == nil {
			t.Errorf("%s takes names of every kind", p)
		}
	}
	if certs.Profile("nonsense").About() != "" || len(certs.ProfileBRCAC.Attributes()) != 10 {
		t.Error("profile table")
	}
	_, err := certs.ProfileClient.Name(psd2Values)
	refused(t, err, "no order")
}

func TestLifetime(t *testing.T) {
	s := newSandbox(t)
	issue := func(p certs.Profile, end time.Time) (*certs.Issued, error) {
		return s.Issue(t.Context(), p, certs.Subject{Name: mustName(t, certs.Attribute{Type: "CN", Value: "x"}), NotAfter: end}, certs.KeyRequest{Key: testkeys.P256(1)})
	}
	now := s.clock.now
	for _, end := range []time.Time{now.Add(time.Second), now.Add(time.Hour), now.AddDate(0, 0, 365)} {
		issued, err := issue(certs.ProfileClient, end)
		if err != nil || !issued.Certificate.NotAfter.Equal(end) || !issued.Record.NotAfter.Equal(end) {
			t.Fatalf("%s: %v", end, err)
		}
		renewed, err := s.Renew(t.Context(), issued.Record.Serial, certs.Renewal{NotAfter: now.Add(time.Minute)})
		if err != nil || !renewed.Certificate.NotAfter.Equal(now.Add(time.Minute)) {
			t.Errorf("renewed: %v", err)
		}
	}
	for _, end := range []time.Time{now, now.Add(-time.Hour)} {
		_, err := issue(certs.ProfileClient, end)
		refused(t, err, "a certificate cannot end on")
	}
	_, err := issue(certs.ProfileClient, now.AddDate(0, 0, 365).Add(time.Second))
	refused(t, err, "lasts 365 days at most")
	// Near the CA's own end, that is the limit.
	s.clock.now = s.Issuing().NotAfter.AddDate(0, 0, -30)
	last, err := issue(certs.ProfileClient, time.Time{})
	if err != nil || !last.Certificate.NotAfter.Equal(s.Issuing().NotAfter) {
		t.Errorf("%v", err)
	}
	_, err = issue(certs.ProfileClient, s.Issuing().NotAfter.Add(time.Second))
	refused(t, err, "the CA itself ends on")
}
