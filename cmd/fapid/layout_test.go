package main

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// theOther has the secret of the documentation's client where it is not in those lines:
// the servers take it in the header and in the body.
var theOther = []struct{ path, credentials string }{
	{"/realms/myrealm/protocol/openid-connect/token", "-u myclient:myclientsecret"},
	{"/auth/realms/cern/api-access/token", "-u my-client-id:my-client-secret"},
	{"/t/myorg/oauth2/token", "-d client_id=my-app -d client_secret=my-app-secret"},
	{"/auth/token", "-d client_id=aidbox-client -d client_secret=verysecret"},
	{"/fhir/auth/token", "-u aidbox-client:verysecret"},
}

var layoutRecipe = regexp.MustCompile(`(?m)^# \d+\. ((?:Raidiam Connect|Keycloak|CERN API Access|Asgardeo|Aidbox): .+)\n(curl .+)$`)

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
	if len(lines) != 7 {
		t.Fatalf("%d lines of the layouts, want 7:\n%s", len(lines), &server.out)
	}
	host := regexp.MustCompile(`https://localhost:\d+`).FindString(lines[0][2])
	for _, other := range theOther {
		lines = append(lines, []string{"", other.path, "curl --silent --cacert .fapid/ca.pem " + host + other.path + " -d grant_type=client_credentials " + other.credentials})
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
