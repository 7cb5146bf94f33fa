package drill

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/server/participant"
)

// Result is what a server did with a certificate, beside what it should have done.
type Result struct {
	Name     string `json:"name"`
	About    string `json:"about"`
	Expected string `json:"expected"`          // "accepted", or the check that refuses it
	Seen     string `json:"seen"`              // likewise; the error code where the check is not known
	Status   int    `json:"status,omitempty"`  // HTTP; 0 where TLS failed
	Trace    string `json:"trace,omitempty"`   // X-Fapid-Trace
	Skipped  string `json:"skipped,omitempty"` // why it was not tried
	// Differs says that it was accepted though it should have been refused, refused
	// though it should have been accepted, or refused for another reason.
	Differs bool `json:"differs"`
}

// Accepted is what Expected and Seen say of a certificate that is good.
const Accepted = "accepted"

// Server is whom the certificates are presented to.
type Server struct {
	Provider *participant.Provider
	Roots    *x509.CertPool
	// Explain finds the check that refused a request by its trace; nil for a server
	// that keeps no traces for us.
	Explain func(ctx context.Context, trace string) (*oauth.Event, error)
}

// Run asks for a token with every certificate in turn.
func (s *Server) Run(ctx context.Context, p *participant.Participant, certificates []Certificate) ([]Result, error) {
	results := make([]Result, 0, len(certificates))
	for _, c := range certificates {
		result, err := s.try(ctx, p, c)
		if err != nil {
			return nil, err
		}
		results = append(results, result)
	}
	return results, nil
}

func (s *Server) try(ctx context.Context, p *participant.Participant, c Certificate) (Result, error) {
	result := Result{Name: c.Name, About: c.About, Expected: c.Expected, Skipped: c.Skipped}
	if c.Expected == "" {
		result.Expected = Accepted
	}
	if c.Skipped != "" {
		return result, nil
	}
	holder := *p
	holder.Transport, holder.TransportKey = c.Chain, c.Key
	holder.Metadata.CertificateBoundTokens = true // at the mTLS alias, whatever it authenticates by
	client := holder.Client(s.Roots)
	transport := client.Transport.(*http.Transport)
	defer transport.CloseIdleConnections()
	// Go would withhold what it thinks the server cannot take.
	pair := transport.TLSClientConfig.Certificates[0]
	transport.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }

	reply, err := holder.Post(ctx, client, s.Provider, "token_endpoint", url.Values{"grant_type": {"client_credentials"}})
	if err != nil {
		if ctx.Err() != nil {
			return result, err
		}
		result.Seen = "TLS: " + err.Error()
		result.Differs = c.Expected == ""
		return result, nil
	}
	err = s.judge(ctx, &result, reply, c.Expected)
	return result, err
}

// judge compares an answer with what was expected. Where there is a trace, the check
// that failed has to be the right one; elsewhere a refusal is a refusal.
func (s *Server) judge(ctx context.Context, result *Result, reply *participant.Reply, expected string) error {
	result.Status, result.Trace = reply.Status, reply.Header.Get("X-Fapid-Trace")
	if reply.Status == http.StatusOK {
		result.Seen, result.Differs = Accepted, expected != ""
		return nil
	}
	var refusal struct {
		Code string `json:"error"`
	}
	_ = json.Unmarshal(reply.Body, &refusal) // an answer that is none is one, too
	result.Seen = refusal.Code
	result.Differs = expected == ""
	if s.Explain == nil || result.Trace == "" {
		return nil
	}
	event, err := s.Explain(ctx, result.Trace)
	if err != nil {
		return err
	}
	if check, failed := event.Failed(); failed {
		result.Seen = check.Name
	}
	result.Differs = result.Seen != expected || reply.Status != http.StatusUnauthorized || refusal.Code != oauth.CodeInvalidClient
	return nil
}
