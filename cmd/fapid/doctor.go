package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/fapid/fapid/mtls/doctor"
)

func doctorCommand() *cobra.Command {
	var opt doctor.Options
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor URL",
		Short: "Say what keeps a client from getting a token at a server",
		Long: `Doctor examines an authorization server, this one or any other, from where you
stand and with your certificate: the server's certificates, its metadata and
mTLS aliases, whether and how it asks for your certificate, TLS versions and
suites against BCP 195 and FAPI, the clocks, and your own certificate. It ends
with what to fix, the most important first.

URL is the issuer, one of its well-known URLs, or a host. Only that host and the
ones its metadata names are contacted, directly and not through a proxy. One
token request without parameters is sent, with your certificate and without.

Exit code: 0 nothing failed, 1 something failed, 2 wrong usage.`,
		Example: `  fapid doctor https://localhost:8443 --cacert .fapid/ca.pem \
      --cert .fapid/clients/tpp-tls/transport.pem --key .fapid/clients/tpp-tls/transport.key
  fapid doctor https://as.bank.example/.well-known/openid-configuration
  fapid doctor as.bank.example --cert client.pem --key client.key --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			opt.URL = args[0]
			opt.Progress = func(step string) { fmt.Fprintln(cmd.ErrOrStderr(), step+" ...") }
			report, err := doctor.Examine(cmd.Context(), opt)
			if err != nil {
				return wrongUsage(cmd, err)
			}
			if asJSON {
				err = printJSON(cmd.OutOrStdout(), report)
			} else {
				err = report.WriteText(cmd.OutOrStdout(), isTerminal(cmd.OutOrStdout()))
			}
			if err == nil && report.Failed() {
				err = exitError{code: 1}
			}
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&opt.CertFile, "cert", "", "your certificate and its intermediates, PEM `file`")
	flags.StringVar(&opt.KeyFile, "key", "", "its private key, PEM `file`; default: in the --cert file")
	flags.StringVar(&opt.CAFile, "cacert", "", "whom to trust, PEM `file`; default: the system's roots")
	flags.DurationVar(&opt.Timeout, "timeout", 10*time.Second, "how long to wait for each answer")
	flags.BoolVar(&asJSON, "json", false, "print the report as JSON")
	return cmd
}

// wrongUsage prints why the command cannot be run as given; the exit code is 2.
func wrongUsage(cmd *cobra.Command, err error) error {
	fmt.Fprintf(cmd.ErrOrStderr(), "%s: %v\n", cmd.CommandPath(), err)
	return exitError{code: 2}
}

func printJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

// isTerminal reports whether colours are wanted (https://no-color.org).
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
