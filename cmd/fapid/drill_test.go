package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestDrillLines runs the curl line of every certificate of the drill, and sees what
// its README says.
func TestDrillLines(t *testing.T) {
	need(t, "curl")
	folder, _ := sandboxServer(t)
	for _, client := range []string{"tpp-tls", "tpp-jwt-es256"} {
		out := filepath.Join(folder, client)
		command := exec.Command("fapid", "drill", "certs", client, "--out", out)
		command.Dir = folder
		if output, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, output)
		}
		readmes, err := filepath.Glob(filepath.Join(out, "*", "README"))
		if err != nil || len(readmes) < 30 {
			t.Fatalf("%d certificates, %v", len(readmes), err)
		}
		for _, readme := range readmes {
			t.Run(client+" "+filepath.Base(filepath.Dir(readme)), func(t *testing.T) {
				t.Parallel()
				text, err := os.ReadFile(readme)
				if err != nil {
					t.Fatal(err)
				}
				head, line := cutLast(strings.TrimSpace(string(text)), "\n")
				want := `"error":"invalid_client"`
				if strings.Contains(head, "Expected: accepted.") {
					want = `"access_token":"eyJ`
				}
				command := exec.Command("sh", "-c", line)
				command.Dir = "/"
				if output, err := command.CombinedOutput(); err != nil || !strings.Contains(string(output), want) {
					t.Errorf("%v, want %s\n%s\n%s", err, want, text, output)
				}
			})
		}
	}
}
