package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestREADME does what the README says, and TestRegistering what that page says, block
// by block, in one folder:
//
//   - a sh block is run, and must succeed; it has the variables of those before it;
//     where it starts a server, that server runs until another block starts one;
//   - a text block is what the block before it prints. Its lines come in this
//     order; "…" stands for anything, and a trace id for the one there is;
//   - a yaml block is a file, whose name is in its first line;
//   - a go block is what a program does that serves an API. It is built, and runs
//     until the end.
//
// There are no other blocks, so nothing in it can be wrong unseen. The usual
// ports are replaced by free ones.
func TestREADME(t *testing.T) { follow(t, "README.md") }

func TestRegistering(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not installed, and everything on the page needs the key that it makes")
	}
	follow(t, "docs/registering.md")
}

func follow(t *testing.T, page string) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skipf("curl is not installed, and the commands of %s need it", page)
	}
	text, err := os.ReadFile(filepath.Join("..", "..", page))
	if err != nil {
		t.Fatal(err)
	}
	r := &reader{
		T: t, page: page, folder: t.TempDir(), variables: filepath.Join(t.TempDir(), "variables"),
		ports: freePorts(), api: freePorts()[0], traces: map[string]string{},
	}
	if err := sandboxIn(r.folder); err != nil {
		t.Fatal(err)
	}
	defer r.stopServer()
	for _, block := range blocksOf(string(text)) {
		t.Logf("%s:%d: %s block", page, block.line, block.language)
		switch block.language {
		case "sh":
			r.run(block)
		case "text":
			r.compare(block)
		case "yaml":
			r.writeFile(block)
		case "go":
			r.startAPI(block)
		default:
			t.Errorf("%s:%d: a block is sh, text, yaml or go, not %q", page, block.line, block.language)
		}
		if t.Failed() {
			return // what follows builds on it
		}
	}
}

// block is a fenced block of a Markdown file.
type block struct {
	language, text string
	line           int // of its first fence, from 1
}

func blocksOf(markdown string) []block {
	var blocks []block
	open := false
	for i, line := range strings.SplitAfter(markdown, "\n") {
		language, fence := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case fence && !open:
			blocks = append(blocks, block{language: language, line: i + 1})
			open = true
		case fence:
			open = false
		case open:
			blocks[len(blocks)-1].text += line
		}
	}
	return blocks
}

// reader follows a page in a folder.
type reader struct {
	*testing.T
	page      string
	folder    string
	variables string // file with those of the sh blocks so far
	ports     doors
	api       string // port of the API, which is 9443
	server    *process
	printed   string            // by the newest sh block
	skipped   bool              // the newest sh block was not run
	traces    map[string]string // by the page's trace ids, those of this run
}

// startsServer matches a block that runs until it is stopped.
var startsServer = regexp.MustCompile(`^fapid (dev|serve)\b[^\n]*\n$`)

func (r *reader) run(b block) {
	script := r.onPorts(strings.ReplaceAll(b.text, "go run ./cmd/fapid", "fapid"))
	for written, actual := range r.traces {
		script = strings.ReplaceAll(script, written, actual)
	}
	r.skipped = false
	if startsServer.MatchString(script) {
		r.startServer(b, strings.Fields(script)[1:])
		return
	}
	for _, tool := range []string{"openssl", "keytool", "node"} {
		if _, err := exec.LookPath(tool); err != nil && strings.Contains(script, tool+" ") {
			r.Logf("%s:%d is not run: %s is not installed", r.page, b.line, tool)
			r.skipped = true
			return
		}
	}
	command := exec.Command("sh", "-eu", "-c", "set -a; [ ! -e "+r.variables+" ] || . "+r.variables+"\n"+script+"\nexport -p >"+r.variables)
	command.Dir = r.folder
	var printed, complaints strings.Builder
	command.Stdout, command.Stderr = &printed, &complaints
	if err := command.Run(); err != nil {
		r.Errorf("%s:%d: %v\n%s\n%s%s", r.page, b.line, err, script, &printed, &complaints)
	}
	r.printed = r.ports.restore(printed.String() + "\n" + complaints.String())
}

func (r *reader) startServer(b block, args []string) {
	r.stopServer()
	ready := `"msg":"ready"`
	if args[0] == "dev" {
		ready = "Ctrl-C"
		args = append(args, r.ports.flags()...)
	}
	server, err := start(r.folder, nil, ready, args...)
	if err != nil {
		r.Fatalf("%s:%d: %v", r.page, b.line, err)
	}
	r.server = server
	r.printed = r.ports.restore(server.out.String() + server.err.String())
}

// onPorts is a text with the ports of this run.
func (r *reader) onPorts(text string) string {
	return strings.ReplaceAll(r.ports.replace(text), "9443", r.api)
}

