package token

import (
	"fmt"
	"strings"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
)

// held asks whether a client has the scope of a token still, or of what came of it.
func (i *Issuer) held(client *registration.Client, scope, check string, event *oauth.Event) error {
	ended := i.ended(client)
	if ended == nil {
		return nil
	}
	for name := range strings.FieldsSeq(scope) {
		if ended(name) {
			event.Fail(check, "scopes of active roles", name, adviceRole)
			return refused(fmt.Errorf("the role for scope %s is not active", name))
		}
	}
	return nil
}

const adviceRole = "have the directory make the role active again, or fetch a token without the scope"

func (i *Issuer) ended(client *registration.Client) func(scope string) bool {
	if i.Ended == nil {
		return nil
	}
	return i.Ended(client)
}

// Held is what of a scope the client may have now. What it asked for and may not have
// is refused; of what it did not ask for by name, the rest is left out.
func (i *Issuer) Held(client *registration.Client, scope, asked oauth.Scope, event *oauth.Event) (oauth.Scope, error) {
	ended := i.ended(client)
	if ended == nil {
		return scope, nil
	}
	const check = "roles of the software"
	kept := make(oauth.Scope, 0, len(scope))
	for _, name := range scope {
		if !ended(name) {
			kept = append(kept, name)
		} else if asked.Has(name) {
			event.Fail(check, "scopes of active roles", name, adviceRole)
			return nil, oauth.InvalidScope("the software of the client is not in the role for every requested scope any more").Because("scope %s", name)
		}
	}
	if len(scope) > 0 && len(kept) == 0 {
		event.Fail(check, "scopes of active roles", scope.String(), adviceRole)
		return nil, oauth.InvalidScope("the software of the client is in no role any more for what it may have").Because("scope %s", scope)
	}
	event.Pass(check, scope.String(), kept.String())
	return kept, nil
}
