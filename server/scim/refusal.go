package scim

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/server/endpoint"
	"github.com/fapid/fapid/server/users"
)

// Codes of the refusals of this package.
const (
	codeInvalidFilter = "invalid_filter"
	codeInvalidPath   = "invalid_path"
	codeNoTarget      = "no_target"
	codeMutability    = "mutability"
	codeTooMany       = "too_many"

	codeNotImplemented = "not_implemented"
)

// kinds are the words of SCIM for a refusal (scimType, RFC 7644 section 3.12), and
// what the trace says of it.
var kinds = map[string]struct{ scimType, check, expected string }{
	oauth.CodeInvalidRequest:     {"invalidSyntax", "request body", "a body that can be read"},
	users.CodeInvalidSyntax:      {"invalidSyntax", "request", "what RFC 7644 section 3 has for this request"},
	users.CodeInvalidValue:       {"invalidValue", "attribute value", "a value that the schema of the attribute allows (RFC 7643 section 4.1)"},
	users.CodeUniqueness:         {"uniqueness", "uniqueness", "a value that no other user of the realm has"},
	codeInvalidFilter:            {"invalidFilter", "filter", "a filter by RFC 7644 section 3.4.2.2"},
	codeInvalidPath:              {"invalidPath", "path", "a path by RFC 7644 section 3.5.2"},
	codeNoTarget:                 {"noTarget", "path", "a path that leads to something"},
	codeMutability:               {"mutability", "mutability", "an attribute that a client may change so"},
	codeTooMany:                  {"tooMany", "number of results", "a filter that selects fewer users"},
	oauth.CodePreconditionFailed: {"", "entity tag", "the version of the user as it is now (RFC 7644 section 3.14)"},
}

func invalidFilter(format string, args ...any) oauth.Error {
	return refuse(codeInvalidFilter, format, args)
}

func invalidPath(format string, args ...any) oauth.Error {
	return refuse(codeInvalidPath, format, args)
}

func noTarget(format string, args ...any) oauth.Error {
	return refuse(codeNoTarget, format, args)
}

func mutability(format string, args ...any) oauth.Error {
	return refuse(codeMutability, format, args)
}

func tooMany(format string, args ...any) oauth.Error {
	return refuse(codeTooMany, format, args)
}

func refuse(code, format string, args []any) oauth.Error {
	return oauth.Error{Code: code, Status: http.StatusBadRequest, Description: oauth.Printable(fmt.Sprintf(format, args...))}
}

// problem is SCIM's body of a refusal (RFC 7644 section 3.12).
type problem struct {
	Schemas []string `json:"schemas"`
	Status  string   `json:"status"`
	Type    string   `json:"scimType,omitempty"`
	Detail  string   `json:"detail,omitempty"`
}

// refusal writes a refusal in the words of SCIM. There is no member for the
// address of an explanation, so it ends the text that is for people.
func refusal(err oauth.Error, explanation string) *endpoint.Answer {
	told := problem{
		Schemas: []string{"urn:ietf:params:scim:api:messages:2.0:Error"},
		Status:  strconv.Itoa(err.Status), Type: kinds[err.Code].scimType, Detail: cmp.Or(err.Description, http.StatusText(err.Status)),
	}
	if explanation != "" {
		told.Detail += " (see " + explanation + ")"
	}
	return document(told)
}

// explained writes into the event what a refusal of ours was about. Descriptions
// have names and kinds of values in them, never the values: some are passwords.
func explained(serve endpoint.Handler) endpoint.Handler {
	return func(ctx context.Context, r *endpoint.Request) (*endpoint.Answer, error) {
		answer, err := serve(ctx, r)
		if refused, ok := errors.AsType[oauth.Error](err); ok {
			if kind, ours := kinds[refused.Code]; ours {
				r.Event.Fail(kind.check, kind.expected, refused.Description, "change the request as the presented text says")
			}
		}
		return answer, err
	}
}

// optional are the endpoints that a provider may have (RFC 7644 sections 3.7 and
// 3.11) and this one has not: 501 tells a client that it need not look elsewhere.
var optional = []string{"Bulk", "Me"}

func nothing(_ context.Context, r *endpoint.Request) (*endpoint.Answer, error) {
	const served = "SCIM is served here for Users, ServiceProviderConfig, ResourceTypes and Schemas"
	if slices.Contains(optional, r.Path["path"]) {
		return nil, oauth.Error{Code: codeNotImplemented, Status: http.StatusNotImplemented, Description: served}
	}
	return nil, oauth.NotFound(served)
}
