package users

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/store"
)

// Users are the users of a realm, served from memory; what is changed is on disk
// before anybody sees it. They are safe for concurrent use. A user that was handed
// out never changes: a change makes another one.
type Users struct {
	table store.Table[record]
	now   func() time.Time

	writing sync.Mutex // one change at a time

	mu         sync.RWMutex
	byID       map[string]*record
	byName     map[string]*record // folded
	byExternal map[string]*record
	byAccount  map[string]*record
	list       []*User // by creation; what readers hold of it is never written again
}

// record is a user as stored.
type record struct {
	User     User        `json:"user"`
	Password *credential `json:"password,omitempty"`
	Revision uint64      `json:"revision"` // of the version
	Number   uint64      `json:"number"`   // in the order of creation; clocks may stand still or go back
}

// Open reads the users of a realm into memory.
func Open(ctx context.Context, realm string, in store.Store, now func() time.Time) (*Users, error) {
	u := &Users{
		table: store.Table[record]{Store: in, Name: realm + "/user", Now: now}, now: now,
		byID: map[string]*record{}, byName: map[string]*record{}, byExternal: map[string]*record{}, byAccount: map[string]*record{},
	}
	err := u.table.Scan(ctx, "", "", func(_ string, r record) (bool, error) {
		r.User.number = r.Number
		u.index(&r)
		u.list = append(u.list, &r.User)
		return true, nil
	})
	if err != nil {
		return nil, fmt.Errorf("users: read those of realm %s: %w", realm, err)
	}
	slices.SortFunc(u.list, byCreation)
	return u, nil
}

func byCreation(a, b *User) int { return cmp.Compare(a.number, b.number) }

// Get gives a user by id.
func (u *Users) Get(id string) (*User, bool) { return u.find(&u.byID, id) }

// ByUserName gives a user by the name used to log in, in any case.
func (u *Users) ByUserName(name string) (*User, bool) { return u.find(&u.byName, Fold(name)) }

// ByExternalID gives a user by the id that its provisioning client gave it.
func (u *Users) ByExternalID(id string) (*User, bool) { return u.find(&u.byExternal, id) }

// ByAccount gives the owner of an account.
func (u *Users) ByAccount(id string) (*User, bool) { return u.find(&u.byAccount, id) }

func (u *Users) find(index *map[string]*record, key string) (*User, bool) {
	u.mu.RLock()
	defer u.mu.RUnlock()
	if r, ok := (*index)[key]; ok {
		return &r.User, true
	}
	return nil, false
}

// Named gives a user by id or, where there is none, by userName.
func (u *Users) Named(name string) (*User, bool) {
	if user, ok := u.Get(name); ok {
		return user, true
	}
	return u.ByUserName(name)
}

// List gives all users as they are now, the first to be created first. Change
// nothing in it.
func (u *Users) List() []*User {
	u.mu.RLock()
	defer u.mu.RUnlock()
	return u.list
}

// Page gives up to limit users whose userName comes after another one, by
// userName.
func (u *Users) Page(after string, limit int) []*User {
	sorted := slices.Clone(u.List())
	slices.SortFunc(sorted, byUserName)
	from, found := slices.BinarySearchFunc(sorted, &User{UserName: after}, byUserName)
	if found {
		from++
	}
	return sorted[from:min(len(sorted), from+max(limit, 0))]
}

func byUserName(a, b *User) int { return cmp.Compare(Fold(a.UserName), Fold(b.UserName)) }

// CheckPassword gives the user who logs in with that name and password, if there
// is one who may. It takes as long for names that nobody has.
func (u *Users) CheckPassword(userName, password string) (*User, bool) {
	u.mu.RLock()
	r := u.byName[Fold(userName)]
	u.mu.RUnlock()
	kept := nobody
	if r != nil && r.Password != nil {
		kept = r.Password
	}
	if len(password) > maxPassword || !kept.matches(password) || r.User.Active != Yes {
		return nil, false
	}
	return &r.User, true
}

// Create adds a user and gives it as it is kept: with an id, and without its
// password. Of any number of callers with the same userName, one succeeds and
// the others get the code uniqueness.
func (u *Users) Create(ctx context.Context, user User) (*User, error) {
	u.writing.Lock()
	defer u.writing.Unlock()
	return u.create(ctx, user)
}

// Update changes a user in place and gives it as it is then. change works on a
// copy and may refuse; a change that leaves everything as it was writes nothing.
// A password that change sets replaces the old one, otherwise that stays. The
// error is not_found when there is no such user.
func (u *Users) Update(ctx context.Context, id string, change func(*User) error) (*User, error) {
	u.writing.Lock()
	defer u.writing.Unlock()
	return u.update(ctx, id, change)
}

// Put adds a user, or replaces the one of the same userName except for what the
// server gives (id, meta) and, if the new record has none, the password. allow may
// refuse after a look at what is there, nil for nothing.
func (u *Users) Put(ctx context.Context, user User, allow func(before *User) error) (kept *User, created bool, err error) {
	u.writing.Lock()
	defer u.writing.Unlock()
	before, there := u.ByUserName(user.UserName)
	if err := allow(before); err != nil {
		return nil, false, err
	}
	if !there {
		kept, err = u.create(ctx, user)
		return kept, err == nil, err
	}
	kept, err = u.update(ctx, before.ID, func(into *User) error {
		into.Replace(user)
		return nil
	})
	return kept, false, err
}

