package admin

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/server/endpoint"
)

// crossOrigin refuses changes that a web page of another origin asks a browser
// for: by Sec-Fetch-Site, or by an Origin that is not this host and port.
var crossOrigin = http.NewCrossOriginProtection()

// guard puts the checks that every route of the operator needs before it.
func (o *Operator) guard(need Access, serve endpoint.Handler) endpoint.Handler {
	return func(ctx context.Context, r *endpoint.Request) (*endpoint.Answer, error) {
		if err := o.checkHost(r); err != nil {
			return nil, err
		}
		if err := crossOrigin.Check(r.Request); err != nil {
			r.Event.Fail("origin", "a request from this site, or from no web page", r.Header.Get("Origin"), "send it from the operator's own pages, or with curl")
			return nil, oauth.AccessDenied("a web page of another origin may not change anything here").Because("%w", err)
		}
		if o.needsKey(need) {
			if err := o.checkKey(r); err != nil {
				return nil, err
			}
		}
		answer, err := serve(ctx, r)
		if err != nil {
			return nil, err
		}
		secure(answer)
		return answer, nil
	}
}

// needsKey reports whether a route of this access asks for the operator key.
func (o *Operator) needsKey(need Access) bool {
	return need == Change || need == Read && !o.Open
}

// checkHost refuses requests that were sent to another name: a web page whose
// own name was made to resolve to this address is stopped here.
func (o *Operator) checkHost(r *endpoint.Request) error {
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	if _, err := netip.ParseAddr(host); err == nil || slices.Contains(o.Hosts, host) {
		return nil
	}
	r.Event.Fail("host", strings.Join(o.Hosts, " or ")+", or an IP address", host, "call the operator's listener by one of these names")
	return oauth.MisdirectedRequest("the operator's listener is not called by this name").Because("host %q", oauth.Clip(r.Host))
}

// checkKey refuses a request without the operator key.
func (o *Operator) checkKey(r *endpoint.Request) error {
	presented, problem := bearer(r.Header["Authorization"])
	if problem == "" && !o.isKey(presented) {
		problem = "another key"
	}
	if problem == "" {
		return nil
	}
	r.Event.Fail("operator key", "Authorization: Bearer and the operator key", problem, "the key is in the server's directory, readable by its owner only")
	return oauth.InvalidToken("this needs the operator key: Authorization: Bearer KEY").Because("%s", problem)
}

// isKey compares hashes, so that neither content nor length of the key can be
// told from the time it takes.
func (o *Operator) isKey(presented string) bool {
	hash := sha256.Sum256([]byte(presented))
	return subtle.ConstantTimeCompare(hash[:], o.KeyHash[:]) == 1
}

// bearer reads the credentials of RFC 6750 section 2.1.
func bearer(authorization []string) (key, problem string) {
	switch len(authorization) {
	case 0:
		return "", "no Authorization header"
	case 1:
	default:
		return "", "more than one Authorization header"
	}
	scheme, key, _ := strings.Cut(authorization[0], " ")
	if key = strings.TrimSpace(key); !strings.EqualFold(scheme, "Bearer") || key == "" {
		return "", "an Authorization header that is not Bearer"
	}
	return key, ""
}

// hasKey reports whether the request carries the operator key, for routes that
// show more to those who have it.
func (o *Operator) hasKey(r *endpoint.Request) bool {
	presented, problem := bearer(r.Header["Authorization"])
	return problem == "" && o.isKey(presented)
}

// contentPolicy allows the pages their own style sheet and their filter form,
// and no script, frame or foreign address at all.
const contentPolicy = "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// secure adds what keeps browsers from running, framing or leaking an answer.
func secure(answer *endpoint.Answer) {
	if answer.Header == nil {
		answer.Header = http.Header{}
	}
	answer.Header.Set("Content-Security-Policy", contentPolicy)
	answer.Header.Set("X-Frame-Options", "DENY")
	answer.Header.Set("Cross-Origin-Resource-Policy", "same-origin")
	answer.Header.Set("Cross-Origin-Opener-Policy", "same-origin")
}
