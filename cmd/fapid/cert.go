package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/fapid/fapid/certs"
	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/mtls/doctor"
	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/server/admin"
)

func certCommand(open Opener) *cobra.Command {
	command := &cobra.Command{
		Use:   "cert",
		Short: "Issue, sign, renew, revoke and look up certificates of the sandbox CA",
		Long: `Cert works with the CA that the server keeps. A revocation is in force for the
very next request, also on connections that are open; CRL and OCSP, at /crl and /ocsp
of the issuer's host and the operator's, say so at once. Whoever presents a
certificate that ends within 30 days is told in Fapid-Cert-Expires-In, in seconds.

Profiles of certificates, and the attributes a subject must have, in the order
of the certificate; --subject is written the other way round:
` + profileList(),
		Example: `  fapid cert issue --subject 'CN=tpp,O=Example,C=GB' --out certs
  fapid cert sign tpp.csr > tpp.pem
  fapid cert revoke 47c1d20e8a5f6b3c9d0e1f2a3b4c5d6e7f8091a2 --reason keyCompromise`,
		Args: cobra.NoArgs,
	}
	operatorFlags(command)
	asJSON := jsonFlag(command)
	command.AddCommand(
		certIssueCommand(open, asJSON), certSignCommand(open, asJSON), certRenewCommand(open, asJSON),
		certRevokeCommand(open, asJSON), certListCommand(open, asJSON), certShowCommand(open, asJSON),
	)
	return command
}

func profileList() string {
	var out strings.Builder
	table := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	for _, profile := range certs.Profiles() {
		attributes := strings.Join(profile.Attributes(), " ")
		if len(profile.OtherNames()) > 0 {
			attributes += "; --san otherName:OID=TEXT"
		}
		if profile.PSD2() {
			attributes += "; --psd2-role --nca-name"
		}
		fmt.Fprintf(table, "  %s\t%s\t%s\n", profile, profile.About(), attributes)
	}
	_ = table.Flush() // into memory
	return strings.TrimRight(out.String(), "\n")
}

func certRevokeCommand(open Opener, asJSON *bool) *cobra.Command {
	var reason string
	command := &cobra.Command{
		Use:     "revoke SERIAL|FILE",
		Short:   "Revoke a certificate for good",
		Example: "  fapid cert revoke 47c1d20e8a5f6b3c9d0e1f2a3b4c5d6e7f8091a2 --reason keyCompromise\n  fapid cert revoke tpp.pem",
		Args:    cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			why, err := certs.ParseReason(reason)
			if err != nil {
				return wrongUsage(command, errors.New(oauth.AsError(err).Description))
			}
			serial, err := serialOf(args[0])
			if err != nil {
				return wrongUsage(command, err)
			}
			return open.with(command, func(operator *admin.Client) error {
				record, err := operator.Revoke(command.Context(), serial, why)
				if err != nil {
					return err
				}
				if *asJSON {
					return printJSON(command.OutOrStdout(), record)
				}
				return printCertificate(command.OutOrStdout(), record)
			})
		},
	}
	command.Flags().StringVar(&reason, "reason", "unspecified", "unspecified, keyCompromise, cACompromise, affiliationChanged, superseded, cessationOfOperation or privilegeWithdrawn")
	return command
}

func certListCommand(open Opener, asJSON *bool) *cobra.Command {
	var wanted certs.Filter
	command := &cobra.Command{
		Use:     "list",
		Short:   "List the certificates of the CA",
		Example: "  fapid cert list --owner tpp-tls\n  fapid cert list --status revoked --json",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return open.with(command, func(operator *admin.Client) error {
				page, err := operator.Certificates(command.Context(), wanted)
				if err != nil {
					return err
				}
				if *asJSON {
					return printJSON(command.OutOrStdout(), page)
				}
				table := tabwriter.NewWriter(command.OutOrStdout(), 0, 0, 2, ' ', 0)
				fmt.Fprintln(table, "SERIAL\tSTATUS\tPROFILE\tOWNER\tUNTIL\tSUBJECT")
				for _, record := range page.Certificates {
					row(table, record.Serial, string(record.Status), string(record.Profile), record.Owner,
						record.NotAfter.UTC().Format(time.DateOnly), record.Subject)
				}
				return table.Flush()
			})
		},
	}
	set := command.Flags()
	set.StringVar((*string)(&wanted.Profile), "profile", "", "only those of a profile")
	set.StringVar(&wanted.Owner, "owner", "", "only those of an owner")
	set.StringVar((*string)(&wanted.Status), "status", "", "only valid, revoked or expired ones")
	return command
}

