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
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/fapid/fapid/certs"
	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/mtls/doctor"
	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/server"
	"github.com/fapid/fapid/server/admin"
	"github.com/fapid/fapid/server/drill"
	"github.com/fapid/fapid/server/participant"
)

func drillCommand(open Opener) *cobra.Command {
	command := &cobra.Command{
		Use:   "drill",
		Short: "Make what goes wrong, and see how a server takes it",
		Long: `Drill makes the things that a server must refuse, each with one fault, so that
every refusal can be had on purpose.`,
		Example: "  fapid drill certs tpp-tls --run",
		Args:    cobra.NoArgs,
	}
	command.AddCommand(drillCertsCommand(open))
	return command
}

// drillFlags are the flags of the drills.
type drillFlags struct {
	clientFlags
	out, matching string
	run, asJSON   bool
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
			words := []string{string(mtls.MatchStrict), string(mtls.MatchAnyOrder), string(mtls.MatchBrazil)}
			if !slices.Contains(words, flags.matching) {
				return wrongUsage(command, fmt.Errorf("there is no DN matching %q; there are %v", flags.matching, words))
			}
			p, err := flags.client(args[0])
			if err != nil {
				return err
			}
			return open.with(command, func(operator *admin.Client) error {
				return flags.drill(command, operator, p, args[0])
			})
		},
	}
	flags.register(command)
	set := command.Flags()
	set.String("config", "", "configuration file of the server (default: fapid.yaml in --dir)")
	set.StringVar(&flags.out, "out", "", "folder to write to (default: drill/certs in --dir)")
	set.StringVar(&flags.matching, "dn-matching", string(mtls.MatchStrict), "dn_matching of the client's policy: strict, any_order or brazil")
	set.BoolVar(&flags.run, "run", false, "present each certificate to the server")
	set.BoolVar(&flags.asJSON, "json", false, "print JSON")
	return command
}

func (f *drillFlags) drill(command *cobra.Command, operator *admin.Client, p *participant.Participant, name string) error {
	ctx, out := command.Context(), command.OutOrStdout()
	made, err := (&drill.Drill{
		Participant: p, CA: filepath.Join(f.dir, "ca"), Matching: mtls.Matching(f.matching), Now: time.Now(),
		Revoked: func(key crypto.Signer) ([]*x509.Certificate, error) { return revokedFor(ctx, operator, p, key) },
	}).Certificates()
	if err != nil {
		return err
	}
	folder := f.out
	if folder == "" {
		folder = filepath.Join(f.dir, "drill", "certs")
	}
	curl, err := f.curl(ctx, p, name)
	if err != nil {
		return err
	}
	if err := drill.Save(folder, made, curl); err != nil {
		return err
	}
	if !f.run {
		return f.list(out, folder, made)
	}
	results, err := f.perform(ctx, operator, p, made)
	if err != nil {
		return err
	}
	return f.report(out, results)
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
	with := drill.Server{Provider: provider, Roots: roots}
	if f.issuer == "" {
		with.Explain = func(ctx context.Context, trace string) (*oauth.Event, error) {
			text, err := operator.Explain(ctx, trace, true)
			if err != nil {
				return nil, err
			}
			var event oauth.Event
			return &event, json.Unmarshal(text, &event)
		}
	}
	return with.Run(ctx, p, made)
}

// list says what was made.
func (f *drillFlags) list(out io.Writer, folder string, made []drill.Certificate) error {
	results := make([]drill.Result, len(made))
	for i, c := range made {
		results[i] = drill.Result{Name: c.Name, About: c.About, Expected: c.Expected, Skipped: c.Skipped}
		if c.Expected == "" {
			results[i].Expected = drill.Accepted
		}
	}
	if f.asJSON {
		return printJSON(out, results)
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "CERTIFICATE\tEXPECTED\tWHAT IT IS")
	for _, result := range results {
		if result.Skipped != "" {
			row(table, result.Name, "not made", result.Skipped)
			continue
		}
		row(table, result.Name, result.Expected, result.About)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "\nThey are in %s, each with a README and a curl line. --run presents them all.\n", folder)
	return err
}

// report prints what was expected and seen; a difference is exit code 1.
func (f *drillFlags) report(out io.Writer, results []drill.Result) error {
	differences := 0
	for _, result := range results {
		if result.Differs {
			differences++
		}
	}
	if f.asJSON {
		if err := printJSON(out, results); err != nil {
			return err
		}
	} else if err := printResults(out, results, differences); err != nil {
		return err
	}
	if differences > 0 {
		return exitError{code: 1}
	}
	return nil
}

func printResults(out io.Writer, results []drill.Result, differences int) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\tCERTIFICATE\tEXPECTED\tSEEN\tTRACE")
	for _, result := range results {
		mark, seen := "ok", result.Seen
		switch {
		case result.Skipped != "":
			mark, seen = "-", "not made: "+result.Skipped
		case result.Differs:
			mark = "DIFFERS"
		}
		row(table, mark, result.Name, result.Expected, seen, result.Trace)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	summary := "As expected"
	if differences > 0 {
		summary = strconv.Itoa(differences) + " not as expected; see `fapid explain TRACE`"
	}
	_, err := fmt.Fprintf(out, "\n%s\n", summary)
	return err
}
