package scim

import (
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/server/users"
	"github.com/fapid/fapid/store"
)

// people are some users to search among.
func people(t testing.TB) *users.Users {
	t.Helper()
	db, err := store.Open(filepath.Join(t.TempDir(), "db"), store.Options{Ephemeral: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	now := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	u, err := users.Open(t.Context(), "default", db, func() time.Time { now = now.Add(time.Hour); return now })
	if err != nil {
		t.Fatal(err)
	}
	for _, body := range []string{
		`{"userName":"alice","externalId":"E1","name":{"familyName":"O'Malley","givenName":"Alice"},"title":"Tour Guide","active":true,
		  "emails":[{"value":"alice@example.com","type":"work","primary":true},{"value":"alice@home.example","type":"home"}],
		  "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"department":"Sales","manager":{"value":"26118915"}}}`,
		`{"userName":"Bob","externalId":"e1","name":{"familyName":"Smith"},"userType":"Employee","active":false,
		  "emails":[{"value":"bob@example.org","type":"home","primary":false}]}`,
		`{"userName":"carol","userType":"Intern","nickName":"","preferredLanguage":"de"}`,
	} {
		object, err := users.Object([]byte(body))
		if err != nil {
			t.Fatal(err)
		}
		user, err := users.Read(object, users.SCIM)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := u.Create(t.Context(), user); err != nil {
			t.Fatal(err)
		}
	}
	return u
}

// The examples of RFC 7644 section 3.4.2.2 and what is beside them.
func TestFilter(t *testing.T) {
	u := people(t)
	for filter, want := range map[string]string{
		`userName eq "ALICE"`: "alice",
		// Without quotes, as WSO2 documents it.
		`userName sw al and name.familyName co mall`:                 "alice",
		`(emails eq bob@example.org)`:                                "Bob",
		`emails[type eq work]`:                                       "alice",
		`userName eq DEFAULT/kim@gmail.com`:                          "",
		`userName Eq "alice"`:                                        "alice",
		`USERNAME eq "bob"`:                                          "Bob",
		`urn:ietf:params:scim:schemas:core:2.0:User:userName sw "B"`: "Bob",
		`URN:IETF:params:scim:schemas:core:2.0:user:userName sw "B"`: "Bob",
		`userName eq "dave"`:                                         "",
		`externalId eq "e1"`:                                         "Bob", // case matters
		`id eq "nobody"`:                                             "",
		`name.familyName co "O'Malley"`:                              "alice",
		`name.familyName co "o'm"`:                                   "alice",
		`userName sw "a"`:                                            "alice",
		`userName ew "OL"`:                                           "carol",
		`title pr`:                                                   "alice",
		`nickName pr`:                                                "",
		`name pr`:                                                    "alice Bob",
		`active pr`:                                                  "alice Bob carol",
		`active eq false`:                                            "Bob",
		`active ne false`:                                            "alice carol",
		`not (active eq true)`:                                       "Bob",
		`userName gt "bob"`:                                          "carol",
		`userName ge "bob"`:                                          "Bob carol",
		`userName lt "bob"`:                                          "alice",
		`userName le "bob"`:                                          "alice Bob",
		`meta.lastModified gt "2026-01-31T14:00:00Z"`:                "carol",
		`meta.lastModified ge "2026-01-31T15:00:00+01:00"`:           "Bob carol",
		`meta.lastModified lt "2026-01-31T14:00:00Z"`:                "alice",
		`meta.created eq "2026-01-31T14:00:00.000Z"`:                 "Bob",
		`meta.resourceType eq "User"`:                                "alice Bob carol",
		`title pr and userType eq "Employee"`:                        "",
		`schemas eq "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"`: "alice",
		`SCHEMAS eq "urn:ietf:params:scim:schemas:core:2.0:user"`:                 "alice Bob carol",
		`schemas co "enterprise" and userName pr or schemas eq "urn:x"`:           "alice",
		`schemas ne "urn:ietf:params:scim:schemas:core:2.0:User"`:                 "alice",
		`not (schemas ew "enterprise:2.0:User")`:                                  "Bob carol",
		`schemas pr`:                                                              "alice Bob carol",
		`schemas eq true`:                                                         "!",
		`schemas gt`:                                                              "!",
		`emails[schemas pr]`:                                                      "!",
		`title pr or userType eq "Intern"`:                                        "alice carol",
		`userType eq "Employee" and (emails co "example.com" or emails.value co "example.org")`:      "Bob",
		`userType ne "Employee" and not (emails co "example.com" or emails.value co "example.org")`:  "carol",
		`userType eq "Employee" and (emails.type eq "work")`:                                         "",
		`emails[type eq "work" and value co "@home.example"]`:                                        "",
		`emails[type eq "home" and value co "@home.example"]`:                                        "alice",
		`emails[type eq "work" and value co "@example.com"] or ims[type eq "xmpp" and value co "@"]`: "alice",
		`emails[not (type eq "home")]`:                                                               "alice",
		`emails[primary eq true]`:                                                                    "alice",
		`emails[primary eq false].type pr`:                                                           "!",
		`emails.type ne "home"`:                                                                      "alice carol",
		`emails pr`:                                                                                  "alice Bob",
		`emails eq "BOB@example.org"`:                                                                "Bob",
		`userType eq null`:                                                                           "alice",
		`userType ne null`:                                                                           "Bob carol",
		`userName eq "alice" or userName eq "bob" and title pr`:                                      "alice", // "and" binds stronger
		`(userName eq "alice" or userName eq "bob") and userType pr`:                                 "Bob",
		`not(title pr)`:                 "Bob carol",
		`   userName   eq   "alice"   `: "alice",
		`userName eq "\u0061lice"`:      "alice",
		`urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department eq "sales"`:       "alice",
		`urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value eq "26118915"`: "alice",
		`urn:ietf:params:scim:schemas:extension:enterprise:2.0:User[department sw "s"]`:          "alice",
		`urn:ietf:params:scim:schemas:extension:enterprise:2.0:User pr`:                          "alice",
		`preferredLanguage co ""`: "carol",
	} {
		parsed, err := parseFilter(filter)
		if want == "!" {
			if err == nil {
				t.Errorf("%s: was accepted", filter)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", filter, err)
			continue
		}
		q := &query{filter: parsed, start: 1, count: 100}
		found, total, err := q.run(u)
		var names []string
		for _, user := range found {
			names = append(names, user.UserName)
		}
		if got := strings.Join(names, " "); err != nil || got != want || total != len(found) {
			t.Errorf("%s: %s (%d, %v), want %s", filter, got, total, err, want)
		}
	}
}

func TestFilterRefuses(t *testing.T) {
	for _, filter := range []string{
		``, ` `, `userName`, `userName eq`, `userName is "alice"`, `eq "alice"`, `"alice" eq userName`,
		`userName eq "alice`, `userName eq "alice" and`, `userName eq "alice" "bob"`, `userName eq "alice" xor title pr`,
		`userName eq"alice"`, `userName eq "alice"and title pr`, `userName eq 'alice'`, `userName eq {"a":1}`, `userName eq ["a"]`,
		`(userName eq "alice"`, `userName eq "alice")`, `not userName eq "alice"`, `not`, `()`, `not ()`, `and`, `title pr pr`,
		`nothing pr`, `name.nothing pr`, `urn:example:schema:x pr`, `userName.value eq "x"`, `emails.value.x pr`, `.userName pr`, `name..familyName pr`,
		`password pr`, `password eq "alice"`, `urn:ietf:params:scim:schemas:core:2.0:User:password sw "a"`, `accounts pr`, `accounts.balance eq "1"`,
		`active eq "true"`, `active gt true`, `active co true`, `active eq 1`, `userName eq 1`, `userName eq true`, `userName gt null`, `name eq "x"`,
		`meta.created gt "yesterday"`, `meta.created co "2026"`, `meta.created eq 5`, `x509Certificates.value gt "A"`,
		`userName[type eq "x"]`, `emails[type eq "work"`, `emails[]`, `emails[emails[type eq "x"]]`, `urn:ietf:params:scim:schemas:extension:enterprise:2.0:User[manager[value eq "26118915"]]`, `emails[userName eq "x"]`, `emails[type eq "x"]]`,
		`userName eq "a" or`, "userName eq \"\xff\"", "userName eq \"a\nb\"", `userName eq "\x"`, `userName eq al"ice`, `userName eq al(ice`, `emails[type eq wo[rk]`, "userName eq al\x01ice", `userName eq -1`, `userName eq`, `userName eq )`,
		strings.Repeat("(", maxDepth+1) + `title pr` + strings.Repeat(")", maxDepth+1),
		strings.Repeat("not (", 400), strings.Repeat("title pr and ", 200) + "title pr",
	} {
		_, err := parseFilter(filter)
		if refusal, ok := errors.AsType[oauth.Error](err); !ok || refusal.Code != codeInvalidFilter || refusal.Status != 400 {
			t.Errorf("%.60q: %v", filter, err)
		}
	}
	deepest := strings.Repeat("(", maxDepth) + `title pr` + strings.Repeat(")", maxDepth)
	if _, err := parseFilter(deepest); err != nil {
		t.Errorf("%s: %v", deepest, err)
	}
}

// Names are found by the index and by nothing else.
func TestFilterByIndex(t *testing.T) {
	u := people(t)
	for filter, want := range map[string]int{
		`userName eq "alice"`: 1, `externalId eq "E1"`: 1, `externalId eq "nobody"`: 0, `title pr and userName eq "BOB"`: 1,
		`userName eq "alice" and active eq true`: 1, `userName sw "alice"`: -1, `userName eq "alice" or title pr`: -1,
		`not (userName eq "alice")`: -1, `name.familyName eq "Smith"`: -1, `userName ne "alice"`: -1,
	} {
		parsed, err := parseFilter(filter)
		if err != nil {
			t.Fatal(err)
		}
		found, indexed := candidates(parsed, u)
		if indexed != (want >= 0) || indexed && len(found) != want {
			t.Errorf("%s: %d by index %v", filter, len(found), indexed)
		}
	}
}

func TestSort(t *testing.T) {
	u := people(t)
	for asked, want := range map[[2]string]string{
		{"userName", ""}:                             "alice Bob carol",
		{"userName", "descending"}:                   "carol Bob alice",
		{"USERNAME", "Descending"}:                   "carol Bob alice",
		{"title", "ascending"}:                       "alice Bob carol",
		{"userType", ""}:                             "Bob carol alice", // without it: last
		{"userType", "descending"}:                   "alice carol Bob",
		{"emails", ""}:                               "alice Bob carol",
		{"emails.type", ""}:                          "Bob alice carol", // alice's primary one is of type work
		{"meta.created", "descending"}:               "carol Bob alice",
		{"active", ""}:                               "Bob alice carol",
		{users.EnterpriseSchema + ":department", ""}: "alice Bob carol",
	} {
		q := &query{start: 1, count: 100, sortText: asked[0], sortOrder: asked[1]}
		if err := q.settle(); err != nil {
			t.Errorf("%v: %v", asked, err)
			continue
		}
		found, _, err := q.run(u)
		var names []string
		for _, user := range found {
			names = append(names, user.UserName)
		}
		if got := strings.Join(names, " "); err != nil || got != want {
			t.Errorf("%v: %s (%v), want %s", asked, got, err, want)
		}
	}
	for _, bad := range [][2]string{{"nothing", ""}, {"name", ""}, {"password", ""}, {"accounts", ""}, {"userName", "upwards"}, {"urn:x:y", ""}} {
		q := &query{sortText: bad[0], sortOrder: bad[1]}
		if err := q.settle(); err == nil {
			t.Errorf("sorted by %v", bad)
		}
	}
}

// More than is sorted here is refused, and listed all the same.
func TestSortTooMany(t *testing.T) {
	db, err := store.Open(filepath.Join(t.TempDir(), "db"), store.Options{Ephemeral: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	err = db.Update(t.Context(), func(tx store.Tx) error {
		for i := range maxSorted + 1 {
			record := fmt.Sprintf(`{"user":{"id":"%d","userName":"user-%d"},"number":%d}`, i, i, i)
			if err := tx.Put("default/user", fmt.Append(nil, i), []byte(record), time.Time{}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	u, err := users.Open(t.Context(), "default", db, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	for asked, code := range map[[2]string]string{{"userName", ""}: codeTooMany, {"userName", `userName ew "7"`}: "", {"", "userName pr"}: ""} {
		q := &query{start: 1, count: 5, sortText: asked[0], filterText: asked[1]}
		if err := q.settle(); err != nil {
			t.Fatal(err)
		}
		page, _, err := q.run(u)
		refusal, _ := errors.AsType[oauth.Error](err)
		if refusal.Code != code || code == "" && (err != nil || len(page) != 5) {
			t.Errorf("%v: %d users, %v", asked, len(page), err)
		}
	}
}

func FuzzFilter(f *testing.F) {
	for _, filter := range []string{
		`userName eq "alice"`, `emails[type eq "work" and value co "@"] or not (title pr)`, `meta.created gt "2026-01-31T14:00:00Z"`,
		`urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.$ref pr`, `active ne true and (name.familyName le "x")`, `userType eq null`,
	} {
		f.Add(filter)
	}
	user := people(f).List()[0]
	f.Fuzz(func(t *testing.T, filter string) {
		parsed, err := parseFilter(filter)
		if err != nil {
			if refusal, ok := errors.AsType[oauth.Error](err); !ok || refusal.Status != 400 {
				t.Fatal(err)
			}
			return
		}
		// What is not matched is matched by its negation, and the other way round.
		negated, err := parseFilter("not (" + filter + ")")
		v := reflect.ValueOf(user).Elem()
		if err == nil && negated.match(v) == parsed.match(v) {
			t.Errorf("%q and its negation agree", filter)
		}
	})
}
