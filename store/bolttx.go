package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"go.etcd.io/bbolt"
)

// A record is stored as expiry (8 bytes, Unix seconds, 0: never), checksum
// (4 bytes) and value. The checksum covers table, key, expiry and value: a
// damaged disk gives an error, never a wrong answer.
const (
	expiryBytes   = 8
	envelopeBytes = expiryBytes + 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksumOf(table string) uint32 { return crc32.Checksum([]byte(table), castagnoli) }

// boltTx is one Tx over a transaction of the engine. In an Update it serves a
// whole group, one call after the other.
type boltTx struct {
	owner  *Bolt
	engine *bbolt.Tx
	tables []*boltTable // opened so far: a handful
	undo   []change     // by the running call
	due    []due        // entries for the expiry index, see index.go
	forget []claimHash  // claims that a sweep in this transaction deletes
	wrote  bool         // a finished call has written
	inside bool         // the engine is running, so a panic is the engine's

	// The last record looked up: a Create reads what it then writes.
	found      *boltTable
	foundKey   []byte
	foundValue []byte
}

type boltTable struct {
	name   string
	seed   uint32 // checksum of the name
	bucket *bbolt.Bucket
}

// change is what undoes one write.
type change struct {
	table *boltTable
	key   []byte
	old   []byte // nil: there was no record
}

var errReadOnly = errors.New("store: a View cannot write")

var errTableName = errors.New("store: a table name is not empty and does not start with a zero byte")

// table opens a table; without create, a table that does not exist is nil.
func (tx *boltTx) table(name string, create bool) (*boltTable, error) {
	if name == "" || name[0] == 0 {
		return nil, errTableName
	}
	return tx.open(name, create)
}

// open opens a bucket, one of the store's own included.
func (tx *boltTx) open(name string, create bool) (*boltTable, error) {
	for _, t := range tx.tables {
		if t.name == name {
			return t, nil
		}
	}
	key := []byte(name)
	tx.inside = true
	bucket := tx.engine.Bucket(key)
	var err error
	if bucket == nil && create {
		bucket, err = tx.engine.CreateBucket(key)
	}
	tx.inside = false
	if bucket == nil || err != nil {
		return nil, err
	}
	t := &boltTable{name, checksumOf(name), bucket}
	tx.tables = append(tx.tables, t)
	return t, nil
}

// Get implements [Tx].
func (tx *boltTx) Get(table string, key []byte) ([]byte, time.Time, error) {
	t, err := tx.table(table, false)
	if err != nil {
		return nil, time.Time{}, err
	}
	if t == nil {
		return nil, time.Time{}, ErrNotFound
	}
	record := tx.lookup(t, key)
	if record == nil {
		return nil, time.Time{}, ErrNotFound
	}
	return tx.unpack(t, key, record)
}

func (tx *boltTx) lookup(t *boltTable, key []byte) []byte {
	tx.inside = true
	record := t.bucket.Get(key)
	tx.inside = false
	if tx.engine.Writable() {
		tx.found, tx.foundKey, tx.foundValue = t, append(tx.foundKey[:0], key...), record
	}
	return record
}

// Put implements [Tx].
func (tx *boltTx) Put(table string, key, value []byte, expires time.Time) error {
	if !tx.engine.Writable() {
		return errReadOnly
	}
	t, err := tx.table(table, true)
	if err != nil {
		return err
	}
	old := tx.foundValue
	if tx.found != t || !bytes.Equal(tx.foundKey, key) {
		old = tx.lookup(t, key)
	}
	seconds := toSeconds(expires)
	record := t.pack(key, value, seconds)
	tx.inside = true
	err = t.bucket.Put(key, record)
	tx.inside = false
	if err != nil {
		return err
	}
	tx.changed(t, key, old)
	// A record that keeps its slot is in the index already.
	if slot := slotOf(seconds); slot != slotNever && (old == nil || slotOf(binary.BigEndian.Uint64(old)) != slot) {
		tx.due = append(tx.due, due{slot, kindRecords, t.name, bytes.Clone(key)})
	}
	return nil
}

// Delete implements [Tx]. The entry of the expiry index stays until it is due.
func (tx *boltTx) Delete(table string, key []byte) error {
	if !tx.engine.Writable() {
		return errReadOnly
	}
	t, err := tx.table(table, false)
	if t == nil || err != nil {
		return err
	}
	old := tx.lookup(t, key)
	if old == nil {
		return nil
	}
	tx.inside = true
	err = t.bucket.Delete(key)
	tx.inside = false
	if err != nil {
		return err
	}
	tx.changed(t, key, old)
	return nil
}

func (tx *boltTx) changed(t *boltTable, key, old []byte) {
	tx.undo = append(tx.undo, change{t, bytes.Clone(key), old})
	tx.found = nil
}

// revert undoes the writes of the running call, the last first. An error is
// one of the engine: nothing of the group may be committed then.
func (tx *boltTx) revert() {
	tx.found = nil
	for i := len(tx.undo) - 1; i >= 0; i-- {
		c := tx.undo[i]
		var err error
		if c.old == nil {
			err = c.table.bucket.Delete(c.key)
		} else {
			err = c.table.bucket.Put(c.key, c.old)
		}
		if err != nil {
			tx.owner.fail(fmt.Errorf("undo: %w", err))
		}
	}
}

// Scan implements [Tx]. fn may write, also to the table it scans.
func (tx *boltTx) Scan(table string, prefix, after []byte, fn func(key, value []byte, expires time.Time) (bool, error)) error {
	t, err := tx.table(table, false)
	if t == nil || err != nil {
		return err
	}
	from := prefix
	if bytes.Compare(after, prefix) > 0 {
		from = after
	}
	tx.inside = true
	cursor := t.bucket.Cursor()
	key, record := cursor.Seek(from)
	if after != nil && bytes.Equal(key, after) {
		key, record = cursor.Next()
	}
	tx.inside = false
	for key != nil && bytes.HasPrefix(key, prefix) {
		value, expires, err := tx.unpack(t, key, record)
		if err != nil {
			return err
		}
		writes := len(tx.undo)
		more, err := fn(key, value, expires)
		if err != nil || !more {
			return err
		}
		tx.inside = true
		if len(tx.undo) != writes { // a write moves what the cursor stands on
			last := bytes.Clone(key)
			key, record = cursor.Seek(last)
			if bytes.Equal(key, last) {
				key, record = cursor.Next()
			}
		} else {
			key, record = cursor.Next()
		}
		tx.inside = false
	}
	return nil
}

// pack wraps a value for the disk.
func (t *boltTable) pack(key, value []byte, seconds uint64) []byte {
	record := make([]byte, envelopeBytes+len(value))
	binary.BigEndian.PutUint64(record, seconds)
	copy(record[envelopeBytes:], value)
	binary.BigEndian.PutUint32(record[expiryBytes:], t.checksum(key, record))
	return record
}

func (t *boltTable) checksum(key, record []byte) uint32 {
	sum := crc32.Update(t.seed, castagnoli, key)
	sum = crc32.Update(sum, castagnoli, record[:expiryBytes])
	return crc32.Update(sum, castagnoli, record[envelopeBytes:])
}

// sound reports whether the record is as it was written.
func (t *boltTable) sound(key, record []byte) bool {
	return len(record) >= envelopeBytes && binary.BigEndian.Uint32(record[expiryBytes:]) == t.checksum(key, record)
}

func (tx *boltTx) unpack(t *boltTable, key, record []byte) ([]byte, time.Time, error) {
	if !t.sound(key, record) {
		tx.owner.fail(fmt.Errorf("%w: a record of table %q has a wrong checksum", ErrDamaged, t.name))
		return nil, time.Time{}, tx.owner.Err()
	}
	return record[envelopeBytes:], fromSeconds(binary.BigEndian.Uint64(record)), nil
}

// toSeconds rounds up: a record never ends early.
func toSeconds(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	seconds := t.Unix()
	if t.Nanosecond() > 0 {
		seconds++
	}
	return uint64(max(seconds, 1))
}

func fromSeconds(seconds uint64) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	return time.Unix(int64(seconds), 0)
}
