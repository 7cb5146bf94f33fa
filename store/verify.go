package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"os"
	"runtime/debug"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// verify reads the whole file and judges it before the engine may believe it:
// the engine panics on a damaged page or, worse, reads another one. It takes
// the shared lock meanwhile. The pages are read, not mapped, so that they do
// not count as memory of the process.
func verify(path string) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = damaged(path, p)
		}
	}()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: lockPatience})
	if err != nil {
		return verifyProblem(path, err)
	}
	defer func() { _ = db.Close() }()
	file, err := os.Open(path)
	if err != nil {
		return openProblem(path, err)
	}
	defer func() { _ = file.Close() }()
	return db.View(func(tx *bbolt.Tx) error {
		v := verifier{file: file, pageBytes: int64(db.Info().PageSize)}
		v.pages = uint64(tx.Size() / v.pageBytes)
		if info, err := file.Stat(); err != nil {
			return openProblem(path, err)
		} else if info.Size() < tx.Size() {
			return damaged(path, fmt.Sprintf("%d bytes of %d are there", info.Size(), tx.Size()))
		}
		v.seen = make([]bool, v.pages)
		if err := v.metas(); err != nil {
			return damaged(path, err)
		}
		if err := v.bucket("", uint64(tx.Cursor().Bucket().Root()), 0); err != nil {
			return damaged(path, err)
		}
		if v.format != formatNumber {
			return &openError{fmt.Sprintf("cannot open %s: written by another version of fapid (format %q)", path, v.format), ErrDamaged}
		}
		return nil
	})
}

// verifyProblem sorts what the engine says: either the file cannot be opened,
// or the engine cannot make sense of it.
func verifyProblem(path string, err error) error {
	if info, e := os.Stat(path); e == nil && info.Size() == 0 {
		return damaged(path, "it is empty")
	}
	var cause *fs.PathError
	if errors.Is(err, bolterrors.ErrTimeout) || errors.As(err, &cause) {
		return openProblem(path, err)
	}
	return damaged(path, err)
}

// The engine's page format: page header id (8), flags (2), count (2), overflow
// (4); then per element of a branch pos (4), key bytes (4), page (8), and of a
// leaf flags (4), pos (4), key bytes (4), value bytes (4), where pos counts from
// the element. A bucket is a leaf value: root page (8), sequence (8), and when
// the root page is 0 a page of its own.
const (
	pageHeader  = 16
	elementSize = 16
	branchFlag  = 1
	leafFlag    = 2
	bucketFlag  = 1
	metaBytes   = 56 // of a meta page after its header, then their FNV-1a checksum
)

type verifier struct {
	file      io.ReaderAt
	pageBytes int64
	pages     uint64 // in use
	seen      []bool
	format    string
}

// metas verifies both meta pages. The engine does with one, but the other may
// be the commit before: what has been used since could be used again. A power
// cut leaves both whole, as each fits in a sector of the disk.
func (v *verifier) metas() error {
	for id := range int64(2) {
		data := make([]byte, pageHeader+metaBytes+8)
		if _, err := v.file.ReadAt(data, id*v.pageBytes); err != nil {
			return fmt.Errorf("page %d: %w", id, err)
		}
		sum := fnv.New64a()
		_, _ = sum.Write(data[pageHeader : pageHeader+metaBytes])
		if sum.Sum64() != binary.NativeEndian.Uint64(data[pageHeader+metaBytes:]) {
			return fmt.Errorf("page %d has a wrong checksum", id)
		}
	}
	return nil
}

// bucket verifies the tree at a root page.
func (v *verifier) bucket(name string, root uint64, depth int) error {
	return v.page(&boltTable{name: name, seed: checksumOf(name)}, root, nil, nil, depth)
}

// page verifies a page whose keys lie in [from, to); nil is unbounded.
func (v *verifier) page(t *boltTable, id uint64, from, to []byte, depth int) error {
	if id < 2 || id >= v.pages || depth > 64 {
		return fmt.Errorf("page %d is out of range", id)
	}
	data := make([]byte, v.pageBytes)
	if _, err := v.file.ReadAt(data, int64(id)*v.pageBytes); err != nil {
		return fmt.Errorf("page %d: %w", id, err)
	}
	if binary.NativeEndian.Uint64(data) != id {
		return fmt.Errorf("page %d is another page", id)
	}
	more := uint64(binary.NativeEndian.Uint32(data[12:]))
	if more >= v.pages-id {
		return fmt.Errorf("page %d is too long", id)
	}
	for i := id; i <= id+more; i++ {
		if v.seen[i] {
			return fmt.Errorf("page %d is used twice", i)
		}
		v.seen[i] = true
	}
	if more > 0 {
		data = make([]byte, v.pageBytes*int64(more+1))
		if _, err := v.file.ReadAt(data, int64(id)*v.pageBytes); err != nil {
			return fmt.Errorf("page %d: %w", id, err)
		}
	}
	if end, err := v.elements(t, data, from, to, depth); err != nil {
		return fmt.Errorf("page %d: %w", id, err)
	} else if end == pageHeader {
		return fmt.Errorf("page %d has no elements", id) // the engine removes such
	}
	return nil
}

