package users

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/fapid/fapid/registration"
)

func TestParse(t *testing.T) {
	user, given, err := Parse([]byte(`{
		"schemas": ["` + CoreSchema + `"], "id": "x", "UserName": "alice", "PASSWORD": "secret", "name": {"familyname": "Example"},
		"emails": [{"Value": "a@example.com", "primary": true}, {"value": "b@example.com", "primary": false}],
		"` + strings.ToUpper(EnterpriseSchema) + `": {"department": "d", "manager": {"$REF": "../Users/1"}},
		"accounts": [{"account_id": "1", "balance": "1.00", "transactions": [{"transaction_id": "t", "credit": true}]}],
		"nickName": null, "photos": [], "meta": {"version": "mine"}}`))
	if err != nil {
		t.Fatal(err)
	}
	if given != "x" || user.ID != "" || user.Meta.Version != "" {
		t.Errorf("what the server gives: %q, %q, %+v", given, user.ID, user.Meta)
	}
	if user.UserName != "alice" || string(user.Password) != "secret" || user.Name.FamilyName != "Example" || user.Active != Yes ||
		user.Enterprise.Manager.Ref != "../Users/1" || user.Accounts[0].Transactions[0].Credit != Yes ||
		fmt.Sprint(user.Emails) != "[{a@example.com   1} {b@example.com   2}]" {
		t.Errorf("%+v", user)
	}
	text, err := json.Marshal(user)
	if err != nil || strings.Contains(string(text), `"secret"`) {
		t.Errorf("%s, %v", text, err)
	}
	same, _, err := ParseYAML([]byte("userName: alice\nactive: false\nemails: [{value: a@example.com}]\n"))
	if err != nil || same.UserName != "alice" || same.Active != No || len(same.Emails) != 1 {
		t.Errorf("%+v, %v", same, err)
	}
}

// Nothing is guessed: what cannot be meant is refused by name.
func TestParseRefuses(t *testing.T) {
	for body, want := range map[string]string{
		`[]`:                              "must be a JSON object",
		`null`:                            "must be a JSON object",
		`{"userName":"a"`:                 "not strict JSON",
		`{"userName":"a"}x`:               "not strict JSON",
		`{"userName":"a","userName":"b"}`: "duplicate",
		`{"userName":"a","username":"b"}`: "one attribute",
		`{"userName":"a","emails":[{"value":"x","VALUE":"y"}]}`:            "one attribute",
		`{"userName":"a","schemas":[],"Schemas":[]}`:                       "one attribute",
		`{"userName":"a","emails":[{"value":"x","value":"y"}]}`:            "duplicate",
		`{"userName":"a","":1}`:                                            "is no attribute",
		`{"userName":1}`:                                                   "userName must be a string, not a number",
		`{"userName":"a","active":"true"}`:                                 "active must be true or false without quotes",
		`{"userName":"a","emails":{"value":"x"}}`:                          "emails must be an array, not an object",
		`{"userName":"a","emails":["x"]}`:                                  "emails[0] must be an object, not a string",
		`{"userName":"a","name":"Alice"}`:                                  "name must be an object",
		`{"userName":"a","name":{"given_name":"x"}}`:                       "'name.given_name' is no attribute of a user; did you mean 'givenName'?",
		`{"userName":"a","accounts":[{"account_id":"1","balance":1}]}`:     "accounts[0].balance must be a string",
		"{\"userName\":\"\xff\"}":                                          "UTF-8",
		`{"userName":"a","emails":[` + strings.Repeat(`{},`, 100) + `{}]}`: "101 values",
	} {
		_, _, err := Parse([]byte(body))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v, want %s", body, err, want)
		}
	}
	for _, body := range []string{"a: &x 1\nb: *x", "- 1", "", "userName: a\nuserName: b", "userName: [", strings.Repeat("x", 1<<17)} {
		_, _, err := ParseYAML([]byte(body))
		wantCode(t, err, CodeInvalidSyntax)
	}
}

func TestCheck(t *testing.T) {
	u, _ := opened(t)
	long := strings.Repeat("x", maxText+1)
	for _, refused := range []struct {
		user User
		want string
	}{
		{User{}, "userName is required"},
		{User{UserName: " alice"}, "userName begins"},
		{User{UserName: "al\u200bice"}, "userName has"},
		{User{UserName: "alice\u202e"}, "userName has"},
		{User{UserName: "al\nice"}, "userName has a control"},
		{User{UserName: "al\ufffdice"}, "userName holds U+FFFD"},
		{User{UserName: strings.Repeat("x", maxUserName+1)}, "userName is longer"},
		{User{UserName: "a", Password: "p\x00"}, "password has a control"},
		{User{UserName: "a", Password: registration.Secret(long[:maxPassword+1])}, "password is longer"},
		{User{UserName: "a", Title: long}, "title is longer"},
		{User{UserName: "a", ProfileURL: "javascript:alert(1)"}, "profileUrl is not"},
		{User{UserName: "a", Photos: []Photo{{Value: "data:text/html,x"}}}, "photos[0].value is not"},
		{User{UserName: "a", Emails: []Value{{Value: "a", Primary: Yes}, {Value: "b", Primary: Yes}}}, "emails has 2 primary"},
		{User{UserName: "a", X509Certificates: []Binary{{Value: "no base64"}}}, "x509Certificates[0].value is not"},
		{User{UserName: "a", X509Certificates: []Binary{{Value: strings.Repeat("A", maxBinary+4)}}}, "x509Certificates[0].value is longer"},
		{User{UserName: "a", Accounts: []Account{{ID: "1"}, {ID: "1"}}}, "accounts has"},
		{User{UserName: "a", Accounts: []Account{{}}}, "accounts[0].account_id is required"},
		{User{UserName: "a", Emails: make([]Value, maxValues+1)}, "emails has 101 values"},
		{User{UserName: "a", Emails: slices.Repeat([]Value{{Value: long[1:]}}, 50)}, "the record is longer"},
		{User{UserName: "a", Addresses: []Address{{Country: "G\nB"}}}, "addresses[0].country has a control"},
	} {
		_, err := u.Create(t.Context(), refused.user)
		wantCode(t, err, CodeInvalidValue)
		if err == nil || !strings.Contains(err.Error(), refused.want) {
			t.Errorf("%v, want %s", err, refused.want)
		}
	}
	u.mustCreate(t, User{UserName: "a", Addresses: []Address{{Formatted: "1 Road\r\nTown"}}, ProfileURL: "https://example.com/a"})
}
