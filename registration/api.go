package registration

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/store"
)

// API is a protected API (a resource server): what tokens can be meant for, and
// who may have them.
type API struct {
	// ID is the API's identifier, the aud of its tokens: a URL or a name.
	ID   string `json:"identifier"`
	Name string `json:"name,omitempty"`
	// Scopes of the API; empty means that it looks at no scope.
	Scopes []string `json:"scopes,omitempty"`
	// Roles that the API knows.
	Roles []string `json:"roles,omitempty"`
	// Clients may have tokens for the API, with what each may do. The client
	// "*" stands for every client that is not named.
	Clients map[string]Access `json:"clients"`
	// Client is the API's own client: it may introspect tokens for the API.
	Client string `json:"client_id,omitempty"`
	// AccessTokenExpiration is the longest life of its tokens in seconds; 0 is
	// the client's.
	AccessTokenExpiration int64 `json:"access_token_expiration,omitempty"`
	// AccessTokenFormat of its tokens, "jwt" or "opaque"; empty is the client's.
	AccessTokenFormat string `json:"access_token_format,omitempty"`
	// Policies a client must be under; empty means any.
	Policies []string `json:"policies,omitempty"`
}

// Access is what a client may do at an API.
type Access struct {
	// Scopes of the API; empty means all of them.
	Scopes []string `json:"scopes,omitempty"`
	// Roles that the API gave the client.
	Roles []string `json:"roles,omitempty"`
	// Exchange are the clients whose tokens and assertions the client may exchange
	// for tokens of the API (RFC 8693, RFC 7523 section 2.1), and so act for them
	// or their users there. "*" stands for every client; none is the default.
	Exchange []string `json:"exchange,omitempty"`
}

// MayExchange reports whether the client may exchange what is from another, or
// from itself, for tokens of the API.
func (a *Access) MayExchange(from string) bool {
	return slices.Contains(a.Exchange, from) || slices.Contains(a.Exchange, AnyClient)
}

// LetsExchange reports whether the API lets any client exchange anything.
func (a *API) LetsExchange() bool {
	for _, access := range a.Clients {
		if len(access.Exchange) > 0 {
			return true
		}
	}
	return false
}

// AnyClient stands for every client in [API.Clients] and [Access.Exchange].
const AnyClient = "*"

// Limits of an API's record: far above what APIs have.
const (
	maxAPIText    = 512
	maxAPIEntries = 1000
)

// check refuses a record that could not be meant.
func (a *API) check() error {
	if !visible(a.ID) || a.ID == "" || len(a.ID) > maxAPIText || strings.ContainsAny(a.ID, " \t") {
		return invalid("identifier", "is 1 to %d visible characters without spaces", maxAPIText)
	}
	if err := checkText(a.Name); err != nil {
		return invalid("name", "%s", err.Error())
	}
	if len(a.Clients) > maxAPIEntries || len(a.Scopes) > maxAPIEntries || len(a.Roles) > maxAPIEntries {
		return invalid("clients", "at most %d clients, scopes and roles", maxAPIEntries)
	}
	for _, scope := range a.Scopes {
		if parsed, err := oauth.ParseScope(scope); err != nil || len(parsed) != 1 {
			return invalid("scopes", "%s is not a scope", quote(scope))
		}
	}
	for _, role := range a.Roles {
		if role == "" || !visible(role) || len(role) > maxAPIText {
			return invalid("roles", "%s is not a role", quote(role))
		}
	}
	for id, access := range a.Clients {
		if id == "" || !visible(id) || len(id) > maxIDBytes {
			return invalid("clients", "%s is not the id of a client", quote(id))
		}
		for _, scope := range access.Scopes {
			if !slices.Contains(a.Scopes, scope) {
				return invalid("clients", "%s has scope %s, which the API does not have", quote(id), quote(scope))
			}
		}
		for _, role := range access.Roles {
			if !slices.Contains(a.Roles, role) {
				return invalid("clients", "%s has role %s, which the API does not have", quote(id), quote(role))
			}
		}
		if len(access.Exchange) > maxAPIEntries {
			return invalid("clients", "%s may exchange the tokens of at most %d clients", quote(id), maxAPIEntries)
		}
		for _, from := range access.Exchange {
			if from == "" || !visible(from) || len(from) > maxIDBytes {
				return invalid("clients", "%s may exchange the tokens of %s, which is not a client_id", quote(id), quote(from))
			}
		}
	}
	if a.AccessTokenExpiration < 0 {
		return invalid("access_token_expiration", "is a number of seconds")
	}
	_, err := tokenFormat(a.AccessTokenFormat)
	return err
}

