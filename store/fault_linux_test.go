package store_test

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/fapid/fapid/store"
)

// redirect makes the descriptor by which this process has path open refer to
// another file, and returns what puts it back.
func redirect(t *testing.T, path, to string) (back func()) {
	t.Helper()
	other, err := os.OpenFile(to, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	names, _ := os.ReadDir("/proc/self/fd")
	for _, name := range names {
		if target, _ := os.Readlink("/proc/self/fd/" + name.Name()); target != path {
			continue
		}
		var fd int
		_, _ = fmt.Sscan(name.Name(), &fd)
		keep, err := syscall.Dup(fd)
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Dup3(int(other.Fd()), fd, 0); err != nil {
			t.Fatal(err)
		}
		return func() { _ = syscall.Dup3(keep, fd, 0); _ = syscall.Close(keep) }
	}
	t.Fatal("not open")
	return nil
}

// TestDiskFull writes to a full disk: nothing is taken, and the store goes on
// when there is room.
func TestDiskFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fapid.db")
	s := open(t, path, store.Options{})
	end := time.Now().Add(time.Hour)
	if err := claimsOf(s).Claim(ctx, "before", end); err != nil {
		t.Fatal(err)
	}
	back := redirect(t, path, "/dev/full")
	wantError(t, claimsOf(s).Claim(ctx, "k", end), store.ErrFull)
	wantError(t, records(s).Put(ctx, "k", spent{1}, end), store.ErrFull)
	wantError(t, claimsOf(s).Claim(ctx, "before", end), store.ErrExists)
	_, err := records(s).Get(ctx, "k")
	wantError(t, err, store.ErrNotFound)
	back()
	if s.Err() != nil {
		t.Fatal(s.Err())
	}
	if err := claimsOf(s).Claim(ctx, "k", end); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, path, store.Options{})
	wantError(t, claimsOf(s).Claim(ctx, "k", end), store.ErrExists)
}

// TestFailedSync makes an fsync fail: nobody knows what is on disk, so nothing
// is written any more.
func TestFailedSync(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fapid.db")
	s := open(t, path, store.Options{})
	select {
	case <-s.Failed():
		t.Fatal("failed at once")
	default:
	}
	back := redirect(t, path, "/dev/null") // takes all writes, syncs none
	defer back()
	if err := records(s).Put(ctx, "k", spent{1}, time.Time{}); err == nil {
		t.Fatal("a write that was not synced is acknowledged")
	}
	<-s.Failed()
	wantError(t, records(s).Put(ctx, "l", spent{1}, time.Time{}), s.Err())
	wantError(t, claimsOf(s).Claim(ctx, "l", time.Time{}), s.Err())
	wantError(t, s.Err(), syscall.EINVAL)
}
