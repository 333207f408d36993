package server

import (
	"context"
	"fmt"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/dht"
	"github.com/shoal-p2p/shoal/server/api"
)

// SendData implements api.StrictServerInterface.
func (a *nodeAPI) SendData(ctx context.Context, r api.SendDataRequestObject) (api.SendDataResponseObject, error) {
	b := *r.Body
	data, err := bytesOf(b.Data, b.DataBase64)
	if err != nil {
		return nil, err
	}
	ctx, leave, err := a.node.Enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	to, err := a.recipient(ctx, b.To, b.Key)
	if err != nil {
		return nil, err
	}
	answer, err := a.node.Direct().Send(ctx, to.ID, valueOf(b.Port), data, time.Duration(valueOf(b.WaitS)*float64(time.Second)))
	if err != nil {
		return nil, err
	}
	out := api.DataSent{To: to.ID.String(), ToName: to.Name, Answered: answer.Answered, TookMs: milliseconds(answer.Took)}
	if answer.Answered {
		out.Data, out.DataBase64 = asText(answer.Data)
	}
	return api.SendData200JSONResponse(out), nil
}

// recipient finds who is meant: a member, or whoever is nearest to a key and can be asked.
func (a *nodeAPI) recipient(ctx context.Context, id, key *string) (dht.Member, error) {
	switch {
	case (id == nil) == (key == nil):
		return dht.Member{}, fmt.Errorf("%w: either to or key", errInvalid)
	case id != nil:
		return a.tableMember(*id)
	}
	k, err := dhtKey(*key)
	if err != nil {
		return dht.Member{}, err
	}
	near, err := a.node.DHT().Keepers(ctx, k)
	if err != nil {
		return dht.Member{}, err
	}
	if len(near) == 0 {
		return dht.Member{}, fmt.Errorf("key %.60q: %w", *key, dht.ErrNoReplica)
	}
	return near[0], nil
}

// ListInbox implements api.StrictServerInterface.
func (a *nodeAPI) ListInbox(context.Context, api.ListInboxRequestObject) (api.ListInboxResponseObject, error) {
	names := a.memberNames()
	out := api.Inbox{Items: []api.InboxMessage{}}
	for _, m := range a.node.Direct().Inbox() {
		one := api.InboxMessage{Number: int64(m.Number), From: m.From.String(), FromName: nameIn(names, m.From), Port: m.Port, Size: m.Size, At: m.At}
		one.Data, one.DataBase64 = asText(m.Data)
		out.Items = append(out.Items, one)
	}
	return api.ListInbox200JSONResponse{Body: out}, nil
}

func nameIn(names map[p2p.ID]string, id p2p.ID) string { return or(known(names[id]), id.Short()) }

// ReplyData implements api.StrictServerInterface.
func (a *nodeAPI) ReplyData(_ context.Context, r api.ReplyDataRequestObject) (api.ReplyDataResponseObject, error) {
	data, err := bytesOf(r.Body.Data, r.Body.DataBase64)
	if err != nil {
		return nil, err
	}
	if err := a.node.Direct().Reply(uint64(r.N), data); err != nil {
		return nil, err
	}
	return api.ReplyData204Response{}, nil
}
