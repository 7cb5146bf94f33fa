package store

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"
)

// SweepMargin is how long what has expired is kept at least: a clock that is
// set back by less finds everything as it was.
const SweepMargin = 2 * time.Minute

// sweepRecords is how many records a transaction of Sweep deletes at most, so
// that no writer waits long: 250 random pages take some 10 ms.
const sweepRecords = 250

// Sweep implements [Store]. It deletes what expired more than [SweepMargin]
// ago by Options.Now, at the latest 32 seconds later. In the same transaction
// it remembers, per table, the latest expiry it deleted: a claim that may have
// been swept cannot be made again, wherever the clocks are set.
func (b *Bolt) Sweep(ctx context.Context) (int, error) {
	limit := uint64(max(b.now().Add(-SweepMargin).Unix(), 0))
	defer b.releasePages()
	total := 0
	for {
		waiting := false
		err := b.View(ctx, func(tx Tx) error {
			waiting = tx.(*boltTx).anyDue(limit)
			return nil
		})
		if err != nil || !waiting {
			return total, err
		}
		deleted := 0
		err = b.Update(ctx, func(tx Tx) (err error) {
			deleted, err = tx.(*boltTx).sweep(limit)
			return err
		})
		if err != nil {
			return total, err
		}
		total += deleted
	}
}

func (tx *boltTx) anyDue(limit uint64) bool {
	index, _ := tx.open(expiryBucket, false)
	if index == nil {
		return false
	}
	tx.inside = true
	key, _ := index.bucket.Cursor().First()
	tx.inside = false
	return key != nil && binary.BigEndian.Uint64(key) <= limit
}

// sweep deletes up to sweepRecords records that are due. Its changes of the
// store's own buckets are not undone by revert, so an error is final.
func (tx *boltTx) sweep(limit uint64) (deleted int, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", ErrDamaged, p)
		}
		if err != nil {
			tx.owner.fail(fmt.Errorf("sweep: %w", err))
			err = tx.owner.Err()
		}
	}()
	index, err := tx.open(expiryBucket, true)
	if err != nil {
		return 0, err
	}
	var entries [][]byte
	var records []due
	cursor := index.bucket.Cursor()
	for key, entry := cursor.First(); key != nil && binary.BigEndian.Uint64(key) <= limit; key, entry = cursor.Next() {
		more, ok := readDue(key, entry)
		if !ok {
			return 0, fmt.Errorf("%w: expiry index", ErrDamaged)
		}
		if len(records) > 0 && len(records)+len(more) > sweepRecords {
			break
		}
		entries, records = append(entries, key), append(records, more...)
	}
	swept := map[string]uint64{}
	for _, d := range records {
		mark, expires, err := tx.sweepDue(d)
		if err != nil {
			return 0, err
		}
		if mark != "" {
			deleted++
			swept[mark] = max(swept[mark], expires)
		}
	}
	for _, key := range entries {
		if err := index.bucket.Delete(key); err != nil {
			return 0, err
		}
	}
	tx.wrote = true
	return deleted, tx.markSwept(swept)
}

// sweepDue deletes a claim, or a record unless its expiry is another by now. It
// returns the mark to move and the expiry to move it to.
func (tx *boltTx) sweepDue(d due) (mark string, expires uint64, err error) {
	if d.kind == kindClaims {
		tx.forget = append(tx.forget, claimHash(d.key))
		return "\x00" + d.table, d.slot, nil
	}
	t, err := tx.table(d.table, false)
	if t == nil || err != nil {
		return "", 0, err
	}
	record := tx.lookup(t, d.key)
	if record == nil {
		return "", 0, nil
	}
	expires = binary.BigEndian.Uint64(record)
	if slotOf(expires) != d.slot {
		return "", 0, nil
	}
	return d.table, expires, tx.Delete(d.table, d.key)
}

func (tx *boltTx) markSwept(swept map[string]uint64) error {
	if len(swept) == 0 {
		return nil
	}
	marks, err := tx.open(sweptBucket, true)
	if err != nil {
		return err
	}
	for mark, expires := range swept {
		if old, err := tx.sweptSeconds(mark); err != nil {
			return err
		} else if old >= expires {
			continue
		}
		key := []byte(mark)
		if err := marks.bucket.Put(key, marks.pack(key, nil, expires)); err != nil {
			return err
		}
	}
	return nil
}

// sweptSeconds returns where a mark stands, 0 if it was never set.
func (tx *boltTx) sweptSeconds(mark string) (uint64, error) {
	marks, err := tx.open(sweptBucket, false)
	if marks == nil || err != nil {
		return 0, err
	}
	key := []byte(mark)
	tx.inside = true
	record := marks.bucket.Get(key)
	tx.inside = false
	if record == nil {
		return 0, nil
	}
	if !marks.sound(key, record) {
		tx.owner.fail(fmt.Errorf("%w: sweep marks", ErrDamaged))
		return 0, tx.owner.Err()
	}
	return binary.BigEndian.Uint64(record), nil
}

// Swept implements [Tx].
func (tx *boltTx) Swept(table string) (time.Time, error) {
	seconds, err := tx.sweptSeconds(table)
	return fromSeconds(seconds), err
}
