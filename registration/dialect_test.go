package registration

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// everyFact is a statement that leaves nothing out.
func everyFact() Statement {
	s := Statement{
		IssuedAt: 1_700_000_000, Expires: 1_700_000_600,
		RedirectURIs: []string{"https://tpp.example/cb", "https://tpp.example/cb2"},
		WebhookURIs:  []string{"https://tpp.example/hook"}, Origins: []string{"https://tpp.example"},
		Roles: []StatementRole{{"DADOS", "Open Finance Brasil", "Active"}, {"PAGTO", "Open Finance Brasil", "Inactive"}},
		Authorities: []StatementAuthority{{
			AuthorityID: "687a1c94", AuthorityName: "Banco Central", AuthorityCode: "BCB", Domain: "Open Finance Brasil",
			Role: "DADOS", RegistrationID: "1-DADOS", Status: "Active",
			Authorisations: []StatementAuthorisation{{"BR", "Active"}, {"GB", "Active"}},
		}},
	}
	value := reflect.ValueOf(&s).Elem()
	for i := range value.NumField() {
		if field := value.Field(i); field.Kind() == reflect.String {
			field.SetString(value.Type().Field(i).Name)
		}
	}
	return s
}

// Whatever a dialect writes, it reads back as it was.
func TestDialectsReadWhatTheyWrite(t *testing.T) {
	for _, name := range Dialects() {
		d, _ := FindDialect(name)
		s := everyFact()
		text, err := json.Marshal(d.Claims(&s))
		if err != nil {
			t.Fatal(err)
		}
		read, err := d.Read(text)
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, text)
		}
		again, err := json.Marshal(d.Claims(read))
		if err != nil || string(again) != string(text) {
			t.Errorf("%s: %v\nwritten %s\nread    %s", name, err, text, again)
		}
		for _, fact := range []struct{ what, got, want string }{
			{"issuer", read.Issuer, s.Issuer}, {"software", read.SoftwareID, s.SoftwareID}, {"name", read.ClientName, s.ClientName},
			{"keys", read.JWKSURI, s.JWKSURI}, {"redirect", strings.Join(read.RedirectURIs, " "), strings.Join(s.RedirectURIs, " ")},
		} {
			if fact.got != fact.want {
				t.Errorf("%s: %s is %q, want %q", name, fact.what, fact.got, fact.want)
			}
		}
	}
}

// The claims by which each ecosystem's banks know a statement.
func TestDialectShapes(t *testing.T) {
	for name, want := range map[string]map[string]string{
		"brazil": {
			"software_roles":                          `["DADOS"]`,
			"software_statement_roles":                `[{"role":"DADOS","authorisation_domain":"Open Finance Brasil","status":"Active"},{"role":"PAGTO","authorisation_domain":"Open Finance Brasil","status":"Inactive"}]`,
			"software_jwks_uri":                       `"JWKSURI"`,
			"software_jwks_transport_uri":             `"TransportJWKSURI"`,
			"software_jwks_inactive_uri":              `"InactiveJWKSURI"`,
			"software_jwks_transport_inactive_uri":    `"InactiveTransportJWKSURI"`,
			"org_number":                              `"OrgNumber"`,
			"organisation_competent_authority_claims": `[{"authority_id":"687a1c94","authority_name":"Banco Central","authority_code":"BCB","authorisation_domain":"Open Finance Brasil","authorisation_role":"DADOS","registration_id":"1-DADOS","status":"Active","authorisations":[{"member_state":"BR","status":"Active"},{"member_state":"GB","status":"Active"}]}]`,
			"client_name":                             "",
		},
		"uk": {
			"software_jwks_endpoint":                  `"JWKSURI"`,
			"software_jwks_revoked_endpoint":          `"InactiveJWKSURI"`,
			"software_jwks_uri":                       "",
			"organisation_competent_authority_claims": `{"authority_id":"BCB","registration_id":"1-DADOS","status":"Active","authorisations":[{"member_state":"BR","roles":["DADOS"]},{"member_state":"GB","roles":["DADOS"]}]}`,
		},
		"cdr": {
			"software_roles":       `"data-recipient-software-product"`,
			"redirect_uris":        `["https://tpp.example/cb","https://tpp.example/cb2"]`,
			"recipient_base_uri":   `"ClientURI"`,
			"software_client_name": "",
		},
		"rfc7591": {"client_name": `"ClientName"`, "software_id": `"SoftwareID"`, "org_id": ""},
	} {
		d, ok := FindDialect(name)
		if !ok {
			t.Fatalf("no dialect %s", name)
		}
		s := everyFact()
		claims := d.Claims(&s)
		for claim, value := range want {
			written, there := claims[claim]
			text, err := json.Marshal(written)
			if value == "" && there || value != "" && (err != nil || string(text) != value) {
				t.Errorf("%s: %s is %s (%v)\nwant %s", name, claim, text, err, value)
			}
		}
	}
	if _, ok := FindDialect("atlantis"); ok {
		t.Error("a dialect of nowhere")
	}
}

