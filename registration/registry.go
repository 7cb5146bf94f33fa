package registration

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/oauth/jwk"
	"github.com/fapid/fapid/store"
)

// Config is what a [Registry] is made from. Store, Sealer, Policies and Grants
// must be set.
type Config struct {
	Realm    string // prefixes the store's table
	Store    store.Store
	Sealer   *store.Sealer // for client secrets, of this realm
	Policies func(name string) (*oauth.Policy, bool)
	// DefaultPolicy is for registrations that name none.
	DefaultPolicy string
	// Scopes are what the realm offers.
	Scopes oauth.Scope
	// SelfScopes are those of them that a client which registered itself may ever
	// be let give itself.
	SelfScopes oauth.Scope
	// Grants reports whether the realm offers a grant type.
	Grants func(grantType string) bool
	// Fetch is for jwks_uri; nil is one that goes to the public internet only.
	Fetch *Fetcher
	// Now is the realm's clock; nil is time.Now.
	Now func() time.Time
	// AllowTestKeys takes keys of package testkeys: in a sandbox only.
	AllowTestKeys bool
	// Initial are the initial access tokens that software is registered with.
	Initial *InitialTokens
	Quota   Quota
}

// Registry holds the clients of one realm. It is safe for concurrent use.
type Registry struct {
	rules rules
	table store.Table[record]
	// statements are the software statements that clients were registered with, by
	// client. They are read for an answer only, so they are not kept in memory.
	statements store.Table[string]
	now        func() time.Time

	writing sync.Mutex // one Put or Delete at a time

	mu      sync.RWMutex
	clients map[string]*Client
	ids     []string // sorted
	broken  map[string]broken
	// bySoftware are the clients of a software that somebody vouched for; reserved
	// software is being registered just now.
	bySoftware map[software][]string
	reserved   map[software]int

	initial *InitialTokens
	quota   Quota
	// selfMade counts the clients that registered themselves, and those that are
	// about to, by what let them: see [Metadata.RegisteredBy].
	selfMade map[string]int64
	looks    map[string][]string // clients by what their name looks like
	uses     store.Table[int64]  // when clients were used last, seconds since 1970
}

// record is a client as stored.
type record struct {
	Metadata Metadata    `json:"metadata"`
	Secret   *credential `json:"secret,omitempty"`
	// Access is of the registration access token; nil for none.
	Access *access `json:"registration_access,omitempty"`
}

// broken is a stored client that the rules in force no longer allow.
type broken struct {
	record record
	err    error
}

// Open reads all clients of the realm into memory. A client that the rules in
// force no longer allow (another policy, a test key outside a sandbox) is not
// served and listed by [Registry.Refused]; the others are.
func Open(ctx context.Context, config Config) (*Registry, error) {
	if config.Store == nil || config.Sealer == nil || config.Policies == nil || config.Grants == nil {
		return nil, errors.New("registration: Store, Sealer, Policies and Grants must be set")
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Fetch == nil {
		config.Fetch = NewFetcher(FetchConfig{})
	}
	r := &Registry{
		rules: rules{
			policies:      config.Policies,
			defaultPolicy: config.DefaultPolicy,
			scopes:        config.Scopes,
			selfScopes:    config.SelfScopes,
			grants:        config.Grants,
			sealer:        config.Sealer,
			fetch:         config.Fetch,
			allowTestKeys: config.AllowTestKeys,
		},
		table:      store.Table[record]{Store: config.Store, Name: config.Realm + "/client", Now: config.Now},
		statements: store.Table[string]{Store: config.Store, Name: config.Realm + "/software-statement", Now: config.Now},
		now:        config.Now,
		clients:    make(map[string]*Client),
		broken:     make(map[string]broken),
		bySoftware: make(map[software][]string),
		reserved:   make(map[software]int),
		initial:    config.Initial,
		quota:      config.Quota,
		selfMade:   make(map[string]int64),
		looks:      make(map[string][]string),
		uses:       store.Table[int64]{Store: config.Store, Name: config.Realm + "/client-use", Now: config.Now},
	}
	if err := r.load(ctx); err != nil {
		return nil, fmt.Errorf("registration: read the clients of realm %s: %w", config.Realm, err)
	}
	return r, nil
}

// load reads every record and builds its client, on all processors: parsing keys
// and certificates is what a large realm's start consists of.
func (r *Registry) load(ctx context.Context) error {
	var ids []string
	var records []record
	err := r.table.Scan(ctx, "", "", func(id string, rec record) (bool, error) {
		ids, records = append(ids, id), append(records, rec) // in key order
		return true, nil
	})
	if err != nil {
		return err
	}
	clients := make([]*Client, len(records))
	refusals := make([]error, len(records))
	var group sync.WaitGroup
	workers := runtime.GOMAXPROCS(0)
	for worker := range workers {
		group.Go(func() {
			for i := worker; i < len(records); i += workers {
				clients[i], refusals[i] = r.rules.build(records[i].Metadata, records[i].Secret, jwk.Stored)
			}
		})
	}
	group.Wait()
	for i, id := range ids {
		r.index(id, nil, &records[i].Metadata)
		if refusals[i] != nil {
			r.broken[id] = broken{records[i], refusals[i]}
			continue
		}
		clients[i].access, clients[i].use = records[i].Access, &use{}
		r.clients[id] = clients[i]
		r.ids = append(r.ids, id)
	}
	return r.loadUses(ctx)
}

// Get returns a client from memory.
func (r *Registry) Get(id string) (*Client, bool) {
	r.mu.RLock()
	client, ok := r.clients[id]
	r.mu.RUnlock()
	return client, ok
}

// Refused gives the stored clients that are not served, and why.
func (r *Registry) Refused() map[string]error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	reasons := make(map[string]error, len(r.broken))
	for id, b := range r.broken {
		reasons[id] = b.err
	}
	return reasons
}

