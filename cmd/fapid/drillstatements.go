package main

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server"
	"github.com/fapid/fapid/server/admin"
	"github.com/fapid/fapid/server/drill"
	"github.com/fapid/fapid/server/participant"
)

func drillStatementsCommand(open Opener) *cobra.Command {
	var flags drillFlags
	var ecosystems []string
	command := &cobra.Command{
		Use:   "statements",
		Short: "Software statements and registrations with one fault each",
		Long: `Statements makes registrations of software that a realm must refuse: statements that
are expired, changed, of a stranger or of another, members that the software may not
have, and so on, by the rules of every ecosystem by which a realm believes the
directory: the first realm that does, or --realm. The software is made in the directory
for the drill: no participant is touched, and the directory of a sandbox makes bad
statements of such software only.

Each goes into a folder of its own with the statement, the body of the request, what
to expect of it, and the curl lines that send it. A statement is soon too old, within
five minutes in Brazil: make them again then.

With --run they are sent to the server instead, and what was expected and what was
seen are printed side by side; nothing of it stays.

Exit code: 0 as expected, 1 something was not.`,
		Example: `  fapid drill statements --run
  fapid drill statements --ecosystem brazil
  fapid drill statements --ecosystem uk --ecosystem cdr --realm strict --run --json`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return open.with(command, func(operator *admin.Client) error {
				results, err := flags.statements(command.Context(), operator, ecosystems)
				if err != nil {
					return err
				}
				if flags.run {
					return flags.report(command.OutOrStdout(), results)
				}
				return flags.list(command.OutOrStdout(), results, "They are in "+flags.folder("statements")+", each with a README and a curl.sh. --run sends them all.")
			})
		},
	}
	flags.sandbox(command)
	set := command.Flags()
	set.StringArrayVar(&ecosystems, "ecosystem", nil, "`name` of an ecosystem, again for each further one (default: all by which the realms believe the directory)")
	set.StringVar(&flags.out, "out", "", "folder to write to (default: drill/statements in --dir)")
	set.BoolVar(&flags.run, "run", false, "send each registration to the server")
	command.MarkFlagsMutuallyExclusive("run", "out")
	return command
}

// statements makes the family of registrations, or with --run sends it.
func (f *drillFlags) statements(ctx context.Context, operator *admin.Client, names []string) (results []drill.Result, err error) {
	places, err := f.places(ctx, operator, names)
	if err != nil {
		return nil, err
	}
	roots, err := f.roots()
	if err != nil {
		return nil, err
	}
	if f.run && len(places) > 0 {
		if err := f.running(ctx, places[0].Realm.Issuer); err != nil {
			return nil, err
		}
	}
	if err := drill.Outdated(ctx, operator, time.Now()); err != nil {
		return nil, err
	}
	var keys *drill.Keys
	for _, at := range places {
		if keys == nil || !f.run { // in a folder, software has a key of its own
			if keys, err = drill.NewKeys(); err != nil {
				return nil, err
			}
		}
		made, err := f.ecosystem(ctx, &drill.Statements{
			Operator: operator, Realm: at.Realm, Provider: at.Realm.Provider(), Roots: roots, Ecosystem: at.Ecosystem, Keys: keys,
		})
		if err != nil {
			return nil, err
		}
		results = append(results, made...)
	}
	return results, nil
}

// places are where the registrations of each ecosystem are tried.
func (f *drillFlags) places(ctx context.Context, operator *admin.Client, names []string) ([]drill.Place, error) {
	if f.realm == "" {
		realms, err := operator.Realms(ctx)
		if err != nil {
			return nil, err
		}
		return drill.Places(realms, names)
	}
	realm, err := operator.Realm(ctx, f.realm)
	if err != nil {
		return nil, err
	}
	return drill.Places([]admin.RealmView{*realm}, names)
}

// ecosystem makes or sends those of one ecosystem.
func (f *drillFlags) ecosystem(ctx context.Context, with *drill.Statements) (results []drill.Result, err error) {
	if f.run {
		defer func() { err = errors.Join(err, with.Close(context.WithoutCancel(ctx))) }()
		return drill.Run(ctx, with.Cases(), explainedBy(with.Operator))
	}
	shell, err := f.shell()
	if err != nil {
		return nil, err
	}
	return with.Save(ctx, filepath.Join(f.folder("statements"), with.Ecosystem.Name), shell)
}

// shell is how commands are called in a folder of the drill.
func (f *drillFlags) shell() (drill.Shell, error) {
	trusted, err := filepath.Abs(f.trusted())
	if err != nil {
		return drill.Shell{}, err
	}
	dir, err := filepath.Abs(f.dir)
	_, fapid := self()
	return drill.Shell{
		Curl: "curl --cacert " + server.Shell(trusted), Fapid: fapid, Dir: server.Shell(dir),
		Key: server.Shell(filepath.Join(dir, "operator.key")), Quote: server.Shell,
	}, err
}

// running makes sure that there is a server to send anything to.
func (f *drillFlags) running(ctx context.Context, issuer string) error {
	roots, err := f.roots()
	if err != nil {
		return err
	}
	p := &participant.Participant{Metadata: registration.Metadata{}}
	_, err = discover(ctx, p.Client(roots), issuer, true)
	return err
}
