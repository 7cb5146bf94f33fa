package admin

import (
	"context"
	"net/http"
	"net/url"

	"github.com/fapid/fapid/server/participant"
)

// CreateParticipant has a working participant made. Its private keys are in the answer
// and nowhere else.
func (c *Client) CreateParticipant(ctx context.Context, order participant.Order) (*participant.Enrolled, error) {
	enrolled := &participant.Enrolled{}
	return enrolled, c.post(ctx, "/participants", order, enrolled)
}

// Participants lists those that were made.
func (c *Client) Participants(ctx context.Context) ([]participant.Record, error) {
	var answer struct {
		Participants []participant.Record `json:"participants"`
	}
	return answer.Participants, c.get(ctx, "/participants", &answer)
}

// Participant reads what the server keeps of one, in JSON or in YAML.
func (c *Client) Participant(ctx context.Context, name string, inYAML bool) ([]byte, error) {
	accept := jsonType
	if inYAML {
		accept = yamlType
	}
	record, _, err := c.call(ctx, http.MethodGet, "/participants/"+url.PathEscape(name), accept, "", nil)
	return record, err
}

// DeleteParticipant removes a participant with its client, software and organisation.
func (c *Client) DeleteParticipant(ctx context.Context, name string) error {
	_, _, err := c.call(ctx, http.MethodDelete, "/participants/"+url.PathEscape(name), jsonType, "", nil)
	return err
}
