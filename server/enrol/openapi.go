package enrol

import (
	_ "embed"
	"fmt"

	"github.com/fapid/fapid/server/endpoint"
)

//go:embed openapi.yaml
var openAPI []byte

// Description is the part of the operator's OpenAPI description that is about
// participants. The text is embedded, so a fault in it is a mistake that every test
// finds.
func Description() endpoint.Description {
	description, err := endpoint.ParseDescription(openAPI)
	if err != nil {
		panic(fmt.Sprintf("enrol: OpenAPI description: %v", err))
	}
	return description
}
