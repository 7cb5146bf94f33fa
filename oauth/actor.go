package oauth

import (
	"errors"
	"fmt"
	"slices"

	strict "github.com/go-jose/go-jose/v4/json"
)

// Party is somebody whom a token names beside its subject: who acts for it, or
// who may (RFC 8693 sections 4.1 and 4.4). What is empty is not said.
type Party struct {
	Issuer   string `json:"iss,omitempty"`
	Subject  string `json:"sub,omitempty"`
	ClientID string `json:"client_id,omitempty"` // RFC 8693 section 4.3: the client it acts through
}

// Actor is the act claim (RFC 8693 section 4.1): who acts for the subject of a
// token, and within it who did before; the first is the innermost.
type Actor struct {
	Party
	Act *Actor `json:"act,omitempty"`
}

// Depth is how many actors there are, one after the other.
func (a *Actor) Depth() (depth int) {
	for ; a != nil; a = a.Act {
		depth++
	}
	return depth
}

// String names the actors, the newest first, for people.
func (a *Actor) String() string {
	if a == nil {
		return "nobody"
	}
	text := a.Party.String()
	for a = a.Act; a != nil; a = a.Act {
		text += ", before " + a.Party.String()
	}
	return text
}

// String names the party for people.
func (p Party) String() string {
	switch {
	case p.ClientID == "" || p.ClientID == p.Subject:
		return p.Subject
	case p.Subject == "":
		return "client " + p.ClientID
	}
	return p.Subject + " by client " + p.ClientID
}

// ParseParty reads a may_act claim that somebody else has written. A member that
// is not one of a [Party] may say who is meant, too, and nobody here can tell
// whether that is so: it is an error, as is a claim that says nothing.
func ParseParty(encoded []byte) (*Party, error) {
	var members map[string]string
	if err := strict.Unmarshal(encoded, &members); err != nil {
		return nil, fmt.Errorf("it is no object of texts: %w", err)
	}
	for name := range members {
		if !slices.Contains([]string{"iss", "sub", "client_id"}, name) {
			return nil, fmt.Errorf("its member %q is not understood", Clip(name))
		}
	}
	party := &Party{Issuer: members["iss"], Subject: members["sub"], ClientID: members["client_id"]}
	if party.Subject == "" && party.ClientID == "" {
		return nil, errors.New("it names nobody")
	}
	return party, nil
}

// Admits reports whether the party is the one that may_act names: every member
// that it has must be this party's. A nil claim admits everybody.
func (p *Party) Admits(party Party) bool {
	return p == nil ||
		(p.Issuer == "" || p.Issuer == party.Issuer) &&
			(p.Subject == "" || p.Subject == party.Subject) &&
			(p.ClientID == "" || p.ClientID == party.ClientID)
}
