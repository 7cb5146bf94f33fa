package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"github.com/fapid/fapid/server/admin"
)

func directoryCommand(open Opener) *cobra.Command {
	command := &cobra.Command{
		Use:   "directory",
		Short: "The directory's organisations and software",
		Long: `Directory works on the records of the directory of participants as its operator:
through the operator's listener while a server runs, on the store otherwise. A
participant uses the directory's own API, with the token of its software.`,
		Example: `  fapid directory org list
  fapid directory org suspend 7c9e6a1e-1c5d-4f53-9a63-1d2f5b8a4e01
  fapid directory software certify 5d0f1a52-7c3e-4b6d-9e21-3c8a4f7b10a1 --csr my.csr > transport.pem
  fapid directory software statement 5d0f1a52-7c3e-4b6d-9e21-3c8a4f7b10a1 --ecosystem uk`,
		Args: cobra.NoArgs,
	}
	operatorFlags(command)
	asJSON := jsonFlag(command)
	organisations := directoryTable{open, asJSON, admin.Organisations, "organisation", []string{"OrganisationId", "OrganisationName", "CountryOfRegistration", "Status"}}
	org := organisations.command("org", "Organisations: list, show, put, delete, and their status")
	org.AddCommand(
		organisations.status("suspend", "Suspended", "Suspend an organisation: its clients get no tokens and theirs are dead"),
		organisations.status("withdraw", "Withdrawn", "Withdraw an organisation: as suspend, when it has left"),
		organisations.status("activate", "Active", "Let an organisation take part"),
	)
	statements := directoryTable{open, asJSON, admin.SoftwareStatements, "software", []string{"SoftwareStatementId", "ClientId", "ClientName", "OrganisationId", "Status"}}
	software := statements.command("software", "Software statements: list, show, put, delete, their status and what is made of them")
	software.AddCommand(
		statements.status("suspend", "Suspended", "Suspend software: its clients get no tokens and theirs are dead"),
		statements.status("activate", "Active", "Let software take part"),
		unlockCommand(open), statementCommand(open), certifyCommand(open),
	)
	command.AddCommand(org, software)
	return command
}

// directoryTable makes the verbs that all kinds of records have.
type directoryTable struct {
	open   Opener
	asJSON *bool
	table  admin.DirectoryTable
	noun   string
	// columns of the list; the first is the id.
	columns []string
}

func (t directoryTable) command(use, short string) *cobra.Command {
	command := &cobra.Command{Use: use, Short: short, Args: cobra.NoArgs, Example: "  fapid directory " + use + " list"}
	command.AddCommand(t.list(use), t.show(use), t.put(use), t.delete(use))
	return command
}

func (t directoryTable) list(use string) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List all", Args: cobra.NoArgs,
		Example: "  fapid directory " + use + " list --json",
		RunE: func(command *cobra.Command, _ []string) error {
			return t.open.with(command, func(operator *admin.Client) error {
				records, err := operator.DirectoryList(command.Context(), t.table)
				if err != nil {
					return err
				}
				if *t.asJSON {
					return printJSON(command.OutOrStdout(), records)
				}
				table := tabwriter.NewWriter(command.OutOrStdout(), 0, 0, 2, ' ', 0)
				row(table, t.columns...)
				for _, record := range records {
					values := make([]string, len(t.columns))
					for i, column := range t.columns {
						values[i], _ = record[column].(string)
					}
					row(table, values...)
				}
				return table.Flush()
			})
		},
	}
}

func (t directoryTable) show(use string) *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Print one, as put reads it", Args: cobra.ExactArgs(1),
		Example: "  fapid directory " + use + " show ID > it.yaml",
		RunE: func(command *cobra.Command, args []string) error {
			return t.open.with(command, func(operator *admin.Client) error {
				record, err := operator.DirectoryRecord(command.Context(), t.table, args[0])
				if err != nil {
					return err
				}
				return printRecord(command.OutOrStdout(), record, *t.asJSON)
			})
		},
	}
}

