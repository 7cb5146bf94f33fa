package resource

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/fapid/fapid/oauth"
)

// Refusal is why a request was not let in. It holds no token and no secret.
type Refusal struct {
	Status int // of the answer
	// Code and Description are what the client was told.
	Code, Description string
	// Reason is why the request really failed, and is not for the client.
	Reason string
	// ClientID is whose token it is; empty if that is not known.
	ClientID string
	// Checks are what was looked at, in order. The last one did not hold, unless
	// the failure is this API's own.
	Checks []Check
}

// Check is one thing that was looked at.
type Check struct {
	Name                string
	OK                  bool
	Expected, Presented string
	Advice              string // what to do, where it does not hold
}

// LogValue is the refusal in a log line: slog.Any("refusal", refusal).
func (r *Refusal) LogValue() slog.Value {
	attributes := []slog.Attr{slog.Int("status", r.Status), slog.String("error", r.Code)}
	add := func(key, value string) {
		if value != "" {
			attributes = append(attributes, slog.String(key, value))
		}
	}
	add("error_description", r.Description)
	add("reason", r.Reason)
	add("client_id", r.ClientID)
	for _, check := range r.Checks {
		if !check.OK {
			add("check", check.Name)
			add("expected", check.Expected)
			add("presented", check.Presented)
			add("advice", check.Advice)
			break
		}
	}
	return slog.GroupValue(attributes...)
}

// logRefusal is what a Guard does with refusals if nobody wants them.
func logRefusal(r *http.Request, refusal *Refusal) {
	level := slog.LevelInfo
	if refusal.Status >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	slog.LogAttrs(r.Context(), level, "access token refused", slog.String("method", r.Method), slog.String("path", r.URL.Path), slog.Any("refusal", refusal))
}

// refuse answers a request that is not let in: status, challenges (RFC 6750
// section 3, RFC 9449 section 7.1) and a JSON body.
func (g *Guard) refuse(w http.ResponseWriter, r *http.Request, err error, event *oauth.Event) {
	problem := oauth.AsError(err)
	refusal := &Refusal{
		Status: problem.Status, Code: problem.Code, Description: problem.Description, Reason: problem.Reason, ClientID: event.ClientID,
		Checks: make([]Check, len(event.Checks)),
	}
	for i, check := range event.Checks {
		refusal.Checks[i] = Check(check)
	}
	header := w.Header()
	problem.Retry(header)
	if problem.RetryAfter == 0 {
		challenge := Challenge{Realm: g.config.Issuer, Algs: g.gate.Binder.Algs}
		header["Www-Authenticate"] = challenge.Headers(r.Header["Authorization"], problem)
	}
	body := refusalBody(problem)
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(problem.Status)
	_, _ = w.Write(body) //nolint:gosec // JSON, and no browser takes it for anything else; nobody to tell where the client is gone
	g.config.Refused(r, refusal)
}

func refusalBody(problem oauth.Error) []byte {
	body, err := json.Marshal(struct {
		Error       string `json:"error"`
		Description string `json:"error_description,omitempty"`
	}{problem.Code, problem.Description})
	if err != nil {
		return []byte(`{"error":"server_error"}`) // two texts always encode
	}
	return body
}
