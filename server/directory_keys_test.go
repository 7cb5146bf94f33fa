package server_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/fapid/fapid/certs"
	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/server/servertest"
	"github.com/fapid/fapid/testkeys"
)

// Certificates and keys: issued for a request's key and no more of it, published
// by use, moved when they end.
func TestDirectoryCertificates(t *testing.T) {
	s := servertest.Start(t, servertest.WithDirectory)
	m := s.Member("Alpha", aisp)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	csr := string(servertest.CSR(t, key))
	kids := map[string]string{}
	for typeName, subject := range map[string]string{
		"rtstransport": "CN=" + m.Software + ",OU=" + m.Organisation + ",O=Alpha,C=GB",
		"rtssigning":   "CN=" + m.Software + ",OU=" + m.Organisation + ",O=Alpha,C=GB",
	} {
		answer := want(t, m.Call("POST", m.Statement("/certificates/"+typeName), csr, http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}), 201)
		kids[typeName] = answer.JSON["kid"].(string)
		if answer.JSON["x5dn"] != subject || answer.JSON["keyType"] != typeName || answer.JSON["Status"] != "Active" || answer.JSON["kid"] != answer.JSON["x5t#S256"] {
			t.Errorf("%s: %s", typeName, answer)
		}
	}
	chain := want(t, m.Call("POST", m.Statement("/certificates/rtstransport"), csr, http.Header{"Accept": {"application/x-pem-file"}}), 201)
	certificates := pemCertificates(t, chain.Body)
	if len(certificates) != 2 || slices.Contains(certificates[0].DNSNames, "bank.example") || certificates[0].DNSNames[0] != m.Software+".example.com" {
		t.Errorf("certificate for %v in a chain of %d", certificates[0].DNSNames, len(certificates))
	}
	want(t, m.Call("POST", m.Statement("/certificates/sigkey"), fmt.Sprintf(bareKey, "my-sig")), 201)
	want(t, m.Call("POST", m.Statement("/certificates/enckey"), fmt.Sprintf(bareKey, "my-enc")), 201)
	// The sets: transport keys are in one, the others in the other.
	sets := func(inactive string) (application, transport []string) {
		return kidsOf(t, s, "/"+m.Organisation+"/"+m.Software+inactive+"/application.jwks"), kidsOf(t, s, "/"+m.Organisation+"/"+m.Software+inactive+"/transport.jwks")
	}
	application, transport := sets("")
	if !slices.Equal(application, sorted(kids["rtssigning"], "my-sig", "my-enc")) || len(transport) != 3 || !slices.Contains(transport, kids["rtstransport"]) {
		t.Errorf("application.jwks has %v, transport.jwks %v", application, transport)
	}
	// Ended keys are moved, once and for all, and their certificates revoked.
	want(t, m.Call("DELETE", m.Statement("/certificates/sigkey/my-sig"), ""), 204)
	revoked := want(t, m.Call("PUT", m.Statement("/certificates/rtstransport/"+kids["rtstransport"]), `{"RevokeReason":"superseded"}`), 200)
	if revoked.JSON["Status"] != "Revoked" || !s.CA().RevokedThumbprint(kids["rtstransport"]) {
		t.Errorf("revoked: %s", revoked)
	}
	want(t, m.Call("PUT", m.Statement("/certificates/rtssigning/"+kids["rtssigning"]), `{"Status":"Active"}`), 400)
	// By the CA's operator it is the same.
	serial := fmt.Sprintf("%040x", pemCertificates(t, want(t, s.Public("/"+m.Organisation+"/"+m.Software+"/"+kids["rtssigning"]+".pem"), 200).Body)[0].SerialNumber)
	want(t, s.Operate("POST", "/certificates/"+serial+"/revoke", ""), 200)
	application, transport = sets("")
	ended, endedTransport := sets("/inactive")
	if !slices.Equal(application, []string{"my-enc"}) || len(transport) != 2 ||
		!slices.Equal(ended, sorted(kids["rtssigning"], "my-sig")) || !slices.Equal(endedTransport, []string{kids["rtstransport"]}) {
		t.Errorf("active %v and %v, inactive %v and %v", application, transport, ended, endedTransport)
	}
	if views := within[[]map[string]any](t, want(t, m.Call("GET", m.Statement("/certificates"), ""), 200)); len(views) != 6 {
		t.Errorf("%d certificates and keys, want 6", len(views))
	}
	// A certificate that ends is Expired.
	s.Clock.Move(366 * 24 * time.Hour)
	if _, transport = sets(""); len(transport) != 0 {
		t.Errorf("after a year, transport.jwks has %v", transport)
	}
}

