package registration

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/store"
)

// Judge decides on a change just before it is stored: before is the version of
// what is there, empty for nothing. No other change comes between.
type Judge func(before string) error

// versionOf is the version of a record: two are the same if what they say is.
func versionOf(record any) string {
	encoded, err := json.Marshal(record)
	if err != nil {
		panic("registration: a record that cannot be written: " + err.Error())
	}
	sum := sha256.Sum256(encoded)
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// catalog keeps the records of one kind of a realm: on disk before anybody is
// served by them, and served from memory. It is safe for concurrent use.
type catalog[T any] struct {
	kind    string // for errors: "API"
	table   store.Table[T]
	changed func(map[string]*T) // told of every change, with all there is; nil for nobody
	writing sync.Mutex          // one change at a time

	mu   sync.RWMutex
	byID map[string]*T
	ids  []string // sorted
}

// open reads the records into memory.
func (c *catalog[T]) open(ctx context.Context) error {
	c.byID = map[string]*T{}
	err := c.table.Scan(ctx, "", "", func(id string, record T) (bool, error) {
		c.byID[id] = &record
		c.ids = append(c.ids, id) // in key order
		return true, nil
	})
	if err != nil {
		return fmt.Errorf("registration: read %s: %w", c.table.Name, err)
	}
	c.tell()
	return nil
}

func (c *catalog[T]) tell() {
	if c.changed != nil {
		c.changed(c.byID)
	}
}

// Get returns a record from memory; do not change what it holds.
func (c *catalog[T]) Get(id string) (*T, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	record, ok := c.byID[id]
	return record, ok
}

// version is that of the record there is, empty for none.
func (c *catalog[T]) version(id string) string {
	record, ok := c.Get(id)
	if !ok {
		return ""
	}
	return versionOf(record)
}

// put writes a record, replacing what was there; putting what is there already
// writes nothing. The judge may be nil.
func (c *catalog[T]) put(ctx context.Context, id string, record *T, judge Judge) (created bool, err error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	before := c.version(id)
	if judge != nil {
		if err := judge(before); err != nil {
			return false, err
		}
	}
	if before == versionOf(record) {
		return false, nil
	}
	if err := c.table.Put(ctx, id, *record, time.Time{}); err != nil {
		return false, fmt.Errorf("store %s %s: %w", c.kind, quote(id), err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.byID[id] = record
	if at, found := slices.BinarySearch(c.ids, id); !found {
		c.ids = slices.Insert(c.ids, at, id)
	}
	c.tell()
	return before == "", nil
}

// Delete removes a record; the error is not_found when there is none.
func (c *catalog[T]) Delete(ctx context.Context, id string) error { return c.DeleteIf(ctx, id, nil) }

// DeleteIf is Delete where the judge has nothing against it.
func (c *catalog[T]) DeleteIf(ctx context.Context, id string, judge Judge) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	before := c.version(id)
	if judge != nil {
		if err := judge(before); err != nil {
			return err
		}
	}
	if before == "" {
		return oauth.NotFound("no %s %s", c.kind, quote(id))
	}
	if err := c.table.Delete(ctx, id); err != nil {
		return fmt.Errorf("delete %s %s: %w", c.kind, quote(id), err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.byID, id)
	if at, found := slices.BinarySearch(c.ids, id); found {
		c.ids = slices.Delete(c.ids, at, at+1)
	}
	c.tell()
	return nil
}

// List returns up to limit records whose id is greater than after, by id.
func (c *catalog[T]) List(after string, limit int) []*T {
	c.mu.RLock()
	defer c.mu.RUnlock()
	ids := following(c.ids, after, limit)
	list := make([]*T, len(ids))
	for i, id := range ids {
		list[i] = c.byID[id]
	}
	return list
}

// following are up to limit of the sorted ids that are greater than after.
func following(ids []string, after string, limit int) []string {
	from, found := slices.BinarySearch(ids, after)
	if found {
		from++
	}
	return ids[from:min(len(ids), from+max(limit, 0))]
}
