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

// TestDrillStatementLines runs the commands of attempts of each kind, and sees what
// their READMEs say. Those of an ecosystem come one after another, since some take
// software only once.
func TestDrillStatementLines(t *testing.T) {
	need(t, "curl")
	folder, _ := sandboxServer(t)
	out := filepath.Join(folder, "attempts")
	command := exec.Command("fapid", "drill", "statements", "--out", out)
	command.Dir = folder
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	kinds := []string{
		"good", "body-huge", "certificate-missing", "certificate-of-other-organisation", "keys-by-value", "media-type",
		"organisation-withdrawn-since", "request-used", "role-withdrawn-since", "software-gone", "software-registered", "software-suspended-since",
		"statement-changed", "statement-expired", "statement-of-other-software", "statement-other-key", "statement-used",
		"update-of-policy", "update-to-other-software", "update-without-statement",
	}
	for _, ecosystem := range []string{"raidiam", "rfc7591", "uk", "brazil", "cdr"} {
		t.Run(ecosystem, func(t *testing.T) {
			t.Parallel()
			tried := 0
			for _, kind := range kinds {
				text, err := os.ReadFile(filepath.Join(out, ecosystem, kind, "README"))
				if os.IsNotExist(err) {
					continue // there is no such fault in the ecosystem
				}
				if err != nil {
					t.Fatal(err)
				}
				tried++
				_, expected, _ := strings.Cut(string(text), "Expected: ")
				code, _, refused := strings.Cut(expected, ": ")
				want := `"client_id":"`
				if refused && !strings.HasPrefix(expected, "accepted.") {
					want = `"error":"` + code + `"`
				}
				command := exec.Command("sh", filepath.Join(out, ecosystem, kind, "curl.sh"))
				command.Dir = "/"
				if output, err := command.CombinedOutput(); err != nil || !strings.Contains(string(output), want) {
					t.Errorf("%v, want %s\n%s\n%s", err, want, text, output)
				}
			}
			if tried < 11 {
				t.Errorf("%d tried", tried)
			}
		})
	}
}
