package registration

import (
	stdjson "encoding/json"
	"fmt"

	"github.com/fapid/fapid/oauth"
)

// Answered is what a client that registered itself is told of its registration: the
// metadata (RFC 7591 section 3.2.1), without what is the operator's, and the
// statement as it came. The caller adds what manages the registration. It is nil
// where the ecosystem answers with nothing.
func (e *Ecosystem) Answered(m *Metadata, statement string) (map[string]stdjson.RawMessage, error) {
	if e.Answer.Empty {
		return nil, nil
	}
	text, err := stdjson.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("registration of %s: %w", m.ClientID, err)
	}
	var all map[string]stdjson.RawMessage
	if err := stdjson.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("registration of %s: %w", m.ClientID, err)
	}
	for name := range all {
		if decides(name) == OperatorDecides {
			delete(all, name)
		}
	}
	delete(all, memberLocalized)
	for name, value := range m.Localized {
		if all[name], err = stdjson.Marshal(value); err != nil {
			return nil, fmt.Errorf("registration of %s: %w", m.ClientID, err)
		}
	}
	// Left out, they would mean the grant by code (RFC 7591 section 2).
	for _, name := range []string{"grant_types", "response_types"} {
		if all[name] == nil {
			all[name] = stdjson.RawMessage("[]")
		}
	}
	if statement == "" {
		return all, nil
	}
	if all["software_statement"], err = stdjson.Marshal(statement); err != nil || !e.Answer.Flat {
		return all, err
	}
	return all, flatten(all, statement)
}

// flatten adds the claims of a statement that nothing else says; those of the JWT
// itself stay where they are.
func flatten(all map[string]stdjson.RawMessage, statement string) error {
	read, err := oauth.ParseCompact(statement)
	if err != nil {
		return fmt.Errorf("stored software statement: %w", err)
	}
	claims, err := readClaims(read.Payload)
	if err != nil {
		return fmt.Errorf("stored software statement: %w", err)
	}
	for name, value := range claims {
		if _, said := all[name]; !said && !passedOver(name) {
			all[name] = value
		}
	}
	return nil
}
