package endpoint

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/mux"

	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/oauth"
)

// Router serves the sites of all realms on one listener. gorilla/mux matches the
// paths; everything that must hold for every request, also for the 404 and the
// 405 that mux answers by itself, is wrapped around it.
type Router struct {
	// Listener is Standard, MTLS, Directory or Admin.
	Listener string
	// Forwarding knows the trusted proxies, and takes the client certificate from
	// their header on the listeners that ask for one. Nil trusts nobody; every other such
	// header is refused.
	Forwarding *mtls.Forwarding
	// AnyHost leaves out the comparison of SNI and Host: for plain HTTP.
	AnyHost bool
	// Finished is told of every finished request; it must not keep the event.
	Finished []func(*oauth.Event)
	// Traces takes the events over.
	Traces *Traces

	mux   mux.Router
	exact map[string]*served
	pool  sync.Pool
}

// served is one route of one site, and the methods open at its path.
type served struct {
	site   *Site
	routes []Route
	// gateways are who may ask here; nil for everybody.
	gateways *mtls.Forwarding
	// item is what stands before the id in the path of an item.
	item string
}

// Mount serves a site's routes. Two sites may not claim one path, nor may two
// endpoints of a site claim one method at a path: the later could not be reached.
func (ro *Router) Mount(site *Site) error {
	if ro.exact == nil {
		ro.exact = map[string]*served{}
	}
	for _, route := range site.routes {
		at := ro.exact[route.Path]
		if at == nil {
			at = &served{site: site, gateways: route.Gateways}
			if route.Item {
				at.item, _, _ = strings.Cut(route.Path, "{")
			}
			ro.exact[route.Path] = at
			if strings.Contains(route.Path, "{") {
				ro.mux.Path(route.Path).Handler(at)
			}
		}
		if at.site != site {
			return &PathTaken{Path: route.Path, Realms: [2]string{at.site.Realm, site.Realm}}
		}
		for _, other := range at.routes {
			if slices.ContainsFunc(route.Methods, func(method string) bool { return slices.Contains(other.Methods, method) }) {
				return &PathTaken{Path: route.Path, Realms: [2]string{site.Realm, site.Realm}, Labels: [2]string{other.Label, route.Label}}
			}
		}
		at.routes = append(at.routes, route)
	}
	return nil
}

// PathTaken says that the layouts of two realms collide, or two endpoints of one.
type PathTaken struct {
	Path   string
	Realms [2]string
	Labels [2]string // of the endpoints, where they are of one realm
}

// Error names the path and who wants it.
func (e *PathTaken) Error() string {
	if e.Labels[0] != "" {
		return "realm " + e.Realms[0] + " serves both " + e.Labels[0] + " and " + e.Labels[1] + " at " + e.Path + "; give one of them another path"
	}
	return "realms " + e.Realms[0] + " and " + e.Realms[1] + " both serve " + e.Path + "; give one of them another layout"
}

// ServeHTTP makes served an http.Handler so that mux can return it as a match;
// the router dispatches by itself and never calls it.
func (s *served) ServeHTTP(http.ResponseWriter, *http.Request) {}

// ServeHTTP serves one request, whatever it is, with one event and one answer.
func (ro *Router) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	event := ro.begin(r)
	w.Header().Set("X-Fapid-Trace", event.ID)
	request := &Request{Request: r, Event: event, Listener: ro.Listener}
	var route Route
	defer func() {
		if fault := recover(); fault != nil {
			ro.panicked(w, request, fault)
		}
		ro.finish(event)
	}()
	answer, err := ro.serve(request, &route)
	request.announceEnd(w.Header())
	ro.write(w, request, &route, answer, err)
}

