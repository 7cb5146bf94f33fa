package server

import (
	"testing"
	"time"
)

// Connections end without anybody having set when; tests of the whole are patient, and
// would not see it if they did not.
func TestLimits(t *testing.T) {
	want := Limits{Handshake: 10 * time.Second, ReadHeader: 5 * time.Second, Read: 15 * time.Second, Write: 30 * time.Second, Idle: 2 * time.Minute, Drain: 10 * time.Second}
	if got := (Limits{}).filled(); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	own := Limits{Handshake: 1, ReadHeader: 2, Read: 3, Write: 4, Idle: 5, Drain: 6, Fetch: 7}
	if got := own.filled(); got != own {
		t.Errorf("%+v, want %+v", got, own)
	}
}
