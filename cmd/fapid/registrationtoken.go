package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/admin"
)

func registrationTokenCommand(open Opener) *cobra.Command {
	command := &cobra.Command{
		Use:   "registration-token",
		Short: "Make, list, show and revoke initial access tokens",
		Long: `An initial access token (RFC 7591 section 1.2) lets software register itself where
registration.access of the realm has initial_access_token: it sends the token to the
registration endpoint as Authorization: Bearer. Its text is printed once, when it is
made; only a hash of it is kept.`,
		Example: `  fapid registration-token create
  fapid registration-token create --uses 10 --lifetime 24h --scope accounts --label "CI of Example TPP"
  fapid registration-token list
  fapid registration-token revoke 5vwmkq6t3d2hzr7xj4ynbgc8ea`,
		Args: cobra.NoArgs,
	}
	operatorFlags(command)
	realm, asJSON := realmFlag(command), jsonFlag(command)
	command.AddCommand(
		registrationTokenCreateCommand(open, realm, asJSON), registrationTokenListCommand(open, realm, asJSON),
		registrationTokenShowCommand(open, realm, asJSON), registrationTokenRevokeCommand(open, realm),
	)
	return command
}

func registrationTokenCreateCommand(open Opener, realm *string, asJSON *bool) *cobra.Command {
	var allows registration.Allowance
	var lifetime time.Duration
	command := &cobra.Command{
		Use:   "create",
		Short: "Make an initial access token and print it",
		Long: `Create prints the token and nothing else, so that a script can take it; with
--json it prints what is kept of it, too. Without flags the token is for one
registration, at any time, by the realm's rules.`,
		Example: `  fapid registration-token create
  curl --cacert .fapid/ca.pem https://localhost:8443/reg -H "Authorization: Bearer $(fapid registration-token create)" \
    -H 'Content-Type: application/json' -d '{"grant_types":["client_credentials"],"scope":"accounts"}'
  fapid registration-token create --uses 100 --quota 5 --policy fapi2 --realm strict --json`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			allows.Lifetime = int64(lifetime / time.Second)
			switch {
			case command.Flags().Changed("lifetime") && (allows.Lifetime < 1 || lifetime%time.Second != 0):
				return usageError{command.CommandPath(), fmt.Errorf("--lifetime is a length of time in whole seconds, such as 90s, 10m or 24h")}
			case allows.Uses < 1 || allows.Quota < 0 || command.Flags().Changed("quota") && allows.Quota == 0:
				return usageError{command.CommandPath(), fmt.Errorf("--uses and --quota are at least 1")}
			}
			return open.with(command, func(operator *admin.Client) error {
				made, err := operator.CreateRegistrationToken(command.Context(), *realm, allows)
				if err != nil {
					return err
				}
				if *asJSON {
					return printJSON(command.OutOrStdout(), made)
				}
				_, err = fmt.Fprintln(command.OutOrStdout(), made.Token)
				return err
			})
		},
	}
	flags := command.Flags()
	flags.Int64Var(&allows.Uses, "uses", 1, "how many registrations it is for")
	flags.DurationVar(&lifetime, "lifetime", 0, "how long it may be used, such as 24h (default: for ever)")
	flags.Int64Var(&allows.Quota, "quota", 0, "how many clients that registered with it there may be at a time (default: any number)")
	flags.StringVar(&allows.Policy, "policy", "", "security profile of who registers with it (default: the realm's for registrations)")
	flags.StringVar(&allows.Scope, "scope", "", "the most they may ask for, space separated (default: the realm's for registrations)")
	flags.StringVar(&allows.Label, "label", "", "what it is for, for people")
	return command
}

func registrationTokenListCommand(open Opener, realm *string, asJSON *bool) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List initial access tokens, without their texts",
		Long:    "List shows those that may be used, and for a week those that have ended.",
		Example: "  fapid registration-token list\n  fapid registration-token list --json | jq -r '.registration_tokens[] | select(.state == \"live\").id'",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return open.with(command, func(operator *admin.Client) error {
				list, err := operator.RegistrationTokens(command.Context(), *realm)
				if err != nil {
					return err
				}
				if *asJSON {
					return printJSON(command.OutOrStdout(), list)
				}
				return printRegistrationTokens(command.OutOrStdout(), list)
			})
		},
	}
}

func printRegistrationTokens(out io.Writer, list *admin.RegistrationTokenList) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "TOKEN\tLABEL\tUSED\tPOLICY\tSCOPE\tCREATED\tEXPIRES\tSTATE")
	for _, token := range list.RegistrationTokens {
		expires := ""
		if token.ExpiresAt != 0 {
			expires = clock(token.ExpiresAt)
		}
		row(table, token.ID, token.Label, fmt.Sprintf("%d/%d", token.Used, token.Uses), token.Policy, token.Scope, clock(token.CreatedAt), expires, string(token.State))
	}
	return table.Flush()
}

func registrationTokenShowCommand(open Opener, realm *string, asJSON *bool) *cobra.Command {
	return &cobra.Command{
		Use:     "show ID",
		Short:   "Print what is kept of an initial access token",
		Long:    "Show prints the record in YAML, or JSON with --json. The ID is the part of the token between its dots.",
		Example: "  fapid registration-token show 5vwmkq6t3d2hzr7xj4ynbgc8ea",
		Args:    cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			return open.with(command, func(operator *admin.Client) error {
				token, err := operator.RegistrationToken(command.Context(), *realm, args[0], !*asJSON)
				if err != nil {
					return err
				}
				_, err = command.OutOrStdout().Write(token)
				return err
			})
		},
	}
}

func registrationTokenRevokeCommand(open Opener, realm *string) *cobra.Command {
	return &cobra.Command{
		Use:     "revoke ID",
		Short:   "Revoke an initial access token: nobody can register with it any more",
		Long:    "Revoke is in force at once. Clients that registered with the token stay.",
		Example: "  fapid registration-token revoke 5vwmkq6t3d2hzr7xj4ynbgc8ea",
		Args:    cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			return open.with(command, func(operator *admin.Client) error {
				return operator.RevokeRegistrationToken(command.Context(), *realm, args[0])
			})
		},
	}
}
