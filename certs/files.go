package certs

import (
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

const (
	privateMode fs.FileMode = 0o600
	publicMode  fs.FileMode = 0o644
	dirMode     fs.FileMode = 0o700
)

// File is one file of a folder.
type File struct {
	Name    string
	Content []byte
	Mode    fs.FileMode
}

// PublicFile is one that everybody may read, such as a certificate.
func PublicFile(name string, content []byte) File { return File{name, content, publicMode} }

// PrivateFile is one that only its owner may read (0600), such as a key.
func PrivateFile(name string, content []byte) File { return File{name, content, privateMode} }

// WriteFile writes a file into a folder. A crash leaves either the old file or the
// new one, whole.
func WriteFile(dir string, f File) error {
	return replace(filepath.Join(dir, f.Name), f.Content, f.Mode)
}

// WritePublic writes a file that everybody may read, such as a certificate. A
// crash leaves either the old file or the new one, whole.
func WritePublic(path string, content []byte) error { return replace(path, content, publicMode) }

// WritePrivate writes a file that only its owner may read (0600), such as a
// key. A crash leaves either the old file or the new one, whole.
func WritePrivate(path string, content []byte) error { return replace(path, content, privateMode) }

func replace(path string, content []byte, mode fs.FileMode) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*") // 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temporary.Name()) }() // of no consequence once it is renamed
	if err := fill(temporary, content, mode); err != nil {
		return err
	}
	if err := os.Rename(temporary.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// fill writes, syncs and closes f.
func fill(f *os.File, content []byte, mode fs.FileMode) error {
	_, err := f.Write(content)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// syncDir makes a rename in dir durable.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // a folder cannot be synced there
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// WriteDir makes the folder dir (0700) with the files, or nothing: it is filled
// under another name and renamed. dir must be absent or empty.
func WriteDir(dir string, files []File) error {
	if err := Unused(dir); err != nil {
		return err
	}
	parent := filepath.Dir(filepath.Clean(dir))
	if err := os.MkdirAll(parent, dirMode); err != nil {
		return err
	}
	temporary, err := os.MkdirTemp(parent, filepath.Base(dir)+".new-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(temporary) }() // of no consequence once it is renamed
	for _, f := range files {
		if err := WriteFile(temporary, f); err != nil {
			return err
		}
	}
	// Not every system renames over an empty folder; a full one stays.
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Rename(temporary, dir); err != nil {
		return err
	}
	return syncDir(parent)
}

// Unused refuses a folder that has something in it.
func Unused(dir string) error {
	switch entries, err := os.ReadDir(dir); {
	case err == nil && len(entries) > 0:
		return fmt.Errorf("%s is not empty and will not be overwritten: %w", dir, fs.ErrExist)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return nil
}

func readCertificate(dir, name string) (*x509.Certificate, error) {
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	certificate, err := ParseCertificate(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, name), err)
	}
	return certificate, nil
}

// readKey refuses a key file that everybody may read. The group may: that is
// how orchestrators mount secrets.
func readKey(dir, name string) (crypto.Signer, error) {
	path := filepath.Join(dir, name)
	state, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if mode := state.Mode().Perm(); mode&0o007 != 0 && runtime.GOOS != "windows" {
		return nil, fmt.Errorf("%s is open to everybody (mode %04o); make it 0600", path, mode)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	key, err := ParseKey(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}
