package flow

import (
	"context"
	"errors"
	"net/http"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/endpoint"
	"github.com/fapid/fapid/server/resource"
	"github.com/fapid/fapid/server/token"
)

// managing is a request of a client about its registration.
type managing struct {
	*endpoint.Request
	client   *registration.Client
	proposal *registration.Proposal
	// presented is the registration access token that it came with; empty for an
	// access token.
	presented string
}

// managed serves a request of a client that has shown that the registration is its
// own. Who has not learns nothing of any client, not even whether there is one.
func (f *Register) managed(serve func(context.Context, *managing) (*endpoint.Answer, error)) endpoint.Handler {
	return func(ctx context.Context, r *endpoint.Request) (*endpoint.Answer, error) {
		m, err := f.identify(ctx, r)
		if err != nil {
			return nil, err
		}
		m.client.Used(f.Now())
		return serve(ctx, m)
	}
}

// identify finds the client of the path and wants of the caller what its ecosystem
// has for managing a registration.
func (f *Register) identify(ctx context.Context, r *endpoint.Request) (*managing, error) {
	m := &managing{Request: r, proposal: &registration.Proposal{}}
	client, known := f.Clients.Get(r.Path["client_id"])
	if !known {
		client = nobody
	}
	ecosystem, ofSome := registration.FindEcosystem(client.Metadata.Ecosystem)
	var err error
	switch {
	case ofSome && ecosystem.Management.With == registration.AccessToken:
		err = f.byAccessToken(ctx, r, client, ecosystem.Management.Scope)
	default:
		m.presented, err = f.byRegistrationToken(r, client)
	}
	if err != nil {
		return nil, unknownHolder(err)
	}
	r.Event.ClientID, m.client = client.ID, client
	if err := f.checkStanding(m); err != nil {
		return nil, err
	}
	return m, f.checkHolder(ctx, m)
}

// unknownHolder makes all refusals of tokens alike: what is wrong with one would say
// by whose rules the client of the path is registered, and so that there is one.
func unknownHolder(err error) error {
	if refusal, ok := errors.AsType[oauth.Error](err); ok && refusal.Code == oauth.CodeInvalidToken && refusal.Description != "" {
		return notYours().Because("%w", err)
	}
	return err
}

// checkStanding lets nobody manage a registration whom the operator has disabled or
// the directory does not have as Active: that is as far away as a token is.
func (f *Register) checkStanding(m *managing) error {
	suspended := f.Standing(m.client)
	if suspended == nil {
		return nil
	}
	m.Event.Fail("client standing", suspended.Expected, suspended.Presented, suspended.Advice)
	return oauth.InvalidToken("%s", suspended.Public).Because("%w", suspended)
}

// nobody stands in for a client that there is not.
var nobody = &registration.Client{}

// notYours is the one refusal of everybody who has not shown that the registration
// is theirs (RFC 7592 section 2.1).
func notYours() oauth.Error {
	return oauth.InvalidToken("the token is not one for this registration")
}

func (f *Register) byRegistrationToken(r *endpoint.Request, client *registration.Client) (string, error) {
	presented, err := resource.Bearer(r.Sender())
	if err != nil {
		return "", err
	}
	if !client.CheckRegistrationToken(presented, f.Now()) {
		r.Event.Fail("registration access token", "that of the client in the path", "another, or there is no such client", "send the registration_access_token of the last answer that had one")
		return "", notYours()
	}
	r.Event.Pass("registration access token", client.ID, client.ID)
	return presented, nil
}

// byAccessToken wants an access token that the client fetched for itself.
func (f *Register) byAccessToken(ctx context.Context, r *endpoint.Request, client *registration.Client, scope string) error {
	claims, err := f.Guard.Admit(ctx, r.Sender(), nil)
	if err != nil {
		return err
	}
	if claims.ClientID != client.ID || claims.Act != nil || claims.Subject != f.Subject.Of(client.ID) {
		r.Event.Fail("registration", "an access token of "+client.ID+" for itself", "one of "+claims.ClientID+" for "+claims.Subject, "fetch a token with the client credentials grant, as the client in the path")
		return notYours()
	}
	r.Event.Pass("registration", client.ID, client.ID)
	return checkManagementScope(r, claims, scope)
}

