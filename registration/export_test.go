package registration

import (
	"context"
	stdjson "encoding/json"

	"github.com/fapid/fapid/oauth"
)

// VerifyStatement does of [Registrar.Judge] what is the verification of a software
// statement, and nothing else.
func (r *Registrar) VerifyStatement(ctx context.Context, statement string, event *oauth.Event) error {
	j := &judgement{
		Registrar: r, event: event, now: r.config.Now(),
		Proposal: &Proposal{MediaType: r.config.Ecosystem.Request.MediaTypes[0]},
		members:  map[string]stdjson.RawMessage{"software_statement": stdjson.RawMessage(`"` + statement + `"`)},
	}
	for _, step := range []func(context.Context) error{j.readStatement, j.chooseRules, j.verifyStatement} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}
