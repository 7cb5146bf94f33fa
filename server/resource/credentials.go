package resource

import (
	"net/http"
	"strings"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/server/binding"
)

// credential takes the access token of a request, and its scheme, from the
// Authorization header and from nowhere else: a token in a URL ends up in logs
// (RFC 6750 section 2.3, FAPI 2 section 5.3.4). Schemes are compared as HTTP
// does, in any case (RFC 9110 section 11.1).
func credential(sender *binding.Sender) (scheme, token string, err error) {
	event := sender.Event
	if inQuery(sender.Query) {
		event.Fail("access token", "in the Authorization header", "in the URL", "send Authorization: Bearer")
		return "", "", oauth.InvalidRequest("send the access token in the Authorization header, not in the URL")
	}
	switch len(sender.Authorization) {
	case 0:
		event.Fail("access token", "Authorization: Bearer", "no Authorization header", "fetch a token first")
		return "", "", oauth.Error{Code: oauth.CodeInvalidToken, Status: http.StatusUnauthorized, Reason: "no access token"}
	case 1:
	default:
		event.Fail("access token", "one Authorization header", "several", "send one")
		return "", "", oauth.InvalidRequest("there is more than one Authorization header")
	}
	scheme, token = tokenOf(sender.Authorization[0])
	if scheme == "" || token == "" {
		event.Fail("access token", "Authorization: Bearer", "another scheme or no token", "send Authorization: Bearer TOKEN, or DPoP TOKEN for a token of that type")
		return "", "", oauth.InvalidToken("the Authorization header carries no Bearer token")
	}
	return scheme, token, nil
}

// Bearer is the token of a request that takes Bearer tokens of another kind than
// access tokens: it is looked for where those are.
func Bearer(sender *binding.Sender) (string, error) {
	scheme, token, err := credential(sender)
	if err == nil && scheme != oauth.SchemeBearer {
		sender.Event.Fail("access token", "Authorization: Bearer", scheme, "send Authorization: Bearer TOKEN")
		err = oauth.InvalidToken("the Authorization header carries no Bearer token")
	}
	return token, err
}

// inQuery reports whether a query has the parameter of RFC 6750 section 2.3.
func inQuery(query string) bool {
	if !strings.Contains(query, "access_token=") {
		return false
	}
	for parameter := range strings.SplitSeq(query, "&") {
		if strings.HasPrefix(parameter, "access_token=") {
			return true
		}
	}
	return false
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

// Challenge is what a refusal says about how to come back.
type Challenge struct {
	Realm string
	// Algs are the algorithms of DPoP proofs that are taken; none for no DPoP.
	Algs []string
	// Basic says that HTTP Basic authentication is taken, too.
	Basic bool
	// URI is where the refusal is explained; empty for nowhere.
	URI string
}

// Headers are the WWW-Authenticate headers of a refusal. A caller who used DPoP
// is told what was wrong in that scheme and no other (RFC 9449 section 7.1);
// everybody else in Bearer (RFC 6750 section 3), and what else is taken. Who brought
// no token, or something else, is told nothing about one (section 3.1).
func (c *Challenge) Headers(authorization []string, refusal oauth.Error) []string {
	scheme := ""
	if len(authorization) > 0 {
		scheme, _ = tokenOf(authorization[0])
	}
	realm, problem := ` realm="`+c.Realm+`"`, ""
	if scheme != "" || refusal.Code != oauth.CodeInvalidToken {
		problem = problemOf(refusal, c.URI)
	}
	headers := []string{oauth.SchemeBearer + realm + problem}
	if len(c.Algs) > 0 {
		dpop := oauth.SchemeDPoP + realm + `, algs="` + strings.Join(c.Algs, " ") + `"`
		if scheme == oauth.SchemeDPoP {
			return []string{dpop + problem}
		}
		headers = append(headers, dpop)
	}
	if c.Basic {
		headers = append(headers, oauth.SchemeBasic+realm)
	}
	return headers
}

// problemOf is the error in a challenge.
func problemOf(refusal oauth.Error, uri string) string {
	switch refusal.Code {
	case oauth.CodeInvalidToken, oauth.CodeInsufficientScope, oauth.CodeInvalidRequest, oauth.CodeInvalidDPoPProof, oauth.CodeUseDPoPNonce:
	default:
		return ""
	}
	text := `, error="` + refusal.Code + `", error_description="` + refusal.Description + `"`
	if uri != "" {
		text += `, error_uri="` + uri + `"`
	}
	return text
}
