package registration

import (
	"slices"
	"strings"
	"sync"
)

// WantsRole reports whether software has to be in a role to register.
func (e *Ecosystem) WantsRole() bool { return e.Scope.Roles != nil || e.Statement.Role != "" }

// Admits reports whether a role, while it is active, lets software register.
func (e *Ecosystem) Admits(role string) bool {
	return role != "" && (e.Statement.Role == role || e.Scope.Roles[role] != "")
}

// Givers are the roles that let software have a scope; none where roles do not decide
// about it.
func (e *Ecosystem) Givers(scope string) []string { return givers()[e.Name][scope] }

// givers are the roles by ecosystem and scope.
var givers = sync.OnceValue(func() map[string]map[string][]string {
	all := make(map[string]map[string][]string, len(ecosystems))
	for i := range ecosystems {
		of := map[string][]string{}
		for role, scopes := range ecosystems[i].Scope.Roles {
			for scope := range strings.FieldsSeq(scopes) {
				of[scope] = append(of[scope], role)
			}
		}
		for _, roles := range of {
			slices.Sort(roles)
		}
		all[ecosystems[i].Name] = of
	}
	return all
})
