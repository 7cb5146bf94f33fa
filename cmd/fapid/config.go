package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/fapid/fapid/server"
)

func configCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "config",
		Short: "Check, print and describe the configuration",
		Long: `Check, print and describe the configuration of the server: a YAML file, which
FAPID_ variables override. A variable has two underscores between the levels:
FAPID_REALMS__DEFAULT__POLICY sets realms.default.policy. With _FILE at its end
it names a file that holds the value. Lists have commas between their items.`,
		Example: `  fapid config validate --config fapid.yaml
  fapid config print --comments
  fapid config schema > fapid.schema.json`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error { return command.Help() },
	}
	command.AddCommand(configValidateCommand(), configPrintCommand(), configSchemaCommand())
	return command
}

// fileFlag adds the flag that names the configuration file.
func fileFlag(command *cobra.Command) *string {
	return command.Flags().String("config", "fapid.yaml", `configuration file; "" for the environment alone`)
}

// inForce is the configuration that the server would have: complete and valid.
func inForce(file string) (server.Config, error) {
	config, err := server.Load(server.Source{File: file, Env: os.Environ()})
	if err != nil {
		return server.Config{}, err
	}
	return config, config.Complete()
}

func configValidateCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "validate",
		Short: "Say whether `fapid serve` would take the configuration",
		Long: `Say whether ` + "`fapid serve`" + ` would take the configuration: its keys and values, the
files it names, and that nothing in it is unsafe. Everything that is wrong is
listed, with the line or the variable it comes from.

Exit code: 0 valid, 1 invalid, 2 wrong usage.`,
		Example: `  fapid config validate
  fapid config validate --config /etc/fapid/fapid.yaml
  FAPID_LOG__LEVEL=debug fapid config validate`,
		Args: cobra.NoArgs,
	}
	file := fileFlag(command)
	command.RunE = func(command *cobra.Command, _ []string) error {
		config, err := inForce(*file)
		if err != nil {
			return err
		}
		if err := config.Unsafe(); err != nil {
			return err
		}
		_, err = fmt.Fprintln(command.OutOrStdout(), "The configuration is valid.")
		return err
	}
	return command
}

func configPrintCommand() *cobra.Command {
	var asJSON, comments bool
	command := &cobra.Command{
		Use:   "print",
		Short: "Print the configuration in force, defaults and environment included",
		Long: `Print the configuration in force: the file, what FAPID_ variables change in it,
and the defaults of everything left out. What is printed is a configuration file
that means the same.

Exit code: 0 done, 1 the configuration is invalid, 2 wrong usage.`,
		Example: `  fapid config print
  fapid config print --comments > complete.yaml
  fapid config print --json | jq -r .realms.default.issuer`,
		Args: cobra.NoArgs,
	}
	file := fileFlag(command)
	command.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	command.Flags().BoolVar(&comments, "comments", false, "say above each key what it means")
	command.MarkFlagsMutuallyExclusive("json", "comments")
	command.RunE = func(command *cobra.Command, _ []string) error {
		config, err := inForce(*file)
		if err != nil {
			return err
		}
		if asJSON {
			return printJSON(command.OutOrStdout(), config)
		}
		text, err := config.YAML(comments)
		if err != nil {
			return err
		}
		_, err = command.OutOrStdout().Write(text)
		return err
	}
	return command
}

func configSchemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of the configuration, for editors",
		Long: `Print the JSON Schema (draft 2020-12) of the configuration file. Editors with a
YAML language server complete and check the file with it, if its first line is
  # yaml-language-server: $schema=fapid.schema.json

Exit code: 0 done, 2 wrong usage.`,
		Example: `  fapid config schema > fapid.schema.json`,
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			schema, err := server.Schema()
			if err != nil {
				return err
			}
			_, err = command.OutOrStdout().Write(schema)
			return err
		},
	}
}
