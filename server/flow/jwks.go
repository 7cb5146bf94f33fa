package flow

import (
	"context"
	"net/http"

	"github.com/fapid/fapid/server/endpoint"
	"github.com/fapid/fapid/server/token"
)

// JWKS publishes the realm's signing keys (RFC 7517).
type JWKS struct{ Keys *token.Keyring }

// jwksMaxAge: the next key is published well before it signs, so a resource
// server may keep the set for some minutes and never meet an unknown key.
const jwksMaxAge = "public, max-age=300"

// Install opens the key set.
func (j *JWKS) Install(site *endpoint.Site) {
	site.Open(endpoint.Route{Name: "jwks_uri", Methods: []string{http.MethodGet}, Open: true, Serve: j.serve})
}

func (j *JWKS) serve(context.Context, *endpoint.Request) (*endpoint.Answer, error) {
	return &endpoint.Answer{
		Header: http.Header{"Cache-Control": {jwksMaxAge}},
		Body:   j.Keys.JWKS(), Type: "application/jwk-set+json",
	}, nil
}
