package flow

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/server/endpoint"
	"github.com/fapid/fapid/server/token"
)

// AuthorizationCheck answers the gateways in front of APIs: nginx's auth_request,
// Envoy's ext_authz over HTTP, forward authentication of Traefik and Caddy. A
// gateway hands a request to an API on, without its body, and the check is that
// of a resource server, with the certificate that the gateway took from the
// client. What is wanted stands in the query of the address that the gateway is
// configured with, and nothing of the request to the API has a say in it.
type AuthorizationCheck struct {
	Guard    *endpoint.Guard
	Targets  *Targets
	Gateways *mtls.Forwarding
}

// Install opens the check on both listeners. It is not in discovery, which is for
// clients.
func (a *AuthorizationCheck) Install(site *endpoint.Site) {
	for _, path := range site.Paths("authorization_check") {
		site.Open(endpoint.Route{
			Path: path, Label: "authorization_check",
			// ext_authz asks with the method of the original.
			Methods: []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions},
			Guard:   a.Guard, Late: true, Gateways: a.Gateways, Serve: a.serve,
		})
	}
}

// serve is 200 with what the token says, or a refusal for the client: 401 or 403,
// the two that auth_request hands on. 400 and 5xx are for the gateway's operator.
func (a *AuthorizationCheck) serve(ctx context.Context, r *endpoint.Request) (*endpoint.Answer, error) {
	check, err := parseCheck(r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	guard := *a.Guard
	guard.RequireBound = check.bound
	if check.audience != "" {
		api, _, ok := a.Targets.find(check.audience)
		if !ok {
			return nil, oauth.InvalidRequest("audience is not an API of this realm").Because("no API %s", oauth.Clip(check.audience))
		}
		guard.Audience = api.ID
	}
	sender := r.Sender()
	sender.Bases = [2]string{check.url}
	if check.request != "" {
		if sender.Method, sender.Path, sender.Query, err = check.original(r); err != nil {
			return nil, err
		}
		r.Event.Pass("original request", "", sender.Method+" "+sender.Path)
	} else {
		sender.Bases[0] = "" // nothing that a DPoP proof could be held to
	}
	claims, err := guard.Admit(ctx, sender, check.scope)
	if err != nil {
		refusal := oauth.AsError(err)
		if refusal.Status == http.StatusBadRequest {
			refusal.Status = http.StatusUnauthorized
		}
		return nil, refusal
	}
	return &endpoint.Answer{Header: headersOf(claims)}, nil
}

// headersOf are what the API is told. All of them are always there, if empty:
// gateways overwrite with what they are given, and what they are not given the
// client may have sent. What is not visible ASCII, and %, is percent-encoded;
// roles have commas between them.
func headersOf(claims *token.Claims) http.Header {
	roles := make([]string, len(claims.Roles))
	for i, role := range claims.Roles {
		roles[i] = headerText(role, ",")
	}
	return http.Header{
		"X-Fapid-Client-Id": {headerText(claims.ClientID, "")},
		"X-Fapid-Subject":   {headerText(claims.Subject, "")},
		"X-Fapid-Scope":     {strings.ReplaceAll(headerText(claims.Scope, ""), "%20", " ")},
		"X-Fapid-Roles":     {strings.Join(roles, ",")},
		"X-Fapid-Token-Id":  {headerText(claims.ID, "")},
	}
}

// headerText percent-encodes what is not visible ASCII, %, and one more character.
func headerText(text, more string) string {
	const hex = "0123456789ABCDEF"
	var plain strings.Builder
	for i := range len(text) {
		c := text[i]
		if c > 0x20 && c < 0x7f && c != '%' && strings.IndexByte(more, c) < 0 {
			plain.WriteByte(c)
			continue
		}
		plain.Write([]byte{'%', hex[c>>4], hex[c&15]})
	}
	return plain.String()
}

// check is what a gateway wants to know.
type check struct {
	// audience is the API, or empty for the realm's own.
	audience string
	scope    oauth.Scope
	// bound wants a token that is bound to something.
	bound bool
	// url is where clients call the API, for DPoP proofs; empty for no DPoP.
	url string
	// request says what the original request was, or where it says so; empty for
	// nowhere.
	request string
}

// lastParameter is the one behind which everything is the client's.
const lastParameter = "request="

// parseCheck reads the query of the configured address. The request of the client
// may stand in it, and then it is the last: whatever it holds, it is behind
// everything that counts. So that nothing configured ends up behind it unseen,
// scope has to be there, if empty.
func parseCheck(query string) (*check, error) {
	configured, request := query, ""
	if strings.HasPrefix(query, lastParameter) {
		configured, request = "", query[len(lastParameter):]
	} else if before, after, found := strings.Cut(query, "&"+lastParameter); found {
		configured, request = before, after
	}
	parameters, err := url.ParseQuery(configured)
	if err != nil {
		return nil, oauth.InvalidRequest("the query of the check cannot be read").Because("%w", err)
	}
	c := &check{request: request}
	for name, values := range parameters {
		if len(values) != 1 {
			return nil, oauth.InvalidRequest("%s is given %d times", oauth.Shown(name), len(values))
		}
		if err := c.set(name, values[0]); err != nil {
			return nil, err
		}
	}
	if _, ok := parameters["scope"]; !ok {
		return nil, oauth.InvalidRequest("scope is missing before request; leave it empty if none is wanted")
	}
	return c, nil
}

func (c *check) set(name, value string) (err error) {
	switch name {
	case "audience":
		c.audience = value
	case "scope":
		if c.scope, err = oauth.ParseScope(value); err != nil {
			return oauth.InvalidRequest("scope is malformed").Because("%w", err)
		}
	case "bound":
		if c.bound = value == "true"; !c.bound && value != "false" {
			return oauth.InvalidRequest("bound is true or false")
		}
	case "url":
		base, err := url.Parse(value)
		if err != nil || base.Scheme != "https" && base.Scheme != "http" || base.Host == "" || strings.HasSuffix(value, "/") || strings.ContainsAny(value, "?#") {
			return oauth.InvalidRequest("url is where clients call the API, such as https://api.example.com, without a slash at the end")
		}
		c.url = value
	default:
		return oauth.InvalidRequest("%s is no parameter of the check; there are audience, scope, bound, url and, as the last, request", oauth.Shown(name))
	}
	return nil
}

// The headers in which gateways say what the original request was.
var originals = map[string][2]string{
	"x-forwarded": {"X-Forwarded-Method", "X-Forwarded-Uri"}, // Traefik, Caddy
	"x-original":  {"X-Original-Method", "X-Original-Uri"},   // nginx, by convention
}

// original is the request to the API: METHOD:TARGET, :TARGET where the method is
// that of the check (Envoy), or the headers that the gateway is configured to
// write. No other header is looked at.
func (c *check) original(r *endpoint.Request) (method, path, query string, err error) {
	method, target, found := strings.Cut(c.request, ":")
	if names, known := originals[c.request]; known {
		if method, target, err = fromHeaders(r.Header, names); err != nil {
			return "", "", "", err
		}
		found = true
	} else if found && method == "" {
		method = r.Method
	}
	if !found || !isMethod(method) || !strings.HasPrefix(target, "/") {
		return "", "", "", oauth.InvalidRequest("request is METHOD:TARGET, :TARGET, x-forwarded or x-original, and a target begins with a slash")
	}
	path, query, _ = strings.Cut(target, "?")
	return method, path, query, nil
}

func fromHeaders(header http.Header, names [2]string) (method, target string, err error) {
	var values [2]string
	for i, name := range names {
		given := header[name]
		if len(given) != 1 {
			return "", "", oauth.InvalidRequest("the gateway has to write %s and %s, each once", names[0], names[1]).Because("%s is there %d times", name, len(given))
		}
		values[i] = given[0]
	}
	return values[0], values[1], nil
}

// isMethod reports whether a text is one of the methods there are, in capitals,
// or could be (RFC 9110 section 9.1).
func isMethod(text string) bool {
	return text != "" && strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-_") == ""
}
