package admin

import (
	"bytes"
	"fmt"
	"log/slog"
	"testing"
	"time"
)

// TestEndingsAreBounded: however many certificates end, only so many are remembered
// and warned of; the next day there is room again.
func TestEndingsAreBounded(t *testing.T) {
	var log bytes.Buffer
	now := time.Now()
	e := NewEndings(slog.New(slog.NewJSONHandler(&log, nil)), func() time.Time { return now })
	observe := func(from, to int) {
		for i := from; i < to; i++ {
			event := good()
			event.ClientID, event.Certificate, event.CertificateLeft = fmt.Sprint("client-", i), fmt.Sprint("certificate-", i), time.Hour
			e.Observe(event)
		}
	}
	count := func(want int) {
		t.Helper()
		if list, lines := len(e.List()), bytes.Count(log.Bytes(), []byte("\n")); list != maxClients || lines != want {
			t.Errorf("%d remembered, %d warnings, want %d and %d", list, lines, maxClients, want)
		}
	}
	observe(0, 3*maxClients)
	observe(0, 3*maxClients)
	count(maxClients)
	now = now.Add(24 * time.Hour)
	observe(3*maxClients, 6*maxClients)
	count(2 * maxClients)
	e.Observe(good()) // ends in a year
	count(2 * maxClients)
}