// Every type of certificate has the subject of its ecosystem.
// bareKey is a public JWK; its kid is to be filled in.
const bareKey = `{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","kid":"%s"}`

func TestDirectoryKeysRefused(t *testing.T) {
	s := servertest.Start(t, servertest.WithDirectory)
	m := s.Member("Alpha", aisp)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	csr := string(servertest.CSR(t, key))
	certificate := pemCertificates(t, want(t, m.Call("POST", m.Statement("/certificates/rtssigning"), csr, http.Header{"Accept": {"application/x-pem-file"}}), 201).Body)[0]
	certified, err := json.Marshal(jose.JSONWebKey{Key: certificate.PublicKey, KeyID: "x", Certificates: []*x509.Certificate{certificate}})
	if err != nil {
		t.Fatal(err)
	}
	with := func(members string) string {
		return strings.Replace(fmt.Sprintf(bareKey, "x"), `{`, `{`+members+`,`, 1)
	}
	thumbprint := base64.RawURLEncoding.EncodeToString(make([]byte, sha256.Size))
	for name, c := range map[string]struct{ typeName, body, why string }{
		"a certificate with a key": {"sigkey", string(certified), "without x5c"},
		"a certificate's address":  {"sigkey", with(`"x5u":"https://tpp.example/c"`), "without x5c"},
		"a thumbprint":             {"sigkey", with(`"x5t#S256":"` + thumbprint + `"`), "without x5c"},
		"a key for a certificate":  {"rtstransport", fmt.Sprintf(bareKey, "x"), "certificate request"},
		"a request for a key":      {"sigkey", csr, "JWK"},
		"nothing":                  {"rtstransport", " ", "certificate request"},
		"a private key":            {"sigkey", with(`"d":"AA"`), "private"},
		"a key that is no point":   {"sigkey", strings.Replace(fmt.Sprintf(bareKey, "x"), "f83OJ3D2", "f83OJ3D3", 1), "key"},
		"a weak key":               {"sigkey", `{"kty":"RSA","e":"AQAB","n":"` + base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{0xff}, 128)) + `"}`, "2048"},
		"a kid that is a path":     {"sigkey", fmt.Sprintf(bareKey, "../x"), "kid"},
		"the wrong use":            {"enckey", with(`"use":"sig"`), "use"},
		"an EC request for BRCAC":  {"brcac", csr, "RSA"},
	} {
		answer := m.Call("POST", m.Statement("/certificates/"+c.typeName), c.body)
		if wantAnswer(t, answer, 400, oauth.CodeInvalidRequest); !strings.Contains(answer.Body, c.why) {
			t.Errorf("%s: %s, want a word of %q", name, answer, c.why)
		}
	}
	want(t, m.Call("POST", m.Statement("/certificates/qwac"), csr), 404) // of organisations
	want(t, m.Call("POST", m.Statement("/certificates/sigkey"), fmt.Sprintf(bareKey, "x")), 201)
	want(t, m.Call("POST", m.Statement("/certificates/sigkey"), fmt.Sprintf(bareKey, "x")), 409) // a kid is one key's for ever
}

