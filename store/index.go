package store

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"hash/crc32"
	"math"
	"slices"
	"time"

	"go.etcd.io/bbolt"
)

// The store's own buckets. Table names never start with a zero byte.
const (
	// expiryBucket holds what is to be swept, in the order of time: key is
	// expiry slot (8 bytes), transaction (8 bytes), number (4 bytes); the
	// value is kind (1 byte), table and keys, each preceded by its length, and
	// a checksum (4 bytes).
	//
	// A commit adds one entry per slot and table, each at the end of its slot,
	// so it touches a page or two however many records it writes. An entry of
	// records is not removed when a record is deleted or gets another expiry:
	// the sweeper looks at the record. An entry of claims is the claims.
	expiryBucket = "\x00expiry"
	// sweptBucket has a record for each table (records) and each zero byte and
	// table (claims): its expiry is the latest that was swept there.
	sweptBucket = "\x00swept"
)

const (
	kindRecords = 0
	kindClaims  = 1

	slotSeconds = 32 // expiries are swept in slots of this length, at its end
	// slotNever comes after every time there is.
	slotNever = math.MaxUint64

	dueKeyBytes   = expiryBytes + 8 + 4
	dueEntryBytes = 1000 // an entry stays well within a page
	checksumBytes = 4
)

// due is a record or a claim that ends.
type due struct {
	slot  uint64 // Unix seconds, a multiple of slotSeconds
	kind  byte
	table string
	key   []byte
}

func slotOf(seconds uint64) uint64 {
	if seconds == 0 || seconds > math.MaxInt64 {
		return slotNever
	}
	return (seconds + slotSeconds - 1) / slotSeconds * slotSeconds
}

func (d due) compare(e due) int {
	return cmp.Or(cmp.Compare(d.slot, e.slot), cmp.Compare(d.kind, e.kind), cmp.Compare(d.table, e.table))
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
	index.bucket.FillPercent = 0.9 // slots grow at their end
	slices.SortStableFunc(tx.due, due.compare)
	var entry []byte
	number := uint32(0)
	for i, d := range tx.due {
		if entry == nil {
			entry = append(make([]byte, 0, 512), d.kind)
			entry = appendField(entry, []byte(d.table))
		}
		entry = appendField(entry, d.key)
		if i+1 < len(tx.due) && len(entry) < dueEntryBytes && d.compare(tx.due[i+1]) == 0 {
			continue
		}
		key := make([]byte, 0, dueKeyBytes)
		key = binary.BigEndian.AppendUint64(key, d.slot)
		key = binary.BigEndian.AppendUint64(key, uint64(tx.engine.ID()))
		key = binary.BigEndian.AppendUint32(key, number)
		entry = binary.BigEndian.AppendUint32(entry, entryChecksum(key, entry))
		if err := index.bucket.Put(key, entry); err != nil {
			return err
		}
		entry = nil
		number++
	}
	return nil
}

// readDue reads an entry of the index; ok is false if it is damaged.
func readDue(key, entry []byte) (records []due, ok bool) {
	if !soundDue(key, entry) {
		return nil, false
	}
	body := entry[:len(entry)-checksumBytes]
	name, rest, ok := nextField(body[1:])
	d := due{slot: binary.BigEndian.Uint64(key), kind: body[0], table: string(name)}
	for ok && len(rest) > 0 {
		if d.key, rest, ok = nextField(rest); ok {
			records = append(records, d)
		}
	}
	return records, ok
}

// soundDue reports whether an entry of the index is as it was written.
func soundDue(key, entry []byte) bool {
	body := len(entry) - checksumBytes
	return len(key) == dueKeyBytes && body > 0 && binary.BigEndian.Uint32(entry[body:]) == entryChecksum(key, entry[:body])
}

func entryChecksum(key, body []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, body)
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

// claimHash stands for a claim, in memory and on disk. An attacker who could
// make two keys collide would refuse somebody else's, hence a strong hash.
type claimHash [16]byte

func hashClaim(table string, key []byte) claimHash {
	buffer := make([]byte, 0, 256)
	buffer = appendField(buffer, []byte(table))
	sum := sha256.Sum256(append(buffer, key...))
	return claimHash(sum[:16])
}

// claimSet holds all claims in memory, without a pointer, at some 25 bytes
// each. Only the transaction that is being written touches it.
type claimSet struct {
	live map[claimHash]struct{}
	peak int // entries since the map was made: a map never shrinks
}

func (s *claimSet) add(h claimHash) {
	if s.live == nil {
		s.live = map[claimHash]struct{}{}
	}
	s.live[h] = struct{}{}
	s.peak = max(s.peak, len(s.live))
}

func (s *claimSet) has(h claimHash) bool {
	_, ok := s.live[h]
	return ok
}

// forget removes swept claims, and gives memory back when few of many are left.
func (s *claimSet) forget(hashes []claimHash) {
	if len(hashes) == 0 {
		return
	}
	for _, h := range hashes {
		delete(s.live, h)
	}
	if s.peak < 4096 || len(s.live) > s.peak/4 {
		return
	}
	live := make(map[claimHash]struct{}, len(s.live))
	for h := range s.live {
		live[h] = struct{}{}
	}
	s.live, s.peak = live, len(live)
}

// Claim implements [Tx].
func (tx *boltTx) Claim(table string, key []byte, expires time.Time) error {
	if !tx.engine.Writable() {
		return errReadOnly
	}
	if table == "" || table[0] == 0 {
		return errTableName
	}
	h := hashClaim(table, key)
	if tx.owner.claims.has(h) {
		return ErrExists
	}
	seconds := toSeconds(expires)
	swept, err := tx.sweptSeconds("\x00" + table)
	if err != nil {
		return err
	}
	if seconds != 0 && seconds <= swept {
		return ErrSwept
	}
	tx.owner.claims.add(h)
	tx.due = append(tx.due, due{slotOf(seconds), kindClaims, table, bytes.Clone(h[:])})
	return nil
}

// dropClaims takes back the claims that are not going to be committed, from
// the given entry of tx.due on.
func (tx *boltTx) dropClaims(from int) {
	for _, d := range tx.due[from:] {
		if d.kind == kindClaims {
			delete(tx.owner.claims.live, claimHash(d.key))
		}
	}
	tx.due = tx.due[:from]
}

// loadClaims fills the memory from the file.
func (b *Bolt) loadClaims() error {
	return b.db.View(func(engine *bbolt.Tx) error {
		bucket := engine.Bucket([]byte(expiryBucket))
		if bucket == nil {
			return nil
		}
		return bucket.ForEach(func(key, entry []byte) error {
			records, ok := readDue(key, entry)
			if !ok {
				return ErrDamaged
			}
			for _, d := range records {
				if d.kind == kindClaims {
					b.claims.add(claimHash(d.key))
				}
			}
			return nil
		})
	})
}
