package tracker

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
)

// Store keeps what members have said of themselves, so that a tracker that starts again answers for as
// long as it holds. It may be lost at any time. Package trackertest holds the tests of what is promised
// here. Methods may be called by several goroutines at once.
type Store interface {
	// Load returns everything that is kept, in any order; the texts of a seed in that in which they
	// were put.
	Load(ctx context.Context) (Kept, error)
	// Apply makes a change: all of it or nothing.
	Apply(ctx context.Context, c Change) error
}

// Kept is what a store has.
type Kept struct {
	Members []KeptMember
	Sources []KeptSource
	Texts   []KeptText
}

// KeptMember is a member that has said something.
type KeptMember struct {
	ID    p2p.ID
	Epoch uint64
	Seq   uint64
	Ends  time.Time // to the millisecond
}

// KeptSource is a seed that it has said it has.
type KeptSource struct {
	Seed   seed.ID
	Member p2p.ID
	State  []byte
}

// KeptText is what somebody has said a seed is.
type KeptText struct {
	Seed  seed.ID
	State []byte
}

// Change says what is to be different. Without Clear it says so of what it names only.
type Change struct {
	Clear       bool // forget everything first
	Members     []KeptMember
	GoneMembers []p2p.ID // not what they had
	Sources     []KeptSource
	GoneSources []KeptSource           // without their states
	Texts       map[seed.ID][]KeptText // all texts of a seed; none: forget them
}

// Memory is a Store that forgets all with the process. The zero value is ready to be used.
type Memory struct {
	mu      sync.Mutex // guards the following
	members map[p2p.ID]KeptMember
	sources map[sourceKey]KeptSource
	texts   map[seed.ID][]KeptText
}

type sourceKey struct {
	seed   seed.ID
	member p2p.ID
}

// Load implements Store.
func (m *Memory) Load(ctx context.Context) (Kept, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := Kept{Members: slices.Collect(maps.Values(m.members)), Sources: slices.Collect(maps.Values(m.sources))}
	for _, t := range m.texts {
		k.Texts = append(k.Texts, t...)
	}
	return k, ctx.Err()
}

// Apply implements Store.
func (m *Memory) Apply(ctx context.Context, c Change) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if c.Clear || m.members == nil {
		m.members, m.sources, m.texts = map[p2p.ID]KeptMember{}, map[sourceKey]KeptSource{}, map[seed.ID][]KeptText{}
	}
	for _, id := range c.GoneMembers {
		delete(m.members, id)
	}
	for _, k := range c.Members {
		m.members[k.ID] = k
	}
	for _, k := range c.GoneSources {
		delete(m.sources, sourceKey{k.Seed, k.Member})
	}
	for _, k := range c.Sources {
		k.State = slices.Clone(k.State)
		m.sources[sourceKey{k.Seed, k.Member}] = k
	}
	for id, texts := range c.Texts {
		if len(texts) == 0 {
			delete(m.texts, id)
			continue
		}
		m.texts[id] = slices.Clone(texts)
	}
	return nil
}

// dirty is what has changed since it was kept last.
type dirty struct {
	cleared bool
	members map[p2p.ID]struct{}
	sources map[sourceKey]struct{}
	texts   map[seed.ID]struct{}
	// Members that have said no more than that all of theirs still holds: that can wait.
	renewed map[p2p.ID]struct{}
}

// urgent reports whether more has changed than that what is kept holds for longer.
func (d *dirty) urgent() bool {
	return d.cleared || len(d.members)+len(d.sources)+len(d.texts) > 0
}

func (d *dirty) renew(id p2p.ID) {
	if d.renewed == nil {
		d.renewed = map[p2p.ID]struct{}{}
	}
	d.renewed[id] = struct{}{}
}

func (d *dirty) member(id p2p.ID) {
	if d.members == nil {
		d.members = map[p2p.ID]struct{}{}
	}
	d.members[id] = struct{}{}
}

func (d *dirty) source(id seed.ID, of p2p.ID) {
	if d.sources == nil {
		d.sources = map[sourceKey]struct{}{}
	}
	d.sources[sourceKey{id, of}] = struct{}{}
}

func (d *dirty) text(id seed.ID) {
	if d.texts == nil {
		d.texts = map[seed.ID]struct{}{}
	}
	d.texts[id] = struct{}{}
}

// keptState is a source as it is kept, and textState a text.
type keptState struct {
	Have    have   `cbor:"1,keyasint"`
	Up      uint32 `cbor:"2,keyasint,omitempty"`
	Down    uint32 `cbor:"3,keyasint,omitempty"`
	Wants   bool   `cbor:"4,keyasint,omitempty"`
	Version uint64 `cbor:"5,keyasint"`
	Text    int    `cbor:"6,keyasint,omitempty"` // which of the seed's texts, from 1; 0: none
}

type textState struct {
	Raw   []byte `cbor:"1,keyasint,omitempty"`
	Name  string `cbor:"2,keyasint,omitempty"`
	Size  int64  `cbor:"3,keyasint,omitempty"`
	First int64  `cbor:"4,keyasint"` // Unix milliseconds
	By    p2p.ID `cbor:"5,keyasint"`
	Lies  bool   `cbor:"6,keyasint,omitempty"`
}

// change returns what is to be kept since the last time. Hearsay is not: it can be asked for again.
// Nor is what this node says itself: it says it again.
func (c *core) change() (Change, error) {
	d := c.dirty
	c.dirty = dirty{}
	for id := range d.renewed {
		d.member(id)
	}
	out := Change{Clear: d.cleared, Texts: map[seed.ID][]KeptText{}}
	for id := range d.members {
		a := c.accounts[id]
		switch {
		case id == c.self:
		case a == nil:
			out.GoneMembers = append(out.GoneMembers, id)
		default:
			out.Members = append(out.Members, KeptMember{ID: id, Epoch: a.epoch, Seq: a.seq, Ends: a.ends.Truncate(time.Millisecond)})
		}
	}
	for k := range d.sources {
		if k.member == c.self {
			continue
		}
		one, keep, err := c.keptSource(k)
		if err != nil {
			return Change{}, err
		}
		if keep {
			out.Sources = append(out.Sources, one)
		} else {
			out.GoneSources = append(out.GoneSources, one)
		}
	}
	for id := range d.texts {
		texts, err := c.keptTexts(id)
		if err != nil {
			return Change{}, err
		}
		out.Texts[id] = texts
	}
	slices.SortFunc(out.Sources, func(a, b KeptSource) int {
		return cmp.Or(compareSeeds(a.Seed, b.Seed), a.Member.Compare(b.Member))
	})
	return out, nil
}

// empty reports whether nothing is to be different.
func (c Change) empty() bool {
	return !c.Clear && len(c.Members)+len(c.GoneMembers)+len(c.Sources)+len(c.GoneSources)+len(c.Texts) == 0
}
