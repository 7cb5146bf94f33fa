package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/fapid/fapid/server/admin"
)

func apiCommand(open Opener) *cobra.Command {
	kind := records[*admin.APIList]{
		command: cobra.Command{
			Use:   "api",
			Short: "List, show, register and delete protected APIs",
			Long: `Api works on the protected APIs (resource servers) of a realm: what tokens can be
meant for, who may have them, and with which scopes and roles. Clients choose one by
audience or resource in the token request.`,
			Example: `  fapid api list
  fapid api put https://api.example.com <<'END'
  scopes: [accounts]
  roles: [reader]
  clients:
    tpp-tls: {roles: [reader]}
  END
  fapid api show https://api.example.com
  fapid api delete https://api.example.com`,
		},
		list: cobra.Command{
			Use:     "list",
			Short:   "List the protected APIs of a realm",
			Example: "  fapid api list\n  fapid api list --realm cern --json | jq -r '.apis[].identifier'",
		},
		show: cobra.Command{
			Use:     "show IDENTIFIER",
			Short:   "Print the record of an API, as `put` reads it",
			Example: "  fapid api show https://api.example.com\n  fapid api show target-client-id --realm cern --json",
		},
		put: cobra.Command{
			Use:   "put [IDENTIFIER]",
			Short: "Register an API or replace its record",
			Long: `Put reads the record of an API in YAML or JSON. What it leaves out is gone
afterwards. The client "*" stands for every client that is not named. IDENTIFIER,
the aud of the API's tokens, may be left out where the record has one. exchange
names the clients whose tokens and assertions a client may exchange for tokens of
the API, and so act for them and for users.`,
			Example: `  fapid api put -f api.yaml
  fapid api put https://api.example.com <<'END'
  scopes: [accounts, payments]
  clients:
    tpp-tls: {scopes: [accounts]}
    aggregator: {exchange: [tpp-tls]}
    "*": {}
  access_token_expiration: 60
  END`,
		},
		remove: cobra.Command{
			Use:     "delete IDENTIFIER",
			Short:   "Delete an API: no token can be meant for it any more",
			Example: "  fapid api delete https://api.example.com",
		},
		page: (*admin.Client).APIs, table: printAPIs, record: (*admin.Client).API, write: (*admin.Client).PutAPI, end: (*admin.Client).DeleteAPI,
		file: "record", fresh: "registered",
	}
	return kind.verbs(open)
}

func printAPIs(out io.Writer, list *admin.APIList) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "IDENTIFIER\tNAME\tSCOPES\tROLES\tCLIENTS")
	for _, api := range list.APIs {
		clients := slices.Sorted(maps.Keys(api.Clients))
		row(table, api.ID, api.Name, strings.Join(api.Scopes, " "), strings.Join(api.Roles, " "), strings.Join(clients, " "))
	}
	return table.Flush()
}
