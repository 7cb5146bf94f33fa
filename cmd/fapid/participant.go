package main

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/fapid/fapid/certs"
	"github.com/fapid/fapid/server"
	"github.com/fapid/fapid/server/admin"
	"github.com/fapid/fapid/server/participant"
)

func participantCommand(open Opener) *cobra.Command {
	command := &cobra.Command{
		Use:   "participant",
		Short: "Make a working participant of an ecosystem in one call",
		Long: `A participant is an organisation with its software in the directory, keys and
certificates, and a client that has registered itself with a software statement. Its
folder works as it stands, here and on any machine that reaches the server.`,
		Example: `  fapid participant create acme --ecosystem brazil
  fapid participant list
  fapid participant delete acme`,
		Args: cobra.NoArgs,
	}
	operatorFlags(command)
	asJSON := jsonFlag(command)
	command.AddCommand(
		participantCreateCommand(open, asJSON), participantListCommand(open, asJSON),
		participantShowCommand(open, asJSON), participantDeleteCommand(open),
	)
	return command
}

// participants is the folder of a sandbox that has the participants' folders.
const participants = "participants"

// participantFolder is where a participant's folder usually is.
func participantFolder(command *cobra.Command, name string) (string, error) {
	config, dir, err := operatorConfig(command)
	if err == nil && config != nil {
		dir = config.Dir
	}
	return filepath.Join(dir, participants, name), err
}

// checkParticipantName refuses what is no name before it becomes a path.
func checkParticipantName(command *cobra.Command, name string) error {
	if err := participant.CheckName(name); err != nil {
		return wrongUsage(command, err)
	}
	return nil
}

// enrolment is what `fapid participant create` is asked for.
type enrolment struct {
	order    participant.Order
	out, zip string
}

func participantCreateCommand(open Opener, asJSON *bool) *cobra.Command {
	var e enrolment
	command := &cobra.Command{
		Use:   "create NAME",
		Short: "Make a participant and its folder",
		Long: `Create adds an organisation and software to the directory, makes keys and
certificates, fetches a software statement, and has the software register itself with
all that, at the door that is open to everybody: what could not register itself is not
made. When it fails, nothing is left.

The folder has certificates and keys as PEM, P12 and JWK, .env, curl.sh, a program with
openid-client, and a collection with its environment for Postman. The server keeps no
copy of the keys.`,
		Example: `  fapid participant create acme --ecosystem brazil --auth private_key_jwt
  fapid participant create acme-uk --ecosystem uk --auth tls_client_auth --roles AISP,PISP
  fapid participant create acme-es --alg ES256 --scope accounts --zip acme.zip`,
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			e.order.Name = args[0]
			if err := checkParticipantName(command, e.order.Name); err != nil {
				return err
			}
			if err := e.unused(command); err != nil {
				return err
			}
			return open.with(command, func(operator *admin.Client) error {
				record, err := e.create(command, operator)
				if err != nil {
					return err
				}
				if *asJSON {
					return printJSON(command.OutOrStdout(), record)
				}
				return e.print(command.OutOrStdout(), record)
			})
		},
	}
	set := command.Flags()
	set.StringVar(&e.order.Ecosystem, "ecosystem", "", "raidiam, uk, brazil, cdr, uae or rfc7591 (default: the directory's)")
	set.StringVar(&e.order.Auth, "auth", "", "private_key_jwt or tls_client_auth, as the ecosystem allows (default: its first)")
	set.StringVar(&e.order.Alg, "alg", "", "what it signs with: PS256 or ES256, as the ecosystem allows (default: PS256)")
	set.StringVar(&e.order.Scope, "scope", "", "scopes to register for (default: what its roles give, or openid accounts)")
	set.StringVar(&e.order.Realm, "realm", "", "realm to register in (default: the first that takes such software)")
	set.StringSliceVar(&e.order.Roles, "roles", nil, "roles of the software, with commas (default: the ecosystem's for reading accounts)")
	set.StringVar(&e.out, "out", "", "folder to write (default: "+participants+"/NAME in --dir)")
	set.StringVar(&e.zip, "zip", "", "write a zip `file`; no folder, unless --out names one")
	return command
}

// unused settles where to write, and refuses what is there: keys that are overwritten
// are lost.
func (e *enrolment) unused(command *cobra.Command) (err error) {
	if e.zip != "" {
		if _, err := os.Lstat(e.zip); err == nil {
			return fmt.Errorf("%s: %w; choose another --zip", e.zip, fs.ErrExist)
		}
	}
	if e.out == "" && e.zip == "" {
		if e.out, err = participantFolder(command, e.order.Name); err != nil {
			return err
		}
	}
	if e.out == "" {
		return nil
	}
	return certs.Unused(e.out)
}

