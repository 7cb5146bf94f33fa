package servertest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/fapid/fapid/oauth"
)

// Answer is what a server said.
type Answer struct {
	Status int
	Header http.Header
	Body   string
	JSON   map[string]any // nil for a body that is no JSON object
}

// Error is the error code of the answer.
func (a Answer) Error() string {
	code, _ := a.JSON["error"].(string)
	return code
}

// String is the answer for a failure message.
func (a Answer) String() string { return fmt.Sprintf("%d %s", a.Status, a.Body) }

// Format prints String whatever the verb; fmt would take Error for it.
func (a Answer) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, a.String()) }

// Do sends one request.
func (s *Server) Do(client *http.Client, method, address string, header http.Header, body string) Answer {
	s.T.Helper()
	request, err := http.NewRequest(method, address, strings.NewReader(body))
	if err != nil {
		s.T.Fatal(err)
	}
	for name, values := range header {
		request.Header[name] = values
	}
	response, err := client.Do(request)
	if err != nil {
		s.T.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		s.T.Fatal(err)
	}
	return parse(response.StatusCode, response.Header, text)
}

// Form is the header of a form.
var Form = http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}

func parse(status int, header http.Header, body []byte) Answer {
	answer := Answer{Status: status, Header: header, Body: string(body)}
	_ = json.Unmarshal(body, &answer.JSON) // empty bodies and lists are answers too
	return answer
}

// Trace reads the trace of an answer, JSON, from the operator's listener.
func (s *Server) Trace(answer Answer) string {
	s.T.Helper()
	id := answer.Header.Get("X-Fapid-Trace")
	for deadline := time.Now().Add(Patience); ; time.Sleep(10 * time.Millisecond) {
		got := s.Do(http.DefaultClient, http.MethodGet, s.Admin+"/traces/"+id, http.Header{"Accept": {"application/json"}}, "")
		switch {
		case got.Status == http.StatusOK:
			return got.Body
		case got.Status == http.StatusNotFound && id != "" && time.Now().Before(deadline):
			// A long answer is on the wire before its event is finished.
		default:
			s.T.Fatalf("trace %q: %s", id, got)
		}
	}
}

// Explain is the trace of an answer.
func (s *Server) Explain(answer Answer) oauth.Event {
	s.T.Helper()
	var event oauth.Event
	if err := json.Unmarshal([]byte(s.Trace(answer)), &event); err != nil {
		s.T.Fatal(err)
	}
	return event
}
