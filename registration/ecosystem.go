package registration

import (
	"slices"
	"strings"
	"time"

	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/oauth"
)

// Ecosystem is what an open banking ecosystem demands of software that registers
// itself, as a value. Nothing in the registration asks which ecosystem it is in.
type Ecosystem struct {
	Name  string
	About string
	// Dialect names how its software statements are written; see [FindDialect].
	Dialect string

	Statement StatementRule
	Request   RequestRule

	// Certificate wants a client certificate on the connection.
	Certificate bool
	// Holders are the ways in which a certificate says whose it is. One of them must
	// agree with the statement; none means that any trusted certificate will do.
	Holders []Holder

	// Members are those of the metadata that the statement has a say in.
	Members []MemberRule
	// AllStated has the statement decide about every member that it names, beside
	// those of Members: its claims are written as a request is (RFC 7591 section 3.1.1).
	AllStated bool
	// Required are the members that a request must bring.
	Required []string
	// Aliases are older names of members.
	Aliases map[string]string
	// InlineKeys lets software register jwks; otherwise its keys are where the
	// statement says.
	InlineKeys bool
	// MobileApps have application_type mobile, which stands for native.
	MobileApps bool
	// PublicRedirects wants redirect URIs with https and not to localhost.
	PublicRedirects bool
	// AuthMethods are what token_endpoint_auth_method may be; the first is the
	// default. Empty leaves it to the policy.
	AuthMethods []string
	// AssertionAlg wants token_endpoint_auth_signing_alg of those who sign assertions.
	AssertionAlg bool
	// CertificateNames are the members of RFC 8705 section 2.1.2 that a
	// tls_client_auth client may register; empty means all.
	CertificateNames []string
	// DNMatching is how its clients' subjects are registered and compared, whatever
	// their policy says; empty leaves it to the policy.
	DNMatching mtls.Matching
	// Grants are registered where the request names none, as far as the realm has
	// them; empty is the default of RFC 7591.
	Grants []string
	Scope  ScopeRule

	Duplicates Duplicates
	// OwnClientID gives the client the id that the software has at the directory.
	OwnClientID bool
	Management  Management
	Answer      AnswerShape
}

// Source says where the statement comes from.
type Source string

const (
	// FromRequest: every request brings one.
	FromRequest Source = "request"
	// FromRequestOrNone: a request may bring one.
	FromRequestOrNone Source = "request, or none"
	// FromCertificate: there is none; the directory is asked whose the client
	// certificate is.
	FromCertificate Source = "certificate"
)

// StatementRule is what is demanded of software statements.
type StatementRule struct {
	From Source
	// Algs are the JWS algorithms accepted.
	Algs []string
	// MaxAge is how old iat may be; 0 is any age. An issuer may be trusted for a
	// longer one, up to LongestAge.
	MaxAge, LongestAge time.Duration
	// Expires wants exp.
	Expires bool
	// ID wants a jti; SingleUse takes each only once.
	ID, SingleUse bool
	// OrgStatus wants the status of the organisation; what is said of status must
	// be Active whether it is wanted or not.
	OrgStatus bool
	// Role is what software has to be admitted to, where statements say no roles and
	// who issues them looks at that; a directory of this process is asked. Empty wants
	// none.
	Role string
}

// RequestRule is what is demanded of registration requests.
type RequestRule struct {
	// MediaTypes of the body. application/jwt and application/jose are a request
	// signed by the software.
	MediaTypes []string
	// Algs are the JWS algorithms of signed requests.
	Algs []string
	// Audience is what aud of a signed request may be.
	Audience RequestAudience
	// MaxLifetime is how far ahead exp of a signed request may lie; 0 is any time.
	MaxLifetime time.Duration
}

// RequestAudience says which aud a signed request may have.
type RequestAudience string

const (
	// ToIssuer: the issuer identifier alone.
	ToIssuer RequestAudience = "issuer"
	// ToAnyName: the issuer, an address of the registration endpoint, or the id
	// that the bank has at the directory.
	ToAnyName RequestAudience = "issuer, registration endpoint or directory id"
)

// Media types of registration requests.
const (
	MediaJSON = "application/json"
	MediaJWT  = "application/jwt"
	MediaJOSE = "application/jose"
)

// Holder is one way in which certificates of an ecosystem say whose they are: what
// each of these attributes of the subject must be.
type Holder []HolderLine

