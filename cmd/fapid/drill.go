package main

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/fapid/fapid/certs"
	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/mtls/doctor"
	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server"
	"github.com/fapid/fapid/server/admin"
	"github.com/fapid/fapid/server/drill"
	"github.com/fapid/fapid/server/participant"
)

func drillCommand(open Opener) *cobra.Command {
	var flags drillFlags
	var client string
	command := &cobra.Command{
		Use:   "drill",
		Short: "Make what goes wrong, and see how a server takes it",
		Long: `Drill makes the things that a server must refuse, each with one fault, so that
every refusal can be had on purpose. With --run it tries all of them at the server of
the sandbox: the certificates as a client of it, the registrations in every ecosystem
by whose rules a realm believes the directory.

Exit code: 0 as expected, 1 something was not.`,
		Example: `  fapid drill --run
  fapid drill certs tpp-tls --run
  fapid drill statements --ecosystem brazil`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if !flags.run {
				return command.Help()
			}
			p, err := flags.client(client)
			if err != nil {
				return err
			}
			return open.with(command, func(operator *admin.Client) error {
				of := flags
				of.realm = "" // the client's
				results, err := of.certificates(command, operator, p, client)
				if err != nil {
					return err
				}
				registrations, err := flags.statements(command.Context(), operator, nil)
				if err != nil {
					return err
				}
				return flags.report(command.OutOrStdout(), append(results, registrations...))
			})
		},
	}
	flags.sandbox(command)
	command.Flags().StringVar(&client, "client", "tpp-tls", "client whose certificates are made wrong, by its id or its folder")
	command.Flags().StringVar(&flags.matching, "dn-matching", "", matchingUsage)
	command.Flags().BoolVar(&flags.run, "run", false, "try everything at the server")
	command.AddCommand(drillCertsCommand(open), drillStatementsCommand(open))
	return command
}

// drillFlags are the flags of the drills.
type drillFlags struct {
	clientFlags
	out, matching string
	run, asJSON   bool
}

const matchingUsage = "dn_matching of the client's policy: strict, any_order or brazil (default: its ecosystem's, or strict)"

// sandbox adds the flags of a drill that is about the sandbox's own server.
func (f *drillFlags) sandbox(command *cobra.Command) {
	set := command.Flags()
	dirFlag(set, &f.dir)
	set.StringVar(&f.realm, "realm", "", "realm where software registers (default: the first that takes it)")
	set.StringVar(&f.cacert, "cacert", "", "PEM file of trusted roots (default: the sandbox's)")
	f.common(command)
}

func (f *drillFlags) common(command *cobra.Command) {
	command.Flags().String("config", "", "configuration file of the server (default: fapid.yaml in --dir)")
	command.Flags().BoolVar(&f.asJSON, "json", false, "print JSON")
}