// The formats of cert show.
const (
	formatText = "text"
	formatPEM  = "pem"
	formatJWK  = "jwk"
	formatJSON = "json"
)

func certShowCommand(open Opener, asJSON *bool) *cobra.Command {
	var format string
	command := &cobra.Command{
		Use:   "show SERIAL|FILE",
		Short: "Show one certificate, and whether it is revoked",
		Long: `Show prints the record of a certificate and the certificate itself: as text, as
pem alone, as json, or as the jwk that a directory would publish of it, with x5c,
x5t#S256 and x5dn.`,
		Example: "  fapid cert show 47c1d20e8a5f6b3c9d0e1f2a3b4c5d6e7f8091a2\n  fapid cert show tpp.pem --format jwk\n  fapid cert show 4a5b6c --format pem | fapid dn -",
		Args:    cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			if *asJSON {
				format = formatJSON
			}
			if !slices.Contains([]string{formatText, formatPEM, formatJWK, formatJSON}, format) {
				return wrongUsage(command, fmt.Errorf("there is no format %q; there are text, pem, jwk and json", format))
			}
			serial, err := serialOf(args[0])
			if err != nil {
				return wrongUsage(command, err)
			}
			return open.with(command, func(operator *admin.Client) error {
				record, err := operator.Certificate(command.Context(), serial)
				if err != nil {
					return err
				}
				return showRecord(command.OutOrStdout(), record, format)
			})
		},
	}
	command.Flags().StringVar(&format, "format", formatText, "text, pem, jwk or json")
	return command
}

func showRecord(out io.Writer, record *certs.Record, format string) error {
	switch format {
	case formatJSON:
		return printJSON(out, record)
	case formatJWK:
		certificate, err := certs.ParseCertificate([]byte(record.PEM))
		if err != nil {
			return err
		}
		text, err := certs.CertificateJWK(certificate)
		if err != nil {
			return err
		}
		return printJSON(out, json.RawMessage(text))
	case formatText:
		if err := printCertificate(out, record); err != nil {
			return err
		}
	}
	_, err := io.WriteString(out, record.PEM)
	return err
}

// serialOf takes a serial number as it is, or finds it in a certificate's file.
func serialOf(argument string) (string, error) {
	text, err := os.ReadFile(argument)
	if err != nil {
		if strings.ContainsAny(argument, `./\`) {
			return "", err
		}
		return argument, nil
	}
	chain, err := doctor.ParseCertificates(text)
	if err != nil {
		return "", fmt.Errorf("%s: %w", argument, err)
	}
	return certs.SerialOf(chain[0]), nil
}

func printCertificate(out io.Writer, record *certs.Record) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	status := string(record.Status)
	if record.Revoked != nil {
		status += " " + record.Revoked.At.UTC().Format(time.RFC3339) + ", " + record.Revoked.Reason.String()
	}
	lines := [][2]string{
		{"serial", record.Serial}, {"status", status}, {"profile", string(record.Profile)}, {"owner", record.Owner},
		{"subject", record.Subject}, {"names", strings.Join(record.SANs, ", ")}, {"key", string(record.Key)},
		{"valid", record.NotBefore.UTC().Format(time.RFC3339) + " to " + record.NotAfter.UTC().Format(time.RFC3339)},
		{"x5t#S256", record.Thumbprint}, {"replaces", record.Replaces},
	}
	statements, err := statementsOf(record)
	if err != nil {
		return err
	}
	for _, line := range append(lines, statements.Lines()...) {
		if line[1] != "" {
			row(table, line[0], line[1])
		}
	}
	return table.Flush()
}

// statementsOf reads the QC statements of a recorded certificate; nil if it has none.
func statementsOf(record *certs.Record) (*mtls.QCStatements, error) {
	certificate, err := certs.ParseCertificate([]byte(record.PEM))
	if err != nil {
		return nil, err
	}
	return mtls.ParseQCStatements(certificate)
}
