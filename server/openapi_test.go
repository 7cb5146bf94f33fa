package server_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/fapid/fapid/certs"
	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server"
	"github.com/fapid/fapid/server/admin"
	"github.com/fapid/fapid/server/manage"
	"github.com/fapid/fapid/server/participant"
	"github.com/fapid/fapid/server/servertest"
	"github.com/fapid/fapid/server/token"
	"github.com/fapid/fapid/server/users"
)

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

// fullUser has every attribute that a user can have.
const fullUser = `{"schemas":["x"],"userName":"new","externalId":"e","name":{"formatted":"a","familyName":"b","givenName":"c","middleName":"d","honorificPrefix":"e","honorificSuffix":"f"},
	"displayName":"a","nickName":"b","profileUrl":"https://a.example","title":"c","userType":"d","preferredLanguage":"e","locale":"f","timezone":"g","active":false,"password":"h",
	"emails":[{"value":"a","display":"b","type":"work","primary":true}],"phoneNumbers":[{"value":"a"}],"ims":[{"value":"a"}],"photos":[{"value":"https://a.example","display":"b","type":"photo","primary":false}],
	"addresses":[{"formatted":"a\nb","streetAddress":"c","locality":"d","region":"e","postalCode":"f","country":"GB","type":"home","primary":true}],"entitlements":[{"value":"a"}],"roles":[{"value":"a"}],
	"x509Certificates":[{"value":"YQ==","display":"b","type":"c","primary":true}],
	"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"employeeNumber":"a","costCenter":"b","organization":"c","division":"d","department":"e","manager":{"value":"f","$ref":"../Users/1"}},
	"accounts":[{"account_id":"n-1","currency":"GBP","kind":"Savings","nickname":"a","iban":"b","balance":"1.00","transactions":[{"transaction_id":"t","date":"2026-01-05T09:12:00Z","amount":"1.00","credit":true,"text":"c"}]}]}`

// TestAnswersAreAsDescribed: what is answered validates against its schema, in
// every resource and form, on both listeners; refusals, too.
func TestAnswersAreAsDescribed(t *testing.T) {
	s, session := furnished(t, further(token.FurtherClaims...))
	m := newAdministrator(t, s)
	refreshable := s.TPP("refreshable", refreshing, func(m *registration.Metadata) {
		m.RedirectURIs, m.ClientName, m.Contacts, m.ClientURI = nil, "Name", []string{"a@example.com"}, "https://a.example"
		m.AccessTokenExpiration, m.RefreshTokenExpiration, m.RefreshTokenExpirationFrom, m.DefaultAudience = 60, 600, "last_use", []string{s.MTLS + "/bank"}
	})
	tokens := begin(t, refreshable)
	begin(t, refreshable, "grant_type", "refresh_token", "refresh_token", tokens.refresh)
	dpop := s.TPP("dpop", servertest.DPoP, opaque)
	dpop.Token()
	m.put("/apis/full", `{"name":"Full","scopes":["a"],"roles":["r"],"clients":{"*":{"scopes":["a"]}},"client_id":"victim","access_token_expiration":60,"access_token_format":"jwt","policies":["fapi2"]}`)
	m.put("/users/new", fullUser)
	initial := victimToken(t, s)
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
		{"POST", "/registration-tokens", "", `{"label":"x","uses":2,"lifetime":60,"quota":1,"policy":"fapi2","scope":"accounts"}`},
		{"POST", "/registration-tokens", "", `{"x":1}`},
		{"GET", "/registration-tokens", "", ""},
		{"GET", "/registration-tokens?limit=1", "", ""},
		{"GET", "/registration-tokens/{id}", initial, ""},
		{"DELETE", "/registration-tokens/{id}", initial, ""},
		{"GET", "/registration-tokens/{id}", initial, ""},
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
		{"GET", "/users", "", ""},
		{"GET", "/users?limit=1", "", ""},
		{"PUT", "/users/{id}", "new", fullUser},
		{"GET", "/users/{id}", "new", ""},
		{"PUT", "/users/{id}", "new", fullUser},
		{"PUT", "/users/{id}", "new", `{"x":1}`},
		{"DELETE", "/users/{id}", "new", ""},
		{"GET", "/users/{id}", "new", ""},
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
		{"POST", "/certificates/{serial}/renew", serial, `{"new_key":true}`}, {"POST", "/ocsp", "", "x"}, {"GET", "/ocsp/{request}", "x", ""},
		{"POST", "/dn/lint", "", encode(t, map[string]any{"certificate": issued.JSON["pem"], "registered": "CN=x"})}, {"POST", "/dn/lint", "", `{}`},
	} {
		path, _, _ := strings.Cut(call.path, "?")
		at := strings.NewReplacer("{id}", call.id, "{serial}", call.id, "{request}", call.id).Replace(call.path)
		operator.conforms(call.method, path, operate(t, s, call.method, at, call.body, "Accept", "application/json"))
	}
}

// TestAidboxAnswersAreAsDescribed is the same of Aidbox's forms.
func TestAidboxAnswersAreAsDescribed(t *testing.T) {
	b := newBox(t)
	d := readDescription(t, func(name string) servertest.Answer { return b.send("GET", "/aidbox/manage/"+name, "") })
	b.put("/Client/api-client", documentedClient)
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
		"RegistrationTokenInput":      reflect.TypeFor[registration.Allowance](),
		"RegistrationTokenMembers":    reflect.TypeFor[registration.InitialToken](),
		"APIInput":                    reflect.TypeFor[registration.API](),
		"AccessPolicyInput":           reflect.TypeFor[registration.AccessPolicy](),
		"Link":                        reflect.TypeFor[registration.Link](),
		"User":                        reflect.TypeFor[users.User](),
		"Session":                     reflect.TypeFor[token.SessionView](),
		"Session/properties/refresh":  reflect.TypeFor[token.Refreshable](),
		"Session/properties/ended":    reflect.TypeFor[token.Ending](),
		"Session/properties/cnf":      reflect.TypeFor[oauth.Confirmation](),
		"Key":                         reflect.TypeFor[token.KeyRecord](),
		"Realm":                       reflect.TypeFor[manage.InForce](),
		"Realm/properties/management": reflect.TypeFor[manage.Management](),
		"Certificate":                 reflect.TypeFor[certs.Record](),
		"CertificateRequest":          reflect.TypeFor[admin.IssueRequest](),
		"ParticipantOrder":            reflect.TypeFor[participant.Order](),
		"Participant":                 reflect.TypeFor[participant.Record](),
		"RenewRequest":                reflect.TypeFor[admin.RenewRequest](),
		"Party":                       reflect.TypeFor[oauth.Party](),
		"Origin":                      reflect.TypeFor[token.Origin](),
		"APIInput/properties/clients/additionalProperties": reflect.TypeFor[registration.Access](),
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
		case field.Anonymous && field.Type.Kind() == reflect.Pointer:
			members = append(members, membersOf(field.Type.Elem())...)
		case field.Anonymous:
			members = append(members, membersOf(field.Type)...)
		case field.IsExported() && name != "-":
			members = append(members, name)
		}
	}
	slices.Sort(members)
	return members
}
