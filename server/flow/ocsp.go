package flow

import (
	"context"
	"encoding/base64"
	"mime"
	"net/http"

	"github.com/fapid/fapid/certs"
	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/server/endpoint"
)

// OCSP serves the sandbox CA's OCSP responder (RFC 6960 appendix A, RFC 5019), where
// the certificates it issues say it is.
type OCSP struct {
	Answer func(context.Context, []byte) certs.OCSPAnswer
}

// Paths of the responder: requests by POST, and by GET in the path.
const (
	ocspPath     = "/ocsp"
	ocspRequests = ocspPath + "/{request:.+}"
)

const (
	ocspRequestType  = "application/ocsp-request"
	ocspResponseType = "application/ocsp-response"
)

// Install opens the responder.
func (o *OCSP) Install(site *endpoint.Site) {
	site.Open(endpoint.Route{Path: ocspPath, Label: "ocsp", Methods: []string{http.MethodPost}, Serve: o.post})
	// Base64 has slashes, pluses and equal signs, which some clients escape.
	site.Open(endpoint.Route{Path: ocspRequests, Label: "ocsp", Methods: []string{http.MethodGet}, Item: true, Open: true, Serve: o.get})
}

func (o *OCSP) post(ctx context.Context, r *endpoint.Request) (*endpoint.Answer, error) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != ocspRequestType {
		return nil, oauth.UnsupportedMediaType("Content-Type must be %s", ocspRequestType)
	}
	body, err := r.ReadBody()
	if err != nil {
		return nil, err
	}
	answer, _ := o.ask(ctx, r, []byte(body))
	return answer, nil
}

func (o *OCSP) get(ctx context.Context, r *endpoint.Request) (*endpoint.Answer, error) {
	// What is no base64 is no request either, and the responder says so.
	der, err := base64.StdEncoding.DecodeString(r.Path["request"])
	if err != nil {
		der = nil
	}
	answer, reusable := o.ask(ctx, r, der)
	if reusable {
		// A cache may not hide a revocation for longer than a second.
		answer.Header = http.Header{"Cache-Control": {"public, max-age=1, no-transform, must-revalidate"}}
	}
	return answer, nil
}

// ask has the request answered. A responder refuses in its own protocol, with
// status 200 (RFC 6960 appendix A.2), so that the reason is in the trace alone.
func (o *OCSP) ask(ctx context.Context, r *endpoint.Request, der []byte) (answer *endpoint.Answer, reusable bool) {
	reply := o.Answer(ctx, der)
	if reply.Problem != nil {
		r.Event.Fail("OCSP request", "an OCSPRequest (RFC 6960 section 4.1)", reply.Problem.Error(), "ask as openssl ocsp does, for at most 16 certificates")
	}
	return &endpoint.Answer{Body: reply.DER, Type: ocspResponseType}, reply.Problem == nil && !reply.Once
}