// What the certificates of the ecosystems say, and that the CA takes them for such.
func TestDirectoryCertificateTypes(t *testing.T) {
	s := servertest.Start(t, servertest.WithDirectory)
	m := s.Member("Alpha", aisp)
	csr := string(rsaCSR(t))
	const psd2 = "2.5.4.97=#0c1050534447422d4643412d373635343332,O=Alpha,C=GB"
	for path, want := range map[string]string{
		m.Statement("/certificates/ob-transport"):   "CN=" + m.Software + ",OU=" + m.Organisation + ",O=Alpha,C=GB",
		m.Statement("/certificates/ob-signing"):     "CN=" + m.Software + ",OU=" + m.Organisation + ",O=Alpha,C=GB",
		m.Statement("/certificates/obwac"):          "CN=" + m.Organisation + "," + psd2,
		m.Statement("/certificates/obseal"):         "CN=" + m.Organisation + "," + psd2,
		m.Statement("/certificates/cdr"):            "CN=Alpha app,OU=Consumer Data Right,O=Alpha,C=GB",
		m.Statement("/certificates/uae-transport"):  "CN=" + m.Software + ",OU=" + m.Organisation + ",O=Alpha,C=AE",
		m.Statement("/certificates/uae-signing"):    "CN=" + m.Software + ",OU=" + m.Organisation + ",O=Alpha,C=AE",
		m.Statement("/certificates/uae-encryption"): "CN=" + m.Software + ",OU=" + m.Organisation + ",O=Alpha,C=AE",
		m.Of("/certificates/obwac"):                 "CN=" + m.Organisation + "," + psd2,
		m.Of("/certificates/obseal"):                "CN=" + m.Organisation + "," + psd2,
		m.Statement("/certificates/brcac"):          "CN=" + m.Software + ".example.com,UID=" + m.Software,
		m.Of("/certificates/rtswac"):                "CN=" + m.Organisation + ",O=Alpha,C=GB",
		m.Of("/certificates/rtsseal"):               "CN=" + m.Organisation + ",O=Alpha,C=GB",
		m.Of("/certificates/qwac"):                  "CN=Alpha," + psd2,
		m.Of("/certificates/qseal"):                 "CN=Alpha," + psd2,
		m.Of("/certificates/brseal"):                "CN=Alpha,OU=e-CNPJ A1,OU=12345678000195,OU=fapid sandbox,O=ICP-Brasil,C=BR,UID=" + m.Organisation,
	} {
		answer := m.Call("POST", path, csr)
		if dn, _ := answer.JSON["x5dn"].(string); answer.Status != 201 || !strings.HasPrefix(dn, want) {
			t.Errorf("%s: %s\nwant %s", path, answer, want)
		}
	}
	// The certificates that state roles state those that the organisation has.
	qwac := pemCertificates(t, want(t, m.Call("POST", m.Of("/certificates/qwac"), csr, http.Header{"Accept": {"application/x-pem-file"}}), 201).Body)[0]
	stated, err := mtls.ParseQCStatements(qwac)
	if err != nil || stated == nil || stated.PSD2 == nil || !slices.Equal(stated.PSD2.Roles, []string{"PSP_AI"}) || stated.PSD2.NCAName != "Financial Conduct Authority" || stated.PSD2.NCAID != "GB-FCA" {
		t.Errorf("the QWAC states %+v, %v", stated, err)
	}
	brseal := pemCertificates(t, want(t, m.Call("POST", m.Of("/certificates/brseal"), csr, http.Header{"Accept": {"application/x-pem-file"}}), 201).Body)[0]
	names, err := mtls.OtherNames(brseal)
	if err != nil || len(names) != 4 || names[0].Value != "ALPHA" || names[1].Value != "12345678000195" {
		t.Errorf("the BRSEAL names %v, %v", names, err)
	}
	without := s.Member("Beta")
	if answer := without.Call("POST", without.Of("/certificates/qwac"), csr); !strings.Contains(answer.Body, "no active authority claim") {
		t.Errorf("a QWAC without roles: %s", answer)
	}
	// Of an organisation that says less of itself there are fewer.
	want(t, s.Operate("PUT", "/directory"+m.Of(""), `{"OrganisationName":"Alpha","CountryOfRegistration":"GB"}`), 200)
	for _, path := range []string{m.Statement("/certificates/brcac"), m.Of("/certificates/qwac"), m.Of("/certificates/brseal")} {
		answer := want(t, m.Call("POST", path, csr), 400)
		if description, _ := answer.JSON["error_description"].(string); !strings.Contains(description, "has no Registration") {
			t.Errorf("%s of a bare organisation: %s", path, answer)
		}
	}
}

