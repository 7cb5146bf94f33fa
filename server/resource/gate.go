package resource

import (
	"context"
	"strings"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/server/binding"
)

// Gate has the checks of a protected resource, in order. It stands in every
// [Guard], and in fapid's own protected routes, which bring their own tokens and
// their own answers. It is not part of what is promised.
type Gate struct {
	// Audience is what aud must name; AnyAudience takes a token for whatever API.
	Audience    string
	AnyAudience bool
	Binder      *binding.Binder
	// RequireBound refuses a token that whoever has it can use.
	RequireBound bool
}

// Verifier knows an issuer's access tokens.
type Verifier interface {
	// Verify says what a token says if it holds by itself: it is the issuer's and
	// an access token, it has not expired, it is not known to be revoked. A token
	// that does not is an invalid_token; any other error says that it cannot be
	// told now. Each check is recorded in the event.
	Verify(ctx context.Context, token string, event *oauth.Event) (Access, error)
}

// Access is what the checks look at of a token that holds.
type Access struct {
	ClientID     string
	Audience     oauth.Audience
	Scope        string              // with a space between tokens
	Confirmation *oauth.Confirmation // what it is bound to
	Policy       *oauth.Policy       // what DPoP proofs must be like
}

// Admit lets a request in or says why not: presence and form of the token, what
// the verifier looks at, audience, binding, scope (RFC 6750, RFC 8705 section 3,
// RFC 9449 section 7). All of the wanted scope is needed.
func (g *Gate) Admit(ctx context.Context, tokens Verifier, sender *binding.Sender, wanted oauth.Scope) error {
	event := sender.Event
	scheme, presented, err := credential(sender)
	if err != nil {
		return err
	}
	access, err := tokens.Verify(ctx, presented, event)
	if err != nil {
		return err
	}
	event.ClientID = access.ClientID
	if !g.AnyAudience && !access.Audience.Has(g.Audience) {
		event.Fail("access token audience", g.Audience, strings.Join(access.Audience, " "), "fetch a token for this API")
		return oauth.InvalidToken("the access token is for another API")
	}
	if g.RequireBound && access.Confirmation == nil {
		event.Fail("token binding", "a token bound to a certificate or to a DPoP key", "one bound to nothing", "register the client for bound tokens, and fetch another")
		return oauth.InvalidToken("this API takes no access tokens that are bound to nothing")
	}
	if access.Confirmation != nil && access.Confirmation.KeyThumbprint != "" && sender.Bases[0] == "" {
		event.Fail("DPoP", "no token bound by DPoP, since the address of this API is not configured", "jkt "+access.Confirmation.KeyThumbprint, "configure at which URL clients call this API")
		return oauth.InvalidToken("this API takes no access tokens that are bound by DPoP").Because("the URL of the API is not configured")
	}
	use := &binding.Use{Scheme: scheme, Token: presented, Confirmation: access.Confirmation, Policy: access.Policy}
	if err := g.Binder.Enforce(ctx, use, sender); err != nil {
		return err
	}
	if missing, some := missingScope(access.Scope, wanted); some {
		event.Fail("scope", missing, access.Scope, "fetch a token with scope "+missing)
		return oauth.InsufficientScope("the access token lacks scope %s", missing)
	}
	if len(wanted) > 0 {
		event.Pass("scope", wanted.String(), access.Scope)
	}
	return nil
}

// missingScope is the first wanted scope token that was not granted.
func missingScope(granted string, wanted oauth.Scope) (string, bool) {
	for _, scope := range wanted {
		if !hasScope(granted, scope) {
			return scope, true
		}
	}
	return "", false
}

// hasScope looks for a scope token in a list of them, without taking it apart.
func hasScope(granted, scope string) bool {
	for token := range strings.SplitSeq(granted, " ") {
		if token == scope && token != "" {
			return true
		}
	}
	return false
}
