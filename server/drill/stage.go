package drill

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/fapid/fapid/certs"
	"github.com/fapid/fapid/mtls/doctor"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/registration/faults"
	"github.com/fapid/fapid/server/admin"
	"github.com/fapid/fapid/server/directory"
	"github.com/fapid/fapid/server/participant"
)

// stage is an organisation in the directory with software.
type stage struct {
	organisation directory.Organisation
	software     directory.SoftwareStatement
	kid          string // of the software's signing key
	// leaves tells that the software will be removed, and its certificates with it: it
	// has one of the organisation, which stays.
	leaves bool
	// holders have the certificates that there are so far.
	holders map[faults.Certificate]*holder
}

// holder is a participant with its connections.
type holder struct {
	participant.Participant
	http *http.Client
}

// step is a request to the operator's API of the directory.
type step struct {
	method, path string
	header       http.Header
	body         []byte // nil sends none
}

// redirectURIs are those of the software, each time in a list of their own.
func redirectURIs() []string {
	return []string{"https://drill.example.com/callback", "https://drill.example.com/other"}
}

// domains are where roles come from that let software read accounts and no more.
var domains = map[string]string{"AISP": "PSD2", "DADOS": "Open Finance Brasil", "BDSP": "UAE Open Finance", "DATA_RECIPIENT": "CDR"}

// newStage makes an organisation with software, as far as every case needs them.
func (d *Statements) newStage(ctx context.Context) (*stage, error) {
	s := &stage{holders: map[faults.Certificate]*holder{}}
	s.organisation = directory.Organisation{
		OrganisationName: "fapid drill", CountryOfRegistration: "GB", RegistrationNumber: "12345678000195", Drill: true,
	}
	s.software = directory.SoftwareStatement{
		ClientName: "fapid drill", Version: "1.0", RedirectURIs: redirectURIs(),
		ClientURI: "https://drill.example.com", LogoURI: "https://drill.example.com/logo.svg", APIWebhookURIs: []string{"https://drill.example.com/webhook"},
	}
	for _, name := range append(slices.Collect(maps.Keys(d.Ecosystem.Scope.Roles)), d.Ecosystem.Statement.Role) {
		if domain := domains[name]; domain != "" {
			s.organisation.Claims = []directory.AuthorityClaim{{Domain: domain, Role: name, RegistrationID: "1"}}
			s.software.Roles = []directory.SoftwareRole{{Domain: domain, Role: name}}
		}
	}
	claims := s.organisation.Claims
	if err := d.create(ctx, "/organisations", &s.organisation); err != nil {
		return nil, err
	}
	s.organisation.Claims = claims
	d.organisations = append(d.organisations, s.organisation.ID)
	if err := d.create(ctx, s.of()+"/softwarestatements", &s.software); err != nil {
		return nil, err
	}
	answer, err := d.call(ctx, step{method: http.MethodGet, path: s.at() + "/authorityclaims"})
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(answer, &s.software.Roles); err != nil {
		return nil, err
	}
	return s, d.publish(ctx, s)
}

// of is the path of the organisation.
func (s *stage) of() string { return "/organisations/" + s.organisation.ID }

// at is the path of the software.
func (s *stage) at() string { return s.of() + "/softwarestatements/" + s.software.ID }

// call sends a request to the directory.
func (d *Statements) call(ctx context.Context, step step) ([]byte, error) {
	answer, err := d.Operator.Directory(ctx, step.method, step.path, step.header, step.body)
	if err != nil {
		return nil, fmt.Errorf("%s %s of the directory: %w", step.method, step.path, err)
	}
	return answer, nil
}

// create adds a record to the directory, and reads it as it is then.
func (d *Statements) create(ctx context.Context, path string, record any) error {
	body, err := json.Marshal(record)
	if err != nil {
		return err
	}
	answer, err := d.call(ctx, step{method: http.MethodPost, path: path, body: body})
	if err != nil {
		return err
	}
	return json.Unmarshal(answer, record)
}

