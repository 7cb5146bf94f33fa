package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/fapid/fapid/server"
)

func serveCommand() *cobra.Command {
	var file string
	overrides := map[string]*string{}
	command := &cobra.Command{
		Use:   "serve",
		Short: "Serve from a configuration file, without sample data",
		Long: `Serve from a strict YAML configuration: no sample clients, no test keys, and
nothing unsafe that the file does not spell out. FAPID_ variables override the
file, flags override both.`,
		Example: `  fapid serve --config fapid.yaml
  FAPID_LOG__LEVEL=debug fapid serve --config fapid.yaml
  fapid serve --config fapid.yaml --address 0.0.0.0:8443`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			flags := map[string]string{}
			for path, value := range overrides {
				if *value != "" {
					flags[path] = *value
				}
			}
			return runServe(command, file, flags)
		},
	}
	set := command.Flags()
	set.StringVar(&file, "config", "fapid.yaml", "configuration file")
	for flag, path := range map[string]string{
		"dir": "dir", "address": "listeners.standard.address", "mtls-address": "listeners.mtls.address",
		"directory-address": "listeners.directory.address",
		"admin-address":     "listeners.admin.address", "log-level": "log.level",
	} {
		overrides[path] = set.String(flag, "", "overrides "+path)
	}
	return command
}

func runServe(command *cobra.Command, file string, flags map[string]string) error {
	started := time.Now()
	config, err := server.Load(server.Source{File: file, Env: os.Environ(), Flags: flags})
	if _, missing := os.Stat(file); errors.Is(missing, fs.ErrNotExist) {
		return fmt.Errorf("there is no %s: name another file with --config (`fapid config schema` says what can be in one), or start a sandbox with `fapid dev`", file)
	}
	if err != nil {
		return err
	}
	if err := config.Complete(); err != nil {
		return err
	}
	if err := config.Unsafe(); err != nil {
		return err
	}
	server.Tune()
	log := jsonLog(command.ErrOrStderr(), config.LogLevel())
	slog.SetDefault(log)
	s, err := server.Open(command.Context(), config, server.Options{Version: buildVersion(), Log: log})
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	return s.Serve(command.Context(), func() {
		log.Info("ready", "version", buildVersion(), "issuer", config.Listeners.Standard.URL,
			"mtls", config.Listeners.MTLS.URL, "admin", config.Listeners.Admin.URL, "after_ms", time.Since(started).Milliseconds())
		server.Settle()
	})
}

// jsonLog writes one JSON object a line.
func jsonLog(out io.Writer, level slog.Level) *slog.Logger {
	return slog.New(slog.NewJSONHandler(out, &slog.HandlerOptions{Level: level}))
}

// quiet drops the request log: a verb's own output is what counts.
func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }
