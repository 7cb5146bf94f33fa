package admin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/server/token"
)

func good() *oauth.Event {
	return &oauth.Event{
		ID: "0011223344556677", Time: time.Now(), Duration: 1834 * time.Microsecond, Realm: "default", Listener: "mtls",
		Endpoint: "token_endpoint", Method: "POST", Path: "/token", Remote: "127.0.0.1:40312",
		TLS: "TLS 1.3, TLS_AES_128_GCM_SHA256", ClientID: "tpp-tls", ClaimedID: "tpp-tls", AuthMethod: "tls_client_auth",
		GrantType: "client_credentials", Certificate: thumbprint, Status: 200,
	}
}

// counted gives the values of a metric by its label values.
func counted(t *testing.T, registry *prometheus.Registry, name string) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, metric := range family.Metric {
			values[labels(metric)] = metric.Counter.GetValue() + metric.Gauge.GetValue() + float64(metric.Histogram.GetSampleCount())
		}
	}
	return values
}

func labels(metric *dto.Metric) string {
	var all []string
	for _, label := range metric.Label {
		all = append(all, label.GetName()+"="+label.GetValue())
	}
	return strings.Join(all, " ")
}

func TestMetricsCount(t *testing.T) {
	registry := prometheus.NewRegistry()
	m := NewMetrics(registry, "v1")
	m.Observe(good())
	m.Observe(good())
	m.Observe(refused())
	m.Observe(&oauth.Event{Endpoint: handshakeEndpoint, Error: mtls.CauseUnknownCA})
	m.Observe(&oauth.Event{Endpoint: handshakeEndpoint, Error: "made up"})
	m.Observe(&oauth.Event{Listener: "mtls"})
	m.ObserveSigning("ES256", time.Millisecond)
	m.ObserveSigning("made up", time.Millisecond)
	requests := counted(t, registry, "fapid_requests_total")
	for series, want := range map[string]float64{
		"client=tpp-tls endpoint=token_endpoint listener=mtls outcome=ok realm=default":      2,
		"client= endpoint=token_endpoint listener=mtls outcome=invalid_client realm=default": 1,
		"client= endpoint= listener=mtls outcome=aborted realm=":                             1,
	} {
		if requests[series] != want {
			t.Errorf("%s: %v in %v", series, requests[series], requests)
		}
	}
	if len(requests) != 3 {
		t.Errorf("%v", requests)
	}
	if handshakes := counted(t, registry, "fapid_handshake_failures_total"); handshakes["cause=unknown_ca"] != 1 || len(handshakes) != len(handshakeCauses) {
		t.Errorf("%v", handshakes)
	}
	if signing := counted(t, registry, "fapid_signing_seconds"); signing["alg=ES256"] != 1 || len(signing) != len(token.Algs) {
		t.Errorf("%v", signing)
	}
	if durations := counted(t, registry, "fapid_request_duration_seconds"); durations["endpoint=token_endpoint"] != 3 {
		t.Errorf("%v", durations)
	}
}

// A stranger cannot grow the number of series, and many clients grow it to a bound.
func TestMetricsAreBounded(t *testing.T) {
	registry := prometheus.NewRegistry()
	m := NewMetrics(registry, "v1")
	for i := range 3 * maxClients {
		event := good()
		event.ClientID = fmt.Sprint("client-", i)
		m.Observe(event)
		m.Observe(event)
		stranger := refused()
		stranger.ClaimedID = fmt.Sprint("stranger-", i)
		m.Observe(stranger)
	}
	requests := counted(t, registry, "fapid_requests_total")
	if len(requests) != maxClients+1 || len(m.series) != maxClients+1 {
		t.Errorf("%d series, %d kept", len(requests), len(m.series))
	}
	if other := requests["client=other endpoint=token_endpoint listener=mtls outcome=ok realm=default"]; other != 2*(2*maxClients+1) {
		t.Errorf("other: %v", other)
	}
}

// New clients that arrive together do not get past the bound.
func TestMetricsAreBoundedUnderConcurrency(t *testing.T) {
	m := NewMetrics(prometheus.NewRegistry(), "v1")
	var arriving sync.WaitGroup
	start := make(chan struct{})
	for i := range 4 * maxClients {
		arriving.Go(func() {
			event := good()
			event.ClientID = fmt.Sprint("client-", i)
			<-start
			m.Observe(event)
		})
	}
	close(start)
	arriving.Wait()
	if len(m.series) != maxClients+1 {
		t.Errorf("%d clients, %d series", len(m.clients), len(m.series))
	}
}

