package server

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/shoal-p2p/shoal/p2p/search"
	"github.com/shoal-p2p/shoal/server/api"
)

// AddDocument implements api.StrictServerInterface.
func (a *nodeAPI) AddDocument(ctx context.Context, r api.AddDocumentRequestObject) (api.AddDocumentResponseObject, error) {
	d := search.Document{Title: r.Body.Title}
	if r.Body.Text != nil {
		d.Text = *r.Body.Text
	}
	if r.Body.Fields != nil {
		var err error
		if d.Fields, err = convertFields[search.Value](*r.Body.Fields); err != nil {
			return nil, fmt.Errorf("%w: %w", errInvalid, err)
		}
	}
	id, err := a.node.AddDocument(ctx, d)
	if err != nil {
		return nil, err
	}
	return api.AddDocument201JSONResponse{Id: id}, nil
}

// GetDocument implements api.StrictServerInterface.
func (a *nodeAPI) GetDocument(ctx context.Context, r api.GetDocumentRequestObject) (api.GetDocumentResponseObject, error) {
	from, err := nodeID(r.Params.Node)
	if err != nil {
		return nil, err
	}
	d, holder, err := a.node.Document(ctx, r.Id, from)
	if err != nil {
		return nil, err
	}
	fields, err := convertFields[api.Document_Fields_AdditionalProperties](d.Fields)
	if err != nil {
		return nil, err
	}
	return api.GetDocument200JSONResponse{
		Id: d.ID, Title: d.Title, Text: d.Text, Fields: fields, Node: holder.String(), NodeName: a.nameOf(holder),
		Local: holder == a.node.ID(), Modified: d.Modified.UTC(),
	}, nil
}

// convertFields changes between two types with the same JSON form, a number or a
// string.
func convertFields[To, From any](fields map[string]From) (map[string]To, error) {
	out := make(map[string]To, len(fields))
	for name, value := range fields {
		data, err := json.Marshal(value)
		if err != nil {
			return nil, fmt.Errorf("server: field %.60q: %w", name, err)
		}
		var to To
		if err := json.Unmarshal(data, &to); err != nil {
			return nil, fmt.Errorf("server: field %.60q: %w", name, err)
		}
		out[name] = to
	}
	return out, nil
}

// DeleteDocument implements api.StrictServerInterface.
func (a *nodeAPI) DeleteDocument(ctx context.Context, r api.DeleteDocumentRequestObject) (api.DeleteDocumentResponseObject, error) {
	if err := a.node.RemoveDocument(ctx, r.Id); err != nil {
		return nil, err
	}
	return api.DeleteDocument204Response{}, nil
}

// AddSamples implements api.StrictServerInterface.
func (a *nodeAPI) AddSamples(ctx context.Context, _ api.AddSamplesRequestObject) (api.AddSamplesResponseObject, error) {
	n, err := a.node.AddSamples(ctx)
	if err != nil {
		return nil, err
	}
	return api.AddSamples201JSONResponse{Documents: n}, nil
}
