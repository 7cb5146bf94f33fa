package server

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"

	"github.com/goccy/go-yaml"

	"github.com/fapid/fapid/certs"
	"github.com/fapid/fapid/server/bank"
)

// Loopback is this machine: where a tester's own jwks_uri may be.
var Loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// usersFile is users.yaml: the people of the sandbox and their accounts.
type usersFile struct {
	Users []bank.User `yaml:"users" json:"users"`
}

// readUsers reads users.yaml; a server without one has no users.
func readUsers(path string) ([]bank.User, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var file usersFile
	if err := yaml.UnmarshalWithOptions(text, &file, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := bank.Check(file.Users); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return file.Users, nil
}

// usersHeading opens a fresh users.yaml.
const usersHeading = "# The people of this sandbox and their accounts at its bank.\n# Passwords stand here in the clear: use none that is of worth elsewhere.\n"

// writeUsers writes the sample users where there is no users.yaml.
func writeUsers(path string) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	text, err := yaml.Marshal(usersFile{bank.SampleUsers()})
	if err != nil {
		return err
	}
	return certs.WritePrivate(path, append([]byte(usersHeading), text...))
}