// A BRCAC authenticates the same client as an rtstransport certificate.
func TestDirectoryBRCAC(t *testing.T) {
	s := servertest.Start(t, servertest.WithDirectory)
	m := s.Member("Alpha", aisp)
	chain := want(t, m.Call("POST", m.Statement("/certificates/brcac"), string(rsaCSR(t)), http.Header{"Accept": {"application/x-pem-file"}}), 201)
	m.Transport, m.TransportKey = pemCertificates(t, chain.Body), testkeys.RSA(3)
	m.Connect()
	want(t, m.Call("GET", m.Of(""), ""), 200)
}

// The key set of software can be a client's jwks_uri: it is read without a client
// certificate, by us as by others.
func TestDirectoryKeySetOfClient(t *testing.T) {
	s := servertest.Start(t, servertest.WithDirectory)
	m := s.Member("Alpha", aisp)
	tpp := s.TPP("tpp", servertest.JWT)
	key, err := json.Marshal(jose.JSONWebKey{Key: tpp.SigningKey.Public(), KeyID: tpp.KeyID})
	if err != nil {
		t.Fatal(err)
	}
	registered := tpp.Metadata
	registered.JWKS, registered.JWKSURI = nil, s.Registry+"/"+m.Organisation+"/"+m.Software+"/application.jwks"
	if code := s.Refuses("default", registered); code != "" {
		t.Fatal(code)
	}
	if answer := tpp.Post("token_endpoint", url.Values{"grant_type": {"client_credentials"}}); answer.Error() != "invalid_client" {
		t.Errorf("before the key is published: %s", answer)
	}
	want(t, m.Call("POST", m.Statement("/certificates/sigkey"), string(key)), 201)
	want(t, tpp.Post("token_endpoint", url.Values{"grant_type": {"client_credentials"}}), 200)
	// A key that has ended counts no longer, at once: its owner may have lost it.
	want(t, m.Call("DELETE", m.Statement("/certificates/sigkey/"+tpp.KeyID), ""), 204)
	wantAnswer(t, tpp.Post("token_endpoint", url.Values{"grant_type": {"client_credentials"}}), 401, "invalid_client")

	// So does one whose certificate the CA revokes.
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, tpp.SigningKey)
	if err != nil {
		t.Fatal(err)
	}
	certified := within[jose.JSONWebKey](t, want(t, m.Call("POST", m.Statement("/certificates/rtssigning"),
		string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr})), http.Header{"Content-Type": {"application/pkcs10"}}), 201))
	tpp.KeyID = certified.KeyID
	want(t, tpp.Post("token_endpoint", url.Values{"grant_type": {"client_credentials"}}), 200)
	want(t, s.Operate("POST", "/certificates/"+certs.SerialOf(certified.Certificates[0])+"/revoke", `{}`), 200)
	wantAnswer(t, tpp.Post("token_endpoint", url.Values{"grant_type": {"client_credentials"}}), 401, "invalid_client")
}

// rsaCSR is a request by a test key, as ecosystems that know RSA alone want it.
func rsaCSR(t *testing.T) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, testkeys.RSA(3))
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
}

func pemCertificates(t *testing.T, text string) (certificates []*x509.Certificate) {
	t.Helper()
	for block, rest := pem.Decode([]byte(text)); block != nil; block, rest = pem.Decode(rest) {
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		certificates = append(certificates, certificate)
	}
	if len(certificates) == 0 {
		t.Fatalf("no certificate in %q", text)
	}
	return certificates
}

