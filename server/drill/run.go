package drill

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/server/participant"
)

// Case is something that is tried at a server, and what is to be expected of that.
type Case struct {
	// Family is what it is one of: "certs", or the ecosystem of a registration.
	Family, Name, About string
	// Source is where it is demanded; empty for what any server should do.
	Source string
	// Error is the code of the refusal, and Check the check of the trace that fails;
	// both are empty for what should be accepted.
	Error, Check string
	// Skipped is why it is not tried; empty if it is.
	Skipped string

	try func(context.Context) (*participant.Reply, error)
}

// Result is what a server did, beside what it should have done.
type Result struct {
	Family   string `json:"family"`
	Name     string `json:"name"`
	About    string `json:"about"`
	Expected string `json:"expected"` // "accepted", or error code and check: "invalid_client: certificate chain"
	// Seen is likewise; the error code alone where the check is not known. It is empty
	// of what was not tried.
	Seen    string `json:"seen,omitempty"`
	Source  string `json:"source,omitempty"`
	Status  int    `json:"status,omitempty"`  // HTTP; 0 where there was no answer
	Trace   string `json:"trace,omitempty"`   // X-Fapid-Trace
	Skipped string `json:"skipped,omitempty"` // why it was not tried
	// Differs says that it was accepted though it should have been refused, refused
	// though it should have been accepted, or refused for another reason.
	Differs bool `json:"differs"`
}

// Accepted is what Expected and Seen say of what is good.
const Accepted = "accepted"

// outcome is an error code and a check as results have them.
func outcome(code, check string) string {
	switch {
	case code == "":
		return Accepted
	case check == "":
		return code
	}
	return code + ": " + check
}

// Expectation is the result of a case that is not tried.
func (c *Case) Expectation() Result {
	return Result{Family: c.Family, Name: c.Name, About: c.About, Source: c.Source, Expected: outcome(c.Error, c.Check), Skipped: c.Skipped}
}

// Explain finds what a server has noted of a request, by its trace.
type Explain func(ctx context.Context, trace string) (*oauth.Event, error)

// Run tries the cases one after another. Explain is nil for a server that keeps no
// traces for us: there a refusal is as good as the other.
func Run(ctx context.Context, cases []Case, explain Explain) ([]Result, error) {
	results := make([]Result, 0, len(cases))
	for i := range cases {
		result, err := cases[i].run(ctx, explain)
		if err != nil {
			return nil, err
		}
		results = append(results, result)
	}
	return results, nil
}

func (c *Case) run(ctx context.Context, explain Explain) (Result, error) {
	result := c.Expectation()
	if c.Skipped != "" {
		return result, nil
	}
	reply, err := c.try(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return result, err
		}
		// Another server may end the connection instead of saying anything.
		result.Seen = "no answer: " + oauth.Clip(err.Error())
		result.Differs = explain != nil || c.Error == ""
		return result, nil
	}
	return result, c.judge(ctx, &result, reply, explain)
}

// judge compares an answer with what was expected. Where there is a trace, error and
// check have to be the right ones.
func (c *Case) judge(ctx context.Context, result *Result, reply *participant.Reply, explain Explain) error {
	result.Status, result.Trace = reply.Status, reply.Header.Get("X-Fapid-Trace")
	if reply.Status < http.StatusMultipleChoices {
		result.Seen, result.Differs = Accepted, c.Error != ""
		return nil
	}
	var refusal struct {
		Code string `json:"error"`
	}
	if json.Unmarshal(reply.Body, &refusal) != nil || refusal.Code == "" {
		refusal.Code = http.StatusText(reply.Status) // a refusal that is not JSON is one, too
	}
	result.Seen = outcome(refusal.Code, "")
	result.Differs = c.Error == ""
	if explain == nil {
		return nil
	}
	event, err := explain(ctx, result.Trace)
	if err != nil {
		return err
	}
	if check, failed := event.Failed(); failed {
		result.Seen = outcome(refusal.Code, check.Name)
	}
	result.Differs = result.Seen != result.Expected || reply.Status != statusOf(c.Error)
	return nil
}

// statusOf is the HTTP status that an error goes with (RFC 6749 section 5.2, RFC
// 7591 section 3.2.2).
func statusOf(code string) int {
	switch code {
	case oauth.CodeInvalidClient:
		return http.StatusUnauthorized
	case oauth.CodeUnsupportedMediaType:
		return http.StatusUnsupportedMediaType
	}
	return http.StatusBadRequest
}
