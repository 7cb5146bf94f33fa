package main

import (
	"encoding/base64"
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

// theirs is what a token of that server says beside the claims of RFC 9068: a JWT itself,
// Asgardeo's at its introspection endpoint.
var theirs = map[string][]string{
	"Keycloak":        {`"azp":"myclient"`, `"typ":"Bearer"`, `"preferred_username":"service-account-myclient"`},
	"CERN API Access": {`"azp":"my-client-id"`, `"typ":"Bearer"`, `"preferred_username":"service-account-my-client-id"`, `"resource_access":{"target-client-id":{"roles":["reader"]}}`, `"cern_roles":["reader"]`},
	"Asgardeo":        {`"azp":"my-app"`, `"aut":"APPLICATION"`, `"nbf":`},
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
	seen := 0
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
		of, _, _ := strings.Cut(line[1], ":")
		_, issued, _ := strings.Cut(string(output), want)
		issued, _, _ = strings.Cut(issued, `"`)
		for _, claim := range theirs[of] {
			if want != `"access_token":"` {
				break
			}
			seen++
			if payload := says(t, folder, host, issued); !strings.Contains(payload, claim) {
				t.Errorf("%s: no %s in %s", of, claim, payload)
			}
		}
	}
	if seen != 11 {
		t.Errorf("%d claims of other servers looked for, want 11", seen)
	}
}

// says is the payload of a JWT, or what Asgardeo's introspection endpoint says of an
// opaque token.
func says(t *testing.T, folder, host, token string) string {
	t.Helper()
	if parts := strings.Split(token, "."); strings.HasPrefix(token, "eyJ") {
		payload, err := base64.RawURLEncoding.DecodeString(parts[1])
		if err != nil {
			t.Fatal(err)
		}
		return string(payload)
	}
	command := exec.Command("curl", "--silent", "--cacert", ".fapid/ca.pem", host+"/t/myorg/oauth2/introspect", "-u", "my-app:my-app-secret", "-d", "token="+token)
	command.Dir = folder
	output, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(output)
}
