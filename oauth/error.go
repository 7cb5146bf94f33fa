// Package oauth is the vocabulary of the protocol: errors, parameters,
// policies, confirmations and the event that records one request. It does no
// I/O and imports nothing of ours.
package oauth

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Error codes of the specifications fapid speaks.
const (
	CodeInvalidRequest         = "invalid_request"         // RFC 6749 section 5.2
	CodeInvalidClient          = "invalid_client"          // RFC 6749 section 5.2
	CodeInvalidGrant           = "invalid_grant"           // RFC 6749 section 5.2
	CodeUnauthorizedClient     = "unauthorized_client"     // RFC 6749 section 5.2
	CodeUnsupportedGrantType   = "unsupported_grant_type"  // RFC 6749 section 5.2
	CodeInvalidScope           = "invalid_scope"           // RFC 6749 section 5.2
	CodeInvalidTarget          = "invalid_target"          // RFC 8707 section 2
	CodeInvalidDPoPProof       = "invalid_dpop_proof"      // RFC 9449 section 5
	CodeUseDPoPNonce           = "use_dpop_nonce"          // RFC 9449 section 8
	CodeInvalidToken           = "invalid_token"           // RFC 6750 section 3.1
	CodeInsufficientScope      = "insufficient_scope"      // RFC 6750 section 3.1
	CodeUnsupportedTokenType   = "unsupported_token_type"  // RFC 7009 section 2.2.1
	CodeInvalidClientMetadata  = "invalid_client_metadata" // RFC 7591 section 3.2.2
	CodeInvalidRedirectURI     = "invalid_redirect_uri"    // RFC 7591 section 3.2.2
	CodeServerError            = "server_error"            // RFC 6749 section 4.1.2.1
	CodeTemporarilyUnavailable = "temporarily_unavailable" // RFC 6749 section 4.1.2.1
	CodeMisdirectedRequest     = "misdirected_request"     // RFC 9110 section 15.5.20
	CodeAccessDenied           = "access_denied"           // RFC 6749 section 4.1.2.1
	CodeNotFound               = "not_found"
	CodeMethodNotAllowed       = "method_not_allowed"
	CodeRequestTooLarge        = "request_too_large"
	CodeUnsupportedMediaType   = "unsupported_media_type"
	CodeAlreadyExists          = "already_exists"
	CodePreconditionFailed     = "precondition_failed"
	CodeTooManyRequests        = "too_many_requests" // RFC 6585 section 4
)

// Error codes of client registration that only a software statement can cause.
const (
	CodeInvalidStatement    = "invalid_software_statement"    // RFC 7591 section 3.2.2
	CodeUnapprovedStatement = "unapproved_software_statement" // RFC 7591 section 3.2.2
	CodeInvalidWebhookURIs  = "invalid_webhook_uris"          // Open Finance Brasil DCR 1.0 section 7.1
)

// Error is a refusal. It has two texts: Description is what the client may know
// and goes on the wire; Reason is why the request really failed and goes to the
// trace and the log only. It is a value: every constructor returns a fresh one.
type Error struct {
	Code        string
	Description string // %x20-21 / %x23-5B / %x5D-7E only (RFC 6749 section 5.2)
	Status      int    // HTTP status
	Reason      string // never a secret, token or assertion
	// RetryAfter is how long the client is told to wait; 0 tells it nothing.
	RetryAfter time.Duration
	cause      error
}

// Error gives code and both texts.
func (e Error) Error() string {
	text := e.Code + ": " + e.Description
	if e.Reason != "" {
		text += " (" + e.Reason + ")"
	}
	return text
}

// Unwrap returns the error given to Because.
func (e Error) Unwrap() error { return e.cause }

// Retry sets Retry-After, whole seconds (RFC 9110 section 10.2.3), where the client is
// told to wait.
func (e Error) Retry(header http.Header) {
	if e.RetryAfter > 0 {
		header.Set("Retry-After", strconv.FormatInt(int64(max(e.RetryAfter, time.Second)/time.Second), 10))
	}
}

// Because returns a copy that also says why it really failed.
func (e Error) Because(format string, args ...any) Error {
	err := fmt.Errorf(format, args...)
	e.Reason, e.cause = err.Error(), errors.Unwrap(err)
	return e
}

// AsError finds the refusal in err. Anything else is a server_error whose
// cause stays in the trace: a client learns nothing of our insides.
func AsError(err error) Error {
	var refusal Error
	if errors.As(err, &refusal) {
		return refusal
	}
	return ServerError().Because("%w", err)
}

func refusal(status int, code, format string, args []any) Error {
	return Error{Code: code, Status: status, Description: Printable(fmt.Sprintf(format, args...))}
}

// InvalidRequest: a parameter is missing, repeated or malformed.
func InvalidRequest(format string, args ...any) Error {
	return refusal(http.StatusBadRequest, CodeInvalidRequest, format, args)
}

// InvalidClient: client authentication failed.
func InvalidClient(format string, args ...any) Error {
	return refusal(http.StatusUnauthorized, CodeInvalidClient, format, args)
}

// InvalidGrant: the grant is unknown, expired, used, or not this client's.
func InvalidGrant(format string, args ...any) Error {
	return refusal(http.StatusBadRequest, CodeInvalidGrant, format, args)
}

// UnauthorizedClient: this client may not use this grant.
func UnauthorizedClient(format string, args ...any) Error {
	return refusal(http.StatusBadRequest, CodeUnauthorizedClient, format, args)
}

