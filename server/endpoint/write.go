package endpoint

import (
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"net/http"
	"strconv"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/server/resource"
)

// errorBody is the wire form of a refusal (RFC 6749 section 5.2).
type errorBody struct {
	Error       string `json:"error"`
	Description string `json:"error_description,omitempty"`
	URI         string `json:"error_uri,omitempty"`
}

// Headers of every answer. The values are shared by all of them: set another,
// never change one in place.
var (
	noStore    = []string{"no-store"} // RFC 6749 section 5.1
	noCache    = []string{"no-cache"} // the same, for caches of HTTP/1.0
	noSniff    = []string{"nosniff"}
	noReferrer = []string{"no-referrer"}
)

// write sends the answer or, if there is an error, the refusal. Nothing else in
// the server writes to a client.
func (ro *Router) write(w http.ResponseWriter, r *Request, route *Route, answer *Answer, err error) {
	header := w.Header()
	header["Cache-Control"] = noStore
	header["X-Content-Type-Options"] = noSniff
	header["Referrer-Policy"] = noReferrer
	if r.ProtoMajor == 1 && len(r.TransferEncoding) > 0 {
		// RFC 9112 section 6.1: a request with Transfer-Encoding may have had a
		// Content-Length too, which net/http drops without a word, and then what
		// follows on the connection may be smuggled.
		header.Set("Connection", "close")
	}
	if r.sender.Nonce != "" {
		header.Set("DPoP-Nonce", r.sender.Nonce) // RFC 9449 section 8.2
	}
	if route.Open {
		header.Set("Access-Control-Allow-Origin", "*")
	} else {
		header["Pragma"] = noCache
	}
	var body []byte
	var media string
	if err == nil {
		if body, media, err = answer.encode(); err == nil {
			for name, values := range answer.Header {
				header[name] = values
			}
		}
	}
	status := http.StatusOK
	if err != nil {
		refusal := oauth.AsError(err)
		status = refusal.Status
		body, media = ro.refuse(header, r, route, refusal)
	} else if answer.Status != 0 {
		status = answer.Status
	}
	r.Event.Status = status
	if media != "" {
		header.Set("Content-Type", media)
	}
	if len(body) > 0 {
		header.Set("Content-Length", strconv.Itoa(len(body)))
	}
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the client is gone; there is nobody to tell
	}
}

// refuse writes the refusal into event and headers and returns its body.
func (ro *Router) refuse(header http.Header, r *Request, route *Route, refusal oauth.Error) ([]byte, string) {
	event := r.Event
	event.Error, event.Description, event.Reason = refusal.Code, refusal.Description, oauth.Clip(refusal.Reason)
	problem := errorBody{Error: refusal.Code, Description: refusal.Description}
	if r.Site != nil && r.Site.Sandbox {
		problem.URI = r.Site.TraceURL + "/traces/" + event.ID
	}
	switch {
	case route.challenges(refusal):
		challenge := resource.Challenge{Realm: r.issuer(), URI: problem.URI}
		if route.Guard != nil {
			challenge.Basic = route.Guard.Basic != nil
			if r.Sender().Bases[0] != "" {
				challenge.Algs = route.Guard.Binder.Algs
			}
		}
		header["Www-Authenticate"] = challenge.Headers(r.Header["Authorization"], refusal)
	case refusal.Code == oauth.CodeInvalidClient && r.Header.Get("Authorization") != "":
		// RFC 6749 section 5.2: answer with the scheme the client used.
		header.Set("WWW-Authenticate", `Basic realm="`+r.issuer()+`"`)
	case refusal.Status == http.StatusMethodNotAllowed:
		if at, _ := ro.find(r.Request); at != nil {
			header.Set("Allow", at.methods())
		}
	}
	refusal.Retry(header)
	answer := &Answer{JSON: problem}
	if route.Refusal != nil {
		answer = route.Refusal(refusal, problem.URI)
	}
	body, media, err := answer.encode()
	if err != nil {
		return []byte(`{"error":"server_error"}`), "application/json"
	}
	return body, media
}

// challenges reports whether a refusal says how to authenticate: one of the token that
// the request came with, or lacks (RFC 6750 section 3.1). Clients take a challenge for
// what is wrong, so that a refusal of anything else has none.
func (r *Route) challenges(refusal oauth.Error) bool {
	switch {
	case !r.Bearer && r.Guard == nil:
		return false
	case refusal.Status == http.StatusUnauthorized, refusal.Code == oauth.CodeInsufficientScope:
		return true
	}
	return r.Guard != nil && refusal.Code == oauth.CodeInvalidRequest
}

func (r *Request) issuer() string {
	if r.Site == nil {
		return "fapid"
	}
	return r.Site.Issuer
}

// panicked turns a panic into a server_error; the reason stays in the trace.
func (ro *Router) panicked(w http.ResponseWriter, r *Request, fault any) {
	if fault == http.ErrAbortHandler { //nolint:errorlint // a panic's value, which net/http compares so too
		panic(fault)
	}
	err := oauth.ServerError().Because("panic: %v", fault)
	ro.write(w, r, &Route{}, nil, err)
}

// NewTraceID makes an identifier of 64 random bits, in hex.
func NewTraceID() string {
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails (crypto/rand)
	return hex.EncodeToString(id[:])
}

// tlsLabel names a connection's protocol version and suite without allocating
// for the combinations the listeners offer.
func tlsLabel(version, suite uint16) string {
	if label, ok := tlsLabels[[2]uint16{version, suite}]; ok {
		return label
	}
	return tls.VersionName(version) + ", " + tls.CipherSuiteName(suite)
}

var tlsLabels = func() map[[2]uint16]string {
	labels := map[[2]uint16]string{}
	for _, suite := range tls.CipherSuites() {
		for _, version := range suite.SupportedVersions {
			labels[[2]uint16{version, suite.ID}] = tls.VersionName(version) + ", " + suite.Name
		}
	}
	return labels
}()
