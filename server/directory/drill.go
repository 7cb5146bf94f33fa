package directory

import (
	"context"
	"net/http"
	"time"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/registration/faults"
	"github.com/fapid/fapid/server/endpoint"
)

// Faulty are the statements of a case of package faults.
type Faulty struct {
	// IssuedAt is the directory's time, in seconds since 1970.
	IssuedAt int64 `json:"iat"`
	// Good is what the directory says of the software, Bad the same with what is wrong
	// of it. Bad is empty where it is not the directory that signs it.
	Good string `json:"good"`
	Bad  string `json:"bad,omitempty"`
}

// Faulty makes the statements of a case, so that a tester can have every refusal on
// purpose. What a directory signs is believed, so that very little can be had: the
// directory is a sandbox's, the software is of an organisation that its operator made
// for a drill and for nothing else, and what is wrong is one of the cases of the
// table and never what the caller would like to say.
func (d *Directory) Faulty(software, ecosystem, name string) (*Faulty, error) {
	if !d.config.Sandbox {
		return nil, denied("only the directory of a sandbox makes bad statements")
	}
	s, ok := find(d, &d.software, software)
	if !ok {
		return nil, oauth.NotFound("no software statement %s", oauth.Clip(software))
	}
	o, ok := find(d, &d.organisations, s.OrganisationID)
	if !ok || !o.Drill {
		return nil, denied("bad statements are made of software whose organisation was made for a drill")
	}
	rules, ok := registration.FindEcosystem(ecosystem)
	if !ok || rules.Statement.From == registration.FromCertificate {
		return nil, oauth.InvalidRequest("ecosystem is %q, and has to be one with software statements", oauth.Clip(ecosystem))
	}
	wrong, ok := faults.Find(rules, name)
	if !ok {
		return nil, oauth.InvalidRequest("case is %q, and there is none of that name in %s", oauth.Clip(name), rules.Name)
	}
	return d.faulty(o, s, rules, wrong)
}

func (d *Directory) faulty(o *Organisation, s *SoftwareStatement, rules *registration.Ecosystem, wrong faults.Case) (*Faulty, error) {
	dialect, ok := registration.FindDialect(rules.Dialect)
	if !ok {
		return nil, oauth.ServerError().Because("no dialect %s", rules.Dialect)
	}
	key := d.keyring.Active(d.statementAlg(dialect))
	if key == nil {
		return nil, oauth.ServerError().Because("no key to sign statements of %s with", dialect.Name)
	}
	facts, other := d.statement(o, s, dialect), registration.Statement{}
	for _, software := range list(d, &d.software, func(other *SoftwareStatement) bool { return other.OrganisationID == o.ID && other.ID != s.ID }) {
		other = d.statement(o, software, dialect)
	}
	scene := faults.Scene{
		Ecosystem: rules, Software: facts, Other: other, StatementIssuer: facts.Issuer, Now: time.Unix(facts.IssuedAt, 0),
		Keys: map[faults.Signer]faults.Key{faults.Issuer: {Kid: key.ID, Private: key.Signer}},
	}
	made := &Faulty{IssuedAt: facts.IssuedAt}
	good, bad := scene.Try(wrong)
	if bad.OfOther && other.SoftwareID == "" {
		return nil, conflict("the organisation has no other software, whose statement it could be")
	}
	var err error
	if made.Good, err = scene.Statement(good); err != nil {
		return nil, err
	}
	if bad.Statement != nil && bad.Statement.By == faults.Issuer {
		made.Bad, err = scene.Statement(bad)
	}
	return made, err
}

// makeFault serves [Directory.Faulty] to the operator.
func (d *Directory) makeFault(_ context.Context, r *endpoint.Request, _ caller) (*endpoint.Answer, error) {
	s, err := d.statementAt(r)
	if err != nil {
		return nil, err
	}
	values, err := query(r, "ecosystem", "case")
	if err != nil {
		return nil, err
	}
	made, err := d.Faulty(s.ID, values.Get("ecosystem"), values.Get("case"))
	if err != nil {
		return nil, err
	}
	r.Event.Pass("bad software statement", "software made for a drill", "case "+values.Get("case")+" of "+values.Get("ecosystem"))
	return &endpoint.Answer{Status: http.StatusOK, JSON: made}, nil
}