// create has the participant made and writes its files. A participant whose keys could
// not be written is of no use to anybody, and goes again.
func (e *enrolment) create(command *cobra.Command, operator *admin.Client) (*participant.Record, error) {
	slow := time.AfterFunc(2*time.Second, func() {
		_, _ = fmt.Fprintln(command.ErrOrStderr(), "Making keys and certificates ...")
	})
	enrolled, err := operator.CreateParticipant(command.Context(), e.order)
	slow.Stop()
	if err != nil {
		return nil, err
	}
	if err := e.write(enrolled); err != nil {
		if undone := operator.DeleteParticipant(context.WithoutCancel(command.Context()), enrolled.Name); undone != nil {
			return nil, fmt.Errorf("%w; and the participant is still there: %w", err, undone)
		}
		return nil, fmt.Errorf("%w; the participant is deleted again", err)
	}
	return &enrolled.Record, nil
}

func (e *enrolment) write(enrolled *participant.Enrolled) error {
	files, err := enrolled.Folder()
	if err != nil {
		return err
	}
	if e.zip != "" {
		packed, err := participant.Zip(&enrolled.Record, files)
		if err != nil {
			return err
		}
		if err := certs.WritePrivate(e.zip, packed); err != nil {
			return err
		}
	}
	if e.out == "" {
		return nil
	}
	return certs.WriteDir(e.out, files)
}

func (e *enrolment) print(out io.Writer, record *participant.Record) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row(table, "participant", record.Name+", "+record.Ecosystem+" in realm "+record.Realm)
	row(table, "client", record.ClientID)
	row(table, "authentication", record.Auth+", signs with "+record.Alg)
	row(table, "scope", record.Scope)
	if e.zip != "" {
		row(table, "zip", e.zip)
	}
	if e.out != "" {
		row(table, "folder", e.out)
		row(table, "try", server.Shell(filepath.Join(e.out, participant.FileCurl)))
	}
	return table.Flush()
}

func participantListCommand(open Opener, asJSON *bool) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the participants that were made", Args: cobra.NoArgs,
		Example: "  fapid participant list --json",
		RunE: func(command *cobra.Command, _ []string) error {
			return open.with(command, func(operator *admin.Client) error {
				all, err := operator.Participants(command.Context())
				if err != nil {
					return err
				}
				if *asJSON {
					return printJSON(command.OutOrStdout(), all)
				}
				table := tabwriter.NewWriter(command.OutOrStdout(), 0, 0, 2, ' ', 0)
				row(table, "NAME", "ECOSYSTEM", "REALM", "AUTHENTICATION", "CLIENT", "SCOPE")
				for _, record := range all {
					if record.ClientID == "" {
						record.ClientID = "never finished; delete it, or create it again"
					}
					row(table, record.Name, record.Ecosystem, record.Realm, record.Auth, record.ClientID, record.Scope)
				}
				return table.Flush()
			})
		},
	}
}

func participantShowCommand(open Opener, asJSON *bool) *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Short: "Print what the server keeps of a participant", Args: cobra.ExactArgs(1),
		Example: "  fapid participant show acme",
		RunE: func(command *cobra.Command, args []string) error {
			return open.with(command, func(operator *admin.Client) error {
				record, err := operator.Participant(command.Context(), args[0], !*asJSON)
				if err != nil {
					return err
				}
				_, err = command.OutOrStdout().Write(record)
				return err
			})
		},
	}
}

func participantDeleteCommand(open Opener) *cobra.Command {
	return &cobra.Command{
		Use: "delete NAME", Short: "Delete a participant: its tokens are dead, its certificates revoked", Args: cobra.ExactArgs(1),
		Long: `Delete removes the participant's clients in all realms, its software and its
organisation, and revokes its certificates. Its folder in --dir goes too, but for files
that others have put there; one elsewhere stays.`,
		Example: "  fapid participant delete acme",
		RunE: func(command *cobra.Command, args []string) error {
			if err := checkParticipantName(command, args[0]); err != nil {
				return err
			}
			folder, err := participantFolder(command, args[0])
			if err != nil {
				return err
			}
			return open.with(command, func(operator *admin.Client) error {
				if err := operator.DeleteParticipant(command.Context(), args[0]); err != nil {
					return err
				}
				return participant.RemoveFolder(folder)
			})
		},
	}
}
