package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/fapid/fapid/server"
	"github.com/fapid/fapid/server/admin"
	"github.com/fapid/fapid/store"
)

// dirFlag adds --dir, which means the same in every verb.
func dirFlag(set *pflag.FlagSet, dir *string) {
	usual := server.DefaultDir
	if named := os.Getenv("FAPID_DIR"); named != "" {
		usual = named
	}
	set.StringVar(dir, "dir", usual, "directory of everything the server keeps")
}

// operatorFlags say whose operator is meant, for a command and those below it.
func operatorFlags(command *cobra.Command) {
	dirFlag(command.PersistentFlags(), new(string))
	command.PersistentFlags().String("config", "", "configuration file of the server (default: fapid.yaml in --dir)")
}

// openOperator finds the operator's API of a directory: that of the running
// server, or, while none runs, one in this process over the same store. The
// verbs cannot tell the difference. The returned function ends its use.
func openOperator(command *cobra.Command) (*admin.Client, func(), error) {
	config, dir, err := operatorConfig(command)
	if err != nil {
		return nil, nil, err
	}
	running, err := server.FindRunning(dir)
	if err != nil {
		return nil, nil, err
	}
	if running.Operator != "" && answers(running.Operator) {
		key, err := os.ReadFile(filepath.Join(dir, "operator.key"))
		if err != nil {
			return nil, nil, err
		}
		return &admin.Client{Base: running.Operator, Key: strings.TrimSpace(string(key))}, func() {}, nil
	}
	if config == nil {
		if config, err = operatorFile(filepath.Join(dir, "fapid.yaml"), dir); err != nil {
			return nil, nil, noSandbox(err, dir)
		}
	}
	s, err := server.Open(command.Context(), *config, server.Options{
		Version: buildVersion(), OpenOperator: true, Log: quiet(),
	})
	if errors.Is(err, store.ErrLocked) {
		return nil, nil, fmt.Errorf("%w\nIts operator's listener does not answer; wait until it is up, or stop it", err)
	}
	if err != nil {
		return nil, nil, err
	}
	handler, key := s.Operator()
	client := &admin.Client{Base: config.Listeners.Admin.URL, Key: key, Transport: admin.InProcess(handler)}
	return client, func() { _ = s.Close() }, nil
}

// operatorConfig reads the file of --config, which says where the directory is
// unless --dir does. Without --config there is nothing to read yet: a running
// server needs no configuration to be found.
func operatorConfig(command *cobra.Command) (*server.Config, string, error) {
	flags := command.Flags()
	dir, err := flags.GetString("dir")
	if err != nil {
		return nil, "", err
	}
	file, err := flags.GetString("config")
	if err != nil || file == "" {
		return nil, dir, err
	}
	if !flags.Changed("dir") {
		dir = ""
	}
	config, err := operatorFile(file, dir)
	if err != nil {
		return nil, "", err
	}
	return config, config.Dir, nil
}

func operatorFile(file, dir string) (*server.Config, error) {
	source := server.Source{File: file, Env: os.Environ()}
	if dir != "" {
		source.Flags = map[string]string{"dir": dir}
	}
	config, err := server.Load(source)
	if err != nil {
		return nil, err
	}
	return &config, config.Complete()
}

// noSandbox says what to do about a directory without a fapid.yaml in it.
func noSandbox(err error, dir string) error {
	if _, missing := os.Stat(filepath.Join(dir, "fapid.yaml")); !errors.Is(missing, fs.ErrNotExist) {
		return err
	}
	return fmt.Errorf("there is no sandbox in %s: start one with `fapid dev`, name its directory with --dir, or name a server's file with --config", dir)
}

// answers reports whether somebody serves there; a server that was killed has
// left its address behind.
func answers(base string) bool {
	response, err := http.Get(base + "/healthz") //nolint:noctx // the address is our own server's, on loopback
	if err != nil {
		var network *net.OpError
		return !errors.As(err, &network) || !errors.Is(network.Err, syscall.ECONNREFUSED)
	}
	_ = response.Body.Close()
	return response.StatusCode == http.StatusOK
}
