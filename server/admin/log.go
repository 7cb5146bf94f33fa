package admin

import (
	"context"
	"log/slog"
	"time"

	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/oauth"
)

// LogObserver writes one line per finished event: info for what went well, warn
// for refusals and failed handshakes, error for our own failures. No value can
// break out of its line or steer a terminal.
func LogObserver(logger *slog.Logger) func(*oauth.Event) {
	return func(event *oauth.Event) {
		level, message := severity(event)
		ctx := context.Background()
		if !logger.Enabled(ctx, level) {
			return
		}
		var room [18]slog.Attr
		attributes := append(room[:0], slog.String("trace_id", event.ID))
		add := func(name, value string) {
			if value != "" {
				attributes = append(attributes, slog.String(name, Visible(value)))
			}
		}
		add("realm", event.Realm)
		add("listener", event.Listener)
		add("endpoint", event.Endpoint)
		add("method", event.Method)
		add("path", event.Path)
		attributes = append(attributes, slog.Int("status", event.Status))
		add("error", event.Error)
		add("reason", event.Reason)
		add("client_id", event.ClientID)
		add("claimed_client_id", claimed(event))
		add("client_auth_method", event.AuthMethod)
		add("grant_type", event.GrantType)
		add("remote", event.Remote)
		add("tls", event.TLS)
		add("certificate", event.Certificate)
		attributes = append(attributes, slog.Float64("duration_ms", milliseconds(event.Duration)))
		logger.LogAttrs(ctx, level, message, attributes...)
	}
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
