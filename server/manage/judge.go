package manage

import (
	"slices"
	"strings"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/users"
)

// holds is what a client may do here whose token has a scope: of that, what it is
// registered for still, and what access policies add.
func (r *Realm) holds(client *registration.Client, scope oauth.Scope) oauth.Scope {
	held := make(oauth.Scope, 0, len(scope))
	for _, one := range scope {
		if client.Scope.Has(one) {
			held = append(held, one)
		}
	}
	for _, one := range r.AccessPolicies.Scope(client.ID, scopes) {
		if !held.Has(one) {
			held = append(held, one)
		}
	}
	return held
}

// given is what a record gives to somebody.
type given struct {
	scope  oauth.Scope
	policy string // the security profile of a client
	// exchange: a client may exchange tokens and assertions, and so act for others.
	exchange bool
}

// exchangeScope is wanted of who lets clients exchange tokens, beside the scope of
// the route. Who can say that a client may have tokens for an API, and roles there,
// cannot say so that it acts for users and other clients: by its own assertion a
// client could be any user.
var exchangeScope = writeScope("exchange")

// beyond is a scope of the management API, among some, that a caller does not hold,
// nor one that it is a part of.
func beyond(held oauth.Scope, scopes []string) (scope string, more bool) {
	for _, one := range scopes {
		whole := users.ScopeOf(one)
		if whole == "" && !strings.HasPrefix(one, ScopePrefix) {
			continue
		}
		if !held.Has(one) && (whole == "" || !held.Has(whole)) {
			return one, true
		}
	}
	return "", false
}

// mayGive refuses what would let somebody do more than the caller can do. What is
// judged is the state that there would be, whatever there was before. The operator
// may give everything.
func (c *call) mayGive(g given) error {
	if c.operator {
		return nil
	}
	if missing, more := beyond(c.Held, g.scope); more {
		c.Event.Fail("scope given", c.Held.String(), missing, "call with a token that has the scope, or let the operator do it")
		return oauth.InsufficientScope("the access token lacks scope %s, so nobody can be given it", missing)
	}
	if g.exchange && !c.Held.Has(exchangeScope) {
		c.Event.Fail("exchange given", c.Held.String(), exchangeScope, "call with a token that has the scope, leave exchange out, or let the operator do it")
		return oauth.InsufficientScope("the access token lacks scope %s, so no client can be let exchange tokens", exchangeScope)
	}
	if g.policy != "" && !slices.Contains(c.realm.Policies, g.policy) {
		c.Event.Fail("policy given", strings.Join(c.realm.Policies, ", "), g.policy, "name it in management.policies of the realm, or let the operator do it")
		return oauth.AccessDenied("callers of the management API may put no client under policy %s", g.policy)
	}
	return nil
}
