package admin

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

// SessionView is a session as it is shown: never with a token in it.
type SessionView struct {
	token.Session
	State token.SessionState `json:"state"`
}

// SessionPage is a page of a realm's sessions, by client and from the newest on.
type SessionPage struct {
	Sessions []SessionView `json:"sessions"`
	// Next is the after of the next page; empty on the last. A page may have less
	// than was asked for, even nothing, while there are more.
	Next string `json:"next,omitempty"`
}

// listSessions lists what was issued: by client, subject, API (audience), time of
// issue (from and to, RFC 3339) and state (live or ended).
func (o *Operator) listSessions(ctx context.Context, r *endpoint.Request) (*endpoint.Answer, error) {
	realm, err := o.realm(r)
	if err != nil {
		return nil, err
	}
	values, err := query(r, "client", "subject", "audience", "from", "to", "state", "after", "limit")
	if err != nil {
		return nil, err
	}
	most, err := limit(values)
	if err != nil {
		return nil, err
	}
	wanted, err := sessionFilter(values)
	if err != nil {
		return nil, err
	}
	sessions, next, err := realm.Sessions.List(ctx, wanted, values.Get("after"), most)
	if errors.Is(err, token.ErrCursor) {
		return nil, oauth.InvalidRequest("after is the next of another page, as it is")
	}
	if err != nil {
		return nil, err
	}
	page := SessionPage{Sessions: []SessionView{}, Next: next}
	for _, session := range sessions {
		page.Sessions = append(page.Sessions, SessionView{session, session.State()})
	}
	return jsonAnswer(http.StatusOK, page)
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

func (o *Operator) showSession(ctx context.Context, r *endpoint.Request) (*endpoint.Answer, error) {
	realm, err := o.realm(r)
	if err != nil {
		return nil, err
	}
	session, err := realm.Sessions.Get(ctx, r.Path["id"])
	if err != nil {
		return nil, sessionProblem(err, r)
	}
	return jsonAnswer(http.StatusOK, SessionView{*session, session.State()})
}

// endSession makes every token of a session dead; ending it again changes nothing.
func (o *Operator) endSession(ctx context.Context, r *endpoint.Request) (*endpoint.Answer, error) {
	realm, err := o.realm(r)
	if err != nil {
		return nil, err
	}
	if err := realm.Sessions.End(ctx, r.Path["id"], token.EndedByOperator); err != nil {
		return nil, sessionProblem(err, r)
	}
	return &endpoint.Answer{Status: http.StatusNoContent}, nil
}

func sessionProblem(err error, r *endpoint.Request) error {
	if errors.Is(err, store.ErrNotFound) {
		return oauth.NotFound("no session %s; it may have expired, or its JWT was not recorded", oauth.Clip(r.Path["id"]))
	}
	return err
}
