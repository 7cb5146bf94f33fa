//go:build unix

package store_test

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/fapid/fapid/store"
)

const childEnv = "FAPID_STORE_TEST_CHILD"

func TestMain(m *testing.M) {
	if path := os.Getenv(childEnv); path != "" {
		writeUntilKilled(path)
	}
	os.Exit(m.Run())
}

// writeUntilKilled spends values from several goroutines and says so after each.
func writeUntilKilled(path string) {
	s, err := store.Open(path, store.Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	failed := make(chan error)
	for range 4 {
		go func() {
			for {
				key := randomKey()
				err := errors.Join(
					records(s).Create(ctx, key, spent{1}, time.Time{}),
					claimsOf(s).Claim(ctx, key, time.Now().Add(time.Hour)))
				if err != nil {
					failed <- err
				}
				_, _ = os.Stdout.WriteString(key + "\n") // one write: one line
			}
		}()
	}
	fmt.Fprintln(os.Stderr, <-failed)
	os.Exit(1)
}

// killed runs a child for a while, counted from its start or from when it first
// acknowledges something, and returns what it has acknowledged.
func killed(t *testing.T, path string, after time.Duration, writing bool) (acknowledged []string) {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childEnv+"="+path)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	kill := func() { time.AfterFunc(after, func() { _ = child.Process.Kill() }) }
	if !writing {
		kill()
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if acknowledged = append(acknowledged, lines.Text()); writing && len(acknowledged) == 1 {
			kill()
		}
	}
	if err := child.Wait(); err != nil && child.ProcessState.ExitCode() != -1 {
		t.Fatalf("the child gave up: %v", err)
	}
	return acknowledged
}

// TestKill kills a writing process again and again: what it has acknowledged is
// there, and the store is ready without any repair.
func TestKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fapid.db")
	var all []string
	rounds := 30
	if testing.Short() {
		rounds = 5
	}
	for round := range rounds {
		all = append(all, killed(t, path, time.Duration(rand.IntN(60))*time.Millisecond, true)...)
		s, err := store.Open(path, store.Options{})
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		for _, key := range all {
			if found, err := records(s).Has(ctx, key); !found || err != nil {
				t.Fatalf("round %d: record %s of %d is lost: %v", round, key, len(all), err)
			}
			if err := claimsOf(s).Claim(ctx, key, time.Now().Add(time.Hour)); !errors.Is(err, store.ErrExists) {
				t.Fatalf("round %d: claim %s of %d is lost: %v", round, key, len(all), err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(all) < rounds {
		t.Errorf("only %d values were acknowledged", len(all))
	}
	t.Logf("%d kills, %d acknowledged, none lost", rounds, len(all))
}

// TestKillWhileCreating kills the process that makes the file.
func TestKillWhileCreating(t *testing.T) {
	for round := range 12 {
		path := filepath.Join(t.TempDir(), "fapid.db")
		killed(t, path, time.Duration(2000+round*800)*time.Microsecond, false)
		s, err := store.Open(path, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if left, _ := filepath.Glob(path + "*"); len(left) != 1 {
			t.Errorf("left %v", left)
		}
	}
}
