package server

import (
	"context"
	"net/http"
	"strconv"

	"github.com/shoal-p2p/shoal/server/api"
)

// GetNode implements api.StrictServerInterface.
func (a *nodeAPI) GetNode(ctx context.Context, _ api.GetNodeRequestObject) (api.GetNodeResponseObject, error) {
	s := a.node.Status()
	out := api.Node{
		Id: s.ID.String(), Name: s.Name, Version: s.Version, Started: s.Started.UTC(), Http: a.options.Addr,
		P2p: make([]string, len(s.P2P)), Network: apiNetwork(s.Network), Role: api.Role(s.Role), Revoked: s.Revoked, Members: s.Members,
		Peers: s.Peers, Folders: s.Folders, Documents: s.Documents, Lab: len(a.options.Lab) > 0, Position: positionOf(ctx),
	}
	for i, addr := range s.P2P {
		out.P2p[i] = addr.String()
	}
	return api.GetNode200JSONResponse{Body: out}, nil
}

// GetLab implements api.StrictServerInterface.
func (a *nodeAPI) GetLab(context.Context, api.GetLabRequestObject) (api.GetLabResponseObject, error) {
	if len(a.options.Lab) == 0 {
		return nil, errNotALab
	}
	out := api.GetLab200JSONResponse{Items: make([]api.LabNode, len(a.options.Lab))}
	for i, n := range a.options.Lab {
		out.Items[i] = api.LabNode{Index: i, Id: n.ID().String(), Name: n.Name(), Api: "/n/" + strconv.Itoa(i)}
	}
	return out, nil
}

// health says that the node serves: allow has found that it does.
func (a *nodeAPI) health(w http.ResponseWriter, _ *http.Request) error {
	return writeJSON(w, api.Health{Status: api.HealthStatusOk})
}

// spec is the API's own description.
func (a *nodeAPI) spec(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/yaml")
	w.Header().Set("Content-Length", strconv.Itoa(len(api.Spec)))
	_, err := w.Write(api.Spec)
	return err
}
