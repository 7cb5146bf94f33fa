package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain puts this program itself on PATH, as fapid: scripts and the README's
// commands run the code under test.
func TestMain(m *testing.M) {
	testscript.Main(tests{m}, map[string]func(){"fapid": main})
}

type tests struct{ *testing.M }

func (m tests) Run() int {
	defer func() {
		if dir, err := freshSandbox(); err == nil {
			_ = os.RemoveAll(dir)
		}
	}()
	return m.M.Run()
}

// freshSandbox is a sandbox directory as the first start leaves it, made once: a
// test that is not about the first start copies it instead of making keys.
var freshSandbox = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "fapid-fresh-")
	if err != nil {
		return "", err
	}
	ports := freePorts()
	s, err := start(dir, nil, "Ctrl-C", append([]string{"dev"}, ports.flags()...)...)
	if err != nil {
		return "", err
	}
	return dir, s.stop()
})

// sandboxIn copies the fresh sandbox into a folder, as .fapid.
func sandboxIn(folder string) error {
	fresh, err := freshSandbox()
	if err != nil {
		return err
	}
	from, to := filepath.Join(fresh, ".fapid"), filepath.Join(folder, ".fapid")
	return filepath.WalkDir(from, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		at := filepath.Join(to, strings.TrimPrefix(path, from))
		if entry.IsDir() {
			return os.MkdirAll(at, 0o700)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		state, err := entry.Info()
		if err != nil {
			return err
		}
		return os.WriteFile(at, text, state.Mode())
	})
}

// doors are four free ports: standard, mTLS, operator, directory.
type doors [4]string

func (d doors) flags() []string {
	return []string{"--port", d[0], "--mtls-port", d[1], "--admin-port", d[2], "--directory-port", d[3]}
}

// replace writes these ports where a text has the usual ones; restore undoes it.
func (d doors) replace(text string) string {
	return strings.NewReplacer("8443", d[0], "8444", d[1], "9000", d[2], "8445", d[3]).Replace(text)
}

func (d doors) restore(text string) string {
	return strings.NewReplacer(d[0], "8443", d[1], "8444", d[2], "9000", d[3], "8445").Replace(text)
}

// nextPort walks through a range below the one the kernel gives out, from a
// random place, so that tests that run side by side rarely meet.
var nextPort atomic.Int32

func init() { nextPort.Store(20000 + rand.Int32N(10000)) }

func freePorts() doors {
	var found doors
	for i := range found {
		for found[i] == "" {
			port := strconv.Itoa(int(20000 + nextPort.Add(1)%12000))
			if free("127.0.0.1:"+port) && free("[::1]:"+port) {
				found[i] = port
			}
		}
	}
	return found
}

func free(address string) bool {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return !strings.Contains(err.Error(), syscall.EADDRINUSE.Error()) // no IPv6 is free enough
	}
	return listener.Close() == nil
}

// process is a server that runs while a test does.
type process struct {
	command  *exec.Cmd
	out, err output
	ended    chan error
}

// output collects what a process prints, for reading while it runs.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(text []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(text)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// startTimeout is long because a first start makes two dozen RSA keys, `go run` links
// the program, and a machine that runs all tests at once is slow.
const startTimeout = 5 * time.Minute

// start runs fapid in a folder until it has printed the ready text.
func start(folder string, env []string, ready string, args ...string) (*process, error) {
	command := exec.Command("fapid", args...)
	command.Dir, command.Env = folder, env
	return startCommand(command, ready)
}

func startCommand(command *exec.Cmd, ready string) (*process, error) {
	p := &process{command: command, ended: make(chan error, 1)}
	command.Stdout, command.Stderr = &p.out, &p.err
	if err := command.Start(); err != nil {
		return nil, err
	}
	go func() { p.ended <- command.Wait() }()
	for deadline := time.Now().Add(startTimeout); ; time.Sleep(10 * time.Millisecond) {
		if strings.Contains(p.out.String()+p.err.String(), ready) {
			return p, nil
		}
		select {
		case err := <-p.ended:
			return nil, fmt.Errorf("%s ended at once (%v):\n%s%s", command, err, &p.out, &p.err)
		default:
		}
		if time.Now().After(deadline) {
			_ = command.Process.Kill()
			return nil, fmt.Errorf("%s is not ready after %v:\n%s%s", command, startTimeout, &p.out, &p.err)
		}
	}
}

// stop ends the server as a supervisor does; it must take that as success.
func (p *process) stop() error {
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case err := <-p.ended:
		if err != nil {
			return fmt.Errorf("%s: %w\n%s", p.command, err, &p.err)
		}
		return nil
	case <-time.After(startTimeout):
		_ = p.command.Process.Kill()
		return fmt.Errorf("%s did not end when asked to", p.command)
	}
}
