package endpoint_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/fapid/fapid/server/endpoint"
)

// BenchmarkRouter is what every request costs before and after its feature.
func BenchmarkRouter(b *testing.B) {
	s := &endpoint.Site{Realm: "default", Issuer: "https://as.example.com", Layout: endpoint.Layout{}}
	fine := func(context.Context, *endpoint.Request) (*endpoint.Answer, error) {
		return &endpoint.Answer{Body: []byte("{}"), Type: "application/json"}, nil
	}
	s.Open(endpoint.Route{Path: "/token", Label: "token", Methods: []string{http.MethodPost}, Form: true, Serve: fine})
	s.Open(endpoint.Route{Path: "/accounts/{id}", Label: "account", Methods: []string{http.MethodGet}, Serve: fine})
	router := &endpoint.Router{Listener: endpoint.Standard, AnyHost: true, Traces: endpoint.NewTraces(10, 10)}
	if err := router.Mount(s); err != nil {
		b.Fatal(err)
	}
	const form = "client_id=tpp-tls&grant_type=client_credentials&scope=accounts"
	for _, call := range []struct{ name, method, path, body string }{
		{"literal with form", http.MethodPost, "/token", form},
		{"template", http.MethodGet, "/accounts/10001", ""},
		{"not found", http.MethodGet, "/nowhere", ""},
	} {
		b.Run(call.name, func(b *testing.B) {
			body := strings.NewReader("")
			r := httptest.NewRequest(call.method, call.path, body)
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.ContentLength = int64(len(call.body))
			w := &discard{header: http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				body.Reset(call.body)
				clear(w.header)
				router.ServeHTTP(w, r)
			}
		})
	}
}

// discard is a ResponseWriter of nobody.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}
