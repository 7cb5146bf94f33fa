package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestHelp: the help of every verb shows how it is used.
func TestHelp(t *testing.T) {
	var verbs func(*cobra.Command) []string
	verbs = func(command *cobra.Command) []string {
		paths := []string{command.CommandPath()}
		for _, sub := range command.Commands() {
			paths = append(paths, verbs(sub)...)
		}
		return paths
	}
	for _, path := range verbs(rootCommand()) {
		var out bytes.Buffer
		root := rootCommand()
		root.SetOut(&out)
		root.SetArgs(append(strings.Fields(path)[1:], "--help"))
		if err := root.Execute(); err != nil {
			t.Errorf("%s --help: %v", path, err)
		}
		_, examples, found := strings.Cut(out.String(), "Examples:\n")
		if !found || !strings.Contains(examples, "fapid") {
			t.Errorf("%s --help has no examples:\n%s", path, &out)
		}
	}
}
