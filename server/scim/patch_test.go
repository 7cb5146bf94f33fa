package scim

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/server/users"
)

const before = `{"id":"1","userName":"alice","name":{"familyName":"Example","givenName":"Alice"},"nickName":"Al","active":true,
"emails":[{"value":"a@work.example","type":"work","primary":true},{"value":"a@home.example","type":"home"}],
"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"department":"Sales"}}`

// patched applies operations, given as the array of a patch, to the user above.
func patched(operations string) (users.User, error) {
	var user users.User
	if err := json.Unmarshal([]byte(before), &user); err != nil {
		return user, err
	}
	parsed, err := parsePatch(`{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":` + operations + `}`)
	for i := range parsed {
		if err == nil {
			err = parsed[i].apply(&user)
		}
	}
	return user, err
}

// Each row is a patch and what of the record differs afterwards.
func TestPatch(t *testing.T) {
	for _, row := range []struct{ operations, want string }{
		// Attributes with one value.
		{`[{"op":"add","path":"title","value":"Dr"}]`, `{"title":"Dr"}`},
		{`[{"op":"Replace","path":"nickName","value":"Ally"}]`, `{"nickName":"Ally"}`},
		{`[{"op":"REMOVE","path":"NickName"}]`, `{"nickName":null}`},
		{`[{"op":"remove","path":"nickName","value":""}]`, `{"nickName":null}`},
		{`[{"op":"replace","path":"nickName","value":null}]`, `{"nickName":null}`},
		{`[{"op":"remove","path":"title"}]`, `{}`},
		{`[{"op":"replace","path":"active","value":false}]`, `{"active":false}`},
		{`[{"op":"remove","path":"active"}]`, `{"active":null}`},
		{`[{"OP":"add","Path":"urn:ietf:params:scim:schemas:core:2.0:User:title","VALUE":"Dr","comment":"x"}]`, `{"title":"Dr"}`},
		// Attributes that have attributes: what is not named stays.
		{`[{"op":"replace","path":"name","value":{"givenName":"Ally"}}]`, `{"name":{"familyName":"Example","givenName":"Ally"}}`},
		{`[{"op":"add","path":"name.middleName","value":"M"}]`, `{"name":{"familyName":"Example","givenName":"Alice","middleName":"M"}}`},
		{`[{"op":"remove","path":"name.givenName"}]`, `{"name":{"familyName":"Example"}}`},
		{`[{"op":"remove","path":"name"}]`, `{"name":null}`},
		// Without a path, with names as clients of other servers have them.
		{`[{"op":"add","value":{"nickName":"shaggy"}}]`, `{"nickName":"shaggy"}`},
		{`[{"op":"replace","value":{"id":"1","active":false,"unknown":1}}]`, `{"active":false}`},
		{`[{"op":"replace","path":"","value":{"name.givenName":"Ally","NAME.middleName":"M"}}]`, `{"name":{"familyName":"Example","givenName":"Ally","middleName":"M"}}`},
		{`[{"op":"Add","value":{"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:division":"North"}}]`, `{"` + users.EnterpriseSchema + `":{"department":"Sales","division":"North"}}`},
		{`[{"op":"add","value":{"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"division":"North"}}}]`, `{"` + users.EnterpriseSchema + `":{"department":"Sales","division":"North"}}`},
		{`[{"op":"replace","path":"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value","value":"7"}]`, `{"` + users.EnterpriseSchema + `":{"department":"Sales","manager":{"value":"7"}}}`},
		{`[{"op":"remove","path":"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"}]`, `{"` + users.EnterpriseSchema + `":null}`},
		// Attributes with several values.
		{`[{"op":"add","path":"emails","value":[{"value":"new","type":"other"}]}]`, `{"emails":["W1","H",{"value":"new","type":"other"}]}`},
		{`[{"op":"add","path":"emails","value":{"value":"new"}}]`, `{"emails":["W1","H",{"value":"new"}]}`},
		{`[{"op":"add","path":"emails","value":{"value":"a@home.example","type":"home"}}]`, `{}`},
		{`[{"op":"add","path":"emails","value":[{"value":"new","primary":true}]}]`, `{"emails":["W0","H",{"value":"new","primary":true}]}`},
		{`[{"op":"replace","path":"emails","value":[{"value":"new"}]}]`, `{"emails":[{"value":"new"}]}`},
		{`[{"op":"replace","path":"emails","value":[]}]`, `{"emails":null}`},
		{`[{"op":"remove","path":"emails"}]`, `{"emails":null}`},
		{`[{"op":"add","path":"phoneNumbers","value":[{"value":"1"}]}]`, `{"phoneNumbers":[{"value":"1"}]}`},
		// Some of their values.
		{`[{"op":"replace","path":"emails[type eq \"home\"].value","value":"new"}]`, `{"emails":["W1",{"value":"new","type":"home"}]}`},
		{`[{"op":"Replace","path":"emails[primary eq true].value","value":"new"}]`, `{"emails":[{"value":"new","type":"work","primary":true},"H"]}`},
		{`[{"op":"add","path":"EMAILS[TYPE EQ \"HOME\"].Display","value":"new"}]`, `{"emails":["W1",{"value":"a@home.example","display":"new","type":"home"}]}`},
		{`[{"op":"replace","path":"emails[type eq \"home\"]","value":{"value":"new"}}]`, `{"emails":["W1",{"value":"new"}]}`},
		{`[{"op":"add","path":"emails[type eq \"home\"]","value":{"display":"new"}}]`, `{"emails":["W1",{"value":"a@home.example","display":"new","type":"home"}]}`},
		{`[{"op":"remove","path":"emails[type eq \"home\"]"}]`, `{"emails":["W1"]}`},
		{`[{"op":"remove","path":"emails[type eq \"home\" or primary eq true]"}]`, `{"emails":null}`},
		{`[{"op":"remove","path":"emails[type eq \"work\"].primary"}]`, `{"emails":["W","H"]}`},
		{`[{"op":"replace","path":"emails[type eq \"home\"].primary","value":true}]`, `{"emails":["W0",{"value":"a@home.example","type":"home","primary":true}]}`},
		{`[{"op":"add","path":"emails[type eq \"other\"].value","value":"new"}]`, `{"emails":["W1","H",{"value":"new","type":"other"}]}`},
		{`[{"op":"add","path":"addresses[type eq \"work\" and primary eq true].country","value":"GB"}]`, `{"addresses":[{"country":"GB","type":"work","primary":true}]}`},
		{`[{"op":"remove","path":"emails.display"}]`, `{}`},
		{`[{"op":"replace","path":"emails.type","value":"other"}]`, `{"emails":[{"value":"a@work.example","type":"other","primary":true},{"value":"a@home.example","type":"other"}]}`},
		// One after the other.
		{`[{"op":"remove","path":"emails"},{"op":"add","path":"emails","value":[{"value":"new"}]},{"op":"replace","path":"emails[value eq \"new\"].type","value":"work"}]`, `{"emails":[{"value":"new","type":"work"}]}`},
	} {
		user, err := patched(row.operations)
		if err != nil {
			t.Errorf("%s: %v", row.operations, err)
			continue
		}
		if got, want := canonical(t, user), expected(t, row.want); got != want {
			t.Errorf("%s\ngave %s\nwant %s", row.operations, got, want)
		}
	}
}

