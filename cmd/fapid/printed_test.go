package main

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// sandboxServer starts `fapid dev` on a sandbox in a folder of its own.
func sandboxServer(t *testing.T) (folder string, server *process) {
	t.Helper()
	folder = t.TempDir()
	if err := sandboxIn(folder); err != nil {
		t.Fatal(err)
	}
	ports := freePorts()
	server, err := start(folder, nil, "Ctrl-C", append([]string{"dev"}, ports.flags()...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.stop(); err != nil {
			t.Error(err)
		}
	})
	return folder, server
}

func need(t *testing.T, tool string) {
	t.Helper()
	if _, err := exec.LookPath(tool); err != nil {
		t.Skipf("%s is not installed", tool)
	}
}

var recipe = regexp.MustCompile(`(?m)^# (\d)\. (.+)\n(curl .+)$`)

// TestPrintedLines runs every line that `fapid dev` prints, as printed, in a
// shell of its own. A .curlrc has curl say the status.
func TestPrintedLines(t *testing.T) {
	need(t, "curl")
	folder, server := sandboxServer(t)
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, ".curlrc"), []byte("silent\nshow-error\nwrite-out = \"\\n%{http_code}\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	lines := recipe.FindAllStringSubmatch(server.out.String(), -1)
	if len(lines) != 6 {
		t.Fatalf("%d lines to paste, want 6:\n%s", len(lines), &server.out)
	}
	for i, want := range []struct{ status, text string }{
		{"200", `"access_token":"eyJ`},
		{"200", `"access_token":"eyJ`},
		{"200", `"AccountId":"10001"`},
		{"401", `"error":"invalid_token"`},
		{"200", `"active":true`},
		{"200", "HTTP/2 200"},
	} {
		title, line := lines[i][2], lines[i][3]
		command := exec.Command("sh", "-c", line)
		command.Dir, command.Env = folder, append(os.Environ(), "HOME="+home, "CURL_HOME="+home)
		output, err := command.CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s\n%s", title, err, line, output)
			continue
		}
		answer, status := cutLast(strings.TrimSpace(string(output)), "\n")
		if status != want.status || !strings.Contains(answer, want.text) {
			t.Errorf("%s: %s, want %s and %s\n%s\n%s", title, status, want.status, want.text, line, answer)
		}
		if want.status == "401" {
			opens(t, answer)
		}
	}
}

func cutLast(text, separator string) (before, after string) {
	i := strings.LastIndex(text, separator)
	return text[:max(i, 0)], text[i+1:]
}

// opens follows the error_uri of a refusal: it shows what was wrong.
func opens(t *testing.T, answer string) {
	t.Helper()
	var refusal struct {
		URI string `json:"error_uri"`
	}
	if err := json.Unmarshal([]byte(answer), &refusal); err != nil {
		t.Fatalf("%v\n%s", err, answer)
	}
	response, err := http.Get(refusal.URI)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	page, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK || !strings.Contains(string(page), "what to do") {
		t.Errorf("error_uri %s: %s, %v\n%s", refusal.URI, response.Status, err, page)
	}
}

// TestClientScripts runs every client's curl.sh from another folder.
func TestClientScripts(t *testing.T) {
	need(t, "curl")
	folder, _ := sandboxServer(t)
	scripts, err := filepath.Glob(filepath.Join(folder, ".fapid", "clients", "*", "curl.sh"))
	if err != nil || len(scripts) != 15 {
		t.Fatalf("%d scripts, %v", len(scripts), err)
	}
	for _, script := range scripts {
		t.Run(filepath.Base(filepath.Dir(script)), func(t *testing.T) {
			t.Parallel()
			runScript(t, script)
		})
	}
}

func runScript(t *testing.T, script string) {
	t.Helper()
	command := exec.Command(script)
	command.Dir = "/"
	output, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	called := `"AccountId":"10001"`
	if client := filepath.Base(filepath.Dir(script)); client == "manager" || client == "root" {
		called = `"client_id": "` + client + `"`
	}
	for _, want := range []string{`"access_token":"`, called, `"active":true`, `"active":false`} {
		if !strings.Contains(string(output), want) {
			t.Errorf("nothing like %s:\n%s", want, output)
		}
	}
}

