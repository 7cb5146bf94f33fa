package server_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/fapid/fapid/server/participant"
)

// BenchmarkRecord is what recording costs a request: the server's CPU time of a
// token that is recorded, less that of one that is not, by 16 callers over
// connections that are kept alive, in alternating rounds. The limit is 20 µs.
func BenchmarkRecord(b *testing.B) {
	const count = 1500 // requests in a round
	bed := makeBed(b, "")
	fapid := startChild(b, "fapid", bed)
	cases := []struct {
		name string
		by   *participant.Participant
	}{{"not", bed.tls}, {"jwt", bed.recorded}, {"opaque", bed.opaque}}
	loads := make([]*load, len(cases))
	for i, c := range cases {
		form := url.Values{"grant_type": {"client_credentials"}, "client_id": {c.by.Metadata.ClientID}, "scope": {"accounts"}}
		loads[i] = &load{address: bed.mtls, tls: clientTLS(b, bed, c.by), request: always(request(http.MethodPost, bed.mtls, "/token", nil, form.Encode()))}
		loads[i].fire(b, count)
	}
	costs := make([][]float64, len(cases))
	b.ResetTimer()
	for round := range b.N {
		for n := range cases {
			i := (n + round) % len(cases) // whoever is first takes turns
			costs[i] = append(costs[i], cost(b, fapid, loads[i], count))
		}
	}
	b.StopTimer()
	b.ReportMetric(0, "ns/op")
	plain := median(costs[0])
	b.ReportMetric(plain, "µs/not-recorded")
	// An opaque token saves the signature and costs the record; only the JWT's
	// difference is that of recording.
	recording := median(costs[1]) - plain
	b.ReportMetric(recording, "µs/recording")
	b.ReportMetric(median(costs[2]), "µs/opaque")
	addRow(b, "f  recording an issued token", " %8.0f %8.0f %7.1f %7s %5s", plain, median(costs[1]), recording, "20", judge(recording <= 20))
}
