package server

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fapid/fapid/mtls"
)

// loadText loads a configuration that is called fapid.yaml.
func loadText(text string, env ...string) (Config, error) {
	return Load(Source{File: "fapid.yaml", YAML: []byte(text), Env: env})
}

// lines are the first lines of the problems: place, path and text.
func lines(err error) []string {
	var all []string
	if err == nil {
		return nil
	}
	for _, problem := range err.(Problems) {
		line, _, _ := strings.Cut(problem.Error(), "\n")
		all = append(all, line)
	}
	return all
}

func wantLines(t *testing.T, err error, want ...string) {
	t.Helper()
	if got := lines(err); !slices.Equal(got, want) {
		t.Errorf("problems:\n  %s\nwant:\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func TestLoadRefuses(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"unknown key":            {"log:\n  levl: info\n", "fapid.yaml:2:3: log.levl: unknown key; did you mean level?"},
		"unknown key, far off":   {"listeners:\n  bank: {}\n", "fapid.yaml:2:3: listeners.bank: unknown key; there are standard, mtls, directory, admin"},
		"unknown key, last part": {"policies:\n  x:\n    auth_methods: [x]\n", "fapid.yaml:3:5: policies.x.auth_methods: unknown key; did you mean token_endpoint_auth_methods?"},
		"unknown key in a flow":  {"realms: {default: {trust: {sandbox: true}}}\n", "fapid.yaml:1:28: realms.default.trust.sandbox: unknown key; did you mean sandbox_ca?"},
		"key of another case":    {"Log:\n  level: info\n", "fapid.yaml:1:1: Log: unknown key; did you mean log?"},
		"key twice":              {"dir: a\nlog: {}\ndir: b\n", "fapid.yaml:3:1: dir: is written twice, first in line 1"},
		"realm twice":            {"realms:\n  a: {}\n  a: {}\n", "fapid.yaml:3:3: realms.a: is written twice, first in line 2"},
		"number for text":        {"dir: 12\n", `fapid.yaml:1:1: dir: expected text, not the number 12; put it in quotes: "12"`},
		"switch for text":        {"dir: true\n", `fapid.yaml:1:1: dir: expected text, not true; put it in quotes: "true"`},
		"list for text":          {"dir: [a]\n", "fapid.yaml:1:1: dir: expected text, not a list"},
		"text for switch":        {"realms:\n  a:\n    sandbox: yes\n", `fapid.yaml:3:5: realms.a.sandbox: expected true or false, not "yes"`},
		"nothing for switch":     {"realms:\n  a:\n    sandbox:\n", "fapid.yaml:3:5: realms.a.sandbox: expected true or false, not nothing"},
		"text for list":          {"realms:\n  a:\n    scopes: openid\n", `fapid.yaml:3:5: realms.a.scopes: expected a list, not "openid"`},
		"empty list":             {"realms:\n  a:\n    scopes: []\n", "fapid.yaml:3:5: realms.a.scopes: is empty; leave it out for the default"},
		"number in a list":       {"realms:\n  a:\n    scopes:\n      - openid\n      - 1\n", `fapid.yaml:5:9: realms.a.scopes[1]: expected text, not the number 1; put it in quotes: "1"`},
		"text for keys":          {"log: info\n", `fapid.yaml:1:1: log: expected keys and their values, not "info"`},
		"list for keys":          {"realms:\n  - default\n", "fapid.yaml:1:1: realms: expected keys and their values, not a list"},
		"a list for everything":  {"- dir\n", "fapid.yaml: expected keys and their values, not a list"},
		"nothing for text":       {"dir:\n", "fapid.yaml:1:1: dir: is empty; leave it out for the default"},
		"empty text":             {"dir: \"\"\n", "fapid.yaml:1:1: dir: is empty; leave it out for the default"},
		"long text":              {"dir: " + strings.Repeat("d", 5000) + "\n", "fapid.yaml:1:1: dir: is longer than 4096 bytes"},
		"two lines":              {"dir: |\n  a\n  b\n", "fapid.yaml:1:1: dir: must be one line of UTF-8 text without control characters"},
		"time without unit":      {"policies:\n  x:\n    clock_skew: 30\n", "fapid.yaml:3:5: policies.x.clock_skew: expected text, not the number 30; write a length of time with its unit, such as 90s, 10m or 1h30m"},
		"no time":                {"policies:\n  x:\n    clock_skew: soon\n", `fapid.yaml:3:5: policies.x.clock_skew: "soon" is not a length of time such as 90s, 10m or 1h30m`},
		"negative time":          {"policies:\n  x:\n    clock_skew: -10s\n", "fapid.yaml:3:5: policies.x.clock_skew: -10s is not a positive length of time"},
		"clock":                  {"realms:\n  a:\n    clock: tomorrow\n", `fapid.yaml:3:5: realms.a.clock: "tomorrow" is not a length of time such as 720h or -24h`},
		"clock number":           {"realms:\n  a:\n    clock: 24\n", "fapid.yaml:3:5: realms.a.clock: expected text, not the number 24; write a length of time with its unit, such as 90s, 10m or 1h30m"},
		"address for prefix":     {"proxy:\n  trusted: [10.0.0.5]\n", `fapid.yaml:2:13: proxy.trusted[0]: "10.0.0.5" is not a prefix such as 10.0.0.5/32`},
		"anchor":                 {"log: &a {level: info}\n", "fapid.yaml:1:6: plain YAML only: no anchors, aliases, merge keys, tags, directives or complex keys"},
		"alias":                  {"log: *a\n", "fapid.yaml:1:6: plain YAML only: no anchors, aliases, merge keys, tags, directives or complex keys"},
		"merge key":              {"log:\n  <<: {level: info}\n", "fapid.yaml:2:3: plain YAML only: no anchors, aliases, merge keys, tags, directives or complex keys"},
		"tag":                    {"dir: !!str 1\n", "fapid.yaml:1:6: plain YAML only: no anchors, aliases, merge keys, tags, directives or complex keys"},
		"complex key":            {"? dir\n: a\n", "fapid.yaml:1:1: plain YAML only: no anchors, aliases, merge keys, tags, directives or complex keys"},
		"directive":              {"%YAML 1.2\n---\ndir: a\n", "fapid.yaml:1:1: plain YAML only: no anchors, aliases, merge keys, tags, directives or complex keys"},
		"two documents":          {"dir: a\n---\ndir: b\n", "fapid.yaml:2:1: a second document; a configuration is one"},
		"not YAML":               {"log: {level: info\n", "fapid.yaml:1:6: not YAML: could not find flow mapping end token '}'"},
		"tabs":                   {"log:\n\tlevel: info\n", "fapid.yaml:2:1: not YAML: found character '\t' that cannot start any token"},
		"not UTF-8":              {"dir: \"\xff\"\n", "fapid.yaml: is not UTF-8 text"},
		"too large":              {"#" + strings.Repeat("x", 1<<20), "fapid.yaml: is larger than 1048576 bytes"},
		"too many keys":          {"realms:\n" + manyRealms(8000), "fapid.yaml:6668:2: more keys and values than a configuration has"},
		"deep flow":              {"realms: " + strings.Repeat("[", 100000), "fapid.yaml:1:25: nested deeper than 16 levels"},
		"deep line":              {"realms:\n " + strings.Repeat("- ", 100000), "fapid.yaml:2:34: nested deeper than 16 levels"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := loadText(c.text)
			wantLines(t, err, c.want)
		})
	}
}

