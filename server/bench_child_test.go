package server_test

import (
	"bufio"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fapid/fapid/server"
)

// A benchmark measures a process of its own, this test binary started again, so
// that the load generator's CPU time is not the server's. The environment says
// what the process is to be.
const (
	childKind = "BENCH_CHILD" // "fapid" or "floor"
	childDir  = "BENCH_DIR"   // of the bed
	// profileDir is where the processes leave CPU and memory profiles; empty for none.
	profileDir = "BENCH_PROFILE"
)

// usage is what a process has consumed since it was started.
type usage struct {
	CPU time.Duration // user and system
}

// TestBenchChild is the other process, not a test.
func TestBenchChild(t *testing.T) {
	kind := os.Getenv(childKind)
	if kind == "" {
		return // the benchmarks run it
	}
	ctx, stop := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	ready := make(chan struct{})
	serve := serveFloor
	if kind == "fapid" {
		serve = serveFapid
	}
	go func() { stopped <- serve(ctx, os.Getenv(childDir), func() { close(ready) }) }()
	select {
	case <-ready:
	case err := <-stopped:
		fmt.Fprintln(os.Stderr, kind+":", err) // the standard output is for the parent
		t.Fatal(err)
	}
	// A line in, a line out; the end of the input is the end of the process.
	out := json.NewEncoder(os.Stdout)
	for in := bufio.NewScanner(os.Stdin); ; {
		if err := out.Encode(ownUsage()); err != nil || !in.Scan() {
			break
		}
	}
	stop()
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func ownUsage() usage {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return usage{CPU: time.Duration(r.Utime.Nano() + r.Stime.Nano())}
}

// serveFapid is `fapid serve`: the store on disk, traces and metrics on, a log
// line for every request.
func serveFapid(ctx context.Context, dir string, started func()) error {
	sink, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	server.Tune()
	s, err := openBed(ctx, filepath.Join(dir, "fapid.yaml"), server.Options{Log: slog.New(slog.NewJSONHandler(sink, nil))})
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	return s.Serve(ctx, started)
}

// floor does the cryptography of a request and nothing else. It has Go's own
// memory settings.
type floor struct {
	es256      *ecdsa.PrivateKey
	ps256      *rsa.PrivateKey
	input      []byte // as long as what is signed of a token
	signatures map[string][]byte
	answer     []byte // as long as a token's answer
	disk       *os.File
	waiting    chan chan error // for what they wrote to be on disk
}

func newFloor(dir string) (*floor, error) {
	f := &floor{
		input:   []byte(strings.Repeat("x", 560)),
		answer:  []byte(`{"access_token":"` + strings.Repeat("x", 650) + `"}`),
		waiting: make(chan chan error, callers),
	}
	var err error
	if f.disk, err = os.Create(filepath.Join(dir, "floor.log")); err != nil {
		return nil, err
	}
	go f.keep()
	if f.es256, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	if f.ps256, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		return nil, err
	}
	f.signatures = map[string][]byte{}
	for _, alg := range []string{"ES256", "PS256"} {
		if f.signatures[alg], err = f.sign(alg); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func (f *floor) sign(alg string) ([]byte, error) {
	digest := sha256.Sum256(f.input)
	if alg == "PS256" {
		return f.ps256.Sign(rand.Reader, digest[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256})
	}
	return f.es256.Sign(rand.Reader, digest[:], crypto.SHA256)
}

func (f *floor) verify(alg string) bool {
	digest := sha256.Sum256(f.input)
	if alg == "PS256" {
		return rsa.VerifyPSS(&f.ps256.PublicKey, crypto.SHA256, digest[:], f.signatures[alg], nil) == nil
	}
	return ecdsa.VerifyASN1(&f.es256.PublicKey, digest[:], f.signatures[alg])
}

// keep writes a record for each who waits, and has the disk take those of all who
// wait at a time at once: one write and one sync, in a file that has its length.
func (f *floor) keep() {
	const record, length = 700, 16 << 20
	if _, err := f.disk.Write(make([]byte, length)); err != nil {
		panic(err)
	}
	records := make([]byte, callers*record)
	group := make([]chan error, 0, callers)
	var at int64
	for first := range f.waiting {
		time.Sleep(500 * time.Microsecond) // as the store does, see store/group.go
		group = append(group[:0], first)
		for len(f.waiting) > 0 && len(group) < callers {
			group = append(group, <-f.waiting)
		}
		size := int64(len(group) * record)
		if at+size > length {
			at = 0
		}
		_, err := f.disk.WriteAt(records[:size], at)
		if err == nil {
			err = f.disk.Sync()
		}
		at += size
		for _, waiting := range group {
			waiting <- err
		}
	}
}

// ServeHTTP does what the path names: "/verify", "/verify/PS256", "/sign/ES256",
// "/both", "/keep" (which signs, too).
func (f *floor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, err := io.ReadAll(r.Body)
	ok := err == nil
	switch r.URL.Path {
	case "/verify", "/both":
		ok = ok && f.verify("ES256")
	case "/verify/PS256":
		ok = ok && f.verify("PS256")
	}
	switch r.URL.Path {
	case "/sign/PS256":
		_, err = f.sign("PS256")
	case "/sign/ES256", "/both", "/keep":
		_, err = f.sign("ES256")
	}
	if r.URL.Path == "/keep" && err == nil {
		kept := make(chan error, 1)
		f.waiting <- kept
		err = <-kept
	}
	if !ok || err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(f.answer)
}

// serveFloor serves the floor on two addresses that it writes to floor.json:
// with the server's own certificate, without and with a verified client
// certificate.
func serveFloor(ctx context.Context, dir string, started func()) error {
	f, err := newFloor(dir)
	if err != nil {
		return err
	}
	own, err := tls.LoadX509KeyPair(filepath.Join(dir, "data/server/ecdsa.pem"), filepath.Join(dir, "data/server/ecdsa.key"))
	if err != nil {
		return err
	}
	roots, err := rootsOf(dir)
	if err != nil {
		return err
	}
	var addresses []string
	for _, client := range []tls.ClientAuthType{tls.NoClientCert, tls.RequireAndVerifyClientCert} {
		listener, err := net.Listen("tcp", "localhost:0")
		if err != nil {
			return err
		}
		addresses = append(addresses, fmt.Sprintf("localhost:%d", listener.Addr().(*net.TCPAddr).Port))
		door := &http.Server{Handler: f, ReadHeaderTimeout: 5 * time.Second, TLSConfig: &tls.Config{
			Certificates: []tls.Certificate{own}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
			ClientAuth: client, ClientCAs: roots, SessionTicketsDisabled: client != tls.NoClientCert,
		}}
		go func() { _ = door.ServeTLS(listener, "", "") }()
		defer func() { _ = door.Close() }()
	}
	text, err := json.Marshal(addresses)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "floor.json"), text, 0o600)
	}
	if err != nil {
		return err
	}
	started()
	<-ctx.Done()
	return nil
}

