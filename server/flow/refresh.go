package flow

import (
	"context"
	"errors"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/server/binding"
	"github.com/fapid/fapid/server/token"
)

// Refresh is the refresh token grant (RFC 6749 section 6).
type Refresh struct{ Sessions *token.Sessions }

// Type is the grant_type.
func (Refresh) Type() string { return "refresh_token" }

// Redeem finds what the refresh token was issued for and lets the request narrow
// it. The token is spent later, when everything else about the request is right.
func (g Refresh) Redeem(ctx context.Context, r *Redemption) (token.Authorization, error) {
	presented := r.Form.Get("refresh_token")
	if presented == "" {
		return token.Authorization{}, oauth.InvalidRequest("refresh_token is missing")
	}
	session, err := g.find(ctx, presented, r)
	if err != nil {
		return token.Authorization{}, err
	}
	if err := r.trusted(session); err != nil {
		return token.Authorization{}, err
	}
	confirmation, err := binding.Carry(session.Confirmation, binding.Identity{Subject: session.Refresh.CertificateSubject, Issuer: session.Refresh.CertificateIssuer}, bindingOf(r.Client.Client), r.Client.Certificate, r.Event)
	if err != nil {
		return token.Authorization{}, err
	}
	granted, err := oauth.ParseScope(session.Scope)
	if err != nil {
		return token.Authorization{}, err
	}
	scope, err := r.narrowed(granted, oauth.InvalidScope("a refresh token cannot add scope"), badRefresh("the client may have none of its scope any more"))
	if err != nil {
		return token.Authorization{}, err
	}
	return token.Authorization{
		Subject: session.Subject, Scope: scope, Audience: session.Audience,
		Bind: func(proved *oauth.Confirmation) (*oauth.Confirmation, error) {
			return rebind(proved, confirmation, r.Event)
		},
		Spend: func(ctx context.Context, a *token.Authorization) error {
			again, err := g.Sessions.Spend(ctx, presented, r.Client.Client.Policy.RefreshRotation, a)
			if err == nil {
				r.Event.Pass("refresh token rotation", "", rotation(again, a.RefreshToken == presented))
			}
			return g.judge(ctx, session.ID, err, r.Event)
		},
	}, nil
}

// rotation says what has become of a refresh token.
func rotation(again, kept bool) string {
	switch {
	case kept:
		return "none; the same one stays good"
	case again:
		return "it was exchanged before; its answer may be lost, and the same new one is given again"
	}
	return "exchanged for a new one"
}

// trusted takes a refresh token for the proof of a client that did not authenticate, if
// it is one that whoever has it can use. Where tokens of the session are bound, or those
// of the client have to be, it is bound to the client, too (RFC 9449 section 5), which it
// has not proved to be; and nobody has looked at the certificate that came along.
func (r *Redemption) trusted(session *token.Session) error {
	if !r.Client.Unproven {
		return nil
	}
	client := bindingOf(r.Client.Client)
	if session.Confirmation != nil || client.Certificate || client.DPoP || client.Bound {
		r.Event.Fail("client authentication", client.AuthMethod, "none, and tokens of the session or of the client are bound", "send the client secret")
		return oauth.InvalidClient("the client has to authenticate itself to refresh tokens that are bound").Because("no credentials")
	}
	return nil
}

// rebind keeps the tokens of a session bound to what they were bound to. A session
// whose tokens were bound to a DPoP key goes on with a proof only; a client that
// authenticates may have another key by now (RFC 9449 section 5).
func rebind(proved, carried *oauth.Confirmation, event *oauth.Event) (*oauth.Confirmation, error) {
	if carried == nil {
		return proved, nil
	}
	if proved == nil {
		proved = &oauth.Confirmation{}
	}
	if carried.KeyThumbprint != "" && proved.KeyThumbprint == "" {
		event.Fail("refresh token binding", "a DPoP proof", "none", "send a DPoP proof, as the session began with one")
		return nil, oauth.InvalidGrant("the refresh token is of a session bound by DPoP, and no proof was presented").Because("no DPoP proof")
	}
	if carried.CertificateThumbprint != "" {
		proved.CertificateThumbprint = carried.CertificateThumbprint
	}
	return proved, nil
}

