package drill

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/url"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/server/participant"
)

// FamilyCertificates is the family of certificates.
const FamilyCertificates = "certs"

// Server is whom certificates are presented to. None is needed to list them.
type Server struct {
	Provider *participant.Provider
	Roots    *x509.CertPool
}

// Present has the participant ask for a token with every certificate in turn.
func (s Server) Present(p *participant.Participant, certificates []Certificate) []Case {
	cases := make([]Case, len(certificates))
	for i, c := range certificates {
		cases[i] = Case{Family: FamilyCertificates, Name: c.Name, About: c.About, Check: c.Expected, Skipped: c.Skipped}
		if c.Expected != "" {
			cases[i].Error = oauth.CodeInvalidClient
		}
		cases[i].try = func(ctx context.Context) (*participant.Reply, error) { return s.present(ctx, p, c) }
	}
	return cases
}

func (s Server) present(ctx context.Context, p *participant.Participant, c Certificate) (*participant.Reply, error) {
	holder := *p
	holder.Transport, holder.TransportKey = c.Chain, c.Key
	holder.Metadata.CertificateBoundTokens = true // at the mTLS alias, whatever it authenticates by
	client := holder.Client(s.Roots)
	transport := client.Transport.(*http.Transport)
	defer transport.CloseIdleConnections()
	// Go would withhold what it thinks the server cannot take.
	pair := transport.TLSClientConfig.Certificates[0]
	transport.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	return holder.Post(ctx, client, s.Provider, "token_endpoint", url.Values{"grant_type": {"client_credentials"}})
}
