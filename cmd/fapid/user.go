package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/fapid/fapid/server/admin"
	"github.com/fapid/fapid/server/users"
)

func userCommand(open Opener) *cobra.Command {
	command := &cobra.Command{
		Use:   "user",
		Short: "List, show, write and delete test users",
		Long: `User works on the test users of a realm and their accounts at the bank: through
the operator's listener while a server runs on the directory, on its store
otherwise. A user is named by userName, in any case, or by id.`,
		Example: `  fapid user list
  fapid user show alice
  fapid user show alice > alice.yaml && fapid user put -f alice.yaml
  fapid user delete bob --realm strict`,
		Args: cobra.NoArgs,
	}
	operatorFlags(command)
	realm, asJSON := realmFlag(command), jsonFlag(command)
	command.AddCommand(
		userListCommand(open, realm, asJSON), userShowCommand(open, realm, asJSON),
		userPutCommand(open, realm, asJSON), userDeleteCommand(open, realm),
	)
	return command
}

func userListCommand(open Opener, realm *string, asJSON *bool) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the users of a realm",
		Example: "  fapid user list\n  fapid user list --json | jq -r '.users[].userName'",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return open.with(command, func(operator *admin.Client) error {
				page, err := operator.Users(command.Context(), *realm)
				if err != nil {
					return err
				}
				if *asJSON {
					return printJSON(command.OutOrStdout(), page)
				}
				return printUsers(command.OutOrStdout(), page.Users)
			})
		},
	}
}

func printUsers(out io.Writer, list []*users.User) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "USER\tNAME\tEMAIL\tACTIVE\tACCOUNTS\tID")
	for _, user := range list {
		var emails, accounts []string
		for _, email := range user.Emails {
			emails = append(emails, email.Value)
		}
		for _, account := range user.Accounts {
			accounts = append(accounts, account.ID)
		}
		active := "no"
		if user.Active == users.Yes {
			active = "yes"
		}
		row(table, user.UserName, user.FullName(), strings.Join(emails, " "), active, strings.Join(accounts, " "), user.ID)
	}
	return table.Flush()
}

func userShowCommand(open Opener, realm *string, asJSON *bool) *cobra.Command {
	return &cobra.Command{
		Use:   "show USER",
		Short: "Print a user, as `put` reads it",
		Long: `Show prints the record in YAML, or JSON with --json. It never holds the
password; put keeps the one there is.`,
		Example: "  fapid user show alice\n  fapid user show alice --json",
		Args:    cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			return open.with(command, func(operator *admin.Client) error {
				user, err := operator.User(command.Context(), *realm, args[0], !*asJSON)
				if err != nil {
					return err
				}
				_, err = command.OutOrStdout().Write(user)
				return err
			})
		},
	}
}

func userPutCommand(open Opener, realm *string, asJSON *bool) *cobra.Command {
	var file string
	command := &cobra.Command{
		Use:   "put [USER]",
		Short: "Create a user or replace its record",
		Long: `Put reads a record (SCIM's attributes of a user, RFC 7643 section 4.1, and
accounts) in YAML or JSON. What it leaves out is gone afterwards, except the
password. USER may be left out where the record has a userName; with the id for
USER, another userName renames the user.`,
		Example: `  fapid user put -f alice.yaml
  fapid user show bob | sed 's/^active:.*/active: false/' | fapid user put
  fapid user put carol <<'END'
  password: carol
  displayName: Carol Example
  emails: [{value: carol@example.com}]
  accounts:
  - {account_id: "30001", currency: EUR, kind: CurrentAccount, iban: DE02100500000054540402, balance: "12.50"}
  END`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			text, err := readInput(command, file)
			if err != nil {
				return err
			}
			name := ""
			if len(args) > 0 {
				name = args[0]
			}
			return open.with(command, func(operator *admin.Client) error {
				user, created, err := operator.PutUser(command.Context(), *realm, name, text)
				if err != nil {
					return err
				}
				return printPut(command.OutOrStdout(), user, created, "created", *asJSON)
			})
		},
	}
	command.Flags().StringVarP(&file, "file", "f", "-", "record, YAML or JSON; - reads standard input")
	return command
}

func userDeleteCommand(open Opener, realm *string) *cobra.Command {
	return &cobra.Command{
		Use:     "delete USER",
		Short:   "Delete a user",
		Long:    "Delete removes a user for good; a sample user that was deleted comes back with `fapid dev --reset` only.",
		Example: "  fapid user delete bob",
		Args:    cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			return open.with(command, func(operator *admin.Client) error {
				return operator.DeleteUser(command.Context(), *realm, args[0])
			})
		},
	}
}