// expected is the user above with some members changed; null is none.
func expected(t *testing.T, changes string) string {
	t.Helper()
	changes = strings.NewReplacer(`"W1"`, `{"value":"a@work.example","type":"work","primary":true}`, `"W0"`, `{"value":"a@work.example","type":"work","primary":false}`,
		`"W"`, `{"value":"a@work.example","type":"work"}`, `"H"`, `{"value":"a@home.example","type":"home"}`).Replace(changes)
	var record map[string]json.RawMessage
	for _, text := range []string{before, changes} {
		if err := json.Unmarshal([]byte(text), &record); err != nil {
			t.Fatal(err)
		}
	}
	for name, value := range record {
		if string(value) == "null" {
			delete(record, name)
		}
	}
	return canonical(t, record)
}

func canonical(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	var plain any
	if err := json.Unmarshal(text, &plain); err != nil {
		t.Fatal(err)
	}
	text, _ = json.Marshal(plain)
	return string(text)
}

func TestPatchRefuses(t *testing.T) {
	for operations, code := range map[string]string{
		`null`: users.CodeInvalidSyntax, `{}`: users.CodeInvalidSyntax, `[]`: users.CodeInvalidSyntax, `[1]`: users.CodeInvalidSyntax,
		`[` + strings.Repeat(`{"op":"remove","path":"title"},`, maxOperations) + `{"op":"remove","path":"title"}]`: users.CodeInvalidSyntax,
		`[{"path":"title","value":"x"}]`:                                                          users.CodeInvalidSyntax,
		`[{"op":"move","path":"title","value":"x"}]`:                                              users.CodeInvalidSyntax,
		`[{"op":1,"path":"title","value":"x"}]`:                                                   users.CodeInvalidSyntax,
		`[{"op":"add","path":1,"value":"x"}]`:                                                     users.CodeInvalidSyntax,
		`[{"op":"add","op":"remove","path":"title"}]`:                                             users.CodeInvalidSyntax,
		`[{"op":"add","Op":"remove","path":"title"}]`:                                             users.CodeInvalidSyntax,
		`[{"op":"replace","value":{"nickName":"a","nickname":"b"}}]`:                              users.CodeInvalidSyntax,
		`[{"op":"add","path":"title"}]`:                                                           users.CodeInvalidValue,
		`[{"op":"add","path":"title","value":1}]`:                                                 users.CodeInvalidValue,
		`[{"op":"replace","path":"active","value":"False"}]`:                                      users.CodeInvalidValue,
		`[{"op":"add","path":"name","value":"x"}]`:                                                users.CodeInvalidValue,
		`[{"op":"add","path":"emails","value":"x"}]`:                                              users.CodeInvalidValue,
		`[{"op":"add","path":"emails[type eq \"home\"]","value":"x"}]`:                            users.CodeInvalidValue,
		`[{"op":"add","value":"x"}]`:                                                              users.CodeInvalidValue,
		`[{"op":"add"}]`:                                                                          users.CodeInvalidValue,
		`[{"op":"remove","path":"emails","value":[{"value":"a@home.example"}]}]`:                  users.CodeInvalidValue,
		`[{"op":"remove"}]`:                                                                       codeNoTarget,
		`[{"op":"remove","value":{"title":"x"}}]`:                                                 codeNoTarget,
		`[{"op":"replace","path":"emails[type eq \"other\"].value","value":"x"}]`:                 codeNoTarget,
		`[{"op":"remove","path":"emails[type eq \"other\"]"}]`:                                    codeNoTarget,
		`[{"op":"add","path":"emails[type ne \"work\" and type ne \"home\"].value","value":"x"}]`: codeNoTarget,
		`[{"op":"add","path":"phoneNumbers.value","value":"x"}]`:                                  codeNoTarget,
		`[{"op":"add","path":"nothing","value":"x"}]`:                                             codeInvalidPath,
		`[{"op":"add","path":"accounts","value":[]}]`:                                             codeInvalidPath,
		`[{"op":"add","path":"name.nothing","value":"x"}]`:                                        codeInvalidPath,
		`[{"op":"add","path":"emails[type eq \"home\"].nothing","value":"x"}]`:                    codeInvalidPath,
		`[{"op":"add","path":"emails[type eq \"home\"]value","value":"x"}]`:                       codeInvalidPath,
		`[{"op":"add","path":"emails[type eq \"home\"].value x","value":"x"}]`:                    codeInvalidPath,
		`[{"op":"add","path":"title[value eq \"x\"]","value":"x"}]`:                               codeInvalidPath,
		`[{"op":"add","path":"/title","value":"x"}]`:                                              codeInvalidPath,
		`[{"op":"add","path":"` + strings.Repeat("x", maxFilter) + `.x","value":"x"}]`:            codeInvalidPath,
		`[{"op":"add","path":"emails[type eq]","value":"x"}]`:                                     codeInvalidFilter,
		`[{"op":"add","path":"emails[type eq \"home\"","value":"x"}]`:                             codeInvalidFilter,
		`[{"op":"add","path":"emails[nothing pr]","value":"x"}]`:                                  codeInvalidFilter,
		`[{"op":"replace","path":"id","value":"2"}]`:                                              codeMutability,
		`[{"op":"replace","value":{"id":"2"}}]`:                                                   codeMutability,
		`[{"op":"replace","value":{"id":{"x":1}}}]`:                                               codeMutability,
		`[{"op":"replace","path":"meta.version","value":"2"}]`:                                    codeMutability,
		`[{"op":"remove","path":"userName"}]`:                                                     codeMutability,
		`[{"op":"replace","path":"userName","value":null}]`:                                       codeMutability,
		`[{"op":"remove","path":"password"}]`:                                                     codeMutability,
	} {
		_, err := patched(operations)
		if refusal, ok := errors.AsType[oauth.Error](err); !ok || refusal.Code != code || refusal.Status != 400 {
			t.Errorf("%.90s: %v, want %s", operations, err, code)
		}
	}
}

func FuzzPatch(f *testing.F) {
	for _, operations := range []string{
		`[{"op":"add","path":"emails[type eq \"work\"].value","value":"x"}]`, `[{"op":"replace","value":{"name.givenName":"x","active":false}}]`,
		`[{"op":"remove","path":"emails[primary eq true]"}]`, `[{"op":"add","path":"addresses","value":{"country":"GB","primary":true}}]`,
		`[{"op":"replace","path":"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager","value":{"$ref":"../Users/1"}}]`,
	} {
		f.Add(operations)
	}
	f.Fuzz(func(t *testing.T, operations string) {
		user, err := patched(operations)
		if err != nil {
			if refusal, ok := errors.AsType[oauth.Error](err); !ok || refusal.Status != 400 {
				t.Fatal(err)
			}
			return
		}
		if user.ID != "1" || user.Meta != (users.Meta{}) || user.Accounts != nil {
			t.Errorf("%q changed what only the server may: %+v", operations, user)
		}
	})
}
