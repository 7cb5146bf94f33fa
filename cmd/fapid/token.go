package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/fapid/fapid/server"
	"github.com/fapid/fapid/server/participant"
)

// clientFlags say which client a verb acts as, and towards whom.
type clientFlags struct {
	dir, issuer, realm, cacert string
}

func (f *clientFlags) register(command *cobra.Command) {
	set := command.Flags()
	dirFlag(set, &f.dir)
	set.StringVar(&f.issuer, "issuer", "", "issuer to ask, any server's (default: the sandbox's)")
	set.StringVar(&f.realm, "realm", "", "realm of the sandbox (default: the one the client is registered in)")
	set.StringVar(&f.cacert, "cacert", "", "PEM file of trusted roots (default: the sandbox's)")
}

// client loads the participant: an id of the sandbox, the name of a participant that
// was made in it, or a folder. One that says its realm is asked for there.
func (f *clientFlags) client(name string) (*participant.Participant, error) {
	for _, dir := range []string{filepath.Join(f.dir, "clients", name), filepath.Join(f.dir, participants, name), name} {
		if _, err := os.Stat(filepath.Join(dir, participant.FileMetadata)); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if f.realm == "" {
			var err error
			if f.realm, err = participant.RealmOf(dir); err != nil {
				return nil, err
			}
		}
		return participant.Load(dir)
	}
	return nil, fmt.Errorf("there is no client %s in %s; `fapid dev` makes the sample clients", name, filepath.Join(f.dir, "clients"))
}

// trusted is the file of roots; empty for the system's, which other servers have.
func (f *clientFlags) trusted() string {
	if f.cacert != "" {
		return f.cacert
	}
	file := filepath.Join(f.dir, "ca.pem")
	if _, err := os.Stat(file); err != nil && f.issuer != "" {
		return ""
	}
	return file
}

// roots are whom to trust.
func (f *clientFlags) roots() (*x509.CertPool, error) {
	file := f.trusted()
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no PEM certificate", file)
	}
	return pool, nil
}

// provider finds the server the client talks to.
func (f *clientFlags) provider(ctx context.Context, p *participant.Participant, client *http.Client) (*participant.Provider, error) {
	issuer := f.issuer
	if issuer == "" {
		var err error
		if issuer, err = server.SandboxIssuer(f.dir, f.realm, p.Metadata.ClientID); err != nil {
			return nil, err
		}
	}
	return discover(ctx, client, issuer, f.issuer == "")
}

// discover reads what a server says of itself; ours can be started.
func discover(ctx context.Context, client *http.Client, issuer string, ours bool) (*participant.Provider, error) {
	provider, err := participant.Discover(ctx, client, issuer)
	if errors.Is(err, syscall.ECONNREFUSED) && ours {
		return nil, fmt.Errorf("no server is running at %s: %w; start it with `fapid dev`", issuer, syscall.ECONNREFUSED)
	}
	return provider, err
}

func tokenCommand() *cobra.Command {
	var flags clientFlags
	var scope string
	var audience []string
	var asJSON, dpop bool
	command := &cobra.Command{
		Use:   "token CLIENT",
		Short: "Fetch a token by client credentials and print it",
		Long: `Fetch a token by client credentials, as a sample client or as one whose folder
is given, and print the access token: ready for $( ) in a curl line.

With --dpop, and for a client that is registered so, the token is bound to the
client's DPoP key; ` + "`fapid dpop`" + ` makes the proofs it is used with.`,
		Example: `  fapid token tpp-tls
  fapid token tpp-tls --scope "accounts payments" --json
  fapid token tpp-tls --audience https://api.example.com
  fapid token tpp-jwt --dpop
  fapid token tpp-tls --audience aggregator
  curl -H "Authorization: Bearer $(fapid token tpp-jwt)" ...`,
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			p, err := flags.client(args[0])
			if err != nil {
				return err
			}
			roots, err := flags.roots()
			if err != nil {
				return err
			}
			client := p.Client(roots)
			provider, err := flags.provider(command.Context(), p, client)
			if err != nil {
				return err
			}
			p.Metadata.DPoPBoundTokens = p.Metadata.DPoPBoundTokens || dpop
			form := url.Values{"audience": audience}
			if scope != "" {
				form.Set("scope", scope)
			}
			response, body, err := p.Token(command.Context(), client, provider, form)
			if err != nil {
				return err
			}
			if !asJSON {
				_, err = fmt.Fprintln(command.OutOrStdout(), response.AccessToken)
				return err
			}
			var pretty bytes.Buffer
			if err := json.Indent(&pretty, body, "", "  "); err != nil {
				return err
			}
			_, err = fmt.Fprintln(command.OutOrStdout(), pretty.String())
			return err
		},
	}
	flags.register(command)
	command.Flags().StringVar(&scope, "scope", "", "scopes to ask for (default: all the client has)")
	command.Flags().StringArrayVar(&audience, "audience", nil, "identifier of the `API` the token is for, again for each further one (default: the client's or the realm's own)")
	command.Flags().BoolVar(&dpop, "dpop", false, "send a DPoP proof, and have the token bound to its key")
	command.Flags().BoolVar(&asJSON, "json", false, "print the whole answer")
	return command
}

func assertionCommand() *cobra.Command {
	var flags clientFlags
	var audience, subject string
	command := &cobra.Command{
		Use:   "assertion CLIENT",
		Short: "Print a signed client assertion to paste into curl",
		Long: `Sign a client assertion (RFC 7523) with the client's signing key and print it. It
is good for one request within a minute.

With --grant it is an authorization grant instead (RFC 7523 section 2.1): the
client's word that whoever sends it as assertion may act for that subject, a user
or the client itself, at the APIs that allow it.`,
		Example: `  fapid assertion tpp-jwt
  fapid assertion tpp-jwt --aud https://as.example.com
  fapid assertion tpp-jwt --grant alice
  curl ... -d client_assertion="$(fapid assertion tpp-jwt)"`,
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			p, err := flags.client(args[0])
			if err != nil {
				return err
			}
			if audience == "" {
				audience = flags.issuer
			}
			if audience == "" {
				if audience, err = server.SandboxIssuer(flags.dir, flags.realm, p.Metadata.ClientID); err != nil {
					return err
				}
			}
			assertion, err := p.Assertion(audience, time.Now())
			if subject != "" {
				assertion, err = p.Grant(subject, audience, time.Now())
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(command.OutOrStdout(), assertion)
			return err
		},
	}
	flags.register(command)
	command.Flags().StringVar(&audience, "aud", "", "audience (default: the issuer)")
	command.Flags().StringVar(&subject, "grant", "", "make an authorization grant for this `subject`")
	return command
}
