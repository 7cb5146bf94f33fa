package admin

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"strconv"
)

// InProcess serves requests by calling the handler, without a socket: for verbs
// that open the store themselves because no server runs.
func InProcess(handler http.Handler) http.RoundTripper { return inProcess{handler} }

type inProcess struct{ handler http.Handler }

// RoundTrip gives the handler the request as a server would read it.
func (p inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	served := r.Clone(r.Context())
	served.RequestURI = r.URL.RequestURI()
	served.URL = &url.URL{Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery}
	served.RemoteAddr = "in-process"
	if served.Host == "" {
		served.Host = r.URL.Host
	}
	if served.Body == nil {
		served.Body = http.NoBody
	}
	defer served.Body.Close() // what a RoundTripper owes its caller
	kept := &answer{header: http.Header{}}
	p.handler.ServeHTTP(kept, served)
	kept.WriteHeader(http.StatusOK)
	return &http.Response{
		Status:     strconv.Itoa(kept.status) + " " + http.StatusText(kept.status),
		StatusCode: kept.status,
		Proto:      "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        kept.header,
		Body:          io.NopCloser(&kept.body),
		ContentLength: int64(kept.body.Len()),
		Request:       r,
	}, nil
}

// answer keeps what a handler writes.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header { return a.header }

// WriteHeader counts once, as the server's does.
func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

func (a *answer) Write(content []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(content)
}
