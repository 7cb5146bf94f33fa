package servertest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/directory"
	"github.com/fapid/fapid/server/participant"
)

// Member is an organisation of the directory with one piece of software, which is
// a client that has a transport certificate.
type Member struct {
	*TPP
	Organisation, Software string
}

// Member adds an organisation to the directory as its operator would, and
// software with a certificate for its key. The server is one [WithDirectory].
func (s *Server) Member(name string, roles ...directory.AuthorityClaim) *Member {
	s.T.Helper()
	ctx := context.Background()
	organisation, err := s.Directory().CreateOrganisation(ctx, directory.Organisation{
		OrganisationName: name, CountryOfRegistration: "GB", RegistrationNumber: "12345678000195",
		RegistrationID: "PSDGB-FCA-765432", City: "London", State: "LN", Claims: roles,
	})
	if err != nil {
		s.T.Fatal(err)
	}
	software := directory.SoftwareStatement{
		OrganisationID: organisation.ID, ClientName: name + " app", RedirectURIs: []string{"https://tpp.example/callback"},
	}
	for _, role := range roles {
		software.Roles = append(software.Roles, directory.SoftwareRole{Domain: role.Domain, Role: role.Role})
	}
	created, err := s.Directory().CreateSoftware(ctx, software, 0)
	if err != nil {
		s.T.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.T.Fatal(err)
	}
	certified, err := s.Directory().Certify(ctx, organisation.ID, created.ID, "rtstransport", CSR(s.T, key))
	if err != nil {
		s.T.Fatal(err)
	}
	answer := s.Public("/" + organisation.ID + "/" + created.ID + "/" + certified.ID + ".pem")
	p := &participant.Participant{TransportKey: key, Now: s.Clock.Now, Metadata: registration.Metadata{
		ClientID: created.ClientID, TokenEndpointAuthMethod: oauth.AuthTLS, CertificateBoundTokens: true,
	}}
	for block, rest := pem.Decode([]byte(answer.Body)); block != nil; block, rest = pem.Decode(rest) {
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			s.T.Fatal(err)
		}
		p.Transport = append(p.Transport, certificate)
	}
	m := &Member{TPP: &TPP{Participant: p, S: s, Realm: "default"}, Organisation: organisation.ID, Software: created.ID}
	m.Connect()
	if m.Provider, err = participant.Discover(ctx, m.HTTP, s.Issuer); err != nil {
		s.T.Fatal(err)
	}
	return m
}

// Of is the path of the member's organisation at the directory, and what follows.
func (m *Member) Of(path string) string { return "/organisations/" + m.Organisation + path }

// Statement is the path of the member's software, and what follows.
func (m *Member) Statement(path string) string {
	return m.Of("/softwarestatements/" + m.Software + path)
}

// Assertion fetches the software statement of the member's software, in the dialect
// of an ecosystem.
func (m *Member) Assertion(ecosystem string) string {
	m.S.T.Helper()
	answer := m.Call(http.MethodGet, m.Statement("/assertion?ecosystem="+ecosystem), "")
	if answer.Status != http.StatusOK {
		m.S.T.Fatalf("the assertion for %s: %s", ecosystem, answer)
	}
	return answer.Body
}

// DirectoryToken fetches a token for the directory.
func (m *Member) DirectoryToken() string {
	m.S.T.Helper()
	return m.Token(url.Values{"scope": {directory.Scope}})
}

// Call calls the directory with a fresh token. A body is sent as JSON.
func (m *Member) Call(method, path, body string, header ...http.Header) Answer {
	m.S.T.Helper()
	with := http.Header{"Authorization": {"Bearer " + m.DirectoryToken()}}
	if body != "" {
		with.Set("Content-Type", "application/json")
	}
	for _, more := range header {
		for name, values := range more {
			with[name] = values
		}
	}
	return m.S.Do(m.HTTP, method, m.S.Registry+path, with, body)
}

// Public reads from the directory without certificate and token.
func (s *Server) Public(path string) Answer {
	s.T.Helper()
	client := s.client(&participant.Participant{})
	defer client.CloseIdleConnections()
	return s.Do(client, http.MethodGet, s.Registry+path, nil, "")
}

// Operate calls the operator's listener with the operator key.
func (s *Server) Operate(method, path, body string, header ...http.Header) Answer {
	s.T.Helper()
	key, err := os.ReadFile(filepath.Join(s.Dir, "operator.key"))
	if err != nil {
		s.T.Fatal(err)
	}
	with := http.Header{"Authorization": {"Bearer " + strings.TrimSpace(string(key))}}
	if body != "" {
		with.Set("Content-Type", "application/json")
	}
	for _, more := range header {
		for name, values := range more {
			with[name] = values
		}
	}
	return s.Do(http.DefaultClient, method, s.Admin+path, with, body)
}

// SetStatus changes the status of an organisation or of software as the operator.
func (s *Server) SetStatus(path, status string) Answer {
	s.T.Helper()
	var record map[string]any
	if err := json.Unmarshal([]byte(s.Operate(http.MethodGet, "/directory"+path, "").Body), &record); err != nil {
		s.T.Fatal(err)
	}
	record["Status"] = status
	changed, err := json.Marshal(record)
	if err != nil {
		s.T.Fatal(err)
	}
	return s.Operate(http.MethodPut, "/directory"+path, string(changed))
}

// CSR makes a certificate request, PEM, that asks for names it has no right to.
func CSR(t interface{ Fatal(...any) }, key *ecdsa.PrivateKey) []byte {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{"bank.example"}}, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
}
