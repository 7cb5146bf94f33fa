package manage

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/users"
)

// people are the test users of a realm and their accounts at its bank, which SCIM
// does not show. A path names one by id or by userName.
var people = resource{"users", []route{
	{method: http.MethodGet, path: "/users", label: "users", scope: users.ScopeRead, serve: records.list},
	{method: http.MethodGet, path: "/users" + itemPath, label: "user", scope: users.ScopeRead, serve: records.show},
	{method: http.MethodPut, path: "/users" + itemPath, label: "user", scope: users.ScopeWrite, serve: records.put},
	{method: http.MethodDelete, path: "/users" + itemPath, label: "user", scope: users.ScopeWrite, serve: records.remove},
}}

var records = &collection[users.User]{"users", userKind, form[users.User]{
	read: func(text []byte, in registration.Syntax) (users.User, error) {
		user, err := users.Parse(text, in)
		return user, userProblem(err)
	},
	show:  func(user *users.User, _ string) any { return user },
	page:  func(_ *call, shown []any, next string) any { return plainPage("users", shown, next) },
	pages: plainPaging,
}}

var userKind = kind[users.User]{
	name:  "user",
	id:    func(user *users.User) *string { return &user.ID },
	at:    addressUser,
	place: func(user *users.User) string { return user.UserName },
	find: func(realm *Realm, name string) (*users.User, string, error) {
		user, ok := realm.Users.Named(name)
		if !ok {
			return nil, "", noUser(realm, name)
		}
		return user, userVersion(user), nil
	},
	list:   func(realm *Realm, after string, limit int) []*users.User { return realm.Users.Page(after, limit) },
	put:    putUser,
	remove: removeUser,
	// What users may do is up to the APIs, and a password gives nobody more than
	// writing users does.
	gives: func(*Realm, *users.User) given { return given{} },
}

func noUser(realm *Realm, name string) error {
	return oauth.NotFound("no user %s in realm %s", oauth.Clip(name), realm.Name)
}

// userVersion tells one state of a user from another, and from those of somebody
// else who had the name; nil is nobody.
func userVersion(user *users.User) string {
	if user == nil {
		return ""
	}
	return strings.Trim(user.Meta.Version, `W/"`) + "-" + user.ID
}

// userProblem says what is wrong with a user in the words of this API.
func userProblem(err error) error {
	refusal, ok := errors.AsType[oauth.Error](err)
	if !ok {
		return err
	}
	switch refusal.Code {
	case users.CodeInvalidValue, users.CodeInvalidSyntax:
		return oauth.InvalidRequest("%s", refusal.Description)
	case users.CodeUniqueness:
		return oauth.AlreadyExists("%s", refusal.Description)
	}
	return err
}

// addressUser leaves the user an id if it is to be written over the one who has it,
// and none if it is to be the user of its userName, new or not. Who is named by the
// id is renamed if the body says so.
func addressUser(realm *Realm, path string, user *users.User) error {
	if _, byID := realm.Users.Get(path); byID {
		if user.ID != "" && user.ID != path {
			return oauth.InvalidRequest("id is of another user than the path")
		}
		user.ID = path
		return nil
	}
	if user.UserName == "" {
		user.UserName = path
	}
	if users.Fold(user.UserName) != users.Fold(path) {
		return oauth.InvalidRequest("userName is another one than that of the path; to rename a user, name it by its id")
	}
	if there, _ := realm.Users.ByUserName(path); user.ID != "" && (there == nil || there.ID != user.ID) {
		return oauth.InvalidRequest("id is of another user, or of none any more; leave it out, it is the server's to give")
	}
	return nil
}

func putUser(ctx context.Context, realm *Realm, user users.User, judge judge[users.User]) (kept *users.User, version string, created bool, err error) {
	allow := func(before *users.User) error { return judge(userVersion(before), &user) }
	if user.ID == "" {
		kept, created, err = realm.Users.Put(ctx, user, allow)
	} else {
		kept, err = realm.Users.Update(ctx, user.ID, func(into *users.User) error {
			if err := allow(into); err != nil {
				return err
			}
			into.Replace(user)
			return nil
		})
	}
	if err != nil {
		return nil, "", false, userProblem(err)
	}
	return kept, userVersion(kept), created, nil
}

func removeUser(ctx context.Context, realm *Realm, name string, judge registration.Judge) error {
	user, ok := realm.Users.Named(name)
	if !ok {
		return noUser(realm, name)
	}
	return realm.Users.Delete(ctx, user.ID, func(there *users.User) error { return judge(userVersion(there)) })
}
