package registration

import (
	"fmt"
	"time"

	"github.com/fapid/fapid/oauth"
)

// Quota bounds how many clients there may be that registered themselves. Zeros are
// no bounds.
type Quota struct {
	// Clients is for all of them, PerSoftware for those of one software that somebody
	// vouched for.
	Clients, PerSoftware int64
	// RetryAfter is what a client beyond a quota is told to wait.
	RetryAfter time.Duration
}

// What lets a client register itself; for an initial access token its id follows.
const (
	ByAnybody      = "open"
	ByCertificate  = "certificate"
	ByStatement    = "software_statement"
	ByInitialToken = "initial_access_token:"
)

// byAll is the key of the count of all clients that registered themselves.
const byAll = ""

// count counts a client that registered itself, or one that is about to. The caller
// holds mu.
func (r *Registry) count(by string, n int64) {
	if by == "" {
		return
	}
	for _, key := range []string{byAll, by} {
		if r.selfMade[key] += n; r.selfMade[key] == 0 {
			delete(r.selfMade, key)
		}
	}
}

// room refuses one client more than there may be, and a client of this software more
// where an update makes it one. The caller holds mu.
func (r *Registry) room(a *Admission, replaces *Client, event *oauth.Event) error {
	type quota struct {
		what      string
		have, may int64
	}
	var quotas []quota
	if replaces == nil {
		quotas = append(quotas, quota{"clients that registered themselves", r.selfMade[byAll], r.quota.Clients})
	}
	if of, vouched := a.Metadata.software(); vouched && !(replaces != nil && replaces.of(of)) {
		quotas = append(quotas, quota{"clients of this software", int64(len(r.bySoftware[of]) + r.reserved[of]), r.quota.PerSoftware})
	}
	if replaces == nil && a.Initial != nil {
		quotas = append(quotas, quota{"clients that this initial access token registered", r.selfMade[a.Metadata.RegisteredBy], a.Initial.Quota})
	}
	for _, quota := range quotas {
		if quota.may > 0 && quota.have >= quota.may {
			event.Fail("registration quota", fmt.Sprintf("at most %d %s", quota.may, quota.what), fmt.Sprintf("there are %d", quota.have), "delete clients that are not needed, or raise the quota")
			return oauth.TooManyRequests(r.quota.RetryAfter, "the quota of %s is %d, and used up", quota.what, quota.may)
		}
	}
	return nil
}

// of reports whether the client is of software that somebody vouched for.
func (c *Client) of(wanted software) bool {
	is, vouched := c.Metadata.software()
	return vouched && is == wanted
}
