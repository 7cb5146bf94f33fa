package endpoint

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/oauth"
)

// Site is one realm's face: features open their routes on it and add their
// lines to its discovery documents. What is opened is served, and what is
// served is advertised.
type Site struct {
	Realm string
	// Issuer is the issuer identifier; it may have a path and has no trailing slash.
	Issuer string
	// StandardURL and MTLSURL are the bases of the two listeners (scheme, host,
	// port), without a trailing slash.
	StandardURL, MTLSURL string
	// Layout gives each endpoint its path, by metadata name.
	Layout Layout
	// Sandbox puts error_uri, the address of the explanation, into errors.
	Sandbox bool
	// JSON accepts JSON objects where forms are expected.
	JSON bool
	// TraceURL is the operator's base for explanations, "http://localhost:9000".
	TraceURL string
	// Now is the realm's clock.
	Now func() time.Time

	routes   []Route
	metadata map[string]any
	aliases  map[string]string
	document []byte
}

// Layout maps the metadata name of an endpoint ("token_endpoint") to its path, or
// to several with spaces between; discovery lists the first. "{realm}" stands for
// the realm's name.
type Layout map[string]string

// Route is one thing a feature serves.
type Route struct {
	// Name is the endpoint's metadata name ("token_endpoint"); the layout gives
	// it a path and discovery lists it. A route without a metadata name has a
	// Path, and Label names it in events and metrics.
	Name  string
	Path  string
	Label string
	// Item marks a path that ends in a variable for the id of a thing, or a thing
	// itself, which may hold any character, escaped or not.
	Item bool
	// Methods it answers; HEAD comes with GET.
	Methods []string
	// Aliased puts the endpoint into mtls_endpoint_aliases (RFC 8705 section 5).
	Aliased bool
	// Form has the body read as parameters before Serve is called.
	Form bool
	// Guard protects the route: Serve is called for who has Scope, or one of several
	// with spaces between, or for everybody it knows where that is empty; refusals of a
	// token carry the challenges of RFC 6750 section 3 and RFC 9449 section 7.1.
	Guard *Guard
	Scope string
	// Late leaves it to Serve to ask the guard, once it knows for what.
	Late bool
	// Gateways are the only ones who may ask, and hand on the client's
	// certificate; nil for routes that are for clients.
	Gateways *mtls.Forwarding
	// Bearer marks a route that checks a Bearer token of another kind by itself;
	// refusals of that carry a challenge, too.
	Bearer bool
	// Open marks public documents: they may be cached and read across origins.
	Open bool
	// Refusal gives the body of a refusal where it is not that of RFC 6749 section
	// 5.2; explanation is where the trace can be read, empty where nobody is told.
	Refusal func(refusal oauth.Error, explanation string) *Answer
	Serve   Handler
}

// Feature is a part of the protocol that installs itself on a realm's site.
type Feature interface{ Install(*Site) }

// Open serves a route on both listeners.
func (s *Site) Open(route Route) {
	if route.Name != "" {
		paths := s.Paths(route.Name)
		route.Path, route.Label = paths[0], route.Name
		s.Publish(route.Name, s.StandardURL+route.Path)
		if route.Aliased {
			if s.aliases == nil {
				s.aliases = map[string]string{}
			}
			s.aliases[route.Name] = s.MTLSURL + route.Path
		}
		for _, further := range paths[1:] {
			also := route
			also.Path = further
			s.routes = append(s.routes, also)
		}
	}
	s.routes = append(s.routes, route)
}

// Routes are those that are open.
func (s *Site) Routes() []Route { return slices.Clone(s.routes) }

// Path is where discovery says an endpoint is.
func (s *Site) Path(name string) string { return s.Paths(name)[0] }

// Paths are all the paths of an endpoint by the realm's layout.
func (s *Site) Paths(name string) []string {
	paths := s.Layout.Paths(name, s.Realm)
	if len(paths) == 0 {
		panic(fmt.Sprintf("endpoint: the layout of realm %s has no %s", s.Realm, name))
	}
	return paths
}

// Paths are the paths of an endpoint in a realm; none for an endpoint the layout
// does not know.
func (l Layout) Paths(name, realm string) []string {
	return strings.Fields(strings.ReplaceAll(l[name], "{realm}", realm))
}

// URLs gives the addresses of an endpoint: standard and, where aliased, mTLS.
func (s *Site) URLs(name string) []string {
	urls := []string{}
	if address, ok := s.metadata[name].(string); ok {
		urls = append(urls, address)
	}
	if address, ok := s.aliases[name]; ok {
		urls = append(urls, address)
	}
	return urls
}

// Publish states a member of the discovery documents.
func (s *Site) Publish(name string, value any) {
	if s.metadata == nil {
		s.metadata = map[string]any{}
	}
	s.metadata[name] = value
}

// PublishOneOf adds values to a list of the discovery documents.
func (s *Site) PublishOneOf(name string, values ...string) {
	list, _ := s.metadata[name].([]string)
	if list == nil {
		list = []string{} // an empty list is [], not null
	}
	for _, value := range values {
		if !slices.Contains(list, value) {
			list = append(list, value)
		}
	}
	s.Publish(name, list)
}

// Finish writes the discovery document from what the features opened and
// published, and serves it where OpenID Connect Discovery section 4 and RFC 8414
// section 3.1 look for it. Nothing is opened after it.
func (s *Site) Finish() error {
	issuer, err := url.Parse(s.Issuer)
	if err != nil {
		return fmt.Errorf("issuer of realm %s: %w", s.Realm, err)
	}
	s.Publish("issuer", s.Issuer)
	s.PublishOneOf("response_types_supported") // required, be there any or not (RFC 8414 section 2)
	if len(s.aliases) > 0 {
		s.Publish("mtls_endpoint_aliases", s.aliases)
	}
	if s.document, err = json.MarshalIndent(s.metadata, "", "  "); err != nil {
		return fmt.Errorf("discovery of realm %s: %w", s.Realm, err)
	}
	path := strings.TrimSuffix(issuer.Path, "/")
	for label, where := range map[string]string{
		"openid-configuration":       path + "/.well-known/openid-configuration",
		"oauth-authorization-server": "/.well-known/oauth-authorization-server" + path,
	} {
		s.Open(Route{Path: where, Label: label, Methods: []string{http.MethodGet}, Open: true, Serve: s.discover})
	}
	return nil
}
