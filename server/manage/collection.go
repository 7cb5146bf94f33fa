package manage

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/endpoint"
)

// kind is a kind of records that are put and deleted by their id.
type kind[T any] struct {
	name string // for errors: "client"
	// id is what a record brings as its id, and is kept under.
	id func(*T) *string
	// at puts a record where a path says, or refuses; nil is for kinds whose id is
	// that of the path.
	at func(realm *Realm, path string, record *T) error
	// place is where a record stands in the list; nil is for the order of ids.
	place func(*T) string
	// find returns a record and its version; the error is not_found.
	find func(realm *Realm, id string) (*T, string, error)
	list func(realm *Realm, after string, limit int) []*T
	// put writes a record if judge has nothing against it, and returns it as it is
	// then, with its version.
	put    func(ctx context.Context, realm *Realm, record T, judge judge[T]) (*T, string, bool, error)
	remove func(ctx context.Context, realm *Realm, id string, judge registration.Judge) error
	// gives is what the record would give to somebody.
	gives func(realm *Realm, record *T) given
}

// address puts a record where a path says.
func (k *kind[T]) address(realm *Realm, path string, record *T) error {
	if k.at != nil {
		return k.at(realm, path, record)
	}
	id := k.id(record)
	if *id != "" && *id != path {
		return oauth.InvalidRequest("the body is of %s %s and the path of %s", k.name, oauth.Clip(*id), oauth.Clip(path))
	}
	*id = path
	return nil
}

// after is what the next page of a list comes after.
func (k *kind[T]) after(last *T) string {
	if k.place != nil {
		return k.place(last)
	}
	return *k.id(last)
}

// judge decides on a record that is about to be put; before is the version of the
// one there is, empty for none.
type judge[T any] func(before string, after *T) error

// form is how records of a kind are read and shown.
type form[T any] struct {
	name  string // in entity tags; empty for fapid's own
	read  func(text []byte, in registration.Syntax) (T, error)
	show  func(record *T, version string) any
	page  func(c *call, shown []any, next string) any
	pages endpoint.Paging
	// members are the names that the kind's members have in the form; nil is the same.
	members *strings.Replacer
}

// refusal says what is wrong with a record in the words of the form.
func (f *form[T]) refusal(err error) error {
	refusal, ok := errors.AsType[oauth.Error](err)
	if !ok || f.members == nil {
		return err
	}
	refusal.Description = f.members.Replace(refusal.Description)
	return refusal
}

// collection serves a kind in a form.
type collection[T any] struct {
	name string // of the list, in cursors
	kind kind[T]
	form form[T]
}

// list shows a page of the records.
func (s *collection[T]) list(_ context.Context, c *call) (*endpoint.Answer, error) {
	page, err := c.realm.Lists.Page(c.Request, s.name, s.form.pages)
	if err != nil {
		return nil, err
	}
	records := s.kind.list(c.realm, page.After, page.Limit+1)
	next := ""
	if len(records) > page.Limit {
		records = records[:page.Limit]
		next = page.Next(s.kind.after(records[page.Limit-1]))
	}
	shown := make([]any, len(records))
	for i, record := range records {
		shown[i] = s.form.show(record, "")
	}
	return c.Document(http.StatusOK, s.form.page(c, shown, next))
}

// show shows one record.
func (s *collection[T]) show(_ context.Context, c *call) (*endpoint.Answer, error) {
	record, version, err := s.kind.find(c.realm, c.Path["id"])
	if err != nil {
		return nil, err
	}
	if err := c.matches(version); err != nil {
		return nil, err
	}
	answer, err := s.document(c, http.StatusOK, record, version)
	if err != nil {
		return nil, err
	}
	if _, unchanged, err := c.named("If-None-Match", version); err != nil {
		return nil, err
	} else if unchanged {
		// RFC 9110 section 15.4.5: with what would tell caches apart.
		return &endpoint.Answer{Status: http.StatusNotModified, Header: answer.Header}, nil
	}
	return answer, nil
}

func (s *collection[T]) tag(c *call, version string) string {
	media := c.DocumentType()
	return entityTag(version, s.form.name+media[strings.LastIndexAny(media, "/-")+1:])
}

func (s *collection[T]) document(c *call, status int, record *T, version string) (*endpoint.Answer, error) {
	answer, err := c.Document(status, s.form.show(record, version))
	if err == nil {
		answer.Header.Set("ETag", s.tag(c, version))
	}
	return answer, err
}

// read reads the record of a request's body.
func (s *collection[T]) read(c *call) (T, error) {
	body, inYAML, err := c.ReadDocument()
	if err != nil {
		var none T
		return none, err
	}
	syntax := registration.JSON
	if inYAML {
		syntax = registration.YAML
	}
	return s.form.read(body, syntax)
}

// put writes a record, replacing what was there. Putting the same again changes
// nothing.
func (s *collection[T]) put(ctx context.Context, c *call) (*endpoint.Answer, error) {
	if _, err := c.Query(); err != nil {
		return nil, err
	}
	record, err := s.read(c)
	if err != nil {
		return nil, err
	}
	if err := s.kind.address(c.realm, c.Path["id"], &record); err != nil {
		return nil, s.form.refusal(err)
	}
	written, version, created, err := s.kind.put(ctx, c.realm, record, func(before string, after *T) error {
		if err := c.preconditions(before); err != nil {
			return err
		}
		return c.mayGive(s.kind.gives(c.realm, after))
	})
	if err != nil {
		return nil, s.form.refusal(err)
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
	}
	return s.document(c, status, written, version)
}

// create writes a record under an id that nothing has: the one it brings, or a
// new one.
func (s *collection[T]) create(ctx context.Context, c *call) (*endpoint.Answer, error) {
	if _, err := c.Query(); err != nil {
		return nil, err
	}
	record, err := s.read(c)
	if err != nil {
		return nil, err
	}
	id := s.kind.id(&record)
	if *id == "" {
		*id = strings.ToLower(rand.Text())
	}
	written, version, _, err := s.kind.put(ctx, c.realm, record, func(before string, after *T) error {
		if before != "" {
			return oauth.AlreadyExists("there is a %s %s; PUT replaces it", s.kind.name, oauth.Clip(*s.kind.id(after)))
		}
		return c.mayGive(s.kind.gives(c.realm, after))
	})
	if err != nil {
		return nil, s.form.refusal(err)
	}
	answer, err := s.document(c, http.StatusCreated, written, version)
	if err == nil {
		answer.Header.Set("Location", c.URL.EscapedPath()+"/"+url.PathEscape(*s.kind.id(written)))
	}
	return answer, err
}

// remove deletes a record.
func (s *collection[T]) remove(ctx context.Context, c *call) (*endpoint.Answer, error) {
	if _, err := c.Query(); err != nil {
		return nil, err
	}
	if err := s.kind.remove(ctx, c.realm, c.Path["id"], c.removable); err != nil {
		return nil, err
	}
	return &endpoint.Answer{Status: http.StatusNoContent}, nil
}

// plainPage is a page in fapid's own form: the records under the name of their
// list, and the cursor of the next page where there is one.
func plainPage(list string, shown []any, next string) map[string]any {
	page := map[string]any{list: shown}
	if next != "" {
		page["next"] = next
	}
	return page
}
