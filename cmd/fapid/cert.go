package main

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/fapid/fapid/certs"
	"github.com/fapid/fapid/mtls/doctor"
	"github.com/fapid/fapid/server/admin"
	"github.com/fapid/fapid/server/participant"
)

func certCommand(open Opener) *cobra.Command {
	command := &cobra.Command{
		Use:   "cert",
		Short: "Issue, sign, renew, revoke and look up certificates of the sandbox CA",
		Long: `Cert works with the CA that the server keeps. A revocation is in force for the
very next request, also on connections that are open.

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
		fmt.Fprintf(table, "  %s\t%s\t%s\n", profile, profile.About(), strings.Join(profile.Attributes(), " "))
	}
	_ = table.Flush() // into memory
	return strings.TrimRight(out.String(), "\n")
}

// holderFlags say whom a certificate is for.
func holderFlags(command *cobra.Command, request *admin.IssueRequest) {
	set := command.Flags()
	set.StringVar((*string)(&request.Profile), "profile", string(certs.ProfileClient), "profile of the certificate")
	set.StringVar(&request.Subject, "subject", "", "distinguished name as in RFC 4514, most specific RDN first")
	set.StringArrayVar(&request.SANs, "san", nil, "subject alternative name: DNS:host, IP:address, URI:uri or email:address (repeatable)")
	set.StringVar(&request.Owner, "owner", "", "label of the record, such as a client_id")
}

func certIssueCommand(open Opener, asJSON *bool) *cobra.Command {
	var request admin.IssueRequest
	var out, name, password string
	var force bool
	command := &cobra.Command{
		Use:   "issue",
		Short: "Make a key and a certificate for it",
		Long: `Issue writes NAME.pem (leaf and issuing CA), NAME.key (mode 0600) and NAME.p12
into the --out folder. The CA keeps no copy of the key.`,
		Example: `  fapid cert issue --subject 'CN=tpp,O=Example,C=GB' --out certs --name tpp
  fapid cert issue --profile server --subject CN=api.example --san api.example --san 127.0.0.1
  fapid cert issue --profile qwac --subject 'CN=tpp,organizationIdentifier=PSDDE-BAFIN-123456,O=Example,C=DE'`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if name == "" {
				name = string(request.Profile)
			}
			if err := writable(out, force, name+admin.ChainFile, name+admin.KeyFile, name+admin.BundleFile); err != nil {
				return err
			}
			return open.with(command, func(operator *admin.Client) error {
				issued, err := operator.Issue(command.Context(), request)
				if err != nil {
					return err
				}
				files, err := issued.Files(name, password)
				if err != nil {
					return err
				}
				if err := write(out, files); err != nil {
					return err
				}
				if *asJSON {
					return printJSON(command.OutOrStdout(), issued.Record)
				}
				for _, file := range files {
					fmt.Fprintln(command.OutOrStdout(), "wrote", filepath.Join(out, file.Name))
				}
				return printCertificate(command.OutOrStdout(), &issued.Record)
			})
		},
	}
	holderFlags(command, &request)
	set := command.Flags()
	set.StringVar((*string)(&request.Key), "key", "", "RSA-2048, RSA-3072, RSA-4096, P-256, P-384 or Ed25519 (default: the profile's)")
	set.StringVar(&out, "out", ".", "folder to write to")
	set.StringVar(&name, "name", "", "name of the files (default: the profile)")
	set.StringVar(&password, "password", participant.PKCS12Password, "of the .p12; Java reads none without one")
	set.BoolVar(&force, "force", false, "overwrite files")
	return command
}

// writable makes the folder and refuses to overwrite: a key that is overwritten
// is lost.
func writable(folder string, force bool, names ...string) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	for _, name := range names {
		path := filepath.Join(folder, name)
		if _, err := os.Lstat(path); err == nil && !force {
			return fmt.Errorf("%s: %w; choose another --name or --out, or use --force", path, fs.ErrExist)
		}
	}
	return nil
}

func write(folder string, files []admin.File) error {
	for _, file := range files {
		save := certs.WritePublic
		if file.Private {
			save = certs.WritePrivate
		}
		if err := save(filepath.Join(folder, file.Name), file.Content); err != nil {
			return err
		}
	}
	return nil
}

func certSignCommand(open Opener, asJSON *bool) *cobra.Command {
	var request admin.IssueRequest
	var out string
	command := &cobra.Command{
		Use:   "sign [CSR]",
		Short: "Sign a certificate request",
		Long: `Sign reads a PKCS #10 request, PEM or - for standard input, and prints the
certificate and its issuing CA. Subject and alternative names are the request's
unless flags say otherwise; nothing else in the request counts.`,
		Example: `  openssl req -new -key tpp.key -subj /C=GB/O=Example/CN=tpp | fapid cert sign > tpp.pem
  fapid cert sign tpp.csr --profile ob-transport --subject 'CN=a,OU=b,O=OpenBanking,C=GB' --out tpp.pem`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			file := "-"
			if len(args) > 0 {
				file = args[0]
			}
			text, err := readInput(command, file)
			if err != nil {
				return err
			}
			request.CSR = string(text)
			return open.with(command, func(operator *admin.Client) error {
				issued, err := operator.Issue(command.Context(), request)
				if err != nil {
					return err
				}
				return printChain(command.OutOrStdout(), issued, out, *asJSON)
			})
		},
	}
	holderFlags(command, &request)
	command.Flags().StringVar(&out, "out", "-", "file to write; - is standard output")
	return command
}

// printChain writes a certificate without a key.
func printChain(out io.Writer, issued *admin.Issued, file string, asJSON bool) error {
	if file != "-" {
		if err := certs.WritePublic(file, []byte(issued.Chain)); err != nil {
			return err
		}
	}
	switch {
	case asJSON:
		return printJSON(out, issued)
	case file != "-":
		return printCertificate(out, &issued.Record)
	}
	_, err := io.WriteString(out, issued.Chain)
	return err
}

func certRenewCommand(open Opener, asJSON *bool) *cobra.Command {
	var out string
	command := &cobra.Command{
		Use:   "renew SERIAL|FILE",
		Short: "Issue a certificate again, for the same key and names",
		Long: `Renew prints a new certificate with the key, subject and profile of an old one,
and its issuing CA. The old one stays valid until it ends or is revoked.`,
		Example: "  fapid cert renew 47c1d20e8a5f6b3c9d0e1f2a3b4c5d6e7f8091a2 > tpp.pem\n  fapid cert renew tpp.pem --out renewed.pem",
		Args:    cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			serial, err := serialOf(args[0])
			if err != nil {
				return wrongUsage(command, err)
			}
			return open.with(command, func(operator *admin.Client) error {
				issued, err := operator.Renew(command.Context(), serial)
				if err != nil {
					return err
				}
				return printChain(command.OutOrStdout(), issued, out, *asJSON)
			})
		},
	}
	command.Flags().StringVar(&out, "out", "-", "file to write; - is standard output")
	return command
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
				return wrongUsage(command, err)
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

func certShowCommand(open Opener, asJSON *bool) *cobra.Command {
	return &cobra.Command{
		Use:     "show SERIAL|FILE",
		Short:   "Show one certificate, and whether it is revoked",
		Example: "  fapid cert show 47c1d20e8a5f6b3c9d0e1f2a3b4c5d6e7f8091a2\n  fapid cert show 4a5b6c --json | jq -r .pem | fapid dn -",
		Args:    cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			serial, err := serialOf(args[0])
			if err != nil {
				return wrongUsage(command, err)
			}
			return open.with(command, func(operator *admin.Client) error {
				record, err := operator.Certificate(command.Context(), serial)
				if err != nil {
					return err
				}
				if *asJSON {
					return printJSON(command.OutOrStdout(), record)
				}
				if err := printCertificate(command.OutOrStdout(), record); err != nil {
					return err
				}
				_, err = io.WriteString(command.OutOrStdout(), record.PEM)
				return err
			})
		},
	}
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
	for _, line := range [][2]string{
		{"serial", record.Serial}, {"status", status}, {"profile", string(record.Profile)}, {"owner", record.Owner},
		{"subject", record.Subject}, {"names", strings.Join(record.SANs, ", ")}, {"key", string(record.Key)},
		{"valid", record.NotBefore.UTC().Format(time.RFC3339) + " to " + record.NotAfter.UTC().Format(time.RFC3339)},
		{"x5t#S256", record.Thumbprint}, {"replaces", record.Replaces},
	} {
		if line[1] != "" {
			row(table, line[0], line[1])
		}
	}
	return table.Flush()
}
