package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/fapid/fapid/server/servertest"
	"github.com/fapid/fapid/server/users"
)

// TestSCIMRefuses: whatever is sent, the answer is a refusal with its reason.
func TestSCIMRefuses(t *testing.T) {
	s := servertest.Start(t, provisioning)
	p := newProvisioner(s, "provisioner", readWrite)
	path, _ := p.create(`{"userName":"alice","externalId":"e-1"}`)
	_, _ = p.create(`{"userName":"bob","externalId":"e-2"}`)
	for _, row := range []struct {
		method, path, body string
		status             int
		scimType           string
	}{
		{http.MethodPost, "/Users", `{"userName":"ALICE"}`, 409, "uniqueness"},
		{http.MethodPost, "/Users", `{"userName":"carol","externalId":"e-1"}`, 409, "uniqueness"},
		{http.MethodPut, path, `{"userName":"Bob"}`, 409, "uniqueness"},
		{http.MethodPatch, path, patch(`{"op":"replace","path":"externalId","value":"e-2"}`), 409, "uniqueness"},
		{http.MethodPost, "/Users", `{}`, 400, "invalidValue"},
		{http.MethodPost, "/Users", `{"userName":""}`, 400, "invalidValue"},
		{http.MethodPost, "/Users", `{"userName":null}`, 400, "invalidValue"},
		{http.MethodPost, "/Users", `{"userName":"carol","userName":"dave"}`, 400, "invalidSyntax"},
		{http.MethodPost, "/Users", `{"userName":"carol","USERNAME":"dave"}`, 400, "invalidSyntax"},
		{http.MethodPost, "/Users", `{"userName":"carol","name":{"givenName":"a","GivenName":"b"}}`, 400, "invalidSyntax"},
		{http.MethodPost, "/Users", `{"schemas":[],"Schemas":[],"userName":"carol"}`, 400, "invalidSyntax"},
		{http.MethodPost, "/Users", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"userName":"carol"}`, 400, "invalidSyntax"},
		{http.MethodPost, "/Users", `{"schemas":"urn:ietf:params:scim:schemas:core:2.0:User","userName":"carol"}`, 400, "invalidSyntax"},
		{http.MethodPost, "/Users", `[{"userName":"carol"}]`, 400, "invalidSyntax"},
		{http.MethodPost, "/Users", `{"userName":"carol"`, 400, "invalidSyntax"},
		{http.MethodPost, "/Users", `{"userName":"carol"} {}`, 400, "invalidSyntax"},
		{http.MethodPost, "/Users", "{\"userName\":\"\xff\"}", 400, "invalidSyntax"},
		{http.MethodPost, "/Users", `{"userName":"\ud800"}`, 400, "invalidValue"},
		{http.MethodPost, "/Users", `{"userName":"carol","active":"true"}`, 400, "invalidValue"},
		{http.MethodPost, "/Users", `{"userName":"carol","emails":"c@example.com"}`, 400, "invalidValue"},
		{http.MethodPost, "/Users", `{"userName":"carol","emails":[{"value":"a","primary":true},{"value":"b","primary":true}]}`, 400, "invalidValue"},
		{http.MethodPost, "/Users", `{"userName":"carol","profileUrl":"javascript:alert(1)"}`, 400, "invalidValue"},
		{http.MethodPost, "/Users", `{"userName":"carol","password":"` + strings.Repeat("x", 257) + `"}`, 400, "invalidValue"},
		{http.MethodPost, "/Users", `{"userName":"` + strings.Repeat("x", 64<<10) + `"}`, 413, ""},
		{http.MethodPost, "/Users", strings.Repeat("[", 60<<10), 400, "invalidSyntax"},
		{http.MethodPost, "/Users?attributes=userName&excludedAttributes=meta", `{"userName":"carol"}`, 400, "invalidSyntax"},
		{http.MethodPatch, path, patch(``), 400, "invalidSyntax"},
		{http.MethodPatch, path, `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"Operations":[{"op":"remove","path":"title"}]}`, 400, "invalidSyntax"},
		{http.MethodPatch, path, patch(`{"op":"replace","path":"active","value":"False"}`), 400, "invalidValue"},
		{http.MethodPatch, path, patch(`{"op":"replace","path":"nothing","value":"x"}`), 400, "invalidPath"},
		{http.MethodPatch, path, patch(`{"op":"replace","path":"emails[type eq \"work\"].value","value":"x"}`), 400, "noTarget"},
		{http.MethodPatch, path, patch(`{"op":"replace","path":"emails[type is \"work\"].value","value":"x"}`), 400, "invalidFilter"},
		{http.MethodPatch, path, patch(`{"op":"remove"}`), 400, "noTarget"},
		{http.MethodPatch, path, patch(`{"op":"replace","path":"id","value":"x"}`), 400, "mutability"},
		{http.MethodPatch, path, patch(`{"op":"remove","path":"userName"}`), 400, "mutability"},
		{http.MethodPatch, path, patch(`{"op":"add","path":"nickName","value":"x"},{"op":"remove","path":"userName"}`), 400, "mutability"},
		{http.MethodGet, "/Users?filter=" + url.QueryEscape(`userName is "x"`), "", 400, "invalidFilter"},
		{http.MethodGet, "/Users?filter=" + url.QueryEscape(`password eq "x"`), "", 400, "invalidFilter"},
		{http.MethodGet, "/Users?filter=" + url.QueryEscape(strings.Repeat("(", 1000)), "", 400, "invalidFilter"},
		{http.MethodGet, "/Users?filter=" + url.QueryEscape(strings.Repeat("title pr and ", 1000)+"title pr"), "", 400, "invalidFilter"},
		{http.MethodGet, "/Users?count=x", "", 400, "invalidValue"},
		{http.MethodGet, "/Users?startIndex=1e3", "", 400, "invalidValue"},
		{http.MethodGet, "/Users?count=1&count=2", "", 400, "invalidSyntax"},
		{http.MethodGet, "/Users?filter=%zz", "", 400, "invalidSyntax"},
		{http.MethodGet, "/Users?sortBy=nothing", "", 400, "invalidPath"},
		{http.MethodGet, "/Users?sortBy=userName&sortOrder=up", "", 400, "invalidValue"},
		{http.MethodPost, "/Users/.search", `{"count":"1"}`, 400, "invalidValue"},
		{http.MethodPost, "/Users/.search", `{"count":1.5}`, 400, "invalidValue"},
		{http.MethodPost, "/Users/.search", `{"attributes":"userName"}`, 400, "invalidValue"},
		{http.MethodPost, "/Users/.search", `{"filter":"userName"}`, 400, "invalidFilter"},
		{http.MethodPost, "/Users/.search", `{"filter":"title pr","Filter":"title pr"}`, 400, "invalidSyntax"},
		{http.MethodPost, "/Users/.search", ``, 415, ""},
		{http.MethodGet, "/Users/" + strings.Repeat("x", 3000), "", 404, ""},
		{http.MethodGet, "/Groups", "", 404, ""},
		{http.MethodGet, "/Schemas/nothing", "", 404, ""},
		{http.MethodGet, "/Schemas?filter=" + url.QueryEscape(`id pr`), "", 403, ""},
		{http.MethodDelete, "/Users", "", 405, ""},
		{http.MethodPost, path, `{"userName":"carol"}`, 405, ""},
		{http.MethodPost, "/Bulk", `{}`, 501, ""},
		{http.MethodGet, "/Me", "", 501, ""},
		{http.MethodPatch, "/Me", `{}`, 501, ""},
		{http.MethodGet, "/Me/x", "", 404, ""},
	} {
		wantProblem(t, fmt.Sprintf("%s %.80s %.80s", row.method, row.path, row.body), p.ask(row.method, row.path, row.body), row.status, row.scimType)
	}
	for _, media := range []string{"text/plain", "application/x-www-form-urlencoded", "application/yaml", "garbage;;"} {
		wantProblem(t, media, p.ask(http.MethodPost, "/Users", `{"userName":"carol"}`, "Content-Type", media), http.StatusUnsupportedMediaType, "")
	}
	if answer := p.ask(http.MethodPost, "/Users", `{"userName":"carol"}`, "Content-Type", "application/json; charset=utf-8"); answer.Status != http.StatusCreated {
		t.Errorf("application/json: %s", answer)
	}
	// Nothing of what was refused has happened.
	if user, _ := s.Users("default").ByUserName("alice"); user.Meta.Version != `W/"1"` || len(s.Users("default").List()) != 3 {
		t.Errorf("%+v", user)
	}
}

// A refusal can be explained, and no secret is in what explains it.
func TestSCIMExplains(t *testing.T) {
	s := servertest.Start(t, provisioning)
	p := newProvisioner(s, "provisioner", readWrite)
	for body, check := range map[string]string{
		`{"userName":"carol","password":"topsecret","active":"yes"}`:         "attribute value",
		`{"userName":"carol","password":["topsecret"]}`:                      "attribute value",
		`{"userName":"carol","password":"topsecret","Password":"topsecret"}`: "request",
		`{"userName":"carol","password":"topsecret\u0000"}`:                  "attribute value",
	} {
		answer := p.ask(http.MethodPost, "/Users", body)
		if answer.Status != http.StatusBadRequest || !strings.Contains(answer.Body, s.Admin+"/traces/"+answer.Header.Get("X-Fapid-Trace")) {
			t.Errorf("%s: %s", body, answer)
		}
		event := s.Explain(answer)
		failed, _ := event.Failed()
		if failed.Name != check || event.ClientID != "provisioner" || event.Endpoint != "scim/Users" {
			t.Errorf("%s: %+v", body, event)
		}
		if whole := fmt.Sprint(event) + answer.Body; strings.Contains(whole, "topsecret") {
			t.Errorf("%s: the secret is in %s", body, whole)
		}
	}
	listed := p.ask(http.MethodGet, "/Users?filter="+url.QueryEscape(`password eq "topsecret" and`), "")
	if event := s.Explain(listed); event.Checks[len(event.Checks)-1].Name != "filter" || strings.Contains(fmt.Sprint(event), "topsecret") {
		t.Errorf("%+v", event)
	}
	if strings.Contains(s.Log.String(), "topsecret") {
		t.Error("the secret is in the log")
	}
}

// What describes the provider is there for everybody, and true.
func TestSCIMDescribesItself(t *testing.T) {
	s := servertest.Start(t, provisioning)
	p := newProvisioner(s, "provisioner", readWrite)
	read := func(path string) map[string]any {
		answer := s.Do(p.HTTP, http.MethodGet, s.Issuer+"/scim/v2"+path, nil, "")
		if answer.Status != http.StatusOK || answer.Header.Get("Content-Type") != "application/scim+json" {
			t.Fatalf("%s: %s", path, answer)
		}
		return answer.JSON
	}
	if config := read("/ServiceProviderConfig"); fmt.Sprint(config["filter"]) != "map[maxResults:200 supported:true]" || fmt.Sprint(config["bulk"]) != "map[maxOperations:0 maxPayloadSize:0 supported:false]" {
		t.Errorf("%v", config)
	}
	for _, list := range []string{"/ResourceTypes", "/Schemas"} {
		for _, one := range read(list)["Resources"].([]any) {
			location := one.(map[string]any)["meta"].(map[string]any)["location"].(string)
			if got := read(strings.TrimPrefix(location, s.Issuer+"/scim/v2")); got["id"] != one.(map[string]any)["id"] {
				t.Errorf("%s is %v", location, got)
			}
		}
	}
	// Every attribute of the schema can be written and is read again, and none else
	// is shown.
	attributes := read("/Schemas/" + users.CoreSchema)["attributes"].([]any)
	record := map[string]any{"schemas": []string{users.CoreSchema}}
	for _, attribute := range attributes {
		a := attribute.(map[string]any)
		record[a["name"].(string)] = example(a)
	}
	body, err := json.Marshal(record)
	if err != nil {
		t.Fatal(err)
	}
	_, created := p.create(string(body))
	for _, own := range []string{"id", "meta"} {
		delete(created.JSON, own)
	}
	delete(record, "password")
	want, _ := json.Marshal(record)
	if got, _ := json.Marshal(created.JSON); string(got) != string(want) || len(record) < 20 {
		t.Errorf("\nwrote %s\nread  %s", want, got)
	}
}

// example is a value of an attribute, by its description.
func example(a map[string]any) any {
	value := map[string]any{"string": "text", "boolean": true, "reference": "https://example.com/x", "binary": "AAAA"}[a["type"].(string)]
	if sub, ok := a["subAttributes"].([]any); ok {
		parts := map[string]any{}
		for _, one := range sub {
			parts[one.(map[string]any)["name"].(string)] = example(one.(map[string]any))
		}
		value = parts
	}
	if a["multiValued"] == true {
		return []any{value}
	}
	return value
}
