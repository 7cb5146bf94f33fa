package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fapid/fapid/server/participant"
)

// tableFile is where the rows of the table are written; scripts/bench prints it.
const tableFile = "BENCH_TABLE"

// ratio is one case: requests to the server, and the same cryptography on the floor.
type ratio struct {
	name   string
	wanted float64 // at most
	count  int     // requests in a round: some tenth of a second of CPU time
	floor  string  // path on the floor
	config string  // more of the configuration
	// call makes the load on the server, for so many requests in all.
	call func(tb testing.TB, bed *bed, n int) *load
}

var ratios = []ratio{
	{"a  token, certificate, kept alive, ES256", 1.35, 1500, "/sign/ES256", "", func(tb testing.TB, bed *bed, _ int) *load { return byCertificate(tb, bed, bed.tls) }},
	{"a  token, certificate, kept alive, PS256", 1.05, 150, "/sign/PS256", "", func(tb testing.TB, bed *bed, _ int) *load { return byCertificate(tb, bed, bed.ps256) }},
	{"b  token, private_key_jwt, kept alive", 1.3, 800, "/both", "", byAssertion},
	{"c  token, certificate, handshake each", 1.15, 300, "/sign/ES256", "", func(tb testing.TB, bed *bed, _ int) *load { return eachTime(byCertificate(tb, bed, bed.tls)) }},
	{"c  token, private_key_jwt, handshake each", 0, 300, "/both", "", func(tb testing.TB, bed *bed, n int) *load { return eachTime(byAssertion(tb, bed, n)) }},
	{"d  introspection, kept alive", 1.4, 1200, "/verify", "", introspection},
	{"e  bank call, bound token, kept alive", 0, 1200, "/verify", "", bankCall},
	{"f  registration, with a statement (PS256)", 1.5, 400, "/verify/PS256", registering, registrations},
}

// BenchmarkRatio measures the server's CPU time per request against the floor,
// in alternating rounds; b.N is the number of rounds.
func BenchmarkRatio(b *testing.B) {
	for _, r := range ratios {
		b.Run(r.name[:1]+strings.ReplaceAll(r.floor, "/", "-"), func(b *testing.B) { r.measure(b) })
	}
}

func (r *ratio) measure(b *testing.B) {
	bed := makeBed(b, r.config)
	fapid, bare := startChild(b, "fapid", bed), startChild(b, "floor", bed)
	warm := r.count
	served := r.call(b, bed, warm+b.N*r.count+1) // one to look at
	lowest := onFloor(b, bed, served, r.floor)
	served.fire(b, warm)
	lowest.fire(b, warm)
	b.ResetTimer()
	var above, below, relation []float64
	for round := range b.N {
		// Whoever is first takes turns.
		var mine, floor float64
		if round%2 == 0 {
			floor = cost(b, bare, lowest, r.count)
			mine = cost(b, fapid, served, r.count)
		} else {
			mine = cost(b, fapid, served, r.count)
			floor = cost(b, bare, lowest, r.count)
		}
		above, below, relation = append(above, mine), append(below, floor), append(relation, mine/floor)
	}
	b.StopTimer()
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(above), "µs/request")
	b.ReportMetric(median(below), "µs/floor")
	b.ReportMetric(median(relation), "ratio")
	r.print(b, median(below), median(above), median(relation))
}

// cost is the CPU time of a request in microseconds.
func cost(b *testing.B, c *child, l *load, n int) float64 {
	before := c.usage()
	l.fire(b, n)
	return (c.usage().CPU - before.CPU).Seconds() * 1e6 / float64(n)
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	half := len(sorted) / 2
	if len(sorted)%2 == 0 {
		return (sorted[half-1] + sorted[half]) / 2
	}
	return sorted[half]
}

func (r *ratio) print(tb testing.TB, floor, fapid, measured float64) {
	wanted, verdict := "", ""
	if r.wanted > 0 {
		wanted, verdict = fmt.Sprintf("%.2f", r.wanted), judge(measured <= r.wanted)
	}
	addRow(tb, r.name, " %8.0f %8.0f %7.2f %7s %5s", floor, fapid, measured, wanted, verdict)
}

func judge(good bool) string {
	if good {
		return "ok"
	}
	return "over"
}

// addRow writes a row of the table, where one is wanted. A benchmark runs more
// than once, so a row replaces the one of the same name.
func addRow(tb testing.TB, name, format string, values ...any) {
	tb.Helper()
	file := os.Getenv(tableFile)
	if file == "" {
		return
	}
	text, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	rows := slices.DeleteFunc(strings.SplitAfter(string(text), "\n"), func(row string) bool { return strings.HasPrefix(row, name) })
	row := fmt.Sprintf("%-44s"+format+"\n", append([]any{name}, values...)...)
	if err := os.WriteFile(file, []byte(strings.Join(append(rows, row), "")), 0o600); err != nil {
		tb.Fatal(err)
	}
}

