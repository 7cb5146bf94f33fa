package participant

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fapid/fapid/certs"
)

// Whatever a value holds, a shell reads it from .env as it is, and runs nothing of it.
func TestEnvironmentIsQuoted(t *testing.T) {
	dir := t.TempDir()
	const value = `it's $(touch ran) "a" \b ; touch ran`
	file := certs.PrivateFile(FileEnv, environment([]variable{{name: "VALUE", value: value}, {name: "NEXT", value: "x"}}))
	if err := certs.WriteFile(dir, file); err != nil {
		t.Fatal(err)
	}
	command := exec.Command("sh", "-euc", `. ./.env; printf '%s %s' "$VALUE" "$NEXT"`)
	command.Dir = dir
	if printed, err := command.CombinedOutput(); err != nil || string(printed) != value+" x" {
		t.Errorf("%v: %s", err, printed)
	}
	if _, err := os.Stat(filepath.Join(dir, "ran")); err == nil {
		t.Error("a value was run")
	}
}

// Files come out of JSON as they went in, text or not, and no others do.
func TestContents(t *testing.T) {
	files := []certs.File{{Name: FileEnv, Content: []byte("A='é'\n"), Mode: 0o600}, {Name: FileTransportPKCS12, Content: []byte{0, 0xff, '\n'}, Mode: 0o600}, {Name: FileCurl, Content: []byte("#!/bin/sh\n"), Mode: 0o700}}
	e := &Enrolled{Files: Contents(files)}
	read, err := e.Folder()
	if err != nil || len(read) != len(files) {
		t.Fatalf("%v, %v", read, err)
	}
	for i, file := range files {
		if read[i].Name != file.Name || string(read[i].Content) != string(file.Content) || read[i].Mode != file.Mode {
			t.Errorf("%v came out as %v", file, read[i])
		}
	}
	for _, bad := range []Content{{Name: "../x"}, {Name: "/etc/passwd"}, {Name: ""}, {Name: FileEnv, Base64: "!"}} {
		e.Files = []Content{bad}
		if read, err := e.Folder(); err == nil {
			t.Errorf("%v came out as %v", bad, read)
		}
	}
	// A server cannot make a script of what is none.
	e.Files = []Content{{Name: FileEnv, Mode: "0777", Text: "x"}}
	if read, err := e.Folder(); err != nil || read[0].Mode != 0o600 {
		t.Errorf("%v, %v", read, err)
	}
}

// What its owner has put into a folder stays there.
func TestRemoveFolder(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "acme")
	if err := RemoveFolder(dir); err != nil {
		t.Errorf("a folder that is not there: %v", err)
	}
	write := func(names ...string) {
		for _, name := range names {
			if err := os.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	write(FileEnv, FileCurl, "mine")
	if err := RemoveFolder(dir); err != nil {
		t.Error(err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 || entries[0].Name() != "mine" {
		t.Errorf("%v, %v", entries, err)
	}
	write(FileEnv)
	if err := os.Remove(filepath.Join(dir, "mine")); err != nil {
		t.Fatal(err)
	}
	if err := RemoveFolder(dir); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("the folder is still there")
	}
}

func TestCheckName(t *testing.T) {
	for name, good := range map[string]bool{
		"a": true, "acme-uk-2": true, strings.Repeat("a", 63): true,
		"": false, "..": false, "a/b": false, "A": false, "-a": false, "a-": false, "a\n": false, "a\x00": false, "é": false, strings.Repeat("a", 64): false,
	} {
		if err := CheckName(name); (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
	}
}
