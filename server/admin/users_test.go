package admin

import (
	"net/http"
	"strings"
	"testing"
)

const aliceYAML = `
userName: Alice
password: secret
emails: [{value: alice@example.com, primary: true}]
accounts: [{account_id: "1", balance: "1.00"}]
`

func TestUserRoundTrip(t *testing.T) {
	o := newOperated(t)
	c, ctx := o.client(), t.Context()
	text, created, err := c.PutUser(ctx, "", "", []byte(aliceYAML))
	if err != nil || !created || strings.Contains(string(text), "secret") {
		t.Fatalf("created %v, %v: %s", created, err, text)
	}
	alice, _ := o.realm.Users.ByUserName("alice")
	for _, name := range []string{"alice", "ALICE", alice.ID} {
		shown, err := c.User(ctx, "default", name, false)
		if err != nil || string(shown) != string(text) {
			t.Errorf("%s: shown %s, %v", name, shown, err)
		}
		// The same again changes nothing, with the id in it and with the password.
		for _, same := range []string{string(shown), aliceYAML} {
			if again, created, err := c.PutUser(ctx, "", name, []byte(same)); err != nil || created || string(again) != string(text) {
				t.Errorf("%s again: created %v, %v: %s", name, created, err, again)
			}
		}
	}
	if _, ok := o.realm.Users.CheckPassword("alice", "secret"); !ok {
		t.Error("alice cannot log in")
	}
	// A slash is a character like others, and a new user may be named in the path.
	if _, created, err := c.PutUser(ctx, "", "DEFAULT/kim@example.com", []byte(`{}`+" ")); err != nil || !created {
		t.Errorf("created %v, %v", created, err)
	}
	page, err := c.Users(ctx, "")
	if err != nil || len(page.Users) != 2 || page.Users[0].ID != alice.ID {
		t.Errorf("%+v, %v", page, err)
	}
	// By the id, a user gets another name.
	if text, _, err := c.PutUser(ctx, "", alice.ID, []byte("userName: alicia")); err != nil || !strings.Contains(string(text), alice.ID) {
		t.Errorf("%s, %v", text, err)
	}
	if err := c.DeleteUser(ctx, "", "Alicia"); err != nil {
		t.Error(err)
	}
	for _, err := range []error{c.DeleteUser(ctx, "", "alicia"), c.DeleteUser(ctx, "", alice.ID), c.DeleteUser(ctx, "elsewhere", "x")} {
		wantRefusal(t, err, http.StatusNotFound, "not_found")
	}
	_, err = c.User(ctx, "", "alicia", false)
	wantRefusal(t, err, http.StatusNotFound, "not_found")
}

func TestUserListIsPaged(t *testing.T) {
	o := newOperated(t)
	for _, name := range []string{"b", "A", "c"} {
		if _, _, err := o.client().PutUser(t.Context(), "", name, []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	type page struct {
		UserList
		Next string `json:"next"`
	}
	first := decodeBody[page](t, o.request(t, http.MethodGet, "/realms/default/users?limit=2", "").Body)
	second := decodeBody[page](t, o.request(t, http.MethodGet, "/realms/default/users?limit=2&cursor="+first.Next, "").Body)
	if len(first.Users) != 2 || first.Next == "" || len(second.Users) != 1 || second.Users[0].UserName != "c" || second.Next != "" {
		t.Fatalf("%+v, %+v", first, second)
	}
	for _, bad := range []string{"limit=0", "limit=x", "limit=1&limit=2", "filter=x"} {
		wantStatus(t, o.request(t, http.MethodGet, "/realms/default/users?"+bad, ""), http.StatusBadRequest)
	}
}

func TestUserBodyIsChecked(t *testing.T) {
	o := newOperated(t)
	c, ctx := o.client(), t.Context()
	if _, _, err := c.PutUser(ctx, "", "", []byte(aliceYAML)); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name, body string
		status     int
		code       string
	}{
		{"bob", `userName: alice`, 400, "invalid_request"},
		{"bob", `emailz: []`, 400, "invalid_request"},
		{"bob", `id: some-id`, 400, "invalid_request"},
		{"alice", `id: some-id`, 400, "invalid_request"},
		{"bob", `accounts: [{account_id: "1"}]`, 409, "already_exists"},
		{"bob", `- a`, 400, "invalid_request"},
		{"bob", `{"title":"a","title":"b"}`, 400, "invalid_request"},
		{"bob", `{"title":"` + strings.Repeat("x", 1<<17) + `"}`, 413, "request_too_large"},
	} {
		_, _, err := c.PutUser(ctx, "", row.name, []byte(row.body))
		wantRefusal(t, err, row.status, row.code)
	}
	if _, _, err := c.PutUser(ctx, "", "", []byte("title: Dr")); err == nil || !strings.Contains(err.Error(), "no userName") {
		t.Error(err)
	}
	// Changing takes the key, reading does not, and the media type has to be said.
	for _, method := range []string{http.MethodPut, http.MethodDelete} {
		wantStatus(t, o.request(t, method, "/realms/default/users/alice", "{}", "Content-Type", "application/json"), http.StatusUnauthorized)
	}
	wantStatus(t, o.request(t, http.MethodPut, "/realms/default/users/alice", "{}", "Authorization", "Bearer "+operatorKey, "Content-Type", "text/plain"), http.StatusUnsupportedMediaType)
	wantStatus(t, o.request(t, http.MethodGet, "/realms/default/users/alice", ""), http.StatusOK)
}
