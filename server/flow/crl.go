package flow

import (
	"context"
	"net/http"

	"github.com/fapid/fapid/server/endpoint"
)

// CRL serves the sandbox CA's revocation list (RFC 5280 section 5), where the
// certificates it issues say it is.
type CRL struct {
	List func(context.Context) ([]byte, error) // DER
}

// Install opens the list.
func (c *CRL) Install(site *endpoint.Site) {
	site.Open(endpoint.Route{Path: "/crl", Label: "crl", Methods: []string{http.MethodGet}, Open: true, Serve: c.serve})
}

func (c *CRL) serve(ctx context.Context, _ *endpoint.Request) (*endpoint.Answer, error) {
	der, err := c.List(ctx)
	if err != nil {
		return nil, err
	}
	return &endpoint.Answer{Body: der, Type: "application/pkix-crl"}, nil
}
