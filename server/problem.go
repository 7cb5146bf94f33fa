package server

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Origin is where a value of the configuration was written.
type Origin struct {
	// Name is the file, the environment variable or "command line"; empty for
	// a default.
	Name string
	// Line and Column count from 1; 0 means that there is none.
	Line, Column int

	line string // the line of the file, for the excerpt
}

// String is "fapid.yaml:12:5" or the name alone.
func (o Origin) String() string {
	if o.Line == 0 {
		return o.Name
	}
	return fmt.Sprintf("%s:%d:%d", o.Name, o.Line, o.Column)
}

// maxExcerpt is the longest line that is still worth showing.
const maxExcerpt = 160

// excerpt shows the line with a mark below the column.
func (o Origin) excerpt() string {
	if o.line == "" || len(o.line) > maxExcerpt {
		return ""
	}
	line := strings.ReplaceAll(o.line, "\t", " ")
	return fmt.Sprintf("\n%5d | %s\n      | %s^", o.Line, line, strings.Repeat(" ", max(o.Column-1, 0)))
}

// Problem is one thing that is wrong with a configuration.
type Problem struct {
	Origin Origin
	// Path is the dotted path of the value ("realms.default.policy"), empty for
	// the whole.
	Path string
	// Text says what is wrong and what would be right.
	Text string
}

// Error is "fapid.yaml:12:5: realms.default.policy: ..." and, below it, the
// line of the file.
func (p Problem) Error() string {
	var parts []string
	for _, part := range []string{p.Origin.String(), p.Path, p.Text} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, ": ") + p.Origin.excerpt()
}

// Problems is everything that is wrong with a configuration, in the order of
// the file, then of the environment and the command line.
type Problems []Problem

// Error lists the problems, one below the other.
func (p Problems) Error() string {
	if len(p) == 1 {
		return p[0].Error()
	}
	var out strings.Builder
	fmt.Fprintf(&out, "%d problems in the configuration", len(p))
	for _, problem := range p {
		out.WriteByte('\n')
		out.WriteString(problem.Error())
	}
	return out.String()
}

// err is the problems in order, nil if there are none.
func (p Problems) err() error {
	if len(p) == 0 {
		return nil
	}
	slices.SortStableFunc(p, func(a, b Problem) int {
		return cmp.Or(
			cmp.Compare(min(b.Origin.Line, 1), min(a.Origin.Line, 1)),
			cmp.Compare(a.Origin.Line, b.Origin.Line),
			cmp.Compare(a.Origin.Column, b.Origin.Column),
			cmp.Compare(a.Origin.Name, b.Origin.Name),
			cmp.Compare(a.Path, b.Path),
		)
	})
	return p
}

// origins are the places where values were written, by dotted path; items of a
// list have paths such as "realms.default.scopes[2]".
type origins map[string]Origin

// of returns the place of a value, or of what it should have been written in.
func (o origins) of(path string) Origin {
	for path != "" {
		if origin, ok := o[path]; ok {
			return origin
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
	return o[""]
}

// set notes where a value was written and forgets the items it replaces.
func (o origins) set(path string, origin Origin) {
	for known := range o {
		if strings.HasPrefix(known, path+"[") {
			delete(o, known)
		}
	}
	o[path] = origin
}
