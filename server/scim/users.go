package scim

import (
	"context"
	"encoding/json"
	"mime"
	"net/http"
	"strings"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/server/endpoint"
	"github.com/fapid/fapid/server/users"
)

// list gives a page of the users that a filter selects (RFC 7644 section 3.4.2).
func (p *Provider) list(_ context.Context, r *endpoint.Request) (*endpoint.Answer, error) {
	q, err := fromURL(r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	return p.page(r, q)
}

// search is a list whose parameters are in the body, where no log has them
// (RFC 7644 section 3.4.3).
func (p *Provider) search(_ context.Context, r *endpoint.Request) (*endpoint.Answer, error) {
	body, err := readBody(r)
	if err != nil {
		return nil, err
	}
	q, err := fromBody(body)
	if err != nil {
		return nil, err
	}
	return p.page(r, q)
}

// listing is a list response (RFC 7644 section 3.4.2).
type listing struct {
	Schemas      []string `json:"schemas"`
	TotalResults int      `json:"totalResults"`
	StartIndex   int      `json:"startIndex"`
	ItemsPerPage int      `json:"itemsPerPage"`
	Resources    []any    `json:"Resources"`
}

func newListing(total, start int, resources []any) listing {
	return listing{[]string{"urn:ietf:params:scim:api:messages:2.0:ListResponse"}, total, start, len(resources), resources}
}

func (p *Provider) page(r *endpoint.Request, q *query) (*endpoint.Answer, error) {
	found, total, err := q.run(p.Users)
	if err != nil {
		return nil, err
	}
	page := make([]any, len(found))
	for i, user := range found {
		w := writer{shown: q.shown, base: base(r)}
		if err := w.user(user); err != nil {
			return nil, err
		}
		page[i] = json.RawMessage(w.Bytes())
	}
	return document(newListing(total, q.start, page)), nil
}

// show gives one user, or nothing if the client has it already.
func (p *Provider) show(_ context.Context, r *endpoint.Request) (*endpoint.Answer, error) {
	chosen, err := selectionOf(r)
	if err != nil {
		return nil, err
	}
	user, ok := p.Users.Get(r.Path["id"])
	if !ok {
		return nil, noUser(r)
	}
	if err := checkMatch(r, user); err != nil {
		return nil, err
	}
	if tags := r.Header["If-None-Match"]; tags != nil && names(tags, user.Meta.Version) {
		return &endpoint.Answer{Status: http.StatusNotModified, Header: http.Header{"Etag": {user.Meta.Version}}}, nil
	}
	return answer(r, http.StatusOK, user, chosen)
}

func noUser(r *endpoint.Request) error {
	return oauth.NotFound("there is no user %s", oauth.Clip(r.Path["id"]))
}

// create adds a user (RFC 7644 section 3.3).
func (p *Provider) create(ctx context.Context, r *endpoint.Request) (*endpoint.Answer, error) {
	user, chosen, err := readUser(r)
	if err != nil {
		return nil, err
	}
	kept, err := p.Users.Create(ctx, user)
	if err != nil {
		return nil, err
	}
	return answer(r, http.StatusCreated, kept, chosen)
}

// replace takes over all that a client can set; what the body leaves out is gone,
// except for the password and the accounts at the bank (RFC 7644 section 3.5.1).
func (p *Provider) replace(ctx context.Context, r *endpoint.Request) (*endpoint.Answer, error) {
	user, chosen, err := readUser(r)
	if err != nil {
		return nil, err
	}
	return p.change(ctx, r, chosen, func(into *users.User) error {
		user.Accounts = into.Accounts
		into.Replace(user)
		return nil
	})
}

// patch changes parts of a user, all of them or none (RFC 7644 section 3.5.2).
func (p *Provider) patch(ctx context.Context, r *endpoint.Request) (*endpoint.Answer, error) {
	chosen, err := selectionOf(r)
	if err != nil {
		return nil, err
	}
	body, err := readBody(r)
	if err != nil {
		return nil, err
	}
	operations, err := parsePatch(body)
	if err != nil {
		return nil, err
	}
	return p.change(ctx, r, chosen, func(into *users.User) error {
		for i := range operations {
			if err := operations[i].apply(into); err != nil {
				return err
			}
		}
		return nil
	})
}

// change changes the user of the path if it is of the version that the client
// means.
func (p *Provider) change(ctx context.Context, r *endpoint.Request, chosen *selection, change func(*users.User) error) (*endpoint.Answer, error) {
	kept, err := p.Users.Update(ctx, r.Path["id"], func(user *users.User) error {
		if err := checkVersion(r, user); err != nil {
			return err
		}
		return change(user)
	})
	if err != nil {
		return nil, err
	}
	return answer(r, http.StatusOK, kept, chosen)
}

func (p *Provider) delete(ctx context.Context, r *endpoint.Request) (*endpoint.Answer, error) {
	err := p.Users.Delete(ctx, r.Path["id"], func(user *users.User) error { return checkVersion(r, user) })
	if err != nil {
		return nil, err
	}
	return &endpoint.Answer{Status: http.StatusNoContent}, nil
}

// checkVersion refuses a change of a version that is not the one there is
// (RFC 7644 section 3.14, RFC 9110 section 13.1).
func checkVersion(r *endpoint.Request, user *users.User) error {
	if err := checkMatch(r, user); err != nil {
		return err
	}
	if tags := r.Header["If-None-Match"]; tags != nil && names(tags, user.Meta.Version) {
		return oauth.PreconditionFailed("the user is there, in version %s", user.Meta.Version)
	}
	return nil
}

// checkMatch refuses any other version than the client means.
func checkMatch(r *endpoint.Request, user *users.User) error {
	if tags := r.Header["If-Match"]; tags != nil && !names(tags, user.Meta.Version) {
		return oauth.PreconditionFailed("the user has changed: its version is %s", user.Meta.Version)
	}
	return nil
}

// names reports whether a header names a version. The tags of SCIM are weak, and
// compared as such.
func names(headers []string, version string) bool {
	for _, header := range headers {
		for tag := range strings.SplitSeq(header, ",") {
			tag = strings.TrimSpace(tag)
			if tag == "*" || strings.TrimPrefix(tag, "W/") == strings.TrimPrefix(version, "W/") {
				return true
			}
		}
	}
	return false
}

// answer shows a user, with its address and version.
func answer(r *endpoint.Request, status int, user *users.User, chosen *selection) (*endpoint.Answer, error) {
	w := writer{shown: chosen, base: base(r)}
	if err := w.user(user); err != nil {
		return nil, err
	}
	return &endpoint.Answer{
		Status: status, Body: w.Bytes(), Type: mediaType,
		Header: http.Header{"Etag": {user.Meta.Version}, "Location": {w.base + "/Users/" + user.ID}},
	}, nil
}

// selectionOf reads which attributes the answer shall have.
func selectionOf(r *endpoint.Request) (*selection, error) {
	values, err := parameters(r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	return newSelection(attributeLists(values))
}

// readBody reads a body of SCIM's media type, or of plain JSON.
func readBody(r *endpoint.Request) (string, error) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != mediaType && media != "application/json" {
		return "", oauth.UnsupportedMediaType("Content-Type must be %s or application/json", mediaType)
	}
	return r.ReadBody()
}

// readUser reads a whole user.
func readUser(r *endpoint.Request) (users.User, *selection, error) {
	chosen, err := selectionOf(r)
	if err != nil {
		return users.User{}, nil, err
	}
	body, err := readBody(r)
	if err != nil {
		return users.User{}, nil, err
	}
	object, err := message(body, users.CoreSchema)
	if err != nil {
		return users.User{}, nil, err
	}
	user, err := users.Read(object, users.SCIM)
	return user, chosen, err
}
