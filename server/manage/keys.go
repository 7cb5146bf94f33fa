package manage

import (
	"cmp"
	"context"
	"net/http"
	"slices"

	"github.com/fapid/fapid/server/endpoint"
	"github.com/fapid/fapid/server/token"
)

// keys are the published signing keys of a realm.
var keys = resource{"keys", []route{
	{method: http.MethodGet, path: "/keys", label: "keys", scope: readScope("keys"), serve: listKeys},
	{method: http.MethodPost, path: "/keys/rotate", label: "keys_rotate", scope: writeScope("keys"), serve: rotateKeys},
}}

func listKeys(_ context.Context, c *call) (*endpoint.Answer, error) {
	if _, err := c.Query(); err != nil {
		return nil, err
	}
	return c.keys()
}

// keys lists the keys by algorithm and state: active, next, retired. They are few.
func (c *call) keys() (*endpoint.Answer, error) {
	list := slices.SortedFunc(slices.Values(c.realm.Keys.Keys()), func(a, b token.KeyRecord) int {
		return cmp.Or(cmp.Compare(a.Alg, b.Alg), cmp.Compare(a.State, b.State), a.Created.Compare(b.Created))
	})
	return c.Document(http.StatusOK, map[string]any{"keys": list})
}

// rotateKeys makes the next key sign, of one algorithm or of all.
func rotateKeys(ctx context.Context, c *call) (*endpoint.Answer, error) {
	values, err := c.Query("alg")
	if err != nil {
		return nil, err
	}
	algs := c.realm.Keys.Algs()
	if alg := values.Get("alg"); alg != "" {
		algs = []string{alg}
	}
	if err := c.realm.Keys.Rotate(ctx, algs...); err != nil {
		return nil, err
	}
	return c.keys()
}
