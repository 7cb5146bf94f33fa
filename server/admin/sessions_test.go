package admin

import (
	"net/http"
	"testing"
	"time"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/token"
)

// issued puts three opaque tokens of one client and one of another on record.
func issued(t *testing.T, o *operated) {
	t.Helper()
	issuer := &token.Issuer{ID: "https://as.example", Now: time.Now, Sessions: o.realm.Sessions}
	for _, client := range []string{"a", "a", "a", "b"} {
		authorization := &token.Authorization{
			Client: &registration.Client{ID: client}, Subject: client, Audience: oauth.Audience{"api"},
			Format: oauth.FormatOpaque, Lifetime: time.Minute,
		}
		if _, _, err := issuer.Issue(t.Context(), authorization); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSessions(t *testing.T) {
	o := newOperated(t)
	issued(t, o)
	c, ctx := o.client(), t.Context()
	page, err := c.Sessions(ctx, "", token.Filter{Client: "a", From: time.Now().Add(-time.Hour), To: time.Now().Add(time.Hour)})
	if err != nil || len(page.Sessions) != 3 {
		t.Fatalf("%+v, %v", page, err)
	}
	id := page.Sessions[1].ID
	if err := c.EndSession(ctx, "", id); err != nil {
		t.Fatal(err)
	}
	shown, err := c.Session(ctx, "", id)
	if err != nil || shown.State != token.Ended || shown.Ended.By != token.EndedByOperator || !shown.Audience.Has("api") {
		t.Fatalf("%+v, %v", shown, err)
	}
	page, err = c.Sessions(ctx, "", token.Filter{State: token.Live, API: "api"})
	if err != nil || len(page.Sessions) != 3 {
		t.Fatalf("%+v, %v", page, err)
	}
	wantRefusal(t, c.EndSession(ctx, "", "nothing"), http.StatusNotFound, "not_found")
	_, err = c.Session(ctx, "", "nothing")
	wantRefusal(t, err, http.StatusNotFound, "not_found")
	wantStatus(t, o.request(t, http.MethodDelete, "/realms/default/sessions/"+id, ""), http.StatusUnauthorized)
}

func TestSessionListIsPaged(t *testing.T) {
	o := newOperated(t)
	issued(t, o)
	after, seen := "", map[string]bool{}
	for {
		page := decodeBody[struct {
			SessionList
			Next string `json:"next"`
		}](t, o.request(t, http.MethodGet, "/realms/default/sessions?limit=3&cursor="+after, "").Body)
		for _, session := range page.Sessions {
			seen[session.ID] = true
		}
		if after = page.Next; after == "" {
			break
		}
	}
	if len(seen) != 4 {
		t.Errorf("%d of 4 are listed", len(seen))
	}
	for _, bad := range []string{"cursor=!", "after=x", "state=asleep", "from=yesterday", "to=1", "limit=0", "sort=x", "client=a&client=b"} {
		wantStatus(t, o.request(t, http.MethodGet, "/realms/default/sessions?"+bad, ""), http.StatusBadRequest)
	}
}
