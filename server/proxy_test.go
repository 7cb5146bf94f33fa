package server_test

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/server"
	"github.com/fapid/fapid/server/participant"
	"github.com/fapid/fapid/server/servertest"
)

// gateway is a TLS-terminating proxy: it talks to the server without a client
// certificate and writes that of its client into a header.
type gateway struct {
	s      *servertest.Server
	http   *http.Client
	header string
	write  func(chain []*x509.Certificate) string
}

// formats are the ways in which the proxies of the field write a certificate.
var formats = []struct {
	name, header string
	write        func(chain []*x509.Certificate) string
}{
	{mtls.FormatRFC9440, "Client-Cert", func(chain []*x509.Certificate) string {
		return ":" + base64.StdEncoding.EncodeToString(chain[0].Raw) + ":"
	}},
	{mtls.FormatPEMEscaped, "X-SSL-Client-Cert", func(chain []*x509.Certificate) string { return escapedPEM(chain[:1]) }},
	{mtls.FormatXFCC, "X-Forwarded-Client-Cert", func(chain []*x509.Certificate) string {
		return `Hash=00;Cert="` + escapedPEM(chain[:1]) + `";Chain="` + escapedPEM(chain) + `"`
	}},
}

func escapedPEM(chain []*x509.Certificate) string {
	var text strings.Builder
	for _, certificate := range chain {
		_ = pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw})
	}
	return url.PathEscape(text.String())
}

// behind starts a server that trusts the proxies at the given addresses.
func behind(t *testing.T, format int, trusted ...string) gateway {
	t.Helper()
	s := servertest.Start(t, func(config *server.Config) {
		config.Proxy = &server.Proxy{Format: formats[format].name}
		for _, prefix := range trusted {
			config.Proxy.Trusted = append(config.Proxy.Trusted, netip.MustParsePrefix(prefix))
		}
	})
	return gateway{s, (&participant.Participant{}).Client(s.Roots()), formats[format].header, formats[format].write}
}

// here are the addresses that the tests' own requests come from.
var here = []string{"127.0.0.1/32", "::1/128"}

// token asks for a token on the mTLS listener, with headers as a proxy sends them.
func (g gateway) token(id string, header http.Header) servertest.Answer {
	g.s.T.Helper()
	return g.send(g.s.MTLS, id, header)
}

func (g gateway) send(base, id string, header http.Header) servertest.Answer {
	g.s.T.Helper()
	header = header.Clone()
	header.Set("Content-Type", "application/x-www-form-urlencoded")
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {id}}
	return g.s.Do(g.http, http.MethodPost, base+"/token", header, form.Encode())
}

// forwards is the header for a TPP's certificate.
func (g gateway) forwards(tpp *servertest.TPP) http.Header {
	return http.Header{g.header: {g.write(tpp.Transport)}}
}

func refused(t *testing.T, what string, answer servertest.Answer, status int, code string) {
	t.Helper()
	if answer.Status != status || answer.Error() != code {
		t.Errorf("%s: %s, want %d %s", what, answer, status, code)
	}
}

