package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/fapid/fapid/certs"
	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server"
	"github.com/fapid/fapid/server/admin"
	"github.com/fapid/fapid/server/manage"
	"github.com/fapid/fapid/server/servertest"
	"github.com/fapid/fapid/server/token"
)

// described is an OpenAPI document as a server gives it.
type described struct {
	t        testing.TB
	document map[string]any
	schemas  *jsonschema.Compiler
}

// readDescription reads a description in both its forms, which must be the same.
func readDescription(t testing.TB, get func(name string) servertest.Answer) *described {
	t.Helper()
	asJSON, asYAML := get("openapi.json"), get("openapi.yaml")
	if asJSON.JSON["openapi"] != "3.1.0" || asYAML.Header.Get("Content-Type") != "application/yaml" {
		t.Fatalf("%s, %v", asJSON, asYAML.Header)
	}
	converted, err := yaml.YAMLToJSON([]byte(asYAML.Body))
	if err != nil {
		t.Fatal(err)
	}
	var fromYAML map[string]any
	if err := json.Unmarshal(converted, &fromYAML); err != nil || fmt.Sprint(fromYAML) != fmt.Sprint(asJSON.JSON) {
		t.Errorf("the two forms differ (%v)", err)
	}
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(asJSON.Body))
	if err != nil {
		t.Fatal(err)
	}
	d := &described{t, asJSON.JSON, jsonschema.NewCompiler()}
	d.schemas.AssertFormat()
	if err := d.schemas.AddResource("openapi.json", document); err != nil {
		t.Fatal(err)
	}
	return d
}

// operations are the methods and paths that are described, with their scopes.
func (d *described) operations() map[string]string {
	all := map[string]string{}
	for path, item := range d.document["paths"].(map[string]any) {
		for method, operation := range item.(map[string]any) {
			if method == "parameters" {
				continue
			}
			scope := "-"
			for _, scheme := range operation.(map[string]any)["security"].([]any) {
				if scopes, ok := scheme.(map[string]any)["token"].([]any); ok {
					scope = strings.Trim(fmt.Sprint(scopes), "[]")
				}
			}
			all[strings.ToUpper(method)+" "+path] = scope
		}
	}
	return all
}

