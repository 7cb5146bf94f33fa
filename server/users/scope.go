package users

// The scopes by which clients are let at the users of a realm.
const (
	ScopeRead  = "fapid:users.read"
	ScopeWrite = "fapid:users.write"
)

// The scopes by which Asgardeo's clients ask for parts of them.
const (
	ScopeList   = "internal_user_mgt_list"
	ScopeView   = "internal_user_mgt_view"
	ScopeCreate = "internal_user_mgt_create"
	ScopeUpdate = "internal_user_mgt_update"
	ScopeDelete = "internal_user_mgt_delete"
)

// PartScopes are Asgardeo's scopes.
func PartScopes() []string {
	return []string{ScopeList, ScopeView, ScopeCreate, ScopeUpdate, ScopeDelete}
}

// ScopeOf is the scope that another is a part of; empty for one that is no part.
func ScopeOf(part string) string {
	switch part {
	case ScopeList, ScopeView:
		return ScopeRead
	case ScopeCreate, ScopeUpdate, ScopeDelete:
		return ScopeWrite
	}
	return ""
}