func kidsOf(t *testing.T, s *servertest.Server, path string) (kids []string) {
	t.Helper()
	answer := want(t, s.Public(path), 200)
	if cache, origin := answer.Header.Get("Cache-Control"), answer.Header.Get("Access-Control-Allow-Origin"); cache != "public, max-age=60" || origin != "*" {
		t.Errorf("%s: Cache-Control %q, Access-Control-Allow-Origin %q", path, cache, origin)
	}
	set := within[jose.JSONWebKeySet](t, answer)
	for _, key := range set.Keys {
		if !key.Valid() {
			t.Errorf("%s: key %s is not valid", path, key.KeyID)
		}
		kids = append(kids, key.KeyID)
	}
	return sorted(kids...)
}

func sorted(texts ...string) []string { slices.Sort(texts); return texts }

// Keys that have ended do not pile up, and a set of them is one that readers take:
// the last ones are there.
func TestDirectoryEndedKeys(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.WithDirectory)
	m := s.Member("Alpha", aisp)
	const most, inSet = 100, 20
	for i := range most + 5 {
		k, err := s.Directory().AddKey(t.Context(), m.Organisation, m.Software, "sigkey", fmt.Appendf(nil, bareKey, fmt.Sprintf("key-%03d", i)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Directory().EndKey(t.Context(), k, certs.ReasonSuperseded); err != nil {
			t.Fatal(err)
		}
		s.Clock.Move(time.Second)
	}
	want(t, m.Call("POST", m.Statement("/certificates/sigkey"), fmt.Sprintf(bareKey, "last")), 201)
	if kids := within[[]map[string]any](t, m.Call("GET", m.Statement("/certificates/sigkey"), "")); len(kids) != most+1 || kids[0]["kid"] != "key-005" {
		t.Errorf("%d keys are kept, the first of them %v", len(kids), kids[0]["kid"])
	}
	if kids := kidsOf(t, s, "/"+m.Organisation+"/"+m.Software+"/inactive/application.jwks"); len(kids) != inSet || !slices.Contains(kids, "key-104") || slices.Contains(kids, "key-084") {
		t.Errorf("the set of ended keys has %v", kids)
	}
	// The kid of one that is forgotten is not given to another key.
	want(t, m.Call("POST", m.Statement("/certificates/sigkey"), fmt.Sprintf(bareKey, "key-000")), 409)
	s.Restart()
	if kids := kidsOf(t, s, "/"+m.Organisation+"/"+m.Software+"/inactive/application.jwks"); len(kids) != inSet {
		t.Errorf("after a restart, %v", kids)
	}
}

// A client may point to the transport keys that the directory publishes, or bring them
// along: their use is tls, which is one of the others that RFC 7517 section 4.2 leaves
// room for. They say whose certificate it is, and verify no signature.
func TestTransportKeysOfTheDirectory(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, vouching)
	m := s.Member("Alpha", aisp)
	address := "/" + m.Organisation + "/" + m.Software + "/transport.jwks"
	published := want(t, s.Public(address), 200)
	if !strings.Contains(published.Body, `"use":"tls"`) {
		t.Fatalf("published %s", published)
	}
	for name, member := range map[string][]any{"jwks_uri": {"jwks_uri", s.Registry + address}, "jwks": {"jwks", published.JSON}} {
		r := m.Registrant()
		want(t, r.Register(servertest.Plain(append(member, "token_endpoint_auth_method", oauth.AuthSelfSignedTLS)...)), 201)
		form := url.Values{"grant_type": {"client_credentials"}, "client_id": {r.ClientID}}
		want(t, s.Do(m.HTTP, http.MethodPost, s.MTLS+"/token", servertest.Form, form.Encode()), 200)
		signs := m.Registrant()
		answer := signs.Register(servertest.Plain(append(member, "token_endpoint_auth_method", oauth.AuthPrivateKeyJWT)...))
		if name == "jwks" {
			wantAnswer(t, answer, 400, "invalid_client_metadata")
		} else {
			want(t, answer, 201) // what is there is looked at when it is needed
		}
	}
}
