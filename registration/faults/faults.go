// Package faults holds bad software statements and bad registration requests: each
// is a good one with one thing wrong, and says with which error it is refused and
// which check of the trace tells why. Testers trigger refusals with it on purpose;
// the registrar's own tests run on the same table.
package faults

import (
	"crypto"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
)

// Scene is where it happens: a realm whose ecosystem this is, a participant
// in it, and the keys of everybody.
type Scene struct {
	Ecosystem *registration.Ecosystem
	// Software is what the directory says of the participant's software when all is
	// well, without Issuer, IssuedAt, Expires and ID.
	Software registration.Statement
	// Other is likewise of other software of the same organisation.
	Other registration.Statement
	// StatementIssuer is the iss of statements, Audience the aud of signed requests.
	StatementIssuer, Audience string
	Keys                      map[Signer]Key
	Now                       time.Time
}

// Signer is somebody who signs.
type Signer string

// Who signs: the issuer of statements, the software, somebody nobody knows, and
// nobody, which leaves the signature empty.
const (
	Issuer   Signer = "issuer"
	Software Signer = "software"
	Stranger Signer = "stranger"
	Nobody   Signer = "nobody"
)

// Key is a signing key. Kid is what it is published by.
type Key struct {
	Kid     string
	Private crypto.Signer
}

// Certificate is the client certificate that an attempt is made with.
type Certificate string

// The certificates: the software's own, none, and those of others.
const (
	Own               Certificate = "own"
	NoCertificate     Certificate = "none"
	OtherSoftware     Certificate = "of other software"
	OtherOrganisation Certificate = "of another organisation"
)

// Attempt is a registration before it is signed and sent.
type Attempt struct {
	Statement *JWT // nil sends none
	// Request has the metadata as claims; it is signed where the ecosystem signs.
	Request     JWT
	Signed      bool
	MediaType   string
	Certificate Certificate
	// Second comes after the good attempt that it was made from was accepted; Update
	// changes that registration instead of making another.
	Second, Update bool
	// Directory changes what the directory of the server's process says of the
	// software now; software without an id is no more in it. Nil leaves it as it is.
	Directory func(*registration.Statement)
	// OfOther brings the good statement of the scene's other software instead.
	OfOther bool
	// StatementText, if set, is the statement as somebody else has signed it.
	StatementText string
	// Body, if set, is sent as it is.
	Body []byte
}

// Case is one thing that is wrong.
type Case struct {
	Name  string // unique within an ecosystem; words with dashes
	About string // what is wrong
	// Error is the code of the refusal, Check the check of the trace that fails.
	Error, Check string
	// Source is where an ecosystem demands the refusal; empty for what any server
	// should refuse.
	Source string
	Change func(*Attempt)
}

// Cases lists what can be wrong in an ecosystem.
func Cases(ecosystem *registration.Ecosystem) []Case {
	var cases []Case
	for _, list := range [][]row{signatures, dates, standings, certificates, bodies, members, signedRequests, updates, ofEcosystems} {
		for _, r := range list {
			if r.in == nil || r.in(ecosystem) {
				cases = append(cases, r.Case)
			}
		}
	}
	return cases
}

// Find returns a case of an ecosystem by its name.
func Find(ecosystem *registration.Ecosystem, name string) (Case, bool) {
	cases := Cases(ecosystem)
	at := slices.IndexFunc(cases, func(c Case) bool { return c.Name == name })
	if at < 0 {
		return Case{}, false
	}
	return cases[at], true
}

// row is a case and the ecosystems it is of; nil is all.
type row struct {
	in func(*registration.Ecosystem) bool
	Case
}

// stated are the ecosystems with software statements.
func stated(e *registration.Ecosystem) bool { return e.Statement.From != registration.FromCertificate }

// signing are those whose requests are signed, plain those whose are not.
func signing(e *registration.Ecosystem) bool { return e.Signs() }
func plain(e *registration.Ecosystem) bool   { return !e.Signs() && stated(e) }

// named are the ecosystems of these names.
func named(names ...string) func(*registration.Ecosystem) bool {
	return func(e *registration.Ecosystem) bool { return slices.Contains(names, e.Name) }
}

