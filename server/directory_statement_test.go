package server_test

import (
	"encoding/json"
	"testing"

	"github.com/fapid/fapid/server/directory"
	"github.com/fapid/fapid/server/servertest"
)

// A statement in the shape of the UK says in which country the organisation may act in
// its roles: where it is passported to, or at home; and it names the authority as that
// ecosystem's banks know it, by name and country.
func TestUKStatementSaysWhere(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.WithDirectory)
	home := aisp
	home.Authorisations = nil
	abroad := aisp
	abroad.Authorisations = []directory.Authorisation{{MemberState: "IE"}, {MemberState: "FR", Status: "Inactive"}}
	for name, row := range map[string]struct {
		claim directory.AuthorityClaim
		want  string
	}{
		"home":   {home, `{"authorisations":[{"member_state":"GB","roles":["AISP"]}],"authority_id":"FCAGBR","registration_id":"1","status":"Active"}`},
		"abroad": {abroad, `{"authorisations":[{"member_state":"IE","roles":["AISP"]}],"authority_id":"FCAGBR","registration_id":"1","status":"Active"}`},
	} {
		m := s.Member(name, row.claim)
		claims := decodeJWT(t, want(t, m.Call("GET", m.Statement("/assertion?ecosystem=uk"), ""), 200).Body)
		text, err := json.Marshal(claims["organisation_competent_authority_claims"])
		if err != nil || string(text) != row.want {
			t.Errorf("%s: %v\n%s\nwant\n%s", name, err, text, row.want)
		}
	}
}
