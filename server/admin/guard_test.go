package admin

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/fapid/fapid/server/endpoint"
	"github.com/fapid/fapid/server/flow"
)

// filled gives the path of a route with its variables filled in.
func filled(path string) string {
	return strings.NewReplacer("{realm}", "default", "{id:.+}", "tpp", "{id}", "0011223344556677", "{serial}", strings.Repeat("ab", 20)).Replace(path)
}

// Every route that changes something needs the key; the matrix comes from the
// table of routes, so that no route can be forgotten.
func TestKeyMatrix(t *testing.T) {
	o := newOperated(t)
	presented := map[string][]string{
		"none":          nil,
		"another key":   {"Authorization", "Bearer another"},
		"prefix":        {"Authorization", "Bearer " + operatorKey[:len(operatorKey)-1]},
		"empty":         {"Authorization", "Bearer "},
		"other scheme":  {"Authorization", "Basic " + operatorKey},
		"in a cookie":   {"Cookie", "key=" + operatorKey},
		"with a suffix": {"Authorization", "Bearer " + operatorKey + " x"},
	}
	for _, open := range []bool{true, false} {
		o.Open = open
		for _, route := range o.routes() {
			needed := route.Access == Change || route.Access == Read && !open
			for name, headers := range presented {
				w := o.request(t, route.Method, filled(route.Path), "", headers...)
				if (w.Code == http.StatusUnauthorized) != needed {
					t.Errorf("open %v, %s %s with %s: %d", open, route.Method, route.Path, name, w.Code)
				}
			}
			w := o.request(t, route.Method, filled(route.Path), "", "Authorization", "bearer "+operatorKey)
			if w.Code == http.StatusUnauthorized {
				t.Errorf("%s %s with the key: %d", route.Method, route.Path, w.Code)
			}
		}
	}
}

// What changes something must say so in the table: nothing but GET may be read,
// and what asks a question that does not fit into a URL.
func TestEveryChangeIsMarked(t *testing.T) {
	questions := []string{"/dn/lint"}
	for _, route := range newOperated(t).routes() {
		reads := route.Method == http.MethodGet || slices.Contains(questions, route.Path)
		if reads == (route.Access == Change) {
			t.Errorf("%s %s has access %d", route.Method, route.Path, route.Access)
		}
	}
}

func TestRefusalNamesTheScheme(t *testing.T) {
	o := newOperated(t)
	w := o.request(t, http.MethodDelete, "/realms/default/clients/tpp", "")
	wantStatus(t, w, http.StatusUnauthorized)
	if challenge := w.Header().Get("WWW-Authenticate"); !strings.HasPrefix(challenge, "Bearer ") {
		t.Errorf("WWW-Authenticate: %q", challenge)
	}
	r := []string{"Authorization", "Bearer " + operatorKey}
	wantStatus(t, o.request(t, http.MethodDelete, "/realms/default/clients/tpp", "", r...), http.StatusNotFound)
}

func TestTwoKeysAreRefused(t *testing.T) {
	if key, problem := bearer([]string{"Bearer a", "Bearer " + operatorKey}); key != "" || problem == "" {
		t.Errorf("key %q, problem %q", key, problem)
	}
}

// A page whose name was rebound to loopback sends its own name as Host.
func TestForeignHostIsMisdirected(t *testing.T) {
	o := newOperated(t)
	for name, status := range map[string]int{
		"localhost":           http.StatusOK,
		"LOCALHOST.:9000":     http.StatusOK,
		"127.0.0.1:9000":      http.StatusOK,
		"[::1]:9000":          http.StatusOK,
		"evil.example":        http.StatusMisdirectedRequest,
		"evil.example:9000":   http.StatusMisdirectedRequest,
		"localhost.evil:9000": http.StatusMisdirectedRequest,
		"127.0.0.1.nip.io":    http.StatusMisdirectedRequest,
		"":                    http.StatusMisdirectedRequest,
	} {
		for _, route := range o.routes() {
			w := o.request(t, route.Method, filled(route.Path), "", "Host", name, "Authorization", "Bearer "+operatorKey)
			if (w.Code == http.StatusMisdirectedRequest) != (status == http.StatusMisdirectedRequest) {
				t.Errorf("Host %q, %s %s: %d", name, route.Method, route.Path, w.Code)
			}
		}
	}
}

