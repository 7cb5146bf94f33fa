package token

import (
	"time"
)

// Session is what one grant gave a client: an access token and, where a refresh
// token came with it, all that is fetched by that. Its members are those of the
// first access token; the jti of that one is the session's id.
type Session struct {
	Claims

	// Format of the first access token, [oauth.FormatJWT] or [oauth.FormatOpaque].
	Format string `json:"format"`
	// Refresh is the refresh token; nil where there is none.
	Refresh *Refreshable `json:"refresh,omitempty"`
	// Ended says that the session was ended before its time; nil otherwise.
	Ended *Ending `json:"ended,omitempty"`
}

// Ending is the end of a session before its time.
type Ending struct {
	At int64 `json:"at"` // seconds since 1970
	// By is who ended it: one of the Ended constants.
	By string `json:"by"`
}

// Who ends a session.
const (
	EndedByClient   = "client"   // RFC 7009
	EndedByOperator = "operator" // on the operator's listener
	EndedByManager  = "manager"  // a client, by the realm's management API
	EndedByHolder   = "holder"   // whoever has the token
	EndedByReuse    = "reuse"    // of a refresh token that was exchanged before (RFC 9700 section 4.14.2)
	EndedByOrigin   = "origin"   // the session of a token that this one's was exchanged for has ended
)

// Refreshable is the state of a session's refresh token.
type Refreshable struct {
	// Expires is when the refresh token expires, in seconds since 1970; 0 is never.
	Expires int64 `json:"exp,omitempty"`
	// Lifetime is how long it lives in seconds, from its issue or from its last use.
	Lifetime    int64 `json:"lifetime,omitempty"`
	FromLastUse bool  `json:"from_last_use,omitempty"`

	Uses    int   `json:"uses"`               // how many access tokens were fetched with it
	LastUse int64 `json:"last_use,omitempty"` // seconds since 1970
	// LastExpires is when the latest of those access tokens expires.
	LastExpires int64 `json:"last_exp,omitempty"`

	// Generation is the number of the refresh token that is good: how often it
	// was exchanged for a new one, the last time at Rotated (milliseconds since 1970).
	Generation int   `json:"generation,omitempty"`
	Rotated    int64 `json:"rotated,omitempty"`

	// CertificateSubject is the subject of the certificate that the session began with,
	// and CertificateIssuer the CA it is from, by its key: by both a renewed one is known.
	CertificateSubject string `json:"certificate_subject,omitempty"`
	CertificateIssuer  string `json:"certificate_issuer,omitempty"`
	// Renewed is the x5t#S256 of the renewed certificate that the latest access token is
	// bound to; empty while that is the one the session began with.
	Renewed string `json:"renewed_certificate,omitempty"`
}

// SessionState is where a session stands; one that has expired is not listed.
type SessionState string

// The states of a session.
const (
	Live  SessionState = "live"
	Ended SessionState = "ended"
)

// SessionState is where the session stands.
func (s *Session) State() SessionState {
	if s.Ended != nil {
		return Ended
	}
	return Live
}

// SessionView is a session as it is shown: never with a token in it.
type SessionView struct {
	Session
	State SessionState `json:"state"`
}

// View shows the session.
func (s *Session) View() SessionView { return SessionView{*s, s.State()} }

// recorded is a session at rest.
type recorded struct {
	Session
	// Hash is the SHA-256 of the first access token, if that is opaque.
	Hash []byte `json:"hash,omitempty"`
	// Seed is what the refresh tokens are made from, together with a key that is
	// not in the store; see [Sessions.refreshToken].
	Seed []byte `json:"seed,omitempty"`
}

// fetched is an opaque access token that was fetched by a refresh token.
type fetched struct {
	Claims
	Hash []byte `json:"hash"` // SHA-256 of the token
}

// accessUntil is when the last of the session's access tokens has expired.
func (s *Session) accessUntil() time.Time {
	last := s.Expires
	if s.Refresh != nil {
		last = max(last, s.Refresh.LastExpires)
	}
	return time.Unix(last, 0)
}

// until is when all of the session has expired; zero is never.
func (s *Session) until() time.Time {
	until := s.accessUntil()
	if s.Refresh == nil {
		return until
	}
	if s.Refresh.Expires == 0 {
		return time.Time{}
	}
	if refresh := time.Unix(s.Refresh.Expires, 0); refresh.After(until) {
		return refresh
	}
	return until
}
