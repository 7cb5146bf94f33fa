package directory

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// kinds are the records that come from outside.
var kinds = map[string]func() any{
	"organisation": func() any { return new(Organisation) }, "software": func() any { return new(SoftwareStatement) },
	"server": func() any { return new(AuthorisationServer) }, "api": func() any { return new(APIResource) },
	"claim": func() any { return new(AuthorityClaim) }, "role": func() any { return new(SoftwareRole) }, "revocation": func() any { return new(revocation) },
}

func TestDecodeRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                                "is not a JSON object",
		"[]":                              "is not a JSON object",
		"null":                            "is not a JSON object",
		`{"ClientName":"a"`:               "body",
		`{"ClientName":"a"} {}`:           "body",
		`{"clientName":"a"}`:              "unknown member clientName",
		`{"Mode":"a","Mode":"b"}`:         "Mode",
		`{"ClientName":1}`:                "ClientName must be a string, not a number",
		` {"Locked" : "yes"}`:             "Locked must be true or false, not a string",
		`{"Version":[]}`:                  "Version must be a plain number or a string, not an array",
		`{"RedirectUri":"a"}`:             "RedirectUri must be a list, not a string",
		`{"RedirectUri":["a",1]}`:         "RedirectUri[1] must be a string, not a number",
		`{"SoftwareAuthorityClaims":[1]}`: "SoftwareAuthorityClaims[0] must be an object, not a number",
		`{"SoftwareAuthorityClaims":[{"Role":true}]}`:                                     "SoftwareAuthorityClaims[0].Role must be a string, not a boolean",
		`{"RedirectUri":["` + strings.Repeat("a", maxText+1) + `"]}`:                      "RedirectUri[0] is longer than 2048 bytes",
		`{"RedirectUri":[` + strings.Repeat(`"a",`, maxEntries) + `"a"]}`:                 "RedirectUri has 101 entries, more than 100",
		`{"Description":"a\nb"}`:                                                          "Description holds a control character",
		`{"SoftwareAuthorityClaims":[{"Role":"a","Rolle":"b"}]}`:                          "unknown member SoftwareAuthorityClaims[0].Rolle",
		`{"SoftwareAuthorityClaims":{}}`:                                                  "SoftwareAuthorityClaims must be a list, not an object",
		`{"SoftwareAuthorityClaims":[{"Role":"a","Role":"b"}]}`:                           "SoftwareAuthorityClaims[0]",
		`{"SoftwareAuthorityClaims":[{"Role":"` + strings.Repeat("a", maxText+1) + `"}]}`: "SoftwareAuthorityClaims[0].Role is longer",
		"{\"ClientName\":\"\xff\"}":                                                       "UTF-8",
		`{"ClientName":"\udc00"}`:                                                         "half of a surrogate pair",
	} {
		var s SoftwareStatement
		if err := decode([]byte(text), &s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s: %v, want %s", text, err, want)
		}
	}
	var s SoftwareStatement
	if err := decode([]byte(`{"ClientName":"a","PolicyUri":null,"RedirectUri":null,"Version":null}`), &s); err != nil || s.ClientName != "a" {
		t.Errorf("null is left out: %v", err)
	}
}

func TestVersion(t *testing.T) {
	for text, want := range map[string]string{
		`1`: `1`, `1.1`: `1.1`, `1.10`: `1.10`, `"1.10"`: `1.10`, `"2.2.2"`: `"2.2.2"`, `"v1"`: `"v1"`, `0.5`: `0.5`, `"01"`: `"01"`, `"1."`: `"1."`,
	} {
		var v Version
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Errorf("%s: %v", text, err)
		} else if again, err := json.Marshal(v); err != nil || string(again) != want {
			t.Errorf("%s is %s, want %s (%v)", text, again, want, err)
		}
	}
	for _, text := range []string{`1e5`, `-1`, `[]`, `{}`, `true`} {
		var v Version
		if err := json.Unmarshal([]byte(text), &v); err == nil {
			t.Errorf("%s is version %q", text, v)
		}
	}
}

// The table of references holds together: a claim finds its authority by it.
func TestReferences(t *testing.T) {
	ids, names := map[string]bool{}, map[string]bool{}
	for i := range references {
		row := &references[i]
		if !uuid.MatchString(row.authority.ID) || ids[row.authority.ID] || names[row.name] {
			t.Errorf("%s has an id or a name that is malformed or there twice", row.name)
		}
		ids[row.authority.ID], names[row.name] = true, true
		for _, r := range row.roles {
			found, ok := findRole(row.name, r.name)
			if !ok || found.authority.ID != row.authority.ID {
				t.Errorf("role %s of %s is not found", r.name, row.name)
			}
		}
	}
	for _, row := range keyTypes {
		if (row.profile == "") != (row.subject == nil) || row.use == "" {
			t.Errorf("type %s has a profile without a subject, or no use", row.name)
		}
	}
}

// What a record was decoded from, whatever it was, can be written, and says the
// same when it is read again.
func FuzzDecode(f *testing.F) {
	for _, seed := range []struct{ kind, text string }{
		{"organisation", `{"OrganisationName":"A","CountryOfRegistration":"GB","OrgDomainRoleClaims":[{"AuthorisationDomain":"PSD2","Role":"AISP","Authorisations":[{"MemberState":"GB"}]}]}`},
		{"software", `{"ClientName":"A","Version":1.10,"RedirectUri":["https://a.example/cb"],"Locked":true,"SoftwareAuthorityClaims":[null,{"Role":"AISP"}]}`},
		{"server", `{"CustomerFriendlyName":"A","OpenIDDiscoveryDocument":"https://a.example","ApiResources":[{"ApiFamilyType":"a","ApiVersion":"1","ApiDiscoveryEndpoints":[{"ApiEndpoint":"https://a.example/{x}"}]}]}`},
		{"api", `{"ApiFamilyType":"a","ApiVersion":"1","FamilyComplete":false}`}, {"claim", `{"AuthorisationDomain":"PSD2","Role":"AISP"}`},
		{"role", `{"AuthorisationDomain":"PSD2","Role":"AISP","Status":"Inactive"}`}, {"revocation", `{"RevokeReason":"superseded"}`},
	} {
		f.Add(seed.kind, []byte(seed.text))
	}
	f.Fuzz(func(t *testing.T, kind string, text []byte) {
		make, ok := kinds[kind]
		if !ok {
			return
		}
		record := make()
		if err := decode(text, record); err != nil {
			return
		}
		switch r := record.(type) { // the rules stand what was decoded
		case *Organisation:
			_ = r.check()
		case *SoftwareStatement:
			_ = r.check()
		case *AuthorisationServer:
			_ = r.check()
		case *AuthorityClaim:
			_ = r.check()
		}
		written, err := json.Marshal(record)
		if err != nil {
			t.Fatal(err)
		}
		again := make()
		if err := decode(written, again); err != nil {
			t.Fatalf("%v\n%s", err, written)
		}
		rewritten, err := json.Marshal(again)
		if err != nil || !reflect.DeepEqual(rewritten, written) {
			t.Errorf("%v\n%s\n%s", err, written, rewritten)
		}
	})
}
