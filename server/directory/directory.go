// Package directory is the sandbox's trust framework, in the shape of Raidiam
// Connect: organisations and the roles that authorities gave them, their software
// statements, authorisation servers, certificates and keys. It serves the API that
// a participant uses with its own token, the operator's, and the documents that
// anybody may read: the participants and their key sets.
//
// Records are served from memory and are on disk before anybody sees them.
package directory

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fapid/fapid/certs"
	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/token"
	"github.com/fapid/fapid/store"
)

// Config is what a [Directory] is made from. Store, Sealer, CA, URL, Now and
// Ecosystem must be set.
type Config struct {
	Store  store.Store
	Sealer *store.Sealer // for the keys that sign software statements
	CA     *certs.Authority
	// URL is the directory's listener, without a trailing slash.
	URL string
	// Now is the clock of the realm whose clients the software is.
	Now func() time.Time
	// Ecosystem names the dialect of statements whose software names none.
	Ecosystem string
	// StatementAlg signs statements where the ecosystem takes it; empty is the
	// ecosystem's usual one.
	StatementAlg string
	// Lock locks a software statement when its assertion is made.
	Lock bool
	// Sandbox lets the operator have bad statements made on purpose, of software that
	// was made for it.
	Sandbox bool
	// AllowTestKeys takes keys of package testkeys: in a sandbox only.
	AllowTestKeys bool
}

// tables is where the records are; no realm can have a slash in its name.
const tables = "directory/"

// statementLife is how long a retired key stays published: some ecosystems'
// statements have no end, and are kept for weeks.
const statementLife = 90 * 24 * time.Hour

// Directory holds the records. It is safe for concurrent use.
type Directory struct {
	config  Config
	keyring *token.Keyring
	ids     store.Claims // every id and kid there has ever been
	clients *registration.Registry

	writing sync.Mutex // one change at a time
	mu      sync.RWMutex
	changes atomic.Uint64 // counts them, once memory shows them

	organisations records[Organisation]
	software      records[SoftwareStatement]
	servers       records[AuthorisationServer]
	keys          records[Key]
	byClient      map[string]*SoftwareStatement // by ClientId
	byThumbprint  map[string]string             // the records of the keys with certificates
	byOwner       map[string]map[string]*Key    // keys by owner and kid
}

// Open reads the records into memory, and makes the keys that sign statements if
// there are none.
func Open(ctx context.Context, config Config) (*Directory, error) {
	d := &Directory{
		config:        config,
		ids:           store.Claims{Store: config.Store, Name: tables + "id"},
		organisations: recordsOf[Organisation](&config, "organisation"),
		software:      recordsOf[SoftwareStatement](&config, "software"),
		servers:       recordsOf[AuthorisationServer](&config, "server"),
		keys:          recordsOf[Key](&config, "key"),
		byClient:      map[string]*SoftwareStatement{},
		byThumbprint:  map[string]string{},
		byOwner:       map[string]map[string]*Key{},
	}
	var err error
	if d.keyring, err = token.OpenKeyring(ctx, token.KeyringConfig{
		Realm: tables + "ssa", Store: config.Store, Sealer: config.Sealer, Now: config.Now,
		Algs: StatementAlgs, LongestToken: statementLife,
	}); err != nil {
		return nil, fmt.Errorf("directory: %w", err)
	}
	for _, load := range []func(context.Context) error{d.organisations.load, d.software.load, d.servers.load, d.keys.load} {
		if err := load(ctx); err != nil {
			return nil, fmt.Errorf("directory: %w", err)
		}
	}
	for _, software := range d.software.byID {
		d.byClient[software.ClientID] = software
	}
	for _, key := range d.keys.byID {
		d.index(key)
	}
	return d, nil
}

// StatementAlgs are the JWS algorithms that statements can be signed with.
var StatementAlgs = []string{"PS256", "ES256"}

// Register says where software is registered as clients. It is called once,
// before anything is changed.
func (d *Directory) Register(clients *registration.Registry) { d.clients = clients }

// URL is where the directory is, without a trailing slash.
func (d *Directory) URL() string { return d.config.URL }

// Keyring holds the keys that sign statements.
func (d *Directory) Keyring() *token.Keyring { return d.keyring }

// records are those of one kind, in memory by id. The maps are guarded by the
// directory's lock; what they point to is never changed, only replaced.
type records[T any] struct {
	table store.Table[T]
	byID  map[string]*T
}

func recordsOf[T any](config *Config, kind string) records[T] {
	return records[T]{
		table: store.Table[T]{Store: config.Store, Name: tables + kind, Now: config.Now},
		byID:  map[string]*T{},
	}
}

func (r *records[T]) load(ctx context.Context) error {
	return r.table.Scan(ctx, "", "", func(id string, record T) (bool, error) {
		r.byID[id] = &record
		return true, nil
	})
}

// edit is a part of a change: what is written, and what memory shows afterwards.
type edit struct {
	write func(store.Tx) error
	show  func()
}