// around is what a reader knows to write around the lines of a go block.
const around = `package main

import (
	"crypto/tls"
	"fmt"
	"log"
	"net/http"

	"github.com/fapid/fapid/server/resource"
)

func main() {
%s}
`

// startAPI builds and starts the program of a go block.
func (r *reader) startAPI(b block) {
	source, program := filepath.Join(r.folder, "api.go"), filepath.Join(r.folder, "api.program")
	if err := os.WriteFile(source, fmt.Appendf(nil, around, r.onPorts(b.text)), 0o600); err != nil {
		r.Fatal(err)
	}
	// From here, so that the package is the one of this folder.
	if output, err := exec.Command("go", "build", "-o", program, source).CombinedOutput(); err != nil {
		r.Fatalf("%s:%d: %v\n%s", r.page, b.line, err, output)
	}
	command := exec.Command(program)
	command.Dir = r.folder
	command.Env = append(os.Environ(), "SSL_CERT_FILE=.fapid/ca.pem")
	var complaints output
	command.Stderr = &complaints
	if err := command.Start(); err != nil {
		r.Fatalf("%s:%d: %v", r.page, b.line, err)
	}
	r.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
		if r.Failed() {
			r.Logf("%s:%d: the API said: %s", r.page, b.line, complaints.String())
		}
	})
	for deadline := time.Now().Add(startTimeout); ; time.Sleep(20 * time.Millisecond) {
		if connection, err := net.Dial("tcp", "localhost:"+r.api); err == nil {
			_ = connection.Close()
			return
		}
		if time.Now().After(deadline) {
			r.Fatalf("%s:%d: the API does not listen", r.page, b.line)
		}
	}
}

func (r *reader) stopServer() {
	if r.server == nil {
		return
	}
	if err := r.server.stop(); err != nil {
		r.Error(err)
	}
	r.server = nil
}

var traceID = regexp.MustCompile(`\b[0-9a-f]{16}\b`)

// compare finds the block's lines in what was printed, in order.
func (r *reader) compare(b block) {
	if r.skipped {
		return
	}
	rest := r.printed
	for i, line := range strings.Split(strings.TrimRight(b.text, "\n"), "\n") {
		wanted, ids := pattern(line, r.traces)
		found := wanted.FindStringSubmatchIndex(rest)
		if found == nil {
			r.Errorf("%s:%d: nothing like %q in the rest of what was printed:\n%s", r.page, b.line+1+i, line, r.printed)
			return
		}
		for n, id := range ids {
			r.traces[id] = rest[found[2+2*n]:found[3+2*n]]
		}
		rest = rest[found[1]:]
	}
}

// pattern makes a regular expression of a printed line, with a group for each
// trace id that is not known yet.
func pattern(line string, traces map[string]string) (*regexp.Regexp, []string) {
	var ids []string
	text := regexp.QuoteMeta(strings.TrimSpace(line))
	text = traceID.ReplaceAllStringFunc(text, func(id string) string {
		if actual, known := traces[id]; known {
			return actual
		}
		ids = append(ids, id)
		return "([0-9a-f]{16})"
	})
	text = regexp.MustCompile(` +`).ReplaceAllString(text, `\s+`)
	return regexp.MustCompile(strings.ReplaceAll(text, "…", ".*?")), ids
}

var fileName = regexp.MustCompile(`^# (\S+\.yaml)\b`)

func (r *reader) writeFile(b block) {
	name := fileName.FindStringSubmatch(b.text)
	if name == nil {
		r.Errorf("%s:%d: the first line of a yaml block is a comment with the file's name", r.page, b.line)
		return
	}
	if err := os.WriteFile(filepath.Join(r.folder, name[1]), []byte(r.onPorts(b.text)), 0o600); err != nil {
		r.Error(err)
	}
}

// TestReaderIsStrict: the README's test fails for what is not so.
func TestReaderIsStrict(t *testing.T) {
	printed := "{\"error\":\"x\"} http://localhost:9000/traces/0123456789abcdef\nok\n"
	for want, lines := range map[bool][]string{
		true:  {`{"error":"x"}`, `…/traces/ffffffffffffffff`, "ok"},
		false: {`{"error":"y"}`, "ok ok", "traces/ffffffffffffffff$", "OK"},
	} {
		for _, line := range lines {
			wanted, _ := pattern(line, map[string]string{})
			if got := wanted.MatchString(printed); got != want {
				t.Errorf("%q found: %v, want %v", line, got, want)
			}
		}
	}
	blocks := blocksOf("a\n```sh\nfapid dev\n```\n```text\nx\ny\n```\n")
	if got := fmt.Sprint(blocks); got != "[{sh fapid dev\n 2} {text x\ny\n 5}]" {
		t.Errorf("blocks: %s", got)
	}
}