// UnsupportedGrantType: no such grant here.
func UnsupportedGrantType(format string, args ...any) Error {
	return refusal(http.StatusBadRequest, CodeUnsupportedGrantType, format, args)
}

// InvalidScope: a scope is malformed or not this client's.
func InvalidScope(format string, args ...any) Error {
	return refusal(http.StatusBadRequest, CodeInvalidScope, format, args)
}

// InvalidTarget: the client may not have a token for that API.
func InvalidTarget(format string, args ...any) Error {
	return refusal(http.StatusBadRequest, CodeInvalidTarget, format, args)
}

// InvalidDPoPProof: the DPoP proof is missing or not good for this request.
func InvalidDPoPProof(format string, args ...any) Error {
	return refusal(http.StatusBadRequest, CodeInvalidDPoPProof, format, args)
}

// UseDPoPNonce: the DPoP proof needs the nonce that comes with this answer.
func UseDPoPNonce(format string, args ...any) Error {
	return refusal(http.StatusBadRequest, CodeUseDPoPNonce, format, args)
}

// InvalidToken: the access token is not good here.
func InvalidToken(format string, args ...any) Error {
	return refusal(http.StatusUnauthorized, CodeInvalidToken, format, args)
}

// InsufficientScope: the access token lacks a scope.
func InsufficientScope(format string, args ...any) Error {
	return refusal(http.StatusForbidden, CodeInsufficientScope, format, args)
}

// InvalidClientMetadata: the registration breaks a rule.
func InvalidClientMetadata(format string, args ...any) Error {
	return refusal(http.StatusBadRequest, CodeInvalidClientMetadata, format, args)
}

// InvalidRedirectURI: a redirect URI breaks a rule.
func InvalidRedirectURI(format string, args ...any) Error {
	return refusal(http.StatusBadRequest, CodeInvalidRedirectURI, format, args)
}

// InvalidSoftwareStatement: the software statement is malformed, not signed by its
// issuer, or not valid now.
func InvalidSoftwareStatement(format string, args ...any) Error {
	return refusal(http.StatusBadRequest, CodeInvalidStatement, format, args)
}

// UnapprovedSoftwareStatement: the software statement is not enough to be
// registered here.
func UnapprovedSoftwareStatement(format string, args ...any) Error {
	return refusal(http.StatusBadRequest, CodeUnapprovedStatement, format, args)
}

// BadRegistration is a refusal of a registration with an error code that an
// ecosystem demands.
func BadRegistration(code, format string, args ...any) Error {
	return refusal(http.StatusBadRequest, code, format, args)
}

// AccessDenied: the caller is known and may not do this.
func AccessDenied(format string, args ...any) Error {
	return refusal(http.StatusForbidden, CodeAccessDenied, format, args)
}

// NotFound: nothing is served at that path or under that name.
func NotFound(format string, args ...any) Error {
	return refusal(http.StatusNotFound, CodeNotFound, format, args)
}

// MethodNotAllowed: the path is served, but not by that method.
func MethodNotAllowed(format string, args ...any) Error {
	return refusal(http.StatusMethodNotAllowed, CodeMethodNotAllowed, format, args)
}

// RequestTooLarge: the body is over its limit.
func RequestTooLarge(format string, args ...any) Error {
	return refusal(http.StatusRequestEntityTooLarge, CodeRequestTooLarge, format, args)
}

// UnsupportedMediaType: the body is not of a type that is read here.
func UnsupportedMediaType(format string, args ...any) Error {
	return refusal(http.StatusUnsupportedMediaType, CodeUnsupportedMediaType, format, args)
}

// AlreadyExists: what was to be created is there.
func AlreadyExists(format string, args ...any) Error {
	return refusal(http.StatusConflict, CodeAlreadyExists, format, args)
}

// PreconditionFailed: If-Match or If-None-Match does not hold (RFC 9110 section 13.1).
func PreconditionFailed(format string, args ...any) Error {
	return refusal(http.StatusPreconditionFailed, CodePreconditionFailed, format, args)
}

// TooManyRequests: a quota is used up.
func TooManyRequests(wait time.Duration, format string, args ...any) Error {
	refused := refusal(http.StatusTooManyRequests, CodeTooManyRequests, format, args)
	refused.RetryAfter = wait
	return refused
}

// MisdirectedRequest: Host is not the name this TLS connection was made for.
func MisdirectedRequest(format string, args ...any) Error {
	return refusal(http.StatusMisdirectedRequest, CodeMisdirectedRequest, format, args)
}

// ServerError: our fault; the reason is in the trace.
func ServerError() Error {
	return refusal(http.StatusInternalServerError, CodeServerError, "the server failed; the trace says why", nil)
}

// TemporarilyUnavailable: the store cannot answer now; nothing was issued.
func TemporarilyUnavailable() Error {
	refused := refusal(http.StatusServiceUnavailable, CodeTemporarilyUnavailable, "the server cannot do this now; try again", nil)
	refused.RetryAfter = time.Second
	return refused
}

// Printable keeps text inside the characters RFC 6749 section 5.2 allows in an
// error_description: quotes, escaped or not, and backslashes become apostrophes and
// slashes, anything else outside becomes a question mark.
func Printable(text string) string {
	clean := func(r rune) rune {
		switch {
		case r == '"':
			return '\''
		case r == '\\':
			return '/'
		case r < 0x20 || r > 0x7e:
			return '?'
		}
		return r
	}
	return strings.Map(clean, strings.ReplaceAll(text, `\"`, `"`))
}
