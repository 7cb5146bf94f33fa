package admin

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/fapid/fapid/oauth"
)

// stamp is how times are shown to people: UTC, as in certificates and tokens.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.000Z") }

// textOf explains one request to a reader at a terminal.
func textOf(t trace) string {
	var out strings.Builder
	line := func(name, text string) {
		if text != "" {
			fmt.Fprintf(&out, "%-12s %s\n", name, oauth.Visible(text))
		}
	}
	line("trace", t.ID)
	if t.Handshake() {
		line("time", stamp(t.Time))
		line("handshake", "failed on the "+t.Listener+" listener; no request was read")
	} else {
		line("time", stamp(t.Time)+", took "+t.Took())
		line("request", t.Method+" "+t.Path+" on the "+t.Listener+" listener")
	}
	line("realm", t.Realm)
	line("endpoint", t.Endpoint)
	line("remote", t.Remote)
	line("tls", t.TLS)
	line("client", t.ClientID)
	if t.ClientID == "" && t.ClaimedID != "" {
		line("client", t.ClaimedID+" (claimed, not authenticated)")
	}
	line("method", t.AuthMethod)
	line("grant", t.GrantType)
	if t.Certificate != "" {
		line("certificate", "x5t#S256 "+t.Certificate)
	}
	line("answer", answered(t))
	line("because", t.Reason)
	out.WriteByte('\n')
	for _, c := range t.Checks {
		writeCheck(&out, c)
	}
	if len(t.Checks) == 0 {
		out.WriteString("no checks were recorded\n")
	}
	return out.String()
}

// answered is what the client was told.
func answered(t trace) string {
	switch {
	case t.Handshake():
		return "none (" + t.Error + ")"
	case t.Error == "":
		return fmt.Sprint(t.Status)
	case t.Description == "":
		return fmt.Sprintf("%d %s", t.Status, t.Error)
	}
	return fmt.Sprintf("%d %s: %s", t.Status, t.Error, t.Description)
}

func writeCheck(out *strings.Builder, c check) {
	if c.OK {
		shown := c.Presented
		if shown == "" {
			shown = c.Expected
		}
		fmt.Fprintf(out, "  ok    %-36s %s\n", oauth.Visible(c.Name), oauth.Visible(shown))
		return
	}
	fmt.Fprintf(out, "  FAIL  %s\n", oauth.Visible(c.Name))
	for _, part := range []struct{ name, text string }{
		{"expected", c.Expected}, {"presented", c.Presented},
	} {
		if part.text != "" {
			fmt.Fprintf(out, "        %-11s %s\n", part.name, oauth.Visible(part.text))
		}
	}
	if c.Difference != nil {
		fmt.Fprintf(out, "        %-11s %s\n", "differ at", c.Difference)
	}
	if c.Advice != "" {
		fmt.Fprintf(out, "        %-11s %s\n", "what to do", oauth.Visible(c.Advice))
	}
}

// textOfList is one line per trace, newest first.
func textOfList(list []trace) string {
	if len(list) == 0 {
		return "no traces\n"
	}
	var out strings.Builder
	table := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "TRACE\tTIME\tREALM\tENDPOINT\tCLIENT\tSTATUS\tOUTCOME\tFAILED CHECK")
	for _, t := range list {
		failed := ""
		if t.Failed != nil {
			failed = t.Failed.Name
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\n", t.ID, stamp(t.Time),
			dash(t.Realm), dash(t.Endpoint), dash(t.Client()), t.Status, dash(t.Outcome()), dash(failed))
	}
	_ = table.Flush() // into memory
	return out.String()
}

// dash keeps the columns of a table apart where a value is missing.
func dash(text string) string {
	if text == "" {
		return "-"
	}
	return oauth.Visible(text)
}