// M1: a browser that is made to send a change by another origin, even with the key.
func TestCrossSiteChangesAreRefused(t *testing.T) {
	o := newOperated(t)
	for name, headers := range map[string][]string{
		"Sec-Fetch-Site cross-site": {"Sec-Fetch-Site", "cross-site"},
		"Sec-Fetch-Site same-site":  {"Sec-Fetch-Site", "same-site"},
		"Origin of another site":    {"Origin", "https://evil.example"},
		"Origin null":               {"Origin", "null"},
		"Origin on another port":    {"Origin", "http://localhost:8080"},
	} {
		headers = append(headers, "Authorization", "Bearer "+operatorKey)
		for _, route := range o.routes() {
			w := o.request(t, route.Method, filled(route.Path), "", headers...)
			if (w.Code == http.StatusForbidden) != (route.Method != http.MethodGet) {
				t.Errorf("%s, %s %s: %d", name, route.Method, route.Path, w.Code)
			}
			if w.Header().Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s %s allows other origins to read", route.Method, route.Path)
			}
		}
	}
	own := []string{"Origin", "http://" + host, "Authorization", "Bearer " + operatorKey}
	wantStatus(t, o.request(t, http.MethodPost, "/realms/default/keys/rotate?alg=ES256", "", own...), http.StatusOK)
}

func TestOtherMethodsAreRefused(t *testing.T) {
	o := newOperated(t)
	for _, route := range o.routes() {
		for _, method := range []string{http.MethodTrace, http.MethodPatch, http.MethodOptions} {
			w := o.request(t, method, filled(route.Path), "", "X-HTTP-Method-Override", route.Method)
			wantStatus(t, w, http.StatusMethodNotAllowed)
		}
	}
}

// Everything that is served here is described, with or without the key as it
// needs it, and nothing else is.
func TestDescriptionIsComplete(t *testing.T) {
	o := newOperated(t)
	document := decodeBody[struct {
		Paths map[string]map[string]json.RawMessage `json:"paths"`
	}](t, o.request(t, http.MethodGet, "/openapi.json", "").Body)
	routed := map[string]Access{}
	for _, route := range append(o.routes(), o.described("")...) {
		routed[route.Method+" "+asDescribed(route.Path)] = route.Access
	}
	// What the server serves beside it is described here, too.
	beside := &endpoint.Site{}
	for _, feature := range []endpoint.Feature{&flow.CRL{}, &flow.OCSP{}} {
		feature.Install(beside)
	}
	for _, route := range beside.Routes() {
		routed[route.Methods[0]+" "+asDescribed(route.Path)] = Public
	}
	for path, operations := range document.Paths {
		for method, text := range operations {
			if method == "parameters" {
				continue
			}
			name := strings.ToUpper(method) + " " + path
			access, ok := routed[name]
			if !ok {
				t.Errorf("%s is described and not routed", name)
			}
			delete(routed, name)
			var operation struct {
				Security []map[string]any `json:"security"`
			}
			if err := json.Unmarshal(text, &operation); err != nil || operation.Security == nil {
				t.Errorf("%s: %v, security %v", name, err, operation.Security)
			}
			if (len(operation.Security) == 0) != (access == Public) || access == Change && len(operation.Security) != 1 {
				t.Errorf("%s: access %d is described as %v", name, access, operation.Security)
			}
		}
	}
	for name := range routed {
		t.Errorf("%s is not described", name)
	}
}

// asDescribed is a path as a description writes it.
func asDescribed(path string) string { return strings.ReplaceAll(path, ":.+}", "}") }
