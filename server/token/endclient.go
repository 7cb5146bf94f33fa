package token

import (
	"context"
	"time"

	"github.com/fapid/fapid/oauth"
)

// EndedByDeletion is who ended the sessions of a client that was deleted.
const EndedByDeletion = "deletion"

// EndClient ends all sessions of a client that was deleted. Its tokens are dead
// without that; this is for another client of its name, and for the list.
func (s *Sessions) EndClient(ctx context.Context, client string) error {
	const page = 200
	for after := ""; ; {
		sessions, next, err := s.List(ctx, Filter{Client: client, State: Live}, after, page)
		if err != nil {
			return oauth.TemporarilyUnavailable().Because("sessions of %s: %w", oauth.Clip(client), err)
		}
		for i := range sessions {
			if err := s.end(ctx, client, sessions[i].ID, EndedByDeletion, time.Unix(sessions[i].Expires, 0)); err != nil {
				return oauth.TemporarilyUnavailable().Because("end session %s: %w", sessions[i].ID, err)
			}
		}
		if after = next; after == "" {
			return nil
		}
	}
}