// Two ecosystems' statements must be told apart by who issued them.
func TestDialectIssuers(t *testing.T) {
	issuers := map[string]string{}
	for _, name := range Dialects() {
		d, _ := FindDialect(name)
		if other, taken := issuers[d.Issuer]; taken {
			t.Errorf("%s and %s have one issuer", name, other)
		}
		issuers[d.Issuer] = name
		if len(d.Algs) == 0 || d.About == "" {
			t.Errorf("%s: %+v", name, d)
		}
		names := map[string]bool{}
		for _, row := range slices.Concat(envelope, d.claims) {
			if names[row.name] {
				t.Errorf("%s has %s twice", name, row.name)
			}
			names[row.name] = true
		}
	}
}

func TestDialectRefuses(t *testing.T) {
	d, _ := FindDialect("brazil")
	for text, want := range map[string]string{
		`[]`:                              "not a JSON object",
		`{"iss":"a","iss":"b"}`:           "not a JSON object with each member once",
		"{\"iss\":\"\xff\"}":              "not valid UTF-8",
		`{"iss":5}`:                       "", // a number stands for its text: versions come so
		`{"software_id":[]}`:              "software_id must be a string, not an array",
		`{"iat":"1"}`:                     "iat must be a whole number of seconds, not a string",
		`{"iat":1e9}`:                     "iat must be a whole number of seconds",
		`{"software_redirect_uris":"a"}`:  "software_redirect_uris must be an array of strings, not a string",
		`{"software_statement_roles":{}}`: "software_statement_roles must be an array of objects, not an object",
		`{"software_statement_roles":[{"role":1}]}`:                 "software_statement_roles is not as it should be",
		`{"organisation_competent_authority_claims":{}}`:            "organisation_competent_authority_claims must be an array of objects, not an object",
		`{"software_roles":[1]}`:                                    "software_roles entry 1 must be a string, not a number",
		`{"software_redirect_uris":["` + "\\ud800" + `"],"x":null}`: "half of a surrogate pair",
	} {
		_, err := d.Read([]byte(text))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	uk, _ := FindDialect("uk")
	if _, err := uk.Read([]byte(`{"organisation_competent_authority_claims":[]}`)); err == nil {
		t.Error("uk takes a list for its object")
	}
}

func FuzzDialectRead(f *testing.F) {
	for _, name := range Dialects() {
		d, _ := FindDialect(name)
		s := everyFact()
		text, err := json.Marshal(d.Claims(&s))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(name, text)
	}
	f.Add("uk", []byte(`{"organisation_competent_authority_claims":{"authority_id":"FCAGBR","registration_id":"1","status":"Withdrawn","authorisations":[{"member_state":"GB","roles":["AISP"]}]}}`))
	f.Add("brazil", []byte(`{"iss":1.5,"software_version":1e400,"software_statement_roles":[null]}`))
	f.Fuzz(func(t *testing.T, name string, text []byte) {
		d, ok := FindDialect(name)
		if !ok {
			return
		}
		s, err := d.Read(text)
		if err != nil {
			return
		}
		// What was read can be written, and says the same then.
		first, err := json.Marshal(d.Claims(s))
		if err != nil {
			t.Fatal(err)
		}
		again, err := d.Read(first)
		if err != nil {
			t.Fatalf("%v\n%s", err, first)
		}
		second, err := json.Marshal(d.Claims(again))
		if err != nil || string(first) != string(second) {
			t.Errorf("%v\n%s\n%s", err, first, second)
		}
	})
}

func TestCheckKey(t *testing.T) {
	good := `{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`
	for key, want := range map[string]bool{
		good: true,
		`{}`: false, `[]`: false, ``: false, `null`: false, good + good: false,
		strings.Replace(good, `"kty"`, `"d":"AA","kty"`, 1):    false,
		strings.Replace(good, `"kty"`, `"use":"SIG","kty"`, 1): false,
	} {
		if err := CheckKey([]byte(key), false); (err == nil) != want {
			t.Errorf("%s: %v", key, err)
		}
	}
}

func TestSoftwareStatementIssuer(t *testing.T) {
	fields := maps.Clone(memberFields)
	if _, ok := fields["software_statement_issuer"]; !ok {
		t.Fatal("no member software_statement_issuer")
	}
	c := &Client{Metadata: Metadata{SoftwareStatementIssuer: DirectoryIssuer}}
	if err := checkSoftware(c); err == nil {
		t.Error("somebody vouches for software without an id")
	}
	c.Metadata.SoftwareID = "1"
	if err := checkSoftware(c); err != nil {
		t.Error(err)
	}
}
