package oauth

import (
	"encoding/json"
	"slices"
	"strings"
)

// Scope is a list of scope tokens, in the order they were written.
type Scope []string

// Limits of a scope parameter: well above what ecosystems send, low enough
// that a hostile one costs nothing.
const (
	maxScopeBytes  = 4096
	maxScopeTokens = 100
)

// ParseScope splits a scope parameter (RFC 6749 section 3.3: tokens of
// %x21 / %x23-5B / %x5D-7E, one space between). A repeated token counts once.
func ParseScope(text string) (Scope, error) {
	if text == "" {
		return nil, nil
	}
	if len(text) > maxScopeBytes {
		return nil, InvalidScope("scope is longer than %d bytes", maxScopeBytes)
	}
	var scope Scope
	for token := range strings.SplitSeq(text, " ") {
		if !validScopeToken(token) {
			return nil, InvalidScope("scope must be tokens of printable ASCII separated by one space")
		}
		if scope.Has(token) {
			continue
		}
		if len(scope) == maxScopeTokens {
			return nil, InvalidScope("scope has more than %d tokens", maxScopeTokens)
		}
		scope = append(scope, token)
	}
	return scope, nil
}

func validScopeToken(token string) bool {
	for i := range len(token) {
		if c := token[i]; c <= 0x20 || c == '"' || c == '\\' || c > 0x7e {
			return false
		}
	}
	return token != ""
}

// Has reports whether the token is in the scope.
func (s Scope) Has(token string) bool { return slices.Contains(s, token) }

// Missing returns the first token of wanted that s does not hold.
func (s Scope) Missing(wanted Scope) (string, bool) {
	for _, token := range wanted {
		if !s.Has(token) {
			return token, true
		}
	}
	return "", false
}

// Within returns the tokens of s that are in other, too.
func (s Scope) Within(other Scope) Scope {
	kept := make(Scope, 0, len(s))
	for _, token := range s {
		if other.Has(token) {
			kept = append(kept, token)
		}
	}
	return kept
}

// String gives the scope as a parameter.
func (s Scope) String() string { return strings.Join(s, " ") }

// Audience is the aud claim: written as a string when it is one, as an array
// when it is several, and read from either (RFC 7519 section 4.1.3).
type Audience []string

// Has reports whether the audience names id.
func (a Audience) Has(id string) bool { return slices.Contains(a, id) }

// MarshalJSON writes a single audience as a string.
func (a Audience) MarshalJSON() ([]byte, error) {
	if len(a) == 1 {
		return json.Marshal(a[0])
	}
	return json.Marshal([]string(a))
}

// UnmarshalJSON reads a string or an array of strings.
func (a *Audience) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		var one string
		if err := json.Unmarshal(data, &one); err != nil {
			return err
		}
		*a = Audience{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(a))
}

// Confirmation is the cnf claim (RFC 7800): what a token is bound to. A token
// with both members wants both proofs.
type Confirmation struct {
	// CertificateThumbprint is the base64url SHA-256 of the client
	// certificate's DER (RFC 8705 section 3.1).
	CertificateThumbprint string `json:"x5t#S256,omitempty"`
	// KeyThumbprint is the base64url RFC 7638 thumbprint, by SHA-256, of the
	// key that signs DPoP proofs (RFC 9449 section 6.1).
	KeyThumbprint string `json:"jkt,omitempty"`
}

// Authentication schemes of access tokens; as token_type they say which one a
// token is used with.
const (
	SchemeBearer = "Bearer" // RFC 6750
	SchemeDPoP   = "DPoP"   // RFC 9449 section 7.1
)

// SchemeBasic is that of a client's id and secret (RFC 7617).
const SchemeBasic = "Basic"

// TokenType is the token_type of a token that is bound so; nil is one that is
// not bound.
func (c *Confirmation) TokenType() string {
	if c != nil && c.KeyThumbprint != "" {
		return SchemeDPoP
	}
	return SchemeBearer
}
