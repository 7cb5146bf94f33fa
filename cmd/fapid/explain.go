package main

import (
	"github.com/spf13/cobra"

	"github.com/fapid/fapid/server/admin"
)

func explainCommand(open Opener) *cobra.Command {
	command := &cobra.Command{
		Use:   "explain [TRACE]",
		Short: "Say why a request was refused",
		Long: `Explain prints every check of a request in order: what was expected, what was
presented, where the two first differ and what to do. TRACE is what the answer
carried in X-Fapid-Trace. Without it, the newest failures are listed, failed TLS
handshakes among them. Traces live in the memory of the running server.`,
		Example: `  fapid explain
  fapid explain 8f1b0c6f0d4f6a1e
  fapid explain 8f1b0c6f0d4f6a1e --json | jq '.checks[] | select(.ok | not)'`,
		Args: cobra.MaximumNArgs(1),
	}
	operatorFlags(command)
	asJSON := jsonFlag(command)
	command.RunE = func(command *cobra.Command, args []string) error {
		id := ""
		if len(args) > 0 {
			id = args[0]
		}
		return open.with(command, func(operator *admin.Client) error {
			text, err := operator.Explain(command.Context(), id, *asJSON)
			if err != nil {
				return err
			}
			_, err = command.OutOrStdout().Write(text)
			return err
		})
	}
	return command
}
