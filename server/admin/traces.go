package admin

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/server/endpoint"
)

// trace is an event as the operator sees it: every failed check says where what
// was presented first differs from what was expected.
type trace struct {
	oauth.Event
	Checks []check `json:"checks,omitempty"`
	// Failed is the first check that failed, in lists, which leave Checks out.
	Failed *check `json:"failed_check,omitempty"`
}

type check struct {
	oauth.Check
	Difference *Difference `json:"first_difference,omitempty"`
}

func explained(c oauth.Check) check { return check{Check: c, Difference: FirstDifference(c)} }

// explain is the whole of a trace.
func explain(event oauth.Event) trace {
	t := trace{Event: event, Checks: make([]check, len(event.Checks))}
	for i, c := range event.Checks {
		t.Checks[i] = explained(c)
	}
	return t
}

// summarize is one line of a list.
func summarize(event oauth.Event) trace {
	t := trace{Event: event}
	if failed, ok := event.Failed(); ok {
		c := explained(failed)
		t.Failed = &c
	}
	return t
}

// Outcome is what came of the request, in a word or two.
func (t trace) Outcome() string { return outcome(&t.Event) }

// Bad reports whether the request was refused or the handshake failed.
func (t trace) Bad() bool { return t.Status == 0 || t.Status >= 400 }

// Handshake reports whether there was no request at all.
func (t trace) Handshake() bool { return t.Endpoint == handshakeEndpoint }

// Client is who the request was from: as authenticated, or as it claimed.
func (t trace) Client() string {
	if t.ClientID != "" {
		return t.ClientID
	}
	return t.ClaimedID
}

// Took is how long the request took.
func (t trace) Took() string { return t.Duration.Round(10 * time.Microsecond).String() }

// filter is which traces a list shows.
type filter struct {
	Realm, Client, Endpoint, Error string
	Failures                       bool
	Limit                          int
}

func (f filter) matches(event *oauth.Event) bool {
	return (f.Realm == "" || f.Realm == event.Realm) &&
		(f.Client == "" || f.Client == event.ClientID || f.Client == event.ClaimedID) &&
		(f.Endpoint == "" || f.Endpoint == event.Endpoint) &&
		(f.Error == "" || f.Error == event.Error)
}

func readFilter(r *endpoint.Request) (filter, error) {
	values, err := r.Query("realm", "client", "endpoint", "error", "failures", "limit", "format")
	if err != nil {
		return filter{}, err
	}
	f := filter{
		Realm: values.Get("realm"), Client: values.Get("client"),
		Endpoint: values.Get("endpoint"), Error: values.Get("error"),
	}
	if f.Limit, err = endpoint.Limit(values.Get("limit")); err != nil {
		return filter{}, err
	}
	f.Failures, err = flag(values, "failures")
	return f, err
}

// flag reads a parameter that is on or off; a checkbox sends "on".
func flag(values url.Values, name string) (bool, error) {
	switch values.Get(name) {
	case "", "false":
		return false, nil
	case "true", "on":
		return true, nil
	}
	return false, oauth.InvalidRequest("%s is true or false", name)
}

func (o *Operator) listTraces(_ context.Context, r *endpoint.Request) (*endpoint.Answer, error) {
	wanted, err := readFilter(r)
	if err != nil {
		return nil, err
	}
	form, err := format(r)
	if err != nil {
		return nil, err
	}
	list := o.newest(wanted)
	switch form {
	case formatJSON:
		return negotiated(endpoint.JSONDocument(http.StatusOK, map[string]any{"traces": list}))
	case formatHTML:
		return negotiated(page(http.StatusOK, "traces", tracesPage{Filter: wanted, Realms: o.Realms, Traces: list}))
	}
	return negotiated(textAnswer(http.StatusOK, textOfList(list)), nil)
}

func (o *Operator) newest(wanted filter) []trace {
	events := o.Traces.Newest(wanted.Limit, wanted.Failures, wanted.matches)
	list := make([]trace, len(events))
	for i, event := range events {
		list[i] = summarize(event)
	}
	return list
}

func (o *Operator) showTrace(_ context.Context, r *endpoint.Request) (*endpoint.Answer, error) {
	form, err := format(r)
	if err != nil {
		return nil, err
	}
	event, found := o.Traces.Find(r.Path["id"])
	if !found {
		const gone = "no trace has this id; only the newest are kept, and none over a restart"
		if form != formatHTML {
			return nil, oauth.NotFound(gone)
		}
		r.Event.Error, r.Event.Description = oauth.CodeNotFound, gone
		return negotiated(page(http.StatusNotFound, "missing", gone))
	}
	whole := explain(event)
	switch form {
	case formatJSON:
		return negotiated(endpoint.JSONDocument(http.StatusOK, whole))
	case formatHTML:
		return negotiated(page(http.StatusOK, "trace", whole))
	}
	return negotiated(textAnswer(http.StatusOK, textOf(whole)), nil)
}

// negotiated tells caches that the answer depends on Accept.
func negotiated(answer *endpoint.Answer, err error) (*endpoint.Answer, error) {
	if err == nil {
		answer.Header = http.Header{"Vary": {"Accept"}}
	}
	return answer, err
}