// Takes reports whether clients under the policy may call the API at all.
func (a *API) Takes(policy *oauth.Policy) bool {
	return len(a.Policies) == 0 || slices.Contains(a.Policies, policy.Name)
}

// Grants returns what the API lets a client do; false means nothing at all.
func (a *API) Grants(client *Client) (Access, bool) {
	if !a.Takes(client.Policy) {
		return Access{}, false
	}
	access, ok := a.Clients[client.ID]
	if !ok {
		access, ok = a.Clients[AnyClient]
	}
	if ok && len(access.Scopes) == 0 {
		access.Scopes = a.Scopes
	}
	return access, ok
}

// Limit is the longest life of a token for the API, given the client's.
func (a *API) Limit(lifetime time.Duration) time.Duration {
	if own := time.Duration(a.AccessTokenExpiration) * time.Second; own > 0 {
		return min(own, lifetime)
	}
	return lifetime
}

// clone shares no memory that a caller could change.
func (a *API) clone() *API {
	c := *a
	c.Scopes, c.Roles, c.Policies = slices.Clone(a.Scopes), slices.Clone(a.Roles), slices.Clone(a.Policies)
	c.Clients = make(map[string]Access, len(a.Clients))
	for id, access := range a.Clients {
		c.Clients[id] = Access{Scopes: slices.Clone(access.Scopes), Roles: slices.Clone(access.Roles), Exchange: slices.Clone(access.Exchange)}
	}
	return &c
}

// Version tells one state of the record from another.
func (a *API) Version() string { return versionOf(a) }

// ParseAPI reads the record of an API as [Decode] does; every error is an
// invalid_request.
func ParseAPI(data []byte, in Syntax) (API, error) {
	var api API
	if err := Decode("API", data, in, &api); err != nil {
		return API{}, oauth.InvalidRequest("%s", err.Error())
	}
	return *api.clone(), nil
}

// APIs are the protected APIs of a realm, served from memory. They are safe for
// concurrent use.
type APIs struct{ catalog[API] }

// OpenAPIs reads the APIs of a realm into memory.
func OpenAPIs(ctx context.Context, realm string, in store.Store, now func() time.Time) (*APIs, error) {
	a := &APIs{catalog[API]{kind: "API", table: store.Table[API]{Store: in, Name: realm + "/api", Now: now}}}
	return a, a.open(ctx)
}

// LetExchange reports whether some API lets a client exchange anything, by its name;
// what every client may is not looked at.
func (a *APIs) LetExchange(client string) bool {
	a.mu.RLock()
	defer a.mu.RUnlock()
	for _, api := range a.byID {
		if len(api.Clients[client].Exchange) > 0 {
			return true
		}
	}
	return false
}

// Put writes an API, replacing what was there; created tells the two apart. It is
// on disk before a token can be meant for it. Refusals are invalid_request.
func (a *APIs) Put(ctx context.Context, api API) (created bool, err error) {
	_, created, err = a.PutIf(ctx, api, nil)
	return created, err
}

// PutIf is Put where the judge has nothing against it, and returns what is kept.
func (a *APIs) PutIf(ctx context.Context, api API, judge Judge) (kept *API, created bool, err error) {
	if err := api.check(); err != nil {
		return nil, false, oauth.InvalidRequest("%s", oauth.AsError(err).Description)
	}
	kept = api.clone()
	created, err = a.put(ctx, kept.ID, kept, judge)
	return kept, created, err
}
