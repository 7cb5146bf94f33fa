package admin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/common/expfmt"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/server/endpoint"
)

// healthz says that the process answers; it looks at nothing else, so that a
// slow store does not get the process killed.
func (o *Operator) healthz(context.Context, *endpoint.Request) (*endpoint.Answer, error) {
	return endpoint.JSONDocument(http.StatusOK, map[string]string{"status": "alive"})
}

// readiness is the answer of readyz.
type readiness struct {
	Status  string   `json:"status"`
	Reasons []string `json:"reasons,omitempty"`
}

// readyTimeout bounds the question, so that a prober gets an answer in time.
const readyTimeout = 2 * time.Second

// readyz says whether requests should be sent here. The reasons may name files
// and are for those who may read.
func (o *Operator) readyz(ctx context.Context, r *endpoint.Request) (*endpoint.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	err := o.Ready(ctx)
	if err == nil {
		return endpoint.JSONDocument(http.StatusOK, readiness{Status: "ready"})
	}
	answer := readiness{Status: "not ready"}
	if o.Open || o.hasKey(r) {
		answer.Reasons = reasons(err)
	}
	r.Event.Error, r.Event.Reason = oauth.CodeTemporarilyUnavailable, oauth.Clip(err.Error())
	return endpoint.JSONDocument(http.StatusServiceUnavailable, answer)
}

// reasons lists what was joined into one error.
func reasons(err error) []string {
	var joined interface{ Unwrap() []error }
	if !errors.As(err, &joined) {
		return []string{err.Error()}
	}
	var list []string
	for _, reason := range joined.Unwrap() {
		list = append(list, reason.Error())
	}
	return list
}

func (o *Operator) version(context.Context, *endpoint.Request) (*endpoint.Answer, error) {
	return endpoint.JSONDocument(http.StatusOK, struct {
		Version string    `json:"version"`
		Go      string    `json:"go"`
		Started time.Time `json:"started"`
		Uptime  int64     `json:"uptime_seconds"`
	}{o.Version, runtime.Version(), o.Started.UTC(), int64(o.Now().Sub(o.Started).Seconds())})
}

// metrics writes the Prometheus text format 0.0.4.
func (o *Operator) metrics(context.Context, *endpoint.Request) (*endpoint.Answer, error) {
	families, err := o.Metrics.registry.Gather()
	if err != nil {
		return nil, fmt.Errorf("gather metrics: %w", err)
	}
	format := expfmt.NewFormat(expfmt.TypeTextPlain)
	var text bytes.Buffer
	encoder := expfmt.NewEncoder(&text, format)
	for _, family := range families {
		if err := encoder.Encode(family); err != nil {
			return nil, fmt.Errorf("write metrics: %w", err)
		}
	}
	return &endpoint.Answer{Body: text.Bytes(), Type: string(format)}, nil
}
