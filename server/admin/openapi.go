package admin

import (
	_ "embed"
	"fmt"
	"net/http"

	"github.com/fapid/fapid/server/endpoint"
)

//go:embed openapi.yaml
var openAPI []byte

// described are the routes that describe all there are. The text is embedded, so a
// fault in it is a mistake that every test finds.
func (o *Operator) described(address string) []Route {
	asJSON, asYAML := endpoint.Described(func() endpoint.Description {
		own, err := endpoint.ParseDescription(openAPI)
		if err != nil {
			panic(fmt.Sprintf("admin: OpenAPI description: %v", err))
		}
		document := endpoint.Description{"servers": []any{map[string]any{"url": address}}}
		document.Add(o.ManagedDescription())
		document.Add(own)
		return document
	})
	return []Route{
		{http.MethodGet, "/openapi.json", "openapi", Public, asJSON},
		{http.MethodGet, "/openapi.yaml", "openapi", Public, asYAML},
	}
}
