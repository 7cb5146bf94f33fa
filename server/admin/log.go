package admin

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/oauth"
)

// LogObserver writes one line per finished event: info for what went well, warn
// for refusals and failed handshakes, error for our own failures. No value can
// break out of its line or steer a terminal.
func LogObserver(logger *slog.Logger) func(*oauth.Event) {
	l := &eventLog{handler: logger.Handler(), prepared: map[callKey]slog.Handler{}}
	return l.observe
}

// eventLog speaks to the handler directly: what a logger adds, the place in the
// source, would always be this file.
type eventLog struct {
	handler slog.Handler

	mu       sync.RWMutex
	prepared map[callKey]slog.Handler
}

// callKey is what the good requests of one client to one endpoint have in
// common: most of the line.
type callKey struct {
	realm, listener, endpoint, method, path, clientID, authMethod, grantType, tls, certificate string
}

// maxPrepared bounds how many of them are kept written out.
const maxPrepared = 1024

func (l *eventLog) observe(event *oauth.Event) {
	level, message := severity(event)
	ctx := context.Background()
	if !l.handler.Enabled(ctx, level) {
		return
	}
	record := slog.NewRecord(event.Time.Add(event.Duration), level, message, 0)
	record.AddAttrs(
		slog.String("trace_id", event.ID),
		slog.Int("status", event.Status),
		slog.String("remote", oauth.Visible(event.Remote)),
		slog.Float64("duration_ms", milliseconds(event.Duration)),
	)
	if event.CertificateBefore != "" {
		record.AddAttrs(slog.String("certificate_before", event.CertificateBefore))
	}
	handler := l.handler
	if outcome(event) == "ok" {
		handler = l.prepare(event)
	} else {
		record.AddAttrs(attributes(event)...)
	}
	_ = handler.Handle(ctx, record) // a log that cannot be written has nobody to tell
}

// prepare gives a handler that has written the attributes of such requests
// already: formatting them anew costs more than the rest of the line.
func (l *eventLog) prepare(event *oauth.Event) slog.Handler {
	key := callKey{
		event.Realm, event.Listener, event.Endpoint, event.Method, event.Path,
		event.ClientID, event.AuthMethod, event.GrantType, event.TLS, event.Certificate,
	}
	l.mu.RLock()
	handler := l.prepared[key]
	l.mu.RUnlock()
	if handler != nil {
		return handler
	}
	handler = l.handler.WithAttrs(attributes(event))
	for _, text := range []*string{&key.method, &key.path, &key.clientID, &key.grantType, &key.certificate} {
		*text = strings.Clone(*text) // not the request it was cut from
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.prepared) >= maxPrepared {
		clear(l.prepared)
	}
	l.prepared[key] = handler
	return handler
}

// attributes are those of the line that are not different for every request,
// and why it was refused.
func attributes(event *oauth.Event) []slog.Attr {
	var list []slog.Attr
	for _, attribute := range [...][2]string{
		{"realm", event.Realm}, {"listener", event.Listener}, {"endpoint", event.Endpoint},
		{"method", event.Method}, {"path", event.Path},
		{"error", event.Error}, {"reason", event.Reason},
		{"client_id", event.ClientID}, {"claimed_client_id", claimed(event)},
		{"client_auth_method", event.AuthMethod}, {"grant_type", event.GrantType},
		{"tls", event.TLS}, {"certificate", event.Certificate},
	} {
		if attribute[1] != "" {
			list = append(list, slog.String(attribute[0], oauth.Visible(attribute[1])))
		}
	}
	return list
}

// claimed is the client_id of a request whose client did not authenticate.
func claimed(event *oauth.Event) string {
	if event.ClientID != "" {
		return ""
	}
	return event.ClaimedID
}

// milliseconds keeps three decimals: microseconds.
func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func severity(event *oauth.Event) (slog.Level, string) {
	switch {
	case event.Endpoint == handshakeEndpoint:
		if event.Error == mtls.CauseClosed || event.Error == mtls.CauseShutdown {
			return slog.LevelDebug, "handshake" // port scans, health checks and our own end
		}
		return slog.LevelWarn, "handshake"
	case event.Status >= 500:
		return slog.LevelError, "request"
	case event.Status >= 400 || event.Status == 0:
		return slog.LevelWarn, "request"
	}
	return slog.LevelInfo, "request"
}
