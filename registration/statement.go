package registration

import (
	stdjson "encoding/json"
	"fmt"

	"github.com/fapid/fapid/oauth/jwk"
)

// Statement is what a software statement (RFC 7591 section 2.3) says of a piece
// of software and of the organisation that runs it, whatever names an ecosystem
// gives to it; see [Dialect]. A fact that is not known is empty.
type Statement struct {
	Issuer   string // who vouches for it
	ID       string // jti
	IssuedAt int64  // seconds since 1970
	Expires  int64  // seconds since 1970; 0 is never

	SoftwareID  string
	ClientID    string // of the software at the directory
	ClientName  string
	Description string
	Version     string
	Environment string
	Mode        string // Live or Test
	Status      string // of the software
	OnBehalfOf  string
	Scope       string

	ClientURI, LogoURI, PolicyURI, TosURI string
	RedirectURIs, WebhookURIs, Origins    []string
	NotificationURI                       string
	Roles                                 []StatementRole

	// The software's published keys: those it signs and is encrypted to with,
	// those of its client certificates, and of each those that count no more.
	JWKSURI, InactiveJWKSURI, TransportJWKSURI, InactiveTransportJWKSURI string

	OrgID, OrgName, OrgNumber, OrgStatus, LegalName                                  string
	OrgJWKSURI, OrgInactiveJWKSURI, OrgTransportJWKSURI, OrgInactiveTransportJWKSURI string
	Authorities                                                                      []StatementAuthority
}

// StatementRole is a role the software may act in.
type StatementRole struct {
	Role   string `json:"role"`
	Domain string `json:"authorisation_domain"`
	Status string `json:"status"` // Active or Inactive
}

// StatementAuthority says which authority has admitted the organisation to a role.
type StatementAuthority struct {
	AuthorityID    string `json:"authority_id"`
	AuthorityName  string `json:"authority_name"`
	AuthorityCode  string `json:"authority_code"`
	Domain         string `json:"authorisation_domain"`
	Role           string `json:"authorisation_role"`
	RegistrationID string `json:"registration_id"`
	Status         string `json:"status"` // Active or Inactive
	// Country is the authority's own (ISO 3166); not every shape says it.
	Country string `json:"-"`
	// Authorisations are the countries that the role was passported to.
	Authorisations []StatementAuthorisation `json:"authorisations"`
}

// StatementAuthorisation is a country that a role holds in.
type StatementAuthorisation struct {
	MemberState string `json:"member_state"` // ISO 3166
	Status      string `json:"status"`
}

// StatusActive is the status of whoever and whatever counts.
const StatusActive = "Active"

// DirectoryIssuer is the name that the sandbox's own directory has among the
// trusted issuers of software statements.
const DirectoryIssuer = "directory"

// CheckURI holds a URI of a record to the rules for those that a client registers.
// The error begins with the URI, quoted.
func CheckURI(value string) error { return webURI(value) }

// CheckRedirectURI is CheckURI for a redirect URI.
func CheckRedirectURI(value string) error { return redirectURI(value) }

// CheckKey holds a public JWK (RFC 7517 section 4) to the rules for those that a
// client registers.
func CheckKey(key []byte, allowTestKeys bool) error {
	set, err := stdjson.Marshal(map[string][]stdjson.RawMessage{"keys": {key}})
	if err != nil {
		return fmt.Errorf("not JSON")
	}
	_, err = jwk.Parse(set, jwk.Registered, refuseKey(allowTestKeys))
	return err
}
