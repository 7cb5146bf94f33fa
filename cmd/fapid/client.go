package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/server/admin"
)

// Opener finds the operator's API that a verb works through; the returned
// function ends its use.
type Opener func(*cobra.Command) (*admin.Client, func(), error)

// with opens the operator's API for as long as use takes.
func (open Opener) with(command *cobra.Command, use func(*admin.Client) error) error {
	operator, done, err := open(command)
	if err != nil {
		return err
	}
	defer done()
	return use(operator)
}

func realmFlag(command *cobra.Command) *string {
	return command.PersistentFlags().String("realm", "", "realm (default: the server's first)")
}

func jsonFlag(command *cobra.Command) *bool {
	return command.PersistentFlags().Bool("json", false, "print JSON")
}

func clientCommand(open Opener) *cobra.Command {
	command := &cobra.Command{
		Use:   "client",
		Short: "List, show, register and delete clients",
		Long: `Client works on the registered clients of a realm: through the operator's
listener while a server runs on the directory, on its store otherwise.`,
		Example: `  fapid client list
  fapid client show tpp-tls
  fapid client show tpp-tls > tpp.yaml && fapid client put -f tpp.yaml
  fapid client delete tpp-tls --realm other`,
		Args: cobra.NoArgs,
	}
	operatorFlags(command)
	realm, asJSON := realmFlag(command), jsonFlag(command)
	command.AddCommand(
		clientListCommand(open, realm, asJSON), clientShowCommand(open, realm, asJSON),
		clientPutCommand(open, realm, asJSON), clientDeleteCommand(open, realm),
	)
	return command
}

func clientListCommand(open Opener, realm *string, asJSON *bool) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the clients of a realm",
		Example: "  fapid client list\n  fapid client list --json | jq -r '.clients[].client_id'",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return open.with(command, func(operator *admin.Client) error {
				page, err := operator.Clients(command.Context(), *realm)
				if err != nil {
					return err
				}
				if *asJSON {
					return printJSON(command.OutOrStdout(), page)
				}
				return printClients(command.OutOrStdout(), page)
			})
		},
	}
}

func printClients(out io.Writer, page *admin.ClientList) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "CLIENT\tNAME\tAUTHENTICATION\tPOLICY\tSCOPE")
	for _, client := range page.Clients {
		row(table, client.ClientID, client.ClientName, client.TokenEndpointAuthMethod, client.Policy, client.Scope)
	}
	for _, id := range slices.Sorted(maps.Keys(page.Refused)) {
		row(table, id, "not served: "+page.Refused[id])
	}
	return table.Flush()
}

// row writes a line of a table; a missing value is a dash.
func row(table io.Writer, values ...string) {
	for i, value := range values {
		if value = oauth.Visible(value); value == "" {
			value = "-"
		}
		if i > 0 {
			value = "\t" + value
		}
		fmt.Fprint(table, value)
	}
	fmt.Fprintln(table)
}

func clientShowCommand(open Opener, realm *string, asJSON *bool) *cobra.Command {
	return &cobra.Command{
		Use:   "show CLIENT",
		Short: "Print a client's registration, as `put` reads it",
		Long: `Show prints the registration in YAML, or JSON with --json. It never holds the
client secret; put keeps the one there is.`,
		Example: "  fapid client show tpp-tls\n  fapid client show tpp-tls --json",
		Args:    cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			return open.with(command, func(operator *admin.Client) error {
				registration, err := operator.Client(command.Context(), *realm, args[0], !*asJSON)
				if err != nil {
					return err
				}
				_, err = command.OutOrStdout().Write(registration)
				return err
			})
		},
	}
}

func clientPutCommand(open Opener, realm *string, asJSON *bool) *cobra.Command {
	var file string
	command := &cobra.Command{
		Use:   "put [CLIENT]",
		Short: "Register a client or replace its registration",
		Long: `Put reads a registration (RFC 7591 metadata and fapid's own members) in YAML or
JSON. What it leaves out is gone afterwards, except the client secret, which
stays while the method uses one. CLIENT may be left out where the registration
has a client_id.`,
		Example: `  fapid client put -f tpp.yaml
  fapid client show tpp-tls | sed 's/^scope:.*/scope: accounts/' | fapid client put
  fapid client put tpp-new <<'END'
  token_endpoint_auth_method: tls_client_auth
  tls_client_auth_subject_dn: CN=new,O=Example,C=GB
  grant_types: [client_credentials]
  scope: accounts
  END`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			text, err := readInput(command, file)
			if err != nil {
				return err
			}
			id := ""
			if len(args) > 0 {
				id = args[0]
			}
			return open.with(command, func(operator *admin.Client) error {
				registration, created, err := operator.PutClient(command.Context(), *realm, id, text)
				if err != nil {
					return err
				}
				return printPut(command.OutOrStdout(), registration, created, "registered", *asJSON)
			})
		},
	}
	command.Flags().StringVarP(&file, "file", "f", "-", "registration, YAML or JSON; - reads standard input")
	return command
}

// printPut says what came of a put: the document as it is then, or a word, which is
// fresh for what was not there before.
func printPut(out io.Writer, document []byte, created bool, fresh string, asJSON bool) error {
	if !asJSON {
		if document = []byte("replaced\n"); created {
			document = []byte(fresh + "\n")
		}
	}
	_, err := out.Write(document)
	return err
}

// readInput reads a file, or standard input for "-".
func readInput(command *cobra.Command, file string) ([]byte, error) {
	var text []byte
	var err error
	if file == "-" {
		text, err = io.ReadAll(command.InOrStdin())
	} else {
		text, err = os.ReadFile(file)
	}
	if err == nil && len(bytes.TrimSpace(text)) == 0 {
		err = errors.New("there is nothing to read: the file or standard input is empty")
	}
	return text, err
}

func clientDeleteCommand(open Opener, realm *string) *cobra.Command {
	return &cobra.Command{
		Use:     "delete CLIENT",
		Short:   "Delete a client",
		Example: "  fapid client delete tpp-old",
		Args:    cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			return open.with(command, func(operator *admin.Client) error {
				return operator.DeleteClient(command.Context(), *realm, args[0])
			})
		},
	}
}
