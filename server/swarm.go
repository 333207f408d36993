package server

import (
	"context"
	"encoding/base64"
	"net/url"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/swarm"
	"github.com/shoal-p2p/shoal/p2p/swarm/picker"
	"github.com/shoal-p2p/shoal/server/api"
)

// GetSwarm implements api.StrictServerInterface.
func (a *nodeAPI) GetSwarm(_ context.Context, r api.GetSwarmRequestObject) (api.GetSwarmResponseObject, error) {
	id, err := seedID(r.Id)
	if err != nil {
		return nil, err
	}
	p, err := a.node.Swarm().Picture(id)
	if err != nil {
		return nil, err
	}
	// Each column stands for as many pieces as it takes.
	columns := or(r.Params.Columns, 4096)
	each := max(1, (p.Pieces+columns-1)/columns)
	columns = (p.Pieces + each - 1) / each
	out := api.Swarm{
		Id: id.String(), State: string(p.State), Size: p.Seed.Size, PieceLength: p.Seed.PieceLen, Pieces: p.Pieces, Columns: columns, PerColumn: each,
		Members: []api.SwarmMember{}, From: origins(p, each, columns), TookS: p.Took.Round(time.Millisecond).Seconds(),
	}
	have := p.Have
	if p.State == swarm.StateSeeding {
		have = picker.NewBitmap(p.Pieces)
		have.SetRange(0, p.Pieces-1)
	}
	if have == nil {
		have = picker.NewBitmap(p.Pieces)
	}
	out.Have = shares(have, each, columns)
	names := a.memberNames()
	for _, m := range p.Members {
		out.Members = append(out.Members, apiParty(m, each, columns, names))
	}
	if p.Bound > 0 {
		out.BoundS = new(p.Bound.Round(time.Millisecond).Seconds())
		if p.Took > 0 {
			out.Ratio = new(p.Took.Seconds() / p.Bound.Seconds())
		}
	}
	return api.GetSwarm200JSONResponse{Body: out}, nil
}

func apiParty(m swarm.Party, each, columns int, names map[p2p.ID]string) api.SwarmMember {
	out := api.SwarmMember{
		Url: m.URL, Outside: m.Outside, Whole: m.Whole, State: api.SwarmMemberState(m.State), Why: plain(m.Why), RateDown: m.Down, RateUp: m.Up,
		Got: m.Got, Gave: m.Gave, Pieces: m.Pieces,
	}
	if m.URL == "" {
		out.Id, out.Name = m.ID.String(), nameIn(names, m.ID)
	} else if u, err := url.Parse(m.URL); err == nil {
		out.Name = u.Host
	}
	if m.Have != nil {
		out.Have, out.Here = new(shares(m.Have, each, columns)), m.Have.Count()
	}
	if m.RTT > 0 {
		out.RttMs = new(float64(m.RTT) / float64(time.Millisecond))
	}
	return out
}

// shares tells of each column which part of its pieces is in b.
func shares(b *picker.Bitmap, each, columns int) string {
	out := make([]byte, columns)
	for c := range out {
		first, n, has := c*each, min(each, b.Len()-c*each), 0
		for i := range n {
			if b.Has(first + i) {
				has++
			}
		}
		switch {
		case has == n && n > 0:
			out[c] = 255
		case has > 0: // neither none nor all
			out[c] = byte(1 + has*253/n)
		}
	}
	return base64.StdEncoding.EncodeToString(out)
}

// missing says in a Swarm's from that a column is not here.
const missing = -1

// origins tells who sent the columns, in runs.
func origins(p swarm.Picture, each, columns int) [][]int {
	runs := [][]int{}
	if len(p.From) != p.Pieces {
		return runs
	}
	for c := range columns {
		who := origin(p, c*each, min((c+1)*each, p.Pieces))
		if n := len(runs); n > 0 && runs[n-1][0] == who {
			runs[n-1][1]++
		} else {
			runs = append(runs, []int{who, 1})
		}
	}
	return runs
}

// origin is who sent most of the pieces from first to before end that are here.
func origin(p swarm.Picture, first, end int) int {
	if end-first == 1 { // as it nearly always is
		return sender(p, first)
	}
	votes := map[int]int{}
	best := missing
	for i := first; i < end; i++ {
		who := sender(p, i)
		votes[who]++
		if who != missing && (best == missing || votes[who] > votes[best]) {
			best = who
		}
	}
	return best
}

// sender is who sent a piece: a number of members, 0 if it was here, or missing.
func sender(p swarm.Picture, piece int) int {
	if p.State != swarm.StateSeeding && (p.Have == nil || !p.Have.Has(piece)) {
		return missing
	}
	return int(p.From[piece])
}
