package drill

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/registration/faults"
	"github.com/fapid/fapid/server/admin"
	"github.com/fapid/fapid/server/participant"
)

// registered is a client that came of an attempt.
type registered struct {
	id    string
	token string // registration access token, where the ecosystem has them
}

// endpoint is where software registers over mTLS.
func (d *Statements) endpoint() string {
	holder := participant.Participant{}
	holder.Metadata.CertificateBoundTokens = true
	return holder.Endpoint(d.Provider, "registration_endpoint")
}

// register sends a registration.
func (d *Statements) register(ctx context.Context, a *attempt, s *sent) (*participant.Reply, error) {
	return d.send(ctx, a, s, http.MethodPost, d.endpoint(), "")
}

func (d *Statements) send(ctx context.Context, a *attempt, s *sent, method, address, token string) (*participant.Reply, error) {
	holder, err := d.holder(ctx, a.stage, s.certificate)
	if err != nil {
		return nil, err
	}
	header := http.Header{}
	if s.MediaType != "" {
		header.Set("Content-Type", s.MediaType)
	}
	if token != "" {
		header.Set("Authorization", oauth.SchemeBearer+" "+token)
	}
	return participant.Send(ctx, holder.http, method, address, header, bytes.NewReader(s.Body))
}

// registered reads who was registered.
func (d *Statements) registered(s *stage, reply *participant.Reply) (registered, error) {
	if reply.Status >= http.StatusMultipleChoices {
		return registered{}, fmt.Errorf("%d %s", reply.Status, reply.Body)
	}
	if d.Ecosystem.Answer.Empty {
		return registered{id: s.software.ClientID}, nil
	}
	var answer struct {
		ID    string `json:"client_id"`
		Token string `json:"registration_access_token"`
	}
	err := json.Unmarshal(reply.Body, &answer)
	return registered{answer.ID, answer.Token}, err
}

// change sends an update of a registration, with what the ecosystem wants for that.
func (d *Statements) change(ctx context.Context, a *attempt, client registered) (*participant.Reply, error) {
	token := client.token
	if d.Ecosystem.Management.With == registration.AccessToken {
		holder, err := d.holder(ctx, a.stage, faults.Own)
		if err != nil {
			return nil, err
		}
		self := holder.Participant
		self.Metadata = managing(client.id)
		answer, _, err := self.Token(ctx, holder.http, d.Provider, nil)
		if err != nil {
			return nil, fmt.Errorf("a token to manage the registration with: %w", err)
		}
		token = answer.AccessToken
	}
	return d.send(ctx, a, &a.sent, http.MethodPut, d.endpoint()+"/"+client.id, token)
}

// managing is what a registered client has to know of itself to fetch a token.
func managing(id string) registration.Metadata {
	return registration.Metadata{
		ClientID: id, TokenEndpointAuthMethod: oauth.AuthPrivateKeyJWT, TokenEndpointAuthSigningAlg: "PS256", CertificateBoundTokens: true,
	}
}

// forget removes a client that was registered.
func (d *Statements) forget(ctx context.Context, client registered) error {
	err := d.Operator.DeleteClient(ctx, d.Realm.Name, client.id)
	if refusal, ok := errors.AsType[*admin.APIError](err); ok && refusal.Status == http.StatusNotFound {
		return nil
	}
	return err
}
