package resource_test

import (
	"crypto/tls"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/fapid/fapid/server/resource"
	"github.com/fapid/fapid/server/servertest"
)

// TestCertificateFromAProxy: a header is believed from a listed address only, and
// without a list nobody's is looked at.
func TestCertificateFromAProxy(t *testing.T) {
	s := play(t)
	token := s.tpp.Token(target("accounts"))
	header := func(tpp *servertest.TPP) string {
		return ":" + base64.StdEncoding.EncodeToString(tpp.Transport[0].Raw) + ":"
	}
	other := s.TPP("other")
	config := s.config()
	config.Refused = func(*http.Request, *resource.Refusal) {}
	direct, err := resource.New(config)
	if err != nil {
		t.Fatal(err)
	}
	config.Proxy = &resource.Proxy{Trusted: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}}
	behind, err := resource.New(config)
	if err != nil {
		t.Fatal(err)
	}
	const proxy, stranger = "192.0.2.1:1234", "192.0.2.2:1234"
	for _, row := range []struct {
		name   string
		guard  *resource.Guard
		remote string
		values []string
		own    *servertest.TPP // whose certificate the TLS connection has
		status int
	}{
		{"from the proxy", behind, proxy, []string{header(s.tpp)}, nil, 200},
		{"another one from the proxy", behind, proxy, []string{header(other)}, nil, 401},
		{"none from the proxy", behind, proxy, nil, nil, 401},
		{"two from the proxy", behind, proxy, []string{header(s.tpp), header(s.tpp)}, nil, 400},
		{"nonsense from the proxy", behind, proxy, []string{"nonsense"}, nil, 400},
		{"from a stranger", behind, stranger, []string{header(s.tpp)}, nil, 400},
		{"none from a stranger", behind, stranger, nil, nil, 401},
		{"the proxy's own", behind, proxy, nil, s.tpp, 401},
		{"the proxy's own, and the client's", behind, proxy, []string{header(s.tpp)}, other, 200},
		{"a connection past the proxy", behind, stranger, nil, s.tpp, 200},
		{"where no proxy is listed", direct, proxy, []string{header(s.tpp)}, nil, 401},
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, "http://api.internal/accounts", nil)
		r.RemoteAddr = row.remote
		if row.own != nil {
			r.TLS = &tls.ConnectionState{PeerCertificates: row.own.Transport}
		}
		r.Header.Set("Authorization", "Bearer "+token)
		for _, value := range row.values {
			r.Header.Add("Client-Cert", value)
		}
		if _, ok := row.guard.Admit(w, r, "accounts"); ok != (row.status == 200) || w.Code != row.status {
			t.Errorf("%s: %t, %d %s", row.name, ok, w.Code, w.Body)
		}
	}
}
