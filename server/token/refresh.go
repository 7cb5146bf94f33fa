package token

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/store"
)

// When a refresh token that was exchanged for a new one may be shown again. The
// answer with the new one may have been lost, and the client tries again; it
// gets the same new one, as long as that is unused. Nobody gives an answer up
// within the first second: what comes then raced the exchange, and is refused
// without ending anything. What comes later is somebody who has an old token.
const (
	retryFrom = time.Second
	retryTo   = 10 * time.Second
)

// ErrReused says that a refresh token was shown again that had been exchanged,
// and its successor used or the time for a retry over: somebody else may have it
// (RFC 9700 section 4.14.2).
var ErrReused = errors.New("it was exchanged for a new one before")

// errRaced says that a refresh token is being exchanged by another request.
var errRaced = fmt.Errorf("another request has just exchanged it; a lost answer may be asked for again after %s, until %s", retryFrom, retryTo)

// makeRefreshable gives a new session its first refresh token.
func (s *Sessions) makeRefreshable(session *recorded, a *Authorization) string {
	session.Refresh = &Refreshable{
		Lifetime: int64(a.Client.RefreshLifetime / time.Second), FromLastUse: a.Client.RefreshFromLastUse,
		CertificateSubject: a.CertificateSubject, CertificateIssuer: a.CertificateIssuer,
	}
	session.Refresh.extend(s.now())
	session.Seed = make([]byte, secretBytes)
	_, _ = rand.Read(session.Seed) // never fails (crypto/rand)
	return s.refreshToken(session, 0).String()
}

// extend counts the life of the refresh token from now.
func (r *Refreshable) extend(now time.Time) {
	if r.Lifetime > 0 {
		r.Expires = now.Unix() + r.Lifetime
	}
}

// refreshToken is the refresh token of a generation. Its secret is a MAC by a key
// that is not in the store, over 256 random bits that are: a copy of the store
// gives no token, an answer that was lost can be given again, and a token of an
// earlier generation is known for what it is, however long ago it was exchanged.
func (s *Sessions) refreshToken(session *recorded, generation int) handle {
	h := handle{kind: kindRefresh, client: session.ClientID, id: session.ID + further + strconv.Itoa(generation)}
	message := keyOf(h.client, h.id) + separator + string(session.Seed)
	h.secret = base64.RawURLEncoding.EncodeToString(s.sealer.MAC([]byte(message)))
	return h
}

// Refresh finds the session of a refresh token that may be used now. An error
// that wraps [ErrForeign] or [ErrReused] is about the token, and comes with the
// session if the token was once issued in it; any other is a failure of the store.
func (s *Sessions) Refresh(ctx context.Context, text string) (*Session, error) {
	h, err := parseHandle(text, kindRefresh)
	if err != nil {
		return nil, err
	}
	var session recorded
	err = s.store.View(ctx, func(tx store.Tx) (err error) {
		session, err = s.refreshable(tx, h)
		return err
	})
	if session.ID == "" {
		return nil, err
	}
	return &session.Session, err
}

// refreshable is everything that must hold for a refresh token to be used.
func (s *Sessions) refreshable(tx store.Tx, h handle) (recorded, error) {
	session, generation, err := s.owned(tx, h)
	if err != nil {
		return session, err
	}
	now := s.now()
	switch refresh := session.Refresh; {
	case session.Ended != nil:
		return session, fmt.Errorf("%w: its session was ended (by: %s)", ErrForeign, session.Ended.By)
	case refresh.Expires != 0 && now.Unix() >= refresh.Expires:
		return session, fmt.Errorf("%w: it expired %d s ago", ErrForeign, now.Unix()-refresh.Expires)
	case generation == refresh.Generation:
		return session, nil
	case generation < refresh.Generation-1:
		return session, ErrReused
	default:
		since := now.Sub(time.UnixMilli(refresh.Rotated))
		if since < retryFrom {
			return session, fmt.Errorf("%w: %w", ErrForeign, errRaced)
		}
		if since > retryTo {
			return session, ErrReused
		}
		return session, nil
	}
}

// owned finds the session that a refresh token was issued in, and the token's
// generation, whatever has become of them.
func (s *Sessions) owned(tx store.Tx, h handle) (session recorded, generation int, err error) {
	session, err = s.sessions.GetTx(tx, keyOf(h.client, sessionOf(h.id)))
	if errors.Is(err, store.ErrNotFound) {
		return recorded{}, 0, fmt.Errorf("%w: there is no such token, or it expired", ErrForeign)
	}
	if err != nil {
		return recorded{}, 0, err
	}
	_, number, _ := strings.Cut(h.id, further)
	generation, err = strconv.Atoi(number)
	if err != nil || session.Refresh == nil || generation < 0 || generation > session.Refresh.Generation {
		return recorded{}, 0, fmt.Errorf("%w: there is no such token", ErrForeign)
	}
	want := s.refreshToken(&session, generation).String()
	if subtle.ConstantTimeCompare([]byte(want), []byte(h.String())) != 1 {
		return recorded{}, 0, fmt.Errorf("%w: its secret is not the one that was issued", ErrForeign)
	}
	return session, generation, nil
}

// Spend uses a refresh token, after everything else was checked: it looks once
// more whether that may be, in the transaction that notes the use. It gives the
// authorization the id of its access token and the refresh token to answer with,
// which is a new one where rotate says so; again tells that it is one which another
// answer had before.
func (s *Sessions) Spend(ctx context.Context, text string, rotate bool, a *Authorization) (again bool, err error) {
	h, err := parseHandle(text, kindRefresh)
	if err != nil {
		return false, err
	}
	var session recorded
	err = s.store.Update(ctx, func(tx store.Tx) (err error) {
		if session, err = s.refreshable(tx, h); err != nil {
			return err
		}
		now, refresh := s.now(), session.Refresh
		refresh.Uses++
		refresh.LastUse = now.Unix()
		refresh.LastExpires = max(refresh.LastExpires, now.Add(a.Lifetime).Unix())
		refresh.Renewed = renewed(session.Confirmation, a.Confirmation)
		if refresh.FromLastUse {
			refresh.extend(now)
		}
		again = h != s.refreshToken(&session, refresh.Generation)
		if rotate && !again {
			refresh.Generation++
			refresh.Rotated = now.UnixMilli()
		}
		return s.sessions.PutTx(tx, keyOf(session.ClientID, session.ID), session, session.until())
	})
	if err != nil {
		return false, err
	}
	a.ID = session.ID + further + strconv.Itoa(session.Refresh.Uses)
	a.RefreshToken = s.refreshToken(&session, session.Refresh.Generation).String()
	return again, nil
}

// renewed is the certificate that tokens are bound to now, if they were bound to
// another at first.
func renewed(first, now *oauth.Confirmation) string {
	if first == nil || now == nil || first.CertificateThumbprint == now.CertificateThumbprint {
		return ""
	}
	return now.CertificateThumbprint
}

// Owner returns the session of a refresh token, whether or not it can be used.
func (s *Sessions) Owner(ctx context.Context, text string) (*Session, error) {
	h, err := parseHandle(text, kindRefresh)
	if err != nil {
		return nil, err
	}
	var session recorded
	err = s.store.View(ctx, func(tx store.Tx) (err error) {
		session, _, err = s.owned(tx, h)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &session.Session, nil
}