// checkManagementScope is asked last: only the client itself is told which scope it
// lacks.
func checkManagementScope(r *endpoint.Request, claims *token.Claims, wanted string) error {
	held, err := oauth.ParseScope(claims.Scope)
	if err != nil || wanted == "" {
		return err
	}
	if !held.Has(wanted) {
		r.Event.Fail("scope", wanted, claims.Scope, "fetch a token with scope "+wanted)
		return oauth.InsufficientScope("the access token lacks scope %s", wanted)
	}
	r.Event.Pass("scope", wanted, claims.Scope)
	return nil
}

// checkHolder wants the certificate that the ecosystem wants, as when the client was
// registered.
func (f *Register) checkHolder(ctx context.Context, m *managing) error {
	f.certificate(m.Request, m.proposal)
	statement, err := f.Clients.Statement(ctx, m.client.ID)
	if err != nil {
		return oauth.TemporarilyUnavailable().Because("software statement: %w", err)
	}
	return f.Registrar.CheckHolder(m.client, statement, *m.proposal, m.Event)
}

// read shows the registration (RFC 7592 section 2.1).
func (f *Register) read(ctx context.Context, m *managing) (*endpoint.Answer, error) {
	statement, err := f.Clients.Statement(ctx, m.client.ID)
	if err != nil {
		return nil, oauth.TemporarilyUnavailable().Because("software statement: %w", err)
	}
	return f.answer(m.Request, http.StatusOK, &registration.Admitted{Client: m.client, RegistrationToken: m.presented}, statement)
}

// change replaces the registration (RFC 7592 section 2.2). It is judged as a new one
// would be, by what would be registered then; and again, where the client has been
// changed between being judged and being written.
func (f *Register) change(ctx context.Context, m *managing) (*endpoint.Answer, error) {
	if err := m.client.MayChangeItself(m.Event); err != nil {
		return nil, err
	}
	if err := readRegistration(m.Request, m.proposal); err != nil {
		return nil, err
	}
	for {
		m.proposal.Replaces = m.client
		admitted, statement, err := f.judge(ctx, m.Request, m.proposal)
		switch refusal, _ := errors.AsType[oauth.Error](err); {
		case errors.Is(err, registration.ErrChanged):
			if err := f.readAgain(m); err != nil {
				return nil, err
			}
			continue
		case refusal.Code == oauth.CodeNotFound:
			return nil, notYours().Because("deleted meanwhile")
		case err != nil:
			return nil, err
		}
		if admitted.RegistrationToken == "" {
			admitted.RegistrationToken = m.presented
		}
		return f.answer(m.Request, http.StatusOK, admitted, statement)
	}
}

// readAgain takes the client as it is now: what the caller came with must be good
// still, because an update may have exchanged it.
func (f *Register) readAgain(m *managing) error {
	client, known := f.Clients.Get(m.client.ID)
	if !known || m.presented != "" && !client.CheckRegistrationToken(m.presented, f.Now()) {
		m.Event.Fail("registration access token", "that of the client in the path", "one that another request has exchanged, or ended, meanwhile", "send the registration_access_token of the last answer that had one")
		return notYours().Because("changed meanwhile")
	}
	m.client = client
	return f.checkStanding(m)
}

// remove deletes the registration (RFC 7592 section 2.3), and with it every token
// and session of the client.
func (f *Register) remove(ctx context.Context, m *managing) (*endpoint.Answer, error) {
	err := f.Clients.DeleteItself(ctx, m.client, m.Event)
	if refusal, ok := errors.AsType[oauth.Error](err); ok && refusal.Code == oauth.CodeNotFound {
		return nil, notYours().Because("deleted meanwhile")
	}
	if err != nil {
		return nil, err
	}
	if err := f.Sessions.EndClient(ctx, m.client.ID); err != nil {
		return nil, err
	}
	return &endpoint.Answer{Status: http.StatusNoContent}, nil
}
