package servertest

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"net/http"
	"net/url"
	"strings"

	"github.com/fapid/fapid/certs"
	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/participant"
	"github.com/fapid/fapid/testkeys"
)

// TPP is a client that is registered with the server.
type TPP struct {
	*participant.Participant
	S *Server
	// HTTP presents the TPP's certificate where it is asked for one.
	HTTP *http.Client
	// Realm is where the TPP is registered.
	Realm    string
	Provider *participant.Provider
}

// TPP registers a client with a fresh certificate and key. Without change it
// authenticates by tls_client_auth with its subject, and its tokens are bound.
func (s *Server) TPP(id string, change ...func(*registration.Metadata)) *TPP {
	s.T.Helper()
	return s.TPPIn("default", id, change...)
}

// TPPIn is TPP in a realm.
func (s *Server) TPPIn(realm, id string, change ...func(*registration.Metadata)) *TPP {
	s.T.Helper()
	p := &participant.Participant{Now: s.Clock.Now, Metadata: registration.Metadata{
		ClientID: id, TokenEndpointAuthMethod: oauth.AuthTLS, GrantTypes: []string{"client_credentials"},
		Scope: "accounts", CertificateBoundTokens: true,
	}}
	s.certify(p)
	p.Metadata.TLSClientAuthSubjectDN = s.presented(p.Transport).Subject().String()
	p.SigningKey = testkeys.P256(3)
	if err := p.Publish(false); err != nil {
		s.T.Fatal(err)
	}
	for _, adapt := range change {
		adapt(&p.Metadata)
	}
	if p.Metadata.TokenEndpointAuthMethod != oauth.AuthTLS {
		p.Metadata.TLSClientAuthSubjectDN = ""
	}
	p.Secret = string(p.Metadata.ClientSecret)
	if _, _, err := s.Clients(realm).Put(context.Background(), p.Metadata); err != nil {
		s.T.Fatal(err)
	}
	tpp := &TPP{Participant: p, S: s, Realm: realm}
	tpp.Connect()
	var err error
	if tpp.Provider, err = participant.Discover(context.Background(), tpp.HTTP, s.config.Realms[realm].Issuer); err != nil {
		s.T.Fatal(err)
	}
	return tpp
}

// JWT makes a TPP's metadata private_key_jwt with ES256, tokens unbound.
func JWT(m *registration.Metadata) {
	m.TokenEndpointAuthMethod, m.TokenEndpointAuthSigningAlg, m.CertificateBoundTokens = oauth.AuthPrivateKeyJWT, "ES256", false
}

// DPoP makes a TPP's metadata private_key_jwt with tokens bound to its DPoP key,
// which is its signing key.
func DPoP(m *registration.Metadata) {
	JWT(m)
	m.DPoPBoundTokens = true
}

// Under puts a TPP under a policy.
func Under(policy string) func(*registration.Metadata) {
	return func(m *registration.Metadata) { m.Policy = policy }
}

// certify gives a participant a fresh P-256 client certificate.
func (s *Server) certify(p *participant.Participant) {
	s.T.Helper()
	name, err := certs.NewName(certs.Attribute{Type: "C", Value: "GB"}, certs.Attribute{Type: "O", Value: "Test TPP"}, certs.Attribute{Type: "CN", Value: p.Metadata.ClientID})
	if err != nil {
		s.T.Fatal(err)
	}
	issued, err := s.CA().Issue(context.Background(), certs.ProfileClient,
		certs.Subject{Name: name, DNS: []string{p.Metadata.ClientID + ".example.com"}, Owner: p.Metadata.ClientID}, certs.KeyRequest{Algorithm: certs.P256})
	if err != nil {
		s.T.Fatal(err)
	}
	p.Transport, p.TransportKey = issued.Chain, issued.Key
}

func (s *Server) presented(chain []*x509.Certificate) *mtls.Presented {
	s.T.Helper()
	presented, err := mtls.NewPresented(chain, "tls")
	if err != nil {
		s.T.Fatal(err)
	}
	return presented
}

// Roots trusts the server's CA.
func (s *Server) Roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(s.CA().Root())
	return pool
}

// Connect gives the TPP fresh connections with the certificate it has now.
func (tpp *TPP) Connect() {
	tpp.HTTP = tpp.S.client(tpp.Participant)
	tpp.S.T.Cleanup(tpp.HTTP.CloseIdleConnections)
}