// TestGoRun starts a sandbox as a fresh clone does. The lines it prints work in
// the folder it was started in, the scripts in any.
func TestGoRun(t *testing.T) {
	if testing.Short() {
		t.Skip("links the program")
	}
	need(t, "curl")
	need(t, "go")
	folder := t.TempDir()
	if err := sandboxIn(folder); err != nil {
		t.Fatal(err)
	}
	module, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	ports := freePorts()
	dir := filepath.Join(folder, ".fapid")
	command := exec.Command("go", append([]string{"run", "./cmd/fapid", "dev", "--dir", dir}, ports.flags()...)...)
	command.Dir = module
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // go run passes no signal on
	server, err := startCommand(command, "Ctrl-C")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = syscall.Kill(-command.Process.Pid, syscall.SIGTERM)
		<-server.ended //nolint:errcheck // go run's exit code is its own
	}()
	lines := recipe.FindAllStringSubmatch(server.out.String(), -1)
	if len(lines) != 6 || !strings.Contains(lines[2][3], "$(go run ./cmd/fapid token tpp-tls --dir ") {
		t.Fatalf("printed:\n%s", &server.out)
	}
	bank := exec.Command("sh", "-c", lines[2][3])
	bank.Dir = module
	if output, err := bank.CombinedOutput(); err != nil || !strings.Contains(string(output), `"AccountId":"10001"`) {
		t.Errorf("%s: %v\n%s", lines[2][3], err, output)
	}
	runScript(t, filepath.Join(dir, "clients", "tpp-jwt", "curl.sh"))
}

// TestOpenSSL: the files of a client are what other tools expect, and the token
// is bound to the certificate as OpenSSL sees it.
func TestOpenSSL(t *testing.T) {
	need(t, "openssl")
	folder, _ := sandboxServer(t)
	tool := func(name string, args ...string) string {
		t.Helper()
		command := exec.Command(name, args...)
		command.Dir = folder
		output, err := command.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", command, err, output)
		}
		return string(output)
	}
	for _, client := range []string{"tpp-tls", "tpp-san", "tpp-self-signed", "strict-tls"} {
		transport := filepath.Join(".fapid", "clients", client, "transport.pem")
		_, digest, _ := strings.Cut(strings.TrimSpace(tool("openssl", "x509", "-in", transport, "-noout", "-fingerprint", "-sha256")), "=")
		raw, err := hex.DecodeString(strings.ReplaceAll(digest, ":", ""))
		if err != nil {
			t.Fatal(err)
		}
		thumbprint := base64.RawURLEncoding.EncodeToString(raw)
		if bound := confirmation(t, tool("fapid", "token", client)); bound != thumbprint {
			t.Errorf("%s: the token is bound to %s, the certificate is %s", client, bound, thumbprint)
		}
		if client != "tpp-self-signed" {
			tool("openssl", "verify", "-purpose", "sslclient", "-CAfile", ".fapid/ca.pem", "-untrusted", transport, transport)
		}
		bundle := strings.TrimSuffix(transport, ".pem") + ".p12"
		opened := tool("openssl", "pkcs12", "-in", bundle, "-passin", "pass:fapid", "-nodes")
		if !strings.Contains(opened, "PRIVATE KEY") || !strings.Contains(opened, "CN = "+client) {
			t.Errorf("%s:\n%s", bundle, opened)
		}
	}
	if _, err := exec.LookPath("keytool"); err != nil {
		t.Log("keytool is not installed: not tried with Java")
		return
	}
	listed := tool("keytool", "-list", "-keystore", ".fapid/clients/tpp-tls/transport.p12", "-storepass", "fapid")
	if !strings.Contains(listed, "PrivateKeyEntry") {
		t.Errorf("keytool:\n%s", listed)
	}
}

// confirmation reads cnf.x5t#S256 of a token.
func confirmation(t *testing.T, token string) string {
	t.Helper()
	parts := strings.Split(strings.TrimSpace(token), ".")
	if len(parts) != 3 {
		t.Fatalf("no compact JWS: %s", token)
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims struct {
		Confirmation map[string]string `json:"cnf"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	return claims.Confirmation["x5t#S256"]
}
