package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/fapid/fapid/certs"
	"github.com/fapid/fapid/server/admin"
	"github.com/fapid/fapid/server/participant"
)

// holderFlags say whom a certificate is for.
func holderFlags(command *cobra.Command, request *admin.IssueRequest) {
	set := command.Flags()
	set.StringVar((*string)(&request.Profile), "profile", string(certs.ProfileClient), "profile of the certificate")
	set.StringVar(&request.Subject, "subject", "", "distinguished name as in RFC 4514, most specific RDN first")
	set.StringArrayVar(&request.SANs, "san", nil, "subject alternative name: DNS:host, IP:address, URI:uri, email:address or otherName:oid=text (repeatable)")
	set.StringVar(&request.Owner, "owner", "", "label of the record, such as a client_id")
	set.StringArrayVar(&request.PSD2Roles, "psd2-role", nil, "PSP_AS, PSP_PI, PSP_AI or PSP_IC, for the profiles that state roles (repeatable)")
	set.StringVar(&request.NCAName, "nca-name", "", "name of the competent authority that gave them")
	set.StringVar(&request.NCAID, "nca-id", "", "its id, such as GB-FCA (default: that of the organizationIdentifier)")
	termFlags(command, &request.Term)
}

// termFlags say how long a certificate lasts.
func termFlags(command *cobra.Command, term *admin.Term) {
	set := command.Flags()
	set.Var((*days)(&term.Days), "days", "how many days the certificate lasts (default: as long as the profile allows)")
	set.Var((*moment)(&term.NotAfter), "not-after", "when it ends, such as 2030-01-31T12:00:00Z")
	command.MarkFlagsMutuallyExclusive("days", "not-after")
}

// days are a number of days, from one on.
type days int

func (d *days) Set(text string) error {
	count, err := strconv.Atoi(text)
	if err != nil || count < 1 {
		return errors.New("not a number of days from 1 on")
	}
	*d = days(count)
	return nil
}

func (d *days) Type() string { return "int" }

func (d *days) String() string {
	if *d == 0 {
		return ""
	}
	return strconv.Itoa(int(*d))
}

// moment is a time of RFC 3339, or a day, which is its first moment in UTC.
type moment time.Time

func (m *moment) Set(text string) error {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			*m = moment(at)
			return nil
		}
	}
	return errors.New("not a time such as 2030-01-31T12:00:00Z or 2030-01-31")
}

func (m *moment) Type() string { return "time" }

func (m *moment) String() string {
	if time.Time(*m).IsZero() {
		return ""
	}
	return time.Time(*m).Format(time.RFC3339)
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
  fapid cert issue --profile qwac --subject 'CN=tpp,organizationIdentifier=PSDDE-BAFIN-123456,O=Example,C=DE' \
    --psd2-role PSP_AI --psd2-role PSP_PI --nca-name BaFin`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if name == "" {
				name = string(request.Profile)
			}
			if err := writable(out, force, "choose another --name or --out, or use --force", name+admin.ChainFile, name+admin.KeyFile, name+admin.BundleFile); err != nil {
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
				for _, file := range files {
					if err := certs.WriteFile(out, file); err != nil {
						return err
					}
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
func writable(folder string, force bool, instead string, names ...string) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	for _, name := range names {
		path := filepath.Join(folder, name)
		if _, err := os.Lstat(path); err == nil && !force {
			return fmt.Errorf("%s: %w; %s", path, fs.ErrExist, instead)
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
	var request admin.RenewRequest
	var out, csr, newKey string
	command := &cobra.Command{
		Use:   "renew SERIAL|FILE",
		Short: "Issue a certificate again, for the same names",
		Long: `Renew prints a new certificate with the subject, names and profile of an old one,
and its issuing CA. It is for the same key, unless --new-key has one made or --csr
brings one. Both certificates are good side by side until the old one ends, or is
revoked, which --revoke-old does at once.

Tokens stay bound to the certificate they were issued to. Refresh tokens go on with the
new one where the client's policy has refresh_with_renewed_certificate, as the built-in
ones do; a policy without it, under policies in fapid.yaml, wants another session.`,
		Example: `  fapid cert renew 47c1d20e8a5f6b3c9d0e1f2a3b4c5d6e7f8091a2 > tpp.pem
  fapid cert renew tpp.pem --out renewed.pem
  fapid cert renew tpp.pem --out renewed.pem --new-key renewed.key --revoke-old`,
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			serial, err := serialOf(args[0])
			if err != nil {
				return wrongUsage(command, err)
			}
			if csr != "" {
				text, err := readInput(command, csr)
				if err != nil {
					return err
				}
				request.CSR = string(text)
			}
			if request.NewKey = newKey != ""; request.NewKey {
				if err := writable(filepath.Dir(newKey), false, "choose another --new-key", filepath.Base(newKey)); err != nil {
					return err
				}
			}
			return open.with(command, func(operator *admin.Client) error {
				issued, err := operator.Renew(command.Context(), serial, request)
				if err != nil {
					return err
				}
				if request.NewKey {
					if err := certs.WritePrivate(newKey, []byte(issued.PrivateKey)); err != nil {
						return err
					}
					issued.PrivateKey = ""
				}
				return printChain(command.OutOrStdout(), issued, out, *asJSON)
			})
		},
	}
	set := command.Flags()
	set.StringVar(&out, "out", "-", "file to write; - is standard output")
	set.StringVar(&newKey, "new-key", "", "make a new key and write it to this `file`, which must not be there yet")
	set.StringVar((*string)(&request.Key), "key", "", "algorithm of the new key (default: that of the old one)")
	set.StringVar(&csr, "csr", "", "certificate request with the key to certify, PEM `file` or - for standard input")
	set.BoolVar(&request.RevokeOld, "revoke-old", false, "revoke the old certificate, as superseded")
	termFlags(command, &request.Term)
	command.MarkFlagsMutuallyExclusive("new-key", "csr")
	return command
}
