package main

import (
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScript runs testdata/script/*.txtar: the command line as its users see it.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:   filepath.Join("testdata", "script"),
		Setup: setUp,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"sandbox": sandboxCommand, "dev": devScriptCommand, "serve": serveScriptCommand, "shutdown": stopCommand,
			"exits": exitsCommand, "mode": modeCommand, "json": jsonCommand, "port": portCommand, "ports": portsCommand,
			"var": varCommand,
		},
	})
}

// setUp gives a script its ports, $PORT, $MTLS, $ADMIN and $DIRECTORY, and the folder of the
// public test keys, $TESTKEYS.
func setUp(env *testscript.Env) error {
	keys, err := filepath.Abs(filepath.Join("..", "..", "testkeys"))
	if err != nil {
		return err
	}
	env.Setenv("TESTKEYS", keys)
	ports := freePorts()
	env.Setenv("PORT", ports[0])
	env.Setenv("MTLS", ports[1])
	env.Setenv("ADMIN", ports[2])
	env.Setenv("DIRECTORY", ports[3])
	env.Values["server"] = new(*process)
	return nil
}

func portsOf(ts *testscript.TestScript) doors {
	return doors{ts.Getenv("PORT"), ts.Getenv("MTLS"), ts.Getenv("ADMIN"), ts.Getenv("DIRECTORY")}
}

func serverOf(ts *testscript.TestScript) **process { return ts.Value("server").(**process) }

// sandbox copies a fresh sandbox, whose server does not run, into .fapid.
func sandboxCommand(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Check(sandboxIn(ts.MkAbs(".")))
}

// dev starts `fapid dev` on the script's ports and waits until it is ready; what
// it prints goes to dev.out and dev.err.
func devScriptCommand(ts *testscript.TestScript, _ bool, args []string) {
	begin(ts, "Ctrl-C", append(append([]string{"dev"}, portsOf(ts).flags()...), args...))
	saveOutput(ts)
}

// serve starts `fapid serve`, likewise.
func serveScriptCommand(ts *testscript.TestScript, _ bool, args []string) {
	begin(ts, `"msg":"ready"`, append([]string{"serve"}, args...))
	saveOutput(ts)
}

func begin(ts *testscript.TestScript, ready string, args []string) {
	at := serverOf(ts)
	if *at != nil {
		ts.Fatalf("a server is running already")
	}
	environment := os.Environ()
	for _, name := range []string{"HOME", "TMPDIR", "FAPID_DIR", "FAPID_LOG__LEVEL"} {
		if value := ts.Getenv(name); value != "" {
			environment = append(environment, name+"="+value)
		}
	}
	server, err := start(ts.MkAbs("."), environment, ready, args...)
	ts.Check(err)
	*at = server
	ts.Defer(func() {
		if *at == server {
			_ = server.stop()
		}
	})
}

func saveOutput(ts *testscript.TestScript) {
	server := *serverOf(ts)
	ts.Check(os.WriteFile(ts.MkAbs("dev.out"), []byte(server.out.String()), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs("dev.err"), []byte(server.err.String()), 0o600))
}

// shutdown [DURATION] ends the script's server, which must succeed, and must have
// used less of the processor's time than that, if it is given.
func stopCommand(ts *testscript.TestScript, _ bool, args []string) {
	at := serverOf(ts)
	if *at == nil {
		ts.Fatalf("no server is running")
	}
	server := *at
	*at = nil
	ts.Check(server.stop())
	if len(args) > 0 {
		most, err := time.ParseDuration(args[0])
		ts.Check(err)
		state := server.command.ProcessState
		if used := state.UserTime() + state.SystemTime(); used > slowdown*most {
			ts.Fatalf("the server used the processor for %v", used)
		}
	}
	ts.Check(os.WriteFile(ts.MkAbs("dev.err"), []byte(server.err.String()), 0o600))
}

// exits CODE COMMAND...: the command ends with exactly this exit code.
func exitsCommand(ts *testscript.TestScript, _ bool, args []string) {
	wanted, err := strconv.Atoi(args[0])
	ts.Check(err)
	code := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		code = exit.ExitCode()
	}
	if code != wanted {
		ts.Fatalf("%s: exit code %d, want %d", strings.Join(args[1:], " "), code, wanted)
	}
}

// mode MODE FILE...: the files have exactly this mode.
func modeCommand(ts *testscript.TestScript, _ bool, args []string) {
	wanted, err := strconv.ParseUint(args[0], 8, 32)
	ts.Check(err)
	for _, name := range args[1:] {
		names, err := filepath.Glob(ts.MkAbs(name))
		ts.Check(err)
		if len(names) == 0 {
			ts.Fatalf("%s: no such file", name)
		}
		for _, name := range names {
			state, err := os.Stat(name)
			ts.Check(err)
			if state.Mode().Perm() != os.FileMode(wanted) {
				ts.Fatalf("%s: mode %04o, want %04o", name, state.Mode().Perm(), wanted)
			}
		}
	}
}

// json FILE [PATH [REGEXP]]: the file, or stdout, is one JSON document, there is
// something at the path ("clients.0.client_id"), and it matches.
func jsonCommand(ts *testscript.TestScript, neg bool, args []string) {
	var value any
	text := ts.ReadFile(args[0])
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		ts.Fatalf("%s: %v\n%s", args[0], err, text)
	}
	if len(args) == 1 {
		return
	}
	found, ok := at(value, strings.Split(args[1], "."))
	if ok && len(args) > 2 {
		ok = regexp.MustCompile(args[2]).MatchString(found)
	}
	if ok == neg {
		ts.Fatalf("%s: %q", strings.Join(args, " "), found)
	}
}

// at follows a path of names and indices.
func at(value any, path []string) (string, bool) {
	for _, name := range path {
		switch container := value.(type) {
		case map[string]any:
			value = container[name]
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i >= len(container) {
				return "", false
			}
			value = container[i]
		default:
			return "", false
		}
	}
	if text, ok := value.(string); ok {
		return text, true
	}
	text, err := json.Marshal(value)
	return string(text), err == nil && value != nil
}

// port listens on a port of the script, so that it is in use.
func portCommand(ts *testscript.TestScript, _ bool, args []string) {
	listener, err := net.Listen("tcp", "127.0.0.1:"+args[0])
	ts.Check(err)
	ts.Defer(func() { _ = listener.Close() })
}

// ports FILE... writes the script's ports where the files have the usual ones.
func portsCommand(ts *testscript.TestScript, _ bool, args []string) {
	ports := portsOf(ts)
	for _, name := range args {
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(ports.replace(ts.ReadFile(name))), 0o600))
	}
}

// var NAME FILE REGEXP sets a variable to the first group found in the file.
func varCommand(ts *testscript.TestScript, _ bool, args []string) {
	found := regexp.MustCompile(args[2]).FindStringSubmatch(ts.ReadFile(args[1]))
	if len(found) < 2 {
		ts.Fatalf("%s has nothing like %s:\n%s", args[1], args[2], ts.ReadFile(args[1]))
	}
	ts.Setenv(args[0], found[1])
}