// publish puts the software's signing key into the directory. A kid is never given
// out twice: the first software has the key under its thumbprint, as participants'
// folders have it.
func (d *Statements) publish(ctx context.Context, s *stage) error {
	var options certs.JWKOptions
	if d.Keys.published {
		options.KeyID = rand.Text()
	}
	jwk, err := certs.PublicJWK(d.Keys.software.Public(), options)
	if err != nil {
		return err
	}
	s.kid, d.Keys.published = jwk.KeyID, true
	body, err := json.Marshal(jwk)
	if err != nil {
		return err
	}
	_, err = d.call(ctx, step{method: http.MethodPost, path: s.at() + "/certificates/sigkey", body: body})
	return err
}

// holder finds who has a certificate, for whom there may have to be one first. Who has
// none has only the keys.
func (d *Statements) holder(ctx context.Context, s *stage, of faults.Certificate) (*holder, error) {
	if there := s.holders[of]; there != nil {
		return there, nil
	}
	h := &holder{}
	h.SigningKey, h.KeyID = d.Keys.software, s.kid
	var err error
	switch of {
	case faults.Own:
		path := s.at() + "/certificates/rtstransport"
		if s.leaves {
			path = s.of() + "/certificates/rtswac"
		}
		err = d.certify(ctx, h, path)
	case faults.OtherSoftware:
		other := directory.SoftwareStatement{ClientName: "fapid drill, other software", RedirectURIs: redirectURIs()}
		for _, role := range s.software.Roles {
			other.Roles = append(other.Roles, directory.SoftwareRole{Domain: role.Domain, Role: role.Role})
		}
		if err = d.create(ctx, s.of()+"/softwarestatements", &other); err == nil {
			err = d.certify(ctx, h, s.of()+"/softwarestatements/"+other.ID+"/certificates/rtstransport")
		}
	case faults.OtherOrganisation:
		other := directory.Organisation{OrganisationName: "fapid drill, another organisation", CountryOfRegistration: "GB", Drill: true}
		if err = d.create(ctx, "/organisations", &other); err == nil {
			d.organisations = append(d.organisations, other.ID)
			err = d.certify(ctx, h, "/organisations/"+other.ID+"/certificates/rtswac")
		}
	}
	if err != nil {
		return nil, err
	}
	h.http = h.Client(d.Roots)
	s.holders[of] = h
	return h, nil
}

// certify has the directory issue a certificate.
func (d *Statements) certify(ctx context.Context, h *holder, path string) error {
	var err error
	if h.TransportKey, err = certs.NewKey(certs.P256); err != nil {
		return err
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, h.TransportKey)
	if err != nil {
		return err
	}
	answer, err := d.call(ctx, step{
		method: http.MethodPost, path: path, body: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}),
		header: http.Header{"Accept": {"application/x-pem-file"}, "Content-Type": {"application/pkcs10"}},
	})
	if err != nil {
		return err
	}
	h.Transport, err = doctor.ParseCertificates(answer)
	return err
}

// signed has the directory make the statements of a case.
func (d *Statements) signed(ctx context.Context, s *stage, name string) (*directory.Faulty, error) {
	if d.Ecosystem.Statement.From == registration.FromCertificate {
		return &directory.Faulty{IssuedAt: time.Now().Unix()}, nil
	}
	if name == good.Name {
		statement, err := d.call(ctx, step{method: http.MethodGet, path: s.at() + "/assertion?ecosystem=" + d.Ecosystem.Name})
		made := &directory.Faulty{Good: string(statement), Bad: string(statement)}
		if err == nil {
			err = read(made.Good, 1, made)
		}
		return made, err
	}
	answer, err := d.call(ctx, step{method: http.MethodPost, path: s.at() + "/faults?ecosystem=" + d.Ecosystem.Name + "&case=" + name})
	if err != nil {
		return nil, err
	}
	made := &directory.Faulty{}
	return made, json.Unmarshal(answer, made)
}

// read decodes a part of a JWT, which is believed.
func read(jwt string, part int, into any) error {
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		return errors.New("the directory's statement is no JWT")
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[part])
	if err != nil {
		return err
	}
	return json.NewDecoder(bytes.NewReader(text)).Decode(into)
}

