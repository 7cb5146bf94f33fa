package users

import (
	"fmt"
	"net/http"

	"github.com/fapid/fapid/oauth"
)

// Codes of the refusals of this package; SCIM has a word of its own for each
// (RFC 7644 section 3.12).
const (
	CodeInvalidValue  = "invalid_value"
	CodeInvalidSyntax = "invalid_syntax"
	CodeUniqueness    = "uniqueness"
)

// InvalidValue: an attribute has a value it cannot have.
func InvalidValue(attribute, format string, args ...any) oauth.Error {
	return refuse(http.StatusBadRequest, CodeInvalidValue, attribute+" "+fmt.Sprintf(format, args...))
}

// InvalidSyntax: the body is no JSON object, or not what the request wants.
func InvalidSyntax(format string, args ...any) oauth.Error {
	return refuse(http.StatusBadRequest, CodeInvalidSyntax, fmt.Sprintf(format, args...))
}

// taken: another user of the realm has that value.
func taken(attribute string) oauth.Error {
	return refuse(http.StatusConflict, CodeUniqueness, "another user of the realm has that "+attribute)
}

func refuse(status int, code, description string) oauth.Error {
	return oauth.Error{Code: code, Status: status, Description: oauth.Printable(description)}
}

// fault is a refusal of one attribute, whose line can be added.
type fault struct {
	path    string
	refusal oauth.Error
}

func (f *fault) Error() string { return f.refusal.Error() }

// Unwrap is the refusal.
func (f *fault) Unwrap() error { return f.refusal }

// invalid: the attribute at a path of a record has a value it cannot have.
func invalid(path, format string, args ...any) error {
	return &fault{path, InvalidValue(path, format, args...)}
}
