package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fapid/fapid/server"
)

// devFlags are the flags of `fapid dev`.
type devFlags struct {
	dir, host                                string
	port, mtlsPort, directoryPort, adminPort int
	ephemeral, reset                         bool
	verbose                                  bool
	layout                                   string
}

func devCommand() *cobra.Command {
	var flags devFlags
	command := &cobra.Command{
		Use:   "dev",
		Short: "Start a sandbox with everything a test needs",
		Long: `Start a sandbox: a CA, certificates, sample clients, an authorization server on
two listeners, a directory of participants and a bank to call. Everything is made on the first start, kept in
one directory and used again by the next.`,
		Example: `  fapid dev
  fapid dev --port 9443 --mtls-port 9444
  fapid dev --host fapid.example.test
  fapid dev --ephemeral          # forget everything on exit
  fapid dev --reset              # start over`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error { return runDev(command, flags) },
	}
	set := command.Flags()
	dirFlag(set, &flags.dir)
	set.StringVar(&flags.host, "host", "localhost", "name clients reach the server by")
	set.IntVar(&flags.port, "port", 8443, "port of the standard listener, the issuer")
	set.IntVar(&flags.mtlsPort, "mtls-port", 8444, "port of the mTLS listener")
	set.IntVar(&flags.directoryPort, "directory-port", 8445, "port of the directory of participants")
	set.IntVar(&flags.adminPort, "admin-port", 9000, "port of the operator's listener, on loopback")
	set.BoolVar(&flags.ephemeral, "ephemeral", false, "keep nothing after exit")
	set.BoolVar(&flags.reset, "reset", false, "delete the sandbox in the directory first")
	set.BoolVar(&flags.verbose, "verbose", false, "log every request to standard error")
	set.StringVar(&flags.layout, "layout", "", "print the documented curl lines of the server whose paths a realm has: default (Raidiam), keycloak, cern, asgardeo, aidbox or all")
	command.MarkFlagsMutuallyExclusive("ephemeral", "dir")
	command.MarkFlagsMutuallyExclusive("ephemeral", "reset")
	return command
}

func runDev(command *cobra.Command, flags devFlags) error {
	started := time.Now()
	out, progress := command.OutOrStdout(), command.ErrOrStderr()
	if flags.ephemeral {
		dir, err := os.MkdirTemp("", "fapid-")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(dir) }()
		flags.dir = dir
	}
	if flags.reset {
		if err := reset(out, flags.dir); err != nil {
			return err
		}
	}
	config, err := server.LoadSandbox(flags.dir, os.Environ(), flags.doors(command))
	if err != nil {
		return err
	}
	server.Tune()
	level := slog.LevelWarn // a tester reads traces; the request log would bury the curl lines
	if flags.verbose {
		level = slog.LevelInfo
	}
	here, anywhere := self()
	s, err := server.OpenSandbox(command.Context(), config, anywhere, server.Options{
		Version: buildVersion(), Ephemeral: flags.ephemeral, AllowTestKeys: true, OpenOperator: true,
		Log: jsonLog(progress, level),
	}, func(what string) { _, _ = fmt.Fprintln(progress, what) })
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	lines, err := flags.layoutRecipes(s, here)
	if err != nil {
		return err
	}
	return s.Serve(command.Context(), func() {
		greet(out, config, append(s.Recipes(here), lines...), started)
		server.Settle()
	})
}

// reset deletes a sandbox and nothing else, and says what.
func reset(out io.Writer, dir string) error {
	files := server.SandboxFiles(dir)
	if len(files) == 0 {
		_, _ = fmt.Fprintf(out, "Nothing to delete in %s.\n", dir)
		return nil
	}
	if err := server.CheckUnused(dir); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out, "Deleting:\n  %s\n", strings.Join(files, "\n  "))
	for _, file := range files {
		if err := os.RemoveAll(file); err != nil {
			return err
		}
	}
	return nil
}

// doors are the listeners as the flags have them, and whether any flag was given.
func (f devFlags) doors(command *cobra.Command) server.Doors {
	given := command.Flags().Changed
	return server.Doors{
		Host: f.host, Port: f.port, MTLSPort: f.mtlsPort, DirectoryPort: f.directoryPort, AdminPort: f.adminPort,
		Given: given("host") || given("port") || given("mtls-port") || given("directory-port") || given("admin-port"),
	}
}

// layoutRecipes are the lines of the layouts that --layout names.
func (f devFlags) layoutRecipes(s *server.Server, fapid string) ([]server.Recipe, error) {
	if f.layout == "" {
		return nil, nil
	}
	layouts := []string{f.layout}
	if f.layout == "all" {
		layouts = s.Layouts()
	}
	var recipes []server.Recipe
	for _, layout := range layouts {
		found := s.LayoutRecipes(layout, fapid)
		if found == nil {
			return nil, fmt.Errorf("there is no sample realm with layout %q; there are %s, or all", layout, strings.Join(s.Layouts(), ", "))
		}
		recipes = append(recipes, found...)
	}
	return recipes, nil
}

// greet tells a tester where everything is and what to paste.
func greet(out io.Writer, config server.Config, recipes []server.Recipe, started time.Time) {
	listeners := config.Listeners
	var text strings.Builder
	fmt.Fprintf(&text, "\nfapid %s is ready after %d ms.\n\n", buildVersion(), time.Since(started).Milliseconds())
	fmt.Fprintf(&text, "  issuer    %s\n  mTLS      %s\n", listeners.Standard.URL, listeners.MTLS.URL)
	if listeners.Directory != nil {
		fmt.Fprintf(&text, "  directory %s   participants, their software and keys\n", listeners.Directory.URL)
	}
	fmt.Fprintf(&text, "  operator  %s   explanations, health, metrics\n  folder    %s\n", listeners.Admin.URL, config.Dir)
	fmt.Fprintf(&text, "\nFor tests only: the keys in this folder are sample keys.\n")
	for i, recipe := range recipes {
		fmt.Fprintf(&text, "\n# %d. %s\n%s\n", i+1, recipe.Title, recipe.Command)
	}
	fmt.Fprintf(&text, "\nThe other sample clients have their lines in %s/clients/*/curl.sh. Stop with Ctrl-C.\n", config.Dir)
	_, _ = io.WriteString(out, text.String())
}
