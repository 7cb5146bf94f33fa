package admin

import (
	"context"
	"errors"
	"net/url"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/server/users"
)

// UserList are a realm's test users, by userName.
type UserList struct {
	Users []*users.User `json:"users"`
}

// Users lists all users of a realm.
func (c *Client) Users(ctx context.Context, realm string) (*UserList, error) {
	base, err := c.realmPath(ctx, realm)
	if err != nil {
		return nil, err
	}
	all := &UserList{Users: []*users.User{}}
	return all, c.pages(ctx, base+"/users", url.Values{}, func(content []byte) (string, error) {
		var page struct {
			UserList
			Next string `json:"next"`
		}
		err := decodeAnswer(content, &page)
		all.Users = append(all.Users, page.Users...)
		return page.Next, err
	})
}

// User reads a user by id or userName, in YAML or JSON.
func (c *Client) User(ctx context.Context, realm, name string, inYAML bool) ([]byte, error) {
	return c.show(ctx, realm, "/users/"+url.PathEscape(name), inYAML)
}

// PutUser creates a user or replaces one, written in JSON or YAML. An empty name is
// taken from the record. It returns the record in force, as JSON, and whether the
// user is new.
func (c *Client) PutUser(ctx context.Context, realm, name string, text []byte) ([]byte, bool, error) {
	if name == "" {
		user, err := users.Parse(text, syntaxOf(text))
		if err != nil {
			return nil, false, errors.New(oauth.AsError(err).Description)
		}
		if name = user.UserName; name == "" {
			return nil, false, errors.New("the record has no userName and none was given")
		}
	}
	return c.put(ctx, realm, "/users/"+url.PathEscape(name), text)
}

// DeleteUser removes a user by id or userName.
func (c *Client) DeleteUser(ctx context.Context, realm, name string) error {
	return c.remove(ctx, realm, "/users/"+url.PathEscape(name))
}
