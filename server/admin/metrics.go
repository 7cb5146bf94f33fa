package admin

import (
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/server/token"
)

// maxClients bounds the values of the label client; "" is one of them. Clients
// beyond it count as "other".
const maxClients = 200

// Metrics counts what finished events say.
type Metrics struct {
	registry   *prometheus.Registry
	requests   *prometheus.CounterVec
	durations  *prometheus.HistogramVec
	handshakes map[string]prometheus.Counter  // by cause
	signing    map[string]prometheus.Observer // by alg

	mu      sync.RWMutex
	series  map[seriesKey]*series
	clients map[string]bool
}

// seriesKey is one combination of label values.
type seriesKey struct{ realm, endpoint, listener, outcome, client string }

// series is what a request with these labels adds to.
type series struct {
	requests prometheus.Counter
	duration prometheus.Observer
}

// NewMetrics registers the metrics of a server of this version, and those of
// the Go runtime and the process.
func NewMetrics(registry *prometheus.Registry, version string) *Metrics {
	m := &Metrics{
		registry: registry,
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fapid_requests_total",
			Help: "Requests by outcome: ok or the error code. client is set for authenticated clients only.",
		}, []string{"realm", "endpoint", "listener", "outcome", "client"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "fapid_request_duration_seconds",
			Help:    "Time from reading a request to its answer.",
			Buckets: []float64{.0005, .001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5},
		}, []string{"endpoint"}),
		handshakes: map[string]prometheus.Counter{},
		signing:    map[string]prometheus.Observer{},
		series:     map[seriesKey]*series{},
		clients:    map[string]bool{},
	}
	handshakes := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "fapid_handshake_failures_total",
		Help: "TLS handshakes that failed, by cause.",
	}, []string{"cause"})
	for _, cause := range handshakeCauses {
		m.handshakes[cause] = handshakes.WithLabelValues(cause)
	}
	signing := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "fapid_signing_seconds",
		Help:    "Time to sign a token, by algorithm.",
		Buckets: []float64{.00001, .00002, .00005, .0001, .0002, .0005, .001, .002, .005, .01, .1},
	}, []string{"alg"})
	for _, alg := range token.Algs {
		m.signing[alg] = signing.WithLabelValues(alg)
	}
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "fapid_build_info",
		Help: "Always 1; the labels say what is running.",
	}, []string{"version", "go"})
	build.WithLabelValues(version, runtime.Version()).Set(1)
	registry.MustRegister(m.requests, m.durations, handshakes, signing, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

var handshakeCauses = []string{
	mtls.CauseClosed, mtls.CauseTimeout, mtls.CauseCrowdedOut, mtls.CauseShutdown, mtls.CauseNotTLS,
	mtls.CauseVersion, mtls.CauseCipher, mtls.CauseProtocol, mtls.CauseUnknownCA, mtls.CauseServerCert,
	mtls.CauseCertificate, mtls.CauseClientAlert, mtls.CauseUnclassified,
}

// Observe counts a finished event. It neither keeps nor changes it.
func (m *Metrics) Observe(event *oauth.Event) {
	if event.Endpoint == handshakeEndpoint {
		if counter := m.handshakes[event.Error]; counter != nil {
			counter.Inc()
		}
		return
	}
	counted := m.find(seriesKey{event.Realm, event.Endpoint, event.Listener, outcome(event), event.ClientID})
	counted.requests.Inc()
	counted.duration.Observe(event.Duration.Seconds())
}

func outcome(event *oauth.Event) string {
	switch {
	case event.Error != "":
		return event.Error
	case event.Status == 0:
		return "aborted" // the handler gave up on the connection
	}
	return "ok"
}

// find looks the series up under a read lock; a new one is made once.
func (m *Metrics) find(key seriesKey) *series {
	m.mu.RLock()
	found := m.series[key]
	if found == nil {
		key.client = m.clientLabel(key.client)
		found = m.series[key]
	}
	m.mu.RUnlock()
	if found != nil {
		return found
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	key.client = strings.Clone(m.clientLabel(key.client)) // not the request it was cut from
	if found = m.series[key]; found == nil {
		found = &series{
			requests: m.requests.WithLabelValues(key.realm, key.endpoint, key.listener, key.outcome, key.client),
			duration: m.durations.WithLabelValues(key.endpoint),
		}
		m.series[key] = found
		m.clients[key.client] = true
	}
	return found
}

// clientLabel is the client itself as long as there are few. The caller holds
// the lock.
func (m *Metrics) clientLabel(client string) string {
	if client == "" || m.clients[client] || len(m.clients) < maxClients {
		return client
	}
	return "other"
}

// ObserveSigning records how long one signature took.
func (m *Metrics) ObserveSigning(alg string, took time.Duration) {
	if observer := m.signing[alg]; observer != nil {
		observer.Observe(took.Seconds())
	}
}

// CertificateEnd is when a certificate ends: one that the server depends on, or a
// client's that ends soon.
type CertificateEnd struct {
	Kind     string // "server", "ca" or "client"
	Name     string
	NotAfter time.Time
}

// WatchCertificates exports fapid_certificate_days_left for what list returns
// at the time of each scrape.
func (m *Metrics) WatchCertificates(now func() time.Time, list func() []CertificateEnd) {
	m.registry.MustRegister(&certificateDays{now: now, list: list, desc: prometheus.NewDesc(
		"fapid_certificate_days_left", "Days until a certificate ends: the server's, its CA's, and those of clients that end within 30 days.",
		[]string{"kind", "name"}, nil)})
}

type certificateDays struct {
	now  func() time.Time
	list func() []CertificateEnd
	desc *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (c *certificateDays) Describe(to chan<- *prometheus.Desc) { to <- c.desc }

// Collect implements prometheus.Collector. Of certificates with one name, the
// first to end counts; two series with the same labels would fail the scrape.
func (c *certificateDays) Collect(to chan<- prometheus.Metric) {
	first := map[[2]string]time.Time{}
	for _, certificate := range c.list() {
		labels := [2]string{certificate.Kind, certificate.Name}
		if end, ok := first[labels]; !ok || certificate.NotAfter.Before(end) {
			first[labels] = certificate.NotAfter
		}
	}
	now := c.now()
	for labels, end := range first {
		to <- prometheus.MustNewConstMetric(c.desc, prometheus.GaugeValue, end.Sub(now).Hours()/24, labels[0], labels[1])
	}
}
