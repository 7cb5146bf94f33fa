package endpoint_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/server/endpoint"
)

// site opens one route of each kind.
func site(realm string) *endpoint.Site {
	s := &endpoint.Site{Realm: realm, Issuer: "https://as.example.com", Layout: endpoint.Layout{}}
	fine := func(context.Context, *endpoint.Request) (*endpoint.Answer, error) {
		return &endpoint.Answer{JSON: map[string]string{"it": "works"}}, nil
	}
	s.Open(endpoint.Route{Path: "/read", Label: "read", Methods: []string{http.MethodGet}, Serve: fine})
	s.Open(endpoint.Route{Path: "/thing/{name}", Label: "thing", Methods: []string{http.MethodGet}, Serve: func(_ context.Context, r *endpoint.Request) (*endpoint.Answer, error) {
		return &endpoint.Answer{JSON: r.Path}, nil
	}})
	s.Open(endpoint.Route{Path: "/panic", Label: "panic", Methods: []string{http.MethodGet}, Serve: func(context.Context, *endpoint.Request) (*endpoint.Answer, error) {
		panic("a secret detail")
	}})
	s.Open(endpoint.Route{Path: "/fail", Label: "fail", Methods: []string{http.MethodGet}, Serve: func(context.Context, *endpoint.Request) (*endpoint.Answer, error) {
		return nil, errors.New("a secret detail")
	}})
	return s
}

func TestRouter(t *testing.T) {
	var finished []oauth.Event
	router := &endpoint.Router{
		Listener: endpoint.Standard, AnyHost: true, Traces: endpoint.NewTraces(10, 10),
		Finished: []func(*oauth.Event){func(event *oauth.Event) { finished = append(finished, *event) }},
	}
	if err := router.Mount(site("default")); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		method, path string
		status       int
		body         string
	}{
		{"GET", "/read", 200, `{"it":"works"}`},
		{"HEAD", "/read", 200, ""},
		{"GET", "/thing/one", 200, `{"name":"one"}`},
		{"POST", "/read", 405, "method_not_allowed"},
		{"GET", "/read/", 404, "not_found"},
		{"GET", "//read", 404, "not_found"},
		{"GET", "/panic", 500, "server_error"},
		{"GET", "/fail", 500, "server_error"},
	} {
		finished = nil
		answer := httptest.NewRecorder()
		router.ServeHTTP(answer, httptest.NewRequest(test.method, test.path, nil))
		if answer.Code != test.status || !strings.Contains(answer.Body.String(), test.body) {
			t.Errorf("%s %s: %d %s", test.method, test.path, answer.Code, answer.Body)
		}
		if strings.Contains(answer.Body.String(), "secret detail") {
			t.Errorf("%s %s tells our insides: %s", test.method, test.path, answer.Body)
		}
		if answer.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s %s may be cached", test.method, test.path)
		}
		if len(finished) != 1 || finished[0].ID != answer.Header().Get("X-Fapid-Trace") || finished[0].Status != test.status {
			t.Errorf("%s %s left the events %+v", test.method, test.path, finished)
		}
		if test.status == http.StatusMethodNotAllowed && answer.Header().Get("Allow") != "GET" {
			t.Errorf("405 without Allow: %v", answer.Header())
		}
		if test.status == http.StatusInternalServerError && !strings.Contains(finished[0].Reason, "secret detail") {
			t.Errorf("%s: the trace does not say why: %q", test.path, finished[0].Reason)
		}
	}
}

// TestNotFoundExplained: the trace of a request for what is not served names the path
// that is the nearest to it, if any is near.
func TestNotFoundExplained(t *testing.T) {
	s := site("default")
	for _, path := range []string{"/realms/mine/oauth2/token", "/realms/yours/oauth2/revoke", "/.well-known/openid-configuration"} {
		s.Open(endpoint.Route{Path: path, Label: "label", Methods: []string{http.MethodPost}})
	}
	var event oauth.Event
	router := &endpoint.Router{
		Listener: endpoint.Standard, AnyHost: true, Traces: endpoint.NewTraces(10, 10),
		Finished: []func(*oauth.Event){func(finished *oauth.Event) { event = *finished }},
	}
	if err := router.Mount(s); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"/realms/nobody/oauth2/token": "/realms/mine/oauth2/token", "/oauth/token": "/realms/mine/oauth2/token", "/realms/yours/oauth2/revocation": "/realms/yours/oauth2/revoke",
		"/.well-known/openid-config": "/.well-known/openid-configuration", "/read/": "/read", "/red": "/read", "/~": "", "/": "",
	} {
		router.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, path, nil))
		check, failed := event.Failed()
		expected := "a path that is served here"
		if want != "" {
			expected += "; the nearest is " + want
		}
		if !failed || check.Name != "path" || check.Expected != expected || check.Presented != path {
			t.Errorf("%s: %+v", path, check)
		}
	}
}

func TestPathTaken(t *testing.T) {
	router := &endpoint.Router{Traces: endpoint.NewTraces(1, 1)}
	if err := router.Mount(site("one")); err != nil {
		t.Fatal(err)
	}
	var taken *endpoint.PathTaken
	if err := router.Mount(site("two")); !errors.As(err, &taken) || taken.Path != "/read" {
		t.Errorf("two realms share a path: %v", err)
	}
	three := site("three")
	three.Open(endpoint.Route{Path: "/read", Label: "again", Methods: []string{http.MethodPut, http.MethodGet}})
	router = &endpoint.Router{Traces: endpoint.NewTraces(1, 1)}
	if err := router.Mount(three); !errors.As(err, &taken) || taken.Labels != [2]string{"read", "again"} {
		t.Errorf("two endpoints share a path: %v", err)
	}
}

func TestTracesKeepFailures(t *testing.T) {
	traces := endpoint.NewTraces(2, 2)
	traces.Keep(&oauth.Event{ID: "failure", Status: 401})
	for range 10 {
		traces.Keep(&oauth.Event{ID: "success", Status: 200})
	}
	if _, ok := traces.Find("failure"); !ok {
		t.Error("successes pushed the failure out")
	}
	if got := traces.Newest(10, true, nil); len(got) != 1 || got[0].ID != "failure" {
		t.Errorf("failures: %+v", got)
	}
}
