//go:build unix

package store_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/fapid/fapid/store"
)

type spent struct {
	At int64 `json:"at"`
}

func randomKey() string {
	var b [32]byte
	_, _ = rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

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

func claims(s store.Store) store.Table[spent] {
	return store.Table[spent]{Store: s, Name: "default/assertion", Now: time.Now}
}

// createMany creates n claims from a number of callers at once.
func createMany(b *testing.B, table store.Table[spent], callers, n int) {
	var group sync.WaitGroup
	var next atomic.Int64
	for range callers {
		group.Go(func() {
			for next.Add(1) <= int64(n) {
				now := time.Now()
				if err := table.Create(context.Background(), randomKey(), spent{now.Unix()}, now.Add(time.Minute)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
}

// BenchmarkCreate16 is the price of a claim: processor time per Create of a
// random key, 16 callers at once.
func BenchmarkCreate16(b *testing.B) {
	table := claims(openBench(b))
	createMany(b, table, 16, 1000)
	b.ReportAllocs()
	b.ResetTimer()
	before := processCPU()
	createMany(b, table, 16, b.N)
	b.ReportMetric(float64((processCPU()-before).Nanoseconds())/1000/float64(b.N), "cpu-µs/op")
}

func BenchmarkUpdateLone(b *testing.B) {
	table := claims(openBench(b))
	b.ResetTimer()
	before := processCPU()
	createMany(b, table, 1, b.N)
	b.ReportMetric(float64((processCPU()-before).Nanoseconds())/1000/float64(b.N), "cpu-µs/op")
}

func BenchmarkGet(b *testing.B) {
	table := claims(openBench(b))
	createMany(b, table, 64, 10000)
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
