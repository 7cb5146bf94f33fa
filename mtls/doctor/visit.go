package doctor

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// maxHosts bounds how many hosts a discovery document can send the doctor to.
const maxHosts = 6

// suiteCallers bounds the handshakes in flight, so that a server that counts
// connections is not alarmed.
const suiteCallers = 6

// visit is what one host showed.
type visit struct {
	hello    handshake            // everything offered
	versions map[uint16]handshake // one version offered; TLS 1.0 to 1.3
	suites   []suiteProbe         // one TLS 1.2 suite offered

	// The same token request without any parameter; nil if not sent.
	with      *exchange // with the certificate
	without   *exchange
	withTLS12 *exchange // with the certificate if there is one, TLS 1.2 only
}

// suiteProbe is the answer to one TLS 1.2 suite.
type suiteProbe struct {
	suite    *tls.CipherSuite
	accepted bool
	timedOut bool
}

// gather does all the network's work: the issuer's host must answer before the
// metadata is read, and the metadata names the other hosts.
func (e *examination) gather(ctx context.Context) {
	issuer := e.target.host
	issuer.browser = true
	e.hosts = []*host{issuer}
	e.Progress("connecting to " + issuer.addr)
	issuer.hello = e.probe.shake(ctx, issuer, hello())
	if !issuer.hello.chosen {
		return
	}
	e.Progress("reading the metadata of " + e.target.issuer)
	e.fetchDocuments(ctx)
	e.findHosts()

	var wait sync.WaitGroup
	for _, h := range e.hosts {
		wait.Go(func() { e.examineHost(ctx, h) })
	}
	wait.Wait()
}

// hello is the offer of a browser that also speaks what is obsolete.
func hello() offer {
	o := anything()
	o.alpn = []string{"h2", "http/1.1"}
	return o
}

// findHosts adds the hosts of the aliases, and of the token endpoint if it has
// none, and notes what each is for.
func (e *examination) findHosts() {
	if e.meta.members == nil {
		return
	}
	aliases, _ := e.meta.aliases()
	for _, endpoint := range aliasable {
		if u := httpsURL(asText(aliases[endpoint.member])); u != nil {
			if h := e.host(u); h != nil {
				h.mtls = true
			}
		}
	}
	if u := httpsURL(e.meta.endpoint("token_endpoint")); u != nil {
		if h := e.host(u); h != nil {
			h.token = u.String()
			h.mtls = h.mtls || e.meta.announcesMTLS() || e.own != nil
		}
	}
}

// host returns the host of a URL, adding it if there is room.
func (e *examination) host(u *url.URL) *host {
	h := hostOf(u)
	for _, known := range e.hosts {
		if known.addr == h.addr {
			return known
		}
	}
	if len(e.hosts) == maxHosts {
		return nil
	}
	e.hosts = append(e.hosts, h)
	return h
}

func (e *examination) examineHost(ctx context.Context, h *host) {
	if h != e.target.host {
		e.Progress("connecting to " + h.addr)
		h.hello = e.probe.shake(ctx, h, hello())
	}
	if !h.hello.chosen {
		return
	}
	var wait sync.WaitGroup
	defer wait.Wait()
	if h.token != "" {
		e.Progress("sending an empty token request to " + h.addr)
		wait.Go(func() { h.without = e.emptyTokenRequest(ctx, h, anything()) })
		if h.mtls {
			tls12 := only(tls.VersionTLS12)
			tls12.present = true
			wait.Go(func() { h.withTLS12 = e.emptyTokenRequest(ctx, h, tls12) })
		}
		if e.probe.present != nil {
			o := anything()
			o.present = true
			wait.Go(func() { h.with = e.emptyTokenRequest(ctx, h, o) })
		}
	}
	e.Progress("trying TLS versions and suites on " + h.addr)
	e.tryVersions(ctx, h)
	if h.versions[tls.VersionTLS12].chosen {
		e.trySuites(ctx, h)
	}
}

func (e *examination) tryVersions(ctx context.Context, h *host) {
	versions := []uint16{tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12, tls.VersionTLS13}
	seen := make([]handshake, len(versions))
	var wait sync.WaitGroup
	for i, version := range versions {
		wait.Go(func() { seen[i] = e.probe.shake(ctx, h, only(version)) })
	}
	wait.Wait()
	h.versions = make(map[uint16]handshake)
	for i, version := range versions {
		h.versions[version] = seen[i]
	}
}

// trySuites offers every TLS 1.2 suite Go has, one by one. The whole has twice
// the time of one probe, so that a server that swallows packets cannot hold it.
func (e *examination) trySuites(ctx context.Context, h *host) {
	ctx, cancel := context.WithTimeout(ctx, 2*e.probe.timeout)
	defer cancel()
	for _, suite := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
		if slices.Contains(suite.SupportedVersions, tls.VersionTLS12) {
			h.suites = append(h.suites, suiteProbe{suite: suite})
		}
	}
	var wait sync.WaitGroup
	slots := make(chan struct{}, suiteCallers)
	for i := range h.suites {
		wait.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			probe := &h.suites[i]
			o := only(tls.VersionTLS12)
			o.suites = []uint16{probe.suite.ID}
			o.present = true
			seen := e.probe.shake(ctx, h, o)
			probe.accepted = seen.chosen
			probe.timedOut = !seen.chosen && seen.err != nil && (isTimeout(seen.err) || ctx.Err() != nil)
		})
	}
	wait.Wait()
}

// emptyTokenRequest sends what no server can grant, to see how it refuses.
func (e *examination) emptyTokenRequest(ctx context.Context, h *host, o offer) *exchange {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, h.token, strings.NewReader(""))
	if err != nil {
		return &exchange{handshake: handshake{err: fmt.Errorf("token endpoint: %w", err)}}
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "fapid-doctor")
	r.Header.Set("Connection", "close")
	x := e.probe.do(ctx, h, o, r)
	return &x
}