func TestTokenThroughProxy(t *testing.T) {
	for i, format := range formats {
		t.Run(format.name, func(t *testing.T) {
			g := behind(t, i, here...)
			tpp, other := g.s.TPP("tpp"), g.s.TPP("other")

			answer := g.token("tpp", g.forwards(tpp))
			token, _ := answer.JSON["access_token"].(string)
			if answer.Status != http.StatusOK || token == "" {
				t.Fatalf("token: %s", answer)
			}
			bound, _ := claims(t, token)["cnf"].(map[string]any)
			if want := mtls.Thumbprint(tpp.Transport[0]); bound["x5t#S256"] != want {
				t.Errorf("cnf is %v, want x5t#S256 %s", bound, want)
			}

			bank := func(header http.Header) servertest.Answer {
				header.Set("Authorization", "Bearer "+token)
				return g.s.Do(g.http, http.MethodGet, g.s.MTLS+"/bank/accounts", header, "")
			}
			if answer := bank(g.forwards(tpp)); answer.Status != http.StatusOK {
				t.Errorf("the bank: %s", answer)
			}
			refused(t, "the bank, with another certificate", bank(g.forwards(other)), http.StatusUnauthorized, "invalid_token")
			refused(t, "the bank, without a certificate", bank(http.Header{}), http.StatusUnauthorized, "invalid_token")

			refused(t, "another certificate", g.token("tpp", g.forwards(other)), http.StatusUnauthorized, "invalid_client")
			none := g.token("tpp", http.Header{})
			refused(t, "no certificate", none, http.StatusUnauthorized, "invalid_client")
			if event := g.s.Explain(none); len(event.Checks) == 0 || !strings.Contains(event.Checks[0].Expected, g.header) {
				t.Errorf("the trace does not say where the certificate was looked for: %+v", event.Checks)
			}
		})
	}
}

func TestProxyHeaderRefused(t *testing.T) {
	for i, format := range formats {
		t.Run(format.name, func(t *testing.T) {
			g := behind(t, i, here...)
			tpp := g.s.TPP("tpp")
			value := g.write(tpp.Transport)
			for what, header := range map[string]http.Header{
				"twice":                {g.header: {value, value}},
				"in two spellings":     {g.header: {value}, strings.ReplaceAll(g.header, "-", "_"): {value}},
				"empty":                {g.header: {""}},
				"in another format":    {g.header: {base64.StdEncoding.EncodeToString(tpp.Transport[0].Raw)}},
				"cut short":            {g.header: {value[:len(value)/2]}},
				"with another element": {g.header: {value + "," + value}},
			} {
				refused(t, what, g.token("tpp", header), http.StatusBadRequest, "invalid_request")
			}
			// The standard listener takes no certificate, from whomever.
			refused(t, "on the standard listener", g.send(g.s.Issuer, "tpp", g.forwards(tpp)), http.StatusBadRequest, "invalid_request")
		})
	}
}

// A12: a certificate in a header is believed from a listed address only.
func TestProxyHeaderOfAStranger(t *testing.T) {
	for i, format := range formats {
		t.Run(format.name, func(t *testing.T) {
			g := behind(t, i, "192.0.2.1/32")
			tpp := g.s.TPP("tpp")
			for _, base := range []string{g.s.MTLS, g.s.Issuer} {
				refused(t, base, g.send(base, "tpp", g.forwards(tpp)), http.StatusBadRequest, "invalid_request")
			}
			if tpp.Token() == "" { // who is not the proxy has its own TLS connection
				t.Error("no token without the proxy")
			}
		})
	}
}

// What a proxy proves of itself is not what its client has proved.
func TestProxyOwnCertificateIsNotTheClients(t *testing.T) {
	g := behind(t, 0, here...)
	tpp := g.s.TPP("tpp")
	g.http = tpp.HTTP
	refused(t, "the connection's certificate", g.token("tpp", http.Header{}), http.StatusUnauthorized, "invalid_client")
}

// The name that a proxy calls the server by in TLS is its own affair, on both
// listeners; from anybody else it has to be the host asked for.
func TestServerNameOfAProxy(t *testing.T) {
	for _, test := range []struct {
		trusted []string
		status  int
	}{{here, http.StatusOK}, {[]string{"192.0.2.1/32"}, http.StatusMisdirectedRequest}} {
		g := behind(t, 0, test.trusted...)
		for _, base := range []string{g.s.MTLS, g.s.Issuer} {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/.well-known/openid-configuration", nil)
			if err != nil {
				t.Fatal(err)
			}
			request.Host = "auth.example.com"
			response, err := g.http.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
			if response.StatusCode != test.status {
				t.Errorf("%s trusting %v: %d, want %d", base, test.trusted, response.StatusCode, test.status)
			}
		}
	}
}
