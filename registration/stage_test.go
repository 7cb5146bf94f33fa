package registration_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/registration/faults"
	"github.com/fapid/fapid/store"
	"github.com/fapid/fapid/testkeys"
)

// The participant of every scene, and others.
const (
	organisationID = "b961c4eb-509d-4edf-afeb-35642b38185d"
	softwareID     = "25556d5a-b9dd-4e27-aa1a-cce732fe74de"
	otherSoftware  = "0c7ef6b7-0a4b-4b26-8d9c-0f4f6d3c9b11"
	otherOrg       = "9c0f1c56-6a4e-4a0f-8f3c-4f1a0f7b8a22"
)

const issuerURL = "https://as.example"

var keys = map[faults.Signer]faults.Key{
	faults.Issuer:   {Kid: "issuer-1", Private: testkeys.RSA(1)},
	faults.Software: {Kid: "software-1", Private: testkeys.RSA(2)},
	faults.Stranger: {Kid: "issuer-1", Private: testkeys.RSA(3)},
}

// stage is a realm with a registrar, and a scene in it.
type stage struct {
	scene     faults.Scene
	registrar *registration.Registrar
	registry  *registration.Registry
	records   *records
	shown     map[faults.Certificate]*mtls.Presented
	policy    *oauth.Policy
	issuer    *registration.TrustedIssuer
	fetch     *registration.Fetcher
}

// records are a directory in this process.
type records struct {
	facts        registration.Statement
	certificates map[string][2]string // organisation and software by thumbprint
}

func (r *records) Holder(thumbprint string) (organisation, software string, known bool) {
	holder, known := r.certificates[thumbprint]
	return holder[0], holder[1], known
}

func (r *records) Facts(id string) (*registration.Statement, bool) {
	facts := r.facts
	facts.Roles = slices.Clone(facts.Roles)
	return &facts, id == facts.SoftwareID
}

// keyServer publishes a key set as a keystore does.
func keyServer(t testing.TB, key faults.Key) (uri string, fetch *registration.Fetcher) {
	t.Helper()
	set := jwks(t, key)
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/jwk-set+json")
		_, _ = w.Write(set)
	}))
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	return server.URL + "/application.jwks", registration.NewFetcher(registration.FetchConfig{
		AllowPrivate: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}, AnyPort: true, RootCAs: roots, Timeout: time.Minute,
	})
}

func jwks(t testing.TB, keys ...faults.Key) []byte {
	t.Helper()
	var set jose.JSONWebKeySet
	for _, key := range keys {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: key.Private.Public(), KeyID: key.Kid, Use: "sig"})
	}
	text, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// newStage makes a realm by the rules of an ecosystem; with live, its directory is
// in the process.
func newStage(t testing.TB, ecosystem *registration.Ecosystem, live bool) *stage {
	t.Helper()
	return newStageOn(t, ecosystem, live, keys)
}

func newStageOn(t testing.TB, ecosystem *registration.Ecosystem, live bool, keys map[faults.Signer]faults.Key) *stage {
	t.Helper()
	uri, fetch := keyServer(t, keys[faults.Software])
	dialect, ok := registration.FindDialect(ecosystem.Dialect)
	if !ok {
		t.Fatal(ecosystem.Dialect)
	}
	facts := registration.Statement{
		SoftwareID: softwareID, ClientID: softwareID, ClientName: "Accounting", Version: "1.10", Mode: "Live", OrgID: organisationID, OrgName: "Example TPP Ltd",
		OrgStatus: "Active", Status: "Active", ClientURI: "https://tpp.example", LogoURI: "https://tpp.example/logo.png",
		RedirectURIs: []string{"https://tpp.example/cb", "https://tpp.example/cb2"}, WebhookURIs: []string{"https://tpp.example/hook"},
		JWKSURI: uri, Scope: "openid accounts cdr:registration bank:accounts.basic:read",
	}
	for name := range ecosystem.Scope.Roles {
		if slices.Contains([]string{"DADOS", "AISP", "BDSP"}, name) {
			facts.Roles = []registration.StatementRole{{Role: name, Domain: "Open Finance Brasil", Status: "Active"}}
		}
	}
	if role := ecosystem.Statement.Role; role != "" {
		facts.Roles = []registration.StatementRole{{Role: role, Domain: "CDR", Status: "Active"}}
	}
	s := &stage{shown: map[faults.Certificate]*mtls.Presented{}, scene: faults.Scene{
		Ecosystem: ecosystem, Software: facts, Keys: keys, Now: time.Now().Truncate(time.Second),
		StatementIssuer: dialect.Issuer, Audience: issuerURL,
	}}
	s.scene.Other = facts
	s.scene.Other.SoftwareID, s.scene.Other.ClientName = otherSoftware, "Another"
	if s.scene.StatementIssuer == "" {
		s.scene.StatementIssuer = "https://directory.example"
	}
	s.records = &records{facts: facts, certificates: map[string][2]string{}}
	for _, certificate := range []faults.Certificate{faults.Own, faults.OtherSoftware} {
		s.records.certificates[s.certificate(t, certificate).Thumbprint] = [2]string{organisationID, map[bool]string{true: softwareID, false: otherSoftware}[certificate == faults.Own]}
	}
	s.fetch = fetch
	s.open(t, live)
	return s
}

