package main

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// inFolder runs a command in a folder and returns what it prints.
func inFolder(t *testing.T, folder, name string, args ...string) string {
	t.Helper()
	command := exec.Command(name, args...)
	command.Dir = folder
	output, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", command, err, output)
	}
	return string(output)
}

// environmentOf are the variables of a folder's .env, as a shell has them.
func environmentOf(t *testing.T, folder string) map[string]string {
	t.Helper()
	before := inFolder(t, folder, "env", "-i", "sh", "-c", "set")
	all := map[string]string{}
	for line := range strings.Lines(inFolder(t, folder, "env", "-i", "sh", "-euc", ". ./.env; set")) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		if !strings.Contains(before, line) {
			all[name] = strings.Trim(value, "'")
		}
	}
	return all
}

// TestParticipantFolders: in every ecosystem, with each method that it allows, what
// `fapid participant create` writes works as it stands: curl.sh as a whole and pasted
// line by line, from the folder or a copy of it elsewhere; .env in a shell; Postman's
// environment and collection, which scripts/interop runs; the key store.
func TestParticipantFolders(t *testing.T) {
	need(t, "curl")
	need(t, "openssl")
	sandbox, _ := sandboxServer(t)
	for _, way := range []struct {
		args                      string
		registration, noStatement string
	}{
		{"--ecosystem raidiam --auth private_key_jwt", "by its registration access token", ""},
		{"--ecosystem raidiam --auth private_key_jwt --alg ES256", "by its registration access token", ""},
		{"--ecosystem raidiam --auth tls_client_auth", "by its registration access token", ""},
		{"--ecosystem uk --auth private_key_jwt", "by an access token", ""},
		{"--ecosystem uk --auth tls_client_auth", "by an access token", ""},
		{"--ecosystem brazil --auth private_key_jwt", "by its registration access token", ""},
		{"--ecosystem brazil --auth tls_client_auth", "by its registration access token", ""},
		{"--ecosystem cdr --auth private_key_jwt", "by an access token", ""},
		{"--ecosystem uae --auth private_key_jwt", "", "none"},
		{"--ecosystem rfc7591 --auth private_key_jwt", "by its registration access token", ""},
		{"--ecosystem rfc7591 --auth tls_client_auth --realm strict", "by its registration access token", ""},
	} {
		t.Run(way.args, func(t *testing.T) {
			t.Parallel()
			args := strings.Fields(way.args)
			name := strings.ReplaceAll(strings.ToLower(strings.Join(args[1:], "")), "_", "")
			name = strings.ReplaceAll(name, "--", "-")
			inFolder(t, sandbox, "fapid", append([]string{"participant", "create", name}, args...)...)
			folder := filepath.Join(sandbox, ".fapid", "participants", name)
			variables := environmentOf(t, folder)

			copied := filepath.Join(t.TempDir(), "a copy")
			inFolder(t, "/", "cp", "-r", folder, copied)
			whole := inFolder(t, "/", filepath.Join(copied, "curl.sh"))
			lines, err := os.Open(filepath.Join(copied, "curl.sh"))
			if err != nil {
				t.Fatal(err)
			}
			defer lines.Close()
			pasting := exec.Command("sh")
			pasting.Dir, pasting.Stdin = copied, lines
			pasted, err := pasting.CombinedOutput()
			if err != nil {
				t.Errorf("%v\n%s", err, pasted)
			}
			for _, printed := range []string{whole, string(pasted)} {
				checkScript(t, printed, variables["CLIENT_ID"], way.registration, way.noStatement == "")
			}
			checkCollection(t, folder, checkPostman(t, folder, variables))
			opened := inFolder(t, folder, "openssl", "pkcs12", "-in", variables["P12_FILE"], "-passin", "pass:"+variables["P12_PASSWORD"], "-nodes")
			if !strings.Contains(opened, "PRIVATE KEY") || strings.Count(opened, "BEGIN CERTIFICATE") != 2 {
				t.Errorf("transport.p12:\n%s", opened)
			}
			inFolder(t, folder, "openssl", "verify", "-purpose", "sslclient", "-CAfile", "ca.pem", "-untrusted", "transport.pem", "transport.pem")
			if _, err := exec.LookPath("keytool"); err == nil {
				if listed := inFolder(t, folder, "keytool", "-list", "-keystore", "transport.p12", "-storepass", "fapid"); !strings.Contains(listed, "PrivateKeyEntry") {
					t.Errorf("keytool:\n%s", listed)
				}
			}
			if token := inFolder(t, sandbox, "fapid", "token", name); confirmation(t, token) == "" {
				t.Errorf("`fapid token` of it is not bound: %s", token)
			}
		})
	}
}

