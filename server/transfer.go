package server

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/shoal-p2p/shoal/p2p/folder/replica"
	"github.com/shoal-p2p/shoal/server/api"
)

// ListTransfers implements api.StrictServerInterface.
func (a *nodeAPI) ListTransfers(context.Context, api.ListTransfersRequestObject) (api.ListTransfersResponseObject, error) {
	labels := map[string]string{}
	for _, f := range a.node.Folders() {
		if !f.Offered {
			labels[f.ID] = f.Label
		}
	}
	transfers := inOrder(a.node.Transfers())
	out := api.TransferList{Items: make([]api.Transfer, len(transfers))}
	for i, t := range transfers {
		out.Items[i] = a.apiTransfer(t, labels[t.Folder])
	}
	return api.ListTransfers200JSONResponse{Body: out}, nil
}

// inOrder puts what runs first, then what waits, then what ended, last ended first.
func inOrder(transfers []replica.Transfer) []replica.Transfer {
	rank := func(t replica.Transfer) int {
		switch {
		case t.State == replica.TransferRunning:
			return 0
		case t.State == replica.TransferWaiting:
			return 1
		}
		return 2
	}
	out := slices.Clone(transfers)
	slices.SortStableFunc(out, func(a, b replica.Transfer) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), b.Ended.Compare(a.Ended))
	})
	return out
}

func (a *nodeAPI) apiTransfer(t replica.Transfer, label string) api.Transfer {
	peer, name := a.memberOf(t.Peer)
	out := api.Transfer{
		Id: t.ID, Folder: t.Folder, FolderLabel: label, Path: t.Path, Peer: peer, PeerName: name,
		BytesTotal: t.Total, BytesDone: t.Done, BytesWire: t.Wire, BytesReused: t.Reused, BytesResumed: t.Resumed, Rate: t.Rate,
		State: api.TransferState(t.State), Error: plain(t.Error), Began: when(t.Began), Ended: when(t.Ended),
	}
	if t.ETA >= 0 {
		out.EtaS = new(t.ETA.Round(time.Millisecond).Seconds())
	}
	return out
}