func (s *stage) open(t testing.TB, live bool) {
	t.Helper()
	disk, err := store.Open(filepath.Join(t.TempDir(), "fapid.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = disk.Close() })
	sealer, err := store.NewSealer(bytes.Repeat([]byte{7}, 32), "secrets")
	if err != nil {
		t.Fatal(err)
	}
	now := func() time.Time { return s.scene.Now }
	scopes := oauth.Scope{"openid", "accounts", "payments", "consents", "cdr:registration", "directory:software"}
	s.policy = &oauth.Policy{
		Name: "fapi", AuthMethods: []string{oauth.AuthTLS, oauth.AuthPrivateKeyJWT}, AssertionAlgs: []string{"PS256", "ES256"},
		TokenAlgs: []string{"PS256"}, AccessTokenLifetime: time.Minute, MaxAccessTokenLifetime: time.Minute, SenderConstrained: true,
	}
	narrow := *s.policy
	narrow.Name = "narrow"
	grants := func(grant string) bool { return grant == "client_credentials" }
	s.registry, err = registration.Open(t.Context(), registration.Config{
		Realm: "default", Store: disk, Sealer: sealer, DefaultPolicy: "fapi", Scopes: scopes, Grants: grants, Fetch: s.fetch, Now: now, AllowTestKeys: true,
		Policies: func(name string) (*oauth.Policy, bool) {
			if name == "narrow" {
				return &narrow, true
			}
			return s.policy, name == "fapi"
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	found, err := registration.InlineKeys(jwks(t, s.scene.Keys[faults.Issuer]), true)
	if err != nil {
		t.Fatal(err)
	}
	s.issuer = &registration.TrustedIssuer{Name: "trusted", Issuer: s.scene.StatementIssuer, Ecosystem: s.scene.Ecosystem, Keys: found.Find}
	if live {
		s.issuer.Directory = s.records
	}
	s.registrar, err = registration.NewRegistrar(registration.RegistrarConfig{
		Realm: "default", Issuer: issuerURL, Addresses: []string{issuerURL + "/reg"}, Ecosystem: s.scene.Ecosystem,
		Issuers: []*registration.TrustedIssuer{s.issuer}, Scopes: scopes[:5], Grants: grants, Fetch: s.fetch, Now: now, AllowTestKeys: true, Policy: "fapi",
	})
	if err != nil {
		t.Fatal(err)
	}
}

// certificate is one that names its holder as the ecosystem's certificates do.
func (s *stage) certificate(t testing.TB, of faults.Certificate) *mtls.Presented {
	t.Helper()
	if shown, made := s.shown[of]; made {
		return shown
	}
	organisation, software, name := organisationID, softwareID, "Accounting"
	switch of {
	case faults.NoCertificate:
		return nil
	case faults.OtherSoftware:
		software, name = otherSoftware, "Another"
	case faults.OtherOrganisation:
		organisation, software, name = otherOrg, otherSoftware, "Another"
	}
	subject := []attribute{{"C", "GB"}, {"O", "Example TPP Ltd"}, {"OU", organisation}, {"CN", software}}
	switch s.scene.Ecosystem.Name {
	case "brazil":
		subject = []attribute{{"C", "BR"}, {"O", "Example"}, {"organizationIdentifier", "OFBBR-" + organisation}, {"UID", software}, {"CN", "tpp.example"}}
	case "cdr":
		subject = []attribute{{"C", "AU"}, {"O", "Example TPP Ltd"}, {"OU", "Consumer Data Right"}, {"CN", name}}
	}
	s.shown[of] = presented(t, subject...)
	return s.shown[of]
}

// attribute is one of a subject.
type attribute struct{ typ, value string }

func presented(t testing.TB, subject ...attribute) *mtls.Presented {
	t.Helper()
	oids := map[string]asn1.ObjectIdentifier{
		"C": {2, 5, 4, 6}, "O": {2, 5, 4, 10}, "OU": {2, 5, 4, 11}, "CN": {2, 5, 4, 3},
		"UID": {0, 9, 2342, 19200300, 100, 1, 1}, "organizationIdentifier": {2, 5, 4, 97},
	}
	var name pkix.RDNSequence
	for _, attribute := range subject {
		name = append(name, pkix.RelativeDistinguishedNameSET{{Type: oids[attribute.typ], Value: attribute.value}})
	}
	raw, err := asn1.Marshal(name)
	if err != nil {
		t.Fatal(err)
	}
	key := crypto.Signer(testkeys.P256(1))
	template := &x509.Certificate{SerialNumber: big.NewInt(1), RawSubject: raw, NotBefore: time.Unix(0, 0), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	shown, err := mtls.NewPresented([]*x509.Certificate{leaf}, "tls")
	if err != nil {
		t.Fatal(err)
	}
	return shown
}

// send judges an attempt and admits it.
func (s *stage) send(t testing.TB, a faults.Attempt, replaces *registration.Client) (*registration.Client, *registration.Admission, *oauth.Event, error) {
	t.Helper()
	built, err := s.scene.Build(a)
	if err != nil {
		t.Fatal(err)
	}
	event := &oauth.Event{}
	proposal := registration.Proposal{MediaType: built.MediaType, Body: built.Body, Certificate: s.certificate(t, a.Certificate), Replaces: replaces}
	admission, err := s.registrar.Judge(context.Background(), proposal, event)
	if err != nil {
		return nil, nil, event, err
	}
	admitted, err := s.registry.Admit(context.Background(), admission, event)
	if err != nil {
		return nil, admission, event, err
	}
	return admitted.Client, admission, event, nil
}
