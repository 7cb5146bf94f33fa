package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"

	"github.com/fapid/fapid/server"
)

// self is how this program is called: in the folder it was started in, as short
// as it can be, and in any folder, for scripts. Under `go run` the program's own
// path is gone when it ends, so both of them are `go run` again.
func self() (here, anywhere string) {
	path, err := os.Executable()
	if err != nil {
		return "fapid", "fapid"
	}
	if module := moduleDir(); module != "" && underGoRun(path) {
		return callGoRun(module)
	}
	if there, err := exec.LookPath("fapid"); err == nil && there == path {
		return "fapid", "fapid"
	}
	return server.Shell(path), server.Shell(path)
}

// underGoRun knows the folders that `go run` puts programs into: a temporary
// one, or the build cache.
func underGoRun(path string) bool { return goRunFolder.MatchString(filepath.ToSlash(path)) }

var goRunFolder = regexp.MustCompile(`/go-build[^/]*/|/[0-9a-f]{64}-d/[^/]+$`)

// callGoRun calls the program of a module. Package paths of `go run` end at the
// module's border; beyond it, only its path is of use, and that as long as it runs.
func callGoRun(module string) (here, anywhere string) {
	anywhere = "go run -C " + server.Shell(module) + " ./cmd/fapid"
	folder, err := os.Getwd()
	if err != nil {
		return anywhere, anywhere
	}
	relative, err := filepath.Rel(folder, filepath.Join(module, "cmd", "fapid"))
	if inside, errUp := filepath.Rel(module, folder); err != nil || errUp != nil || strings.HasPrefix(inside, "..") {
		if path, err := os.Executable(); err == nil {
			return server.Shell(path), anywhere
		}
		return anywhere, anywhere
	}
	relative = filepath.ToSlash(relative)
	if !strings.HasPrefix(relative, ".") {
		relative = "./" + relative
	}
	return "go run " + server.Shell(relative), anywhere
}

// moduleDir is the folder of the source this program was built from, empty where
// it is not known (-trimpath) or not there.
func moduleDir() string {
	_, file, _, _ := runtime.Caller(0)
	dir := filepath.Dir(filepath.Dir(filepath.Dir(file)))
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil || !filepath.IsAbs(file) {
		return ""
	}
	return dir
}