// serve runs the checks every request must pass, in order, and then the feature.
func (ro *Router) serve(r *Request, route *Route) (*Answer, error) {
	at, path := ro.find(r.Request)
	if err := ro.admit(r, at); err != nil {
		return nil, err
	}
	if at == nil {
		r.Event.Fail("path", ro.nearest(r.URL.Path), r.URL.EscapedPath(), "compare host, realm and path with the realm's discovery, ISSUER/.well-known/openid-configuration")
		return nil, oauth.NotFound("nothing is served at this path").Because("path %s", oauth.Clip(r.URL.EscapedPath()))
	}
	r.Site, r.Path = at.site, path
	r.Event.Realm = at.site.Realm
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	for _, candidate := range at.routes {
		r.Event.Endpoint = candidate.Label
		if !slices.Contains(candidate.Methods, method) {
			continue
		}
		*route = candidate
		return route.serve(r)
	}
	route.Refusal = at.routes[0].Refusal
	return nil, oauth.MethodNotAllowed("%s is not served here; use %s", printableMethod(method), at.methods())
}

// nearest says which path could have been meant, of those there are. Anybody can ask
// for what there is not, so it is cheap.
func (ro *Router) nearest(path string) string {
	const served = "a path that is served here"
	near := oauth.Alike(path, maps.Keys(ro.exact))
	if near == "" {
		return served
	}
	return served + "; the nearest is " + near
}

// serve calls the feature when what its route asks for has been seen to.
func (route *Route) serve(r *Request) (*Answer, error) {
	if route.Guard != nil && !route.Late {
		if err := route.Guard.admit(r.Context(), r, route.Scope); err != nil {
			return nil, err
		}
	}
	if route.Form {
		if err := r.readForm(); err != nil {
			return nil, err
		}
	}
	return route.Serve(r.Context(), r)
}

// AsksCertificate reports whether the listener asks for a client certificate.
func (ro *Router) AsksCertificate() bool { return ro.Listener == MTLS || ro.Listener == Directory }

// admit checks what belongs to the connection rather than to an endpoint, except
// that some are for gateways.
func (ro *Router) admit(r *Request, at *served) error {
	if at != nil && at.gateways != nil {
		return r.ofGateway(at)
	}
	proxied := ro.Forwarding.FromProxy(r.Request)
	if proxied && ro.AsksCertificate() {
		return r.forwarded(ro.Forwarding)
	}
	if err := ro.Forwarding.Refuse(r.Request); err != nil {
		return oauth.InvalidRequest("a client certificate header is not accepted here").Because("%w", err)
	}
	if proxied || ro.AnyHost {
		return nil
	}
	if err := mtls.CheckHost(r.Request); err != nil {
		return oauth.MisdirectedRequest("Host is not the name this connection was made for").Because("%w", err)
	}
	certificate, err := mtls.FromRequest(r.Request)
	if err != nil {
		return oauth.InvalidClient("the client certificate is not acceptable").Because("%w", err)
	}
	r.presents(certificate)
	return nil
}

// ofGateway admits a request of a gateway, from a listed address and from no
// other: what it says of the client and of the request to the API is believed.
func (r *Request) ofGateway(at *served) error {
	r.Site, r.Event.Realm = at.site, at.site.Realm
	if !at.gateways.FromProxy(r.Request) {
		r.Event.Fail("gateway", "an address of gateways.trusted", r.RemoteAddr, "list the proxy in front of the API under gateways.trusted in the configuration; nobody else has to ask here")
		return oauth.InvalidRequest("only gateways that are listed may ask here").Because("%s is not listed", r.RemoteAddr)
	}
	r.Event.Pass("gateway", "an address of gateways.trusted", r.RemoteAddr)
	return r.forwarded(at.gateways)
}

// forwarded admits a request of a trusted proxy. The client's certificate is
// the one in the header and no other: the proxy may have a certificate of its
// own. Nor does the server name of the proxy's connection mean anything to the
// client; that it fits Host is the proxy's to check.
func (r *Request) forwarded(forwarding *mtls.Forwarding) error {
	const check = "certificate from the proxy"
	expected := "at most one, in the header " + forwarding.Header
	certificate, err := forwarding.FromRequest(r.Request)
	if err != nil {
		r.Event.Fail(check, expected, err.Error(), "let the proxy overwrite the header, in the configured format")
		return oauth.InvalidRequest("the client certificate from the proxy cannot be used").Because("%w", err)
	}
	presented := "none"
	if certificate != nil {
		presented = certificate.Thumbprint
	}
	r.Event.Pass(check, expected, presented)
	r.presents(certificate)
	return nil
}

