package endpoint

import (
	"net/http"
	"strings"

	"github.com/fapid/fapid/oauth"
)

// Token takes the access token of a request to a protected resource, and its
// scheme, from the Authorization header and from nowhere else: a token in a URL
// ends up in logs (RFC 6750 section 2.3, FAPI 2 section 5.3.4). Schemes are
// compared as HTTP does, in any case (RFC 9110 section 11.1).
func (r *Request) Token() (scheme, token string, err error) {
	if strings.Contains(r.URL.RawQuery, "access_token=") {
		r.Event.Fail("access token", "in the Authorization header", "in the URL", "send Authorization: Bearer")
		return "", "", oauth.InvalidRequest("send the access token in the Authorization header, not in the URL")
	}
	headers := r.Header["Authorization"]
	switch len(headers) {
	case 0:
		r.Event.Fail("access token", "Authorization: Bearer", "no Authorization header", "fetch a token first")
		return "", "", oauth.Error{Code: oauth.CodeInvalidToken, Status: http.StatusUnauthorized, Reason: "no access token"}
	case 1:
	default:
		return "", "", oauth.InvalidRequest("there is more than one Authorization header")
	}
	scheme, token = tokenOf(headers[0])
	if scheme == "" || token == "" {
		r.Event.Fail("access token", "Authorization: Bearer", "another scheme or no token", "send Authorization: Bearer TOKEN, or DPoP TOKEN for a token of that type")
		return "", "", oauth.InvalidToken("the Authorization header carries no Bearer token")
	}
	return scheme, token, nil
}

// tokenOf splits an Authorization header; the scheme is empty if it is none of
// an access token.
func tokenOf(header string) (scheme, token string) {
	presented, token, _ := strings.Cut(header, " ")
	for _, scheme := range []string{oauth.SchemeBearer, oauth.SchemeDPoP} {
		if strings.EqualFold(presented, scheme) {
			return scheme, strings.TrimSpace(token)
		}
	}
	return "", ""
}

// challenges are the WWW-Authenticate headers of a refusal. A caller who used
// DPoP is told what was wrong in that scheme and no other (RFC 9449 section 7.1);
// everybody else in Bearer (RFC 6750 section 3), and that DPoP is taken, too.
func (r *Request) challenges(route *Route, refusal oauth.Error, uri string) []string {
	realm := ` realm="` + r.issuer() + `"`
	problem := problemOf(refusal, uri)
	if route.Guard == nil {
		return []string{oauth.SchemeBearer + realm + problem}
	}
	var also []string
	if route.Guard.Basic != nil {
		also = append(also, oauth.SchemeBasic+realm)
	}
	if len(route.Guard.Binder.Algs) == 0 {
		return append([]string{oauth.SchemeBearer + realm + problem}, also...)
	}
	dpop := oauth.SchemeDPoP + realm + `, algs="` + strings.Join(route.Guard.Binder.Algs, " ") + `"`
	if scheme, _ := tokenOf(r.Header.Get("Authorization")); scheme == oauth.SchemeDPoP {
		return []string{dpop + problem}
	}
	return append([]string{oauth.SchemeBearer + realm + problem, dpop}, also...)
}

// problemOf is the error in a challenge: none when the request carried no token
// at all (RFC 6750 section 3.1).
func problemOf(refusal oauth.Error, uri string) string {
	switch refusal.Code {
	case oauth.CodeInvalidToken, oauth.CodeInsufficientScope, oauth.CodeInvalidRequest, oauth.CodeInvalidDPoPProof, oauth.CodeUseDPoPNonce:
	default:
		return ""
	}
	var text string
	if refusal.Description != "" {
		text = `, error="` + refusal.Code + `", error_description="` + refusal.Description + `"`
	}
	if uri != "" {
		text += `, error_uri="` + uri + `"`
	}
	return text
}
