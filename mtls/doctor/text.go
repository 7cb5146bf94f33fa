package doctor

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// marks are plain ASCII, so that a pasted report survives any channel.
var marks = map[Status]string{OK: "ok", Warn: "warn", Fail: "FAIL", Skip: "skip"}

// ANSI colours by status.
var colours = map[Status]string{OK: "\x1b[32m", Warn: "\x1b[33m", Fail: "\x1b[31m", Skip: "\x1b[2m"}

const colourOff = "\x1b[0m"

// WriteText prints the report for people: the findings by host, then what to
// fix. colour is for terminals only.
func (r Report) WriteText(w io.Writer, colour bool) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, examined %s\n", plain(r.URL), r.Examined.Format(time.RFC3339))
	width := 0
	var order []string
	groups := make(map[string][]Finding)
	for _, f := range r.Findings {
		width = max(width, len(f.Name))
		if groups[f.On] == nil {
			order = append(order, f.On)
		}
		groups[f.On] = append(groups[f.On], f)
	}
	for _, on := range order {
		fmt.Fprintf(&b, "\n%s\n", plain(on))
		for _, f := range groups[on] {
			writeFinding(&b, f, width, colour)
		}
	}
	if len(r.Fixes) == 0 {
		b.WriteString("\nNothing to fix\n")
	} else {
		b.WriteString("\nWhat to fix\n")
		for i, fix := range r.Fixes {
			fmt.Fprintf(&b, "%3d. %s\n", i+1, plain(fix))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func writeFinding(b *strings.Builder, f Finding, width int, colour bool) {
	mark := fmt.Sprintf("%-4s", marks[f.Status])
	if colour {
		mark = colours[f.Status] + mark + colourOff
	}
	indent := strings.Repeat(" ", 2+4+2+width+2)
	lines := splitParts(f.Found)
	fmt.Fprintf(b, "  %s  %-*s  %s\n", mark, width, f.Name, plain(lines[0]))
	for _, line := range lines[1:] {
		fmt.Fprintf(b, "%s%s\n", indent, plain(line))
	}
	if f.Expected != "" && (f.Status == Warn || f.Status == Fail) {
		fmt.Fprintf(b, "%sexpected: %s\n", indent, plain(f.Expected))
	}
}

// splitParts breaks a text at "; ", but not within a distinguished name, where
// a semicolon is escaped.
func splitParts(s string) (parts []string) {
	for part := range strings.SplitSeq(s, "; ") {
		if n := len(parts); n > 0 && strings.HasSuffix(parts[n-1], `\`) {
			parts[n-1] += "; " + part
			continue
		}
		parts = append(parts, part)
	}
	return parts
}
