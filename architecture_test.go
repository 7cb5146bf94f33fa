package fapid

import (
	"maps"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var (
	floorRow = regexp.MustCompile("(?m)^\\| (\\d) \\| (`.+`) \\|$")
	stepRow  = regexp.MustCompile("(?m)^\\|.*\\| `([^`]+\\.go)` \\| `(\\w+)` \\|$")
	fileName = regexp.MustCompile("`((?:[a-z]+/)*[a-z_]+\\.go)`")
)

// TestArchitecture holds ARCHITECTURE.md against the code: its floors are those
// that TestFloors enforces, and every file and function it names is there.
func TestArchitecture(t *testing.T) {
	content, err := os.ReadFile("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(content)
	table := map[string]int{}
	for _, row := range floorRow.FindAllStringSubmatch(text, -1) {
		floor, err := strconv.Atoi(row[1])
		if err != nil {
			t.Fatal(err)
		}
		for name := range strings.SplitSeq(row[2], ", ") {
			table[strings.Trim(name, "`")] = floor
		}
	}
	if !maps.Equal(table, floors) {
		t.Errorf("the floors of ARCHITECTURE.md and of floors_test.go differ:\n%v\n%v", table, floors)
	}
	for name := range floors {
		if !strings.Contains(text, "| `"+name+"` |") && name != "store/storetest" {
			t.Errorf("ARCHITECTURE.md does not say what is in the room %s", name)
		}
	}
	for _, name := range fileName.FindAllStringSubmatch(text, -1) {
		if _, err := os.Stat(name[1]); err != nil {
			t.Errorf("ARCHITECTURE.md names %s: %v", name[1], err)
		}
	}
	steps := stepRow.FindAllStringSubmatch(text, -1)
	if len(steps) < 15 {
		t.Errorf("a token request has %d steps in ARCHITECTURE.md", len(steps))
	}
	for _, step := range steps {
		source, err := os.ReadFile(step[1])
		if err != nil {
			continue // said above
		}
		if !regexp.MustCompile(`(?m)^func (\([^)]*\) )?` + step[2] + `\(`).Match(source) {
			t.Errorf("ARCHITECTURE.md names %s in %s, which has no such function", step[2], step[1])
		}
	}
}