// checkScript holds what curl.sh printed against what each of its lines is to print.
func checkScript(t *testing.T, printed, client, registration string, statement bool) {
	t.Helper()
	parts := map[string]string{}
	for part := range strings.SplitSeq(printed, "# ") {
		title, answer, _ := strings.Cut(part, "\n")
		parts[title] = answer
	}
	want := map[string]string{"a token": `"access_token":"eyJ`, "the bank": `"AccountId":"10001"`, "introspection": `"active":true`}
	if registration != "" {
		want["the registration, "+registration] = `"client_id":"` + client + `"`
	}
	if statement {
		want["a fresh software statement, from the directory"] = "eyJ"
	}
	for title, text := range want {
		if !strings.Contains(parts[title], text) {
			t.Errorf("%s: nothing like %s:\n%s", title, text, printed)
		}
	}
	if len(parts)-1 != len(want) { // what comes before the first title is empty
		t.Errorf("%d parts, want %v:\n%s", len(parts)-1, want, printed)
	}
}

// checkPostman holds Postman's environment against .env, and returns its variables.
func checkPostman(t *testing.T, folder string, variables map[string]string) map[string]string {
	t.Helper()
	var environment struct {
		Name   string `json:"name"`
		Scope  string `json:"_postman_variable_scope"`
		Values []struct {
			Key, Value, Type string
			Enabled          bool
		} `json:"values"`
	}
	text, err := os.ReadFile(filepath.Join(folder, "postman_environment.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &environment); err != nil || environment.Scope != "environment" || environment.Name == "" {
		t.Fatalf("%v\n%s", err, text)
	}
	values := map[string]string{}
	for _, value := range environment.Values {
		if !value.Enabled || value.Type != "default" && value.Type != "secret" {
			t.Errorf("%+v", value)
		}
		values[value.Key] = value.Value
	}
	for name, value := range variables {
		if values[name] != value {
			t.Errorf("%s is %q in Postman's environment, %q in .env", name, values[name], value)
		}
	}
	if !strings.HasPrefix(values["SIGNING_KEY"], "-----BEGIN PRIVATE KEY-----") || len(variables) < 18 {
		t.Errorf("%d variables; the signing key is %.30q", len(variables), values["SIGNING_KEY"])
	}
	return values
}

// checkCollection holds Postman's collection against the other files of its folder: it
// has the steps of curl.sh, every variable it names is in the environment, and no value
// of one that tells who the client is, or is a secret, is in it.
func checkCollection(t *testing.T, folder string, values map[string]string) {
	t.Helper()
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	text := read("postman_collection.json")
	var collection struct {
		Info struct {
			ID     string `json:"_postman_id"`
			Schema string `json:"schema"`
		} `json:"info"`
		Item []struct {
			Name    string               `json:"name"`
			Request struct{ URL string } `json:"request"`
			Event   []json.RawMessage    `json:"event"`
		} `json:"item"`
	}
	if err := json.Unmarshal([]byte(text), &collection); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if collection.Info.ID != values["SOFTWARE_ID"] || collection.Info.Schema != "https://schema.getpostman.com/json/collection/v2.1.0/collection.json" {
		t.Errorf("info is %+v", collection.Info)
	}
	var steps []string
	for _, item := range collection.Item {
		if item.Name != "a token for the directory" { // which curl.sh fetches with the statement
			steps = append(steps, item.Name)
		}
		if len(item.Event) != 1 {
			t.Errorf("%s has %d scripts, want its test", item.Name, len(item.Event))
		}
		address, err := url.Parse(placeholder.ReplaceAllStringFunc(item.Request.URL, func(name string) string { return values[strings.Trim(name, "{}")] }))
		if err != nil || !strings.Contains(read("README.md"), "   - `"+address.Host+"`\n") {
			t.Errorf("%s goes to %s, %v, which is not among the hosts in README.md", item.Name, address, err)
		}
	}
	var titles []string
	for _, title := range regexp.MustCompile(`(?m)^(?:echo ')?# ([^']+)'$`).FindAllStringSubmatch(read("curl.sh"), -1) {
		titles = append(titles, title[1])
	}
	if len(steps) < 3 || !slices.Equal(steps, titles) {
		t.Errorf("the collection does %q, curl.sh does %q", steps, titles)
	}
	for _, named := range placeholder.FindAllString(text, -1) {
		if _, there := values[strings.Trim(named, "{}")]; !there && named != "{{CLIENT_ASSERTION}}" { // which the collection signs
			t.Errorf("%s is not in the environment", named)
		}
	}
	if signs := strings.Contains(text, "crypto.subtle.sign("); signs != (values["CLIENT_AUTH_METHOD"] == "private_key_jwt") || signs != strings.Contains(text, "{{CLIENT_ASSERTION}}") {
		t.Errorf("client authentication is %s, the collection signs: %v", values["CLIENT_AUTH_METHOD"], signs)
	}
	for _, name := range []string{"REGISTRATION_ACCESS_TOKEN", "SIGNING_KEY", "CLIENT_ID", "KEY_ID", "ISSUER"} {
		if value := values[name]; value != "" && value != values["SOFTWARE_ID"] && strings.Contains(text, value) {
			t.Errorf("the collection holds the value of %s", name)
		}
	}
	if strings.Contains(text, "PRIVATE") || strings.Contains(text, "<<") {
		t.Errorf("a key, or a template, in the collection:\n%s", text)
	}
}

// placeholder is a variable as Postman has it.
var placeholder = regexp.MustCompile(`\{\{[A-Z_]+\}\}`)

// TestParticipantPackage: the versions that the folder's program asks for are those
// that scripts/interop runs it with.
func TestParticipantPackage(t *testing.T) {
	read := func(name string) map[string]string {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var found struct{ Dependencies map[string]string }
		if err := json.Unmarshal(bytes.ReplaceAll(text, []byte("{{.Record.Name}}"), []byte("x")), &found); err != nil {
			t.Fatal(err)
		}
		return found.Dependencies
	}
	run := read(filepath.Join("..", "..", "scripts", "interop", "package.json"))
	asked := read(filepath.Join("..", "..", "server", "participant", "folder", "package.json"))
	if len(asked) != 2 || asked["openid-client"] == "" {
		t.Errorf("asks for %v", asked)
	}
	for name, version := range asked {
		if run[name] != version {
			t.Errorf("%s %s is asked for, and %q is run", name, version, run[name])
		}
	}
}

// TestParticipantZip: the zip has what the folder has.
func TestParticipantZip(t *testing.T) {
	sandbox := t.TempDir()
	if err := sandboxIn(sandbox); err != nil {
		t.Fatal(err)
	}
	inFolder(t, sandbox, "fapid", "participant", "create", "acme", "--alg", "ES256", "--out", "out", "--zip", "acme.zip")
	archive, err := zip.OpenReader(filepath.Join(sandbox, "acme.zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	entries, err := os.ReadDir(filepath.Join(sandbox, "out"))
	if err != nil || len(entries) != len(archive.File) || len(entries) < 15 {
		t.Errorf("%d files in the folder, %d in the zip, %v", len(entries), len(archive.File), err)
	}
	for _, file := range archive.File {
		opened, err := file.Open()
		if err != nil {
			t.Fatal(err)
		}
		packed, err := io.ReadAll(opened)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(sandbox, "out", strings.TrimPrefix(file.Name, "acme/"))
		written, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(packed, written) {
			t.Errorf("%s differs: %v", file.Name, err)
		}
		if state, err := os.Stat(path); err != nil || state.Mode().Perm() != file.Mode().Perm() {
			t.Errorf("%s: %v in the zip, %v", file.Name, file.Mode(), state.Mode())
		}
	}
}

// TestParticipantKilled: a server that is killed while it makes a participant leaves a
// whole one, or one that is made again as if nothing had been.
func TestParticipantKilled(t *testing.T) {
	sandbox := t.TempDir()
	if err := sandboxIn(sandbox); err != nil {
		t.Fatal(err)
	}
	ports := freePorts()
	serve := func() *process {
		server, err := start(sandbox, nil, "Ctrl-C", append([]string{"dev"}, ports.flags()...)...)
		if err != nil {
			t.Fatal(err)
		}
		return server
	}
	server := serve()
	key, err := os.ReadFile(filepath.Join(sandbox, ".fapid", "operator.key"))
	if err != nil {
		t.Fatal(err)
	}
	half := 0
	for delay := 20 * time.Millisecond; delay < time.Second; delay *= 2 {
		request, err := http.NewRequestWithContext(t.Context(), "POST", "http://localhost:"+ports[2]+"/participants", strings.NewReader(`{"name":"acme","alg":"ES256"}`))
		if err != nil {
			t.Fatal(err)
		}
		request.Header = http.Header{"Authorization": {"Bearer " + strings.TrimSpace(string(key))}, "Content-Type": {"application/json"}}
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			if answer, err := http.DefaultClient.Do(request); err == nil {
				_ = answer.Body.Close()
			}
		}()
		time.Sleep(delay)
		_ = server.command.Process.Kill()
		<-server.ended //nolint:errcheck // it was killed
		<-answered
		if strings.Contains(inFolder(t, sandbox, "fapid", "participant", "list"), "never finished") {
			half++
		}
		again := exec.Command("fapid", "participant", "create", "acme", "--alg", "ES256")
		again.Dir = sandbox
		if printed, err := again.CombinedOutput(); err != nil && !strings.Contains(string(printed), "there is a participant acme") {
			t.Fatalf("killed after %v: %v\n%s", delay, err, printed)
		}
		organisations := strings.Count(inFolder(t, sandbox, "fapid", "directory", "org", "list"), " acme ")
		clients := strings.Count(inFolder(t, sandbox, "fapid", "client", "list"), " acme ")
		if organisations != 1 || clients != 2 { // its own, and the directory's for the software
			t.Errorf("killed after %v: %d organisations, %d clients", delay, organisations, clients)
		}
		inFolder(t, sandbox, "fapid", "participant", "delete", "acme")
		server = serve()
	}
	t.Logf("%d times it was half done", half)
	if left := inFolder(t, sandbox, "fapid", "directory", "org", "list") + inFolder(t, sandbox, "fapid", "client", "list"); strings.Contains(left, " acme ") {
		t.Errorf("when all are deleted, there is still:\n%s", left)
	}
	if err := server.stop(); err != nil {
		t.Error(err)
	}
}

// TestParticipantAnswer: a server that sends what no participant has gets nothing
// written.
func TestParticipantAnswer(t *testing.T) {
	sandbox := t.TempDir()
	asked := make(chan string, 10)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Method + " " + r.URL.Path
		if r.Method == http.MethodPost {
			fmt.Fprint(w, `{"name":"acme","files":[{"name":"transport.key","text":"x"},{"name":"../evil","text":"x"}]}`)
		}
	})}
	port := freePorts()[2]
	listener, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	defer server.Close()
	dir := filepath.Join(sandbox, ".fapid")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"running.json": `{"operator":"http://127.0.0.1:` + port + `"}`, "operator.key": "key"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	command := exec.Command("fapid", "participant", "create", "acme")
	command.Dir = sandbox
	printed, err := command.CombinedOutput()
	if err == nil || !strings.Contains(string(printed), `a file that no participant has: "../evil"; the participant is deleted again`) {
		t.Errorf("%v\n%s", err, printed)
	}
	if _, err := os.Stat(filepath.Join(dir, "participants")); err == nil {
		t.Error("something was written")
	}
	for _, request := range []string{"GET /healthz", "POST /participants", "DELETE /participants/acme"} {
		select {
		case got := <-asked:
			if got != request {
				t.Errorf("asked %s, want %s", got, request)
			}
		default: // the command has ended
			t.Errorf("not asked %s", request)
		}
	}
}