// onFloor is the load on the floor that goes with one on the server: the same
// TLS, a body of the same length.
func onFloor(tb testing.TB, bed *bed, like *load, path string) *load {
	tb.Helper()
	var addresses []string
	text, err := os.ReadFile(filepath.Join(bed.dir, "floor.json"))
	if err == nil {
		err = json.Unmarshal(text, &addresses)
	}
	if err != nil {
		tb.Fatal(err)
	}
	address := addresses[0]
	if like.address == bed.mtls {
		address = addresses[1]
	}
	_, body, _ := bytes.Cut(like.request(), []byte("\r\n\r\n"))
	form := url.Values{"x": {strings.Repeat("x", max(len(body)-len("x="), 0))}}
	return &load{
		address: address, tls: like.tls, handshake: like.handshake,
		request: always(request(http.MethodPost, address, path, nil, form.Encode())),
	}
}

func eachTime(l *load) *load {
	l.handshake = true
	return l
}

// byCertificate is a token by tls_client_auth.
func byCertificate(tb testing.TB, bed *bed, p *participant.Participant) *load {
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {p.Metadata.ClientID}, "scope": {"accounts"}}
	return &load{address: bed.mtls, tls: clientTLS(tb, bed, p), request: always(request(http.MethodPost, bed.mtls, "/token", nil, form.Encode()))}
}

// byAssertion is a token by private_key_jwt; the assertions are made beforehand.
func byAssertion(tb testing.TB, bed *bed, n int) *load {
	tb.Helper()
	made := &once{requests: make([][]byte, n)}
	exp := time.Now().Add(30 * time.Minute).Unix()
	for i := range made.requests {
		id := bed.jwt.Metadata.ClientID
		assertion, err := bed.jwt.Sign(map[string]any{"iss": id, "sub": id, "aud": bed.issuer, "jti": fmt.Sprintf("%d-%d", exp, i), "iat": time.Now().Unix(), "exp": exp})
		if err != nil {
			tb.Fatal(err)
		}
		made.requests[i] = request(http.MethodPost, bed.standard, "/token", nil, url.Values{
			"grant_type": {"client_credentials"}, "scope": {"accounts"},
			"client_assertion_type": {participant.AssertionType}, "client_assertion": {assertion},
		}.Encode())
	}
	return &load{address: bed.standard, tls: clientTLS(tb, bed, bed.jwt), request: made.take}
}

// boundToken fetches the token that a case presents.
func boundToken(tb testing.TB, bed *bed) string {
	tb.Helper()
	l := byCertificate(tb, bed, bed.tls)
	line, err := l.dial()
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = line.conn.Close() }()
	body, err := line.exchange(l.request())
	if err != nil {
		tb.Fatal(err)
	}
	var answer participant.TokenResponse
	if err := json.Unmarshal(body, &answer); err != nil {
		tb.Fatal(err)
	}
	return answer.AccessToken
}

func introspection(tb testing.TB, bed *bed, _ int) *load {
	form := url.Values{"client_id": {bed.tls.Metadata.ClientID}, "token": {boundToken(tb, bed)}}
	return &load{address: bed.mtls, tls: clientTLS(tb, bed, bed.tls), request: always(request(http.MethodPost, bed.mtls, "/token/introspection", nil, form.Encode()))}
}

func bankCall(tb testing.TB, bed *bed, _ int) *load {
	header := http.Header{"Authorization": {"Bearer " + boundToken(tb, bed)}, "X-Fapi-Interaction-Id": {"93bac548-d2de-4546-b106-880a5018460d"}}
	return &load{address: bed.mtls, tls: clientTLS(tb, bed, bed.tls), request: always(request(http.MethodGet, bed.mtls, "/bank/accounts", header, ""))}
}

// registrations are those of software of a directory, each of another client: a
// statement may be used again here, and is by some dozens, as an ecosystem allows.
func registrations(tb testing.TB, bed *bed, n int) *load {
	tb.Helper()
	made := &once{requests: make([][]byte, n)}
	for i := range made.requests {
		const each = 50
		if i%each != 0 {
			made.requests[i] = made.requests[i-1]
			continue
		}
		metadata, err := json.Marshal(map[string]any{
			"software_statement": statement(tb, bed, fmt.Sprintf("5d0f1a52-7c3e-4b6d-9e21-%012d", i)), "token_endpoint_auth_method": "private_key_jwt", "token_endpoint_auth_signing_alg": "ES256",
			"grant_types": []string{"client_credentials"}, "scope": "accounts", "jwks": bed.jwt.Metadata.JWKS,
		})
		if err != nil {
			tb.Fatal(err)
		}
		made.requests[i] = request(http.MethodPost, bed.standard, "/reg", http.Header{"Content-Type": {"application/json"}}, string(metadata))
	}
	return &load{address: bed.standard, tls: clientTLS(tb, bed, bed.jwt), request: made.take}
}

// statement is a software statement of the usual size.
func statement(tb testing.TB, bed *bed, software string) string {
	tb.Helper()
	now := time.Now().Unix()
	text, err := bed.directory.Sign(map[string]any{
		"iss": "https://directory.example", "iat": now, "exp": now + 3600, "jti": software, "software_id": software,
		"software_version": "1.0", "client_name": "TPP with a signing key", "client_uri": "https://tpp.example.com", "logo_uri": "https://tpp.example.com/logo.svg",
		"policy_uri": "https://tpp.example.com/policy.html", "tos_uri": "https://tpp.example.com/terms.html", "redirect_uris": []string{"https://tpp.example.com/callback"},
	})
	if err != nil {
		tb.Fatal(err)
	}
	return text
}
