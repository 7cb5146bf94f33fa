package admin

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/fapid/fapid/server/token"
)

// Sessions lists all sessions of a realm that the filter selects.
func (c *Client) Sessions(ctx context.Context, realm string, wanted token.Filter) (*SessionPage, error) {
	base, err := c.realmPath(ctx, realm)
	if err != nil {
		return nil, err
	}
	parameters := url.Values{"limit": {"1000"}}
	for name, value := range map[string]string{
		"client": wanted.Client, "subject": wanted.Subject, "audience": wanted.API,
		"state": string(wanted.State), "from": timeText(wanted.From), "to": timeText(wanted.To),
	} {
		if value != "" {
			parameters.Set(name, value)
		}
	}
	all := &SessionPage{Sessions: []SessionView{}}
	for {
		var page SessionPage
		if err := c.get(ctx, base+"/sessions?"+parameters.Encode(), &page); err != nil {
			return nil, err
		}
		all.Sessions = append(all.Sessions, page.Sessions...)
		if page.Next == "" {
			return all, nil
		}
		parameters.Set("after", page.Next)
	}
}

func timeText(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.Format(time.RFC3339)
}

// Session reads a session by its id, or by the jti of any of its access tokens.
func (c *Client) Session(ctx context.Context, realm, id string) (*SessionView, error) {
	base, err := c.realmPath(ctx, realm)
	if err != nil {
		return nil, err
	}
	session := &SessionView{}
	return session, c.get(ctx, base+"/sessions/"+url.PathEscape(id), session)
}

// EndSession makes every token of a session dead; it is in force when this returns.
func (c *Client) EndSession(ctx context.Context, realm, id string) error {
	base, err := c.realmPath(ctx, realm)
	if err != nil {
		return err
	}
	_, _, err = c.call(ctx, http.MethodDelete, base+"/sessions/"+url.PathEscape(id), "application/json", "", nil)
	return err
}
