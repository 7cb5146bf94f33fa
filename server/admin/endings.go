package admin

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/fapid/fapid/oauth"
)

// Endings notices the client certificates that end soon: it warns of each once a
// day, and knows those of the last day for the metrics.
type Endings struct {
	log *slog.Logger
	now func() time.Time

	mu    sync.Mutex
	known map[string]*ending // by x5t#S256
}

// ending is one certificate.
type ending struct {
	client       string
	end          time.Time
	seen, warned time.Time
}

// endingKept is how long a certificate is remembered that nobody presents any more,
// and how long no second warning is given of one.
const endingKept = 24 * time.Hour

// NewEndings warns in the log.
func NewEndings(log *slog.Logger, now func() time.Time) *Endings {
	return &Endings{log: log, now: now, known: map[string]*ending{}}
}

// Observe looks at a finished event. Certificates of strangers are their own
// business, and nobody could be told.
func (e *Endings) Observe(event *oauth.Event) {
	if event.CertificateLeft == 0 || event.ClientID == "" {
		return
	}
	if !e.note(event) {
		return
	}
	e.log.LogAttrs(context.Background(), slog.LevelWarn, "a client certificate ends soon",
		slog.String("realm", event.Realm), slog.String("client_id", oauth.Visible(event.ClientID)), slog.String("certificate", event.Certificate),
		slog.Int("days_left", int(event.CertificateLeft.Hours()/24)))
}

// note remembers the certificate, and reports whether it is time to warn of it.
func (e *Endings) note(event *oauth.Event) bool {
	now := e.now()
	e.mu.Lock()
	defer e.mu.Unlock()
	known := e.known[event.Certificate]
	if known == nil {
		if len(e.known) >= maxClients {
			e.forget(now)
		}
		if len(e.known) >= maxClients {
			return false
		}
		known = &ending{client: strings.Clone(event.ClientID)} // not the request it was cut from
		e.known[strings.Clone(event.Certificate)] = known
	}
	known.end, known.seen = now.Add(event.CertificateLeft), now
	due := now.Sub(known.warned) >= endingKept
	if due {
		known.warned = now
	}
	return due
}

// forget drops what has not been seen for a day. The caller holds the lock.
func (e *Endings) forget(now time.Time) {
	for thumbprint, known := range e.known {
		if now.Sub(known.seen) >= endingKept {
			delete(e.known, thumbprint)
		}
	}
}

// List gives the certificates of the last day, for [Metrics.WatchCertificates].
func (e *Endings) List() []CertificateEnd {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.forget(e.now())
	var ends []CertificateEnd
	for _, known := range e.known {
		ends = append(ends, CertificateEnd{Kind: "client", Name: known.client, NotAfter: known.end})
	}
	return ends
}
