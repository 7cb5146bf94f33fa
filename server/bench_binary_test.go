package server_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// quickRun makes everything that takes long a tenth as long.
const quickRun = "BENCH_QUICK"

// BenchmarkBinary measures the command as it is released: size, start, memory.
func BenchmarkBinary(b *testing.B) {
	program := build(b)
	for b.Loop() {
		info, err := os.Stat(program)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(0, "ns/op")
		report(b, "stripped binary", "MiB", float64(info.Size())/(1<<20), 25)
		bed := makeBed(b, "")
		report(b, "serve: from start to the first token", "ms", firstToken(b, program, bed), 100)
		report(b, "dev: second start until ready", "ms", secondDev(b, program), 300)
		memory(b, program, bed)
	}
}

// report notes a figure and what it is to be: at most that, and at least for what
// is counted per second.
func report(b *testing.B, what, unit string, measured, wanted float64) {
	b.Helper()
	b.ReportMetric(measured, strings.ReplaceAll(what, " ", "-")+"-"+unit)
	good := measured <= wanted
	if unit == "/s" {
		good = measured >= wanted
	}
	addRow(b, what, " %13.5g %-3s %15.5g %5s", measured, unit, wanted, judge(good))
}

// build makes the binary with the flags of a release: without the C library, of which
// it would use the resolver alone, and without symbols.
func build(b *testing.B) string {
	b.Helper()
	program := filepath.Join(b.TempDir(), "fapid")
	command := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", program, "github.com/fapid/fapid/cmd/fapid")
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := command.CombinedOutput(); err != nil {
		b.Fatalf("go build: %v\n%s", err, out)
	}
	return program
}

// started is a process of the command, its log in a file.
type started struct {
	run *exec.Cmd
	at  time.Time
	log string
}

func start(b *testing.B, dir, program string, arguments ...string) *started {
	b.Helper()
	p := &started{run: exec.Command(program, arguments...), log: filepath.Join(dir, "log")}
	p.run.Dir = dir
	log, err := os.Create(p.log)
	if err != nil {
		b.Fatal(err)
	}
	p.run.Stderr = log
	p.at = time.Now()
	if err := p.run.Start(); err != nil {
		b.Fatal(err)
	}
	_ = log.Close()
	return p
}

// stop ends the process as an operator does.
func (p *started) stop(b *testing.B) {
	b.Helper()
	if err := p.run.Process.Signal(syscall.SIGTERM); err != nil {
		b.Fatal(err)
	}
	if err := p.run.Wait(); err != nil {
		b.Fatalf("%s: %v\n%s", p.run.Args, err, p.lastLine())
	}
}

// lastLine is the end of the log, for a failure.
func (p *started) lastLine() string {
	text, _ := os.ReadFile(p.log)
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return lines[len(lines)-1]
}

// firstToken is the median time in milliseconds from the start of a process to
// its first token, asked for each millisecond.
func firstToken(b *testing.B, program string, bed *bed) float64 {
	b.Helper()
	l := byCertificate(b, bed, bed.tls)
	var took []float64
	for range 7 {
		p := start(b, bed.dir, program, "serve", "--config", bed.config)
		for {
			if line, err := l.dial(); err == nil {
				_, err = line.exchange(l.request())
				_ = line.conn.Close()
				if err == nil {
					break
				}
			}
			if time.Since(p.at) > 30*time.Second {
				p.stop(b)
				b.Fatal("no token within 30 seconds")
			}
			time.Sleep(time.Millisecond)
		}
		took = append(took, time.Since(p.at).Seconds()*1000)
		p.stop(b)
	}
	return median(took)
}

// secondDev is the median time in milliseconds from the start of `fapid dev` on
// a directory that has been used before to its greeting.
func secondDev(b *testing.B, program string) float64 {
	b.Helper()
	dir := b.TempDir()
	port := func() string { _, port, _ := strings.Cut(freeAddress(b), ":"); return port }
	arguments := []string{"dev", "--dir", "sandbox", "--port", port(), "--mtls-port", port(), "--admin-port", port(), "--directory-port", port()}
	var took []float64
	for range 6 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		run := exec.CommandContext(ctx, program, arguments...)
		run.Dir = dir
		out, err := run.StdoutPipe()
		if err != nil {
			b.Fatal(err)
		}
		at := time.Now()
		if err := run.Start(); err != nil {
			b.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for lines.Scan() && !strings.Contains(lines.Text(), "is ready after") {
		}
		took = append(took, time.Since(at).Seconds()*1000)
		if err := run.Process.Signal(syscall.SIGTERM); err != nil {
			b.Fatal(err)
		}
		for lines.Scan() {
		}
		if err := run.Wait(); err != nil {
			b.Fatal(err)
		}
		cancel()
	}
	return median(took[1:])
}

// memory measures the resident memory of `fapid serve` before and after tokens
// for 16 callers.
func memory(b *testing.B, program string, bed *bed) {
	b.Helper()
	tokens := 100_000
	if os.Getenv(quickRun) != "" {
		tokens /= 10
	}
	p := start(b, bed.dir, program, "serve", "--config", bed.config)
	defer p.stop(b)
	l := byCertificate(b, bed, bed.tls)
	await(b, l)
	time.Sleep(time.Second)
	report(b, "memory: idle", "MiB", resident(b, p), 25)
	for _, sum := range []int{tokens, 2 * tokens} {
		l.fire(b, tokens)
		report(b, fmt.Sprintf("memory: after %d tokens", sum), "MiB", resident(b, p), 40)
	}
}

// await waits until the server listens.
func await(b *testing.B, l *load) {
	b.Helper()
	for range 1000 {
		if line, err := l.dial(); err == nil {
			_ = line.conn.Close()
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	b.Fatal("the server does not listen")
}

// resident is the process's resident memory in MiB, file pages included (Linux).
func resident(b *testing.B, p *started) float64 {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.run.Process.Pid))
	if err != nil {
		b.Skip("resident memory is read from /proc: ", err)
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	kilobytes, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	if err != nil {
		b.Fatal(err)
	}
	return kilobytes / 1024
}