// Put registers a client or replaces its registration: what m leaves out is
// gone, except the secret, which is kept while the method uses one. created
// tells the two apart. The registration is judged as a whole and is on disk
// before anybody is served by it; putting what is there already writes nothing.
// Refusals are invalid_client_metadata or invalid_redirect_uri.
func (r *Registry) Put(ctx context.Context, m Metadata) (client *Client, created bool, err error) {
	return r.PutIf(ctx, m, func(string, *Client) error { return nil })
}

// PutIf is Put where the judge has nothing against it. The judge is told the
// version of the registration there is, empty for none, and the client that there
// would be; no other change comes between.
func (r *Registry) PutIf(ctx context.Context, m Metadata, judge func(before string, after *Client) error) (client *Client, created bool, err error) {
	r.writing.Lock()
	defer r.writing.Unlock()

	before, known := r.held(m.ClientID)
	m = m.clone()
	r.rules.withDefaults(&m)
	if m.JWKS, err = compact(m.JWKS); err != nil {
		return nil, false, err
	}
	m.ClientIDIssuedAt = before.Metadata.ClientIDIssuedAt
	if !known {
		m.ClientIDIssuedAt = r.now().Unix()
	}
	if client, err = r.rules.build(m, before.Secret, jwk.Registered); err != nil {
		return nil, false, err
	}
	client.access = before.Access
	if err := judge(version(before, known), client); err != nil {
		return nil, false, err
	}
	if current, served := r.Get(client.ID); served && client.record().equal(before) {
		return current, false, nil
	}
	if err := r.table.Put(ctx, client.ID, client.record(), time.Time{}); err != nil {
		return nil, false, fmt.Errorf("store client %s: %w", quote(client.ID), err)
	}
	r.show(client)
	return client, !known, nil
}

// held is what the registry holds of a client, served or not.
func (r *Registry) held(id string) (record, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if client, ok := r.clients[id]; ok {
		return client.record(), true
	}
	b, ok := r.broken[id]
	return b.record, ok
}

// Version tells one state of the registration, the secret included, from another.
func (c *Client) Version() string { return versionOf(c.record()) }

func version(held record, known bool) string {
	if !known {
		return ""
	}
	return versionOf(held)
}

// registeredAs is what the registry holds of a client, served or not; nil for
// nobody. The caller holds mu.
func (r *Registry) registeredAs(id string) *Metadata {
	if client, ok := r.clients[id]; ok {
		return &client.Metadata
	}
	if b, ok := r.broken[id]; ok {
		return &b.record.Metadata
	}
	return nil
}

func (r *Registry) show(client *Client) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.index(client.ID, r.registeredAs(client.ID), &client.Metadata)
	client.use = &use{}
	if before, served := r.clients[client.ID]; served {
		client.use = before.use
	}
	r.clients[client.ID] = client
	delete(r.broken, client.ID)
	if at, found := slices.BinarySearch(r.ids, client.ID); !found {
		r.ids = slices.Insert(r.ids, at, client.ID)
	}
}

// Delete removes a client; the error is not_found when there is none.
func (r *Registry) Delete(ctx context.Context, id string) error {
	return r.DeleteIf(ctx, id, func(string) error { return nil })
}

// DeleteIf is Delete where the judge has nothing against it.
func (r *Registry) DeleteIf(ctx context.Context, id string, judge Judge) error {
	r.writing.Lock()
	defer r.writing.Unlock()
	held, known := r.held(id)
	if err := judge(version(held, known)); err != nil {
		return err
	}
	if !known {
		return oauth.NotFound("no client %s", quote(id))
	}
	return r.remove(ctx, id)
}

// remove deletes a client that there is. The caller holds writing.
func (r *Registry) remove(ctx context.Context, id string) error {
	if err := r.table.Store.Update(ctx, func(tx store.Tx) error { return r.deleteTx(tx, id) }); err != nil {
		return fmt.Errorf("delete client %s: %w", quote(id), err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget(id)
	return nil
}

// forget removes a client from memory. The caller holds mu.
func (r *Registry) forget(id string) {
	r.index(id, r.registeredAs(id), nil)
	delete(r.clients, id)
	delete(r.broken, id)
	if at, found := slices.BinarySearch(r.ids, id); found {
		r.ids = slices.Delete(r.ids, at, at+1)
	}
}

// List returns up to limit clients whose id is greater than after, by id.
func (r *Registry) List(after string, limit int) []*Client {
	r.mu.RLock()
	defer r.mu.RUnlock()
	ids := following(r.ids, after, limit)
	clients := make([]*Client, len(ids))
	for i, id := range ids {
		clients[i] = r.clients[id]
	}
	return clients
}

// compact drops the white space of a key set, so that how it was laid out does
// not make it another one.
func compact(jwks json.RawMessage) (json.RawMessage, error) {
	if jwks == nil {
		return nil, nil
	}
	var out bytes.Buffer
	if err := json.Compact(&out, jwks); err != nil {
		return nil, invalid("jwks", "is not JSON: %s", err.Error())
	}
	return out.Bytes(), nil
}

// equal compares what would be written.
func (r record) equal(other record) bool {
	mine, err := json.Marshal(r.Metadata)
	theirs, otherErr := json.Marshal(other.Metadata)
	return err == nil && otherErr == nil && bytes.Equal(mine, theirs) && r.Secret.equal(other.Secret) && r.Access.equal(other.Access)
}
