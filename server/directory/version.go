package directory

import (
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/server/endpoint"
)

// version tells one state of a record from another.
func version(body []byte) string {
	sum := sha256.Sum256(body)
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
}

// query reads the parameters of a request; one that is not known, or given twice,
// is refused.
func query(r *endpoint.Request, known ...string) (url.Values, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, oauth.InvalidRequest("the query is malformed").Because("%w", err)
	}
	for name, list := range values {
		if !slices.Contains(known, name) || len(list) > 1 {
			return nil, oauth.InvalidRequest("parameter %s is unknown or given twice; there are %s", oauth.Clip(name), strings.Join(known, ", "))
		}
	}
	return values, nil
}

// page is a part of a list, as Raidiam has it.
type page[T any] struct {
	Content          []T  `json:"content"`
	TotalPages       int  `json:"totalPages"`
	TotalSize        int  `json:"totalSize"`
	NumberOfElements int  `json:"numberOfElements"`
	Size             int  `json:"size"`
	Offset           int  `json:"offset"`
	PageNumber       int  `json:"pageNumber"` // from 0
	Empty            bool `json:"empty"`
}

// The sizes of pages.
const (
	usualPage   = 100
	largestPage = 1000
)

// paged cuts the page out of a list that a request asks for by page and size.
func paged[T any](r *endpoint.Request, all []T) (*endpoint.Answer, error) {
	values, err := query(r, "page", "size")
	if err != nil {
		return nil, err
	}
	number, size := 0, usualPage
	for _, parameter := range []struct {
		name     string
		at       *int
		from, to int
	}{{"page", &number, 0, 1 << 20}, {"size", &size, 1, largestPage}} {
		text := values.Get(parameter.name)
		if text == "" {
			continue
		}
		if *parameter.at, err = strconv.Atoi(text); err != nil || *parameter.at < parameter.from || *parameter.at > parameter.to {
			return nil, oauth.InvalidRequest("%s is a number from %d to %d", parameter.name, parameter.from, parameter.to)
		}
	}
	from := min(number*size, len(all))
	content := all[from:min(from+size, len(all))]
	return &endpoint.Answer{JSON: page[T]{
		Content: content, TotalPages: (len(all) + size - 1) / size, TotalSize: len(all), NumberOfElements: len(content),
		Size: size, Offset: from, PageNumber: number, Empty: len(content) == 0,
	}}, nil
}
