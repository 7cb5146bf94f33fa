package resource

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	strict "github.com/go-jose/go-jose/v4/json"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/oauth/jwk"
)

// Bounds of one request to the issuer.
const (
	requestTimeout = 5 * time.Second // from name lookup to the last byte
	maxAnswer      = jwk.MaxSet      // bytes
	maxRequests    = 32              // connections at once
)

// How long the issuer's keys count without being looked at again, and how long
// they stand in while the issuer cannot be reached: as long as most tokens live,
// since there are no new ones meanwhile.
const (
	keysFresh = 5 * time.Minute
	keysStale = time.Hour
)

// metadata is what is used of a discovery document (OpenID Connect Discovery
// section 3, RFC 8414 section 2).
type metadata struct {
	Issuer        string            `json:"issuer"`
	JWKSURI       string            `json:"jwks_uri"`
	Introspection string            `json:"introspection_endpoint"`
	Aliases       map[string]string `json:"mtls_endpoint_aliases"` // RFC 8705 section 5
}

// issuer is the authorization server as the API sees it.
type issuer struct {
	id     string
	client *http.Client
	keys   *jwk.Keys
	found  atomic.Pointer[metadata]
}

func newIssuer(config *Config) *issuer {
	transport := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		TLSClientConfig:        &tls.Config{RootCAs: config.Roots, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:      true,
		DisableCompression:     true,
		MaxConnsPerHost:        maxRequests,
		MaxIdleConnsPerHost:    maxRequests,
		IdleConnTimeout:        time.Minute,
		MaxResponseHeaderBytes: 16 << 10,
	}
	if own := config.Introspection; own != nil && own.Certificate != nil {
		transport.TLSClientConfig.Certificates = []tls.Certificate{*own.Certificate}
	}
	i := &issuer{id: config.Issuer, client: &http.Client{
		Transport: transport,
		Timeout:   requestTimeout,
		// Whoever follows a redirect believes another server than the configured one.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	cache := jwk.NewCache(jwk.CacheConfig{What: "keys of", Load: i.load, Fresh: keysFresh, Stale: keysStale, Now: config.Now})
	// The keys are the issuer's own affair: fapid serves no token signed by one
	// that everybody has, except in a sandbox.
	i.keys = cache.Keys(config.Issuer, true)
	return i
}

// load reads the issuer's discovery document and then its key set, every time:
// the address of the set may change, and is asked for rarely.
func (i *issuer) load(ctx context.Context, id string) ([]byte, http.Header, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	found, err := i.discover(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", id, err)
	}
	i.found.Store(found)
	if found.JWKSURI == "" {
		return []byte(`{"keys":[]}`), nil, nil // it signs no tokens
	}
	body, header, err := i.get(ctx, found.JWKSURI)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", id, err)
	}
	return body, header, nil
}

// errNotThere says that an address has nothing.
var errNotThere = errors.New("answered 404")

// discover looks for the document where OpenID Connect Discovery section 4 has it,
// and then where RFC 8414 section 3.1 does, and makes sure that it is the issuer's.
func (i *issuer) discover(ctx context.Context) (*metadata, error) {
	base, err := url.Parse(i.id)
	if err != nil {
		return nil, err
	}
	path := strings.TrimSuffix(base.EscapedPath(), "/")
	origin := base.Scheme + "://" + base.Host
	body, _, err := i.get(ctx, origin+path+"/.well-known/openid-configuration")
	if errors.Is(err, errNotThere) {
		body, _, err = i.get(ctx, origin+"/.well-known/oauth-authorization-server"+path)
	}
	if err != nil {
		return nil, fmt.Errorf("discovery: %w", err)
	}
	var found metadata
	if err := strict.Unmarshal(body, &found); err != nil {
		return nil, fmt.Errorf("discovery: %s", oauth.JSONText(err))
	}
	if found.Issuer != i.id {
		return nil, fmt.Errorf("discovery: the document there is of issuer %s", oauth.Quote(found.Issuer))
	}
	for _, address := range []string{found.JWKSURI, found.Introspection, found.Aliases["introspection_endpoint"]} {
		if address == "" {
			continue
		}
		if err := secure(address); err != nil {
			return nil, fmt.Errorf("discovery: %w", err)
		}
	}
	return &found, nil
}

// endpoints are the addresses that the issuer gives.
func (i *issuer) endpoints(ctx context.Context) (*metadata, error) {
	if found := i.found.Load(); found != nil {
		return found, nil
	}
	if err := i.keys.Fetch(ctx); err != nil {
		return nil, err
	}
	return i.found.Load(), nil
}

// get fetches a JSON document.
func (i *issuer) get(ctx context.Context, address string) ([]byte, http.Header, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, nil, err
	}
	request.Header.Set("Accept", "application/json, application/jwk-set+json")
	reply, err := i.do(request)
	switch {
	case err != nil:
		return nil, nil, err
	case reply.status == http.StatusNotFound:
		return nil, nil, fmt.Errorf("%s %w", address, errNotThere)
	case reply.status != http.StatusOK:
		return nil, nil, fmt.Errorf("%s answered %d", address, reply.status)
	}
	return reply.body, reply.header, reply.isJSON()
}

// reply is an answer of the issuer.
type reply struct {
	address string
	status  int
	header  http.Header
	body    []byte
}

// do sends a request and reads the answer, which is bounded.
func (i *issuer) do(request *http.Request) (*reply, error) {
	request.Header.Set("User-Agent", "fapid-resource")
	response, err := i.client.Do(request) //nolint:gosec // the addresses are configured, or the configured issuer's
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	address := request.URL.Redacted()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", address, err)
	}
	if len(body) > maxAnswer {
		return nil, fmt.Errorf("%s answered more than %d bytes", address, maxAnswer)
	}
	return &reply{address, response.StatusCode, response.Header, body}, nil
}

func (r *reply) isJSON() error {
	media := r.header.Get("Content-Type")
	kind, _, err := mime.ParseMediaType(media)
	json := kind == "application/json" || strings.HasPrefix(kind, "application/") && strings.HasSuffix(kind, "+json")
	if err != nil || !json {
		return fmt.Errorf("%s answered with Content-Type %s, not JSON", r.address, oauth.Quote(media))
	}
	return nil
}

// secure wants an https URL; http is for a server on this machine.
func secure(address string) error {
	parsed, err := url.Parse(address)
	switch {
	case err != nil || parsed.Host == "" || parsed.User != nil || parsed.Fragment != "":
		return fmt.Errorf("%s is not an absolute URL", oauth.Quote(address))
	case parsed.Scheme == "https", parsed.Scheme == "http" && loopback(parsed.Hostname()):
		return nil
	}
	return fmt.Errorf("%s does not begin with https:// (http:// is for localhost only)", oauth.Quote(address))
}

func loopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && address.IsLoopback()
}
