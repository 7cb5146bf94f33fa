package admin

import (
	"context"
	"net/http"
	"slices"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/server/endpoint"
	"github.com/fapid/fapid/server/users"
)

// UserPage is a page of a realm's users, by userName.
type UserPage struct {
	Users []*users.User `json:"users"`
	// Next is the after of the next page; empty on the last.
	Next string `json:"next,omitempty"`
}

// userRoutes are what the operator can do with the users of a realm. A user is
// named by id or userName.
func (o *Operator) userRoutes() []route {
	of := func(serve func(context.Context, *users.Users, *endpoint.Request) (*endpoint.Answer, error)) endpoint.Handler {
		return func(ctx context.Context, r *endpoint.Request) (*endpoint.Answer, error) {
			realm, err := o.realm(r)
			if err != nil {
				return nil, err
			}
			return serve(ctx, realm.Users, r)
		}
	}
	return []route{
		{http.MethodGet, "/realms/{realm}/users", "users", read, of(listUsers)},
		{http.MethodGet, "/realms/{realm}/users/{id:.+}", "user", read, of(showUser)},
		{http.MethodPut, "/realms/{realm}/users/{id:.+}", "user", change, of(putUser)},
		{http.MethodDelete, "/realms/{realm}/users/{id:.+}", "user", change, of(deleteUser)},
	}
}

func listUsers(_ context.Context, of *users.Users, r *endpoint.Request) (*endpoint.Answer, error) {
	values, err := query(r, "after", "limit")
	if err != nil {
		return nil, err
	}
	most, err := limit(values)
	if err != nil {
		return nil, err
	}
	page := UserPage{Users: of.Page(values.Get("after"), most+1)}
	if len(page.Users) > most {
		page.Users = page.Users[:most]
		page.Next = page.Users[most-1].UserName
	}
	return jsonAnswer(http.StatusOK, page)
}

func showUser(_ context.Context, of *users.Users, r *endpoint.Request) (*endpoint.Answer, error) {
	user, err := userNamed(of, r)
	if err != nil {
		return nil, err
	}
	return jsonAnswer(http.StatusOK, user)
}

func userNamed(of *users.Users, r *endpoint.Request) (*users.User, error) {
	if user, ok := of.Named(r.Path["id"]); ok {
		return user, nil
	}
	return nil, oauth.NotFound("no user %s in realm %s", oauth.Clip(r.Path["id"]), oauth.Clip(r.Path["realm"]))
}

// putUser creates the user of a userName or replaces it; one that is named by its
// id is renamed if the body says so. Putting the same again changes nothing.
func putUser(ctx context.Context, of *users.Users, r *endpoint.Request) (*endpoint.Answer, error) {
	user, given, err := readUser(r)
	if err != nil {
		return nil, err
	}
	name := r.Path["id"]
	fits := func(before *users.User) error {
		if given == "" || before != nil && before.ID == given {
			return nil
		}
		return users.InvalidValue("id", "is of another user, or of none any more; leave it out, it is the server's to give")
	}
	if _, byID := of.Get(name); byID {
		kept, err := of.Update(ctx, name, func(into *users.User) error {
			into.Replace(user)
			return fits(into)
		})
		if err != nil {
			return nil, err
		}
		return jsonAnswer(http.StatusOK, kept)
	}
	if user.UserName == "" {
		user.UserName = name
	}
	if users.Fold(user.UserName) != users.Fold(name) {
		return nil, users.InvalidValue("userName", "is another one than that of the path; to rename a user, name it by its id")
	}
	kept, created, err := of.Put(ctx, user, fits)
	if err != nil {
		return nil, err
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
	}
	return jsonAnswer(status, kept)
}

func readUser(r *endpoint.Request) (user users.User, given string, err error) {
	parse := users.Parse
	switch media := contentType(r); {
	case slices.Contains(yamlTypes, media):
		parse = users.ParseYAML
	case media != "application/json":
		return user, "", unsupportedMediaType("application/json or application/yaml")
	}
	body, err := r.ReadBody()
	if err != nil {
		return user, "", err
	}
	return parse([]byte(body))
}

func deleteUser(ctx context.Context, of *users.Users, r *endpoint.Request) (*endpoint.Answer, error) {
	user, err := userNamed(of, r)
	if err != nil {
		return nil, err
	}
	if err := of.Delete(ctx, user.ID, func(*users.User) error { return nil }); err != nil {
		return nil, err
	}
	return &endpoint.Answer{Status: http.StatusNoContent}, nil
}
