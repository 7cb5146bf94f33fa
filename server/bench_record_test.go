package server_test

import (
	"testing"
)

// BenchmarkRecord is what recording costs a request: the server's CPU time of a
// token that is recorded, less that of one that is not, by 16 callers over
// connections that are kept alive, in alternating rounds. The limit is 20 µs. On the
// floor it is what the disk costs, and being kept waiting by it: one write and one
// sync for all who wait.
func BenchmarkRecord(b *testing.B) {
	const count = 1500 // requests in a round
	bed := makeBed(b, "")
	fapid, bare := startChild(b, "fapid", bed), startChild(b, "floor", bed)
	plain := byCertificate(b, bed, bed.tls)
	cases := []struct {
		on   *child
		load *load
	}{
		{fapid, plain}, {fapid, byCertificate(b, bed, bed.recorded)}, {fapid, byCertificate(b, bed, bed.opaque)},
		{bare, onFloor(b, bed, plain, "/sign/ES256")}, {bare, onFloor(b, bed, plain, "/keep")},
	}
	for _, c := range cases {
		c.load.fire(b, count)
	}
	costs := make([][]float64, len(cases))
	b.ResetTimer()
	for round := range b.N {
		for n := range cases {
			i := (n + round) % len(cases) // whoever is first takes turns
			costs[i] = append(costs[i], cost(b, cases[i].on, cases[i].load, count))
		}
	}
	b.StopTimer()
	b.ReportMetric(0, "ns/op")
	unrecorded, recorded := median(costs[0]), median(costs[1])
	b.ReportMetric(unrecorded, "µs/not-recorded")
	// An opaque token saves the signature and costs the record; only the JWT's
	// difference is that of recording.
	recording, floor := recorded-unrecorded, median(costs[4])-median(costs[3])
	b.ReportMetric(recording, "µs/recording")
	b.ReportMetric(median(costs[2]), "µs/opaque")
	b.ReportMetric(floor, "µs/floor")
	addRow(b, "g  recording an issued token", " %8.0f %8.0f %7.2f %7s %5s", floor, recording, recording/floor, "20 µs", judge(recording <= 20))
}
