package store

import (
	"context"
	"encoding/binary"
	"sort"
	"time"
)

// The store's own buckets. Table names never start with a zero byte.
const (
	// expiryBucket is the expiry index: expiry (8 bytes), transaction (8
	// bytes), number (4 bytes) -> table and keys, each preceded by its length.
	// One commit adds one entry per expiry and table, at the end, so the index
	// costs little more than its bytes. Entries are not removed when a record
	// is deleted or gets another expiry: the sweeper looks at the record.
	expiryBucket = "\x00expiry"
	// sweptBucket maps a table to the latest expiry that was swept there.
	sweptBucket = "\x00swept"
)

// SweepMargin is how long an expired record is kept: a clock that is set back
// by less finds everything as it was.
const SweepMargin = 2 * time.Minute

const (
	sweepRecords  = 1000 // per transaction, so that no writer waits long
	dueEntryBytes = 1000 // an index entry stays well within a page
	dueKeyBytes   = expiryBytes + 8 + 4
)

// due is a record to be swept.
type due struct {
	expires uint64
	table   string
	key     []byte
}

// writeDue adds what the group has written to the expiry index.
func (tx *boltTx) writeDue() error {
	if len(tx.due) == 0 {
		return nil
	}
	index, err := tx.open(expiryBucket, true)
	if err != nil {
		return err
	}
	index.bucket.FillPercent = 0.9 // it grows at its end
	sort.SliceStable(tx.due, func(i, j int) bool {
		a, b := tx.due[i], tx.due[j]
		return a.expires < b.expires || a.expires == b.expires && a.table < b.table
	})
	var entry []byte
	number := uint32(0)
	for i, d := range tx.due {
		if entry == nil {
			entry = appendField(make([]byte, 0, 512), []byte(d.table))
		}
		entry = appendField(entry, d.key)
		if i+1 < len(tx.due) && len(entry) < dueEntryBytes &&
			tx.due[i+1].expires == d.expires && tx.due[i+1].table == d.table {
			continue
		}
		key := make([]byte, 0, dueKeyBytes)
		key = binary.BigEndian.AppendUint64(key, d.expires)
		key = binary.BigEndian.AppendUint64(key, uint64(tx.engine.ID()))
		key = binary.BigEndian.AppendUint32(key, number)
		if err := index.bucket.Put(key, entry); err != nil {
			return err
		}
		entry = nil
		number++
	}
	return nil
}

func appendField(entry, field []byte) []byte {
	return append(binary.AppendUvarint(entry, uint64(len(field))), field...)
}

func nextField(entry []byte) (field, rest []byte, ok bool) {
	n, size := binary.Uvarint(entry)
	if size <= 0 || uint64(len(entry)-size) < n {
		return nil, nil, false
	}
	return entry[size : size+int(n)], entry[size+int(n):], true
}

// Sweep implements [Store]. It deletes what expired more than [SweepMargin]
// ago by Options.Now, and remembers per table the latest expiry it deleted
// ([Tx] Swept), in the same transaction.
func (b *Bolt) Sweep(ctx context.Context) (int, error) {
	limit := toSeconds(b.now().Add(-SweepMargin).Truncate(time.Second))
	total := 0
	for {
		waiting := false
		err := b.View(ctx, func(tx Tx) error {
			waiting = tx.(*boltTx).anyDue(limit)
			return nil
		})
		if err != nil || !waiting {
			b.releasePages()
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
	key, _ := index.bucket.Cursor().First()
	return key != nil && binary.BigEndian.Uint64(key) <= limit
}

// sweep deletes up to sweepRecords records that are due. Its changes of the
// store's own buckets are not undone by revert, so an error is final.
func (tx *boltTx) sweep(limit uint64) (deleted int, err error) {
	defer func() {
		if err != nil {
			tx.owner.fail(err)
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
		if len(records) > 0 && len(records)+len(entry)/2 > sweepRecords {
			break // every key takes at least two bytes of an entry
		}
		entries = append(entries, key)
		if records, err = appendDue(records, binary.BigEndian.Uint64(key), entry); err != nil {
			return 0, err
		}
	}
	swept := map[string]uint64{}
	for _, d := range records {
		gone, err := tx.sweepRecord(d)
		if err != nil {
			return 0, err
		}
		if gone {
			deleted++
			swept[d.table] = max(swept[d.table], d.expires)
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

func appendDue(records []due, expires uint64, entry []byte) ([]due, error) {
	table, rest, ok := nextField(entry)
	for ok && len(rest) > 0 {
		var key []byte
		if key, rest, ok = nextField(rest); ok {
			records = append(records, due{expires, string(table), key})
		}
	}
	if !ok {
		return nil, ErrDamaged
	}
	return records, nil
}

// sweepRecord deletes the record, unless its expiry is another by now.
func (tx *boltTx) sweepRecord(d due) (bool, error) {
	t, err := tx.table(d.table, false)
	if t == nil || err != nil {
		return false, err
	}
	record := tx.lookup(t, d.key)
	if record == nil || binary.BigEndian.Uint64(record) != d.expires {
		return false, nil
	}
	return true, tx.Delete(d.table, d.key)
}

func (tx *boltTx) markSwept(swept map[string]uint64) error {
	if len(swept) == 0 {
		return nil
	}
	marks, err := tx.open(sweptBucket, true)
	if err != nil {
		return err
	}
	for table, expires := range swept {
		key := []byte(table)
		if old := marks.bucket.Get(key); old != nil && binary.BigEndian.Uint64(old) >= expires {
			continue
		}
		if err := marks.bucket.Put(key, binary.BigEndian.AppendUint64(nil, expires)); err != nil {
			return err
		}
	}
	return nil
}

// Swept implements [Tx].
func (tx *boltTx) Swept(table string) (time.Time, error) {
	marks, err := tx.open(sweptBucket, false)
	if marks == nil || err != nil {
		return time.Time{}, err
	}
	mark := marks.bucket.Get([]byte(table))
	if mark == nil {
		return time.Time{}, nil
	}
	return fromSeconds(binary.BigEndian.Uint64(mark)), nil
}
