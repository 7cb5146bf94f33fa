package server

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// Memory settings for a process whose live data is a few megabytes: collecting
// three times less often saves most of a tenth of the CPU time of a token, and
// the limit keeps the heap from growing on the strength of it. At 400 the
// process is 5 MiB larger after 100,000 tokens.
const (
	gcPercent   = 300
	memoryLimit = 48 << 20 // bytes; soft
	// limitOfLive is the limit by the live data, where that is more: below it, a
	// server with ten thousand clients would do nothing but collect.
	limitOfLive = 3
)

// Settle gives back what only the start needed: files read, keys parsed. That is a
// sixth of an idle server.
func Settle() { debug.FreeOSMemory() }

// Tune sets the garbage collector of a process that only serves, where the
// environment (GOGC, GOMEMLIMIT) does not.
func Tune() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
		followLive(memoryLimit)
	}
}

// followLive sets the limit anew after every collection, by what that has found to
// be alive, until it is another's than its own. It is told of a collection by the end
// of an object that nobody holds.
func followLive(own int64) {
	type mark struct{ _ *byte } // with a pointer, so that it is collected by itself
	runtime.AddCleanup(new(mark), func(struct{}) {
		if debug.SetMemoryLimit(-1) != own {
			return
		}
		live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		metrics.Read(live)
		limit := max(memoryLimit, limitOfLive*int64(live[0].Value.Uint64()))
		// To set it stops the world for a moment: small steps are not worth it.
		if limit < own-own/8 || limit > own+own/8 {
			debug.SetMemoryLimit(limit)
			own = limit
		}
		followLive(own)
	}, struct{}{})
}