func (t directoryTable) put(use string) *cobra.Command {
	var file string
	command := &cobra.Command{
		Use: "put", Short: "Add one, or replace the one with its " + t.columns[0], Args: cobra.NoArgs,
		Long: `Put reads a record in YAML or JSON, with the names of the directory's API, and
prints it as it is then: what has no id yet has got one.`,
		Example: "  fapid directory " + use + " show ID > it.yaml && fapid directory " + use + " put -f it.yaml",
		RunE: func(command *cobra.Command, _ []string) error {
			text, err := readInput(command, file)
			if err != nil {
				return err
			}
			if text, err = yaml.YAMLToJSON(text); err != nil {
				return err
			}
			return t.open.with(command, func(operator *admin.Client) error {
				record, created, err := operator.PutDirectoryRecord(command.Context(), t.table, text)
				if err != nil {
					return err
				}
				verb := "replaced"
				if created {
					verb = "added"
				}
				fmt.Fprintln(command.ErrOrStderr(), t.noun, verb)
				return printRecord(command.OutOrStdout(), record, *t.asJSON)
			})
		},
	}
	command.Flags().StringVarP(&file, "file", "f", "-", "record, YAML or JSON; - reads standard input")
	return command
}

func (t directoryTable) delete(use string) *cobra.Command {
	return &cobra.Command{
		Use: "delete ID", Short: "Remove one with all that is its own; certificates are revoked", Args: cobra.ExactArgs(1),
		Example: "  fapid directory " + use + " delete ID",
		RunE: func(command *cobra.Command, args []string) error {
			return t.open.with(command, func(operator *admin.Client) error {
				return operator.DeleteDirectoryRecord(command.Context(), t.table, args[0])
			})
		},
	}
}

func (t directoryTable) status(verb, status, short string) *cobra.Command {
	return &cobra.Command{
		Use: verb + " ID", Short: short, Args: cobra.ExactArgs(1),
		Example: "  fapid directory " + map[admin.DirectoryTable]string{admin.Organisations: "org", admin.SoftwareStatements: "software"}[t.table] + " " + verb + " ID",
		RunE: func(command *cobra.Command, args []string) error {
			return t.open.with(command, func(operator *admin.Client) error {
				return operator.SetDirectoryStatus(command.Context(), t.table, args[0], status)
			})
		},
	}
}

func unlockCommand(open Opener) *cobra.Command {
	return &cobra.Command{
		Use: "unlock ID", Short: "Let a participant change software whose assertion was made", Args: cobra.ExactArgs(1),
		Example: "  fapid directory software unlock ID",
		RunE: func(command *cobra.Command, args []string) error {
			return open.with(command, func(operator *admin.Client) error {
				return operator.UnlockSoftware(command.Context(), args[0])
			})
		},
	}
}

func statementCommand(open Opener) *cobra.Command {
	var ecosystem string
	command := &cobra.Command{
		Use: "statement ID", Short: "Print a software statement assertion, signed now", Args: cobra.ExactArgs(1),
		Example: "  fapid directory software statement ID --ecosystem brazil",
		RunE: func(command *cobra.Command, args []string) error {
			return open.with(command, func(operator *admin.Client) error {
				assertion, err := operator.Assertion(command.Context(), args[0], ecosystem)
				if err == nil {
					_, err = fmt.Fprintln(command.OutOrStdout(), assertion)
				}
				return err
			})
		},
	}
	command.Flags().StringVar(&ecosystem, "ecosystem", "", "dialect of the claims: raidiam, brazil, uk, cdr or rfc7591 (default: the software's, or the directory's)")
	return command
}

func certifyCommand(open Opener) *cobra.Command {
	var typeName, file string
	command := &cobra.Command{
		Use: "certify ID", Short: "Have the directory issue a certificate for a request", Args: cobra.ExactArgs(1),
		Long: `Certify prints the certificate with its chain, PEM. Of the request only the key
counts; the directory knows the names. With an rtstransport certificate and its
ClientId, software fetches its own tokens for the directory.`,
		Example: "  openssl req -new -newkey rsa:2048 -nodes -keyout my.key -subj /CN=any -out my.csr\n  fapid directory software certify ID --csr my.csr > my.pem",
		RunE: func(command *cobra.Command, args []string) error {
			request, err := readInput(command, file)
			if err != nil {
				return err
			}
			return open.with(command, func(operator *admin.Client) error {
				certificate, err := operator.Certify(command.Context(), args[0], typeName, request)
				if err == nil {
					_, err = command.OutOrStdout().Write(certificate)
				}
				return err
			})
		},
	}
	command.Flags().StringVar(&file, "csr", "-", "certificate request, PEM or DER; - reads standard input")
	command.Flags().StringVar(&typeName, "type", "rtstransport", "type of certificate, such as rtstransport, rtssigning, obwac, obseal, brcac, cdr or uae-transport")
	return command
}

// printRecord prints a record as put reads it.
func printRecord(out io.Writer, record []byte, asJSON bool) error {
	if !asJSON {
		var err error
		if record, err = yaml.JSONToYAML(record); err != nil {
			return err
		}
	}
	_, err := out.Write(record)
	return err
}
