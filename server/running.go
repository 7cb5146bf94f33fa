package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/fapid/fapid/certs"
)

// runningFile is there while a server runs on a directory, and tells the verbs
// where it is. A server that was killed leaves it behind.
const runningFile = "running.json"

// Running is where a directory's server can be reached.
type Running struct {
	Operator string            `json:"operator"` // URL of the operator's listener
	MTLS     string            `json:"mtls"`     // URL of the mTLS listener
	Issuers  map[string]string `json:"issuers"`  // by realm
	// Directory is the URL of the directory of participants; empty without one.
	Directory string `json:"directory,omitempty"`
}

// FindRunning reads where a directory's server is; the zero value means that
// none runs.
func FindRunning(dir string) (Running, error) {
	var running Running
	text, err := os.ReadFile(filepath.Join(dir, runningFile))
	if errors.Is(err, fs.ErrNotExist) {
		return running, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &running)
	}
	return running, err
}

// announce writes where this server is.
func (s *Server) announce() error {
	running := Running{Operator: s.config.Listeners.Admin.URL, MTLS: s.config.Listeners.MTLS.URL, Issuers: map[string]string{}}
	if s.directory != nil {
		running.Directory = s.config.Listeners.Directory.URL
	}
	for name, r := range s.realms {
		running.Issuers[name] = r.config.Issuer
	}
	text, err := json.Marshal(running)
	if err != nil {
		return err
	}
	return certs.WritePublic(s.path(runningFile), append(text, '\n'))
}

// SandboxIssuer finds the issuer a client of a sandbox talks to: that of the
// running server, or what the configuration says. An empty realm means the one
// the sample client is registered in.
func SandboxIssuer(dir, realm, client string) (string, error) {
	realm = realmOf(realm, client)
	running, err := FindRunning(dir)
	if err != nil {
		return "", err
	}
	if issuer, ok := running.Issuers[realm]; ok {
		return issuer, nil
	}
	config, err := sandboxFile(dir, realm)
	if err != nil {
		return "", err
	}
	return config.Realms[realm].Issuer, nil
}

// SandboxTokenAlias finds where a client of a sandbox asks for tokens with its
// certificate, like [SandboxIssuer].
func SandboxTokenAlias(dir, realm, client string) (string, error) {
	realm = realmOf(realm, client)
	running, err := FindRunning(dir)
	if err != nil {
		return "", err
	}
	config, err := sandboxFile(dir, realm)
	if err != nil {
		return "", err
	}
	base := config.Listeners.MTLS.URL
	if running.MTLS != "" {
		base = running.MTLS
	}
	layout, _ := config.layout(config.Realms[realm].Layout) // Complete has looked
	return base + first(layout.Paths("token_endpoint", realm)), nil
}

// realmOf is the realm a sample client is registered in, unless another is named.
func realmOf(realm, client string) string {
	if realm != "" {
		return realm
	}
	for _, sample := range samples {
		if sample.id == client {
			return sample.realm
		}
	}
	return "default"
}

// sandboxFile reads the configuration of a sandbox, which must have the realm.
func sandboxFile(dir, realm string) (*Config, error) {
	file := filepath.Join(dir, "fapid.yaml")
	config, err := Load(Source{File: file, Env: os.Environ(), Flags: map[string]string{"dir": dir}})
	if err != nil {
		return nil, err
	}
	if err := config.Complete(); err != nil {
		return nil, err
	}
	if _, ok := config.Realms[realm]; !ok {
		return nil, fmt.Errorf("there is no realm %s in %s", realm, file)
	}
	return &config, nil
}
