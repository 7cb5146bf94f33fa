// Package endpoint stands between HTTP and the features: it routes, reads the
// request once, gives every request one event, and is the only place that
// writes an answer or an error.
package endpoint

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/server/binding"
	"github.com/fapid/fapid/server/token"
)

// The listeners a request can arrive on.
const (
	Standard  = "standard"  // server-authenticated TLS; never asks for a certificate
	MTLS      = "mtls"      // asks for a client certificate; behind mtls_endpoint_aliases
	Directory = "directory" // asks for a client certificate; the directory of participants
	Admin     = "admin"     // the operator's, loopback
)

// MaxBody is the most a request body may hold, in bytes.
const MaxBody = 64 << 10

// Request is one HTTP request to a feature.
type Request struct {
	*http.Request
	Event *oauth.Event
	Site  *Site
	// Listener says where the request came in, such as Standard.
	Listener string
	// Certificate is what the client presented, not yet verified; nil for none.
	Certificate *mtls.Presented
	// Form holds the body's parameters where the route asked for them.
	Form oauth.Form
	// Path holds the variables of a templated path.
	Path map[string]string
	// Claims are those of the access token, at a route with a guard; nil where
	// the client came by HTTP Basic.
	Claims *token.Claims
	// Held is what the caller may do here, at a route with a guard.
	Held oauth.Scope

	sender binding.Sender
}

// Sender is what the request shows of who sends it, for the binding of tokens.
// The address is the configured one; no header tells of another.
func (r *Request) Sender() *binding.Sender {
	if r.sender.Event == nil {
		r.sender = binding.Sender{
			Certificate: r.Certificate, Authorization: r.Header["Authorization"], Proofs: r.Header["Dpop"],
			Method: r.Method, Path: r.URL.EscapedPath(), Query: r.URL.RawQuery, Bases: [2]string{r.Site.StandardURL, r.Site.MTLSURL},
			Event: r.Event,
		}
	}
	return &r.sender
}

// Answer is what a handler returns; only this package writes it.
type Answer struct {
	Status int         // 0 means 200
	Header http.Header // added to the answer's headers
	JSON   any         // written as JSON, unless Body is set
	Body   []byte
	Type   string // media type; empty is application/json for JSON
}

// Handler serves one route. An error that is no [oauth.Error] is a server_error.
type Handler func(ctx context.Context, r *Request) (*Answer, error)

// readForm reads the body as a form: RFC 6749 section 3.2 wants the parameters
// in the body, so a query is refused rather than merged.
func (r *Request) readForm() error {
	if r.URL.RawQuery != "" {
		return oauth.InvalidRequest("parameters belong in the body, not in the URL")
	}
	parse, err := r.formParser()
	if err != nil {
		return err
	}
	body, err := r.ReadBody()
	if err != nil {
		return err
	}
	r.Form, err = parse(body)
	return err
}

// formParser chooses by the media type; JSON is for realms that allow it.
func (r *Request) formParser() (func(string) (oauth.Form, error), error) {
	media := r.Header.Get("Content-Type")
	if media == formType {
		return oauth.ParseForm, nil
	}
	parsed, _, err := mime.ParseMediaType(media)
	switch {
	case err == nil && parsed == formType:
		return oauth.ParseForm, nil
	case err == nil && parsed == jsonType && r.Site.JSON:
		return oauth.ParseJSONForm, nil
	case r.Site.JSON:
		return nil, oauth.InvalidRequest("Content-Type must be %s or %s", formType, jsonType)
	}
	return nil, oauth.InvalidRequest("Content-Type must be %s", formType)
}

const (
	formType = "application/x-www-form-urlencoded"
	jsonType = "application/json"
)

// ReadBody reads the whole body, at most [MaxBody] bytes. What the body is must be
// said once: two readers could take it for different things. It is read as it comes;
// one that is said to be compressed is refused whether it is or not, because a reader
// in front of us would read another.
func (r *Request) ReadBody() (string, error) {
	if len(r.Header["Content-Type"]) > 1 {
		return "", oauth.InvalidRequest("Content-Type is given %d times", len(r.Header["Content-Type"]))
	}
	if coding := r.Header["Content-Encoding"]; len(coding) > 0 && !(len(coding) == 1 && strings.EqualFold(coding[0], "identity")) {
		// RFC 9110 section 8.4: 415.
		return "", oauth.UnsupportedMediaType("the body must not have a Content-Encoding")
	}
	if r.ContentLength > MaxBody {
		return "", oauth.RequestTooLarge("the body may hold %d bytes", MaxBody)
	}
	// Room for what is announced, so that a form is read with one call into one
	// piece of memory; io.Copy and io.ReadAll would make 32 KiB or several.
	body := bytes.NewBuffer(make([]byte, 0, max(r.ContentLength, 0)+bytes.MinRead))
	n, err := body.ReadFrom(io.LimitReader(r.Body, MaxBody+1))
	switch {
	case err != nil:
		return "", oauth.InvalidRequest("the body could not be read").Because("%w", err)
	case n > MaxBody:
		return "", oauth.RequestTooLarge("the body may hold %d bytes", MaxBody)
	}
	return body.String(), nil
}

// encode gives the answer's body and media type.
func (a *Answer) encode() ([]byte, string, error) {
	if a.Body != nil || a.JSON == nil {
		return a.Body, a.Type, nil
	}
	body, err := json.Marshal(a.JSON)
	return body, cmp.Or(a.Type, jsonType), err
}
