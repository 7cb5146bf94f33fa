package admin

import (
	"bytes"
	"cmp"
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/server/endpoint"
	"github.com/fapid/fapid/server/participant"
)

//go:embed pages
var pages embed.FS

// templates escape by context (html/template). What anybody may have sent also
// goes through show, which makes hidden characters visible.
var templates = template.Must(template.New("").Funcs(template.FuncMap{
	"show":  oauth.Visible,
	"stamp": stamp,
	"ago":   ago,
	"split": split,
	"path":  url.PathEscape,
}).ParseFS(pages, "pages/*.html"))

// page renders one of the pages.
func page(status int, name string, content any) (*endpoint.Answer, error) {
	var body bytes.Buffer
	if err := templates.ExecuteTemplate(&body, name+".html", content); err != nil {
		return nil, fmt.Errorf("page %s: %w", name, err)
	}
	return &endpoint.Answer{Status: status, Body: body.Bytes(), Type: "text/html; charset=utf-8"}, nil
}

func (o *Operator) style(context.Context, *endpoint.Request) (*endpoint.Answer, error) {
	sheet, err := pages.ReadFile("pages/style.css")
	if err != nil {
		return nil, err
	}
	return &endpoint.Answer{Body: sheet, Type: "text/css; charset=utf-8"}, nil
}

// homePage is what an operator sees first.
type homePage struct {
	Version string
	Uptime  time.Duration
	Ready   bool
	Realms  []RealmView
	CA      bool
	Traces  []trace
	// Directory is its URL; empty for none.
	Directory string
}

// RealmView is a realm with the addresses its discovery document publishes.
type RealmView struct {
	Name      string         `json:"name"`
	Issuer    string         `json:"issuer"`
	Default   bool           `json:"default"`
	Sandbox   bool           `json:"sandbox"`
	Discovery string         `json:"discovery"`
	Endpoints []endpointView `json:"endpoints"`
	// Registration is left out where no software registers itself.
	Registration *RegistrationView `json:"registration,omitempty"`
}

// Provider is the realm as a client knows it.
func (r *RealmView) Provider() *participant.Provider {
	provider := &participant.Provider{Issuer: r.Issuer, Aliases: map[string]string{}}
	for _, endpoint := range r.Endpoints {
		switch endpoint.Name {
		case "token_endpoint":
			provider.TokenEndpoint = endpoint.URL
		case "registration_endpoint":
			provider.RegistrationEndpoint = endpoint.URL
		}
		if endpoint.MTLS != "" {
			provider.Aliases[endpoint.Name] = endpoint.MTLS
		}
	}
	return provider
}

// endpointView is an endpoint with its alias of RFC 8705 section 5.
type endpointView struct {
	Name string `json:"name"`
	URL  string `json:"url"`
	MTLS string `json:"mtls,omitempty"`
}

// newestFailures is how many the home page lists.
const newestFailures = 10

func (o *Operator) home(ctx context.Context, _ *endpoint.Request) (*endpoint.Answer, error) {
	realms, err := o.realmViews()
	if err != nil {
		return nil, err
	}
	return page(http.StatusOK, "home", homePage{
		Version:   o.Version,
		Uptime:    o.Now().Sub(o.Started).Truncate(time.Second),
		Ready:     o.Ready(ctx) == nil,
		Realms:    realms,
		CA:        o.CA != nil,
		Directory: o.Directory,
		Traces:    o.newest(filter{Failures: true, Limit: newestFailures}),
	})
}

func (o *Operator) listRealms(context.Context, *endpoint.Request) (*endpoint.Answer, error) {
	realms, err := o.realmViews()
	if err != nil {
		return nil, err
	}
	return endpoint.JSONDocument(http.StatusOK, map[string]any{"realms": realms})
}

func (o *Operator) realmViews() ([]RealmView, error) {
	views := make([]RealmView, len(o.Realms))
	for i, realm := range o.Realms {
		endpoints, err := endpointsOf(realm.Discovery())
		if err != nil {
			return nil, fmt.Errorf("discovery of realm %s: %w", realm.Name, err)
		}
		views[i] = RealmView{
			Name: realm.Name, Issuer: realm.Issuer, Default: i == 0, Sandbox: realm.Sandbox,
			Discovery: realm.Issuer + "/.well-known/openid-configuration", Endpoints: endpoints,
			Registration: realm.Registration,
		}
	}
	return views, nil
}

// endpointsOf reads the addresses out of a discovery document, which is the one
// statement of what is served.
func endpointsOf(document []byte) ([]endpointView, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(document, &members); err != nil {
		return nil, err
	}
	var aliases map[string]string
	if raw, ok := members["mtls_endpoint_aliases"]; ok {
		if err := json.Unmarshal(raw, &aliases); err != nil {
			return nil, err
		}
	}
	endpoints := []endpointView{}
	for name, raw := range members {
		var address string
		if !strings.HasSuffix(name, "_endpoint") && name != "jwks_uri" || json.Unmarshal(raw, &address) != nil {
			continue
		}
		endpoints = append(endpoints, endpointView{Name: name, URL: address, MTLS: aliases[name]})
	}
	slices.SortFunc(endpoints, func(a, b endpointView) int { return cmp.Compare(a.Name, b.Name) })
	return endpoints, nil
}

// tracesPage is the list with its filter form.
type tracesPage struct {
	Filter filter
	Realms []Realm
	Traces []trace
}

// parts is a text cut around what differs.
type parts struct{ Before, Marked, After string }

// split cuts the expected or presented text of a check for highlighting.
func split(c check, side string) parts {
	text, at := c.Expected, span{}
	if side == "presented" {
		text = c.Presented
	}
	if c.Difference == nil {
		return parts{Before: oauth.Visible(text)}
	}
	if at = c.Difference.expected; side == "presented" {
		at = c.Difference.presented
	}
	return parts{oauth.Visible(text[:at.from]), oauth.Visible(text[at.from:at.to]), oauth.Visible(text[at.to:])}
}

// ago is how long ago something was, as precise as people care for.
func ago(t time.Time) string {
	switch d := time.Since(t); {
	case d < time.Minute:
		return fmt.Sprintf("%.0f s ago", max(d.Seconds(), 0))
	case d < time.Hour:
		return fmt.Sprintf("%.0f min ago", d.Minutes())
	case d < 48*time.Hour:
		return fmt.Sprintf("%.0f h ago", d.Hours())
	default:
		return fmt.Sprintf("%.0f days ago", d.Hours()/24)
	}
}
