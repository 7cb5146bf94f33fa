package users

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
)

func TestParse(t *testing.T) {
	user, err := Parse([]byte(`{
		"schemas": ["`+CoreSchema+`"], "id": "x", "UserName": "alice", "PASSWORD": "secret", "name": {"familyname": "Example"},
		"emails": [{"Value": "a@example.com", "primary": true}, {"value": "b@example.com", "primary": false}],
		"`+strings.ToUpper(EnterpriseSchema)+`": {"department": "d", "manager": {"$REF": "../Users/1"}},
		"accounts": [{"account_id": "1", "balance": "1.00", "transactions": [{"transaction_id": "t", "credit": true}]}],
		"nickName": null, "photos": [], "meta": {"version": "mine"}}`), registration.JSON)
	if err != nil {
		t.Fatal(err)
	}
	if user.ID != "x" || user.Meta.Version != "" {
		t.Errorf("what the server gives: %q, %+v", user.ID, user.Meta)
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
	same, err := Parse([]byte("userName: alice\nactive: false\nemails: [{value: a@example.com}]\n"), registration.YAML)
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
		`{"userName":"a","id":1}`:                                          "id must be a string, not a number",
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
		_, err := Parse([]byte(body), registration.JSON)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v, want %s", body, err, want)
		}
	}
	for _, body := range []string{"a: &x 1\nb: *x", "- 1", "", "userName: a\nuserName: b", "userName: [", strings.Repeat("x", 1<<17)} {
		_, err := Parse([]byte(body), registration.YAML)
		wantCode(t, err, CodeInvalidSyntax)
	}
}

// FuzzParse: what is read and shown is read as the same again.
func FuzzParse(f *testing.F) {
	f.Add([]byte("userName: a\nEmails:\n- {value: x, primary: true}\naccounts: [{account_id: \"1\", transactions: [{credit: false}]}]\n"))
	f.Add([]byte(`{"id":"x","userName":"a","name":{"givenName":"b"},"meta":{"version":"W/\"1\""},"photos":null}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, syntax := range []registration.Syntax{registration.JSON, registration.YAML} {
			user, err := Parse(text, syntax)
			if err != nil {
				continue
			}
			shown, err := json.Marshal(user)
			if err != nil {
				t.Fatal(err)
			}
			again, err := Parse(shown, registration.JSON)
			if err != nil {
				t.Fatalf("%q is shown as %s, which is refused: %v", text, shown, err)
			}
			if same, err := json.Marshal(again); err != nil || string(same) != string(shown) {
				t.Fatalf("%q is shown as %s and then as %s (%v)", text, shown, same, err)
			}
		}
	})
}

// What is wrong is found again in a file of many lines.
func TestParseSaysWhere(t *testing.T) {
	for _, row := range []struct {
		in         registration.Syntax
		text, want string
	}{
		{registration.JSON, "{\n  \"USERNAME\": 1\n}", "line 2, column 3: userName must be a string"},
		{registration.JSON, "{\"userName\": \"a\",\n \"accounts\": [{\"account_id\": \"1\"},\n  {\"balance\": 1}]}", "line 3, column 4: accounts[1].balance must be"},
		{registration.JSON, "{\"userName\": \"a\",\n \"emailz\": []}", "line 2, column 2: 'emailz' is no attribute"},
		{registration.JSON, "{\"userName\": \"a\",\n \"username\": \"b\"}", "line 2, column 2: 'userName' and 'username' are one"},
		{registration.JSON, "{\"userName\": \"a\",\n \"id\": 1}", "line 2, column 2: id must be"},
		{registration.JSON, "{\"userName\": \"a\",\n \"userName\": \"b\"}", "line 2, column 2: the body is not strict JSON"},
		{registration.JSON, "{\"userName\": \"a\",\n ?", "line 2, column 2: the body is not strict JSON"},
		{registration.JSON, "{\"userName\": 1}", "userName must be"},
		{registration.YAML, "userName: a\nemails:\n- value: x\n  Primary: maybe\n", "line 4, column 3: emails[0].primary must be"},
		{registration.YAML, "userName: a\nemailz: []\n", "line 2, column 1: 'emailz' is no attribute"},
		{registration.YAML, "userName: a\nname: &x {}\n", "line 2, column"},
	} {
		_, err := Parse([]byte(row.text), row.in)
		if err == nil || !strings.HasPrefix(oauth.AsError(err).Description, row.want) {
			t.Errorf("%q: %v, want %s", row.text, err, row.want)
		}
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
