package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/fapid/fapid/server"
	"github.com/fapid/fapid/server/admin"
	"github.com/fapid/fapid/store"
)

// openOperator finds the operator's API of a directory: that of the running
// server, or, while none runs, one in this process over the same store. The
// verbs cannot tell the difference. The returned function ends its use.
func openOperator(command *cobra.Command) (*admin.Client, func(), error) {
	dir, err := command.Flags().GetString("dir")
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
	config, err := server.Load(server.Source{File: filepath.Join(dir, "fapid.yaml"), Env: os.Environ()})
	if err != nil {
		return nil, nil, fmt.Errorf("%w\nThere is no sandbox in %s: start one with `fapid dev`, or name its directory with --dir", err, dir)
	}
	if err := config.Complete(); err != nil {
		return nil, nil, err
	}
	s, err := server.Open(command.Context(), config, server.Options{
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

// answers reports whether somebody serves there; a server that was killed has
// left its address behind.
func answers(base string) bool {
	response, err := http.Get(base + "/healthz") //nolint:gosec,noctx // the address is our own server's, on loopback
	if err != nil {
		var network *net.OpError
		return !errors.As(err, &network) || !errors.Is(network.Err, syscall.ECONNREFUSED)
	}
	_ = response.Body.Close()
	return response.StatusCode == http.StatusOK
}
