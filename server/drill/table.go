package drill

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/fapid/fapid/oauth"
)

// List writes what there is to try: name, what is to be expected, what it is and, where
// somebody demands it, who.
func List(out io.Writer, results []Result) error {
	return eachFamily(out, results, func(table io.Writer, results []Result) {
		header := []string{"NAME", "EXPECTED", "WHAT IT IS"}
		sources := false
		for _, result := range results {
			sources = sources || result.Source != ""
		}
		if sources {
			header = append(header, "SOURCE")
		}
		line(table, header...)
		for _, result := range results {
			values := []string{result.Name, result.Expected, result.About, result.Source}
			if result.Skipped != "" {
				values[1], values[2] = "not made", result.Skipped
			}
			line(table, values[:len(header)]...)
		}
	})
}

// Report writes what was expected and what was seen, and says how often they differ.
func Report(out io.Writer, results []Result) (differences int, err error) {
	err = eachFamily(out, results, func(table io.Writer, results []Result) {
		fmt.Fprintln(table, "\tNAME\tEXPECTED\tSEEN\tTRACE")
		for _, result := range results {
			mark, seen := "ok", result.Seen
			switch {
			case result.Skipped != "":
				mark, seen = "-", "not tried: "+result.Skipped
			case result.Differs:
				differences++
				mark = "DIFFERS"
			}
			line(table, mark, result.Name, result.Expected, seen, result.Trace)
		}
	})
	if err != nil {
		return differences, err
	}
	summary := "As expected"
	if differences > 0 {
		summary = strconv.Itoa(differences) + " not as expected; see `fapid explain TRACE`"
	}
	_, err = fmt.Fprintf(out, "\n%s\n", summary)
	return differences, err
}

// eachFamily writes a table for each family, with its name if there are several.
func eachFamily(out io.Writer, results []Result, write func(io.Writer, []Result)) error {
	several := len(results) > 0 && results[0].Family != results[len(results)-1].Family
	for len(results) > 0 {
		n := 1
		for n < len(results) && results[n].Family == results[0].Family {
			n++
		}
		if several {
			if _, err := fmt.Fprintf(out, "\n%s\n", results[0].Family); err != nil {
				return err
			}
		}
		table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		write(table, results[:n])
		if err := table.Flush(); err != nil {
			return err
		}
		results = results[n:]
	}
	return nil
}

// line writes the cells of a line. What a server says can be anything.
func line(table io.Writer, cells ...string) {
	shown := make([]string, len(cells))
	for i, cell := range cells {
		if shown[i] = strings.ReplaceAll(oauth.Visible(cell), "\t", " "); cell == "" {
			shown[i] = "-"
		}
	}
	fmt.Fprintln(table, strings.Join(shown, "\t"))
}