func TestCertificateDays(t *testing.T) {
	registry := prometheus.NewRegistry()
	now := time.Now()
	NewMetrics(registry, "v1").WatchCertificates(func() time.Time { return now }, func() []CertificateEnd {
		return []CertificateEnd{
			{"server", "rsa", now.Add(240 * time.Hour)}, {"server", "rsa", now.Add(48 * time.Hour)}, {"server", "rsa", now.Add(96 * time.Hour)},
			{"ca", "root", now.Add(-24 * time.Hour)},
		}
	})
	days := counted(t, registry, "fapid_certificate_days_left")
	if days["kind=server name=rsa"] != 2 || days["kind=ca name=root"] != -1 {
		t.Errorf("%v", days)
	}
}

func TestObserveDoesNotAllocate(t *testing.T) {
	m := NewMetrics(prometheus.NewRegistry(), "v1")
	event := good()
	if n := testing.AllocsPerRun(1000, func() { m.Observe(event); m.ObserveSigning("ES256", time.Millisecond) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// L7: one event is one JSON line, whatever is in it.
func TestLogLine(t *testing.T) {
	var out bytes.Buffer
	observe := LogObserver(slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})))
	event := good()
	observe(event)
	line := map[string]any{}
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{
		"level": "INFO", "trace_id": event.ID, "realm": "default", "listener": "mtls", "endpoint": "token_endpoint",
		"method": "POST", "path": "/token", "status": 200.0, "client_id": "tpp-tls", "client_auth_method": "tls_client_auth",
		"grant_type": "client_credentials", "remote": event.Remote, "tls": event.TLS, "certificate": thumbprint, "duration_ms": 1.834,
	} {
		if line[name] != want {
			t.Errorf("%s is %v, want %v", name, line[name], want)
		}
	}
	for _, payload := range payloads {
		out.Reset()
		event := refused()
		event.Path, event.ClaimedID, event.Reason, event.Method = payload, payload, payload, payload
		observe(event)
		if lines := bytes.Count(out.Bytes(), []byte("\n")); lines != 1 || !json.Valid(out.Bytes()) {
			t.Errorf("%q: %d lines: %s", payload, lines, &out)
		}
		checkVisible(t, payload, out.String())
	}
}

// Lines of requests alike differ in what is different, also when there are more
// kinds of them than are kept.
func TestLogLinesAreNotMixedUp(t *testing.T) {
	var out bytes.Buffer
	observe := LogObserver(slog.New(slog.NewJSONHandler(&out, nil)))
	for i := range 2*maxPrepared + 2 {
		event := good()
		event.ID, event.ClientID = fmt.Sprint("trace-", i), fmt.Sprint("client-", i/2)
		out.Reset()
		observe(event)
		for _, part := range []string{`"trace_id":"` + event.ID + `"`, `"client_id":"` + event.ClientID + `"`} {
			if strings.Count(out.String(), part) != 1 {
				t.Fatalf("%s is not in %s", part, &out)
			}
		}
	}
}

func TestLogLevels(t *testing.T) {
	var out bytes.Buffer
	observe := LogObserver(slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})))
	for _, row := range []struct {
		event oauth.Event
		level string
	}{
		{oauth.Event{Status: 200}, "INFO"}, {oauth.Event{Status: 302}, "INFO"}, {oauth.Event{Status: 401}, "WARN"},
		{oauth.Event{Status: 500}, "ERROR"}, {oauth.Event{Status: 503}, "ERROR"}, {oauth.Event{}, "WARN"},
		{oauth.Event{Endpoint: handshakeEndpoint, Error: mtls.CauseVersion}, "WARN"},
		{oauth.Event{Endpoint: handshakeEndpoint, Error: mtls.CauseClosed}, "DEBUG"},
	} {
		out.Reset()
		observe(&row.event)
		if !strings.Contains(out.String(), `"level":"`+row.level+`"`) {
			t.Errorf("%+v: %s", row.event, &out)
		}
	}
}

func BenchmarkObserve(b *testing.B) {
	m := NewMetrics(prometheus.NewRegistry(), "v1")
	b.ReportAllocs()
	b.RunParallel(func(each *testing.PB) {
		event := good()
		for each.Next() {
			m.Observe(event)
		}
	})
}

func BenchmarkLogRefused(b *testing.B) {
	observe := LogObserver(slog.New(slog.NewJSONHandler(io.Discard, nil))) //nolint:sloglint // the line is to be written
	event := refused()
	b.ReportAllocs()
	for b.Loop() {
		observe(event)
	}
}

func BenchmarkLog(b *testing.B) {
	observe := LogObserver(slog.New(slog.NewJSONHandler(io.Discard, nil))) //nolint:sloglint // the line is to be written
	event := good()
	b.ReportAllocs()
	for b.Loop() {
		observe(event)
	}
}
