package registration

import "fmt"

// Suspended says why a client that is who it says may do nothing now: it gets no
// tokens, and those that it has are of no use.
type Suspended struct {
	Expected, Presented, Advice string // of the check that fails
	// Public is what the client may be told.
	Public string
}

// Error is what is the matter.
func (s *Suspended) Error() string { return s.Presented }

// Suspended is nil for a client that the operator has not disabled.
func (c *Client) Suspended() *Suspended {
	if !c.Metadata.Disabled {
		return nil
	}
	return &Suspended{
		Expected: "a client that is not disabled", Presented: fmt.Sprintf("the operator has disabled %s", c.ID),
		Advice: "ask the operator to enable the client", Public: "the client is disabled",
	}
}