// find looks the session up and makes sure that it is this client's. Somebody
// else's refresh token is refused and nothing happens to it.
func (g Refresh) find(ctx context.Context, presented string, r *Redemption) (*token.Session, error) {
	session, err := g.Sessions.Refresh(ctx, presented)
	client := r.Client.Client
	if session != nil && session.ClientID != client.ID {
		r.Event.Fail("refresh token's client", session.ClientID, client.ID, "a client uses its own refresh tokens only")
		return nil, badRefresh("it was issued to another client")
	}
	if session != nil && session.IssuedAt < client.Metadata.ClientIDIssuedAt {
		r.Event.Fail("refresh token's client", "one registered before the token was issued", client.ID, "begin a new session; the client of this name that had the token was deleted")
		return nil, badRefresh("its client was deleted, and another registered under the name")
	}
	id := ""
	if session != nil {
		id = session.ID
	}
	if err := g.judge(ctx, id, err, r.Event); err != nil {
		return nil, err
	}
	r.Event.Pass("refresh token", client.ID, "session "+session.ID)
	return session, nil
}

// judge makes a refusal of what is wrong with a refresh token, and ends the
// session of one that was used twice (RFC 9700 section 4.14.2).
func (g Refresh) judge(ctx context.Context, session string, err error, event *oauth.Event) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, token.ErrReused):
		if err := g.Sessions.End(ctx, session, token.EndedByReuse); err != nil {
			return oauth.TemporarilyUnavailable().Because("end a session: %w", err)
		}
		event.Fail("refresh token", "the newest refresh token of the session", err.Error(), "the session is ended, because two holders of one token cannot be told apart; begin another")
	case errors.Is(err, token.ErrForeign):
		event.Fail("refresh token", "a refresh token of this server that is good", err.Error(), "use the newest one, or begin a new session")
	default:
		return oauth.TemporarilyUnavailable().Because("refresh token: %w", err)
	}
	return badRefresh("%w", err)
}

// badRefresh is the one public text for every refresh token that is not good.
func badRefresh(format string, args ...any) oauth.Error {
	return oauth.InvalidGrant("the refresh token is not valid").Because(format, args...)
}

// revokeRefresh ends the session of a refresh token (RFC 7009 section 2.1), also
// of one that was exchanged for another.
func (v *Revoke) revokeRefresh(ctx context.Context, presented string) (*token.Claims, error) {
	session, err := v.Issuer.Sessions.Owner(ctx, presented)
	if err != nil {
		return nil, err
	}
	return &session.Claims, nil
}

// introspectRefresh says of a refresh token what its own client may know, and
// nothing to anybody else: no API is ever shown one.
func (i *Introspect) introspectRefresh(ctx context.Context, presented, caller string, event *oauth.Event) (*introspection, error) {
	session, err := i.Issuer.Sessions.Refresh(ctx, presented)
	switch {
	case err != nil && !errors.Is(err, token.ErrForeign) && !errors.Is(err, token.ErrReused):
		return nil, oauth.TemporarilyUnavailable().Because("refresh token: %w", err)
	case session != nil && session.ClientID != caller:
		event.Fail("refresh token's client", session.ClientID, caller, "a client introspects its own refresh tokens only")
		return &introspection{}, nil
	case err != nil:
		event.Fail("refresh token", "a refresh token of this server that is good", err.Error(), "")
		if session == nil {
			return &introspection{}, i.guesses.count(caller, i.Issuer.Now(), event)
		}
		return &introspection{}, nil
	}
	event.Pass("refresh token", caller, "session "+session.ID)
	return &introspection{
		Active: true, Scope: session.Scope, ClientID: session.ClientID, Subject: session.Subject,
		Audience: session.Audience, Issuer: session.Issuer, IssuedAt: session.IssuedAt, Expires: session.Refresh.Expires,
	}, nil
}
