package enrol

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"math/big"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/fapid/fapid/certs"
	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/bank"
	"github.com/fapid/fapid/server/directory"
	"github.com/fapid/fapid/server/participant"
)

// enrolment is one participant on its way.
type enrolment struct {
	*Desk
	*plan
	record participant.Record

	participant participant.Participant
	presented   *mtls.Presented
	place       participant.Place
}

// makeKeys makes the two keys, which takes longer than everything else.
func (e *enrolment) makeKeys() error {
	algorithm := certs.RSA2048
	if e.Alg == ecdsa {
		algorithm = certs.P256
	}
	var making errgroup.Group
	making.Go(func() (err error) {
		e.participant.TransportKey, err = certs.NewKey(certs.RSA2048) // what every profile takes
		return err
	})
	making.Go(func() (err error) {
		e.participant.SigningKey, err = certs.NewKey(algorithm)
		return err
	})
	return making.Wait()
}

// run does what has to be undone when any of it fails. The record is written first, so
// that a server that is killed meanwhile knows what it has left behind.
func (e *enrolment) run(ctx context.Context) ([]certs.File, error) {
	if err := e.records().Put(ctx, e.Name, e.record, time.Time{}); err != nil {
		return nil, fmt.Errorf("participant %s: %w", e.Name, err)
	}
	for _, step := range []func(context.Context) error{e.join, e.certify, e.register, e.settle} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	files, err := e.participant.Folder(e.record, e.place)
	if err != nil {
		return nil, err
	}
	if err := e.records().Put(ctx, e.Name, e.record, time.Time{}); err != nil {
		return nil, fmt.Errorf("participant %s: %w", e.Name, err)
	}
	return files, nil
}

// join adds the organisation and its software to the directory.
func (e *enrolment) join(ctx context.Context) error {
	number, err := digits(6)
	if err != nil {
		return err
	}
	company, err := digits(14)
	if err != nil {
		return err
	}
	organisation := directory.Organisation{
		ID: e.record.OrganisationID, OrganisationName: e.Name, LegalEntityName: e.Name, RegisteredName: e.Name,
		CountryOfRegistration: e.custom.country, Country: e.custom.country, RegistrationNumber: company,
		City: "Sample City", State: "SC",
	}
	if e.custom.country == "GB" {
		organisation.RegistrationID = "PSDGB-FCA-" + number
	}
	home := "https://" + e.Name + ".example.com"
	software := directory.SoftwareStatement{
		ID: e.record.SoftwareID, OrganisationID: e.record.OrganisationID, ClientName: e.Name, Ecosystem: e.rules.Dialect,
		Description: "Participant " + e.Name, Environment: "sandbox", Mode: "Test", Version: "1.0",
		ClientURI: home, LogoURI: home + "/logo.svg", PolicyURI: home + "/policy.html", TermsOfServiceURI: home + "/terms.html",
		RedirectURIs: []string{home + "/callback"},
	}
	for _, role := range e.Roles {
		domain, _ := directory.DomainOf(role) // the plan has looked
		organisation.Claims = append(organisation.Claims, directory.AuthorityClaim{Domain: domain, Role: role, RegistrationID: number})
		software.Roles = append(software.Roles, directory.SoftwareRole{Domain: domain, Role: role})
	}
	if _, err := e.Directory.CreateOrganisation(ctx, organisation); err != nil {
		return err
	}
	_, err = e.Directory.CreateSoftware(ctx, software, 0)
	return err
}

// digits makes a random number of so many digits, which does not begin with 0.
func digits(count int) (string, error) {
	first := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(count-1)), nil)
	n, err := rand.Int(rand.Reader, new(big.Int).Mul(first, big.NewInt(9)))
	if err != nil {
		return "", err
	}
	return n.Add(n, first).String(), nil
}

// certify has the directory issue the certificates of the software, as it would for
// requests of the participant's own.
func (e *enrolment) certify(ctx context.Context) (err error) {
	p := &e.participant
	if p.Transport, _, err = e.certificate(ctx, e.custom.transport, p.TransportKey); err != nil {
		return err
	}
	if p.Signing, p.KeyID, err = e.certificate(ctx, e.custom.signing, p.SigningKey); err != nil {
		return err
	}
	e.presented, err = mtls.NewPresented(p.Transport, "tls")
	return err
}

func (e *enrolment) certificate(ctx context.Context, typeName string, key crypto.Signer) (chain []*x509.Certificate, kid string, err error) {
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return nil, "", fmt.Errorf("certificate request: %w", err)
	}
	certified, err := e.Directory.Certify(ctx, e.record.OrganisationID, e.record.SoftwareID, typeName, request)
	if err != nil {
		return nil, "", err
	}
	for _, der := range certified.Chain {
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, "", fmt.Errorf("certificate: %w", err)
		}
		chain = append(chain, certificate)
	}
	return append(chain, e.CA.Issuing()), certified.ID, nil
}

// settle finds what has come of the registration, and where everything is.
func (e *enrolment) settle(context.Context) error {
	registered := e.realm.Clients.OfSoftware(registration.DirectoryIssuer, e.record.SoftwareID)
	if len(registered) != 1 {
		return oauth.ServerError().Because("%d clients came of one registration", len(registered))
	}
	client, served := e.realm.Clients.Get(registered[0])
	if !served {
		return oauth.ServerError().Because("client %s was registered and is not served", registered[0])
	}
	e.participant.Metadata = client.Metadata
	e.record.ClientID, e.record.Scope = client.ID, client.Metadata.Scope
	facts, known := e.Directory.Facts(e.record.SoftwareID)
	if !known {
		return oauth.ServerError().Because("software %s has left the directory", e.record.SoftwareID)
	}
	at, site, home := &e.place, e.realm.Site, e.Realms[0].Site
	at.Issuer, at.CA = site.Issuer, certs.CertificatePEM(e.CA.Root())
	at.Token, at.Introspection = site.MTLSURL+site.Path("token_endpoint"), site.MTLSURL+site.Path("introspection_endpoint")
	at.Directory, at.DirectoryToken = e.Directory.URL(), home.MTLSURL+home.Path("token_endpoint")
	var published bool
	if at.JWKS, published = e.Directory.Document(facts.JWKSURI); !published {
		return oauth.ServerError().Because("the directory does not publish %s", facts.JWKSURI)
	}
	scope, err := oauth.ParseScope(client.Metadata.Scope)
	if err != nil {
		return err
	}
	if scope.Has(bank.ScopeAccounts) || scope.Has(bank.ScopeAccountsCDR) {
		at.Bank = site.MTLSURL + site.Path("bank") + "/accounts"
	}
	return e.settleManagement(scope)
}

// settleManagement finds what the client manages its registration with.
func (e *enrolment) settleManagement(scope oauth.Scope) error {
	switch rule := e.rules.Management; rule.With {
	case registration.RegistrationToken:
		var answer struct {
			URI   string `json:"registration_client_uri"`
			Token string `json:"registration_access_token"`
		}
		if err := json.Unmarshal(e.place.Answer, &answer); err != nil {
			return oauth.ServerError().Because("the answer to the registration: %w", err)
		}
		e.place.Registration, e.place.RegistrationToken = answer.URI, answer.Token
	case registration.AccessToken:
		if rule.Scope == "" || scope.Has(rule.Scope) {
			e.place.Registration = e.registrationEndpoint() + "/" + e.record.ClientID
		}
	}
	return nil
}
