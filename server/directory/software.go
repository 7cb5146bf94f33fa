package directory

import (
	"context"
	stdjson "encoding/json"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
)

// SoftwareStatement is a piece of software of an organisation: what a participant
// registers at authorization servers, and a client itself, of the directory.
type SoftwareStatement struct {
	ID             string `json:"SoftwareStatementId"`
	OrganisationID string `json:"OrganisationId"`
	Status         string `json:"Status"`
	// ClientID is the software's client at the realm of the directory;
	// RtsClientCreated that the directory registered it.
	ClientID         string `json:"ClientId"`
	RtsClientCreated bool   `json:"RtsClientCreated"`

	ClientName        string   `json:"ClientName"`
	Description       string   `json:"Description,omitempty"`
	Environment       string   `json:"Environment,omitempty"`
	Mode              string   `json:"Mode"` // Live or Test
	Version           Version  `json:"Version,omitempty"`
	OnBehalfOf        string   `json:"OnBehalfOf,omitempty"`
	ClientURI         string   `json:"ClientUri,omitempty"`
	LogoURI           string   `json:"LogoUri,omitempty"`
	PolicyURI         string   `json:"PolicyUri,omitempty"`
	TermsOfServiceURI string   `json:"TermsOfServiceUri,omitempty"`
	RedirectURIs      []string `json:"RedirectUri,omitempty"`
	// NotificationWebhook is for events of the directory's ecosystem,
	// ApiWebhookUris are for those of the banks' APIs.
	NotificationWebhook string   `json:"NotificationWebhook,omitempty"`
	APIWebhookURIs      []string `json:"ApiWebhookUris,omitempty"`
	OriginURIs          []string `json:"OriginUris,omitempty"`
	// Metadata is free text.
	Metadata string `json:"AdditionalSoftwareMetadata,omitempty"`
	// Locked software is changed by the operator alone: its assertion was made.
	Locked bool `json:"Locked"`
	// Ecosystem is fapid's own member: the dialect of its assertions.
	Ecosystem string `json:"Ecosystem,omitempty"`
	CreatedOn string `json:"CreatedOn,omitempty"` // RFC 3339; set by the directory

	// Roles are stored with the software and have paths of their own.
	Roles []SoftwareRole `json:"SoftwareAuthorityClaims,omitempty"`
}

// SoftwareRole is a role that the software acts in, of those that its organisation
// was admitted to.
type SoftwareRole struct {
	ID         string `json:"SoftwareAuthorityClaimId"`
	SoftwareID string `json:"SoftwareStatementId"`
	Domain     string `json:"AuthorisationDomain"`
	Role       string `json:"Role"`
	Status     string `json:"Status"` // Active or Inactive
}

// Version is a number in Raidiam's API and a text in statements: 1.10 is not 1.1.
type Version string

var versionNumber = regexp.MustCompile(`^(0|[1-9][0-9]{0,8})(\.[0-9]{1,8})?$`)

// MarshalJSON writes a version that is a number as one.
func (v Version) MarshalJSON() ([]byte, error) {
	if versionNumber.MatchString(string(v)) {
		return []byte(v), nil
	}
	return stdjson.Marshal(string(v))
}

// UnmarshalJSON reads a number as it is written, or a text.
func (v *Version) UnmarshalJSON(text []byte) error {
	switch kind := oauth.JSONKind(text); {
	case kind == "null":
		return nil
	case versionNumber.Match(text):
		*v = Version(text)
		return nil
	case kind != "a string":
		return fmt.Errorf("Version must be a plain number or a string, not %s", kind)
	}
	return stdjson.Unmarshal(text, (*string)(v))
}

// check fills in what was left out and judges the record as a whole.
func (s *SoftwareStatement) check() error {
	var r rules
	if s.Status == "" {
		s.Status = statusActive
	}
	if s.Mode == "" {
		s.Mode = "Live"
	}
	r.oneOf("Status", s.Status, statusActive, statusSuspended, statusInactive)
	r.oneOf("Mode", s.Mode, "Live", "Test")
	r.needed("ClientName", s.ClientName)
	if s.Ecosystem != "" {
		r.oneOf("Ecosystem", s.Ecosystem, registration.Dialects()...)
	}
	r.uri("ClientUri", s.ClientURI)
	r.uri("LogoUri", s.LogoURI)
	r.uri("PolicyUri", s.PolicyURI)
	r.uri("TermsOfServiceUri", s.TermsOfServiceURI)
	r.uri("NotificationWebhook", s.NotificationWebhook)
	r.uris("RedirectUri", s.RedirectURIs, registration.CheckRedirectURI)
	r.uris("ApiWebhookUris", s.APIWebhookURIs, registration.CheckURI)
	r.uris("OriginUris", s.OriginURIs, registration.CheckURI)
	return r.err
}