// Replace takes over everything but what the server gives.
func (u *User) Replace(with User) {
	with.ID, with.Meta, with.number = u.ID, u.Meta, u.number
	*u = with
}

// Delete removes a user; the error is not_found when there is none. allow may
// refuse after a look at the user.
func (u *Users) Delete(ctx context.Context, id string, allow func(*User) error) error {
	u.writing.Lock()
	defer u.writing.Unlock()
	before, err := u.held(id)
	if err != nil {
		return err
	}
	if err := allow(&before.User); err != nil {
		return err
	}
	if err := u.table.Delete(ctx, id); err != nil {
		return fmt.Errorf("delete user %s: %w", id, err)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.unindex(before)
	at := u.position(&before.User)
	u.list = slices.Delete(slices.Clone(u.list), at, at+1)
	return nil
}

func (u *Users) held(id string) (*record, error) {
	u.mu.RLock()
	defer u.mu.RUnlock()
	if r, ok := u.byID[id]; ok {
		return r, nil
	}
	return nil, oauth.NotFound("no user %s", quote(id))
}

func (u *Users) create(ctx context.Context, user User) (*User, error) {
	now := u.now().UTC().Truncate(time.Millisecond)
	r := &record{User: *user.clone()}
	r.User.ID = oauth.NewUUID() // never used before, nor again
	r.User.Meta = Meta{ResourceType: "User", Created: now, LastModified: now}
	if list := u.List(); len(list) > 0 {
		r.Number = list[len(list)-1].number + 1
	}
	r.User.number = r.Number
	if err := u.settle(r, nil); err != nil {
		return nil, err
	}
	return u.keep(ctx, r, nil)
}

func (u *Users) update(ctx context.Context, id string, change func(*User) error) (*User, error) {
	before, err := u.held(id)
	if err != nil {
		return nil, err
	}
	r := &record{User: *before.User.clone(), Password: before.Password, Revision: before.Revision, Number: before.Number}
	if err := change(&r.User); err != nil {
		return nil, err
	}
	r.User.ID, r.User.Meta, r.User.number = before.User.ID, before.User.Meta, before.Number
	if err := u.settle(r, before); err != nil {
		return nil, err
	}
	if r.equal(before) {
		return &before.User, nil
	}
	r.User.Meta.LastModified = u.now().UTC().Truncate(time.Millisecond)
	return u.keep(ctx, r, before)
}

// settle checks the record, also against the others, and takes its password in.
func (u *Users) settle(r, before *record) error {
	if err := r.User.check(); err != nil {
		return err
	}
	u.mu.RLock()
	err := u.free(r, before)
	u.mu.RUnlock()
	if err != nil {
		return err
	}
	if password := string(r.User.Password); password != "" && (r.Password == nil || !r.Password.matches(password)) {
		r.Password = newCredential(password)
	}
	r.User.Password = ""
	return nil
}

// free refuses what another user has and only one may.
func (u *Users) free(r, before *record) error {
	taken := func(index map[string]*record, key, attribute string) error {
		if other, ok := index[key]; ok && other != before {
			return taken(attribute)
		}
		return nil
	}
	if err := taken(u.byName, Fold(r.User.UserName), "userName"); err != nil {
		return err
	}
	if err := taken(u.byExternal, r.User.ExternalID, "externalId"); err != nil {
		return err
	}
	for _, account := range r.User.Accounts {
		if err := taken(u.byAccount, account.ID, "account_id"); err != nil {
			return err
		}
	}
	return nil
}

// keep writes the record and then shows it in the place of the one before.
func (u *Users) keep(ctx context.Context, r, before *record) (*User, error) {
	r.Revision++
	r.User.Meta.Version = `W/"` + strconv.FormatUint(r.Revision, 10) + `"`
	if err := u.table.Put(ctx, r.User.ID, *r, time.Time{}); err != nil {
		return nil, fmt.Errorf("store user %s: %w", r.User.ID, err)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if before == nil {
		u.list = append(u.list, &r.User) // beyond what any reader sees
	} else {
		u.unindex(before)
		u.list = slices.Clone(u.list)
		u.list[u.position(&before.User)] = &r.User
	}
	u.index(r)
	return &r.User, nil
}

// position is where a user is in the list.
func (u *Users) position(user *User) int {
	at, _ := slices.BinarySearchFunc(u.list, user, byCreation)
	return at
}

func (u *Users) index(r *record) {
	u.byID[r.User.ID] = r
	u.byName[Fold(r.User.UserName)] = r
	if r.User.ExternalID != "" {
		u.byExternal[r.User.ExternalID] = r
	}
	for _, account := range r.User.Accounts {
		u.byAccount[account.ID] = r
	}
}

func (u *Users) unindex(r *record) {
	delete(u.byID, r.User.ID)
	delete(u.byName, Fold(r.User.UserName))
	delete(u.byExternal, r.User.ExternalID)
	for _, account := range r.User.Accounts {
		delete(u.byAccount, account.ID)
	}
}

// equal compares what would be written.
func (r *record) equal(other *record) bool {
	mine, err := json.Marshal(r.User)
	theirs, otherErr := json.Marshal(other.User)
	return err == nil && otherErr == nil && bytes.Equal(mine, theirs) && r.Password == other.Password
}
