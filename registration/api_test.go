package registration

import (
	"strings"
	"testing"
	"time"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/store"
)

// TestAPIExchange: whose tokens a client may exchange is written as client ids,
// kept over a restart, and shared with nobody who could change it.
func TestAPIExchange(t *testing.T) {
	s, err := store.Open("", store.Options{Ephemeral: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	apis, err := OpenAPIs(t.Context(), "default", s, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	api := func(exchange ...string) API {
		return API{ID: "api", Clients: map[string]Access{"shop": {Exchange: exchange}, AnyClient: {}}}
	}
	for name, bad := range map[string][]string{
		"empty": {""}, "control character": {"a\n"}, "not ASCII": {"ä"}, "too long": {strings.Repeat("a", maxIDBytes+1)},
		"too many": strings.Fields(strings.Repeat("a ", maxAPIEntries+1)),
	} {
		if _, err := apis.Put(t.Context(), api(bad...)); err == nil || oauth.AsError(err).Code != oauth.CodeInvalidRequest {
			t.Errorf("%s: %v", name, err)
		}
	}
	given := []string{"tpp", "other"}
	if _, err := apis.Put(t.Context(), api(given...)); err != nil {
		t.Fatal(err)
	}
	given[0] = "stranger"
	if kept, _ := apis.Get("api"); kept.Clients["shop"].Exchange[0] != "tpp" {
		t.Error("it is the caller's to change")
	}
	if apis, err = OpenAPIs(t.Context(), "default", s, time.Now); err != nil {
		t.Fatal(err)
	}
	kept, _ := apis.Get("api")
	for id, want := range map[string]map[string]bool{
		"shop": {"tpp": true, "other": true, "shop": false, "stranger": false, "": false},
		"else": {"tpp": false, AnyClient: false},
	} {
		access, ok := kept.Grants(&Client{ID: id})
		if !ok {
			t.Fatalf("%s may have no tokens", id)
		}
		for from, may := range want {
			if access.MayExchange(from) != may {
				t.Errorf("%s may exchange what is from %q: %v", id, from, !may)
			}
		}
	}
	if access := (Access{Exchange: []string{AnyClient}}); !access.MayExchange("anybody") {
		t.Error("* is not everybody")
	}
}
