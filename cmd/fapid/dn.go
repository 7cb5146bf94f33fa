package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/fapid/fapid/mtls/doctor"
)

func dnCommand() *cobra.Command {
	var registered string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "dn CERT.pem",
		Short: "Print a certificate's names as they are registered",
		Long: `Dn prints the subject of a certificate in every spelling that tools and
ecosystems use, its other names, purpose, dates, key and x5t#S256, and the
client metadata that can be registered for it. CERT.pem is PEM, whose first
certificate counts, or DER; - reads standard input.

With --match it also says whether a registered tls_client_auth_subject_dn is
this certificate's subject in each of the ways a policy may compare them
(dn_matching: strict, any_order, brazil), and where the two first differ. The
operator's listener does the same at POST /dn/lint, for certificate=PEM and
registered=STRING.

Exit code: 0 done, 1 --match does not match strictly, 2 no such certificate.`,
		Example: `  fapid dn transport.pem
  fapid dn transport.pem --match 'CN=web.tpp.example,OU=Org,O=OpenBanking,C=GB'
  openssl s_client -connect localhost:8443 </dev/null | fapid dn - --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			description, err := describeFile(cmd, args[0], registered)
			if err != nil {
				return wrongUsage(cmd, err)
			}
			if asJSON {
				err = printJSON(cmd.OutOrStdout(), description)
			} else {
				err = description.WriteText(cmd.OutOrStdout())
			}
			if err == nil && description.Match != nil && !description.Match.Strict {
				err = exitError{code: 1}
			}
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&registered, "match", "", "a registered subject DN to compare with the certificate's, RFC 4514 `string`")
	flags.BoolVar(&asJSON, "json", false, "print everything as JSON")
	return cmd
}

func describeFile(cmd *cobra.Command, name, registered string) (doctor.Description, error) {
	var data []byte
	var err error
	if name == "-" {
		data, err = io.ReadAll(cmd.InOrStdin())
	} else {
		data, err = os.ReadFile(name)
	}
	if err != nil {
		return doctor.Description{}, err
	}
	chain, err := doctor.ParseCertificates(data)
	if err != nil {
		return doctor.Description{}, fmt.Errorf("%s: %w", name, err)
	}
	description, err := doctor.Describe(chain, time.Now())
	if err != nil {
		return doctor.Description{}, fmt.Errorf("%s: %w", name, err)
	}
	if cmd.Flags().Changed("match") {
		match := doctor.CompareSubject(registered, chain[0])
		description.Match = &match
	}
	return description, nil
}