// host is the DNS name in the transport certificates of the software. It is what
// the software's client is known by, because the subject is another in each kind
// of certificate.
func (s *SoftwareStatement) host() string { return s.ID + ".example.com" }

// CreateSoftware adds software to an organisation. Without a ClientId it is
// registered as a client, by the transport certificates that the directory issues
// for it; one that it brings is a client there already and stays as it is. most is how
// much software the organisation may have then, 0 for any number.
func (d *Directory) CreateSoftware(ctx context.Context, s SoftwareStatement, most int) (*SoftwareStatement, error) {
	if s.ID == "" {
		s.ID = oauth.NewUUID()
	}
	if !uuid.MatchString(s.ID) {
		return nil, oauth.InvalidRequest("SoftwareStatementId is %q, expected a UUID in lower case", oauth.Clip(s.ID))
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	d.writing.Lock()
	defer d.writing.Unlock()
	organisation, ok := find(d, &d.organisations, s.OrganisationID)
	if !ok {
		return nil, oauth.NotFound("no organisation %s", oauth.Clip(s.OrganisationID))
	}
	if most > 0 && len(list(d, &d.software, func(other *SoftwareStatement) bool { return other.OrganisationID == organisation.ID })) >= most {
		return nil, conflict("the organisation has %d software statements, the most there may be", most)
	}
	roles := s.Roles
	s.Roles = nil
	for _, role := range roles {
		if err := s.addRole(organisation, role); err != nil {
			return nil, err
		}
	}
	s.CreatedOn, s.Locked = stamp(d.now()), false
	if s.RtsClientCreated = s.ClientID == ""; s.RtsClientCreated {
		s.ClientID = s.ID
	}
	if err := d.linkClient(ctx, &s); err != nil {
		return nil, err
	}
	if err := d.commit(ctx, d.claim(s.ID), d.putSoftware(nil, &s)); err != nil {
		if s.RtsClientCreated {
			// Else it stays, and nobody has a certificate for it. Whoever asked may have gone.
			_ = d.clients.Delete(context.WithoutCancel(ctx), s.ClientID)
		}
		return nil, err
	}
	return &s, nil
}

// linkClient registers the client of new software, or looks at the one it brings.
func (d *Directory) linkClient(ctx context.Context, s *SoftwareStatement) error {
	d.mu.RLock()
	other, taken := d.byClient[s.ClientID]
	d.mu.RUnlock()
	_, registered := d.clients.Get(s.ClientID)
	switch {
	case taken:
		return conflict("client %s is that of software %s", oauth.Clip(s.ClientID), other.ID)
	case !s.RtsClientCreated && !registered:
		return oauth.InvalidRequest("ClientId %s is no client of the realm; register it first, or leave ClientId out", oauth.Clip(s.ClientID))
	case !s.RtsClientCreated:
		return nil
	case registered:
		return conflict("there is a client with the id of the new software, %s; choose another SoftwareStatementId", s.ID)
	}
	return d.register(ctx, s)
}

// register puts the client that the directory made for software into the realm.
func (d *Directory) register(ctx context.Context, s *SoftwareStatement) error {
	_, _, err := d.clients.Put(ctx, registration.Metadata{
		ClientID: s.ClientID, ClientName: s.ClientName,
		TokenEndpointAuthMethod: oauth.AuthTLS, TLSClientAuthSANDNS: s.host(), CertificateBoundTokens: true,
		GrantTypes: []string{"client_credentials"}, Scope: Scope, SoftwareID: s.ID,
	})
	if err != nil {
		return fmt.Errorf("register the software as a client: %w", err)
	}
	return nil
}

// Forget removes the client that was registered for software which never came to be,
// because the server was killed in between. Where there is the software, it does nothing.
func (d *Directory) Forget(ctx context.Context, software string) error {
	d.writing.Lock()
	defer d.writing.Unlock()
	if _, there := find(d, &d.software, software); there {
		return nil
	}
	if client, registered := d.clients.Get(software); !registered || client.Metadata.SoftwareID != software {
		return nil
	}
	return d.clients.Delete(ctx, software)
}

// Scope is what a token for the directory has.
const Scope = "directory:software"

// putSoftware writes software, and shows it under its ClientId too.
func (d *Directory) putSoftware(before, after *SoftwareStatement) edit {
	put := d.software.put(after.ID, after)
	return edit{write: put.write, show: func() {
		put.show()
		if before != nil {
			delete(d.byClient, before.ClientID)
		}
		d.byClient[after.ClientID] = after
	}}
}

// ChangeSoftware replaces software by what change makes of it. No other change
// comes between; change is told the organisation too.
func (d *Directory) ChangeSoftware(ctx context.Context, id string, change func(*SoftwareStatement, *Organisation) error) (*SoftwareStatement, error) {
	d.writing.Lock()
	defer d.writing.Unlock()
	current, ok := find(d, &d.software, id)
	if !ok {
		return nil, oauth.NotFound("no software statement %s", oauth.Clip(id))
	}
	organisation, ok := find(d, &d.organisations, current.OrganisationID)
	if !ok {
		return nil, oauth.NotFound("no organisation %s", current.OrganisationID)
	}
	changed := *current
	changed.Roles = slices.Clone(current.Roles)
	if err := change(&changed, organisation); err != nil {
		return nil, err
	}
	changed.ID, changed.OrganisationID, changed.CreatedOn = current.ID, current.OrganisationID, current.CreatedOn
	changed.ClientID, changed.RtsClientCreated = current.ClientID, current.RtsClientCreated
	if err := changed.check(); err != nil {
		return nil, err
	}
	return &changed, d.commit(ctx, d.putSoftware(current, &changed))
}

// DeleteSoftware removes software: its certificates are revoked, and the client
// that the directory registered for it is gone.
func (d *Directory) DeleteSoftware(ctx context.Context, id string, judge func(*SoftwareStatement) error) error {
	d.writing.Lock()
	defer d.writing.Unlock()
	software, ok := find(d, &d.software, id)
	if !ok {
		return oauth.NotFound("no software statement %s", oauth.Clip(id))
	}
	if err := judge(software); err != nil {
		return err
	}
	edits, err := d.removeSoftware(ctx, software)
	if err != nil {
		return err
	}
	return d.commit(ctx, edits...)
}

// removeSoftware ends what software can do, and gives the edits that remove it.
func (d *Directory) removeSoftware(ctx context.Context, s *SoftwareStatement) ([]edit, error) {
	edits, err := d.removeKeys(ctx, func(k *Key) bool { return k.SoftwareID == s.ID })
	if err != nil {
		return nil, err
	}
	if _, registered := d.clients.Get(s.ClientID); registered && s.RtsClientCreated {
		if err := d.clients.Delete(ctx, s.ClientID); err != nil {
			return nil, err
		}
	}
	remove := d.software.remove(s.ID)
	return append(edits, edit{write: remove.write, show: func() {
		remove.show()
		delete(d.byClient, s.ClientID)
	}}), nil
}

// addRole lets software act in a role that its organisation was admitted to.
func (s *SoftwareStatement) addRole(of *Organisation, role SoftwareRole) error {
	role.ID, role.SoftwareID = oauth.NewUUID(), s.ID
	if err := role.check(of); err != nil {
		return err
	}
	if slices.ContainsFunc(s.Roles, func(other SoftwareRole) bool {
		return other.Domain == role.Domain && other.Role == role.Role
	}) {
		return conflict("the software has the role %s of %s; change that", role.Role, role.Domain)
	}
	if len(s.Roles) >= maxEntries {
		return conflict("the software has %d roles, the most there may be", maxEntries)
	}
	s.Roles = append(s.Roles, role)
	return nil
}

func (r *SoftwareRole) check(of *Organisation) error {
	var rules rules
	if r.Status == "" {
		r.Status = statusActive
	}
	rules.oneOf("Status", r.Status, statusActive, statusInactive)
	if !of.active(r.Domain, r.Role) {
		rules.refuse("the organisation has no active authority claim to the role %q of %q", oauth.Clip(r.Role), oauth.Clip(r.Domain))
	}
	return rules.err
}

// roleAt finds a role of the software by its id.
func (s *SoftwareStatement) roleAt(id string) (int, error) {
	at := slices.IndexFunc(s.Roles, func(r SoftwareRole) bool { return r.ID == id })
	if at < 0 {
		return 0, oauth.NotFound("no authority claim %s of this software", oauth.Clip(id))
	}
	return at, nil
}

// stamp writes a time as records have it.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