func manyRealms(n int) string {
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, " r%d: x\n", i)
	}
	return text.String()
}

func TestLoadShowsTheLine(t *testing.T) {
	_, err := loadText("# mine\r\nrealms:\r\n  default:\r\n    polices: [a]\r\n")
	want := "fapid.yaml:4:5: realms.default.polices: unknown key; did you mean policies?\n" +
		"    4 |     polices: [a]\n" +
		"      |     ^"
	if err == nil || err.Error() != want {
		t.Errorf("error:\n%v\nwant:\n%s", err, want)
	}
}

func TestLoadListsEverything(t *testing.T) {
	_, err := Load(Source{
		File: "fapid.yaml", YAML: []byte("log:\n  levl: x\nrealms:\n  a:\n    sandbox: 1\n"),
		Env:   []string{"FAPID_LOG__LEVL=x", "PATH=/bin", "FAPIDX=1"},
		Flags: map[string]string{"log.levl": "x"},
	})
	wantLines(t, err,
		"fapid.yaml:2:3: log.levl: unknown key; did you mean level?",
		"fapid.yaml:5:5: realms.a.sandbox: expected true or false, not the number 1",
		"FAPID_LOG__LEVL: unknown variable; did you mean FAPID_LOG__LEVEL?",
		"command line: log.levl: unknown key; did you mean log.level?",
	)
	if !strings.HasPrefix(err.Error(), "4 problems in the configuration\n") {
		t.Errorf("error does not begin with the number of problems: %v", err)
	}
}

func TestLoadReadsTheFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "my.yaml")
	if err := os.WriteFile(file, []byte("\ufeffdir: state # beside this file\nproxy:\nrealms:\n  default:\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	config, err := Load(Source{File: file})
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(dir, "state"); config.Dir != want {
		t.Errorf("dir is %s, want %s", config.Dir, want)
	}
	if config.Proxy == nil || len(config.Realms) != 1 {
		t.Errorf("keys with nothing below them are lost: %+v", config)
	}
	_, err = Load(Source{File: filepath.Join(dir, "other.yaml")})
	wantLines(t, err, filepath.Join(dir, "other.yaml")+": cannot be read: no such file or directory")
}

func TestLoadOfNothing(t *testing.T) {
	for _, text := range []string{"", "# only this\n", "---\n", "{}"} {
		if config, err := loadText(text); err != nil || written(reflect.ValueOf(config.Realms)) {
			t.Errorf("%q: %+v, %v", text, config, err)
		}
	}
	if _, err := Load(Source{}); err != nil {
		t.Error(err)
	}
}

func TestLayers(t *testing.T) {
	text := "log: {level: warn}\nrealms:\n  open-banking:\n    policy: fapi2\n    scopes: [a, b]\n    trust: {sandbox_ca: true}\n"
	config, err := Load(Source{
		File: "fapid.yaml", YAML: []byte(text),
		Env: []string{
			"FAPID_LOG__LEVEL=error",
			"FAPID_REALMS__OPEN_BANKING__POLICY=sandbox",
			"FAPID_REALMS__OPEN_BANKING__SCOPES=openid, payments",
			"FAPID_REALMS__OPEN_BANKING__TRUST__SANDBOX_CA=false",
			"FAPID_POLICIES__MINE__BASE=oauth2",
			"FAPID_POLICIES__MINE__CLOCK_SKEW=20s",
			"FAPID_POLICIES__MINE__DN_MATCHING=any_order",
			"FAPID_POLICIES__MINE__DPOP_NONCE=true",
			"FAPID_PROXY__TRUSTED=10.0.0.1/32,10.0.0.2/32",
			"FAPID_DIR=state",
		},
		Flags: map[string]string{"log.level": "debug", "realms.other.issuer": "https://localhost:8443/other"},
	})
	if err != nil {
		t.Fatal(err)
	}
	yes := true
	want := Config{
		Dir: "state",
		Log: Log{Level: "debug"},
		Realms: map[string]*Realm{
			"open-banking": {Policy: "sandbox", Scopes: []string{"openid", "payments"}},
			"other":        {Issuer: "https://localhost:8443/other"},
		},
		Policies: map[string]Policy{"mine": {Base: "oauth2", ClockSkew: Duration(20 * time.Second), DNMatching: mtls.MatchAnyOrder, DPoPNonce: &yes}},
		Proxy:    &Proxy{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/32"), netip.MustParsePrefix("10.0.0.2/32")}},
	}
	for path, name := range map[string]string{
		"log.level":                         "command line",
		"realms.open-banking.policy":        "FAPID_REALMS__OPEN_BANKING__POLICY",
		"realms.open-banking.scopes[1]":     "FAPID_REALMS__OPEN_BANKING__SCOPES",
		"realms.open-banking.trust.cas":     "fapid.yaml:6:5",
		"realms.open-banking.audience":      "fapid.yaml:3:3",
		"listeners.standard":                "fapid.yaml",
		"policies.mine.access_token_format": "fapid.yaml",
	} {
		if got := config.origins.of(path).String(); got != name {
			t.Errorf("%s comes from %s, want %s", path, got, name)
		}
	}
	if config.origins = nil; !reflect.DeepEqual(config, want) {
		t.Errorf("got  %+v\nwant %+v", config, want)
	}
}

func TestVariablesRefused(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "level")
	if err := os.WriteFile(secret, []byte("debug\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for variables, want := range map[string]string{
		"FAPID_LOGLEVEL=info":                           "FAPID_LOGLEVEL: unknown variable; did you mean FAPID_LOG__LEVEL?",
		"FAPID_ISSUER=x":                                "FAPID_ISSUER: unknown variable; did you mean FAPID_REALMS__DEFAULT__ISSUER?",
		"FAPID_REALMS__UK__POLCY=x":                     "FAPID_REALMS__UK__POLCY: unknown variable; did you mean FAPID_REALMS__UK__POLICY?",
		"FAPID_REALMS=x":                                "FAPID_REALMS: realms: has keys of its own; set one of those",
		"FAPID_REALMS__UK=x":                            "FAPID_REALMS__UK: realms.uk: has keys of its own; set one of those",
		"FAPID_REALMS____POLICY=x":                      "FAPID_REALMS____POLICY: unknown variable; did you mean FAPID_REALMS__DEFAULT__POLICY?",
		"FAPID_LOG__LEVEL__X=x":                         "FAPID_LOG__LEVEL__X: unknown variable; did you mean FAPID_LOG__LEVEL?",
		"FAPID_log__level=x":                            "FAPID_log__level: unknown variable; did you mean FAPID_LOG__LEVEL?",
		"FAPID_=x":                                      "FAPID_: unknown variable; did you mean FAPID_DIR?",
		"FAPID_LOG__LEVEL=":                             "FAPID_LOG__LEVEL: log.level: is empty; leave it out for the default",
		"FAPID_REALMS__UK__SANDBOX=1":                   `FAPID_REALMS__UK__SANDBOX: realms.uk.sandbox: expected true or false, not "1"`,
		"FAPID_REALMS__UK__SCOPES=a,,b":                 "FAPID_REALMS__UK__SCOPES: realms.uk.scopes: item 2: is empty; leave it out for the default",
		"FAPID_DIR=a\x01b":                              "FAPID_DIR: dir: must be one line of UTF-8 text without control characters",
		"FAPID_LOG__LEVEL_FILE=/nowhere/level":          `FAPID_LOG__LEVEL_FILE: "/nowhere/level" cannot be read: no such file or directory`,
		"FAPID_LOG__LEVL_FILE=" + secret:                "FAPID_LOG__LEVL_FILE: unknown variable; did you mean FAPID_LOG__LEVEL?",
		"FAPID_LOG__LEVEL=x|FAPID_LOG__LEVEL_FILE=/etc": "FAPID_LOG__LEVEL_FILE: FAPID_LOG__LEVEL is set too; set one of them",
	} {
		_, err := Load(Source{Env: strings.Split(variables, "|")})
		wantLines(t, err, want)
	}
	config, err := Load(Source{Env: []string{"FAPID_LOG__LEVEL_FILE=" + secret}})
	if err != nil || config.Log.Level != "debug" {
		t.Errorf("from a file: %q, %v", config.Log.Level, err)
	}
}

func TestFlagsRefused(t *testing.T) {
	for path, want := range map[string]string{
		"listeners.standard.adress": "command line: listeners.standard.adress: unknown key; did you mean listeners.standard.address?",
		"listeners":                 "command line: listeners: has keys of its own; set one of those",
		"realms..policy":            "command line: realms..policy: unknown key; did you mean realms.default.policy?",
	} {
		_, err := Load(Source{Flags: map[string]string{path: "x"}})
		wantLines(t, err, want)
	}
}

// A layer that comes later must not change what an earlier Load returned.
func TestLoadsShareNothing(t *testing.T) {
	first, err := loadText("realms:\n  default:\n    scopes: [a]\n    trust: {sandbox_ca: true}\n")
	if err != nil {
		t.Fatal(err)
	}
	policy, _ := first.Policy("fapi2")
	policy.AuthMethods[0] = "changed"
	if again, _ := first.Policy("fapi2"); again.AuthMethods[0] == "changed" {
		t.Error("the built-in policy was changed through a copy")
	}
	before := maps.Clone(first.origins)
	if err := first.Complete(); err != nil {
		t.Fatal(err)
	}
	if err := first.Complete(); err != nil {
		t.Fatalf("completed twice: %v", err)
	}
	if !maps.Equal(before, first.origins) {
		t.Error("completing changed where values come from")
	}
}
