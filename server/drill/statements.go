package drill

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/fapid/fapid/certs"
	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/registration/faults"
	"github.com/fapid/fapid/server/admin"
	"github.com/fapid/fapid/server/participant"
)

// Statements is the drill of registration in one ecosystem: software that brings bad
// statements and asks for what it may not have. Package faults has the cases. The
// software and its organisations are made in the directory for it, so that no
// participant is touched, and [Statements.Close] removes them.
type Statements struct {
	Operator  *admin.Client
	Realm     *admin.RealmView
	Provider  *participant.Provider
	Roots     *x509.CertPool
	Ecosystem *registration.Ecosystem
	Keys      *Keys

	// stage is what most cases happen on; those that change it have one of their own.
	stage *stage
	// organisations are those that were made.
	organisations []string
}

// Keys are private keys of nobody in particular, which every ecosystem's software has
// for the time of the drill: RSA keys take long to make.
type Keys struct {
	software, strangerRSA, strangerEC crypto.Signer
	// published tells that there is software with the key already.
	published bool
}

// NewKeys makes them.
func NewKeys() (*Keys, error) {
	var keys Keys
	var making sync.WaitGroup
	failures := make([]error, 3)
	for i, row := range []struct {
		key *crypto.Signer
		alg certs.KeyAlgorithm
	}{{&keys.software, certs.RSA2048}, {&keys.strangerRSA, certs.RSA2048}, {&keys.strangerEC, certs.P256}} {
		making.Go(func() { *row.key, failures[i] = certs.NewKey(row.alg) })
	}
	making.Wait()
	return &keys, errors.Join(failures...)
}

// Trusted lists the ecosystems by whose rules a realm believes the directory.
func Trusted(realm *admin.RealmView) []string {
	if realm.Registration == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(realm.Registration.Directory), func(name string) bool {
		return untrusted(realm, name) != nil
	})
}

// Choose finds an ecosystem, and whether there is anything to try by its rules.
func Choose(realm *admin.RealmView, name string) (*registration.Ecosystem, error) {
	ecosystem, known := registration.FindEcosystem(name)
	switch {
	case !known:
		return nil, fmt.Errorf("there is no ecosystem %q; there are %s", name, oauth.List(registration.Ecosystems()))
	case realm.Registration == nil:
		return nil, fmt.Errorf("no software registers itself at the realm %s: its configuration has no registration", realm.Name)
	}
	return ecosystem, untrusted(realm, name)
}

// Place is an ecosystem at a realm that believes the directory by its rules.
type Place struct {
	Realm     *admin.RealmView
	Ecosystem *registration.Ecosystem
}

// Places finds a realm for each ecosystem of those names, or where there are none for
// each that has one: the first of the realms that will do.
func Places(realms []admin.RealmView, names []string) (places []Place, err error) {
	all := len(names) == 0
	for i := range realms {
		if all {
			names = append(names, Trusted(&realms[i])...)
		}
	}
	var placed []string
	for _, name := range names {
		if slices.Contains(placed, name) {
			continue
		}
		place, err := placeOf(realms, name)
		if err != nil {
			return nil, err
		}
		placed, places = append(placed, name), append(places, place)
	}
	return places, nil
}

// placeOf is the first realm that will do; the reason why none does is the first
// realm's.
func placeOf(realms []admin.RealmView, name string) (Place, error) {
	var first error
	for i := range realms {
		ecosystem, err := Choose(&realms[i], name)
		if err == nil {
			return Place{&realms[i], ecosystem}, nil
		}
		if first == nil {
			first = err
		}
	}
	return Place{}, first
}

func untrusted(realm *admin.RealmView, name string) error {
	ecosystem, known := registration.FindEcosystem(name)
	if !known || !slices.Contains(realm.Registration.Directory, name) {
		return fmt.Errorf("the realm %s does not believe the directory by the rules of %s; registration.directory has %s", realm.Name, name, oauth.List(realm.Registration.Directory))
	}
	if ecosystem.Statement.From == registration.FromCertificate && realm.Registration.Ecosystem != name {
		return fmt.Errorf("software of %s brings no statement, and the realm %s judges such by the rules of %s; registration.ecosystem says so", name, realm.Name, realm.Registration.Ecosystem)
	}
	return nil
}

// good is the control: where nothing is accepted, a refusal proves nothing.
var good = faults.Case{Name: "good", About: "a registration without fault", Change: func(*faults.Attempt) {}}

// Cases are the whole family. To try one, software is made as far as it is needed.
func (d *Statements) Cases() []Case {
	var cases []Case
	for _, wrong := range append([]faults.Case{good}, faults.Cases(d.Ecosystem)...) {
		cases = append(cases, Case{
			Family: d.Ecosystem.Name, Name: wrong.Name, About: wrong.About, Source: wrong.Source,
			Error: wrong.Error, Check: wrong.Check, Skipped: d.skipped(wrong),
			try: func(ctx context.Context) (*participant.Reply, error) { return d.try(ctx, wrong) },
		})
	}
	return cases
}

