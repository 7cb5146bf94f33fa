package token

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"time"

	"github.com/fapid/fapid/store"
)

// Sessions is the record of what a realm has issued: of every opaque access
// token and every refresh token, and of the JWT access tokens of clients that
// want theirs recorded. It is safe for concurrent use.
type Sessions struct {
	store  store.Store
	sealer *store.Sealer // keys the refresh tokens
	now    func() time.Time

	sessions store.Table[recorded]
	fetched  store.Table[fetched]
	// revoked holds the ids of sessions that were ended, as long as a token may be
	// out that does not tell by itself: a JWT, or what was exchanged for a token.
	revoked store.Table[Ending]
}

// NewSessions opens the record of a realm. The sealer is one that nothing else uses.
func NewSessions(realm string, in store.Store, sealer *store.Sealer, now func() time.Time) *Sessions {
	return &Sessions{
		store: in, sealer: sealer, now: now,
		sessions: store.Table[recorded]{Store: in, Name: realm + "/session", Now: now},
		fetched:  store.Table[fetched]{Store: in, Name: realm + "/fetched-token", Now: now},
		revoked:  store.Table[Ending]{Store: in, Name: realm + "/revoked-token", Now: now},
	}
}

// separator stands between client and id in a key; no client_id holds it.
const separator = "\x00"

func keyOf(client, id string) string { return client + separator + id }

// keep records a new session.
func (s *Sessions) keep(ctx context.Context, session recorded) error {
	return s.sessions.Put(ctx, keyOf(session.ClientID, session.ID), session, session.until())
}

// add records an opaque access token that was fetched by a refresh token. It is
// good while its session is.
func (s *Sessions) add(ctx context.Context, token fetched) error {
	return s.fetched.Put(ctx, keyOf(token.ClientID, token.ID), token, time.Unix(token.Expires, 0))
}

// access finds what an opaque access token says, whether or not it still holds.
// What is neither an [ErrForeign] nor nil is a failure of the store.
func (s *Sessions) access(ctx context.Context, text string) (*Claims, error) {
	h, err := parseHandle(text, kindAccess)
	if err != nil {
		return nil, err
	}
	var claims Claims
	var hash []byte
	err = s.store.View(ctx, func(tx store.Tx) error {
		session, err := s.sessions.GetTx(tx, keyOf(h.client, sessionOf(h.id)))
		if err != nil {
			return err
		}
		claims, hash = session.Claims, session.Hash
		if h.id != session.ID {
			later, err := s.fetched.GetTx(tx, keyOf(h.client, h.id))
			if err != nil {
				return err
			}
			claims, hash = later.Claims, later.Hash
		}
		claims.opaque, claims.ended = true, session.Ended != nil
		return nil
	})
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, fmt.Errorf("%w: there is no such token, or it expired", ErrForeign)
	case err != nil:
		return nil, err
	case subtle.ConstantTimeCompare(hash, h.hash()) != 1:
		return nil, fmt.Errorf("%w: its secret is not the one that was issued", ErrForeign)
	}
	return &claims, nil
}

// dead reports whether the session of a token was ended.
func (s *Sessions) dead(ctx context.Context, claims *Claims) (bool, error) {
	if claims.opaque {
		return claims.ended, nil
	}
	return s.revoked.Has(ctx, sessionOf(claims.ID))
}

// onTheWay is how much longer than its tokens an end is remembered: one may be
// signed at the very moment, after the last look at its session.
const onTheWay = time.Minute

// end ends a session, recorded or not, in one transaction: from then on its
// access tokens and its refresh token are dead. One that has ended stays as it is.
func (s *Sessions) end(ctx context.Context, client, id, by string, until time.Time) error {
	return s.store.Update(ctx, func(tx store.Tx) error {
		key := keyOf(client, id)
		session, err := s.sessions.GetTx(tx, key)
		known := err == nil
		switch {
		case err != nil && !errors.Is(err, store.ErrNotFound):
			return err
		case known && session.Ended != nil:
			return nil
		}
		ending, last := Ending{At: s.now().Unix(), By: by}, until
		if known {
			session.Ended = &ending
			if err := s.sessions.PutTx(tx, key, session, session.until()); err != nil {
				return err
			}
			if at := session.accessUntil(); at.After(last) {
				last = at
			}
		}
		return s.revoked.PutTx(tx, id, ending, last.Add(onTheWay))
	})
}

// Revoke ends the session of a token (RFC 7009 section 2.1): the token, the
// refresh token it came with and what was fetched by that.
func (i *Issuer) Revoke(ctx context.Context, claims *Claims) error {
	return i.Sessions.EndOf(ctx, claims, EndedByClient)
}

// EndOf ends the session of a token, recorded or not.
func (s *Sessions) EndOf(ctx context.Context, claims *Claims, by string) error {
	return s.end(ctx, claims.ClientID, sessionOf(claims.ID), by, time.Unix(claims.Expires, 0))
}

// record keeps what is issued, where it is to be kept: it is on disk before
// anybody has it. The hash is that of an opaque token.
func (i *Issuer) record(ctx context.Context, a *Authorization, claims *Claims, hash []byte) error {
	if a.ID != "" { // of a session that is recorded
		if hash == nil {
			return nil
		}
		return i.Sessions.add(ctx, fetched{Claims: *claims, Hash: hash})
	}
	if hash == nil && !a.Client.RecordTokens && !a.Refresh {
		return nil
	}
	session := recorded{Session: Session{Claims: *claims, Format: a.Format}, Hash: hash}
	if a.Refresh {
		a.RefreshToken = i.Sessions.makeRefreshable(&session, a)
	}
	return i.Sessions.keep(ctx, session)
}
