package registration

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/fapid/fapid/store"
)

// use is when a client was used last and, as far as it is on disk, was known to have
// been: seconds since 1970. All registrations of one client share it.
type use struct{ last, noted atomic.Int64 }

// Used notes that the client has done something now, for [Registry.ExpireUnused].
func (c *Client) Used(now time.Time) {
	if c.use != nil {
		c.use.last.Store(now.Unix())
	}
}

// expiryBatch is how many clients are noted or deleted in one transaction.
const expiryBatch = 500

// ExpireUnused deletes the clients that registered themselves and have not been used
// for so long, neither for a token nor to read or change their registration, and
// returns their ids. That a client was used is written at most ten times in that
// time; what is not written yet when the process is killed is forgotten.
func (r *Registry) ExpireUnused(ctx context.Context, after time.Duration) (expired []string, err error) {
	now := r.now()
	used := map[string]*use{}
	var unused []string
	for _, client := range r.selfRegistered() {
		last := client.use.last.Load()
		switch {
		case client.unused(now, after):
			unused = append(unused, client.ID)
		case last-client.use.noted.Load() > int64(after/time.Second)/10:
			used[client.ID] = client.use
		}
	}
	if err := r.noteUses(ctx, used); err != nil {
		return nil, fmt.Errorf("note when clients were used: %w", err)
	}
	for batch := range slices.Chunk(unused, expiryBatch) {
		gone, err := r.expire(ctx, batch, now, after)
		if expired = append(expired, gone...); err != nil {
			return expired, fmt.Errorf("delete unused clients: %w", err)
		}
	}
	return expired, nil
}

func (c *Client) unused(now time.Time, after time.Duration) bool {
	last := max(c.use.last.Load(), c.Metadata.ClientIDIssuedAt)
	return now.Sub(time.Unix(last, 0)) >= after
}

func (r *Registry) selfRegistered() (clients []*Client) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, client := range r.clients {
		if client.Metadata.RegisteredBy != "" {
			clients = append(clients, client)
		}
	}
	return clients
}

// noteUses writes when clients were used last.
func (r *Registry) noteUses(ctx context.Context, used map[string]*use) error {
	if len(used) == 0 {
		return nil
	}
	noted := make(map[string]int64, len(used))
	err := r.uses.Store.Update(ctx, func(tx store.Tx) error {
		for id, use := range used {
			noted[id] = use.last.Load()
			if err := r.uses.PutTx(tx, id, noted[id], time.Time{}); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		for id, use := range used {
			use.noted.Store(noted[id])
		}
	}
	return err
}

// expire deletes those of the clients that are unused still.
func (r *Registry) expire(ctx context.Context, ids []string, now time.Time, after time.Duration) (gone []string, err error) {
	r.writing.Lock()
	defer r.writing.Unlock()
	for _, id := range ids {
		if client, known := r.Get(id); known && client.unused(now, after) {
			gone = append(gone, id)
		}
	}
	err = r.table.Store.Update(ctx, func(tx store.Tx) error {
		for _, id := range gone {
			if err := r.deleteTx(tx, id); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range gone {
		r.forget(id)
	}
	return gone, nil
}

// loadUses reads when clients were used last.
func (r *Registry) loadUses(ctx context.Context) error {
	return r.uses.Scan(ctx, "", "", func(id string, last int64) (bool, error) {
		if client, ok := r.clients[id]; ok {
			client.use.last.Store(last)
			client.use.noted.Store(last)
		}
		return true, nil
	})
}

// deleteTx removes everything that is kept of a client.
func (r *Registry) deleteTx(tx store.Tx, id string) error {
	key := []byte(id)
	return errors.Join(tx.Delete(r.table.Name, key), tx.Delete(r.statements.Name, key), tx.Delete(r.uses.Name, key))
}
