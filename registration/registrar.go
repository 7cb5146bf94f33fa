package registration

import (
	"context"
	"crypto/sha256"
	stdjson "encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/oauth"
)

// RegistrarConfig is what a [Registrar] is made from.
type RegistrarConfig struct {
	Realm string // prefixes the names of what it claims
	// Issuer is the realm's issuer identifier, which signed requests are for.
	Issuer string
	// Addresses are those of the registration endpoint.
	Addresses []string
	// DirectoryID is the id that the bank itself has at the directory; it may be
	// empty.
	DirectoryID string
	// Ecosystem is whose rules hold for requests without a statement.
	Ecosystem *Ecosystem
	Issuers   []*TrustedIssuer
	// Scopes are the most that software which registers itself may ask for, unless
	// its initial access token says another.
	Scopes oauth.Scope
	// Policy is the security profile of software that nobody vouches for.
	Policy string
	// Grants reports whether the realm offers a grant type.
	Grants func(grantType string) bool
	// Fetch is for the keys that signed requests are verified with.
	Fetch         *Fetcher
	Now           func() time.Time
	AllowTestKeys bool
}

// Registrar judges what registration requests bring, by the rules of the ecosystem
// whose statement they carry. It is safe for concurrent use.
type Registrar struct {
	config  RegistrarConfig
	issuers map[string]*TrustedIssuer // by iss
	// asked is the issuer whose directory stands in for statements; nil if the
	// realm's ecosystem has statements.
	asked *TrustedIssuer
}

// NewRegistrar makes a Registrar. No two issuers may have one iss.
func NewRegistrar(config RegistrarConfig) (*Registrar, error) {
	r := &Registrar{config: config, issuers: map[string]*TrustedIssuer{}}
	for _, issuer := range config.Issuers {
		if member, err := issuer.Check(); err != nil {
			return nil, fmt.Errorf("issuer %s: %s %w", issuer.Name, member, err)
		}
		if issuer.Ecosystem.Statement.From == FromCertificate {
			if issuer.Ecosystem == config.Ecosystem {
				r.asked = issuer
			}
			continue
		}
		if other, taken := r.issuers[issuer.Issuer]; taken {
			return nil, fmt.Errorf("issuer %s has the iss of issuer %s", issuer.Name, other.Name)
		}
		r.issuers[issuer.Issuer] = issuer
	}
	if config.Ecosystem.Statement.From == FromCertificate && r.asked == nil {
		return nil, fmt.Errorf("ecosystem %s needs the directory in this process, and no issuer is it", config.Ecosystem.Name)
	}
	return r, nil
}

// Proposal is a registration request: what came over a connection.
type Proposal struct {
	MediaType string // Content-Type; parameters are passed over
	Body      []byte
	// Certificate is the client certificate of the connection, verified; nil for
	// none.
	Certificate *mtls.Presented
	// Replaces is the client that an update is of; nil for a new one. That the
	// request may update it is the caller's business.
	Replaces *Client
	// Untrusted says why a certificate of the connection does not count; empty if
	// there is none, or it does.
	Untrusted string
	// By is what lets the request come, for [Metadata.RegisteredBy].
	By string
	// Initial is the initial access token of the request; nil without one.
	Initial *InitialToken
	// Unvouched refuses a request for software that nobody vouches for; nil lets it
	// come.
	Unvouched func() error
}

// Admission is a registration that may go into the [Registry]; see
// [Registry.Admit].
type Admission struct {
	Metadata Metadata
	// Ecosystem is whose rules it was judged by.
	Ecosystem *Ecosystem
	// Statement is what was said of the software; nil if nothing was.
	Statement *Statement
	// StatementText is the software statement as it came; empty without one.
	StatementText string
	// Initial is the initial access token that is used by registering; nil for none.
	Initial *InitialToken

	replaces *Client
	spends   []spend
}

// spend is a jti that is used up by being registered with.
type spend struct {
	claims  string // name of the claims
	key     string
	until   time.Time
	check   string
	refusal oauth.Error // for whoever comes second
}

// judgement is one request on its way.
type judgement struct {
	*Registrar
	*Proposal
	event *oauth.Event
	now   time.Time

	members   map[string]stdjson.RawMessage // of the request
	request   *signed                       // the request, if it is signed
	statement *signed                       // nil without one
	text      string                        // the statement as it came
	issuer    *TrustedIssuer                // nil if nobody vouches for the software
	rules     *Ecosystem
	facts     *Statement
	metadata  Metadata
	spends    []spend
}

// Judge decides about a registration request. Every check goes into the event; a
// refusal is an [oauth.Error] with status 400, 401 without a client certificate
// where one is wanted, or 415. Nothing is spent or stored.
func (r *Registrar) Judge(ctx context.Context, proposal Proposal, event *oauth.Event) (*Admission, error) {
	j := &judgement{Registrar: r, Proposal: &proposal, event: event, now: r.config.Now()}
	for _, step := range []func(context.Context) error{
		j.read,
		j.readStatement,
		j.chooseRules,
		j.verifyStatement,
		j.checkCertificate,
		j.askDirectory,
		j.checkStanding,
		j.checkHolder,
		j.verifyRequest,
		j.checkReplaced,
		j.takeMembers,
		j.applyStatement,
		j.applyDefaults,
		j.settleScope,
		j.checkSettled,
		j.checkSector,
	} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return &Admission{
		Metadata: j.metadata, Ecosystem: j.rules, Statement: j.facts, StatementText: j.text, Initial: j.Initial,
		replaces: j.Replaces, spends: j.spends,
	}, nil
}

// spend notes a jti that is used up by the registration. It is remembered for as
// long as what it is of could be used.
func (j *judgement) spend(claims string, p *part, until time.Time, key ...string) {
	sum := sha256.Sum256([]byte(strings.Join(key, "\x00")))
	j.spends = append(j.spends, spend{
		claims: j.config.Realm + "/" + claims, key: string(sum[:]), until: until,
		check: p.name + " jti", refusal: p.refuse("the %s was used before", p.name),
	})
}

// fail records a check that failed and gives the refusal.
func (j *judgement) fail(check, expected, presented, advice string, refusal oauth.Error) error {
	j.event.Fail(check, expected, presented, advice)
	return refusal
}
