package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// configure runs a verb of `fapid config` and returns what it prints.
func configure(args ...string) (string, error) {
	var out bytes.Buffer
	root := rootCommand()
	root.SetOut(&out)
	root.SetArgs(append([]string{"config"}, args...))
	err := root.Execute()
	return out.String(), err
}

func configFile(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "fapid.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

const goodConfig = "realms:\n  default:\n    trust: {sandbox_ca: true}\n"

func TestConfigValidate(t *testing.T) {
	good := configFile(t, goodConfig)
	if out, err := configure("validate", "--config", good); err != nil || out != "The configuration is valid.\n" {
		t.Errorf("%q, %v", out, err)
	}
	for text, want := range map[string]string{
		"log: {levl: x}\n":               ":1:7: log.levl: unknown key; did you mean level?",
		"log: {level: x}\n" + goodConfig: `:1:7: log.level: no log level "x"; there are debug, info, warn, error`,
		"policies: {a: {base: oauth2}}\n" + goodConfig + "    policy: a\n": ":1:12: policies.a: takes client_secret_basic, client_secret_post, client_secret_jwt from oauth2 without saying so; list token_endpoint_auth_methods",
	} {
		file := configFile(t, text)
		_, err := configure("validate", "--config", file)
		if err == nil || !strings.HasPrefix(err.Error(), file+want+"\n") {
			t.Errorf("%q: %v", text, err)
		}
	}
	t.Setenv("FAPID_LOG__LEVEL", "loud")
	if _, err := configure("validate", "--config", good); err == nil || !strings.HasPrefix(err.Error(), "FAPID_LOG__LEVEL: ") {
		t.Errorf("a bad variable: %v", err)
	}
}

func TestConfigPrint(t *testing.T) {
	t.Setenv("FAPID_LOG__LEVEL", "debug")
	good := configFile(t, goodConfig)
	plain, err := configure("print", "--config", good)
	if err != nil || !strings.Contains(plain, "\nlog:\n  level: debug\n") || strings.Contains(plain, "#") {
		t.Errorf("%v\n%s", err, plain)
	}
	if commented, err := configure("print", "--config", good, "--comments"); err != nil || !strings.Contains(commented, "\n# The issuers, by name.\nrealms:\n") {
		t.Errorf("%v\n%s", err, commented)
	}
	again, err := configure("print", "--config", configFile(t, plain))
	if err != nil || again != plain {
		t.Errorf("printed again: %v\n%s", err, again)
	}
	out, err := configure("print", "--config", good, "--json")
	var printed struct {
		Log struct{ Level string }
	}
	if err != nil || json.Unmarshal([]byte(out), &printed) != nil || printed.Log.Level != "debug" {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestConfigFromTheEnvironmentAlone(t *testing.T) {
	t.Setenv("FAPID_REALMS__DEFAULT__TRUST__SANDBOX_CA", "true")
	if _, err := configure("validate", "--config", ""); err != nil {
		t.Error(err)
	}
}

func TestConfigSchema(t *testing.T) {
	out, err := configure("schema")
	if err != nil || !json.Valid([]byte(out)) {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestConfigExitCodes(t *testing.T) {
	for want, args := range map[int][]string{
		0: {"config", "validate", "--config", configFile(t, goodConfig)},
		1: {"config", "validate", "--config", configFile(t, "dir: 1\n")},
		2: {"config", "check"},
	} {
		if got := run(t.Context(), args); got != want {
			t.Errorf("%q: exit code %d, want %d", args, got, want)
		}
	}
}
