package main

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

var layoutRecipe = regexp.MustCompile(`(?m)^# \d+\. ((?:Keycloak|CERN API Access|Asgardeo|Aidbox): .+)\n(curl .+)$`)

// TestLayoutLines runs the lines that --layout all adds, as printed: each of the
// servers fapid stands in for gives a token where its clients look for it, and
// Asgardeo's users for it.
func TestLayoutLines(t *testing.T) {
	need(t, "curl")
	folder := t.TempDir()
	if err := sandboxIn(folder); err != nil {
		t.Fatal(err)
	}
	server, err := start(folder, nil, "Ctrl-C", append([]string{"dev", "--layout", "all"}, freePorts().flags()...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.stop(); err != nil {
			t.Error(err)
		}
	})
	lines := layoutRecipe.FindAllStringSubmatch(server.out.String(), -1)
	if len(lines) != 5 {
		t.Fatalf("%d lines of other layouts, want 5:\n%s", len(lines), &server.out)
	}
	for _, line := range lines {
		command := exec.Command("sh", "-c", line[2])
		command.Dir, command.Env = folder, os.Environ()
		output, err := command.Output()
		want := `"access_token":"`
		if strings.Contains(line[1], "users") {
			want = `"userName":"alice"`
		}
		if err != nil || !strings.Contains(string(output), want) {
			t.Errorf("%s: %v\n%s\n%s", line[1], err, line[2], output)
		}
	}
}
