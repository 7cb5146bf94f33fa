package users

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/store"
)

// opened are the users of a realm on a store of their own, and the path of that.
func opened(t *testing.T) (*Users, *store.Bolt) {
	t.Helper()
	db, err := store.Open(filepath.Join(t.TempDir(), "db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return again(t, db), db
}

// again reads the users from the store as the next start does.
func again(t *testing.T, db *store.Bolt) *Users {
	t.Helper()
	u, err := Open(t.Context(), "default", db, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func (u *Users) mustCreate(t *testing.T, user User) *User {
	t.Helper()
	kept, err := u.Create(t.Context(), user)
	if err != nil {
		t.Fatal(err)
	}
	return kept
}

func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	if refusal, ok := errors.AsType[oauth.Error](err); !ok || refusal.Code != code {
		t.Errorf("%v, want %s", err, code)
	}
}

func TestOneUserHasAName(t *testing.T) {
	u, _ := opened(t)
	alice := u.mustCreate(t, User{UserName: "Alice", ExternalID: "e-1", Accounts: []Account{{ID: "1"}}})
	bob := u.mustCreate(t, User{UserName: "bob"})
	for _, taken := range []User{
		{UserName: "ALICE"}, {UserName: "alice"}, {UserName: "alıce"}, {UserName: "carol", ExternalID: "e-1"},
		{UserName: "carol", Accounts: []Account{{ID: "1"}}},
	} {
		_, err := u.Create(t.Context(), taken)
		wantCode(t, err, CodeUniqueness)
		_, err = u.Update(t.Context(), bob.ID, func(into *User) error { into.Replace(taken); return nil })
		wantCode(t, err, CodeUniqueness)
	}
	for _, name := range []string{"alice", "ALICE", "aLiCe"} {
		if found, ok := u.ByUserName(name); !ok || found != alice {
			t.Errorf("%s: %+v", name, found)
		}
	}
	if owner, ok := u.ByAccount("1"); !ok || owner != alice {
		t.Errorf("owner of account 1: %+v", owner)
	}
	// What a user gives up is free for others, at once and after the next start.
	if _, err := u.Update(t.Context(), alice.ID, func(into *User) error { into.Replace(User{UserName: "alicia"}); return nil }); err != nil {
		t.Fatal(err)
	}
	u.mustCreate(t, User{UserName: "alice", ExternalID: "e-1", Accounts: []Account{{ID: "1"}}})
	if renamed, ok := u.Get(alice.ID); !ok || renamed.UserName != "alicia" || renamed.Accounts != nil {
		t.Errorf("%+v", renamed)
	}
}

func TestFold(t *testing.T) {
	for _, same := range [][]string{
		{"alice", "ALICE", "Alice"}, {"straße", "STRAßE"}, {"sam", "ſam", "SAM"}, {"kim", "\u212aim", "KIM"},
		{"josé", "jose\u0301", "JOSÉ"}, {"ΣΑΣ", "σας", "σασ"},
	} {
		for _, text := range same {
			if Fold(text) != Fold(same[0]) {
				t.Errorf("%q is %q, %q is %q", text, Fold(text), same[0], Fold(same[0]))
			}
		}
	}
	if Fold("alice") == Fold("alize") {
		t.Error("everything is the same")
	}
}

// Of many who create a user of one name, one succeeds; and no reader ever sees a
// list that changes under it.
func TestCreateRaces(t *testing.T) {
	u, db := opened(t)
	ctx := t.Context()
	const racers, rounds = 16, 8
	for round := range rounds {
		var won, lost atomic.Int32
		var racing sync.WaitGroup
		for i := range racers {
			racing.Go(func() {
				name := fmt.Sprintf("user-%d", round)
				if i%2 == 1 {
					name = strings.ToUpper(name)
				}
				before := u.List()
				_, err := u.Create(ctx, User{UserName: name})
				switch refusal, _ := errors.AsType[oauth.Error](err); {
				case err == nil:
					won.Add(1)
				case refusal.Code == CodeUniqueness:
					lost.Add(1)
				}
				if slices.Contains(before, nil) || len(u.List()) < len(before) {
					t.Error("a list changed under its reader")
				}
			})
		}
		racing.Wait()
		if won.Load() != 1 || lost.Load() != racers-1 {
			t.Fatalf("%d succeeded, %d were told that the name is taken", won.Load(), lost.Load())
		}
	}
	if got := len(u.List()); got != rounds {
		t.Errorf("%d users", got)
	}
	if got := len(again(t, db).List()); got != rounds {
		t.Errorf("%d users after a restart", got)
	}
}

func TestUsersSurviveRestart(t *testing.T) {
	u, db := opened(t)
	ctx := t.Context()
	var ids []string
	for _, name := range []string{"carol", "alice", "bob"} {
		ids = append(ids, u.mustCreate(t, User{UserName: name, Active: Yes, Password: registration.Secret(name), Emails: []Value{{Value: name + "@example.com", Primary: No}}}).ID)
	}
	if err := u.Delete(ctx, ids[2], func(*User) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := u.Update(ctx, ids[1], func(user *User) error { user.Title = "Dr"; return nil }); err != nil {
		t.Fatal(err)
	}
	before, err := json.Marshal(u.List())
	if err != nil {
		t.Fatal(err)
	}
	next := again(t, db)
	after, err := json.Marshal(next.List())
	if err != nil {
		t.Fatal(err)
	}
	if string(before) != string(after) {
		t.Errorf("before\n%s\nafter\n%s", before, after)
	}
	if !strings.HasPrefix(string(after), `[{"id":"`+ids[0]) || !strings.Contains(string(after), `"primary":false`) {
		t.Errorf("not in the order of creation, or changed: %s", after)
	}
	if _, ok := next.CheckPassword("ALICE", "alice"); !ok {
		t.Error("alice's password is gone")
	}
	if _, ok := next.Get(ids[2]); ok {
		t.Error("bob is back")
	}
}

func TestUpdate(t *testing.T) {
	u, _ := opened(t)
	ctx := t.Context()
	alice := u.mustCreate(t, User{UserName: "alice", Emails: []Value{{Value: "a@example.com"}}})
	list := u.List()
	if alice.Meta.Version != `W/"1"` || alice.Meta.Created != alice.Meta.LastModified {
		t.Errorf("%+v", alice.Meta)
	}
	same, err := u.Update(ctx, alice.ID, func(user *User) error { user.ID, user.Meta = "mine", Meta{}; return nil })
	if err != nil || same != alice {
		t.Errorf("a change of nothing: %+v, %v", same, err)
	}
	changed, err := u.Update(ctx, alice.ID, func(user *User) error { user.Emails[0].Value = "b@example.com"; return nil })
	if err != nil || changed.Meta.Version != `W/"2"` || changed.ID != alice.ID || changed.Emails[0].Value != "b@example.com" {
		t.Errorf("%+v, %v", changed, err)
	}
	if alice.Emails[0].Value != "a@example.com" || list[0] != alice {
		t.Error("what was handed out has changed")
	}
	refused := errors.New("no")
	if _, err := u.Update(ctx, alice.ID, func(user *User) error { user.Title = "Dr"; return refused }); !errors.Is(err, refused) {
		t.Errorf("%v", err)
	}
	if err := u.Delete(ctx, alice.ID, func(*User) error { return refused }); !errors.Is(err, refused) {
		t.Errorf("%v", err)
	}
	if now, _ := u.Get(alice.ID); now != changed {
		t.Error("a refused change was made")
	}
	_, err = u.Update(ctx, "nobody", func(*User) error { return nil })
	wantCode(t, err, oauth.CodeNotFound)
	wantCode(t, u.Delete(ctx, "nobody", func(*User) error { return nil }), oauth.CodeNotFound)
}

func TestPassword(t *testing.T) {
	u, db := opened(t)
	ctx := t.Context()
	alice := u.mustCreate(t, User{UserName: "alice", Active: Yes, Password: "josé and more"})
	u.mustCreate(t, User{UserName: "bob", Active: Yes})
	u.mustCreate(t, User{UserName: "carol", Active: No, Password: "carol"})
	u.mustCreate(t, User{UserName: "dave", Password: "dave"}) // active was removed
	for _, try := range []struct {
		name, password string
		ok             bool
	}{
		{"alice", "josé and more", true}, {"ALICE", "jose\u0301 and more", true}, {"alice", "josé and mor", false}, {"alice", "", false},
		{"bob", "", false}, {"bob", "bob", false}, {"carol", "carol", false}, {"dave", "dave", false}, {"nobody", "", false},
		{"alice", strings.Repeat("x", maxPassword+1), false},
	} {
		if user, ok := u.CheckPassword(try.name, try.password); ok != try.ok || ok != (user != nil) {
			t.Errorf("%s with %q: %v", try.name, try.password, ok)
		}
	}
	if alice.Password != "" {
		t.Error("the password is handed out")
	}
	stored := dump(t, db)
	if strings.Contains(stored, "and more") || strings.Contains(stored, "secret]") {
		t.Errorf("the password is stored: %s", stored)
	}
	// It stays when a record without one replaces this, and the same again changes
	// nothing.
	for _, password := range []registration.Secret{"", "josé and more"} {
		kept, created, err := u.Put(ctx, User{UserName: "Alice", Active: Yes, Title: "Dr", Password: password}, func(*User) error { return nil })
		if err != nil || created || kept.Meta.Version != `W/"2"` {
			t.Errorf("%+v, %v, %v", kept, created, err)
		}
	}
	if _, ok := u.CheckPassword("alice", "josé and more"); !ok {
		t.Error("the password is gone")
	}
	kept, _, err := u.Put(ctx, User{UserName: "Alice", Active: Yes, Title: "Dr", Password: "another"}, func(*User) error { return nil })
	if _, ok := u.CheckPassword("alice", "another"); err != nil || !ok || kept.Meta.Version != `W/"3"` {
		t.Errorf("%v, %v, %+v", err, ok, kept)
	}
	if _, ok := u.CheckPassword("alice", "josé and more"); ok {
		t.Error("the old password is good")
	}
}

// dump is all that is stored of users.
func dump(t *testing.T, db *store.Bolt) string {
	t.Helper()
	var all strings.Builder
	err := db.View(context.Background(), func(tx store.Tx) error {
		return tx.Scan("default/user", nil, nil, func(_, value []byte, _ time.Time) (bool, error) {
			all.Write(value)
			return true, nil
		})
	})
	if err != nil || all.Len() == 0 {
		t.Fatalf("%q, %v", all.String(), err)
	}
	return all.String()
}

func TestPage(t *testing.T) {
	u, _ := opened(t)
	for _, name := range []string{"bob", "Alice", "carol"} {
		u.mustCreate(t, User{UserName: name})
	}
	for _, page := range []struct {
		after string
		limit int
		want  string
	}{{"", 2, "Alice bob"}, {"bob", 2, "carol"}, {"BOB", 2, "carol"}, {"b", 1, "bob"}, {"x", 5, ""}, {"", 0, ""}} {
		var names []string
		for _, user := range u.Page(page.after, page.limit) {
			names = append(names, user.UserName)
		}
		if got := strings.Join(names, " "); got != page.want {
			t.Errorf("after %q: %s, want %s", page.after, got, page.want)
		}
	}
}
