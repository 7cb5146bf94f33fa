package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

const (
	lockPatience = time.Second
	formatBucket = "\x00fapid"
	formatNumber = "1"
	// newSuffix marks a file that is being created; see create.
	newSuffix = ".new-"
)

var formatKey = []byte("format")

// openError is one line for the operator, of a kind that code can ask for.
type openError struct {
	line string
	kind error
}

func (e *openError) Error() string { return e.line }
func (e *openError) Unwrap() error { return e.kind }

func damaged(path string, detail any) error {
	return &openError{fmt.Sprintf("%s is damaged (%v): restore it from a backup", path, detail), ErrDamaged}
}

// Open opens the store in the file at path, which it creates if there is none;
// its folder must exist. The whole file is verified before it is used.
//
// The error is one line that names the file: an [ErrLocked] when another
// process uses it, an [ErrDamaged] when it cannot be trusted.
func Open(path string, options Options) (*Bolt, error) {
	b := &Bolt{now: options.Now, failed: make(chan struct{})}
	b.idle = sync.NewCond(&b.mu)
	if b.now == nil {
		b.now = time.Now
	}
	if options.Ephemeral {
		return b, b.openEphemeral(path)
	}
	if info, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if err := create(path); err != nil {
			return nil, openProblem(path, err)
		}
	} else if err == nil && !info.Mode().IsRegular() {
		return nil, openProblem(path, errors.New("not a regular file"))
	}
	if err := verify(path); err != nil {
		return nil, err
	}
	db, err := openEngine(path, bbolt.Options{})
	if err != nil {
		return nil, err
	}
	b.db = db
	if err := b.loadClaims(); err != nil {
		_ = db.Close()
		return nil, damaged(path, err)
	}
	b.releasePages()
	removeLeftovers(path)
	return b, nil
}

func (b *Bolt) openEphemeral(path string) error {
	dir, pattern := "", "fapid-*.db"
	if path != "" {
		dir, pattern = filepath.Dir(path), filepath.Base(path)+".ephemeral-*"
	}
	file, err := os.CreateTemp(dir, pattern)
	if err != nil {
		return openProblem(path, err)
	}
	name := file.Name()
	_ = file.Close()
	b.db, err = openEngine(name, bbolt.Options{NoSync: true, NoGrowSync: true})
	if err != nil {
		_ = os.Remove(name)
		return err
	}
	// A file without a name is gone with the process, however that ends.
	if os.Remove(name) != nil {
		b.remove = name
	}
	return nil
}

// openEngine opens the file for one process alone.
//
// The list of free pages is not written with each commit: it would be the
// largest part of many, and an open walks the whole file anyway.
func openEngine(path string, options bbolt.Options) (db *bbolt.DB, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = damaged(path, p)
		}
	}()
	options.Timeout = lockPatience
	options.NoFreelistSync = true
	options.FreelistType = bbolt.FreelistMapType
	options.NoStatistics = true
	db, err = bbolt.Open(path, 0o600, &options)
	if err != nil {
		return nil, openProblem(path, err)
	}
	return db, nil
}

// openProblem says in one line why a file cannot be opened.
func openProblem(path string, err error) error {
	var said *openError
	switch {
	case errors.As(err, &said):
		return err
	case errors.Is(err, bolterrors.ErrTimeout):
		return &openError{fmt.Sprintf("another fapid is using %s; stop it, or point --dir somewhere else", path), ErrLocked}
	case errors.Is(err, fs.ErrNotExist):
		return &openError{fmt.Sprintf("cannot open %s: the folder does not exist", path), err}
	}
	var cause *fs.PathError
	if errors.As(err, &cause) {
		return &openError{fmt.Sprintf("cannot open %s: %v", path, cause.Err), err}
	}
	return &openError{fmt.Sprintf("cannot open %s: %v", path, err), err}
}

// create makes an empty store. The engine's own first writes do not survive a
// power cut at every point, so they go to another name, and the file gets its
// real one when it is whole on disk. Whoever else creates it meanwhile wins.
func create(path string) error {
	dir := filepath.Dir(path)
	file, err := os.CreateTemp(dir, filepath.Base(path)+newSuffix+"*")
	if err != nil {
		return err
	}
	name := file.Name()
	_ = file.Close()
	defer func() { _ = os.Remove(name) }() // gone where it was renamed

	db, err := openEngine(name, bbolt.Options{})
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		bucket, err := tx.CreateBucket([]byte(formatBucket))
		if err != nil {
			return err
		}
		return bucket.Put(formatKey, []byte(formatNumber))
	})
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	if err := publish(name, path); err != nil {
		return err
	}
	return syncFolder(dir)
}

// publish gives the file its name unless that is taken. A link never replaces a
// file; where the file system has none, a rename must do.
func publish(name, path string) error {
	if os.Link(name, path) == nil {
		return nil
	}
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	return os.Rename(name, path)
}

func syncFolder(dir string) error {
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = folder.Close() }()
	if err := folder.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return fmt.Errorf("sync folder %s: %w", dir, err)
	}
	return nil
}

// removeLeftovers removes what a crash during create has left behind.
func removeLeftovers(path string) {
	names, _ := filepath.Glob(path + newSuffix + "*")
	for _, name := range names {
		_ = os.Remove(name)
	}
}