// HolderLine is one attribute of a subject and the fact that it states.
type HolderLine struct {
	Attribute string // a short name, such as UID
	Prefix    string // stands before the fact
	Claim     string // what the fact is called in explanations
	fact      func(*Statement) []string
	same      func(stated, fact string) bool // nil: sameID
}

// MemberRule says who decides about a member of the metadata.
type MemberRule struct {
	Member     string
	Precedence Precedence
	// Error is the code of a refusal; empty is invalid_client_metadata. Text is its
	// description, where the ecosystem demands one.
	Error, Text string
}

// Precedence says who decides where statement and request both speak.
type Precedence string

const (
	// StatementWins: what the statement says is registered, whatever the request
	// says (RFC 7591 section 2.3).
	StatementWins Precedence = "the statement's"
	// MustAgree: the request says the same or nothing.
	MustAgree Precedence = "equal"
	// MustAgreeOrOff: the request says the same; nothing leaves the member out.
	MustAgreeOrOff Precedence = "equal, off when absent"
	// PartOf: the request may choose some of the statement's; nothing means all.
	PartOf Precedence = "a subset"
)

// ScopeRule says what software may ask for.
type ScopeRule struct {
	// Roles are the scopes of each role, with spaces between; a role counts while
	// it is active. Nil: roles do not matter.
	Roles map[string]string
	// Stated takes the scope of the statement for the most there is.
	Stated bool
	// Drop leaves out what the software may not have; otherwise that is refused.
	Drop bool
}

// Duplicates says what happens to a registration of software that is registered.
type Duplicates struct {
	Do DuplicateRule
	// Error is the code of a refusal.
	Error string
}

// DuplicateRule is one of the three things to do.
type DuplicateRule string

const (
	AllowDuplicates   DuplicateRule = "allowed"
	RefuseDuplicates  DuplicateRule = "refused"
	ReplaceDuplicates DuplicateRule = "replaces the first"
)

// Management is what a client reads, changes and deletes its registration with.
type Management struct {
	// With is a registration access token, an access token by client credentials,
	// or nothing.
	With ManagementToken
	// Rotated registration access tokens are exchanged at every update.
	Rotated bool
	// Scope is that of the access token; empty wants none.
	Scope string
}

// ManagementToken is the kind of token.
type ManagementToken string

const (
	RegistrationToken ManagementToken = "registration access token"
	AccessToken       ManagementToken = "access token by client credentials"
	NoManagement      ManagementToken = "none"
)

// AnswerShape is what a registration is answered with: the registered metadata and
// the statement as it came (RFC 7591 section 3.2.1), and what is said here.
type AnswerShape struct {
	// Flat has the claims of the statement as members.
	Flat bool
	// Empty has no body.
	Empty bool
}

// Ecosystems lists the names of the ecosystems, the default first.
func Ecosystems() []string {
	names := make([]string, len(ecosystems))
	for i := range ecosystems {
		names[i] = ecosystems[i].Name
	}
	return names
}

// FindEcosystem returns an ecosystem by name. It is shared: do not change it.
func FindEcosystem(name string) (*Ecosystem, bool) {
	for i := range ecosystems { // not copied: this is asked about tokens
		if ecosystems[i].Name == name {
			return &ecosystems[i], true
		}
	}
	return nil, false
}

// Signs reports whether requests are signed by the software.
func (e *Ecosystem) Signs() bool { return !slices.Contains(e.Request.MediaTypes, MediaJSON) }

// dialect is that of the ecosystem's statements.
func (e *Ecosystem) dialect() *Dialect {
	dialect, ok := FindDialect(e.Dialect)
	if !ok {
		panic("registration: ecosystem " + e.Name + " has no dialect " + e.Dialect)
	}
	return dialect
}

// scopes are what the roles of a statement let software ask for; limited is false
// where roles do not matter.
func (r *ScopeRule) scopes(s *Statement) (scopes oauth.Scope, limited bool) {
	if r.Stated {
		return strings.Fields(s.Scope), true
	}
	if r.Roles == nil {
		return nil, false
	}
	for _, role := range s.Roles {
		if !active(role.Status) {
			continue
		}
		for scope := range strings.FieldsSeq(r.Roles[role.Role]) {
			if !scopes.Has(scope) {
				scopes = append(scopes, scope)
			}
		}
	}
	return scopes, true
}

// active reports whether somebody or something of that status counts. Directories
// are not of one mind about the case of the word.
func active(status string) bool { return strings.EqualFold(status, StatusActive) }
