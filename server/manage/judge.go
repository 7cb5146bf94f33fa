package manage

import (
	"slices"
	"strings"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
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
}

// managing are the scopes of the management API among some.
func managing(scopes []string) (scope oauth.Scope) {
	for _, one := range scopes {
		if strings.HasPrefix(one, ScopePrefix) && !scope.Has(one) {
			scope = append(scope, one)
		}
	}
	return scope
}

// mayGive refuses what would let somebody do more than the caller can do. What is
// judged is the state that there would be, whatever there was before. The operator
// may give everything.
func (c *call) mayGive(g given) error {
	if c.operator {
		return nil
	}
	if missing, more := c.Held.Missing(managing(g.scope)); more {
		c.Event.Fail("scope given", c.Held.String(), missing, "call with a token that has the scope, or let the operator do it")
		return oauth.InsufficientScope("the access token lacks scope %s, so nobody can be given it", missing)
	}
	if g.policy != "" && !slices.Contains(c.realm.Policies, g.policy) {
		c.Event.Fail("policy given", strings.Join(c.realm.Policies, ", "), g.policy, "name it in management.policies of the realm, or let the operator do it")
		return oauth.AccessDenied("callers of the management API may put no client under policy %s", g.policy)
	}
	return nil
}