// client is a participant's HTTP client, which waits.
func (s *Server) client(p *participant.Participant) *http.Client {
	client := p.Client(s.Roots())
	client.Timeout = Patience
	return client
}

// Renew gives the TPP another certificate of the same name.
func (tpp *TPP) Renew() {
	tpp.S.T.Helper()
	tpp.S.certify(tpp.Participant)
	tpp.Connect()
}

// Token fetches a token and fails the test if it is refused.
func (tpp *TPP) Token(form ...url.Values) string {
	tpp.S.T.Helper()
	var with url.Values
	if len(form) > 0 {
		with = form[0]
	}
	response, body, err := tpp.Participant.Token(context.Background(), tpp.HTTP, tpp.Provider, with)
	if err != nil {
		tpp.S.T.Fatalf("%s: %v\n%s", tpp.Metadata.ClientID, err, body)
	}
	return response.AccessToken
}

// Post sends a form with the TPP's client authentication to an endpoint
// ("token_endpoint").
func (tpp *TPP) Post(endpoint string, form url.Values) Answer {
	tpp.S.T.Helper()
	if form == nil {
		form = url.Values{}
	}
	reply, err := tpp.Participant.Post(context.Background(), tpp.HTTP, tpp.Provider, endpoint, form)
	if err != nil {
		tpp.S.T.Fatal(err)
	}
	return parse(reply.Status, reply.Header, reply.Body)
}

// Exchanging gives a TPP the grants of clients that act for others.
func Exchanging(m *registration.Metadata) {
	m.GrantTypes = []string{"client_credentials", participant.GrantExchange, participant.GrantJWTBearer}
}

// Exchange asks for another token in the place of one; more are names and values
// of parameters, an empty value leaves one out.
func (tpp *TPP) Exchange(token string, more ...string) Answer {
	tpp.S.T.Helper()
	return tpp.Post("token_endpoint", with(participant.Exchange(token), more))
}

// Grant signs an authorization grant for a subject; changes are names and values
// of claims, a nil value leaves one out.
func (tpp *TPP) Grant(subject string, changes ...any) string {
	tpp.S.T.Helper()
	now := tpp.S.Clock.Now().Unix()
	claims := map[string]any{"iss": tpp.Metadata.ClientID, "sub": subject, "aud": tpp.Provider.Issuer, "jti": rand.Text(), "iat": now, "exp": now + 60}
	for i := 0; i+1 < len(changes); i += 2 {
		claims[changes[i].(string)] = changes[i+1]
		if changes[i+1] == nil {
			delete(claims, changes[i].(string))
		}
	}
	signed, err := tpp.SignAs(participant.TypeGrant, claims)
	if err != nil {
		tpp.S.T.Fatal(err)
	}
	return signed
}

// Bearer asks for a token with somebody's authorization grant; more as in Exchange.
func (tpp *TPP) Bearer(assertion string, more ...string) Answer {
	tpp.S.T.Helper()
	return tpp.Post("token_endpoint", with(url.Values{"grant_type": {participant.GrantJWTBearer}, "assertion": {assertion}}, more))
}

func with(form url.Values, more []string) url.Values {
	for i := 0; i+1 < len(more); i += 2 {
		if form.Set(more[i], more[i+1]); more[i+1] == "" {
			form.Del(more[i])
		}
	}
	return form
}

// Bank calls the bank with a token, the TPP's certificate and, if its tokens are
// bound so, a DPoP proof.
func (tpp *TPP) Bank(token string) Answer {
	tpp.S.T.Helper()
	return tpp.Call(token, http.MethodGet, tpp.S.MTLS+"/bank/accounts", nil, "")
}

// Call calls a protected API with a token, the TPP's certificate and, if its tokens
// are bound so, a DPoP proof.
func (tpp *TPP) Call(token, method, address string, header http.Header, body string) Answer {
	tpp.S.T.Helper()
	sent := http.Header{"Authorization": {"Bearer " + token}}
	if tpp.Metadata.DPoPBoundTokens {
		path, _, _ := strings.Cut(address, "?")
		proof, err := tpp.Proof(method, path, participant.Proof{Token: token})
		if err != nil {
			tpp.S.T.Fatal(err)
		}
		sent = http.Header{"Authorization": {"DPoP " + token}, "Dpop": {proof}}
	}
	for name, values := range header {
		sent[name] = values
	}
	return tpp.S.Do(tpp.HTTP, method, address, sent, body)
}
