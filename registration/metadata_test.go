package registration

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/fapid/fapid/oauth"
)

func TestParseMetadataReadsEveryMember(t *testing.T) {
	text := `{
		"client_id": "c1", "client_id_issued_at": 17, "client_secret": "s",
		"client_name": "N", "client_uri": "https://a.example", "logo_uri": "https://b.example",
		"policy_uri": "https://c.example", "tos_uri": "https://d.example", "contacts": ["x@y.example"], "localized": {"client_name#fr": "N"},
		"token_endpoint_auth_method": "private_key_jwt", "token_endpoint_auth_signing_alg": "PS256",
		"grant_types": ["client_credentials"], "response_types": [ "code" ], "redirect_uris": ["https://e.example/cb"],
		"scope": "accounts", "jwks": { "keys": [] }, "jwks_uri": "https://f.example",
		"tls_client_auth_subject_dn": "CN=x", "tls_client_auth_san_dns": "x", "tls_client_auth_san_uri": "u:x",
		"tls_client_auth_san_ip": "192.0.2.1", "tls_client_auth_san_email": "x@y",
		"tls_client_certificate_bound_access_tokens": true, "dpop_bound_access_tokens": true, "introspection_signed_response_alg": "PS256",
		"introspection_encrypted_response_alg": "x", "introspection_encrypted_response_enc": "x", "use_mtls_endpoint_aliases": true,
		"application_type": "web", "sector_identifier_uri": "https://h.example", "subject_type": "public",
		"id_token_signed_response_alg": "PS256", "id_token_encrypted_response_alg": "x", "id_token_encrypted_response_enc": "x",
		"userinfo_signed_response_alg": "PS256", "userinfo_encrypted_response_alg": "x", "userinfo_encrypted_response_enc": "x",
		"request_object_signing_alg": "PS256", "request_object_encryption_alg": "x", "request_object_encryption_enc": "x",
		"default_max_age": 0, "require_auth_time": true, "default_acr_values": ["a"], "initiate_login_uri": "https://i.example",
		"request_uris": ["https://j.example"], "post_logout_redirect_uris": ["https://e.example/out"],
		"frontchannel_logout_uri": "https://e.example/fc", "frontchannel_logout_session_required": true,
		"backchannel_logout_uri": "https://e.example/bc", "backchannel_logout_session_required": true,
		"require_pushed_authorization_requests": true, "require_signed_request_object": true, "authorization_details_types": ["t"],
		"authorization_signed_response_alg": "PS256", "authorization_encrypted_response_alg": "x", "authorization_encrypted_response_enc": "x",
		"backchannel_token_delivery_mode": "poll", "backchannel_client_notification_endpoint": "https://k.example",
		"backchannel_authentication_request_signing_alg": "PS256", "backchannel_user_code_parameter": true,
		"registered_by": "open", "registration_scope": "accounts", "registration_locked": true, "disabled": true,
		"software_id": "sid", "software_version": "sv", "software_statement_issuer": "directory", "ecosystem": "uk", "webhook_uris": ["https://g.example"],
		"policy": "strict", "access_token_signed_response_alg": "ES256", "access_token_expiration": 300,
		"access_token_format": "opaque", "record_access_tokens": true,
		"refresh_token": true, "refresh_token_expiration": 600, "refresh_token_expiration_from": "last_use", "default_audience": ["api"]
	}`
	m, err := ParseMetadata([]byte(text), JSON)
	if err != nil {
		t.Fatal(err)
	}
	value := reflect.ValueOf(m)
	for i := range value.NumField() {
		if value.Field(i).IsZero() {
			t.Errorf("%s was not read", value.Type().Field(i).Name)
		}
	}
	if m.ClientSecret != "s" || m.AccessTokenExpiration != 300 || m.Contacts[0] != "x@y.example" {
		t.Errorf("read wrongly: %+v", m)
	}
}

