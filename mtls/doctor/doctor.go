// Package doctor looks at an authorization server from where a tester stands,
// with the tester's own certificate, and says what keeps the first
// certificate-bound token away and how to fix it. It works on any server: it
// reads what is public, sends one token request without parameters, and
// otherwise only shakes hands.
//
// It first gathers everything over the network ([Examine] and the files probe,
// discover and visit), then judges what it saw; the judges do no I/O. The
// package also describes a certificate the way a client registration needs it
// ([Describe]).
package doctor

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Status is the outcome of one check.
type Status string

// The outcomes: fine, worth knowing, must be fixed, could not be checked.
const (
	OK   Status = "ok"
	Warn Status = "warn"
	Fail Status = "fail"
	Skip Status = "skip"
)

// Finding is one check and what it saw.
type Finding struct {
	Name     string `json:"name"`
	On       string `json:"on"` // host:port, OnDiscovery or OnCertificate
	Status   Status `json:"status"`
	Found    string `json:"found"`
	Expected string `json:"expected,omitempty"`
	Fix      string `json:"fix,omitempty"`

	// blocking: no token can be had until this is fixed.
	blocking bool
}

// Values of [Finding.On] that are no host.
const (
	OnDiscovery   = "discovery"
	OnCertificate = "your certificate"
)

// Report is the outcome of an examination.
type Report struct {
	URL      string    `json:"url"`
	Issuer   string    `json:"issuer,omitempty"` // as the server's metadata says
	Examined time.Time `json:"examined"`
	Findings []Finding `json:"findings"`
	Fixes    []string  `json:"fixes"` // most important first
}

// Failed reports whether any check failed.
func (r Report) Failed() bool {
	return slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Status == Fail })
}

// Options say what to examine. Only URL is needed.
type Options struct {
	URL string // the issuer, one of its well-known URLs, or a host

	CertFile string // the tester's certificate and its chain, PEM
	KeyFile  string // its key, PEM; empty means it is in CertFile, as with curl
	CAFile   string // whom to trust instead of the system's roots, PEM

	Timeout  time.Duration    // of each probe; zero means 10 s
	Now      func() time.Time // nil means time.Now
	Progress func(string)     // told what happens next; may be nil
}

// defaultTimeout is enough for a handshake across the world on a slow server.
const defaultTimeout = 10 * time.Second

// examination is what one run has gathered.
type examination struct {
	Options
	target target
	probe  prober
	own    *identity // nil without a certificate
	trust  trust

	documents []document // in the order of preference
	meta      document   // the usable one; without members if there is none
	hosts     []*host    // the issuer's first
}

// Examine looks at the server. It returns an error only if the options cannot
// be used: a URL that is none, a file that cannot be read. Everything the
// server does wrong is a finding.
func Examine(ctx context.Context, opt Options) (Report, error) {
	if opt.Timeout <= 0 {
		opt.Timeout = defaultTimeout
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	e := &examination{Options: opt}
	e.Progress = oneAtATime(opt.Progress)
	var err error
	if e.target, err = parseTarget(opt.URL); err != nil {
		return Report{}, err
	}
	if e.own, err = loadIdentity(opt.CertFile, opt.KeyFile); err != nil {
		return Report{}, err
	}
	if e.trust, err = loadTrust(opt.CAFile); err != nil {
		return Report{}, err
	}
	e.probe = prober{timeout: opt.Timeout, now: opt.Now}
	if e.own != nil {
		e.probe.present = e.own.pair
	}
	e.gather(ctx)
	if err := ctx.Err(); err != nil {
		return Report{}, fmt.Errorf("examination of %s stopped: %w", opt.URL, err)
	}
	return e.report(), nil
}

// oneAtATime lets hosts that are examined at once report their progress.
func oneAtATime(progress func(string)) func(string) {
	if progress == nil {
		return func(string) {}
	}
	var lock sync.Mutex
	return func(step string) {
		lock.Lock()
		defer lock.Unlock()
		progress(step)
	}
}

// report runs every judge, in the order a tester should read the findings.
func (e *examination) report() Report {
	r := Report{URL: e.URL, Issuer: e.meta.text("issuer"), Examined: e.Now().UTC().Truncate(time.Second)}
	for _, judge := range []func() []Finding{
		e.eachHost(e.judgeReachable),
		e.eachHost(e.judgeServerCertificate),
		e.judgeDocuments,
		e.judgeIssuer,
		e.judgeAliases,
		e.eachHost(e.judgeRequested),
		e.eachHost(e.judgeHints),
		e.eachHost(e.judgeVersions),
		e.eachHost(e.judgeSuites),
		e.eachHost(e.judgeRenegotiation),
		e.eachHost(e.judgeTickets),
		e.eachHost(e.judgeHTTP2),
		e.eachHost(e.judgeClock),
		e.judgeIdentity,
		e.eachHost(e.judgeTokenRequests),
	} {
		r.Findings = append(r.Findings, judge()...)
	}
	r.Fixes = fixes(r.Findings)
	return r
}

// eachHost makes a judge of one host a judge of all. A host that did not answer
// is judged only once, by judgeReachable.
func (e *examination) eachHost(judge func(*host) []Finding) func() []Finding {
	return func() (all []Finding) {
		for _, h := range e.hosts {
			for _, f := range judge(h) {
				if f.On == "" {
					f.On = h.addr
				}
				all = append(all, f)
			}
		}
		return all
	}
}

// fixes lists what to do: first what blocks every token, then the other
// failures, then the warnings; what is to be done on several hosts once.
func fixes(findings []Finding) []string {
	list := []string{} // an empty JSON array, not null
	for _, wanted := range []func(Finding) bool{
		func(f Finding) bool { return f.Status == Fail && f.blocking },
		func(f Finding) bool { return f.Status == Fail && !f.blocking },
		func(f Finding) bool { return f.Status == Warn },
	} {
		where := make(map[string][]string)
		var order []string
		for _, f := range findings {
			if f.Fix == "" || !wanted(f) {
				continue
			}
			if where[f.Fix] == nil {
				order = append(order, f.Fix)
			}
			if !slices.Contains(where[f.Fix], f.On) {
				where[f.Fix] = append(where[f.Fix], f.On)
			}
		}
		for _, fix := range order {
			list = append(list, fmt.Sprintf("%s: %s", joinAnd(where[fix]), fix))
		}
	}
	return list
}
