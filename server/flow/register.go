package flow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/endpoint"
	"github.com/fapid/fapid/server/resource"
	"github.com/fapid/fapid/server/token"
)

// Register is where software registers itself as a client (RFC 7591, OpenID Connect
// Dynamic Client Registration), and where it reads, changes and deletes its
// registration afterwards (RFC 7592). What comes over HTTP is this file's business
// and that of registermanage.go; what is asked of a registration is the Registrar's.
type Register struct {
	Clients   *registration.Registry
	Registrar *registration.Registrar
	Initial   *registration.InitialTokens
	// Open lets everybody register; Certificate whoever has a certificate that Trust
	// verifies; Statements whose software somebody vouches for; Tokens whoever has an
	// initial access token.
	Open, Certificate, Statements, Tokens bool

	Trust func() *mtls.Trust
	Now   func() time.Time
	// Guard is for ecosystems whose clients manage their registration with an access
	// token of their own.
	Guard    *endpoint.Guard
	Sessions *token.Sessions
	Subject  Subject
	// Standing says why a client may do nothing now, nil for one that may.
	Standing func(*registration.Client) *registration.Suspended
}

const registrationEndpoint = "registration_endpoint"

// Install opens the registration endpoint, and below it a configuration endpoint for
// every client.
func (f *Register) Install(site *endpoint.Site) {
	site.Open(endpoint.Route{Name: registrationEndpoint, Methods: []string{http.MethodPost}, Aliased: true, Bearer: true, Serve: f.register})
	for _, path := range site.Paths(registrationEndpoint) {
		for _, route := range []struct {
			method string
			serve  endpoint.Handler
		}{{http.MethodGet, f.managed(f.read)}, {http.MethodPut, f.managed(f.change)}, {http.MethodDelete, f.managed(f.remove)}} {
			site.Open(endpoint.Route{
				Path: path + "/{client_id:.+}", Item: true, Label: "client_configuration", Methods: []string{route.method}, Bearer: true, Serve: route.serve,
			})
		}
	}
}

// register takes a new client in.
func (f *Register) register(ctx context.Context, r *endpoint.Request) (*endpoint.Answer, error) {
	proposal, err := f.admit(ctx, r)
	if err != nil {
		return nil, err
	}
	if err := readRegistration(r, proposal); err != nil {
		return nil, err
	}
	admitted, statement, err := f.judge(ctx, r, proposal)
	if err != nil {
		return nil, err
	}
	r.Event.ClientID = admitted.Client.ID
	return f.answer(r, http.StatusCreated, admitted, statement)
}

// judge has a request decided about and, if nothing is wrong with it, registered.
func (f *Register) judge(ctx context.Context, r *endpoint.Request, proposal *registration.Proposal) (*registration.Admitted, string, error) {
	admission, err := f.Registrar.Judge(ctx, *proposal, r.Event)
	if err != nil {
		return nil, "", err
	}
	admitted, err := f.Clients.Admit(ctx, admission, r.Event)
	if err != nil {
		return nil, "", err
	}
	return admitted, admission.StatementText, nil
}

// admit finds what lets the request come: an initial access token if it has one,
// and else whatever the realm is content with.
func (f *Register) admit(ctx context.Context, r *endpoint.Request) (*registration.Proposal, error) {
	proposal := &registration.Proposal{}
	f.certificate(r, proposal)
	switch {
	case len(r.Header["Authorization"]) > 0:
		if err := f.initialToken(ctx, r, proposal); err != nil {
			return nil, err
		}
	case f.Open:
		proposal.By = registration.ByAnybody
	case f.Certificate && proposal.Certificate != nil:
		proposal.By = registration.ByCertificate
	case f.Statements:
		proposal.By = registration.ByStatement
		proposal.Unvouched = func() error { return f.refuse(r, proposal) }
	default:
		return nil, f.refuse(r, proposal)
	}
	r.Event.Pass("registration", f.ways(), proposal.By)
	return proposal, nil
}

// ways says what the realm is content with.
func (f *Register) ways() string {
	var ways []string
	for _, way := range []struct {
		open bool
		text string
	}{
		{f.Open, "nothing"}, {f.Tokens, "an initial access token"},
		{f.Certificate, "a client certificate that is trusted here"}, {f.Statements, "a software statement of an issuer that is believed here"},
	} {
		if way.open {
			ways = append(ways, way.text)
		}
	}
	return strings.Join(ways, ", or ")
}

// refuse tells somebody what lets software register here.
func (f *Register) refuse(r *endpoint.Request, proposal *registration.Proposal) error {
	presented := "nothing of it"
	if proposal.Untrusted != "" {
		presented = "a client certificate that is not: " + proposal.Untrusted
	}
	check, advice := "registration", "send what is expected; an initial access token comes from the operator"
	if f.Certificate && !f.Tokens && !f.Statements {
		check, advice = "client certificate", "send the request to the mTLS address with a certificate that is trusted here"
	}
	r.Event.Fail(check, f.ways(), presented, advice)
	if f.Certificate && !f.Tokens {
		return oauth.InvalidClient("registration needs %s", f.ways())
	}
	return oauth.InvalidToken("registration needs %s", f.ways())
}