func TestParseMetadataRefuses(t *testing.T) {
	many := func(n int) string { return strings.TrimSuffix(strings.Repeat(`"x",`, n), ",") }
	for name, test := range map[string]struct{ text, want string }{
		"empty":               {``, "not a strict JSON object"},
		"array":               {`[]`, "must be a JSON object, not an array"},
		"null":                {`null`, "must be a JSON object, not null"},
		"string":              {`"x"`, "must be a JSON object, not a string"},
		"BOM":                 {"\ufeff{}", "must be a JSON object"},
		"trailing data":       {`{} {}`, "not a strict JSON object"},
		"trailing comma":      {`{"client_id":"x",}`, "not a strict JSON object"},
		"too long":            {`{"client_id":"` + strings.Repeat("x", 64<<10) + `"}`, "longer than 65536 bytes"},
		"duplicate":           {`{"client_id":"x","client_id":"y"}`, "duplicate key 'client_id'"},
		"escaped duplicate":   {`{"client_id":"x","client\u005fid":"y"}`, "duplicate key"},
		"case variant":        {`{"Client_ID":"x"}`, "did you mean 'client_id'?"},
		"unknown":             {`{"flavour":"x"}`, "'flavour' is not a registration member fapid knows"},
		"near miss":           {`{"jwks_url":"x"}`, "did you mean 'jwks_uri'?"},
		"hyphens":             {`{"client-name":"x"}`, "did you mean 'client_name'?"},
		"a translation":       {`{"client_name#fr":"x"}`, "did you mean 'localized'?"},
		"familiar mistake":    {`{"tls_client_auth_dn":"x"}`, "did you mean 'tls_client_auth_subject_dn'?"},
		"unknown, long":       {`{"` + strings.Repeat("x", 9000) + `":1}`, "is not a registration member"},
		"internal field name": {`{"ClientSecret":"x"}`, "is not a registration member"},
		"invalid UTF-8":       {"{\"client_name\":\"a\xffb\"}", "not valid UTF-8"},
		"lone surrogate":      {`{"client_name":"a\ud800b"}`, "client_name holds U+FFFD"},
		"null member":         {`{"client_id":null}`, "client_id must be a string, not null"},
		"number for string":   {`{"client_id":1}`, "client_id must be a string, not a number"},
		"string for array":    {`{"redirect_uris":"https://x"}`, "redirect_uris must be an array of strings, not a string"},
		"null in array":       {`{"redirect_uris":[null]}`, "redirect_uris entry 1 must be a string, not null"},
		"object in array":     {`{"contacts":["a",{}]}`, "contacts entry 2 must be a string, not an object"},
		"null array":          {`{"contacts":null}`, "contacts must be an array of strings, not null"},
		"10,000 entries":      {`{"redirect_uris":[` + many(10000) + `]}`, "redirect_uris has 10000 entries, more than 100"},
		"string for bool":     {`{"tls_client_certificate_bound_access_tokens":"true"}`, "must be true or false, not a string"},
		"null bool":           {`{"tls_client_certificate_bound_access_tokens":null}`, "must be true or false, not null"},
		"string for object":   {`{"jwks":"{}"}`, "jwks must be an object, not a string"},
		"null object":         {`{"jwks":null}`, "jwks must be an object, not null"},
		"float":               {`{"access_token_expiration":3.5}`, "whole number of seconds, not 3.5"},
		"exponent":            {`{"access_token_expiration":1e400}`, "whole number of seconds, not 1e400"},
		"too large a number":  {`{"access_token_expiration":9223372036854775808}`, "whole number of seconds"},
		"string for number":   {`{"access_token_expiration":"300"}`, "whole number of seconds, not a string"},
		"null number":         {`{"access_token_expiration":null}`, "whole number of seconds, not null"},
		"line of a member":    {"{\n  \"client_id\": \"x\",\n  \"flavour\": 1}", "line 3, column 3: 'flavour' is not"},
		"line of a type":      {"{\n\n \"client_id\": 1}", "line 3, column 2: client_id must be a string"},
		"line of a duplicate": {"{\"client_id\": \"x\",\n  \"client_id\": \"y\"}", "line 2, column 3: the registration is not a strict JSON object: duplicate key 'client_id'"},
		"line of rubbish":     {"{\"client_id\":\n  x}", "line 2, column 3: the registration is not a strict JSON object"},
		"deep":                {`{"jwks":` + strings.Repeat(`[`, 30000) + strings.Repeat(`]`, 30000) + `}`, "not a strict JSON object"},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			_, err := ParseMetadata([]byte(test.text), JSON)
			wantRefusal(t, err, oauth.CodeInvalidClientMetadata, test.want)
			if took := time.Since(start); took > 20*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
}

func TestParseMetadataYAML(t *testing.T) {
	m, err := ParseMetadata([]byte(`
# a client
client_id: tpp-tls
client_name: "A: third party"
contacts: [a@x.example, b@x.example]
grant_types:
  - client_credentials
tls_client_certificate_bound_access_tokens: true
access_token_expiration: 300
scope: >-
  accounts
  payments
jwks:
  keys:
    - kty: EC
      kid: "1"
`), YAML)
	if err != nil {
		t.Fatal(err)
	}
	want := Metadata{
		ClientID: "tpp-tls", ClientName: "A: third party",
		Contacts: []string{"a@x.example", "b@x.example"}, GrantTypes: []string{"client_credentials"},
		CertificateBoundTokens: true, AccessTokenExpiration: 300, Scope: "accounts payments",
		JWKS: json.RawMessage(`{"keys":[{"kty":"EC","kid":"1"}]}`),
	}
	if !reflect.DeepEqual(m, want) {
		t.Errorf("read\n%+v, want\n%+v", m, want)
	}
}

func TestParseMetadataYAMLReadsJSON(t *testing.T) {
	m, err := ParseMetadata([]byte(`{"client_id": "x", "contacts": ["a"]}`), YAML)
	if err != nil || m.ClientID != "x" || m.Contacts[0] != "a" {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestParseMetadataYAMLRefuses(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"empty":         {"", "expected one YAML document"},
		"two documents": {"client_id: x\n---\nclient_id: y\n", "expected one YAML document"},
		"list":          {"- client_id\n", "must be a YAML mapping"},
		"syntax":        {"client_id: [x\n", "YAML: ["},
		"unknown":       {"client_id: x\nclient_nam: y\n", "line 2, column 1: 'client_nam' is not a registration member fapid knows; did you mean 'client_name'?"},
		"duplicate":     {"client_id: x\nclient_id: y\n", "already defined"},
		"wrong type":    {"client_name: x\n\nclient_id: 12\n", "line 3, column 1: client_id must be a string, not a number"},
		"yes":           {"tls_client_certificate_bound_access_tokens: yes\n", "must be true or false, not a string"},
		"empty value":   {"client_id:\n", "line 1, column 1: client_id must be a string, not null"},
		"anchor":        {"client_id: &a x\nclient_name: *a\n", "only plain YAML values"},
		"merge":         {"client_id: x\n<<: {client_name: y}\n", "plain member name"},
		"tag":           {"client_id: !!binary eA==\n", "only plain YAML values"},
		"infinity":      {"access_token_expiration: .inf\n", "only plain YAML values"},
		"deep":          {"jwks: " + strings.Repeat("[", 40) + strings.Repeat("]", 40) + "\n", "nested deeper"},
		"a long line":   {strings.Repeat("- ", 9000), "nested deeper"},
		"deep, costly":  {strings.Repeat("[", 19000), "nested deeper"},
		"many":          {strings.Repeat("[", 60000), "more members and values"},
		// A minute for the lexer, each of them.
		"empty lines":           {"client_id: |\n x\n" + strings.Repeat("\n", 60000), "line 103: more than 100 empty lines in a row"},
		"empty lines, folded":   {"client_id: >\n x\n" + strings.Repeat("\n", 60000) + "client_name: x\n", "more than 100 empty lines"},
		"empty lines, CR":       {"client_id: |\n x" + strings.Repeat("\r", 60000), "more than 100 empty lines"},
		"empty lines of spaces": {"client_id: |\n x\n" + strings.Repeat(" \n", 30000), "more than 100 empty lines"},
		"too long":              {"client_id: " + strings.Repeat("x", 64<<10), "longer than 65536 bytes"},
		"long comment":          {"client_id: x\n# " + strings.Repeat("x", 64<<10), "longer than 65536 bytes"},
		"invalid UTF-8":         {"client_name: \"a\xffb\"\n", "not valid UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			_, err := ParseMetadata([]byte(test.text), YAML)
			wantRefusal(t, err, oauth.CodeInvalidClientMetadata, test.want)
			if took := time.Since(start); took > 20*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
}

func TestSecretIsNeverShown(t *testing.T) {
	const secret = "correct horse battery staple"
	m := secretClient(secret)
	client, _, err := newRegistry(t).Put(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	var logged strings.Builder
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("x", "m", m, "s", m.ClientSecret)
	slog.New(slog.NewTextHandler(&logged, nil)).Info("x", "m", m, "s", m.ClientSecret)
	encoded, _ := json.Marshal(m)
	alone, _ := json.Marshal(m.ClientSecret)
	shown := logged.String() + string(encoded) + string(alone) + fmt.Sprint(errors.New(fmt.Sprint(m)))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		shown += fmt.Sprintf(verb, m) + fmt.Sprintf(verb, &m) + fmt.Sprintf(verb, m.ClientSecret) + fmt.Sprintf(verb, *client)
	}
	for _, trace := range []string{secret, fmt.Sprintf("%x", secret), "horse"} {
		if strings.Contains(shown, trace) {
			t.Errorf("the secret shows as %q", trace)
		}
	}
	if strings.Contains(string(encoded), "client_secret\"") {
		t.Errorf("the JSON names the secret: %s", encoded)
	}
}

func FuzzParseMetadata(f *testing.F) {
	f.Add([]byte(`{"client_id":"x","redirect_uris":["https://a.example/cb"],"jwks":{"keys":[]},"access_token_expiration":5}`))
	f.Add([]byte(`{"client_name":"\ud800","tls_client_certificate_bound_access_tokens":true}`))
	f.Add([]byte("client_id: x\ncontacts: [a, b]\njwks:\n  keys:\n  - {kty: EC}\n"))
	f.Add([]byte("{\"clie\\u006et_id\": \"x\" , \"scope\":\"\\u0000\"}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, syntax := range []Syntax{JSON, YAML} {
			m, err := ParseMetadata(data, syntax)
			if err != nil {
				var refusal oauth.Error
				if !errors.As(err, &refusal) || refusal.Code != oauth.CodeInvalidClientMetadata {
					t.Fatalf("refused with %v", err)
				}
				continue
			}
			// What was read can be written and read again as the same.
			encoded, err := json.Marshal(m)
			if err != nil {
				t.Fatalf("%+v cannot be written: %v", m, err)
			}
			again, err := ParseMetadata(encoded, JSON)
			if err != nil {
				t.Fatalf("%s is not read again: %v", encoded, err)
			}
			twice, _ := json.Marshal(again)
			if string(twice) != string(encoded) {
				t.Fatalf("%s became %s", encoded, twice)
			}
		}
	})
}
