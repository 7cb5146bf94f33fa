package directory

import (
	"context"
	"regexp"
	"slices"

	"github.com/fapid/fapid/oauth"
)

// The statuses of records. Of an organisation Active, Pending, Suspended and
// Withdrawn; of software Active, Suspended and Inactive; of claims Active and
// Inactive. Only what is Active counts.
const (
	statusActive    = "Active"
	statusInactive  = "Inactive"
	statusPending   = "Pending"
	statusSuspended = "Suspended"
	statusWithdrawn = "Withdrawn"
)

// Organisation is a participant of the ecosystem.
type Organisation struct {
	ID     string `json:"OrganisationId"`
	Status string `json:"Status"`

	OrganisationName      string `json:"OrganisationName"`
	CreatedOn             string `json:"CreatedOn,omitempty"` // RFC 3339; set by the directory
	LegalEntityName       string `json:"LegalEntityName,omitempty"`
	RegisteredName        string `json:"RegisteredName,omitempty"`
	CountryOfRegistration string `json:"CountryOfRegistration"` // ISO 3166, two letters
	CompanyRegister       string `json:"CompanyRegister,omitempty"`
	RegistrationNumber    string `json:"RegistrationNumber,omitempty"`
	RegistrationID        string `json:"RegistrationId,omitempty"`
	Tag                   string `json:"Tag,omitempty"`
	Size                  string `json:"Size,omitempty"`
	AddressLine1          string `json:"AddressLine1,omitempty"`
	AddressLine2          string `json:"AddressLine2,omitempty"`
	City                  string `json:"City,omitempty"`
	// State is fapid's own member: two letters, which Brazilian certificates carry.
	State                       string `json:"State,omitempty"`
	Postcode                    string `json:"Postcode,omitempty"`
	Country                     string `json:"Country,omitempty"`
	ParentOrganisationReference string `json:"ParentOrganisationReference,omitempty"`
	// Drill is fapid's own member: the organisation was made for a drill, and the
	// directory makes bad statements of its software. It is said when the organisation
	// is made, by the operator of a sandbox, and stays.
	Drill bool `json:"Drill,omitempty"`

	// Claims are the roles that authorities admitted the organisation to. They are
	// stored with it and have paths of their own.
	Claims []AuthorityClaim `json:"OrgDomainRoleClaims,omitempty"`
}

// AuthorityClaim says that an authority admitted an organisation to a role.
type AuthorityClaim struct {
	ID             string          `json:"OrganisationAuthorityClaimId"`
	OrganisationID string          `json:"OrganisationId"`
	AuthorityID    string          `json:"AuthorityId"`
	Domain         string          `json:"AuthorisationDomain"`
	Role           string          `json:"Role"`
	Status         string          `json:"Status"` // Active or Inactive
	RegistrationID string          `json:"RegistrationId,omitempty"`
	Authorisations []Authorisation `json:"Authorisations,omitempty"`
}

// Authorisation is a country that a role holds in.
type Authorisation struct {
	MemberState string `json:"MemberState"` // ISO 3166, two letters
	Status      string `json:"Status"`
}

var twoLetters = regexp.MustCompile(`^[A-Z]{2}$`)

// check fills in what was left out and judges the record as a whole.
func (o *Organisation) check() error {
	var r rules
	if o.Status == "" {
		o.Status = statusActive
	}
	r.oneOf("Status", o.Status, statusActive, statusPending, statusSuspended, statusWithdrawn)
	r.needed("OrganisationName", o.OrganisationName)
	if len([]rune(o.OrganisationName)) > maxAttribute {
		r.refuse("OrganisationName has more than %d characters, and certificates carry it", maxAttribute)
	}
	for _, code := range []struct {
		member, value string
		needed        bool
	}{{"CountryOfRegistration", o.CountryOfRegistration, true}, {"Country", o.Country, false}, {"State", o.State, false}} {
		if (code.needed || code.value != "") && !twoLetters.MatchString(code.value) {
			r.refuse("%s is %q, expected two capital letters, such as GB", code.member, oauth.Clip(code.value))
		}
	}
	return r.err
}

// maxAttribute is how long an attribute of a distinguished name may be, in
// characters (RFC 5280 appendix A.1, ub-organization-name is 64; ecosystems use
// twice that).
const maxAttribute = 128

// active reports whether an authority has admitted the organisation to a role now.
func (o *Organisation) active(domain, role string) bool {
	return slices.ContainsFunc(o.Claims, func(c AuthorityClaim) bool {
		return c.Domain == domain && c.Role == role && c.Status == statusActive
	})
}