// wellFormed checks what a reader of any OpenAPI document relies on: references
// lead somewhere, every schema compiles, ids are unique, every variable of a path
// is a parameter, and every operation says what it is and what comes back.
func (d *described) wellFormed() {
	d.t.Helper()
	var walk func(at string, value any)
	walk = func(at string, value any) {
		switch value := value.(type) {
		case map[string]any:
			if ref, ok := value["$ref"].(string); ok && d.resolve(ref) == nil {
				d.t.Errorf("%s: %s leads nowhere", at, ref)
			}
			for name, member := range value {
				walk(at+"/"+strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1"), member)
			}
		case []any:
			for i, entry := range value {
				walk(fmt.Sprintf("%s/%d", at, i), entry)
			}
		}
	}
	walk("#", map[string]any(d.document))
	for name := range d.document["components"].(map[string]any)["schemas"].(map[string]any) {
		if _, err := d.schemas.Compile("openapi.json#/components/schemas/" + name); err != nil {
			d.t.Errorf("schema %s: %v", name, err)
		}
	}
	ids := map[any]bool{}
	for path, item := range d.document["paths"].(map[string]any) {
		item := item.(map[string]any)
		for method, operation := range item {
			operation, ok := operation.(map[string]any)
			if !ok {
				continue
			}
			if id := operation["operationId"]; id == nil || ids[id] || operation["summary"] == nil || len(operation["responses"].(map[string]any)) == 0 {
				d.t.Errorf("%s %s: operationId %v is missing or not unique, or there is no summary or response", method, path, id)
			}
			ids[operation["operationId"]] = true
			own, _ := operation["parameters"].([]any)
			shared, _ := item["parameters"].([]any)
			declared := map[string]bool{}
			for _, parameter := range slices.Concat(own, shared) {
				parameter := parameter.(map[string]any)
				if ref, ok := parameter["$ref"].(string); ok {
					parameter = d.resolve(ref).(map[string]any)
				}
				if parameter["in"] == "path" {
					declared[parameter["name"].(string)] = true
				}
			}
			if got := strings.Count(path, "{"); got != len(declared) {
				d.t.Errorf("%s %s: %d variables, parameters %v", method, path, got, declared)
			}
		}
	}
}

// resolve finds what a reference within the document leads to, nil if nothing.
func (d *described) resolve(ref string) any {
	var at any = d.document
	for _, name := range strings.Split(strings.TrimPrefix(ref, "#/"), "/") {
		members, ok := at.(map[string]any)
		if !ok {
			return nil
		}
		at = members[strings.ReplaceAll(strings.ReplaceAll(name, "~1", "/"), "~0", "~")]
	}
	return at
}

// conforms holds a real answer against what is described of it.
func (d *described) conforms(method, path string, answer servertest.Answer) {
	d.t.Helper()
	operation, _ := d.resolve("#/paths/" + strings.ReplaceAll(path, "/", "~1") + "/" + strings.ToLower(method)).(map[string]any)
	if operation == nil {
		d.t.Errorf("%s %s is not described", method, path)
		return
	}
	responses := operation["responses"].(map[string]any)
	response, ok := responses[fmt.Sprint(answer.Status)].(map[string]any)
	if !ok && answer.Status >= 400 {
		response, ok = responses["default"].(map[string]any)
	}
	if !ok {
		d.t.Errorf("%s %s: %d is not described", method, path, answer.Status)
		return
	}
	at := "#/paths/" + strings.ReplaceAll(path, "/", "~1") + "/" + strings.ToLower(method) + "/responses/" + fmt.Sprint(answer.Status)
	if ref, ok := response["$ref"].(string); ok {
		at, response = ref, d.resolve(ref).(map[string]any)
	}
	content, _ := response["content"].(map[string]any)
	if len(content) == 0 {
		if answer.Body != "" {
			d.t.Errorf("%s %s: a body that is not described: %s", method, path, answer)
		}
		return
	}
	media, _, _ := strings.Cut(answer.Header.Get("Content-Type"), ";")
	described, ok := content[media].(map[string]any)
	if !ok {
		d.t.Errorf("%s %s: %s is not described", method, path, media)
		return
	}
	if described["schema"] == nil {
		return
	}
	schema, err := d.schemas.Compile("openapi.json" + at + "/content/" + strings.ReplaceAll(media, "/", "~1") + "/schema")
	if err != nil {
		d.t.Fatal(err)
	}
	body := []byte(answer.Body)
	if strings.HasSuffix(media, "yaml") {
		if body, err = yaml.YAMLToJSON(body); err != nil {
			d.t.Fatal(err)
		}
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	if err := schema.Validate(value); err != nil {
		d.t.Errorf("%s %s: %v\n%s", method, path, err, body)
	}
	for name := range mapOf(response["headers"]) {
		if answer.Header.Get(name) == "" && (name != "Location" || method == "POST") {
			d.t.Errorf("%s %s: no header %s", method, path, name)
		}
	}
}

func mapOf(value any) map[string]any {
	members, _ := value.(map[string]any)
	return members
}

// TestDescriptionsAreComplete: every route of the management API is described with
// its scope, and everything described is routed, in every layout.
func TestDescriptionsAreComplete(t *testing.T) {
	realms := map[string]string{"default": "/manage", "strict": "/realms/strict/manage"}
	s := servertest.Start(t, managed, func(config *server.Config) {
		for layout, path := range map[string]string{"keycloak": "/realms/in-keycloak/manage", "cern": "/auth/realms/in-cern/manage", "asgardeo": "/t/in-asgardeo/manage", "aidbox": "/in-aidbox/manage"} {
			config.Realms["in-"+layout] = &server.Realm{Layout: layout, Policy: "sandbox", Trust: server.Trust{SandboxCA: true}, Management: &server.Management{}}
			realms["in-"+layout] = path
		}
	})
	tpp := s.TPP("reader")
	for realm, base := range realms {
		d := readDescription(t, func(name string) servertest.Answer {
			return s.Do(tpp.HTTP, http.MethodGet, s.Issuer+base+"/"+name, nil, "")
		})
		d.wellFormed()
		routed := map[string]string{}
		for _, route := range managementRoutes(t, s, realm) {
			routed[route.Methods[0]+" "+strings.Replace(route.Path, "{id:.+}", "{id}", 1)] = route.Scope
		}
		for operation, scope := range d.operations() {
			if got, ok := routed[operation]; !ok || got != scope {
				t.Errorf("%s: %s is described with %q, routed with %q", realm, operation, scope, got)
			}
			delete(routed, operation)
		}
		for operation := range routed {
			t.Errorf("%s: %s is not described", realm, operation)
		}
		if servers := fmt.Sprint(d.document["servers"]); !strings.Contains(servers, s.Issuer) || !strings.Contains(servers, s.MTLS) {
			t.Errorf("%s: servers %s", realm, servers)
		}
	}
}

// TestAnswersAreAsDescribed: what is answered validates against its schema, in
// every resource and form, on both listeners; refusals, too.
func TestAnswersAreAsDescribed(t *testing.T) {
	s, session := furnished(t)
	m := newAdministrator(t, s)
	refreshable := s.TPP("refreshable", refreshing, func(m *registration.Metadata) {
		m.RedirectURIs, m.ClientName, m.Contacts, m.ClientURI = nil, "Name", []string{"a@example.com"}, "https://a.example"
		m.AccessTokenExpiration, m.RefreshTokenExpiration, m.RefreshTokenExpirationFrom, m.DefaultAudience = 60, 600, "last_use", []string{s.MTLS + "/bank"}
	})
	tokens := begin(t, refreshable)
	begin(t, refreshable, "grant_type", "refresh_token", "refresh_token", tokens.refresh)
	dpop := s.TPP("dpop", servertest.DPoP, opaque)
	dpop.Token()
	m.do("PUT", "/apis/full", `{"name":"Full","scopes":["a"],"roles":["r"],"clients":{"*":{"scopes":["a"]}},"client_id":"victim","access_token_expiration":60,"access_token_format":"jwt","policies":["fapi2"]}`)
	realm := readDescription(t, func(name string) servertest.Answer {
		return s.Do(m.HTTP, http.MethodGet, s.MTLS+"/manage/"+name, nil, "")
	})
	operator := readDescription(t, func(name string) servertest.Answer {
		return s.Do(http.DefaultClient, http.MethodGet, s.Admin+"/"+name, nil, "")
	})
	operator.wellFormed()
	for _, call := range []struct{ method, path, id, body string }{
		{"GET", "", "", ""},
		{"GET", "/clients", "", ""},
		{"GET", "/clients?limit=1", "", ""},
		{"GET", "/clients/{id}", "refreshable", ""},
		{"GET", "/clients/{id}", "dpop", ""},
		{"GET", "/clients/{id}", "nobody", ""},
		{"PUT", "/clients/{id}", "new", secretClient(`,"scope":"accounts"`)},
		{"PUT", "/clients/{id}", "new", secretClient(``)},
		{"PUT", "/clients/{id}", "new", `{"x":1}`},
		{"POST", "/clients", "", secretClient(``)},
		{"DELETE", "/clients/{id}", "new", ""},
		{"GET", "/apis", "", ""},
		{"GET", "/apis/{id}", "full", ""},
		{"PUT", "/apis/{id}", "new", apiBody},
		{"DELETE", "/apis/{id}", "new", ""},
		{"DELETE", "/apis/{id}", "new", ""},
		{"GET", "/access-policies", "", ""},
		{"GET", "/access-policies/{id}", "victim", ""},
		{"PUT", "/access-policies/{id}", "new", policyBody("a", `,"description":"d"`)},
		{"POST", "/access-policies", "", policyBody("a", "")},
		{"DELETE", "/access-policies/{id}", "new", ""},
		{"GET", "/sessions", "", ""},
		{"GET", "/sessions?limit=1", "", ""},
		{"GET", "/sessions/{id}", session, ""},
		{"DELETE", "/sessions/{id}", session, ""},
		{"GET", "/sessions/{id}", session, ""},
		{"GET", "/sessions/{id}", "nothing", ""},
		{"GET", "/keys", "", ""},
		{"POST", "/keys/rotate", "", ""},
	} {
		path, _, _ := strings.Cut(call.path, "?")
		at := strings.Replace(call.path, "{id}", call.id, 1)
		for _, media := range []string{"application/json", "application/yaml"} {
			realm.conforms(call.method, "/manage"+path, m.do(call.method, at, call.body, "Accept", media))
			operator.conforms(call.method, "/realms/{realm}"+path, operate(t, s, call.method, "/realms/default"+at, call.body, "Accept", media))
		}
	}
	realm.conforms("DELETE", "/manage/sessions", m.do("DELETE", "/sessions", ""))
	realm.conforms("GET", "/manage/keys", m.do("GET", "/keys", ""))
	issued := operate(t, s, "POST", "/certificates", `{"subject":"CN=x"}`)
	serial, _ := issued.JSON["serial"].(string)
	operator.conforms("POST", "/certificates", issued)
	for _, call := range []struct{ method, path, id, body string }{
		{"GET", "/healthz", "", ""}, {"GET", "/readyz", "", ""}, {"GET", "/version", "", ""}, {"GET", "/metrics", "", ""},
		{"GET", "/realms", "", ""}, {"GET", "/traces", "", ""}, {"GET", "/", "", ""}, {"GET", "/style.css", "", ""}, {"GET", "/crl", "", ""},
		{"GET", "/openapi.json", "", ""}, {"GET", "/openapi.yaml", "", ""}, {"GET", "/traces/{id}", issued.Header.Get("X-Fapid-Trace"), ""},
		{"GET", "/certificates", "", ""}, {"GET", "/certificates?limit=1", "", ""}, {"GET", "/certificates/{serial}", serial, ""},
		{"POST", "/certificates/{serial}/renew", serial, ""}, {"POST", "/certificates/{serial}/revoke", serial, `{"reason":"superseded"}`},
		{"GET", "/certificates/{serial}", "nothing", ""}, {"POST", "/certificates", "", `{"x":1}`},
	} {
		path, _, _ := strings.Cut(call.path, "?")
		at := strings.NewReplacer("{id}", call.id, "{serial}", call.id).Replace(call.path)
		operator.conforms(call.method, path, operate(t, s, call.method, at, call.body, "Accept", "application/json"))
	}
}

// TestAidboxAnswersAreAsDescribed is the same of Aidbox's forms.
func TestAidboxAnswersAreAsDescribed(t *testing.T) {
	b := newBox(t)
	d := readDescription(t, func(name string) servertest.Answer { return b.send("GET", "/aidbox/manage/"+name, "") })
	b.admin("PUT", "/Client/api-client", documentedClient)
	token := pairOf(t, b.send("POST", "/auth/token", "grant_type=client_credentials&scope=", "Authorization", basic("api-client", "verysecret"), "Content-Type", "application/x-www-form-urlencoded")).access
	id := claims(t, token)["jti"].(string)
	for _, call := range []struct{ method, path, id, body string }{
		{"PUT", "/Client/{id}", "x", documentedClient},
		{"GET", "/Client/{id}", "x", ""},
		{"GET", "/Client", "", ""},
		{"GET", "/Client?_count=1", "", ""},
		{"GET", "/fhir/Client", "", ""},
		{"PUT", "/AccessPolicy/{id}", "x", documentedPolicy},
		{"GET", "/AccessPolicy/{id}", "x", ""},
		{"GET", "/fhir/AccessPolicy/{id}", "x", ""},
		{"GET", "/AccessPolicy", "", ""},
		{"GET", "/Session", "", ""},
		{"GET", "/Session/{id}", id, ""},
		{"DELETE", "/Session/{id}", id, ""},
		{"GET", "/fhir/Session/{id}", id, ""},
		{"DELETE", "/AccessPolicy/{id}", "x", ""},
		{"DELETE", "/Client/{id}", "x", ""},
		{"DELETE", "/Client/{id}", "x", ""},
		{"POST", "/Client", "", documentedClient},
		{"POST", "/AccessPolicy", "", documentedPolicy},
	} {
		path, _, _ := strings.Cut(call.path, "?")
		at := strings.Replace(call.path, "{id}", url.PathEscape(call.id), 1)
		d.conforms(call.method, path, b.admin(call.method, at, call.body))
		if call.method == http.MethodGet {
			d.conforms(call.method, path, b.send(call.method, at, "", "Authorization", basic("root", "secret")))
		}
	}
}

// TestSchemasHaveEveryMember: a member that is added somewhere is described.
func TestSchemasHaveEveryMember(t *testing.T) {
	s := servertest.Start(t, managed)
	d := readDescription(t, func(name string) servertest.Answer {
		return s.Do(http.DefaultClient, http.MethodGet, s.Admin+"/"+name, nil, "")
	})
	for at, of := range map[string]reflect.Type{
		"Registration":                reflect.TypeFor[registration.Metadata](),
		"APIInput":                    reflect.TypeFor[registration.API](),
		"AccessPolicyInput":           reflect.TypeFor[registration.AccessPolicy](),
		"Link":                        reflect.TypeFor[registration.Link](),
		"Session":                     reflect.TypeFor[token.SessionView](),
		"Session/properties/refresh":  reflect.TypeFor[token.Refreshable](),
		"Session/properties/ended":    reflect.TypeFor[token.Ending](),
		"Session/properties/cnf":      reflect.TypeFor[oauth.Confirmation](),
		"Key":                         reflect.TypeFor[token.KeyRecord](),
		"Realm":                       reflect.TypeFor[manage.InForce](),
		"Realm/properties/management": reflect.TypeFor[manage.Management](),
		"Certificate":                 reflect.TypeFor[certs.Record](),
		"CertificateRequest":          reflect.TypeFor[admin.IssueRequest](),
	} {
		schema := mapOf(d.resolve("#/components/schemas/" + at))
		described := slices.Sorted(maps.Keys(mapOf(schema["properties"])))
		members := slices.DeleteFunc(membersOf(of), func(name string) bool { return at == "Key" && name == "sealed" })
		if !slices.Equal(described, members) {
			t.Errorf("%s: %v are described, %v are there", at, described, members)
		}
	}
}

// membersOf are the members that a struct has in JSON, sorted.
func membersOf(of reflect.Type) (members []string) {
	for i := range of.NumField() {
		field := of.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case field.Anonymous:
			members = append(members, membersOf(field.Type)...)
		case field.IsExported() && name != "-":
			members = append(members, name)
		}
	}
	slices.Sort(members)
	return members
}
