package admin

import (
	"context"
	"net/url"

	"github.com/fapid/fapid/registration"
)

// RegistrationTokenList are a realm's initial access tokens, by id, without their
// texts.
type RegistrationTokenList struct {
	RegistrationTokens []registration.InitialToken `json:"registration_tokens"`
}

// RegistrationTokens lists all initial access tokens of a realm.
func (c *Client) RegistrationTokens(ctx context.Context, realm string) (*RegistrationTokenList, error) {
	base, err := c.realmPath(ctx, realm)
	if err != nil {
		return nil, err
	}
	all := &RegistrationTokenList{RegistrationTokens: []registration.InitialToken{}}
	return all, c.pages(ctx, base+"/registration-tokens", url.Values{}, func(content []byte) (string, error) {
		var page struct {
			RegistrationTokenList
			Next string `json:"next"`
		}
		err := decodeAnswer(content, &page)
		all.RegistrationTokens = append(all.RegistrationTokens, page.RegistrationTokens...)
		return page.Next, err
	})
}

// CreateRegistrationToken makes an initial access token; nobody is told its text again.
func (c *Client) CreateRegistrationToken(ctx context.Context, realm string, allows registration.Allowance) (*registration.IssuedToken, error) {
	base, err := c.realmPath(ctx, realm)
	if err != nil {
		return nil, err
	}
	made := &registration.IssuedToken{}
	return made, c.post(ctx, base+"/registration-tokens", allows, made)
}

// RegistrationToken reads an initial access token by its id, in YAML or JSON.
func (c *Client) RegistrationToken(ctx context.Context, realm, id string, inYAML bool) ([]byte, error) {
	return c.show(ctx, realm, "/registration-tokens/"+url.PathEscape(id), inYAML)
}

// RevokeRegistrationToken ends an initial access token; it is in force when this
// returns.
func (c *Client) RevokeRegistrationToken(ctx context.Context, realm, id string) error {
	return c.remove(ctx, realm, "/registration-tokens/"+url.PathEscape(id))
}
