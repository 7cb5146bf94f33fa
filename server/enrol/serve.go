package enrol

import (
	"context"
	"net/http"

	"github.com/fapid/fapid/certs"
	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/admin"
	"github.com/fapid/fapid/server/endpoint"
	"github.com/fapid/fapid/server/participant"
)

// Routes are those of the operator's listener.
func (d *Desk) Routes() []admin.Route {
	const all, one = "/participants", "/participants/{name}"
	return []admin.Route{
		{Method: http.MethodGet, Path: all, Label: "participants", Access: admin.Read, Serve: d.list},
		{Method: http.MethodPost, Path: all, Label: "participants", Access: admin.Change, Serve: d.create},
		{Method: http.MethodGet, Path: one, Label: "participant", Access: admin.Read, Serve: d.show},
		{Method: http.MethodDelete, Path: one, Label: "participant", Access: admin.Change, Serve: d.delete},
	}
}

// zipType is the media type of a folder as one file.
const zipType = "application/zip"

// create answers with the folder: as JSON, or as a zip to who prefers that.
func (d *Desk) create(ctx context.Context, r *endpoint.Request) (*endpoint.Answer, error) {
	body, inYAML, err := r.ReadDocument()
	if err != nil {
		return nil, err
	}
	syntax := registration.JSON
	if inYAML {
		syntax = registration.YAML
	}
	var order participant.Order
	if err := registration.Decode("participant", body, syntax, &order); err != nil {
		return nil, oauth.InvalidRequest("%s", err.Error())
	}
	record, files, err := d.Create(ctx, order)
	if err != nil {
		return nil, err
	}
	answer, err := folder(r, record, files)
	if err != nil {
		return nil, err
	}
	answer.Header = http.Header{"Location": {"/participants/" + record.Name}}
	return answer, nil
}

func folder(r *endpoint.Request, record *participant.Record, files []certs.File) (*endpoint.Answer, error) {
	if r.Prefers(map[string]string{zipType: zipType, "application/json": ""}, "") == "" {
		return endpoint.JSONDocument(http.StatusCreated, participant.Enrolled{Record: *record, Files: participant.Contents(files)})
	}
	packed, err := participant.Zip(record, files)
	return &endpoint.Answer{Status: http.StatusCreated, Body: packed, Type: zipType}, err
}

func (d *Desk) list(ctx context.Context, r *endpoint.Request) (*endpoint.Answer, error) {
	all, err := d.List(ctx)
	if err != nil {
		return nil, err
	}
	return r.Document(http.StatusOK, map[string]any{"participants": all})
}

func (d *Desk) show(ctx context.Context, r *endpoint.Request) (*endpoint.Answer, error) {
	record, err := d.Find(ctx, r.Path["name"])
	if err != nil {
		return nil, err
	}
	return r.Document(http.StatusOK, record)
}

func (d *Desk) delete(ctx context.Context, r *endpoint.Request) (*endpoint.Answer, error) {
	if err := d.Delete(ctx, r.Path["name"]); err != nil {
		return nil, err
	}
	return &endpoint.Answer{Status: http.StatusNoContent}, nil
}
