package swarm

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/shoal-p2p/shoal/p2p/swarm/picker"
	"github.com/shoal-p2p/shoal/p2p/swarm/tracker"
)

const (
	// maxNamed is how many sources the tracker is asked for: more than there are places, so that it is known who waits.
	maxNamed = 4 * maxSources
	// uselessAfter is how long a source may be good for nothing while others wait for its place, and tooSlowAfter how
	// long, if a little comes from it all the time: where the own line is slow, that is how it is of all of them.
	uselessAfter = 15 * time.Second
	tooSlowAfter = 5 * time.Minute
	// rotateEvery is how often places are taken away, and rotateMost how many at once: each of them costs a stream
	// and perhaps a link.
	rotateEvery = 5 * time.Second
	rotateMost  = 8
)

// errUseless: a source has sent nothing for long, or has nothing that is wanted, and others wait.
var errUseless = errors.New("it has given nothing for some time, and others wait for its place")

// rotate takes the places of sources that are good for nothing, when all places are taken and others wait. Who has
// what is missing and is not asked, since others are faster, keeps its place: it may be needed yet.
func (d *download) rotate(now time.Time) {
	if len(d.sources) < maxSources || d.picker == nil || now.Sub(d.rotated) < rotateEvery {
		return
	}
	d.rotated = now
	room := 0
	for _, p := range d.waiting(now) {
		if p.Have.All || p.Have.Count > 0 {
			room++
		}
	}
	if room == 0 {
		return
	}
	var useless []*source
	patience := d.patience()
	for _, src := range d.sources {
		if src.url != "" || src.pass != nil {
			continue // there are few of them, and a person has named them
		}
		if d.picker.Standing(src.number) == picker.Spare {
			src.good = now
		}
		silent := min(now.Sub(src.good), d.now()-time.Duration(src.heard.Load()))
		if silent >= patience || now.Sub(src.good) >= tooSlowAfter {
			useless = append(useless, src)
		}
	}
	slices.SortFunc(useless, func(a, b *source) int {
		return cmp.Or(a.good.Compare(b.good), cmp.Compare(a.number, b.number))
	})
	for _, src := range useless[:min(len(useless), room, rotateMost)] {
		if !src.joined || d.picker.Standing(src.number) == picker.Owing {
			d.s.o.Tracker.Missed(d.id, src.peer) // who merely has too little has not lied
		}
		d.drop(src, errUseless)
	}
}

// patience is how long a source may be silent: where a person lets the line take little, what each has sent waits here,
// a part of each after one of each other, for all downloads together.
func (d *download) patience() time.Duration {
	_, down := d.s.o.Rates()
	if down <= 0 {
		return uselessAfter
	}
	turn := float64(maxSources*part*d.running()) / float64(down) // seconds
	return min(max(uselessAfter, 2*time.Duration(turn*float64(time.Second))), tooSlowAfter)
}

// waiting returns who could be a source and is none: first those that never were, in the order of the tracker, and
// then those whose last attempt is longest ago.
func (d *download) waiting(now time.Time) []tracker.Peer {
	type candidate struct {
		tracker.Peer
		until time.Time
	}
	var all []candidate
	for _, p := range d.peers {
		if p.ID == d.s.o.ID || p.Have.Count == 0 && !p.Have.All && !p.Wants || p.Missed {
			continue
		}
		who := p.ID.String()
		if d.byPeer[who] != nil {
			continue
		}
		c := candidate{Peer: p}
		if f := d.failures[who]; f != nil {
			if f.bad || now.Before(f.until) {
				continue
			}
			c.until = f.until
		}
		all = append(all, c)
	}
	slices.SortStableFunc(all, func(a, b candidate) int { return a.until.Compare(b.until) })
	peers := make([]tracker.Peer, len(all))
	for i, c := range all {
		peers[i] = c.Peer
	}
	return peers
}
