package flow

import (
	"net/http"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/net/http/httpguts"

	"github.com/fapid/fapid/server/endpoint"
	"github.com/fapid/fapid/server/token"
)

// TestHeadersOf: whatever a token says, the headers for the API are one line each
// and can be read back.
func TestHeadersOf(t *testing.T) {
	header := headersOf(&token.Claims{
		ClientID: "a client, 100%", Subject: "Zoë\r\nX-Fapid-Roles: admin", Scope: "accounts payments:100%", Roles: []string{"reader,writer", "a b"}, ID: "1",
	})
	for name, want := range map[string]string{
		"X-Fapid-Client-Id": "a%20client,%20100%25",
		"X-Fapid-Subject":   "Zo%C3%AB%0D%0AX-Fapid-Roles:%20admin",
		"X-Fapid-Scope":     "accounts payments:100%25",
		"X-Fapid-Roles":     "reader%2Cwriter,a%20b",
		"X-Fapid-Token-Id":  "1",
	} {
		if got := header[name]; len(got) != 1 || got[0] != want || !httpguts.ValidHeaderFieldValue(got[0]) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	// None may be left out: a gateway would let the client's own through.
	for name, values := range headersOf(&token.Claims{}) {
		if len(values) != 1 {
			t.Errorf("%s is not there when there is nothing to say", name)
		}
		delete(header, name)
	}
	if len(header) != 0 {
		t.Errorf("left out when there is nothing to say: %v", header)
	}
}

// FuzzCheckRequest: what a client asks for stands behind what is configured, and
// changes nothing of it.
func FuzzCheckRequest(f *testing.F) {
	const configured = "audience=a&scope=accounts&bound=true&url=https://api.example"
	for _, target := range []string{"/accounts", "/a?b=c&audience=x", "/&scope=", "//evil.example/a", "/a#b", "/%2e%2e/", "/;scope=", "/a b", "*", ""} {
		f.Add("GET", target)
	}
	f.Add("GET:/x&scope=", "/y")
	want, err := parseCheck(configured)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, method, target string) {
		got, err := parseCheck(configured + "&request=" + method + ":" + target)
		if err != nil {
			t.Fatal(err)
		}
		request := got.request
		got.request = ""
		if !reflect.DeepEqual(got, want) || request != method+":"+target {
			t.Fatalf("%+v, request %q", got, request)
		}
		got.request = request
		read, path, query, err := got.original(&endpoint.Request{Request: &http.Request{Method: "HEAD"}})
		if err != nil {
			return
		}
		if !strings.HasPrefix(path, "/") || strings.Contains(path, "?") || read == "" || strings.ContainsAny(read, ": /") {
			t.Fatalf("%q %q %q", read, path, query)
		}
		if method != "" && !strings.Contains(method, ":") && (read != method || path+"?"+query != target && path != target) {
			t.Fatalf("%q %q %q of %q %q", read, path, query, method, target)
		}
	})
}
