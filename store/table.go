package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Table is a typed view of one table of a [Store]. Records are JSON.
// The name carries the realm and the kind ("default/assertion"), so a value of
// one kind or realm can never be read as another's.
type Table[T any] struct {
	Store Store
	Name  string
	// Now is the clock by which records of this table expire: a realm's own.
	Now func() time.Time
}

// live reports whether a record with this expiry still counts.
func (t Table[T]) live(expires time.Time) bool {
	return expires.IsZero() || t.Now().Before(expires)
}

func (t Table[T]) read(tx Tx, key string) (record T, expires time.Time, err error) {
	value, expires, err := tx.Get(t.Name, []byte(key))
	if err != nil {
		return record, expires, err
	}
	if !t.live(expires) {
		return record, expires, ErrNotFound
	}
	if err := json.Unmarshal(value, &record); err != nil {
		return record, expires, fmt.Errorf("read %s record: %w", t.Name, err)
	}
	return record, expires, nil
}

func (t Table[T]) write(tx Tx, key string, record T, expires time.Time) error {
	value, err := json.Marshal(record)
	if err != nil {
		return fmt.Errorf("write %s record: %w", t.Name, err)
	}
	return tx.Put(t.Name, []byte(key), value, expires)
}

// Get reads a record, or returns [ErrNotFound].
func (t Table[T]) Get(ctx context.Context, key string) (record T, err error) {
	err = t.Store.View(ctx, func(tx Tx) error {
		record, _, err = t.read(tx, key)
		return err
	})
	return record, err
}

// GetTx is Get inside a transaction the caller holds.
func (t Table[T]) GetTx(tx Tx, key string) (record T, err error) {
	record, _, err = t.read(tx, key)
	return record, err
}

// Has reports whether a live record exists, without decoding it.
func (t Table[T]) Has(ctx context.Context, key string) (found bool, err error) {
	err = t.Store.View(ctx, func(tx Tx) error {
		_, expires, err := tx.Get(t.Name, []byte(key))
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		found = err == nil && t.live(expires)
		return err
	})
	return found, err
}

// Put writes a record, replacing what was there. A zero expires means never.
func (t Table[T]) Put(ctx context.Context, key string, record T, expires time.Time) error {
	return t.Store.Update(ctx, func(tx Tx) error { return t.write(tx, key, record, expires) })
}

// PutTx is Put inside a transaction the caller holds.
func (t Table[T]) PutTx(tx Tx, key string, record T, expires time.Time) error {
	return t.write(tx, key, record, expires)
}

// Create writes a record where there is none: of any number of callers exactly
// one wins, the others get [ErrExists].
//
// A claim is safe against clocks: where its expiry follows from what is claimed
// (the exp of an assertion), no setting back of a clock makes it winnable again.
// While the record is kept it is live again and the answer is ErrExists; when it
// has been swept, the answer is [ErrSwept], which is an ErrExists.
func (t Table[T]) Create(ctx context.Context, key string, record T, expires time.Time) error {
	return t.Store.Update(ctx, func(tx Tx) error { return t.CreateTx(tx, key, record, expires) })
}

// CreateTx is Create inside a transaction the caller holds.
func (t Table[T]) CreateTx(tx Tx, key string, record T, expires time.Time) error {
	_, old, err := tx.Get(t.Name, []byte(key))
	switch {
	case err == nil && t.live(old):
		return ErrExists
	case err != nil && !errors.Is(err, ErrNotFound):
		return err
	}
	if !expires.IsZero() {
		swept, err := tx.Swept(t.Name)
		if err != nil {
			return err
		}
		if !expires.After(swept) {
			return ErrSwept
		}
	}
	return t.write(tx, key, record, expires)
}

// Take reads a record and deletes it: of any number of callers exactly one gets
// it, the others get [ErrNotFound].
func (t Table[T]) Take(ctx context.Context, key string) (record T, err error) {
	err = t.Store.Update(ctx, func(tx Tx) error {
		if record, _, err = t.read(tx, key); err != nil {
			return err
		}
		return tx.Delete(t.Name, []byte(key))
	})
	if err != nil {
		var none T
		return none, err
	}
	return record, nil
}

// Update changes a record in place and keeps its expiry: the verb for "spend
// but remember". An error from change leaves the record as it was. change may
// run more than once and only assigns to the record.
func (t Table[T]) Update(ctx context.Context, key string, change func(*T) error) (record T, err error) {
	err = t.Store.Update(ctx, func(tx Tx) error {
		current, expires, err := t.read(tx, key)
		if err != nil {
			return err
		}
		if err := change(&current); err != nil {
			return err
		}
		record = current
		return t.write(tx, key, current, expires)
	})
	return record, err
}

// Delete removes a record; removing what is not there is no error.
func (t Table[T]) Delete(ctx context.Context, key string) error {
	return t.Store.Update(ctx, func(tx Tx) error { return tx.Delete(t.Name, []byte(key)) })
}

// Scan calls fn for the live records whose key starts with prefix and is
// greater than after, in key order, until fn returns false.
func (t Table[T]) Scan(ctx context.Context, prefix, after string, fn func(key string, record T) (bool, error)) error {
	return t.Store.View(ctx, func(tx Tx) error { return t.ScanTx(tx, prefix, after, fn) })
}

// ScanTx is Scan inside a transaction the caller holds.
func (t Table[T]) ScanTx(tx Tx, prefix, after string, fn func(key string, record T) (bool, error)) error {
	var from []byte
	if after != "" {
		from = []byte(after)
	}
	return tx.Scan(t.Name, []byte(prefix), from, func(key, value []byte, expires time.Time) (bool, error) {
		if !t.live(expires) {
			return true, nil
		}
		var record T
		if err := json.Unmarshal(value, &record); err != nil {
			return false, fmt.Errorf("read %s record: %w", t.Name, err)
		}
		return fn(string(key), record)
	})
}
