package manage

import (
	"context"
	"net/http"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/endpoint"
)

// registrationTokens are the initial access tokens that software registers itself
// with. The text of one is in the answer that makes it, and nowhere else.
var registrationTokens = resource{"registration-tokens", []route{
	{method: http.MethodGet, path: "/registration-tokens", label: "registration_tokens", scope: readScope("registration-tokens"), serve: listRegistrationTokens},
	{method: http.MethodPost, path: "/registration-tokens", label: "registration_tokens", scope: writeScope("registration-tokens"), serve: createRegistrationToken},
	{method: http.MethodGet, path: "/registration-tokens" + itemPath, label: "registration_token", scope: readScope("registration-tokens"), serve: showRegistrationToken},
	{method: http.MethodDelete, path: "/registration-tokens" + itemPath, label: "registration_token", scope: writeScope("registration-tokens"), serve: revokeRegistrationToken},
}}

// initialTokens are those of the realm.
func (c *call) initialTokens() (*registration.InitialTokens, error) {
	if c.realm.InitialTokens == nil {
		return nil, oauth.NotFound("no software registers itself at realm %s: it has no registration", c.realm.Name)
	}
	return c.realm.InitialTokens, nil
}

func listRegistrationTokens(ctx context.Context, c *call) (*endpoint.Answer, error) {
	tokens, err := c.initialTokens()
	if err != nil {
		return nil, err
	}
	page, err := c.realm.Lists.Page(c.Request, "registration-tokens", plainPaging)
	if err != nil {
		return nil, err
	}
	list, err := tokens.List(ctx, page.After, page.Limit+1)
	if err != nil {
		return nil, oauth.TemporarilyUnavailable().Because("initial access tokens: %w", err)
	}
	next := ""
	if len(list) > page.Limit {
		list = list[:page.Limit]
		next = page.Next(list[page.Limit-1].ID)
	}
	shown := make([]any, len(list))
	for i := range list {
		shown[i] = list[i]
	}
	return c.Document(http.StatusOK, plainPage("registration_tokens", shown, next))
}

// createRegistrationToken makes a token. What it gives is judged as if the caller
// registered those who will come with it.
func createRegistrationToken(ctx context.Context, c *call) (*endpoint.Answer, error) {
	tokens, err := c.initialTokens()
	if err != nil {
		return nil, err
	}
	if _, err := c.Query(); err != nil {
		return nil, err
	}
	body, inYAML, err := c.ReadDocument()
	if err != nil {
		return nil, err
	}
	syntax := registration.JSON
	if inYAML {
		syntax = registration.YAML
	}
	allows, err := registration.ParseAllowance(body, syntax)
	if err != nil {
		return nil, err
	}
	if err := c.mayGive(given{policy: tokens.Policy(allows)}); err != nil {
		return nil, err
	}
	made, text, err := tokens.Create(ctx, allows)
	if err != nil {
		return nil, err
	}
	answer, err := c.Document(http.StatusCreated, registration.IssuedToken{Token: text, InitialToken: made})
	if err == nil {
		answer.Header.Set("Location", c.URL.EscapedPath()+"/"+made.ID)
	}
	return answer, err
}

func showRegistrationToken(ctx context.Context, c *call) (*endpoint.Answer, error) {
	tokens, err := c.initialTokens()
	if err != nil {
		return nil, err
	}
	token, err := tokens.Get(ctx, c.Path["id"])
	if err != nil {
		return nil, err
	}
	return c.Document(http.StatusOK, token)
}

// revokeRegistrationToken ends a token at once; who registered with it stays.
func revokeRegistrationToken(ctx context.Context, c *call) (*endpoint.Answer, error) {
	tokens, err := c.initialTokens()
	if err != nil {
		return nil, err
	}
	if _, err := tokens.Get(ctx, c.Path["id"]); err != nil {
		return nil, err
	}
	if err := c.preconditions(unversioned); err != nil {
		return nil, err
	}
	if err := tokens.Delete(ctx, c.Path["id"]); err != nil {
		return nil, err
	}
	return &endpoint.Answer{Status: http.StatusNoContent}, nil
}