// scene is where a case happens. The directory's key is not there: a stranger's stands
// in for it, under its kid, and what it would sign has been signed by the directory.
func (d *Statements) scene(s *stage, signed *directory.Faulty) *faults.Scene {
	var header struct {
		Alg string `json:"alg"`
		Kid string `json:"kid"`
	}
	var claims struct {
		Issuer string `json:"iss"`
	}
	_ = errors.Join(read(signed.Good, 0, &header), read(signed.Good, 1, &claims)) // there is none where there are no statements
	stranger := d.Keys.strangerRSA
	if header.Alg == "ES256" {
		stranger = d.Keys.strangerEC
	}
	return &faults.Scene{
		Ecosystem: d.Ecosystem, StatementIssuer: claims.Issuer, Audience: d.Provider.Issuer, Now: time.Unix(signed.IssuedAt, 0),
		Software: registration.Statement{SoftwareID: s.software.ID, ClientName: s.software.ClientName, RedirectURIs: s.software.RedirectURIs},
		Keys: map[faults.Signer]faults.Key{
			faults.Issuer: {Kid: header.Kid, Private: stranger}, faults.Stranger: {Kid: header.Kid, Private: stranger},
			faults.Software: {Kid: s.kid, Private: d.Keys.software},
		},
	}
}

// steps are what the operator does so that the directory says of the software what
// change makes of it.
func (s *stage) steps(change func(*registration.Statement)) []step {
	before := registration.Statement{SoftwareID: s.software.ID, Status: s.software.Status, OrgStatus: s.organisation.Status, Roles: []registration.StatementRole{{}}}
	after := before
	after.Roles = slices.Clone(before.Roles)
	change(&after)
	put := func(path string, record any) []step {
		body, err := json.Marshal(record)
		if err != nil {
			return nil
		}
		return []step{{method: http.MethodPut, path: path, body: body}}
	}
	switch {
	case after.SoftwareID == "":
		return []step{{method: http.MethodDelete, path: s.at()}}
	case after.Status != before.Status:
		software := s.software
		software.Status, software.Roles = after.Status, nil
		return put(s.at(), software)
	case after.OrgStatus != before.OrgStatus:
		organisation := s.organisation
		organisation.Status, organisation.Claims = after.OrgStatus, nil
		return put(s.of(), organisation)
	}
	var steps []step
	for _, role := range s.software.Roles {
		steps = append(steps, step{method: http.MethodDelete, path: s.at() + "/authorityclaims/" + role.ID})
	}
	return steps
}

// close ends the connections of everybody on the stage.
func (s *stage) close() {
	for _, holder := range s.holders {
		holder.http.CloseIdleConnections()
	}
}

// remove takes a stage out of the directory.
func (d *Statements) remove(ctx context.Context, s *stage) error {
	s.close()
	d.organisations = slices.DeleteFunc(d.organisations, func(id string) bool { return id == s.organisation.ID })
	return d.deleteOrganisation(ctx, s.organisation.ID)
}

func (d *Statements) deleteOrganisation(ctx context.Context, id string) error {
	_, err := d.call(ctx, step{method: http.MethodDelete, path: "/organisations/" + id})
	return err
}

// Outdated removes organisations that drills before have left behind, once their
// statements have ended.
func Outdated(ctx context.Context, operator *admin.Client, now time.Time) error {
	records, err := operator.DirectoryList(ctx, admin.Organisations)
	if err != nil {
		return err
	}
	d := Statements{Operator: operator}
	for _, record := range records {
		id, _ := record["OrganisationId"].(string)
		text, _ := record["CreatedOn"].(string)
		created, err := time.Parse(time.RFC3339, text)
		if drill, _ := record["Drill"].(bool); drill && err == nil && now.Sub(created) > outdated {
			if err := d.deleteOrganisation(ctx, id); err != nil {
				return err
			}
		}
	}
	return nil
}

// outdated is when the longest statement has ended, that of RFC 7591.
const outdated = time.Hour
