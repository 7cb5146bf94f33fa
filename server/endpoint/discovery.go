package endpoint

import (
	"context"
	"net/http"
)

// discoveryMaxAge lets clients keep the document for five minutes: long enough
// to matter, short enough that a tester's change of configuration is seen.
const discoveryMaxAge = "public, max-age=300"

// Discovery returns the realm's discovery document.
func (s *Site) Discovery() []byte { return s.document }

func (s *Site) discover(context.Context, *Request) (*Answer, error) {
	return &Answer{
		Header: http.Header{"Cache-Control": {discoveryMaxAge}},
		Body:   s.document,
		Type:   "application/json",
	}, nil
}
