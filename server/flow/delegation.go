package flow

import (
	"errors"
	"fmt"

	"github.com/fapid/fapid/oauth"
)

// delegate adds a party to those who act for a subject, if may_act admits it and
// there are not too many. The error says why not, for the event's readers.
func delegate(mayAct *oauth.Party, party oauth.Party, issuer string, before *oauth.Actor, event *oauth.Event) (*oauth.Actor, error) {
	named := party
	named.Issuer = issuer
	if !mayAct.Admits(named) {
		event.Fail("may_act", mayAct.String(), party.String(), "only the party that may_act names may act for the subject (RFC 8693 section 4.4)")
		return nil, errors.New("may_act names another party")
	}
	act := &oauth.Actor{Party: party, Act: before}
	if act.Depth() > maxActors {
		event.Fail("delegation", fmt.Sprintf("at most %d actors", maxActors), fmt.Sprint(act.Depth()), "begin again with a token of the subject's own client")
		return nil, fmt.Errorf("there would be %d actors", act.Depth())
	}
	event.Pass("delegation", fmt.Sprintf("at most %d actors", maxActors), act.String())
	return act, nil
}
