package resource_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"testing"

	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/resource"
	"github.com/fapid/fapid/server/servertest"
)

// The API below is called with a token that is bound to the client's certificate:
// by the client, and then by somebody who has got hold of the token.
func Example() {
	issuer, tpp, thief, done := sandbox()
	defer done()

	guard, err := resource.New(resource.Config{
		Issuer:   issuer.Issuer, // https://localhost:8443
		Audience: "https://api.example.com",
		Roots:    issuer.Roots(),
		Refused:  func(_ *http.Request, refusal *resource.Refusal) { fmt.Println("refused:", refusal.Reason) },
	})
	if err != nil {
		log.Fatal(err)
	}
	api := httptest.NewUnstartedServer(guard.Protect("accounts", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintln(w, "hello", resource.Token(r.Context()).ClientID)
	})))
	api.TLS = &tls.Config{ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS12}
	api.StartTLS()
	defer api.Close()

	token := tpp.Token(url.Values{"audience": {"https://api.example.com"}, "scope": {"accounts"}})
	for _, client := range []*servertest.TPP{tpp, thief} {
		request, err := http.NewRequest(http.MethodGet, api.URL, nil)
		if err != nil {
			log.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+token)
		response, err := client.Client(api.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs).Do(request)
		if err != nil {
			log.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		if err != nil {
			log.Fatal(err)
		}
		_ = response.Body.Close()
		fmt.Print(response.StatusCode, " ", string(body), "\n")
	}
	// Output:
	// 200 hello tpp
	//
	// refused: x5t#S256 differs
	// 401 {"error":"invalid_token","error_description":"the access token is bound to another certificate"}
}

// stage lets an example play with the actors of tests.
type stage struct {
	testing.TB
	cleanups []func()
	folder   string
}

func (s *stage) Helper()                           {}
func (s *stage) TempDir() string                   { return s.folder }
func (s *stage) Cleanup(f func())                  { s.cleanups = append(s.cleanups, f) }
func (s *stage) Fatal(args ...any)                 { log.Panic(args...) }
func (s *stage) Fatalf(format string, args ...any) { log.Panicf(format, args...) }
func (s *stage) Errorf(format string, args ...any) { log.Panicf(format, args...) }

// sandbox is a server with two clients, and an API that both may call.
func sandbox() (s *servertest.Server, tpp, thief *servertest.TPP, done func()) {
	folder, err := os.MkdirTemp("", "fapid-example")
	if err != nil {
		log.Panic(err)
	}
	on := &stage{folder: folder}
	s = servertest.Start(on)
	_, err = s.APIs("default").Put(context.Background(), registration.API{
		ID: "https://api.example.com", Scopes: []string{"accounts"},
		Clients: map[string]registration.Access{registration.AnyClient: {}},
	})
	if err != nil {
		log.Panic(err)
	}
	return s, s.TPP("tpp"), s.TPP("thief"), func() {
		for _, f := range slices.Backward(on.cleanups) {
			f()
		}
		_ = os.RemoveAll(folder)
	}
}