func rootsOf(dir string) (*x509.CertPool, error) {
	text, err := os.ReadFile(filepath.Join(dir, "data/ca.pem"))
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	return roots, err
}

// child is the other process as its parent sees it.
type child struct {
	tb  testing.TB
	in  io.WriteCloser
	out *json.Decoder
	run *exec.Cmd
	// stop ends it.
	stop func()
}

// startChild starts a process of that kind and waits until it serves.
func startChild(tb testing.TB, kind string, bed *bed) *child {
	tb.Helper()
	arguments := []string{"-test.run=^TestBenchChild$", "-test.timeout=30m"}
	if dir := os.Getenv(profileDir); dir != "" {
		name := strings.NewReplacer("/", "-", "Benchmark", "").Replace(tb.Name())
		arguments = append(arguments, "-test.outputdir="+dir,
			"-test.cpuprofile="+kind+"-"+name+".cpu", "-test.memprofile="+kind+"-"+name+".mem")
	}
	c := &child{tb: tb, run: exec.Command(os.Args[0], arguments...)}
	c.run.Env = append(os.Environ(), childKind+"="+kind, childDir+"="+bed.dir)
	c.run.Stderr = os.Stderr
	var err error
	if c.in, err = c.run.StdinPipe(); err != nil {
		tb.Fatal(err)
	}
	out, err := c.run.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	c.out = json.NewDecoder(out)
	if err := c.run.Start(); err != nil {
		tb.Fatal(err)
	}
	c.stop = sync.OnceFunc(func() {
		_ = c.in.Close()
		_, _ = io.Copy(io.Discard, out)
		if err := c.run.Wait(); err != nil {
			tb.Errorf("%s: %v", kind, err)
		}
	})
	tb.Cleanup(c.stop)
	c.read()
	return c
}

func (c *child) read() (u usage) {
	c.tb.Helper()
	if err := c.out.Decode(&u); err != nil {
		c.tb.Fatalf("the child process has ended: %v", err)
	}
	return u
}

// usage asks the process what it has consumed.
func (c *child) usage() usage {
	c.tb.Helper()
	if _, err := io.WriteString(c.in, "\n"); err != nil {
		c.tb.Fatal(err)
	}
	return c.read()
}