// presents notes the client's certificate, nil for none.
func (r *Request) presents(certificate *mtls.Presented) {
	r.Certificate = certificate
	if certificate != nil {
		r.Event.Certificate = certificate.Thumbprint
	}
}

// endSoon is how long before its end a client certificate is announced.
const endSoon = 30 * 24 * time.Hour

// announceEnd tells a client how many seconds its certificate lasts still, when
// that is not for long: certificates that end unnoticed stop whole sandboxes. One
// that has ended is refused, with a reason.
func (r *Request) announceEnd(header http.Header) {
	if r.Certificate == nil || r.Site == nil || r.Listener != MTLS && r.Listener != Directory {
		return
	}
	left := r.Certificate.Leaf.NotAfter.Sub(r.Site.Now())
	if left <= 0 || left > endSoon {
		return
	}
	header.Set("Fapid-Cert-Expires-In", strconv.FormatInt(int64(left/time.Second), 10))
	r.Event.CertificateLeft = left
}

// find looks the path up: literal paths in a map, because the token path should
// not pay for every other route's pattern, the rest through mux. A path has one
// spelling: whoever writes /%74oken or an escaped slash wants a proxy in front
// to read another path than we do. Only the id of an item may be escaped. The
// operator's listener has no proxy.
func (ro *Router) find(r *http.Request) (*served, map[string]string) {
	escaped := r.URL.RawPath != "" && ro.Listener != Admin
	if at := ro.exact[r.URL.Path]; at != nil && !escaped && !strings.Contains(r.URL.Path, "{") {
		return at, nil
	}
	var match mux.RouteMatch
	if ro.mux.Match(r, &match) && match.MatchErr == nil {
		if at, ok := match.Handler.(*served); ok && (ro.Listener == Admin || at.spelled(r, escaped)) {
			return at, match.Vars
		}
	}
	return nil, nil
}

// spelled reports whether everybody reads the path as we do: that of an item
// begins as it is written in the route, and has no segment that would lead out of
// it; any other has nothing escaped.
func (s *served) spelled(r *http.Request, escaped bool) bool {
	id, ok := strings.CutPrefix(r.URL.Path, s.item)
	if s.item == "" || !ok || !strings.HasPrefix(r.URL.EscapedPath(), s.item) {
		return !escaped
	}
	for segment := range strings.SplitSeq(id, "/") {
		if segment == "." || segment == ".." {
			return false
		}
	}
	return true
}

func (s *served) methods() string {
	var all []string
	for _, route := range s.routes {
		all = append(all, route.Methods...)
	}
	return strings.Join(all, ", ")
}

// printableMethod keeps a caller's invention out of the answer.
func printableMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "this method"
}

func (ro *Router) begin(r *http.Request) *oauth.Event {
	event, _ := ro.pool.Get().(*oauth.Event)
	if event == nil {
		event = &oauth.Event{Checks: make([]oauth.Check, 0, 16)}
	}
	event.ID = NewTraceID()
	event.Time = time.Now()
	event.Listener = ro.Listener
	event.Method = oauth.Clip(r.Method)
	event.Path = oauth.Clip(r.URL.Path)
	event.Remote = r.RemoteAddr
	if r.TLS != nil {
		event.TLS = tlsLabel(r.TLS.Version, r.TLS.CipherSuite)
	}
	return event
}

func (ro *Router) finish(event *oauth.Event) {
	event.Duration = time.Since(event.Time)
	for _, observe := range ro.Finished {
		observe(event)
	}
	if old := ro.Traces.Keep(event); old != nil {
		old.Reset()
		ro.pool.Put(old)
	}
}