// where are the ecosystems with a demand.
func where(demands func(*registration.Ecosystem) bool) func(*registration.Ecosystem) bool {
	return func(e *registration.Ecosystem) bool { return stated(e) && demands(e) }
}

// Good is an attempt without fault; every one has ids of its own.
func (s *Scene) Good() Attempt {
	attempt := Attempt{
		Request:   JWT{Claims: map[string]any{}},
		Signed:    s.Ecosystem.Signs(),
		MediaType: s.Ecosystem.Request.MediaTypes[0], Certificate: Own,
	}
	if s.Ecosystem.Statement.From != registration.FromCertificate {
		attempt.Statement = s.statement(s.Software)
		maps.Copy(attempt.Request.Claims, s.metadata())
	}
	if attempt.Signed {
		attempt.Request.Header, attempt.Request.By = s.header(Software), Software
		maps.Copy(attempt.Request.Claims, map[string]any{
			"iss": s.Software.SoftwareID, "aud": s.Audience, "jti": rand.Text(),
			"iat": s.Now.Unix(), "exp": s.Now.Add(5 * time.Minute).Unix(),
		})
	}
	return attempt
}

// statement is a good one of the facts.
func (s *Scene) statement(facts registration.Statement) *JWT {
	dialect, _ := registration.FindDialect(s.Ecosystem.Dialect)
	facts.Issuer, facts.IssuedAt = s.StatementIssuer, s.Now.Unix()
	if dialect.Lifetime > 0 {
		facts.Expires = s.Now.Add(dialect.Lifetime).Unix()
	}
	if dialect.Unique {
		facts.ID = rand.Text()
	}
	return &JWT{Header: s.header(Issuer), Claims: dialect.Claims(&facts), By: Issuer}
}

// metadata is what the software asks to be registered with.
func (s *Scene) metadata() map[string]any {
	m := map[string]any{
		"token_endpoint_auth_method": oauth.AuthPrivateKeyJWT, "token_endpoint_auth_signing_alg": "PS256",
		"grant_types": []string{"client_credentials"}, "response_types": []string{},
		"redirect_uris": s.Software.RedirectURIs[:1],
	}
	for _, name := range s.Ecosystem.Required {
		if _, there := m[name]; !there {
			m[name] = required[name]
		}
	}
	return m
}

// required are values of members that some ecosystems want.
var required = map[string]any{
	"application_type": "web", "id_token_signed_response_alg": "PS256", "request_object_signing_alg": "PS256",
}

// Try makes a good attempt, and what is wrong of it. The good one is to be sent
// first where the bad one is Second.
func (s *Scene) Try(c Case) (good, bad Attempt) {
	good = s.Good()
	bad = good
	bad.Request = good.Request.clone()
	if good.Statement != nil {
		statement := good.Statement.clone()
		bad.Statement = &statement
	}
	c.Change(&bad)
	if bad.OfOther {
		bad.Statement = s.statement(s.Other)
	}
	return good, bad
}

// Statement signs the software statement of an attempt; empty if it has none.
func (s *Scene) Statement(a Attempt) (string, error) {
	if a.Statement == nil || a.StatementText != "" {
		return a.StatementText, nil
	}
	return a.Statement.compact(s)
}

// Built is an attempt as it is sent.
type Built struct {
	MediaType string
	Body      []byte
}

// Build signs an attempt.
func (s *Scene) Build(a Attempt) (Built, error) {
	if a.Body != nil {
		return Built{a.MediaType, a.Body}, nil
	}
	request := a.Request
	request.Claims = maps.Clone(request.Claims)
	if a.Statement != nil {
		statement, err := s.Statement(a)
		if err != nil {
			return Built{}, err
		}
		request.Claims["software_statement"] = statement
	}
	if a.Signed {
		text, err := request.compact(s)
		return Built{a.MediaType, []byte(text)}, err
	}
	body, err := json.Marshal(request.Claims)
	if err != nil {
		return Built{}, fmt.Errorf("faults: %w", err)
	}
	return Built{a.MediaType, body}, nil
}
