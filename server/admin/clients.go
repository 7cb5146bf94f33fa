package admin

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/endpoint"
	"github.com/fapid/fapid/server/token"
)

// realm finds the realm of a path.
func (o *Operator) realm(r *endpoint.Request) (*Realm, error) {
	name := r.Path["realm"]
	for i := range o.Realms {
		if o.Realms[i].Name == name {
			return &o.Realms[i], nil
		}
	}
	return nil, oauth.NotFound("no realm %s", oauth.Clip(name))
}

// ClientPage is a page of a realm's clients, by client_id.
type ClientPage struct {
	Clients []registration.Metadata `json:"clients"`
	// Next is the after of the next page; empty on the last.
	Next string `json:"next,omitempty"`
	// Refused are stored clients that the rules in force do not allow, and why.
	Refused map[string]string `json:"refused,omitempty"`
}

func (o *Operator) listClients(_ context.Context, r *endpoint.Request) (*endpoint.Answer, error) {
	realm, err := o.realm(r)
	if err != nil {
		return nil, err
	}
	values, err := query(r, "after", "limit")
	if err != nil {
		return nil, err
	}
	most, err := limit(values)
	if err != nil {
		return nil, err
	}
	clients := realm.Clients.List(values.Get("after"), most+1)
	answer := ClientPage{Clients: []registration.Metadata{}, Refused: map[string]string{}}
	if len(clients) > most {
		clients = clients[:most]
		answer.Next = clients[most-1].ID
	}
	for _, client := range clients {
		answer.Clients = append(answer.Clients, client.Metadata)
	}
	for id, reason := range realm.Clients.Refused() {
		answer.Refused[id] = explanation(reason)
	}
	return jsonAnswer(http.StatusOK, answer)
}

// explanation is the public text of a refusal.
func explanation(err error) string {
	if refusal, ok := errors.AsType[oauth.Error](err); ok {
		return refusal.Description
	}
	return err.Error()
}

func (o *Operator) showClient(_ context.Context, r *endpoint.Request) (*endpoint.Answer, error) {
	realm, err := o.realm(r)
	if err != nil {
		return nil, err
	}
	id := r.Path["id"]
	if client, ok := realm.Clients.Get(id); ok {
		return jsonAnswer(http.StatusOK, client.Metadata)
	}
	if reason, ok := realm.Clients.Refused()[id]; ok {
		return nil, oauth.NotFound("client %s is stored but not served: %s", id, explanation(reason))
	}
	return nil, oauth.NotFound("no client %s in realm %s", oauth.Clip(id), realm.Name)
}

// putClient registers a client or replaces its registration. Putting the same
// again changes nothing.
func (o *Operator) putClient(ctx context.Context, r *endpoint.Request) (*endpoint.Answer, error) {
	realm, err := o.realm(r)
	if err != nil {
		return nil, err
	}
	metadata, err := readMetadata(r)
	if err != nil {
		return nil, err
	}
	id := r.Path["id"]
	if metadata.ClientID != "" && metadata.ClientID != id {
		return nil, oauth.InvalidClientMetadata("client_id is %s in the body and %s in the path", oauth.Clip(metadata.ClientID), oauth.Clip(id))
	}
	metadata.ClientID = id
	client, created, err := realm.Clients.Put(ctx, metadata)
	if err != nil {
		return nil, err
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
	}
	return jsonAnswer(status, client.Metadata)
}

// The media types a registration may come in (RFC 9512 for YAML; the others are
// what tools sent before it).
var yamlTypes = []string{"application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml"}

func readMetadata(r *endpoint.Request) (registration.Metadata, error) {
	parse := registration.ParseMetadata
	switch media := contentType(r); {
	case slices.Contains(yamlTypes, media):
		parse = registration.ParseMetadataYAML
	case media != "application/json":
		return registration.Metadata{}, unsupportedMediaType("application/json or application/yaml")
	}
	body, err := r.ReadBody()
	if err != nil {
		return registration.Metadata{}, err
	}
	return parse([]byte(body))
}

func (o *Operator) deleteClient(ctx context.Context, r *endpoint.Request) (*endpoint.Answer, error) {
	realm, err := o.realm(r)
	if err != nil {
		return nil, err
	}
	if err := realm.Clients.Delete(ctx, r.Path["id"]); err != nil {
		return nil, err
	}
	return &endpoint.Answer{Status: http.StatusNoContent}, nil
}

// KeyList are a realm's published signing keys.
type KeyList struct {
	Keys []token.KeyRecord `json:"keys"`
}

func (o *Operator) listKeys(_ context.Context, r *endpoint.Request) (*endpoint.Answer, error) {
	realm, err := o.realm(r)
	if err != nil {
		return nil, err
	}
	return jsonAnswer(http.StatusOK, keysOf(realm))
}

// keysOf lists the keys by algorithm and state: active, next, retired.
func keysOf(realm *Realm) KeyList {
	return KeyList{slices.SortedFunc(slices.Values(realm.Keys.Keys()), func(a, b token.KeyRecord) int {
		return cmp.Or(cmp.Compare(a.Alg, b.Alg), cmp.Compare(a.State, b.State), a.Created.Compare(b.Created))
	})}
}

// rotateKeys makes the next key sign, of one algorithm or of all.
func (o *Operator) rotateKeys(ctx context.Context, r *endpoint.Request) (*endpoint.Answer, error) {
	realm, err := o.realm(r)
	if err != nil {
		return nil, err
	}
	values, err := query(r, "alg")
	if err != nil {
		return nil, err
	}
	algs := token.Algs
	if alg := values.Get("alg"); alg != "" {
		if !slices.Contains(token.Algs, alg) {
			return nil, oauth.InvalidRequest("alg is one of %v", token.Algs)
		}
		algs = []string{alg}
	}
	for _, alg := range algs {
		if err := realm.Keys.Rotate(ctx, alg); err != nil {
			return nil, err
		}
	}
	return jsonAnswer(http.StatusOK, keysOf(realm))
}
