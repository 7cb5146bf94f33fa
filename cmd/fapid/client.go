package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
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
	kind := records[*admin.ClientList]{
		command: cobra.Command{
			Use:   "client",
			Short: "List, show, register and delete clients",
			Long: `Client works on the registered clients of a realm: through the operator's
listener while a server runs on the directory, on its store otherwise.`,
			Example: `  fapid client list
  fapid client show tpp-tls
  fapid client show tpp-tls > tpp.yaml && fapid client put -f tpp.yaml
  fapid client delete tpp-tls --realm other`,
		},
		list: cobra.Command{
			Use:     "list",
			Short:   "List the clients of a realm",
			Example: "  fapid client list\n  fapid client list --json | jq -r '.clients[].client_id'",
		},
		show: cobra.Command{
			Use:   "show CLIENT",
			Short: "Print a client's registration, as `put` reads it",
			Long: `Show prints the registration in YAML, or JSON with --json. It never holds the
client secret; put keeps the one there is.`,
			Example: "  fapid client show tpp-tls\n  fapid client show tpp-tls --json",
		},
		put: cobra.Command{
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
		},
		remove: cobra.Command{
			Use:     "delete CLIENT",
			Short:   "Delete a client",
			Example: "  fapid client delete tpp-old",
		},
		page: (*admin.Client).Clients, table: printClients, record: (*admin.Client).Client, write: (*admin.Client).PutClient, end: (*admin.Client).DeleteClient,
		file: "registration", fresh: "registered",
	}
	return kind.verbs(open)
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
	for _, id := range slices.Sorted(maps.Keys(page.Warnings)) {
		row(table, id, "beware: "+strings.Join(page.Warnings[id], "; "))
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

// readInput reads a file, or standard input for "-". One that is not there, or empty,
// is said and is wrong usage.
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
	if err != nil {
		return nil, wrongUsage(command, err)
	}
	return text, nil
}
