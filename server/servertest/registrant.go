package servertest

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server"
	"github.com/fapid/fapid/server/participant"
)

// Registering lets software register itself at the default realm, by any of the ways;
// none means all of them. It is for a change of the configuration.
func Registering(ways ...string) func(*server.Config) {
	return func(config *server.Config) {
		if len(ways) == 0 {
			ways = []string{"open", "initial_access_token", "certificate"}
		}
		config.Realms["default"].Registration = &server.Registration{Access: ways, Policy: "oauth2"}
	}
}

// Registrant is software that registers itself, and what it was told of that last.
type Registrant struct {
	S        *Server
	HTTP     *http.Client
	Endpoint string // where it registers
	// Initial is its initial access token, empty for none.
	Initial string

	ClientID, Secret, Token, URI string
	Answer                       Answer // the last one
}

// Registrant makes one without a certificate, for a listener's URL.
func (s *Server) Registrant(base string) *Registrant {
	s.T.Helper()
	client := s.client(&participant.Participant{})
	s.T.Cleanup(client.CloseIdleConnections)
	return &Registrant{S: s, HTTP: client, Endpoint: base + "/reg"}
}

// Registrant is the TPP as software that registers itself over mTLS.
func (tpp *TPP) Registrant() *Registrant {
	return &Registrant{S: tpp.S, HTTP: tpp.HTTP, Endpoint: tpp.S.MTLS + "/reg"}
}

// Plain is a registration without anything that has to be proved.
func Plain(changes ...any) map[string]any {
	metadata := map[string]any{"client_name": "My app", "grant_types": []string{"client_credentials"}, "scope": "accounts"}
	return Changed(metadata, changes...)
}

// Changed is a copy with some members changed: names and values, nil leaves one out.
func Changed(members map[string]any, changes ...any) map[string]any {
	changed := maps.Clone(members)
	for i := 0; i+1 < len(changes); i += 2 {
		changed[changes[i].(string)] = changes[i+1]
		if changes[i+1] == nil {
			delete(changed, changes[i].(string))
		}
	}
	return changed
}

// Register registers, and notes what the answer says. Metadata is JSON, or what can
// be written as JSON.
func (r *Registrant) Register(metadata any) Answer {
	r.S.T.Helper()
	return r.call(http.MethodPost, r.Endpoint, r.Initial, metadata)
}

// Read, Update and Delete manage the registration.
func (r *Registrant) Read() Answer {
	r.S.T.Helper()
	return r.call(http.MethodGet, r.URI, r.Token, nil)
}

// Update replaces the registration.
func (r *Registrant) Update(metadata any) Answer {
	r.S.T.Helper()
	return r.call(http.MethodPut, r.URI, r.Token, metadata)
}

// Delete removes the registration.
func (r *Registrant) Delete() Answer {
	r.S.T.Helper()
	return r.call(http.MethodDelete, r.URI, r.Token, nil)
}

func (r *Registrant) call(method, address, token string, metadata any) Answer {
	r.S.T.Helper()
	header := http.Header{}
	if token != "" {
		header.Set("Authorization", "Bearer "+token)
	}
	body, isText := metadata.(string)
	if !isText && metadata != nil {
		text, err := json.Marshal(metadata)
		if err != nil {
			r.S.T.Fatal(err)
		}
		body = string(text)
	}
	if metadata != nil {
		header.Set("Content-Type", registration.MediaJSON)
	}
	r.Answer = r.S.Do(r.HTTP, method, address, header, body)
	for member, at := range map[string]*string{
		"client_id": &r.ClientID, "client_secret": &r.Secret, "registration_access_token": &r.Token, "registration_client_uri": &r.URI,
	} {
		if value, ok := r.Answer.JSON[member].(string); ok && r.Answer.Status < 300 {
			*at = value
		}
	}
	return r.Answer
}

// Fetch asks for a token with the client secret.
func (r *Registrant) Fetch() Answer {
	r.S.T.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {r.ClientID}, "client_secret": {r.Secret}}
	return r.S.Do(r.HTTP, http.MethodPost, r.S.Issuer+"/token", Form, form.Encode())
}

// WithSecret is a registration of a client that posts its secret.
func WithSecret(changes ...any) map[string]any {
	return Plain(slices.Concat([]any{"token_endpoint_auth_method", oauth.AuthSecretPost}, changes)...)
}
