// Command fapid is a FAPI authorization server for testers of open banking.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"
)

// version is set by the release build: -ldflags "-X main.version=v1.2.3".
var version = ""

// exitError ends the program with a code; what was to say has been said.
type exitError struct{ code int }

func (e exitError) Error() string { return fmt.Sprintf("exit code %d", e.code) }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// run carries out a command line and returns the exit code: 0 for success, 1
// for a refusal or failure, 2 for a command line that makes no sense.
func run(ctx context.Context, args []string) int {
	root := rootCommand()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var exit exitError
	var usage usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.code
	case errors.As(err, &usage):
		fmt.Fprintf(os.Stderr, "fapid: %v\nSee `%s --help`.\n", err, usage.command)
		return 2
	}
	fmt.Fprintln(os.Stderr, "fapid:", err)
	return 1
}

// usageError is a command line that makes no sense.
type usageError struct {
	command string
	cause   error
}

func (e usageError) Error() string { return e.cause.Error() }

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "fapid",
		Short: "A FAPI authorization server for testers of open banking",
		Long: `fapid is a FAPI-style OAuth 2.0 and OpenID Connect authorization server built
around mutual TLS, with a sandbox CA and a small bank to call.

Start with ` + "`fapid dev`" + `: it makes everything a test needs and prints the curl
lines to paste.`,
		Example:       "  fapid dev\n  fapid token tpp-tls\n  fapid doctor https://localhost:8443 --cert client.pem --key client.key",
		Version:       buildVersion(),
		SilenceErrors: true, SilenceUsage: true,
	}
	root.AddCommand(
		devCommand(), serveCommand(), configCommand(),
		tokenCommand(), assertionCommand(), dpopCommand(), explainCommand(openOperator),
		clientCommand(openOperator), registrationTokenCommand(openOperator), apiCommand(openOperator), certCommand(openOperator), keyCommand(openOperator), sessionCommand(openOperator), userCommand(openOperator),
		directoryCommand(openOperator), participantCommand(openOperator), dnCommand(), doctorCommand(), drillCommand(openOperator),
	)
	markUsage(root)
	return root
}

// markUsage makes wrong flags and arguments usage errors, in every command. One
// that only has commands below it prints its help, and refuses what it is given.
func markUsage(command *cobra.Command) {
	command.SetFlagErrorFunc(func(at *cobra.Command, err error) error { return usageError{at.CommandPath(), err} })
	if !command.Runnable() {
		command.Args = cobra.NoArgs
		command.RunE = func(at *cobra.Command, _ []string) error { return at.Help() }
	}
	check := command.Args
	command.Args = func(at *cobra.Command, args []string) error {
		err := check(at, args)
		if err == nil {
			err = at.ValidateFlagGroups()
		}
		if err != nil {
			return usageError{at.CommandPath(), err}
		}
		return nil
	}
	for _, sub := range command.Commands() {
		markUsage(sub)
	}
}

// buildVersion is the release's version, or the commit a plain build was made of.
func buildVersion() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" && len(setting.Value) >= 12 {
			return "dev-" + setting.Value[:12]
		}
	}
	if info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "dev"
}
