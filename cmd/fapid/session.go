package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/fapid/fapid/server/admin"
	"github.com/fapid/fapid/server/token"
)

func sessionCommand(open Opener) *cobra.Command {
	command := &cobra.Command{
		Use:   "session",
		Short: "List, show and end what was issued",
		Long: `A session is what one grant gave a client: an access token and, where there is
one, the refresh token with what was fetched by it. Opaque tokens and refresh
tokens are always recorded, JWT access tokens where the client's registration has
record_access_tokens: true. A session is named by the jti of its tokens. What one
was exchanged for is a session of its own, which ends with it (by: origin).`,
		Example: `  fapid session list --client tpp-tls
  fapid session list --from 2026-01-31T12:00:00Z --state live
  fapid session show vpf08cdin9caf9b0ge3hnlfkas
  fapid session end vpf08cdin9caf9b0ge3hnlfkas`,
		Args: cobra.NoArgs,
	}
	operatorFlags(command)
	realm, asJSON := realmFlag(command), jsonFlag(command)
	command.AddCommand(sessionListCommand(open, realm, asJSON), sessionShowCommand(open, realm), sessionEndCommand(open, realm))
	return command
}

func sessionListCommand(open Opener, realm *string, asJSON *bool) *cobra.Command {
	var wanted token.Filter
	var state, from, to string
	command := &cobra.Command{
		Use:     "list",
		Short:   "List sessions by client, the newest first",
		Example: "  fapid session list\n  fapid session list --client tpp-tls --state ended --json",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			wanted.State = token.SessionState(state)
			for _, bound := range []struct {
				flag, text string
				at         *time.Time
			}{{"from", from, &wanted.From}, {"to", to, &wanted.To}} {
				if bound.text == "" {
					continue
				}
				var err error
				if *bound.at, err = time.Parse(time.RFC3339, bound.text); err != nil {
					return usageError{command.CommandPath(), fmt.Errorf("--%s is a time such as 2026-01-31T12:00:00Z", bound.flag)}
				}
			}
			return open.with(command, func(operator *admin.Client) error {
				page, err := operator.Sessions(command.Context(), *realm, wanted)
				if err != nil {
					return err
				}
				if *asJSON {
					return printJSON(command.OutOrStdout(), page)
				}
				return printSessions(command.OutOrStdout(), page)
			})
		},
	}
	flags := command.Flags()
	flags.StringVar(&wanted.Client, "client", "", "of this client")
	flags.StringVar(&wanted.Subject, "subject", "", "of this subject")
	flags.StringVar(&wanted.API, "audience", "", "for this API")
	flags.StringVar(&state, "state", "", "live or ended (default: both)")
	flags.StringVar(&from, "from", "", "issued then or later, such as 2026-01-31T12:00:00Z")
	flags.StringVar(&to, "to", "", "issued then or before")
	return command
}

func printSessions(out io.Writer, page *admin.SessionList) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SESSION\tCLIENT\tSUBJECT\tAUDIENCE\tSCOPE\tISSUED\tEXPIRES\tREFRESHED\tSTATE")
	for _, session := range page.Sessions {
		refreshed, state := "", string(session.State)
		if session.Refresh != nil {
			refreshed = fmt.Sprint(session.Refresh.Uses)
		}
		if session.Ended != nil {
			state += " by " + session.Ended.By
		}
		row(table, session.ID, session.ClientID, session.Subject, strings.Join(session.Audience, " "), session.Scope,
			clock(session.IssuedAt), clock(session.Expires), refreshed, state)
	}
	return table.Flush()
}

// clock writes seconds since 1970.
func clock(seconds int64) string { return time.Unix(seconds, 0).UTC().Format(time.RFC3339) }

func sessionShowCommand(open Opener, realm *string) *cobra.Command {
	return &cobra.Command{
		Use:     "show ID",
		Short:   "Print a session, by the jti of any of its access tokens",
		Example: "  fapid session show vpf08cdin9caf9b0ge3hnlfkas",
		Args:    cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			return open.with(command, func(operator *admin.Client) error {
				session, err := operator.Session(command.Context(), *realm, args[0])
				if err != nil {
					return err
				}
				return printJSON(command.OutOrStdout(), session)
			})
		},
	}
}

func sessionEndCommand(open Opener, realm *string) *cobra.Command {
	return &cobra.Command{
		Use:   "end ID",
		Short: "End a session: its access tokens and its refresh token are dead at once",
		Long: `End makes every token of a session dead. APIs that verify a JWT by themselves
take it until it expires; those that ask (introspection) learn of the end at once.`,
		Example: "  fapid session end vpf08cdin9caf9b0ge3hnlfkas",
		Args:    cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			return open.with(command, func(operator *admin.Client) error {
				return operator.EndSession(command.Context(), *realm, args[0])
			})
		},
	}
}
