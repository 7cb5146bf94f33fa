package server_test

import (
	"testing"
	"time"
)

// manyClients are as many as a big ecosystem has software.
const manyClients = 10_000

// BenchmarkClients has 10,000 clients register over HTTPS, each on disk before it is
// told so, and compares a server that has them with one that has five: what a token
// costs, in b.N alternating rounds, and how long it takes to start.
func BenchmarkClients(b *testing.B) {
	few, many := makeBed(b, registering), makeBed(b, registering)
	program := build(b)
	one, all := startChild(b, "fapid", few), startChild(b, "fapid", many)

	arriving := registrations(b, many, manyClients)
	arriving.connect(b)
	begun := time.Now()
	arriving.fire(b, manyClients)
	took := time.Since(begun)

	const count = 1500
	amongFew, amongMany := byCertificate(b, few, few.tls), byCertificate(b, many, many.tls)
	amongFew.fire(b, count)
	amongMany.fire(b, count)
	b.ResetTimer()
	var relation []float64
	for round := range b.N {
		first, second := cost(b, one, amongFew, count), cost(b, all, amongMany, count)
		if round%2 == 1 { // whoever is first takes turns
			second, first = cost(b, all, amongMany, count), cost(b, one, amongFew, count)
		}
		relation = append(relation, second/first)
	}
	b.StopTimer()
	b.ReportMetric(0, "ns/op")
	report(b, "registrations over HTTPS", "/s", manyClients/took.Seconds(), 300)
	report(b, "a token among 10,000 clients, to among five", "x", median(relation), 1.05)
	all.stop()
	report(b, "serve with 10,000 clients: to the first token", "ms", firstToken(b, program, many), 1000)
}
