package admin

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"time"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/token"
)

// ClientList are a realm's clients, by client_id.
type ClientList struct {
	Clients []registration.Metadata `json:"clients"`
	// Refused are stored clients that the rules in force do not allow, and why.
	Refused map[string]string `json:"refused,omitempty"`
	// Warnings are what about clients that registered themselves could deceive.
	Warnings map[string][]string `json:"warnings,omitempty"`
}

// Clients lists all clients of a realm.
func (c *Client) Clients(ctx context.Context, realm string) (*ClientList, error) {
	base, err := c.realmPath(ctx, realm)
	if err != nil {
		return nil, err
	}
	all := &ClientList{Clients: []registration.Metadata{}, Warnings: map[string][]string{}}
	return all, c.pages(ctx, base+"/clients", url.Values{}, func(content []byte) (string, error) {
		var page struct {
			ClientList
			Next string `json:"next"`
		}
		err := decodeAnswer(content, &page)
		all.Clients, all.Refused = append(all.Clients, page.Clients...), page.Refused
		maps.Copy(all.Warnings, page.Warnings)
		return page.Next, err
	})
}

// Client reads the registration of one client, in YAML or JSON.
func (c *Client) Client(ctx context.Context, realm, id string, inYAML bool) ([]byte, error) {
	return c.show(ctx, realm, "/clients/"+url.PathEscape(id), inYAML)
}

// PutClient registers a client or replaces its registration, written in JSON or
// YAML. An empty id is taken from the registration. It returns the registration
// in force, as JSON, and whether the client is new.
func (c *Client) PutClient(ctx context.Context, realm, id string, text []byte) ([]byte, bool, error) {
	if id == "" {
		metadata, err := registration.ParseMetadata(text, syntaxOf(text))
		if err != nil {
			return nil, false, errors.New(oauth.AsError(err).Description)
		}
		if id = metadata.ClientID; id == "" {
			return nil, false, errors.New("the registration has no client_id and none was given")
		}
	}
	return c.put(ctx, realm, "/clients/"+url.PathEscape(id), text)
}

// DeleteClient removes a client.
func (c *Client) DeleteClient(ctx context.Context, realm, id string) error {
	return c.remove(ctx, realm, "/clients/"+url.PathEscape(id))
}

// APIList are a realm's protected APIs, by identifier.
type APIList struct {
	APIs []registration.API `json:"apis"`
}

// APIs lists all protected APIs of a realm.
func (c *Client) APIs(ctx context.Context, realm string) (*APIList, error) {
	base, err := c.realmPath(ctx, realm)
	if err != nil {
		return nil, err
	}
	all := &APIList{APIs: []registration.API{}}
	return all, c.pages(ctx, base+"/apis", url.Values{}, func(content []byte) (string, error) {
		var page struct {
			APIList
			Next string `json:"next"`
		}
		err := decodeAnswer(content, &page)
		all.APIs = append(all.APIs, page.APIs...)
		return page.Next, err
	})
}

// API reads the record of one protected API, in YAML or JSON.
func (c *Client) API(ctx context.Context, realm, id string, inYAML bool) ([]byte, error) {
	return c.show(ctx, realm, "/apis/"+url.PathEscape(id), inYAML)
}

// PutAPI writes the record of a protected API, in JSON or YAML. An empty id is
// taken from the record. It returns the record in force, as JSON, and whether it
// is new.
func (c *Client) PutAPI(ctx context.Context, realm, id string, text []byte) ([]byte, bool, error) {
	if id == "" {
		api, err := registration.ParseAPI(text, syntaxOf(text))
		if err != nil {
			return nil, false, errors.New(oauth.AsError(err).Description)
		}
		if id = api.ID; id == "" {
			return nil, false, errors.New("the record has no identifier and none was given")
		}
	}
	return c.put(ctx, realm, "/apis/"+url.PathEscape(id), text)
}

// DeleteAPI removes a protected API.
func (c *Client) DeleteAPI(ctx context.Context, realm, id string) error {
	return c.remove(ctx, realm, "/apis/"+url.PathEscape(id))
}