// check judges a claim of an organisation. Authority, domain and role are those
// of the references.
func (c *AuthorityClaim) check() error {
	var r rules
	if c.Status == "" {
		c.Status = statusActive
	}
	r.oneOf("Status", c.Status, statusActive, statusInactive)
	role, ok := findRole(c.Domain, c.Role)
	switch {
	case !ok:
		r.refuse("there is no role %q in the domain %q; see /references/authorisationdomainroles", oauth.Clip(c.Role), oauth.Clip(c.Domain))
	case c.AuthorityID == "":
		c.AuthorityID = role.authority.ID
	case c.AuthorityID != role.authority.ID:
		r.refuse("the authority of the domain %q is %s (%s)", c.Domain, role.authority.ID, role.authority.Name)
	}
	for i := range c.Authorisations {
		country := &c.Authorisations[i]
		if country.Status == "" {
			country.Status = statusActive
		}
		r.oneOf("Authorisations.Status", country.Status, statusActive, statusInactive)
		if !twoLetters.MatchString(country.MemberState) {
			r.refuse("MemberState is %q, expected two capital letters, such as GB", oauth.Clip(country.MemberState))
		}
	}
	return r.err
}

// CreateOrganisation adds an organisation. An id that it brings must never have
// been given out.
func (d *Directory) CreateOrganisation(ctx context.Context, o Organisation) (*Organisation, error) {
	if o.ID == "" {
		o.ID = oauth.NewUUID()
	}
	if !uuid.MatchString(o.ID) {
		return nil, oauth.InvalidRequest("OrganisationId is %q, expected a UUID in lower case", oauth.Clip(o.ID))
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	if o.Drill && !d.config.Sandbox {
		return nil, denied("Drill is for the directory of a sandbox")
	}
	claims := o.Claims
	o.Claims = nil
	for _, claim := range claims {
		if err := o.addClaim(claim); err != nil {
			return nil, err
		}
	}
	o.CreatedOn = stamp(d.now())
	d.writing.Lock()
	defer d.writing.Unlock()
	return &o, d.commit(ctx, d.claim(o.ID), d.organisations.put(o.ID, &o))
}

// ChangeOrganisation replaces an organisation by what change makes of it.
// No other change comes between.
func (d *Directory) ChangeOrganisation(ctx context.Context, id string, change func(*Organisation) error) (*Organisation, error) {
	d.writing.Lock()
	defer d.writing.Unlock()
	current, ok := find(d, &d.organisations, id)
	if !ok {
		return nil, oauth.NotFound("no organisation %s", oauth.Clip(id))
	}
	changed := *current
	changed.Claims = slices.Clone(current.Claims)
	if err := change(&changed); err != nil {
		return nil, err
	}
	if changed.Drill != current.Drill {
		return nil, denied("whether an organisation is made for a drill is said when it is made")
	}
	changed.ID, changed.CreatedOn = current.ID, current.CreatedOn
	if err := changed.check(); err != nil {
		return nil, err
	}
	return &changed, d.commit(ctx, d.organisations.put(id, &changed))
}

// DeleteOrganisation removes an organisation with everything that is its own.
func (d *Directory) DeleteOrganisation(ctx context.Context, id string, judge func(*Organisation) error) error {
	d.writing.Lock()
	defer d.writing.Unlock()
	organisation, ok := find(d, &d.organisations, id)
	if !ok {
		return oauth.NotFound("no organisation %s", oauth.Clip(id))
	}
	if err := judge(organisation); err != nil {
		return err
	}
	edits := []edit{d.organisations.remove(id)}
	for _, software := range list(d, &d.software, func(s *SoftwareStatement) bool { return s.OrganisationID == id }) {
		removal, err := d.removeSoftware(ctx, software)
		if err != nil {
			return err
		}
		edits = append(edits, removal...)
	}
	for _, server := range list(d, &d.servers, func(a *AuthorisationServer) bool { return a.OrganisationID == id }) {
		edits = append(edits, d.servers.remove(server.ID))
	}
	removal, err := d.removeKeys(ctx, func(k *Key) bool { return k.OrganisationID == id })
	if err != nil {
		return err
	}
	return d.commit(ctx, append(edits, removal...)...)
}

// addClaim admits the organisation to a role. One claim for each role is enough:
// it can be changed.
func (o *Organisation) addClaim(claim AuthorityClaim) error {
	claim.ID, claim.OrganisationID = oauth.NewUUID(), o.ID
	if err := claim.check(); err != nil {
		return err
	}
	if slices.ContainsFunc(o.Claims, func(other AuthorityClaim) bool {
		return other.Domain == claim.Domain && other.Role == claim.Role
	}) {
		return conflict("the organisation has a claim to the role %s of %s; change that", claim.Role, claim.Domain)
	}
	if len(o.Claims) >= maxEntries {
		return conflict("the organisation has %d claims, the most there may be", maxEntries)
	}
	o.Claims = append(o.Claims, claim)
	return nil
}

// claimAt finds a claim of the organisation by its id.
func (o *Organisation) claimAt(id string) (int, error) {
	at := slices.IndexFunc(o.Claims, func(c AuthorityClaim) bool { return c.ID == id })
	if at < 0 {
		return 0, oauth.NotFound("no authority claim %s of this organisation", oauth.Clip(id))
	}
	return at, nil
}
