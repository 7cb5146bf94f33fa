package endpoint

import (
	"crypto/subtle"
	"encoding/base64"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/store"
)

// Query reads the parameters of a request's URL. One that is not known, or given
// twice, is refused: a filter that does nothing is worse than none.
func (r *Request) Query(known ...string) (url.Values, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, oauth.InvalidRequest("the query is malformed").Because("%w", err)
	}
	for name, list := range values {
		switch {
		case len(known) == 0:
			return nil, oauth.InvalidRequest("unknown parameter %s; there are none here", oauth.Clip(name))
		case !slices.Contains(known, name):
			return nil, oauth.InvalidRequest("unknown parameter %s; there are %s", oauth.Clip(name), strings.Join(known, ", "))
		case len(list) > 1:
			return nil, oauth.InvalidRequest("parameter %s is given %d times", name, len(list))
		}
	}
	return values, nil
}

// page sizes of the lists.
const (
	defaultPage = 100
	maxPage     = 1000
)

// Limit reads how many things a page of a list may have.
func Limit(text string) (int, error) {
	if text == "" {
		return defaultPage, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxPage {
		return 0, oauth.InvalidRequest("limit is a number from 1 to %d", maxPage)
	}
	return n, nil
}

// Lists makes and reads the cursors of lists: the place where a page ended, with
// a MAC over it and over which list with which filter it is of. Nobody else makes
// one, and one is of no use for another list.
type Lists struct{ Sealer *store.Sealer }

// Page is what a request asks for of a list.
type Page struct {
	// Filter are the parameters of the list's own, at most one value each.
	Filter url.Values
	Limit  int
	// After is the place to go on after; empty is the beginning.
	After string

	lists *Lists
	list  string
}

// The parameters of a page, and how they are called in the lists of FHIR.
var (
	PlainPaging = Paging{"limit", "cursor"}
	FHIRPaging  = Paging{"_count", "_cursor"}
)

// Paging are the names of the parameters of a page.
type Paging struct{ Limit, Cursor string }

// Page reads which page of a list a request asks for. filters are the parameters
// of the list's own. What it refuses is an invalid_request.
func (l *Lists) Page(r *Request, list string, names Paging, filters ...string) (*Page, error) {
	values, err := r.Query(append(slices.Clone(filters), names.Limit, names.Cursor)...)
	if err != nil {
		return nil, err
	}
	page := &Page{Filter: values, lists: l, list: list}
	if page.Limit, err = Limit(values.Get(names.Limit)); err != nil {
		return nil, err
	}
	cursor := values.Get(names.Cursor)
	values.Del(names.Limit)
	values.Del(names.Cursor)
	if cursor == "" {
		return page, nil
	}
	place, ok := page.open(cursor)
	if !ok {
		r.Event.Fail("cursor", "the cursor of the page before, with the same filter", "another", "take the cursor as it is, and repeat the filter")
		return nil, oauth.InvalidRequest("%s is not one of this list with this filter", names.Cursor)
	}
	page.After = place
	return page, nil
}

// cursorMAC is how much of a MAC a cursor carries, in bytes.
const cursorMAC = 16

var cursorEncoding = base64.RawURLEncoding

// Next is the cursor of the page after this one, which ended at a place; empty if
// it was the last.
func (p *Page) Next(place string) string {
	if place == "" {
		return ""
	}
	return cursorEncoding.EncodeToString(append(p.mac(place), place...))
}

func (p *Page) mac(place string) []byte {
	return p.lists.Sealer.MAC([]byte(p.list + "\x00" + p.Filter.Encode() + "\x00" + place))[:cursorMAC:cursorMAC]
}

func (p *Page) open(cursor string) (place string, ok bool) {
	content, err := cursorEncoding.DecodeString(cursor)
	// A decoder looks over line breaks and the last bits: a cursor has one spelling.
	if err != nil || len(content) <= cursorMAC || cursorEncoding.EncodeToString(content) != cursor {
		return "", false
	}
	place = string(content[cursorMAC:])
	return place, subtle.ConstantTimeCompare(p.mac(place), content[:cursorMAC]) == 1
}
