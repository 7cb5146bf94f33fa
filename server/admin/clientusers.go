package admin

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/fapid/fapid/server/users"
)

// Users lists all users of a realm.
func (c *Client) Users(ctx context.Context, realm string) (*UserPage, error) {
	base, err := c.realmPath(ctx, realm)
	if err != nil {
		return nil, err
	}
	all := &UserPage{Users: []*users.User{}}
	for after := ""; ; {
		var page UserPage
		if err := c.get(ctx, base+"/users?limit=1000&after="+url.QueryEscape(after), &page); err != nil {
			return nil, err
		}
		all.Users = append(all.Users, page.Users...)
		if after = page.Next; after == "" {
			return all, nil
		}
	}
}

// User reads a user by id or userName, as JSON.
func (c *Client) User(ctx context.Context, realm, name string) ([]byte, error) {
	base, err := c.realmPath(ctx, realm)
	if err != nil {
		return nil, err
	}
	content, _, err := c.call(ctx, http.MethodGet, base+"/users/"+url.PathEscape(name), "application/json", "", nil)
	return content, err
}

// PutUser creates a user or replaces one, written in JSON or YAML. An empty name is
// taken from the record. It returns the record in force, as JSON, and whether the
// user is new.
func (c *Client) PutUser(ctx context.Context, realm, name string, text []byte) ([]byte, bool, error) {
	media, parse := "application/yaml", users.ParseYAML
	if trimmed := bytes.TrimSpace(text); len(trimmed) > 0 && trimmed[0] == '{' {
		media, parse = "application/json", users.Parse
	}
	if name == "" {
		user, _, err := parse(text)
		if err != nil {
			return nil, false, errors.New(explanation(err))
		}
		if name = user.UserName; name == "" {
			return nil, false, errors.New("the record has no userName and none was given")
		}
	}
	base, err := c.realmPath(ctx, realm)
	if err != nil {
		return nil, false, err
	}
	content, status, err := c.call(ctx, http.MethodPut, base+"/users/"+url.PathEscape(name), "application/json", media, text)
	return content, status == http.StatusCreated, err
}

// DeleteUser removes a user by id or userName.
func (c *Client) DeleteUser(ctx context.Context, realm, name string) error {
	base, err := c.realmPath(ctx, realm)
	if err != nil {
		return err
	}
	_, _, err = c.call(ctx, http.MethodDelete, base+"/users/"+url.PathEscape(name), "application/json", "", nil)
	return err
}
