package server

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/fapid/fapid/store"
)

// sandboxFiles are what a sandbox directory holds; `fapid dev --reset` deletes
// these and nothing else.
var sandboxFiles = []string{
	"fapid.yaml", "fapid.db", "master.key", "operator.key", "ca.pem", "ca", "server", "clients", "participants", "drill", runningFile,
}

// SandboxFiles lists the files of a sandbox that exist in a directory.
func SandboxFiles(dir string) []string {
	var found []string
	for _, name := range sandboxFiles {
		path := filepath.Join(dir, name)
		if _, err := os.Lstat(path); err == nil {
			found = append(found, path)
		}
	}
	return found
}

// CheckUnused fails while a server or a verb has the directory's store open.
func CheckUnused(dir string) error {
	path := filepath.Join(dir, "fapid.db")
	if _, err := os.Stat(path); err != nil {
		return nil
	}
	opened, err := store.Open(path, store.Options{})
	if errors.Is(err, store.ErrLocked) {
		return err
	}
	if err != nil {
		return nil // damaged: all the more reason to start over
	}
	return opened.Close()
}
