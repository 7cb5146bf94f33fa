package server

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

// The memory limit is what it was set to for a small server, and never so near to
// what is alive that the collector has to work all the time.
func TestMemoryLimitFollowsLiveData(t *testing.T) {
	t.Setenv("GOGC", "100") // leaves it alone
	t.Setenv("GOMEMLIMIT", "")
	before := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	Tune()
	reaches := func(enough func(limit int64) bool) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
			runtime.GC()
			if enough(debug.SetMemoryLimit(-1)) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("the limit is %d MiB", debug.SetMemoryLimit(-1)>>20)
			}
		}
	}
	live := make([][]byte, 100)
	for i := range live {
		live[i] = make([]byte, 1<<20)
	}
	reaches(func(limit int64) bool { return limit > 250<<20 })
	runtime.KeepAlive(live)
	live = nil
	reaches(func(limit int64) bool { return limit < 200<<20 })
	_ = live
}
