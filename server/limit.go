package server

import (
	"context"
	"fmt"

	"github.com/shoal-p2p/shoal/p2p/link"
	"github.com/shoal-p2p/shoal/server/api"
)

// leastLimit is the slowest limit in bytes per second: below it a single message takes a minute.
const leastLimit = 1000

// GetLimits implements api.StrictServerInterface.
func (a *nodeAPI) GetLimits(context.Context, api.GetLimitsRequestObject) (api.GetLimitsResponseObject, error) {
	return api.GetLimits200JSONResponse{Body: apiLimits(a.node.Limits())}, nil
}

// SetLimits implements api.StrictServerInterface.
func (a *nodeAPI) SetLimits(ctx context.Context, r api.SetLimitsRequestObject) (api.SetLimitsResponseObject, error) {
	b := *r.Body
	rates := link.Rates{Up: valueOf(b.Up), Down: valueOf(b.Down), PeerUp: valueOf(b.PeerUp), PeerDown: valueOf(b.PeerDown)}
	for _, n := range []int64{rates.Up, rates.Down, rates.PeerUp, rates.PeerDown} {
		if n > 0 && n < leastLimit {
			return nil, fmt.Errorf("%d bytes per second: %w", n, errLimit)
		}
	}
	if a.options.KeepLimits != nil {
		if err := a.options.KeepLimits(ctx, rates); err != nil {
			return nil, err
		}
	}
	a.node.SetLimits(rates)
	return api.SetLimits200JSONResponse(apiLimits(a.node.Limits())), nil
}

func apiLimits(r link.Rates) api.Limits {
	return api.Limits{Up: r.Up, Down: r.Down, PeerUp: r.PeerUp, PeerDown: r.PeerDown}
}
