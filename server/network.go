package server

import (
	"context"

	"github.com/shoal-p2p/shoal/p2p/member"
	"github.com/shoal-p2p/shoal/p2p/nat"
	"github.com/shoal-p2p/shoal/server/api"
)

// GetNetwork implements api.StrictServerInterface.
func (a *nodeAPI) GetNetwork(context.Context, api.GetNetworkRequestObject) (api.GetNetworkResponseObject, error) {
	return api.GetNetwork200JSONResponse{Body: apiReport(a.node.Network())}, nil
}

// AddNetwork implements api.StrictServerInterface.
func (a *nodeAPI) AddNetwork(ctx context.Context, r api.AddNetworkRequestObject) (api.AddNetworkResponseObject, error) {
	network, err := a.node.Found(ctx, member.Mode(r.Body.Mode), valueOf(r.Body.Name))
	if err != nil {
		return nil, err
	}
	return api.AddNetwork201JSONResponse(apiNetwork(network)), nil
}

// CheckNetwork implements api.StrictServerInterface.
func (a *nodeAPI) CheckNetwork(ctx context.Context, _ api.CheckNetworkRequestObject) (api.CheckNetworkResponseObject, error) {
	r, err := a.node.CheckNetwork(ctx)
	if err != nil {
		return nil, err
	}
	return api.CheckNetwork200JSONResponse{Body: apiReport(r)}, nil
}

func apiReport(r nat.Report) api.NetworkReport {
	out := api.NetworkReport{
		Checked: when(r.Checked), Since: when(r.Since), Scope: known(api.NetworkReportScope(r.Scope)),
		Udp: r.UDP, Tcp: r.TCP, Ipv4: r.IPv4, Ipv6: r.IPv6,
		External: known(address(r.External)), Mapping: known(api.NetworkReportMapping(r.Mapping)), Filtering: api.NetworkReportFiltering(r.Filtering),
		DoubleNat: r.DoubleNAT.Bool(), Reachable: r.Reachable.Bool(),
		Relays: make([]api.Relay, len(r.Relays)), Findings: make([]api.NetworkFinding, len(r.Findings)),
		Advice: append([]string{}, r.Advice...),
	}
	out.PortMapping.Upnp, out.PortMapping.NatPmp, out.PortMapping.Pcp, out.PortMapping.Manual = r.UPnP, r.NATPMP, r.PCP, r.Manual
	for i, l := range r.Relays {
		out.Relays[i] = api.Relay{Id: l.ID.String(), Name: l.Name, RttMs: milliseconds(l.RTT), InUse: l.InUse}
		if !l.Given.IsZero() {
			out.Relays[i].Snapshot = &api.RelaySnapshot{At: l.Given.UTC(), Members: l.Known}
		}
	}
	for i, f := range r.Findings {
		out.Findings[i] = api.NetworkFinding{About: api.NetworkFindingAbout(f.About), Sentence: f.Sentence}
	}
	return out
}

// known is null for empty.
func known[T ~string](v T) *T {
	if v == "" {
		return nil
	}
	return &v
}
