package resource

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	strict "github.com/go-jose/go-jose/v4/json"

	"github.com/fapid/fapid/oauth"
)

// Claims are what an access token says of the request it came with. They may be
// shared by several requests: do not change them.
type Claims struct {
	Issuer string
	// Subject is whom the token is about: a user, or the client itself.
	Subject string
	// ClientID is the client it was issued to.
	ClientID string
	Audience []string
	// Scope has a space between its tokens; ask [Claims.Has].
	Scope string
	// Roles are those that the API gave the client (RFC 9068 section 2.2.3.1).
	Roles []string
	// ID is the jti; empty where the issuer gives none.
	ID string
	// IssuedAt and Expires are zero where the issuer does not say.
	IssuedAt, Expires time.Time
	// CertificateThumbprint and KeyThumbprint are what the token is bound to, the
	// x5t#S256 of a client certificate (RFC 8705) and the jkt of a DPoP key (RFC
	// 9449). The request has proved that its sender holds them.
	CertificateThumbprint, KeyThumbprint string

	bound   *oauth.Confirmation
	payload []byte
}

// Has reports whether a scope was granted.
func (c *Claims) Has(scope string) bool { return hasScope(c.Scope, scope) }

// Decode reads all the claims, also those that Claims has no field for, into a
// struct with json tags, or a map. Names are case-sensitive.
func (c *Claims) Decode(into any) error { return strict.Unmarshal(c.payload, into) }

type contextKey struct{}

// Token is what the access token of a request says, inside a handler that
// [Guard.Protect] protects; nil elsewhere.
func Token(ctx context.Context) *Claims {
	claims, _ := ctx.Value(contextKey{}).(*Claims)
	return claims
}

// wireClaims are the claims of a JWT access token (RFC 9068 section 2.2), and the
// members of an introspection answer (RFC 7662 section 2.2), as far as they are
// looked at.
type wireClaims struct {
	Active       bool                `json:"active"`
	Issuer       string              `json:"iss"`
	Subject      string              `json:"sub"`
	Audience     oauth.Audience      `json:"aud"`
	ClientID     string              `json:"client_id"`
	Authorized   string              `json:"azp"` // Keycloak's client_id
	Scope        wireScope           `json:"scope"`
	Roles        json.RawMessage     `json:"roles"`
	ID           string              `json:"jti"`
	IssuedAt     *float64            `json:"iat"` // seconds since 1970, and fractions
	NotUntil     *float64            `json:"nbf"`
	Expires      *float64            `json:"exp"`
	Confirmation *oauth.Confirmation `json:"cnf"`

	// What other tokens of an issuer have that are JWTs, too.
	Type       string          `json:"typ"`       // Keycloak: Bearer, ID, Refresh, ...
	Use        string          `json:"token_use"` // Cognito: access, id
	TokenHash  json.RawMessage `json:"at_hash"`   // OpenID Connect Core section 3.1.3.6
	CodeHash   json.RawMessage `json:"c_hash"`
	EventClaim json.RawMessage `json:"events"` // RFC 8417: logout tokens and the like
}

// wireScope is a scope as a text or, as some issuers have it, an array.
type wireScope string

// UnmarshalJSON reads either.
func (s *wireScope) UnmarshalJSON(data []byte) error {
	var text string
	if len(data) > 0 && data[0] == '[' {
		var list []string
		if err := strict.Unmarshal(data, &list); err != nil {
			return err
		}
		text = oauth.Scope(list).String()
	} else if err := strict.Unmarshal(data, &text); err != nil {
		return err
	}
	*s = wireScope(text)
	return nil
}

// read decodes claims strictly: case-sensitive, each once.
func read(payload []byte) (*wireClaims, *Claims, error) {
	var wire wireClaims
	if err := strict.Unmarshal(payload, &wire); err != nil {
		return nil, nil, err
	}
	if _, err := oauth.ParseScope(string(wire.Scope)); err != nil {
		return nil, nil, errors.New("scope is not tokens with a space between")
	}
	claims := &Claims{
		Issuer: wire.Issuer, Subject: wire.Subject, ClientID: wire.ClientID, Audience: wire.Audience,
		Scope: string(wire.Scope), ID: wire.ID, IssuedAt: moment(wire.IssuedAt), Expires: moment(wire.Expires),
		bound: wire.Confirmation, payload: payload,
	}
	if claims.ClientID == "" {
		claims.ClientID = wire.Authorized
	}
	if len(wire.Roles) > 0 && wire.Roles[0] == '[' {
		if err := strict.Unmarshal(wire.Roles, &claims.Roles); err != nil {
			claims.Roles = nil // something else by the name, which Decode gives
		}
	}
	if bound := wire.Confirmation; bound != nil {
		claims.CertificateThumbprint, claims.KeyThumbprint = bound.CertificateThumbprint, bound.KeyThumbprint
	}
	return &wire, claims, nil
}

// moment is the time of a NumericDate; zero for none.
func moment(seconds *float64) time.Time {
	if seconds == nil || *seconds < 0 || *seconds > maxDate {
		return time.Time{}
	}
	return time.UnixMilli(int64(*seconds * 1000))
}

// maxDate is the last second of the year 9999.
const maxDate = 253402300799

// current holds exp, nbf and iat to the clock; without exp there is nothing to
// hold the token to, unless the issuer was asked just now.
func (w *wireClaims) current(now time.Time, skew time.Duration, event *oauth.Event) error {
	seconds := float64(now.UnixMilli()) / 1000
	const check = "access token lifetime"
	if w.Expires != nil && seconds >= *w.Expires+skew.Seconds() {
		event.Fail(check, "now before exp", fmt.Sprintf("expired %.0f s ago", seconds-*w.Expires), "fetch a new token")
		return notValid("expired")
	}
	for _, date := range []struct {
		name string
		at   *float64
	}{{"nbf", w.NotUntil}, {"iat", w.IssuedAt}} {
		if date.at != nil && *date.at > seconds+skew.Seconds() {
			event.Fail(check, fmt.Sprintf("%s at most %.0f s ahead", date.name, skew.Seconds()), fmt.Sprintf("%s %.0f s ahead", date.name, *date.at-seconds), "set the clocks of the issuer and of this machine")
			return notValid("%s is in the future", date.name)
		}
	}
	event.Pass(check, "", "")
	return nil
}

// notValid is the one public text for a token that is no good.
func notValid(format string, args ...any) error {
	return oauth.InvalidToken("the access token is not valid").Because(format, args...)
}
