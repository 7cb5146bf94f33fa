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

// Admit registers a client that a [Registrar] has admitted, or replaces its
// registration. The client and its software statement are written, and what may be
// used once is spent, in one transaction: of any number of equal requests one wins.
// Of requests for one software one wins, too, where its ecosystem has one
// registration of it. Refusals are those of [Registry.Put], the ecosystem's for
// duplicates and for what is spent, and not_found for a client that has been
// deleted meanwhile.
func (r *Registry) Admit(ctx context.Context, a *Admission, event *oauth.Event) (client *Client, created bool, err error) {
	m := a.Metadata.clone()
	replaces, release, err := r.reserve(a, event)
	if err != nil {
		return nil, false, err
	}
	defer release()
	// A new client has an id that nobody knows, so that those who register need not
	// wait for each other.
	if replaces != nil || a.Ecosystem.OwnClientID {
		r.writing.Lock()
		defer r.writing.Unlock()
	}
	kept, err := r.succeed(&m, replaces, event)
	if err != nil {
		return nil, false, err
	}
	if a.replaces == nil && replaces != nil { // an update has been judged so already
		a.Ecosystem.keepOperators(&replaces.Metadata, &m)
	}
	r.rules.withDefaults(&m)
	if m.JWKS, err = compact(m.JWKS); err != nil {
		return nil, false, err
	}
	if client, err = r.rules.build(m, kept, jwk.Registered); err != nil {
		return nil, false, err
	}
	if err := r.writeAdmitted(ctx, client, a, event); err != nil {
		return nil, false, err
	}
	r.show(client)
	return client, replaces == nil, nil
}

// reserve keeps others from registering the same software until release is called,
// where the ecosystem has one registration of it. replaces is the registration
// that gives way.
func (r *Registry) reserve(a *Admission, event *oauth.Event) (replaces *Client, release func(), err error) {
	of, vouched := a.Metadata.software()
	rule := a.Ecosystem.Duplicates
	if !vouched || rule.Do == AllowDuplicates {
		return a.replaces, func() {}, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	others := slices.DeleteFunc(slices.Clone(r.bySoftware[of]), func(id string) bool { return a.replaces != nil && id == a.replaces.ID })
	if r.reserved[of] || len(others) > 0 && (rule.Do == RefuseDuplicates || a.replaces != nil) {
		event.Fail("duplicate software", "software that is not registered here", oauth.Shown(of.id)+" is registered", "update the registration there is, or delete it first")
		code := rule.Error
		if code == "" {
			code = oauth.CodeUnapprovedStatement
		}
		return nil, nil, oauth.BadRegistration(code, "the software %s is registered already", quote(of.id))
	}
	if replaces = a.replaces; len(others) > 0 {
		replaces = r.clients[others[0]]
	}
	r.reserved[of] = true
	return replaces, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.reserved, of)
	}, nil
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
		return nil, oauth.TemporarilyUnavailable().Because("client %s was changed meanwhile", replaces.ID)
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
		return r.table.PutTx(tx, client.ID, record{client.Metadata, client.secret}, time.Time{})
	})
	switch {
	case used != nil && err != nil:
		event.Fail(used.check, "one that was not used before", "used before", "make or fetch a new one for every registration")
		return used.refusal
	case err != nil:
		return fmt.Errorf("store client %s: %w", quote(client.ID), err)
	}
	return nil
}

// index notes which software a client is registered for now, and before. The caller
// holds mu.
func (r *Registry) index(id string, before, after *Metadata) {
	if before != nil {
		if of, vouched := before.software(); vouched {
			ids := slices.DeleteFunc(r.bySoftware[of], func(other string) bool { return other == id })
			if r.bySoftware[of] = ids; len(ids) == 0 {
				delete(r.bySoftware, of)
			}
		}
	}
	if after != nil {
		if of, vouched := after.software(); vouched {
			r.bySoftware[of] = append(r.bySoftware[of], id)
		}
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
