//go:build unix

package store_test

import (
	"context"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/fapid/fapid/store"
)

func openBench(b *testing.B) *store.Bolt {
	s, err := store.Open(filepath.Join(b.TempDir(), "bench.db"), store.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	return s
}

// processCPU is the time the process has spent on processors, system calls included.
func processCPU() time.Duration {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// many calls do n times, from a number of callers at once.
func many(b *testing.B, callers, n int, do func() error) {
	var group sync.WaitGroup
	var next atomic.Int64
	for range callers {
		group.Go(func() {
			for next.Add(1) <= int64(n) {
				if err := do(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
}

func create(table store.Table[spent]) func() error {
	return func() error {
		now := time.Now()
		return table.Create(context.Background(), randomKey(), spent{now.Unix()}, now.Add(time.Minute))
	}
}

// measure reports processor time per call.
func measure(b *testing.B, callers int, do func() error) {
	many(b, callers, 1000, do)
	b.ReportAllocs()
	b.ResetTimer()
	before := processCPU()
	many(b, callers, b.N, do)
	b.ReportMetric(float64((processCPU()-before).Nanoseconds())/1000/float64(b.N), "cpu-µs/op")
}

// BenchmarkClaim16 is the price of a single-use value that carries nothing.
func BenchmarkClaim16(b *testing.B) {
	claims := claimsOf(openBench(b))
	measure(b, 16, func() error {
		return claims.Claim(context.Background(), randomKey(), time.Now().Add(time.Minute))
	})
}

// BenchmarkCreate16 is the price of a record under a random key.
func BenchmarkCreate16(b *testing.B) {
	measure(b, 16, create(records(openBench(b))))
}

func BenchmarkUpdateLone(b *testing.B) {
	measure(b, 1, create(records(openBench(b))))
}

func BenchmarkGet(b *testing.B) {
	table := records(openBench(b))
	many(b, 64, 10000, create(table))
	key := randomKey()
	if err := table.Put(context.Background(), key, spent{1}, time.Now().Add(time.Hour)); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if found, err := table.Has(context.Background(), key); !found || err != nil {
			b.Fatal(found, err)
		}
	}
}
