package registration

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"code.dny.dev/ssrf"

	"github.com/fapid/fapid/oauth/jwk"
	"github.com/fapid/fapid/testkeys"
)

// Bounds of one fetch and of all that run at once.
const (
	fetchTimeout  = 3 * time.Second // unless another is configured
	maxFetchBytes = jwk.MaxSet
	maxFetches    = 64 // at once
)

// How long a fetched key set counts. A key that its owner removed has to stop
// working within a minute, so no Cache-Control lengthens that; while the owner's
// server fails, the last good copy stands in for a little longer.
const (
	maxFresh = 60 * time.Second
	maxStale = 5 * time.Minute // since it was fetched
)

// FetchConfig says where a [Fetcher] may go. Its zero value is the public
// internet on port 443.
type FetchConfig struct {
	// AllowPrivate are networks that are fetched from although they are not
	// public, such as 127.0.0.0/8 and ::1/128 in a sandbox.
	AllowPrivate []netip.Prefix
	// AnyPort allows ports other than 443.
	AnyPort bool
	// RootCAs are who may vouch for the other server; nil is the system's.
	RootCAs *x509.CertPool
	// Timeout is for one fetch, from name lookup to the last byte; 0 is 3 s.
	Timeout time.Duration
	// Own are documents of this process, which are not fetched over the network; nil
	// for none.
	Own Own
	// Now is the clock by which cached key sets age; nil is time.Now.
	Now func() time.Time
}

// Own are documents that this process publishes itself.
type Own interface {
	Document(uri string) (document []byte, ok bool)
	// Version is another number when the document may be another; it costs nothing to
	// ask, and is always 0 for what this process does not publish.
	Version(uri string) uint64
}

// Fetcher fetches what clients point to, and cannot be pointed at the inside of
// the network: https only, no redirects, no proxy, no compression, a few seconds,
// at most 64 KiB, and every address is judged when it is dialled, so that a name
// which answers differently the second time gains nothing. It also keeps the key
// sets it has fetched. It is safe for concurrent use.
type Fetcher struct {
	own     Own
	timeout time.Duration // of one fetch
	dialer  *net.Dialer
	client  *http.Client
	slots   chan struct{}
	sets    *jwk.Cache
}

// NewFetcher makes a Fetcher with an empty cache.
func NewFetcher(config FetchConfig) *Fetcher {
	f := &Fetcher{
		own:     config.Own,
		timeout: cmp.Or(config.Timeout, fetchTimeout),
		slots:   make(chan struct{}, maxFetches),
	}
	sets := jwk.CacheConfig{What: "jwks_uri", Load: f.Get, Fresh: maxFresh, Stale: maxStale, Refuse: testkeys.Refuse, Now: config.Now}
	if config.Own != nil {
		sets.Version = config.Own.Version
	}
	f.sets = jwk.NewCache(sets)
	f.dialer = &net.Dialer{Control: dialGuard(config)}
	f.client = &http.Client{
		Transport: &http.Transport{
			Proxy:                  nil,
			DialContext:            f.dialer.DialContext,
			TLSClientConfig:        &tls.Config{RootCAs: config.RootCAs, MinVersion: tls.VersionTLS12},
			DisableCompression:     true,
			DisableKeepAlives:      true,
			MaxResponseHeaderBytes: 16 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return f
}

// refusedAddress says that a connection was not made, and where to.
type refusedAddress struct {
	address string
	cause   error
}

func (e *refusedAddress) Error() string { return e.cause.Error() }
func (e *refusedAddress) Unwrap() error { return e.cause }

// dialGuard judges the address that is about to be connected to, after name
// resolution and for each address of a name.
func dialGuard(config FetchConfig) func(network, address string, conn syscall.RawConn) error {
	var v4, v6 []netip.Prefix
	for _, prefix := range config.AllowPrivate {
		if prefix.Addr().Is4() {
			v4 = append(v4, prefix)
		} else {
			v6 = append(v6, prefix)
		}
	}
	options := []ssrf.Option{ssrf.WithPorts(443), ssrf.WithAllowedV4Prefixes(v4...), ssrf.WithAllowedV6Prefixes(v6...)}
	if config.AnyPort {
		options = append(options, ssrf.WithAnyPort())
	}
	guardian := ssrf.New(options...)
	return func(network, address string, conn syscall.RawConn) error {
		if err := guardian.Safe(network, address, conn); err != nil {
			return &refusedAddress{address, err}
		}
		return nil
	}
}

// Get fetches one JSON document. The error names the URI and what was wrong,
// and is for the trace, not for the wire.
func (f *Fetcher) Get(ctx context.Context, uri string) ([]byte, http.Header, error) {
	if err := webURI(uri); err != nil {
		return nil, nil, err
	}
	if f.own != nil {
		if document, ok := f.own.Document(uri); ok {
			return document, http.Header{}, nil
		}
	}
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	select {
	case f.slots <- struct{}{}:
		defer func() { <-f.slots }()
	case <-ctx.Done():
		return nil, nil, fmt.Errorf("%s was not fetched: %d other fetches are under way", uri, maxFetches)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, uri, nil)
	if err != nil {
		return nil, nil, err
	}
	request.Header.Set("Accept", "application/jwk-set+json, application/json")
	request.Header.Set("User-Agent", "fapid")
	response, err := f.client.Do(request)
	if err != nil {
		return nil, nil, f.explain(uri, err)
	}
	defer response.Body.Close()
	if err := checkAnswer(response); err != nil {
		return nil, nil, fmt.Errorf("%s %w", uri, err)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxFetchBytes+1))
	if err != nil {
		return nil, nil, f.explain(uri, err)
	}
	if len(body) > maxFetchBytes {
		return nil, nil, fmt.Errorf("%s answered more than %d bytes", uri, maxFetchBytes)
	}
	return body, response.Header, nil
}

// checkAnswer looks at status and headers before a byte of the body is read.
func checkAnswer(response *http.Response) error {
	if response.StatusCode/100 == 3 {
		return fmt.Errorf("answered %d; redirects are not followed", response.StatusCode)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("answered %d", response.StatusCode)
	}
	if response.ContentLength > maxFetchBytes {
		return fmt.Errorf("answered %d bytes, more than %d", response.ContentLength, maxFetchBytes)
	}
	if encoding := response.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return fmt.Errorf("answered with Content-Encoding %s, which was not asked for", quote(encoding))
	}
	media := response.Header.Get("Content-Type")
	kind, _, err := mime.ParseMediaType(media)
	json := kind == "application/json" || strings.HasPrefix(kind, "application/") && strings.HasSuffix(kind, "+json")
	if err != nil || !json {
		return fmt.Errorf("answered with Content-Type %s, expected application/json or application/jwk-set+json", quote(media))
	}
	return nil
}

func (f *Fetcher) explain(uri string, err error) error {
	var refused *refusedAddress
	switch {
	case errors.As(err, &refused) && errors.Is(err, ssrf.ErrProhibitedPort):
		return fmt.Errorf("%s goes to port %s, which fapid does not fetch from: %w", uri, refused.address[strings.LastIndexByte(refused.address, ':')+1:], err)
	case errors.As(err, &refused):
		host, _, _ := net.SplitHostPort(refused.address)
		return fmt.Errorf("%s resolves to %s, which fapid does not fetch: %w", uri, host, err)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s did not answer completely within %s: %w", uri, f.timeout, err)
	}
	return fmt.Errorf("%s cannot be fetched: %w", uri, err)
}
