package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/fapid/fapid/server/admin"
)

func keyCommand(open Opener) *cobra.Command {
	command := &cobra.Command{
		Use:   "key",
		Short: "List and rotate a realm's signing keys",
		Long: `A realm has one active key for each algorithm, which signs, and the next one,
published so that caches know it early. A retired key signs no more and stays
published until everything it signed has expired.`,
		Example: "  fapid key list\n  fapid key rotate --alg ES256",
		Args:    cobra.NoArgs,
	}
	operatorFlags(command)
	realm, asJSON := realmFlag(command), jsonFlag(command)
	command.AddCommand(keyListCommand(open, realm, asJSON), keyRotateCommand(open, realm, asJSON))
	return command
}

func keyListCommand(open Opener, realm *string, asJSON *bool) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the published signing keys",
		Example: "  fapid key list\n  fapid key list --json",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return open.with(command, func(operator *admin.Client) error {
				keys, err := operator.Keys(command.Context(), *realm)
				if err != nil {
					return err
				}
				return printKeys(command.OutOrStdout(), keys, *asJSON)
			})
		},
	}
}

func keyRotateCommand(open Opener, realm *string, asJSON *bool) *cobra.Command {
	var alg string
	command := &cobra.Command{
		Use:   "rotate",
		Short: "Make the next key sign, and prepare another",
		Long: `Rotate makes the next key of an algorithm the active one and lists the keys as
they are then. Tokens signed before stay verifiable. Without --alg, the keys of
all algorithms are rotated.`,
		Example: "  fapid key rotate\n  fapid key rotate --alg PS256 --realm other",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return open.with(command, func(operator *admin.Client) error {
				keys, err := operator.RotateKeys(command.Context(), *realm, alg)
				if err != nil {
					return err
				}
				return printKeys(command.OutOrStdout(), keys, *asJSON)
			})
		},
	}
	command.Flags().StringVar(&alg, "alg", "", "ES256, PS256, EdDSA or RS256 (default: all there are keys of)")
	return command
}

func printKeys(out io.Writer, keys *admin.KeyList, asJSON bool) error {
	if asJSON {
		return printJSON(out, keys)
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ALG\tSTATE\tKID\tCREATED\tPUBLISHED UNTIL")
	for _, key := range keys.Keys {
		until := ""
		if !key.Until.IsZero() {
			until = key.Until.UTC().Format(time.RFC3339)
		}
		row(table, key.Alg, string(key.State), key.ID, key.Created.UTC().Format(time.RFC3339), until)
	}
	return table.Flush()
}
