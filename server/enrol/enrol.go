// Package enrol makes working participants in one call: an organisation and its
// software in the directory, keys and certificates, a software statement, and a client
// that has registered itself with all that, through the same door as everybody else.
// Private keys are handed out and kept nowhere.
package enrol

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/fapid/fapid/certs"
	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/directory"
	"github.com/fapid/fapid/server/endpoint"
	"github.com/fapid/fapid/server/participant"
	"github.com/fapid/fapid/server/token"
	"github.com/fapid/fapid/store"
)

// Desk is where participants are made. Directory is nil where the server has none;
// then there is nothing to be had but an explanation.
type Desk struct {
	Store     store.Store
	Directory *directory.Directory
	CA        *certs.Authority
	// Ecosystem is that of an order which names none.
	Ecosystem string
	// Realms in order; the first is the directory's.
	Realms []Realm
	// Door serves the mTLS listener, where software registers itself.
	Door http.Handler
	Now  func() time.Time

	mu   sync.Mutex
	busy map[string]bool // names that somebody is at work on
}

// Realm is where participants register themselves.
type Realm struct {
	Name     string
	Site     *endpoint.Site
	Clients  *registration.Registry
	Sessions *token.Sessions
	// Ecosystems are those whose software registers itself here with what the
	// directory says of it, Scopes what it may have; none where no software registers
	// itself.
	Ecosystems []string
	Scopes     oauth.Scope
	Now        func() time.Time
}

// records are the participants there are, by name.
func (d *Desk) records() store.Table[participant.Record] {
	return store.Table[participant.Record]{Store: d.Store, Name: "participant", Now: d.Now}
}

// begin keeps others away from a name until end is called.
func (d *Desk) begin(name string) (end func(), err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.busy[name] {
		return nil, oauth.AlreadyExists("participant %s is being made or deleted just now", name)
	}
	if d.busy == nil {
		d.busy = map[string]bool{}
	}
	d.busy[name] = true
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.busy, name)
	}, nil
}

// open refuses where there is no directory.
func (d *Desk) open() error {
	if d.Directory == nil {
		return oauth.NotFound("this server has no directory of participants: its configuration lacks listeners.directory")
	}
	return nil
}

// Create makes a participant. When it fails, nothing of it is left; what a server that
// was killed has left is removed first. Refusals are invalid_request, already_exists,
// and those of the registration.
func (d *Desk) Create(ctx context.Context, order participant.Order) (*participant.Record, []certs.File, error) {
	plan, err := d.plan(order)
	if err != nil {
		return nil, nil, err
	}
	end, err := d.begin(plan.Name)
	if err != nil {
		return nil, nil, err
	}
	defer end()
	if err := d.vacate(ctx, plan.Name); err != nil {
		return nil, nil, err
	}
	e := &enrolment{Desk: d, plan: plan, record: participant.Record{
		Name: plan.Name, Ecosystem: plan.Ecosystem, Realm: plan.realm.Name, Auth: plan.Auth, Alg: plan.Alg,
		OrganisationID: oauth.NewUUID(), SoftwareID: oauth.NewUUID(), CreatedAt: d.Now().UTC().Truncate(time.Second),
	}}
	if err := e.makeKeys(); err != nil {
		return nil, nil, err
	}
	files, err := e.run(ctx)
	if err != nil {
		// Whoever has asked may have gone away; what is half done goes all the same.
		if undone := d.remove(context.WithoutCancel(ctx), &e.record); undone != nil {
			err = oauth.ServerError().Because("%w; and what was made is still there: %w", err, undone)
		}
		return nil, nil, err
	}
	return &e.record, files, nil
}

// vacate refuses a name that is taken, and removes what was never finished.
func (d *Desk) vacate(ctx context.Context, name string) error {
	there, err := d.records().Get(ctx, name)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil
	case err != nil:
		return err
	case there.ClientID == "":
		return d.remove(ctx, &there)
	}
	return oauth.AlreadyExists("there is a participant %s, of %s in realm %s; delete it first, or choose another name", name, there.Ecosystem, there.Realm)
}

// Delete removes a participant: its clients in all realms with their tokens, its
// software and its organisation; its certificates are revoked.
func (d *Desk) Delete(ctx context.Context, name string) error {
	if err := d.open(); err != nil {
		return err
	}
	end, err := d.begin(name)
	if err != nil {
		return err
	}
	defer end()
	record, err := d.Find(ctx, name)
	if err != nil {
		return err
	}
	return d.remove(ctx, record)
}

// remove can be repeated. The organisation goes first: nothing registers with its
// statements after that.
func (d *Desk) remove(ctx context.Context, record *participant.Record) error {
	err := d.Directory.DeleteOrganisation(ctx, record.OrganisationID, func(*directory.Organisation) error { return nil })
	if refusal, ok := errors.AsType[oauth.Error](err); err != nil && (!ok || refusal.Code != oauth.CodeNotFound) {
		return err
	}
	if err := d.Directory.Forget(ctx, record.SoftwareID); err != nil {
		return err
	}
	for _, realm := range d.Realms {
		for _, client := range realm.Clients.OfSoftware(registration.DirectoryIssuer, record.SoftwareID) {
			if err := realm.Clients.Delete(ctx, client); err != nil {
				return err
			}
			if err := realm.Sessions.EndClient(ctx, client); err != nil {
				return err
			}
		}
	}
	return d.records().Delete(ctx, record.Name)
}

// Find returns a participant by name; the error is not_found.
func (d *Desk) Find(ctx context.Context, name string) (*participant.Record, error) {
	record, err := d.records().Get(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		return nil, oauth.NotFound("no participant %s", oauth.Quote(name))
	}
	return &record, err
}

// List returns all participants, by name.
func (d *Desk) List(ctx context.Context) ([]participant.Record, error) {
	all := []participant.Record{}
	err := d.records().Scan(ctx, "", "", func(_ string, record participant.Record) (bool, error) {
		all = append(all, record)
		return true, nil
	})
	if err != nil {
		return nil, fmt.Errorf("participants: %w", err)
	}
	return all, nil
}
