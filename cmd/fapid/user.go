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
	kind := records[*admin.UserList]{
		command: cobra.Command{
			Use:   "user",
			Short: "List, show, write and delete test users",
			Long: `User works on the test users of a realm and their accounts at the bank: through
the operator's listener while a server runs on the directory, on its store
otherwise. A user is named by userName, in any case, or by id.`,
			Example: `  fapid user list
  fapid user show alice
  fapid user show alice > alice.yaml && fapid user put -f alice.yaml
  fapid user delete bob --realm strict`,
		},
		list: cobra.Command{
			Use:     "list",
			Short:   "List the users of a realm",
			Example: "  fapid user list\n  fapid user list --json | jq -r '.users[].userName'",
		},
		show: cobra.Command{
			Use:   "show USER",
			Short: "Print a user, as `put` reads it",
			Long: `Show prints the record in YAML, or JSON with --json. It never holds the
password; put keeps the one there is.`,
			Example: "  fapid user show alice\n  fapid user show alice --json",
		},
		put: cobra.Command{
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
		},
		remove: cobra.Command{
			Use:     "delete USER",
			Short:   "Delete a user",
			Long:    "Delete removes a user for good; a sample user that was deleted comes back with `fapid dev --reset` only.",
			Example: "  fapid user delete bob",
		},
		page: (*admin.Client).Users, table: printUsers, record: (*admin.Client).User, write: (*admin.Client).PutUser, end: (*admin.Client).DeleteUser,
		file: "record", fresh: "created",
	}
	return kind.verbs(open)
}

func printUsers(out io.Writer, page *admin.UserList) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "USER\tNAME\tEMAIL\tACTIVE\tACCOUNTS\tID")
	for _, user := range page.Users {
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
