package registration

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/oauth/jwk"
	"github.com/fapid/fapid/store"
)

// software is a piece of software by who vouches for it.
type software struct{ issuer, id string }

// software is what the registration is of; vouched is false if nobody says so but
// the client.
func (m *Metadata) software() (of software, vouched bool) {
	return software{m.SoftwareStatementIssuer, m.SoftwareID}, m.SoftwareStatementIssuer != ""
}

// Admitted is a client that has registered itself.
type Admitted struct {
	Client  *Client
	Created bool // false for an update
	// Secret is the client secret that was made for it; empty if none was.
	Secret string
	// RegistrationToken is its new registration access token; empty if the one it
	// has stays, or it has none.
	RegistrationToken string
}

// ErrChanged says that a client was changed between an update of it being judged and
// being admitted: it has to be judged again, by what there is now.
var ErrChanged = errors.New("the client was changed meanwhile")

// Admit registers a client that a [Registrar] has admitted, or replaces its
// registration. The client and its software statement are written, and what may be
// used once is spent, in one transaction: of any number of equal requests one wins.
// Of requests for one software one wins, too, where its ecosystem has one
// registration of it. Refusals are those of [Registry.Put], the ecosystem's for
// duplicates and for what is spent, too_many_requests beyond a quota, access_denied
// for a client that the operator has locked or disabled, not_found for one that has
// been deleted meanwhile, and temporarily_unavailable with [ErrChanged].
func (r *Registry) Admit(ctx context.Context, a *Admission, event *oauth.Event) (*Admitted, error) {
	replaces, release, err := r.reserve(a, event)
	if err != nil {
		return nil, err
	}
	defer release()
	// A new client has an id that nobody knows, so that those who register need not
	// wait for each other.
	if replaces != nil || a.Ecosystem.OwnClientID {
		r.writing.Lock()
		defer r.writing.Unlock()
	}
	m := a.Metadata.clone()
	kept, err := r.succeed(&m, replaces, event)
	if err != nil {
		return nil, err
	}
	if a.replaces == nil && replaces != nil { // an update has been judged so already
		a.Ecosystem.keepOperators(&replaces.Metadata, &m)
	}
	admitted, err := r.admitted(&m, kept)
	if err != nil {
		if refusal, ok := errors.AsType[oauth.Error](err); ok {
			event.Fail("client metadata", "what every client of policy "+m.Policy+" has to be", refusal.Description, "change that member; the operator decides about the policy")
		}
		return nil, err
	}
	admitted.Created = replaces == nil
	if replaces != nil {
		admitted.Client.access = replaces.access
	}
	if rule := a.Ecosystem.Management; rule.With == RegistrationToken && (admitted.Client.access == nil || rule.Rotated) {
		admitted.RegistrationToken = admitted.Client.newAccess(r.now())
	}
	if err := r.writeAdmitted(ctx, admitted.Client, a, event); err != nil {
		return nil, err
	}
	r.show(admitted.Client)
	return admitted, nil
}

// admitted builds the client, with a secret where its method wants one that it does
// not have.
func (r *Registry) admitted(m *Metadata, kept *credential) (admitted *Admitted, err error) {
	r.rules.withDefaults(m)
	if m.JWKS, err = compact(m.JWKS); err != nil {
		return nil, err
	}
	admitted = &Admitted{}
	if wantsSecret(m.TokenEndpointAuthMethod, kept) {
		admitted.Secret = newSecret()
		m.ClientSecret = Secret(admitted.Secret)
	}
	admitted.Client, err = r.rules.build(*m, kept, jwk.Registered)
	return admitted, err
}

// reserve keeps others from registering the same software until release is called,
// where the ecosystem has one registration of it, and keeps the room that the client
// takes. replaces is the registration that gives way.
func (r *Registry) reserve(a *Admission, event *oauth.Event) (replaces *Client, release func(), err error) {
	of, vouched := a.Metadata.software()
	by := a.Metadata.RegisteredBy
	r.mu.Lock()
	defer r.mu.Unlock()
	if replaces = a.replaces; vouched {
		if replaces, err = r.duplicate(a, of, event); err != nil {
			return nil, nil, err
		}
	}
	if err := r.room(a, replaces, event); err != nil {
		return nil, nil, err
	}
	if replaces == nil {
		r.count(by, 1)
	}
	r.reserved[of]++
	return replaces, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if replaces == nil {
			r.count(by, -1)
		}
		if r.reserved[of]--; r.reserved[of] == 0 {
			delete(r.reserved, of)
		}
	}, nil
}

