// Package fapid holds the tests of the house as a whole: which package stands on
// which floor, and that every import goes down.
package fapid

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/fapid/fapid/"

// floors is the table of ARCHITECTURE.md: a package imports only from floors
// below its own, never sideways.
var floors = map[string]int{
	"oauth": 0, "store": 0, "mtls": 0, "testkeys": 0,
	"oauth/jwk": 1, "certs": 1, "mtls/doctor": 1,
	"registration":        2,
	"registration/faults": 3, "server/token": 3, "server/binding": 3, "server/clientauth": 3, "server/participant": 3, "server/users": 3,
	"server/resource": 4,
	"server/endpoint": 5,
	"server/flow":     6, "server/bank": 6, "server/scim": 6, "server/manage": 6, "server/directory": 6, "server/admin": 6,
	"server/enrol": 7,
	"server":       8, "server/drill": 8,
	"server/servertest": 9, "cmd/fapid": 9,

	"store/storetest":   1, // for tests: the contract every store is held to
	"oauth/jwk/jwktest": 0, // for tests: keys as clients publish them
}

// forbidden are imports that would break a promise: what only one package may use.
var forbidden = []struct {
	prefix string
	only   string // the one package that may
}{
	{"github.com/smallstep/certificates", "certs"},
	{"go.etcd.io/bbolt", "store"},
	{"github.com/spf13/cobra", "cmd/fapid"},
	{"github.com/gorilla/mux", "server/endpoint"},
}

func TestFloors(t *testing.T) {
	// Only what is built: test packages may look up and sideways.
	output, err := exec.Command("go", "list", "-json=ImportPath,Imports", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	seen := map[string]bool{}
	for decoder := json.NewDecoder(strings.NewReader(string(output))); ; {
		var listed struct {
			ImportPath string
			Imports    []string
		}
		if err := decoder.Decode(&listed); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(listed.ImportPath, module)
		if name+"/" == module {
			continue // this package
		}
		seen[name] = true
		floor, ok := floors[name]
		if !ok {
			t.Errorf("package %s has no floor; give it one here and in ARCHITECTURE.md, or no folder", name)
			continue
		}
		for _, imported := range listed.Imports {
			checkImport(t, name, floor, imported)
		}
	}
	for name := range floors {
		if !seen[name] {
			t.Errorf("floor table lists %s, which is no package", name)
		}
	}
}

func checkImport(t *testing.T, name string, floor int, imported string) {
	t.Helper()
	for _, rule := range forbidden {
		if strings.HasPrefix(imported, rule.prefix) && name != rule.only {
			t.Errorf("%s imports %s, which only %s may", name, imported, rule.only)
		}
	}
	if !strings.HasPrefix(imported, module) {
		return
	}
	below := strings.TrimPrefix(imported, module)
	if floors[below] >= floor {
		t.Errorf("%s (floor %d) imports %s (floor %d); imports go down only", name, floor, below, floors[below])
	}
}

// TestResourceIsLight: an API that protects itself with server/resource takes on
// neither the store nor the CA nor anything else of an authorization server.
func TestResourceIsLight(t *testing.T) {
	output, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", "./server/resource").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for imported := range strings.FieldsSeq(string(output)) {
		switch strings.TrimPrefix(imported, module) {
		case "oauth", "oauth/jwk", "mtls", "server/binding", "server/resource":
			continue
		}
		if !strings.HasPrefix(imported, "github.com/go-jose/go-jose/v4") && !strings.HasPrefix(imported, "golang.org/x/crypto/cryptobyte") {
			t.Errorf("server/resource needs %s", imported)
		}
	}
}