func drillCertsCommand(open Opener) *cobra.Command {
	var flags drillFlags
	command := &cobra.Command{
		Use:   "certs CLIENT",
		Short: "Certificates with one fault each",
		Long: `Certs makes certificates that are nearly those of a client of the sandbox, by its
id or its folder: expired, revoked, for another purpose, from another CA, with a
name that is not quite the registered one, and so on. Each goes into a folder of its
own with its key, what to expect of it, and a curl line. They are signed with the
keys of the sandbox CA, last a week, and are in none of its records, save the one
that is revoked.

With --run each of them asks the server for a token, and what was expected and what
was seen are printed side by side: for the sandbox's own server also the check that
refused it. With --issuer that is any other server where the client is registered
and the sandbox CA is trusted.

Exit code: 0 as expected, 1 something was not.`,
		Example: `  fapid drill certs tpp-tls
  fapid drill certs tpp-tls --run
  fapid drill certs ./my-tpp --run --issuer https://as.bank.example --cacert bank-ca.pem --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			p, err := flags.client(args[0])
			if err != nil {
				return err
			}
			return open.with(command, func(operator *admin.Client) error {
				results, err := flags.certificates(command, operator, p, args[0])
				if err != nil {
					return err
				}
				if flags.run {
					return flags.report(command.OutOrStdout(), results)
				}
				return flags.list(command.OutOrStdout(), results, "They are in "+flags.folder("certs")+", each with a README and a curl line. --run presents them all.")
			})
		},
	}
	flags.register(command)
	flags.common(command)
	set := command.Flags()
	set.StringVar(&flags.out, "out", "", "folder to write to (default: drill/certs in --dir)")
	set.StringVar(&flags.matching, "dn-matching", "", matchingUsage)
	set.BoolVar(&flags.run, "run", false, "present each certificate to the server")
	return command
}

// folder is where a drill writes to.
func (f *drillFlags) folder(name string) string {
	if f.out != "" {
		return f.out
	}
	return filepath.Join(f.dir, "drill", name)
}

// certificates makes the family of certificates and, with --run, presents it.
func (f *drillFlags) certificates(command *cobra.Command, operator *admin.Client, p *participant.Participant, name string) ([]drill.Result, error) {
	words := []string{string(mtls.MatchStrict), string(mtls.MatchAnyOrder), string(mtls.MatchBrazil)}
	if command.Flags().Changed("dn-matching") && !slices.Contains(words, f.matching) {
		return nil, wrongUsage(command, fmt.Errorf("there is no DN matching %q; there are %s", f.matching, oauth.List(words)))
	}
	ctx := command.Context()
	made, err := (&drill.Drill{
		Participant: p, CA: filepath.Join(f.dir, "ca"), Matching: f.matchingOf(p), Now: time.Now(),
		Revoked: func(key crypto.Signer) ([]*x509.Certificate, error) { return revokedFor(ctx, operator, p, key) },
	}).Certificates()
	if err != nil {
		return nil, err
	}
	curl, err := f.curl(ctx, p, name)
	if err != nil {
		return nil, err
	}
	if err := drill.Save(f.folder("certs"), made, curl); err != nil {
		return nil, err
	}
	if f.run {
		return f.perform(ctx, operator, p, made)
	}
	return expectations(drill.Server{}.Present(p, made)), nil
}

// matchingOf is how the server compares the client's name: an ecosystem that says so
// says it for all of its clients.
func (f *drillFlags) matchingOf(p *participant.Participant) mtls.Matching {
	ecosystem, known := registration.FindEcosystem(p.Metadata.Ecosystem)
	switch {
	case f.matching != "":
		return mtls.Matching(f.matching)
	case known && ecosystem.DNMatching != "":
		return ecosystem.DNMatching
	}
	return mtls.MatchStrict
}

func expectations(cases []drill.Case) []drill.Result {
	results := make([]drill.Result, len(cases))
	for i := range cases {
		results[i] = cases[i].Expectation()
	}
	return results
}

// list says what was made.
func (f *drillFlags) list(out io.Writer, results []drill.Result, where string) error {
	if f.asJSON {
		return printJSON(out, results)
	}
	if err := drill.List(out, results); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "\n%s\n", where)
	return err
}

// report prints what was expected and seen; a difference is exit code 1.
func (f *drillFlags) report(out io.Writer, results []drill.Result) error {
	differences := 0
	var err error
	if f.asJSON {
		for _, result := range results {
			if result.Differs {
				differences++
			}
		}
		err = printJSON(out, results)
	} else {
		differences, err = drill.Report(out, results)
	}
	if err == nil && differences > 0 {
		return exitError{code: 1}
	}
	return err
}

// revokedFor has the CA issue the participant's certificate for a key, and revoke it:
// of the family, this is one that the CA has to know.
func revokedFor(ctx context.Context, operator *admin.Client, p *participant.Participant, key crypto.Signer) ([]*x509.Certificate, error) {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return nil, err
	}
	own, err := doctor.Describe(p.Transport, time.Now())
	if err != nil {
		return nil, err
	}
	request := admin.IssueRequest{
		CSR:     string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})),
		Subject: own.Subject.RFC4514, Owner: p.Metadata.ClientID, Term: admin.Term{Days: 7},
	}
	for kind, names := range map[string][]string{"DNS:": own.AltNames.DNS, "URI:": own.AltNames.URI, "IP:": own.AltNames.IP, "email:": own.AltNames.Email} {
		for _, name := range names {
			request.SANs = append(request.SANs, kind+name)
		}
	}
	issued, err := operator.Issue(ctx, request)
	if err != nil {
		return nil, err
	}
	if _, err := operator.Revoke(ctx, issued.Serial, certs.ReasonKeyCompromise); err != nil {
		return nil, err
	}
	return doctor.ParseCertificates([]byte(issued.Chain))
}

// curl gives the line that presents a certificate to the server.
func (f *drillFlags) curl(ctx context.Context, p *participant.Participant, name string) (func(drill.Certificate, string) string, error) {
	address, err := f.tokenAlias(ctx, p)
	if err != nil {
		return nil, err
	}
	command := ""
	if trusted, err := filepath.Abs(f.trusted()); err == nil && f.trusted() != "" {
		command += " --cacert " + server.Shell(trusted)
	}
	who, err := f.authentication(p, name, address)
	if err != nil {
		return nil, err
	}
	return func(c drill.Certificate, folder string) string {
		if absolute, err := filepath.Abs(folder); err == nil {
			folder = absolute
		}
		line := "curl" + command + " --cert " + server.Shell(filepath.Join(folder, participant.FileTransport)) + " --key " + server.Shell(filepath.Join(folder, participant.FileTransportKey))
		if c.Weak {
			line = "OPENSSL_CONF=" + server.Shell(filepath.Join(folder, drill.FileOpenSSL)) + " " + line
		}
		return line + " " + address + " -d grant_type=client_credentials" + who
	}, nil
}

// tokenAlias is where the client asks for tokens with its certificate.
func (f *drillFlags) tokenAlias(ctx context.Context, p *participant.Participant) (string, error) {
	if f.issuer == "" {
		return server.SandboxTokenAlias(f.dir, f.realm, p.Metadata.ClientID)
	}
	roots, err := f.roots()
	if err != nil {
		return "", err
	}
	provider, err := f.provider(ctx, p, p.Client(roots))
	if err != nil {
		return "", err
	}
	holder := *p
	holder.Metadata.CertificateBoundTokens = true
	return holder.Endpoint(provider, "token_endpoint"), nil
}

// authentication are the flags of curl by which the client says who it is, beside its
// certificate.
func (f *drillFlags) authentication(p *participant.Participant, name, address string) (string, error) {
	_, fapid := self()
	if _, err := os.Stat(filepath.Join(name, participant.FileMetadata)); err == nil {
		if name, err = filepath.Abs(name); err != nil {
			return "", err
		}
	}
	dir, err := filepath.Abs(f.dir)
	if err != nil {
		return "", err
	}
	verb := func(verb, more string) string {
		return fmt.Sprintf(`"$(%s %s %s%s --dir %s)"`, fapid, verb, server.Shell(name), more, server.Shell(dir))
	}
	who := " -d client_id=" + server.Shell(p.Metadata.ClientID)
	switch p.Metadata.TokenEndpointAuthMethod {
	case oauth.AuthPrivateKeyJWT, oauth.AuthSecretJWT:
		more := ""
		if f.issuer != "" {
			more = " --aud " + server.Shell(f.issuer)
		}
		who += " -d client_assertion_type=" + participant.AssertionType + " -d client_assertion=" + verb("assertion", more)
	case oauth.AuthSecretBasic:
		who = " -u " + server.Shell(p.Metadata.ClientID+":"+p.Secret)
	case oauth.AuthSecretPost:
		who += " -d client_secret=" + server.Shell(p.Secret)
	}
	if p.Metadata.DPoPBoundTokens {
		who += ` -H "DPoP: "` + verb("dpop", " POST "+server.Shell(address))
	}
	return who, nil
}

// perform presents the certificates to the server.
func (f *drillFlags) perform(ctx context.Context, operator *admin.Client, p *participant.Participant, made []drill.Certificate) ([]drill.Result, error) {
	roots, err := f.roots()
	if err != nil {
		return nil, err
	}
	provider, err := f.provider(ctx, p, p.Client(roots))
	if err != nil {
		return nil, err
	}
	var explain drill.Explain
	if f.issuer == "" {
		explain = explainedBy(operator)
	}
	return drill.Run(ctx, drill.Server{Provider: provider, Roots: roots}.Present(p, made), explain)
}

// explainedBy asks the operator what was noted of a request.
func explainedBy(operator *admin.Client) drill.Explain {
	return func(ctx context.Context, trace string) (*oauth.Event, error) {
		text, err := operator.Explain(ctx, trace, true)
		if err != nil {
			return nil, err
		}
		var event oauth.Event
		return &event, json.Unmarshal(text, &event)
	}
}
