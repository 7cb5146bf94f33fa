package manage

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/fapid/fapid/server/endpoint"
)

// realms are read only: what is in force of a realm comes from the configuration.
var realms = resource{"realms", []route{
	{method: http.MethodGet, path: "", label: "realm", scope: readScope("realms"), serve: showRealm},
}}

// InForce is what is in force of a realm. There is no secret in it, and no
// name of a file.
type InForce struct {
	Name    string `json:"name"`
	Issuer  string `json:"issuer"`
	Layout  string `json:"layout"`
	Sandbox bool   `json:"sandbox"`
	// Policy is the security profile of clients that name none; Policies are all.
	Policy   string   `json:"policy"`
	Policies []string `json:"policies"`
	// Scopes are what clients can be registered for.
	Scopes []string `json:"scopes"`
	// Audience is the aud of tokens for the realm's own API, Subject the template
	// of sub.
	Audience string `json:"audience"`
	Subject  string `json:"subject"`
	// Management says how the management API is served on the realm's listeners;
	// nil if it is not.
	Management *Management `json:"management,omitempty"`
	// Discovery is the realm's discovery document.
	Discovery json.RawMessage `json:"discovery"`
}

// Management says how a realm's management API is served on its own listeners.
type Management struct {
	// Audience is what aud of the tokens for it must name.
	Audience      string   `json:"audience"`
	UnboundTokens bool     `json:"unbound_tokens"`
	Basic         bool     `json:"basic"`
	Policies      []string `json:"policies"`
}

func showRealm(_ context.Context, c *call) (*endpoint.Answer, error) {
	if _, err := c.Query(); err != nil {
		return nil, err
	}
	return c.Document(http.StatusOK, c.realm.Describe())
}