func (r *records[T]) put(id string, record *T) edit {
	return edit{
		write: func(tx store.Tx) error { return r.table.PutTx(tx, id, *record, time.Time{}) },
		show:  func() { r.byID[id] = record },
	}
}

func (r *records[T]) remove(id string) edit {
	return edit{
		write: func(tx store.Tx) error { return tx.Delete(r.table.Name, []byte(id)) },
		show:  func() { delete(r.byID, id) },
	}
}

// claim takes an id for good: also when its record is gone, it is never given to
// another.
func (d *Directory) claim(id string) edit {
	return edit{
		write: func(tx store.Tx) error { return d.ids.ClaimTx(tx, id, time.Time{}) },
		show:  func() {},
	}
}

// commit makes a change whole: on disk, then in memory. The caller holds writing.
func (d *Directory) commit(ctx context.Context, edits ...edit) error {
	err := d.config.Store.Update(ctx, func(tx store.Tx) error {
		for _, edit := range edits {
			if err := edit.write(tx); err != nil {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, store.ErrExists) {
		return conflict("the id or kid is taken, or was once; choose another, or leave it out").Because("%w", err)
	}
	if err != nil {
		return oauth.TemporarilyUnavailable().Because("directory: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, edit := range edits {
		edit.show()
	}
	d.changes.Add(1)
	return nil
}

// find returns a record from memory; do not change what it holds.
func find[T any](d *Directory, r *records[T], id string) (*T, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	record, ok := r.byID[id]
	return record, ok
}

// list returns the records that keep accepts, in the order of their ids.
func list[T any](d *Directory, r *records[T], keep func(*T) bool) []*T {
	d.mu.RLock()
	defer d.mu.RUnlock()
	var ids []string
	for id, record := range r.byID {
		if keep(record) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	found := make([]*T, len(ids))
	for i, id := range ids {
		found[i] = r.byID[id]
	}
	return found
}

// Organisation, Software and Server find a record by its id; do not change what
// it holds.
func (d *Directory) Organisation(id string) (*Organisation, bool) {
	return find(d, &d.organisations, id)
}

// Software finds a software statement.
func (d *Directory) Software(id string) (*SoftwareStatement, bool) { return find(d, &d.software, id) }

// Server finds an authorization server.
func (d *Directory) Server(id string) (*AuthorisationServer, bool) { return find(d, &d.servers, id) }

// now is the time as records write it.
func (d *Directory) now() time.Time { return d.config.Now().UTC().Truncate(time.Second) }

// Standing says why a client may have no tokens and use none: the directory knows
// its software, and that or its organisation is not Active, or in no role any more
// that let it register. It is asked on every request, and looks at one map for a client
// that is none of the directory's.
func (d *Directory) Standing(client *registration.Client) *registration.Suspended {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if software, ok := d.byClient[client.ID]; ok {
		if suspended := d.standing(software); suspended != nil {
			return suspended
		}
	}
	return d.vouched(client)
}

// Vouched is Standing for the clients of other realms, whose ids mean nothing here:
// it looks at those that were registered with a statement of the directory.
func (d *Directory) Vouched(client *registration.Client) *registration.Suspended {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.vouched(client)
}

func (d *Directory) vouched(client *registration.Client) *registration.Suspended {
	if client.Metadata.SoftwareStatementIssuer != registration.DirectoryIssuer {
		return nil
	}
	software, ok := d.software.byID[client.Metadata.SoftwareID]
	if !ok {
		return notActive("software %s has been removed from the directory", oauth.Clip(client.Metadata.SoftwareID))
	}
	if suspended := d.standing(software); suspended != nil {
		return suspended
	}
	rules, known := registration.FindEcosystem(client.Metadata.Ecosystem)
	if known && rules.WantsRole() && !d.inRole(software, rules.Admits) {
		return &registration.Suspended{
			Expected: "software in an active role of " + rules.About, Presented: "software " + software.ID + " is in none",
			Advice: "have the directory make a role of the organisation and of the software active again", Public: "the client's software has no active role in the directory",
		}
	}
	return nil
}

// standing looks at the status of software and of its organisation. The caller
// holds the lock.
func (d *Directory) standing(software *SoftwareStatement) *registration.Suspended {
	if software.Status != statusActive {
		return notActive("software %s is %s in the directory", software.ID, software.Status)
	}
	organisation, ok := d.organisations.byID[software.OrganisationID]
	if !ok || organisation.Status != statusActive {
		status := "unknown"
		if ok {
			status = organisation.Status
		}
		return notActive("organisation %s is %s in the directory", software.OrganisationID, status)
	}
	return nil
}

func notActive(format string, args ...any) *registration.Suspended {
	return &registration.Suspended{
		Expected: "Active software of an Active organisation", Presented: fmt.Sprintf(format, args...),
		Advice: "have the directory make it Active again", Public: "the client's software is not active in the directory",
	}
}
