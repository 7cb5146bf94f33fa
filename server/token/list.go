package token

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/fapid/fapid/store"
)

// Filter selects sessions; what is empty selects all.
type Filter struct {
	Client  string // client_id
	Subject string
	API     string // one of the audience
	// From and To bound the time of issue, both included.
	From, To time.Time
	State    SessionState
}

// maxLooked is how many sessions one page looks at: a filter that selects few of
// many gets a short page and the cursor to go on from, not a long wait.
const maxLooked = 1500

// List returns up to limit sessions that have not expired, by client and from
// the newest on, and the place to go on after; that is empty on the last page. A
// page may be shorter than limit, even empty, while there are more. The place is
// of a list with the same filter.
func (s *Sessions) List(ctx context.Context, wanted Filter, after string, limit int) (page []Session, next string, err error) {
	prefix, from := "", after
	if wanted.Client != "" {
		prefix = wanted.Client + separator
		if !wanted.To.IsZero() {
			// The newest first: to begin with To is to leave out what is newer.
			from = max(from, keyOf(wanted.Client, idAt(wanted.To, [randomBytes]byte{})))
		}
	}
	oldest := ""
	if !wanted.From.IsZero() {
		oldest = idAt(wanted.From.Add(-time.Millisecond), [randomBytes]byte{})
	}
	looked, at := 0, ""
	err = s.store.View(ctx, func(tx store.Tx) error {
		return s.sessions.ScanTx(tx, prefix, from, func(key string, session recorded) (bool, error) {
			if wanted.Client != "" && oldest != "" && session.ID >= oldest {
				return false, nil
			}
			if looked == maxLooked || len(page) == limit {
				next = at
				return false, nil
			}
			looked, at = looked+1, key
			if err := s.inherit(tx, &session.Session); err != nil {
				return false, err
			}
			if wanted.selects(&session.Session, oldest) {
				page = append(page, session.Session)
			}
			return true, nil
		})
	})
	if err != nil {
		return nil, "", fmt.Errorf("list sessions: %w", err)
	}
	return page, next, nil
}

func (f *Filter) selects(s *Session, oldest string) bool {
	return (f.Subject == "" || s.Subject == f.Subject) &&
		(f.API == "" || s.Audience.Has(f.API)) &&
		(oldest == "" || s.ID < oldest) &&
		(f.To.IsZero() || s.ID > idAt(f.To, [randomBytes]byte{})) &&
		(f.State == "" || s.State() == f.State)
}

// Get returns a session by its id, which is the jti of its first access token;
// or by the jti of a later one. The error is [store.ErrNotFound] when there is
// none, or it has expired.
func (s *Sessions) Get(ctx context.Context, id string) (*Session, error) {
	var session *Session
	err := s.store.View(ctx, func(tx store.Tx) (err error) {
		session, err = s.find(tx, sessionOf(id))
		return err
	})
	return session, err
}

// find looks a session up with every client there is: ids are unique, and the
// operator who has one from a token need not know whose it is.
func (s *Sessions) find(tx store.Tx, id string) (*Session, error) {
	var client string
	for after := []byte(nil); ; {
		found := false
		err := tx.Scan(s.sessions.Name, nil, after, func(key, _ []byte, _ time.Time) (bool, error) {
			client, _, found = strings.Cut(string(key), separator)
			return false, nil
		})
		if err != nil {
			return nil, err
		}
		if !found {
			return nil, store.ErrNotFound
		}
		session, err := s.sessions.GetTx(tx, keyOf(client, id))
		if err == nil {
			return &session.Session, s.inherit(tx, &session.Session)
		}
		if !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
		after = []byte(client + "\x01") // behind the last key of this client
	}
}

// End ends a session by its id, or by the jti of any of its access tokens: all of
// them and the refresh token are dead when it returns. Ending it again changes
// nothing. The error is [store.ErrNotFound] when there is none.
func (s *Sessions) End(ctx context.Context, id, by string) error {
	session, err := s.Get(ctx, id)
	if err != nil {
		return err
	}
	return s.end(ctx, session.ClientID, session.ID, by, time.Unix(session.Expires, 0))
}