// certificate notes the certificate of the connection if it is trusted, and why it
// is not if not: whether one is needed is not known yet.
func (f *Register) certificate(r *endpoint.Request, proposal *registration.Proposal) {
	if r.Certificate == nil {
		return
	}
	findings, ok := f.Trust().Verify(r.Certificate, f.Now())
	if ok {
		proposal.Certificate = r.Certificate
	}
	for _, finding := range findings {
		if finding.OK {
			r.Event.Pass(finding.Check, finding.Expected, finding.Presented)
		} else {
			proposal.Untrusted = finding.Check + ": " + finding.Presented
			r.Event.Pass("client certificate", "none is needed so far", proposal.Untrusted)
		}
	}
}

// initialToken wants a good one of who presents one, whatever else would do.
func (f *Register) initialToken(ctx context.Context, r *endpoint.Request, proposal *registration.Proposal) error {
	const check, advice = "initial access token", "ask the operator for one (fapid registration-token create), or leave it out where registration is open"
	text, err := resource.Bearer(r.Sender())
	if err != nil {
		return err
	}
	if f.Initial == nil || !f.Tokens {
		r.Event.Fail(check, "none: this realm has no initial access tokens", "one", advice)
		return oauth.InvalidToken("this realm takes no initial access tokens")
	}
	found, err := f.Initial.Find(ctx, text)
	if refusal, ok := errors.AsType[oauth.Error](err); ok {
		return refusal
	}
	if err != nil {
		r.Event.Fail(check, "one that may be used", err.Error(), advice)
		return oauth.InvalidToken("the initial access token is not valid").Because("%w", err)
	}
	r.Event.Pass(check, "one that may be used", found.ID)
	proposal.Initial, proposal.By = found, registration.ByInitialToken+found.ID
	return nil
}

// readRegistration reads the body of a registration. One that is too long is
// refused as everything else that is wrong with it (RFC 7591 section 3.2.2).
func readRegistration(r *endpoint.Request, proposal *registration.Proposal) error {
	if r.URL.RawQuery != "" {
		r.Event.Fail("registration request", "no query", "one", "send the metadata in the body (RFC 7591 section 3.1)")
		return oauth.InvalidClientMetadata("the registration belongs in the body, and there is a query")
	}
	body, err := r.ReadBody()
	if refusal := oauth.AsError(err); err != nil && refusal.Status == http.StatusRequestEntityTooLarge {
		r.Event.Fail("registration request", fmt.Sprintf("at most %d bytes", endpoint.MaxBody), "more", "send less")
		return oauth.InvalidClientMetadata("the registration is longer than %d bytes", endpoint.MaxBody)
	}
	proposal.MediaType, proposal.Body = r.Header.Get("Content-Type"), []byte(body)
	return err
}

// answer tells a client of its registration, in the shape of its ecosystem.
func (f *Register) answer(r *endpoint.Request, status int, admitted *registration.Admitted, statement string) (*endpoint.Answer, error) {
	client := admitted.Client
	ecosystem, known := registration.FindEcosystem(client.Metadata.Ecosystem)
	if !known {
		return nil, oauth.ServerError().Because("client %s is of no ecosystem", client.ID)
	}
	members, err := ecosystem.Answered(&client.Metadata, statement)
	if err != nil {
		return nil, err
	}
	if members == nil {
		return &endpoint.Answer{Status: http.StatusNoContent}, nil
	}
	add := func(name string, value any) {
		if err == nil {
			members[name], err = json.Marshal(value)
		}
	}
	if admitted.Secret != "" {
		add("client_secret", admitted.Secret)
	}
	if client.HasSecret() {
		add("client_secret_expires_at", 0) // never (RFC 7591 section 3.2.1)
	}
	if ecosystem.Management.With == registration.RegistrationToken {
		add("registration_client_uri", configurationOf(r, client.ID))
		add("registration_access_token", admitted.RegistrationToken)
	}
	return &endpoint.Answer{Status: status, JSON: members}, err
}

// configurationOf is where a client manages its registration: on the listener that
// the request came to, because what it came with counts there, too.
func configurationOf(r *endpoint.Request, id string) string {
	base := r.Site.StandardURL
	if r.Listener == endpoint.MTLS {
		base = r.Site.MTLSURL
	}
	return base + r.Site.Path(registrationEndpoint) + "/" + url.PathEscape(id)
}

// Ways sets what lets software register, by the names that a configuration has for
// it.
func (f *Register) Ways(names []string) {
	f.Open = slices.Contains(names, registration.ByAnybody)
	f.Certificate = slices.Contains(names, registration.ByCertificate)
	f.Statements = slices.Contains(names, registration.ByStatement)
	f.Tokens = slices.Contains(names, strings.TrimSuffix(registration.ByInitialToken, ":"))
}
