package server_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fapid/fapid/server/participant"
)

// callers is how many clients call at once: enough for 2 cores to be busy.
const callers = 16

// load calls one endpoint, from many clients at once, with requests that are
// bytes already: what the generator costs is not measured, but it runs on the
// same cores.
type load struct {
	address string
	tls     *tls.Config
	// handshake makes a connection for every request.
	handshake bool
	// request gives the next request; it is called from many goroutines.
	request func() []byte

	open []*line
}

// line is one connection.
type line struct {
	conn *tls.Conn
	in   *bufio.Reader
}

func (l *load) dial() (*line, error) {
	conn, err := tls.Dial("tcp", l.address, l.tls)
	if err != nil {
		return nil, err
	}
	return &line{conn, bufio.NewReader(conn)}, nil
}

// exchange sends a request and reads the answer.
func (c *line) exchange(request []byte) ([]byte, error) {
	if err := c.conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return nil, err
	}
	if _, err := c.conn.Write(request); err != nil {
		return nil, err
	}
	response, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode/100 != 2 {
		err = fmt.Errorf("status %s: %s", response.Status, body)
	}
	return body, err
}

// connect opens the connections that are kept alive.
func (l *load) connect(tb testing.TB) {
	tb.Helper()
	for len(l.open) < callers && !l.handshake {
		line, err := l.dial()
		if err != nil {
			tb.Fatal(err)
		}
		l.open = append(l.open, line)
		tb.Cleanup(func() { _ = line.conn.Close() })
	}
}

// fire sends n requests.
func (l *load) fire(tb testing.TB, n int) {
	tb.Helper()
	l.connect(tb)
	var sent atomic.Int64
	var calling sync.WaitGroup
	failures := make([]error, callers)
	for i := range callers {
		calling.Go(func() {
			for failures[i] == nil && sent.Add(1) <= int64(n) {
				failures[i] = l.call(i)
			}
		})
	}
	calling.Wait()
	for _, err := range failures {
		if err != nil {
			tb.Fatal(err)
		}
	}
}

func (l *load) call(i int) error {
	if !l.handshake {
		_, err := l.open[i].exchange(l.request())
		return err
	}
	line, err := l.dial()
	if err != nil {
		return err
	}
	defer func() { _ = line.conn.Close() }()
	_, err = line.exchange(l.request())
	return err
}

// clientTLS is the TLS configuration of a participant, HTTP/1.1 only.
func clientTLS(tb testing.TB, bed *bed, p *participant.Participant) *tls.Config {
	tb.Helper()
	roots, err := rootsOf(bed.dir)
	if err != nil {
		tb.Fatal(err)
	}
	config := p.Client(roots).Transport.(*http.Transport).TLSClientConfig
	config.NextProtos = []string{"http/1.1"}
	config.ServerName = "localhost"
	return config
}

// request writes an HTTP request, as a client library sends it. A body is a form,
// unless the header says otherwise.
func request(method, address, path string, header http.Header, body string) []byte {
	r, err := http.NewRequest(method, "https://"+address+path, strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	r.Header = http.Header{"User-Agent": {"fapid-bench"}, "Accept": {"application/json"}}
	if body != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for name, values := range header {
		r.Header[name] = values
	}
	var text bytes.Buffer
	if err := r.Write(&text); err != nil {
		panic(err)
	}
	return text.Bytes()
}

// always sends the same request again and again.
func always(request []byte) func() []byte { return func() []byte { return request } }

// once hands out requests that may be sent one time each.
type once struct {
	requests [][]byte
	next     atomic.Int64
}

func (o *once) take() []byte { return o.requests[o.next.Add(1)-1] }
