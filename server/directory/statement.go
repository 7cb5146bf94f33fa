package directory

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/token"
)

// Assertion makes a software statement assertion: what the directory says of
// software, signed, in the dialect of an ecosystem; empty is the software's own, or
// the directory's. It is made of what there is now, whatever the status, and says
// the status. With [Config.Lock] it locks the software.
func (d *Directory) Assertion(ctx context.Context, software, ecosystem string) (string, error) {
	s, ok := find(d, &d.software, software)
	if !ok {
		return "", oauth.NotFound("no software statement %s", oauth.Clip(software))
	}
	if d.config.Lock && !s.Locked {
		var err error
		if s, err = d.ChangeSoftware(ctx, software, func(s *SoftwareStatement, _ *Organisation) error {
			s.Locked = true
			return nil
		}); err != nil {
			return "", err
		}
	}
	o, ok := find(d, &d.organisations, s.OrganisationID)
	if !ok {
		return "", oauth.NotFound("no organisation %s", s.OrganisationID)
	}
	for _, name := range []string{s.Ecosystem, d.config.Ecosystem} {
		if ecosystem == "" {
			ecosystem = name
		}
	}
	dialect, ok := registration.FindDialect(ecosystem)
	if !ok {
		return "", oauth.InvalidRequest("ecosystem is %q; there are %s", oauth.Clip(ecosystem), strings.Join(registration.Dialects(), ", "))
	}
	key := d.keyring.Active(d.statementAlg(dialect))
	if key == nil {
		return "", oauth.ServerError().Because("no key to sign statements of %s with", dialect.Name)
	}
	statement := d.statement(o, s, dialect)
	return key.Sign(token.TypeStatement, dialect.Claims(&statement))
}

// statementAlg is the configured algorithm, if the ecosystem takes it.
func (d *Directory) statementAlg(dialect *registration.Dialect) string {
	if slices.Contains(dialect.Algs, d.config.StatementAlg) {
		return d.config.StatementAlg
	}
	return dialect.Algs[0]
}

// statement gathers the facts.
func (d *Directory) statement(o *Organisation, s *SoftwareStatement, dialect *registration.Dialect) registration.Statement {
	now := d.config.Now()
	own, organisation := d.config.URL+"/"+o.ID+"/"+s.ID, d.config.URL+"/"+o.ID
	statement := registration.Statement{
		Issuer: dialect.Issuer, IssuedAt: now.Unix(), Scope: dialect.Scope,
		SoftwareID: s.ID, ClientID: s.ClientID, ClientName: s.ClientName, Description: s.Description,
		Version: string(s.Version), Environment: s.Environment, Mode: s.Mode, Status: s.Status, OnBehalfOf: s.OnBehalfOf,
		ClientURI: s.ClientURI, LogoURI: s.LogoURI, PolicyURI: s.PolicyURI, TosURI: s.TermsOfServiceURI,
		RedirectURIs: s.RedirectURIs, WebhookURIs: s.APIWebhookURIs, Origins: s.OriginURIs, NotificationURI: s.NotificationWebhook,
		JWKSURI: own + applicationSet, InactiveJWKSURI: own + inactive + applicationSet,
		TransportJWKSURI: own + transportSet, InactiveTransportJWKSURI: own + inactive + transportSet,
		OrgID: o.ID, OrgName: o.OrganisationName, OrgNumber: o.RegistrationNumber, OrgStatus: o.Status, LegalName: cmp.Or(o.LegalEntityName, o.OrganisationName),
		OrgJWKSURI: organisation + applicationSet, OrgInactiveJWKSURI: organisation + inactive + applicationSet,
		OrgTransportJWKSURI: organisation + transportSet, OrgInactiveTransportJWKSURI: organisation + inactive + transportSet,
	}
	if statement.Issuer == "" {
		statement.Issuer = d.config.URL
	}
	if dialect.Lifetime > 0 {
		statement.Expires = now.Add(dialect.Lifetime.Truncate(time.Second)).Unix()
	}
	if dialect.Unique {
		statement.ID = oauth.NewUUID()
	}
	for _, role := range s.Roles {
		statement.Roles = append(statement.Roles, registration.StatementRole{Role: role.Role, Domain: role.Domain, Status: o.roleStatus(role)})
	}
	for _, claim := range o.Claims {
		statement.Authorities = append(statement.Authorities, claim.stated())
	}
	return statement
}

// roleStatus is that of a software's role: it counts while its organisation's does.
func (o *Organisation) roleStatus(role SoftwareRole) string {
	if role.Status == statusActive && o.active(role.Domain, role.Role) {
		return statusActive
	}
	return statusInactive
}

// stated is a claim as statements have it.
func (c *AuthorityClaim) stated() registration.StatementAuthority {
	stated := registration.StatementAuthority{
		AuthorityID: c.AuthorityID, Domain: c.Domain, Role: c.Role, RegistrationID: c.RegistrationID, Status: c.Status,
	}
	if authority, ok := findAuthority(c.AuthorityID); ok {
		stated.AuthorityName, stated.AuthorityCode, stated.Country = authority.Name, authority.Code, authority.Country
	}
	for _, country := range c.Authorisations {
		stated.Authorisations = append(stated.Authorisations, registration.StatementAuthorisation{MemberState: country.MemberState, Status: country.Status})
	}
	return stated
}
