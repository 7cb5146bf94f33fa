//go:build unix

package token_test

import (
	"context"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/token"
	"github.com/fapid/fapid/store"
)

// BenchmarkRecord16 is what it costs to record what is issued, for 16 callers at
// once and a store on disk: the processor time of an issue with the record, less
// that of one without. The limit is 20 µs.
func BenchmarkRecord16(b *testing.B) {
	s, err := store.Open(filepath.Join(b.TempDir(), "db"), store.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	i := issuerOver(b, s)
	// EdDSA costs least to sign, so that the difference shows.
	plain, kept, opaque := authorization("EdDSA"), authorization("EdDSA"), authorization("EdDSA")
	kept.Client = &registration.Client{ID: "tpp-tls", TokenAlg: "EdDSA", RecordTokens: true}
	opaque.Format = oauth.FormatOpaque
	for name, with := range map[string]*token.Authorization{"not": plain, "jwt": kept, "opaque": opaque} {
		with.Lifetime = 5 * time.Minute
		b.Run(name, func(b *testing.B) {
			issueMany(b, i, with, 2000) // pages of the store
			b.ResetTimer()
			before := processCPU()
			issueMany(b, i, with, b.N)
			b.ReportMetric(float64((processCPU()-before).Nanoseconds())/1000/float64(b.N), "cpu-µs/op")
		})
	}
}

func issueMany(b *testing.B, i *token.Issuer, with *token.Authorization, n int) {
	var group sync.WaitGroup
	var next atomic.Int64
	for range 16 {
		group.Go(func() {
			for next.Add(1) <= int64(n) {
				own := *with
				if _, _, err := i.Issue(context.Background(), &own); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
}

// processCPU is the time the process has spent on processors, system calls included.
func processCPU() time.Duration {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
