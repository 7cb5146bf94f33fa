package directory

import (
	"net/http"

	"github.com/fapid/fapid/oauth"
)

// conflict: what is asked for does not go with what is there.
func conflict(format string, args ...any) oauth.Error {
	refusal := oauth.InvalidRequest(format, args...)
	refusal.Code, refusal.Status = "conflict", http.StatusConflict
	return refusal
}

// denied: the caller is known and may not do this.
func denied(format string, args ...any) oauth.Error {
	refusal := oauth.InvalidRequest(format, args...)
	refusal.Code, refusal.Status = "access_denied", http.StatusForbidden
	return refusal
}

// stale: If-Match names another version than there is (RFC 9110 section 13.1.1).
func stale() oauth.Error {
	refusal := oauth.InvalidRequest("If-Match names another version than there is; read it again")
	refusal.Code, refusal.Status = "precondition_failed", http.StatusPreconditionFailed
	return refusal
}
