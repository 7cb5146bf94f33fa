package manage

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/server/endpoint"
	"github.com/fapid/fapid/server/token"
	"github.com/fapid/fapid/store"
)

// sessions are what was issued.
var sessions = resource{"sessions", []route{
	{method: http.MethodGet, path: "/sessions", label: "sessions", scope: readScope("sessions"), serve: listSessions},
	{method: http.MethodDelete, path: "/sessions", label: "sessions", serve: endOwnSession, holder: true},
	{method: http.MethodGet, path: "/sessions" + itemPath, label: "session", scope: readScope("sessions"), serve: showSession},
	{method: http.MethodDelete, path: "/sessions" + itemPath, label: "session", scope: writeScope("sessions"), serve: endSession},
}}

// listSessions lists by client and from the newest on: of a client, subject, API
// (audience), time of issue (from and to, RFC 3339) and state (live or ended). A
// page may have less than was asked for, even nothing, while there are more.
func listSessions(ctx context.Context, c *call) (*endpoint.Answer, error) {
	list, next, err := sessionPage(ctx, c, plainPaging, "client", "subject", "audience", "from", "to", "state")
	if err != nil {
		return nil, err
	}
	shown := make([]any, len(list))
	for i := range list {
		shown[i] = list[i].View()
	}
	return c.Document(http.StatusOK, plainPage("sessions", shown, next))
}

func sessionPage(ctx context.Context, c *call, names endpoint.Paging, filters ...string) ([]token.Session, string, error) {
	page, err := c.realm.Lists.Page(c.Request, "sessions", names, filters...)
	if err != nil {
		return nil, "", err
	}
	wanted, err := sessionFilter(page.Filter)
	if err != nil {
		return nil, "", err
	}
	list, next, err := c.realm.Sessions.List(ctx, wanted, page.After, page.Limit)
	if err != nil {
		return nil, "", oauth.TemporarilyUnavailable().Because("%w", err)
	}
	return list, page.Next(next), nil
}

func sessionFilter(values url.Values) (token.Filter, error) {
	wanted := token.Filter{
		Client: values.Get("client"), Subject: values.Get("subject"), API: values.Get("audience"),
		State: token.SessionState(values.Get("state")),
	}
	if wanted.State != "" && wanted.State != token.Live && wanted.State != token.Ended {
		return wanted, oauth.InvalidRequest("state is %s or %s", token.Live, token.Ended)
	}
	for name, at := range map[string]*time.Time{"from": &wanted.From, "to": &wanted.To} {
		text := values.Get(name)
		if text == "" {
			continue
		}
		parsed, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return wanted, oauth.InvalidRequest("%s is a time such as 2026-01-31T12:00:00Z", name)
		}
		*at = parsed
	}
	return wanted, nil
}

func showSession(ctx context.Context, c *call) (*endpoint.Answer, error) {
	session, err := c.session(ctx)
	if err != nil {
		return nil, err
	}
	return c.Document(http.StatusOK, session.View())
}

// session finds the session of a path, by the jti of any of its access tokens.
func (c *call) session(ctx context.Context) (*token.Session, error) {
	session, err := c.realm.Sessions.Get(ctx, c.Path["id"])
	return session, c.sessionProblem(err)
}

// unversioned stands for the version of a thing that has none: it is there, and no
// entity tag names it.
const unversioned = "."

// endSession makes every token of a session dead; ending it again changes nothing.
func endSession(ctx context.Context, c *call) (*endpoint.Answer, error) {
	by := token.EndedByManager
	if c.operator {
		by = token.EndedByOperator
	}
	session, err := c.session(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.preconditions(unversioned); err != nil {
		return nil, err
	}
	if err := c.sessionProblem(c.realm.Sessions.End(ctx, session.ID, by)); err != nil {
		return nil, err
	}
	return &endpoint.Answer{Status: http.StatusNoContent}, nil
}

func (c *call) sessionProblem(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrNotFound):
		return oauth.NotFound("no session %s; it may have expired, or its JWT was not recorded, and then the token itself can be revoked", oauth.Clip(c.Path["id"]))
	}
	return oauth.TemporarilyUnavailable().Because("session: %w", err)
}

// endOwnSession ends the session of the token that the request came with.
func endOwnSession(ctx context.Context, c *call) (*endpoint.Answer, error) {
	if err := c.preconditions(unversioned); err != nil {
		return nil, err
	}
	if err := c.realm.Sessions.EndOf(ctx, c.Claims, token.EndedByHolder); err != nil {
		return nil, oauth.TemporarilyUnavailable().Because("end a session: %w", err)
	}
	return &endpoint.Answer{Status: http.StatusNoContent}, nil
}
