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
	command := &cobra.Command{
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
		Args: cobra.NoArgs,
	}
	operatorFlags(command)
	realm, asJSON := realmFlag(command), jsonFlag(command)
	command.AddCommand(
		apiListCommand(open, realm, asJSON), apiShowCommand(open, realm, asJSON),
		apiPutCommand(open, realm, asJSON), apiDeleteCommand(open, realm),
	)
	return command
}

func apiListCommand(open Opener, realm *string, asJSON *bool) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the protected APIs of a realm",
		Example: "  fapid api list\n  fapid api list --realm cern --json | jq -r '.apis[].identifier'",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return open.with(command, func(operator *admin.Client) error {
				list, err := operator.APIs(command.Context(), *realm)
				if err != nil {
					return err
				}
				if *asJSON {
					return printJSON(command.OutOrStdout(), list)
				}
				return printAPIs(command.OutOrStdout(), list)
			})
		},
	}
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

func apiShowCommand(open Opener, realm *string, asJSON *bool) *cobra.Command {
	return &cobra.Command{
		Use:     "show IDENTIFIER",
		Short:   "Print the record of an API, as `put` reads it",
		Example: "  fapid api show https://api.example.com\n  fapid api show target-client-id --realm cern --json",
		Args:    cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			return open.with(command, func(operator *admin.Client) error {
				record, err := operator.API(command.Context(), *realm, args[0], !*asJSON)
				if err != nil {
					return err
				}
				_, err = command.OutOrStdout().Write(record)
				return err
			})
		},
	}
}

func apiPutCommand(open Opener, realm *string, asJSON *bool) *cobra.Command {
	var file string
	command := &cobra.Command{
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
				record, created, err := operator.PutAPI(command.Context(), *realm, id, text)
				if err != nil {
					return err
				}
				return printPut(command.OutOrStdout(), record, created, "registered", *asJSON)
			})
		},
	}
	command.Flags().StringVarP(&file, "file", "f", "-", "record, YAML or JSON; - reads standard input")
	return command
}

func apiDeleteCommand(open Opener, realm *string) *cobra.Command {
	return &cobra.Command{
		Use:     "delete IDENTIFIER",
		Short:   "Delete an API: no token can be meant for it any more",
		Example: "  fapid api delete https://api.example.com",
		Args:    cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			return open.with(command, func(operator *admin.Client) error {
				return operator.DeleteAPI(command.Context(), *realm, args[0])
			})
		},
	}
}