// SessionList are sessions of a realm, by client and from the newest on.
type SessionList struct {
	Sessions []token.SessionView `json:"sessions"`
}

// Sessions lists all sessions of a realm that the filter selects.
func (c *Client) Sessions(ctx context.Context, realm string, wanted token.Filter) (*SessionList, error) {
	base, err := c.realmPath(ctx, realm)
	if err != nil {
		return nil, err
	}
	parameters := queryOf(map[string]string{
		"client": wanted.Client, "subject": wanted.Subject, "audience": wanted.API,
		"state": string(wanted.State), "from": timeText(wanted.From), "to": timeText(wanted.To),
	})
	all := &SessionList{Sessions: []token.SessionView{}}
	return all, c.pages(ctx, base+"/sessions", parameters, func(content []byte) (string, error) {
		var page struct {
			SessionList
			Next string `json:"next"`
		}
		err := decodeAnswer(content, &page)
		all.Sessions = append(all.Sessions, page.Sessions...)
		return page.Next, err
	})
}

func timeText(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.Format(time.RFC3339)
}

// Session reads a session by its id, or by the jti of any of its access tokens.
func (c *Client) Session(ctx context.Context, realm, id string) (*token.SessionView, error) {
	base, err := c.realmPath(ctx, realm)
	if err != nil {
		return nil, err
	}
	session := &token.SessionView{}
	return session, c.get(ctx, base+"/sessions/"+url.PathEscape(id), session)
}

// EndSession makes every token of a session dead; it is in force when this returns.
func (c *Client) EndSession(ctx context.Context, realm, id string) error {
	return c.remove(ctx, realm, "/sessions/"+url.PathEscape(id))
}

// KeyList are a realm's published signing keys.
type KeyList struct {
	Keys []token.KeyRecord `json:"keys"`
}

// Keys lists the published signing keys of a realm.
func (c *Client) Keys(ctx context.Context, realm string) (*KeyList, error) {
	base, err := c.realmPath(ctx, realm)
	if err != nil {
		return nil, err
	}
	keys := &KeyList{}
	return keys, c.get(ctx, base+"/keys", keys)
}

// RotateKeys makes the next key of an algorithm sign, or of all when alg is
// empty, and lists the keys as they are then.
func (c *Client) RotateKeys(ctx context.Context, realm, alg string) (*KeyList, error) {
	base, err := c.realmPath(ctx, realm)
	if err != nil {
		return nil, err
	}
	path := base + "/keys/rotate"
	if alg != "" {
		path += "?alg=" + url.QueryEscape(alg)
	}
	keys := &KeyList{}
	return keys, c.post(ctx, path, struct{}{}, keys)
}

// show reads a document of a realm as it comes.
func (c *Client) show(ctx context.Context, realm, path string, inYAML bool) ([]byte, error) {
	base, err := c.realmPath(ctx, realm)
	if err != nil {
		return nil, err
	}
	media := jsonType
	if inYAML {
		media = yamlType
	}
	content, _, err := c.call(ctx, http.MethodGet, base+path, media, "", nil)
	return content, err
}

// put writes a document of a realm and returns it as it is then, in JSON, and
// whether it is new.
func (c *Client) put(ctx context.Context, realm, path string, text []byte) ([]byte, bool, error) {
	base, err := c.realmPath(ctx, realm)
	if err != nil {
		return nil, false, err
	}
	media := yamlType
	if syntaxOf(text) == registration.JSON {
		media = jsonType
	}
	content, status, err := c.call(ctx, http.MethodPut, base+path, jsonType, media, text)
	return content, status == http.StatusCreated, err
}

// syntaxOf tells JSON, which begins with a brace here, from YAML.
func syntaxOf(text []byte) registration.Syntax {
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
		return registration.JSON
	}
	return registration.YAML
}

func (c *Client) remove(ctx context.Context, realm, path string) error {
	base, err := c.realmPath(ctx, realm)
	if err != nil {
		return err
	}
	_, _, err = c.call(ctx, http.MethodDelete, base+path, jsonType, "", nil)
	return err
}
