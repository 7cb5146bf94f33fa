package token

import (
	"context"
	"errors"
	"fmt"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/store"
)

// Origin is what an exchanged token was made of: another token, or the word of a
// client. The exchanged token is good no longer than all of its origins are, down
// to the first: whoever ends a session ends everything that came of it. (RFC 8693
// section 2 leaves that to the server.)
type Origin struct {
	// Session is the id of the token's session; empty for an assertion.
	Session string `json:"jti,omitempty"`
	// ClientID is the client that the token was issued to, or that has signed.
	ClientID string `json:"client_id"`
	// User is the id of the user that an assertion is about, who may get another
	// name; empty for none.
	User string `json:"user,omitempty"`
	// Certificate is the x5t#S256 of the certificate the token was bound to.
	Certificate string `json:"x5t#S256,omitempty"`
}

// Lineage are the origins of a token that is exchanged for these: each of them,
// and what it was made of itself.
func Lineage(tokens ...*Claims) (all []Origin) {
	seen := make(map[Origin]bool)
	add := func(origin Origin) {
		if !seen[origin] {
			seen[origin] = true
			all = append(all, origin)
		}
	}
	for _, claims := range tokens {
		origin := Origin{Session: sessionOf(claims.ID), ClientID: claims.ClientID}
		if claims.Confirmation != nil {
			origin.Certificate = claims.Confirmation.CertificateThumbprint
		}
		add(origin)
		for _, earlier := range claims.Origins {
			add(earlier)
		}
	}
	return all
}

// verifyOrigins looks whether all that a token was made of still holds.
func (i *Issuer) verifyOrigins(ctx context.Context, claims *Claims, event *oauth.Event) error {
	for _, origin := range claims.Origins {
		what := "client " + origin.ClientID
		if origin.Session != "" {
			what = "session " + origin.Session + " of " + what
			ended, err := i.Sessions.revoked.Has(ctx, origin.Session)
			if err != nil {
				return oauth.TemporarilyUnavailable().Because("revoked tokens: %w", err)
			}
			if ended {
				event.Fail("exchanged token's origin", what+" goes on", "it was ended", "begin again with a new token")
				return refused(errors.New("the session it came from was ended"))
			}
		}
		client, known := i.Client(origin.ClientID)
		if !known {
			event.Fail("exchanged token's origin", what+" is registered", "it is not", "begin again with the token of another client")
			return refused(errors.New("the client it came from is gone"))
		}
		if err := i.standing(client, "exchanged token's origin", event); err != nil {
			return err
		}
		if err := i.held(client, claims.Scope, "exchanged token's origin", event); err != nil {
			return err
		}
		if origin.User != "" && !i.User(origin.User) {
			event.Fail("exchanged token's origin", "user "+origin.User+" is active", "not active, or deleted", "begin again with an assertion about another user")
			return refused(errors.New("the user it is about is not active any more"))
		}
		if i.CertificateRevoked(origin.Certificate) {
			event.Fail("exchanged token's origin", what+", with a certificate that is not revoked", origin.Certificate, "begin again with a token that is bound to another certificate")
			return refused(errors.New("the certificate of what it came from is revoked"))
		}
	}
	event.Pass("exchanged token's origin", "", fmt.Sprintf("%d, all of them good", len(claims.Origins)))
	return nil
}

// inherit ends a session, for who looks at it, that came of one that was ended.
func (s *Sessions) inherit(tx store.Tx, session *Session) error {
	for _, origin := range session.Origins {
		if session.Ended != nil || origin.Session == "" {
			continue
		}
		ending, err := s.revoked.GetTx(tx, origin.Session)
		if err == nil {
			session.Ended = &Ending{At: ending.At, By: EndedByOrigin}
		} else if !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	return nil
}