// duplicate looks at who else is registered for the software. The caller holds mu.
func (r *Registry) duplicate(a *Admission, of software, event *oauth.Event) (replaces *Client, err error) {
	first := "" // of the others
	for _, id := range r.bySoftware[of] {
		if a.replaces != nil && id == a.replaces.ID {
			continue
		}
		if first == "" {
			first = id
		}
		// What the operator has disabled does not come back as another client.
		if m := r.registeredAs(id); m.Disabled {
			event.Fail("software standing", "software of which the operator has disabled no client", "client "+oauth.Shown(id)+" is disabled", "have the operator enable it, or delete it")
			return nil, oauth.UnapprovedSoftwareStatement("a client of the software %s is disabled here", quote(of.id))
		}
	}
	rule := a.Ecosystem.Duplicates
	if rule.Do == AllowDuplicates {
		return a.replaces, nil
	}
	if r.reserved[of] > 0 || first != "" && (rule.Do == RefuseDuplicates || a.replaces != nil) {
		event.Fail("duplicate software", "software that is not registered here", oauth.Shown(of.id)+" is registered", "update the registration there is, or delete it first")
		code := rule.Error
		if code == "" {
			code = oauth.CodeUnapprovedStatement
		}
		return nil, oauth.BadRegistration(code, "the software %s is registered already", quote(of.id))
	}
	if first != "" && a.replaces == nil {
		return r.clients[first], nil
	}
	return a.replaces, nil
}

// succeed has the registration take the place of another, or makes sure that it
// takes nobody's.
func (r *Registry) succeed(m *Metadata, replaces *Client, event *oauth.Event) (kept *credential, err error) {
	if replaces == nil {
		if _, taken := r.held(m.ClientID); taken {
			event.Fail("client_id", "an id that no client has", oauth.Shown(m.ClientID), "register at another realm, or have the operator delete the client there is")
			return nil, oauth.UnapprovedSoftwareStatement("there is a client with the id of the software already")
		}
		m.ClientIDIssuedAt = r.now().Unix()
		return nil, nil
	}
	current, known := r.Get(replaces.ID)
	switch {
	case !known:
		return nil, oauth.NotFound("no client %s", quote(replaces.ID))
	case current != replaces: // what was judged is not what is there any more
		return nil, oauth.TemporarilyUnavailable().Because("client %s: %w", replaces.ID, ErrChanged)
	}
	if err := replaces.MayChangeItself(event); err != nil {
		return nil, err
	}
	m.ClientID, m.ClientIDIssuedAt = replaces.ID, replaces.Metadata.ClientIDIssuedAt
	return replaces.secret, nil
}

// writeAdmitted writes the client with its statement and spends what is spent.
func (r *Registry) writeAdmitted(ctx context.Context, client *Client, a *Admission, event *oauth.Event) error {
	var used *spend
	err := r.table.Store.Update(ctx, func(tx store.Tx) error {
		for i := range a.spends {
			once := &a.spends[i]
			if err := tx.Claim(once.claims, []byte(once.key), once.until); err != nil {
				if errors.Is(err, store.ErrExists) {
					used = once
				}
				return err
			}
		}
		if a.StatementText != "" {
			if err := r.statements.PutTx(tx, client.ID, a.StatementText, time.Time{}); err != nil {
				return err
			}
		}
		if a.Initial != nil {
			if err := r.initial.use(tx, a.Initial.ID); err != nil {
				return err
			}
		}
		return r.table.PutTx(tx, client.ID, client.record(), time.Time{})
	})
	switch {
	case errors.Is(err, errTokenEnded):
		event.Fail("initial access token", "one that may be used", "used up, or deleted", "ask the operator for another")
		return oauth.InvalidToken("the initial access token is not valid").Because("%w", err)
	case used != nil && err != nil:
		event.Fail(used.check, "one that was not used before", "used before", "make or fetch a new one for every registration")
		return used.refusal
	case err != nil:
		return fmt.Errorf("store client %s: %w", quote(client.ID), err)
	}
	return nil
}

// index notes what a client is registered for and as, now and before: software, who
// let it register, what its name looks like. The caller holds mu.
func (r *Registry) index(id string, before, after *Metadata) {
	if before != nil {
		if of, vouched := before.software(); vouched {
			without(r.bySoftware, of, id)
		}
		without(r.looks, look(before.ClientName), id)
		r.count(before.RegisteredBy, -1)
	}
	if after != nil {
		if of, vouched := after.software(); vouched {
			r.bySoftware[of] = append(r.bySoftware[of], id)
		}
		if name := look(after.ClientName); name != "" {
			r.looks[name] = append(r.looks[name], id)
		}
		r.count(after.RegisteredBy, 1)
	}
}

// OfSoftware are the ids of the clients that are registered for software which an
// issuer vouches for, served or not.
func (r *Registry) OfSoftware(issuer, id string) []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.Clone(r.bySoftware[software{issuer, id}])
}

// without takes an id from a list.
func without[K comparable](lists map[K][]string, key K, id string) {
	ids := slices.DeleteFunc(lists[key], func(other string) bool { return other == id })
	if lists[key] = ids; len(ids) == 0 {
		delete(lists, key)
	}
}

// Statement is the software statement that a client is registered with, as it
// came; empty if there is none.
func (r *Registry) Statement(ctx context.Context, id string) (string, error) {
	client, known := r.Get(id)
	if !known || client.Metadata.SoftwareStatementIssuer == "" {
		return "", nil
	}
	text, err := r.statements.Get(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return "", nil
	}
	return text, err
}
