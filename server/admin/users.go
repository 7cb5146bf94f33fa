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
	// Next is the cursor of the next page; empty on the last.
	Next string `json:"next,omitempty"`
}

// userRoutes are what the operator can do with the users of a realm. A user is
// named by id or userName.
func (o *Operator) userRoutes() []Route {
	of := func(serve func(context.Context, *users.Users, *endpoint.Request) (*endpoint.Answer, error)) endpoint.Handler {
		return func(ctx context.Context, r *endpoint.Request) (*endpoint.Answer, error) {
			name := r.Path["realm"]
			at := slices.IndexFunc(o.Realms, func(realm Realm) bool { return realm.Name == name })
			if at < 0 {
				return nil, oauth.NotFound("no realm %s", oauth.Clip(name))
			}
			return serve(ctx, o.Realms[at].Users, r)
		}
	}
	return []Route{
		{http.MethodGet, "/realms/{realm}/users", "users", Read, of(o.listUsers)},
		{http.MethodGet, "/realms/{realm}/users/{id:.+}", "user", Read, of(showUser)},
		{http.MethodPut, "/realms/{realm}/users/{id:.+}", "user", Change, of(putUser)},
		{http.MethodDelete, "/realms/{realm}/users/{id:.+}", "user", Change, of(deleteUser)},
	}
}

func (o *Operator) listUsers(_ context.Context, of *users.Users, r *endpoint.Request) (*endpoint.Answer, error) {
	page, err := o.Lists.Page(r, "users", endpoint.PlainPaging)
	if err != nil {
		return nil, err
	}
	answer := UserPage{Users: of.Page(page.After, page.Limit+1)}
	if len(answer.Users) > page.Limit {
		answer.Users = answer.Users[:page.Limit]
		answer.Next = page.Next(answer.Users[page.Limit-1].UserName)
	}
	return r.Document(http.StatusOK, answer)
}

func showUser(_ context.Context, of *users.Users, r *endpoint.Request) (*endpoint.Answer, error) {
	user, err := userNamed(of, r)
	if err != nil {
		return nil, err
	}
	return r.Document(http.StatusOK, user)
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
		return r.Document(http.StatusOK, kept)
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
	return r.Document(status, kept)
}

func readUser(r *endpoint.Request) (user users.User, given string, err error) {
	body, inYAML, err := r.ReadDocument()
	if err != nil {
		return user, "", err
	}
	if inYAML {
		return users.ParseYAML(body)
	}
	return users.Parse(body)
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