// elements verifies what is on a page and below it. The data of the elements
// follows the table of elements without a gap: a wrong count or length shows.
func (v *verifier) elements(t *boltTable, data, from, to []byte, depth int) (end int, err error) {
	flags, count := binary.NativeEndian.Uint16(data[8:]), int(binary.NativeEndian.Uint16(data[10:]))
	if flags != branchFlag && flags != leafFlag {
		return 0, fmt.Errorf("unknown kind %#x", flags)
	}
	end = pageHeader + count*elementSize
	keys, children, last := make([][]byte, count), make([]uint64, count), from
	for i := range count {
		at := pageHeader + i*elementSize
		if end > len(data) {
			return 0, fmt.Errorf("%d elements", count)
		}
		e := readElement(data[at:], flags)
		if at+e.pos != end || e.keyBytes+e.valueBytes > len(data)-end {
			return 0, fmt.Errorf("element %d is out of place", i)
		}
		key := data[end : end+e.keyBytes]
		value := data[end+e.keyBytes : end+e.keyBytes+e.valueBytes]
		end += len(key) + len(value)
		inOrder := bytes.Compare(key, last) > 0 || i == 0 && bytes.Equal(key, from)
		if len(key) == 0 || !inOrder || to != nil && bytes.Compare(key, to) >= 0 {
			return 0, fmt.Errorf("key %d is out of order", i)
		}
		if flags == leafFlag {
			if err := v.leaf(t, key, value, e.flags, depth); err != nil {
				return 0, err
			}
		}
		keys[i], children[i], last = key, e.page, key
	}
	if flags == leafFlag {
		return end, nil
	}
	for i, child := range children {
		upper := to
		if i+1 < count {
			upper = keys[i+1]
		}
		if err := v.page(t, child, keys[i], upper, depth+1); err != nil {
			return 0, err
		}
	}
	return end, nil
}

type element struct {
	flags                     uint32
	pos, keyBytes, valueBytes int
	page                      uint64 // of a branch
}

func readElement(data []byte, flags uint16) element {
	number := func(i int) int { return int(binary.NativeEndian.Uint32(data[4*i:])) }
	if flags == branchFlag {
		return element{pos: number(0), keyBytes: number(1), page: binary.NativeEndian.Uint64(data[8:])}
	}
	return element{flags: uint32(number(0)), pos: number(1), keyBytes: number(2), valueBytes: number(3)}
}

// leaf verifies one element of a leaf: a table, a record, or one of the store's own.
func (v *verifier) leaf(t *boltTable, key, value []byte, flags uint32, depth int) error {
	switch {
	case flags == bucketFlag && t.name == "" && len(value) >= pageHeader:
		root := binary.NativeEndian.Uint64(value)
		if root != 0 {
			return v.bucket(string(key), root, depth+1)
		}
		inline := value[pageHeader:]
		if len(inline) < pageHeader || binary.NativeEndian.Uint16(inline[8:]) != leafFlag {
			return fmt.Errorf("table %q is not a table", key)
		}
		end, err := v.elements(&boltTable{name: string(key), seed: checksumOf(string(key))}, inline, nil, nil, depth+1)
		if err == nil && end != len(inline) {
			err = fmt.Errorf("table %q has %d bytes too many", key, len(inline)-end)
		}
		return err
	case flags != 0 || t.name == "":
		return fmt.Errorf("unknown element of table %q", t.name)
	case t.name == formatBucket:
		v.format = string(value)
		return nil
	case t.name == expiryBucket:
		if !soundDue(key, value) {
			return errors.New("an entry of the expiry index has a wrong checksum")
		}
		return nil
	case !t.sound(key, value):
		return fmt.Errorf("a record of table %q has a wrong checksum", t.name)
	}
	return nil
}
