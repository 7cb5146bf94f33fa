package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/fapid/fapid/server/admin"
)

// records is a kind of records of a realm with the four verbs on them. The commands
// hold the texts of help, each with the name of what it takes.
type records[Page any] struct {
	command, list, show, put, remove cobra.Command

	page   func(c *admin.Client, ctx context.Context, realm string) (Page, error)
	table  func(out io.Writer, page Page) error
	record func(c *admin.Client, ctx context.Context, realm, id string, asYAML bool) ([]byte, error)
	write  func(c *admin.Client, ctx context.Context, realm, id string, document []byte) (record []byte, created bool, err error)
	end    func(c *admin.Client, ctx context.Context, realm, id string) error
	// file says what put reads, fresh what it did where there was nothing before.
	file, fresh string
}

func (k *records[Page]) verbs(open Opener) *cobra.Command {
	k.command.Args = cobra.NoArgs
	operatorFlags(&k.command)
	realm, asJSON := realmFlag(&k.command), jsonFlag(&k.command)
	k.command.AddCommand(k.listVerb(open, realm, asJSON), k.showVerb(open, realm, asJSON), k.putVerb(open, realm, asJSON), k.removeVerb(open, realm))
	return &k.command
}

func (k *records[Page]) listVerb(open Opener, realm *string, asJSON *bool) *cobra.Command {
	k.list.Args = cobra.NoArgs
	k.list.RunE = func(command *cobra.Command, _ []string) error {
		return open.with(command, func(operator *admin.Client) error {
			page, err := k.page(operator, command.Context(), *realm)
			if err != nil {
				return err
			}
			if *asJSON {
				return printJSON(command.OutOrStdout(), page)
			}
			return k.table(command.OutOrStdout(), page)
		})
	}
	return &k.list
}

func (k *records[Page]) showVerb(open Opener, realm *string, asJSON *bool) *cobra.Command {
	k.show.Args = cobra.ExactArgs(1)
	k.show.RunE = func(command *cobra.Command, args []string) error {
		return open.with(command, func(operator *admin.Client) error {
			record, err := k.record(operator, command.Context(), *realm, args[0], !*asJSON)
			if err != nil {
				return err
			}
			_, err = command.OutOrStdout().Write(record)
			return err
		})
	}
	return &k.show
}

func (k *records[Page]) putVerb(open Opener, realm *string, asJSON *bool) *cobra.Command {
	file := k.put.Flags().StringP("file", "f", "-", k.file+", YAML or JSON; - reads standard input")
	k.put.Args = cobra.MaximumNArgs(1)
	k.put.RunE = func(command *cobra.Command, args []string) error {
		text, err := readInput(command, *file)
		if err != nil {
			return err
		}
		id := ""
		if len(args) > 0 {
			id = args[0]
		}
		return open.with(command, func(operator *admin.Client) error {
			record, created, err := k.write(operator, command.Context(), *realm, id, text)
			if err != nil {
				return err
			}
			return printPut(command.OutOrStdout(), record, created, k.fresh, *asJSON)
		})
	}
	return &k.put
}

func (k *records[Page]) removeVerb(open Opener, realm *string) *cobra.Command {
	k.remove.Args = cobra.ExactArgs(1)
	k.remove.RunE = func(command *cobra.Command, args []string) error {
		return open.with(command, func(operator *admin.Client) error {
			return k.end(operator, command.Context(), *realm, args[0])
		})
	}
	return &k.remove
}

// printPut says what came of a put: the document as it is then, or a word, which is
// fresh for what was not there before.
func printPut(out io.Writer, document []byte, created bool, fresh string, asJSON bool) error {
	if !asJSON {
		if document = []byte("replaced\n"); created {
			document = []byte(fresh + "\n")
		}
	}
	_, err := out.Write(document)
	return err
}