// skipped is why a case cannot be tried at this realm.
func (d *Statements) skipped(wrong faults.Case) string {
	bad := d.shape(wrong)
	_, object := bad.Request.Claims["software_statement"]
	switch rules := d.Realm.Registration.Ecosystem; {
	case bad.Signed && bad.Request.By == faults.Issuer:
		return "the directory signs statements, and no requests"
	case bad.Statement == nil && !object && !bad.Update && rules != d.Ecosystem.Name:
		return "without a statement it is judged by the rules of " + rules + " here"
	}
	return ""
}

// shape is a case of no software in particular.
func (d *Statements) shape(wrong faults.Case) faults.Attempt {
	scene := faults.Scene{Ecosystem: d.Ecosystem, Software: registration.Statement{RedirectURIs: redirectURIs()}}
	_, bad := scene.Try(wrong)
	return bad
}

// attempt is a case as it is sent.
type attempt struct {
	*stage
	// first is the good registration that comes before, nil for none; update tells
	// that the other changes it.
	first  *sent
	update bool
	// steps are what happens in the directory before the other.
	steps []step
	sent  sent
}

// sent is one request.
type sent struct {
	faults.Built
	statement   string // empty for none
	certificate faults.Certificate
}

// prepare makes what a case is tried with.
func (d *Statements) prepare(ctx context.Context, wrong faults.Case) (*attempt, error) {
	shape := d.shape(wrong)
	stage, err := d.stageFor(ctx, shape)
	if err != nil {
		return nil, err
	}
	a := &attempt{stage: stage, update: shape.Update}
	if shape.Directory != nil {
		a.steps = stage.steps(shape.Directory)
		stage.leaves = slices.ContainsFunc(a.steps, func(s step) bool { return s.path == stage.at() && s.body == nil })
	}
	for _, of := range []faults.Certificate{faults.Own, faults.OtherSoftware} {
		if of == faults.Own || shape.OfOther { // there is other software when it has a certificate
			if _, err := d.holder(ctx, stage, of); err != nil {
				return nil, err
			}
		}
	}
	signed, err := d.signed(ctx, stage, wrong.Name)
	if err != nil {
		return nil, err
	}
	scene := d.scene(stage, signed)
	first, bad := scene.Try(wrong)
	first.StatementText = signed.Good
	if bad.Statement != nil && bad.Statement.By == faults.Issuer {
		bad.StatementText = signed.Bad
	}
	if bad.Second {
		a.first = &sent{}
		if *a.first, err = build(scene, first); err != nil {
			return nil, err
		}
	}
	a.sent, err = build(scene, bad)
	return a, err
}

func build(scene *faults.Scene, a faults.Attempt) (sent, error) {
	built, err := scene.Build(a)
	if err != nil {
		return sent{}, err
	}
	statement, err := scene.Statement(a)
	return sent{built, statement, a.Certificate}, err
}

// stageFor is where a case happens. What the directory is to say of software it has
// to say of no other case's.
func (d *Statements) stageFor(ctx context.Context, shape faults.Attempt) (*stage, error) {
	if shape.Directory != nil {
		return d.newStage(ctx)
	}
	if d.stage == nil {
		var err error
		if d.stage, err = d.newStage(ctx); err != nil {
			return nil, err
		}
	}
	return d.stage, nil
}

// try makes an attempt, and removes what it has registered.
func (d *Statements) try(ctx context.Context, wrong faults.Case) (reply *participant.Reply, err error) {
	a, err := d.prepare(ctx, wrong)
	if err != nil {
		return nil, err
	}
	if a.stage != d.stage {
		defer func() { err = errors.Join(err, d.remove(ctx, a.stage)) }()
	}
	var client registered
	if a.first != nil {
		reply, err := d.register(ctx, a, a.first)
		if err != nil {
			return nil, err
		}
		if client, err = d.registered(a.stage, reply); err != nil {
			return nil, fmt.Errorf("the good one that comes first: %w", err)
		}
		defer func() { err = errors.Join(err, d.forget(ctx, client)) }()
	}
	for _, step := range a.steps {
		if _, err := d.call(ctx, step); err != nil {
			return nil, err
		}
	}
	if a.update {
		return d.change(ctx, a, client)
	}
	if reply, err = d.register(ctx, a, &a.sent); err != nil {
		return nil, err
	}
	if made, err := d.registered(a.stage, reply); err == nil {
		return reply, d.forget(ctx, made)
	}
	return reply, nil
}

// Close removes what was made in the directory.
func (d *Statements) Close(ctx context.Context) error {
	var failures []error
	for _, id := range d.organisations {
		failures = append(failures, d.deleteOrganisation(ctx, id))
	}
	if d.stage != nil {
		d.stage.close()
	}
	d.organisations, d.stage = nil, nil
	return errors.Join(failures...)
}
