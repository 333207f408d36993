package node

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
)

// busy is a stub that has carried some bytes.
type busy struct {
	*stub
	bytes uint64
}

func (b *busy) Stats() p2p.Stats { return p2p.Stats{BytesIn: b.bytes} }

// Of the links that are not wanted a node closes those that it has made and nobody uses;
// those of others when there are too many; and none in a small network.
func TestShed(t *testing.T) {
	start := time.Now()
	late := start.Add(idleTime)
	setUp := func(others int) (ls *links, own, used, needed, theirs, wanted *busy) {
		ls = newLinks(p2p.ID{1}, slog.New(slog.DiscardHandler), nil)
		ls.roster = &people{}
		add := func(id p2p.ID, ours bool) *busy {
			b := &busy{stub: newStub(id)}
			ls.peers[id] = &peer{link: b, ours: ours}
			return b
		}
		own, used, needed = add(p2p.ID{2}, true), add(p2p.ID{3}, true), add(p2p.ID{4}, true)
		theirs, wanted = add(p2p.ID{5}, false), add(p2p.ID{6}, true)
		ls.peers[p2p.ID{4}].needed = late.Add(1)
		ls.wanted = map[p2p.ID]bool{{6}: true}
		for i := range others {
			id := p2p.ID{7, byte(i)}
			ls.wanted[id] = true
			add(id, false)
		}
		ls.shed(start)
		used.bytes += idleBytes + 1
		own.bytes += idleBytes / 2 // heartbeats
		return ls, own, used, needed, theirs, wanted
	}
	for _, test := range []struct {
		others  int
		unknown bool // the network is small
		theirs  bool // are closed
	}{{0, false, false}, {maxLinks, false, true}, {0, true, false}} {
		ls, own, used, needed, theirs, wanted := setUp(test.others)
		if test.unknown {
			ls.wanted = nil
		}
		ls.shed(late)
		ls.wg.Wait()
		for b, want := range map[*busy]bool{own: !test.unknown, used: false, needed: false, theirs: test.theirs, wanted: false} {
			if ended(b) != want {
				t.Errorf("%d other links, small %t: link %d is closed: %t, want %t", test.others, test.unknown, b.peer[0], ended(b), want)
			}
		}
	}
}

// Who could not be dialled twice makes room for somebody else, for a while.
func TestAbsent(t *testing.T) {
	ls := newLinks(p2p.ID{1}, slog.New(slog.DiscardHandler), nil)
	now := time.Now()
	ls.peers[p2p.ID{2}] = &peer{failures: 1, tried: now}
	ls.peers[p2p.ID{3}] = &peer{failures: 2, tried: now}
	ls.peers[p2p.ID{4}] = &peer{failures: 9, tried: now.Add(-absentTime)}
	ls.peers[p2p.ID{5}] = &peer{failures: 9, tried: now, link: newStub(p2p.ID{5})}
	if got := ls.absent(now); len(got) != 1 || !got[p2p.ID{3}] {
		t.Errorf("absent are %v", got)
	}
}

// What only a link can do has one made, and waits for it; where all are linked anyway, and
// for those who are no members, it does not wait.
func TestNeed(t *testing.T) {
	ls := newLinks(p2p.ID{1}, slog.New(slog.DiscardHandler), nil)
	ls.roster = &people{members: map[p2p.ID]bool{{2}: true}}
	if _, err := ls.need(t.Context(), p2p.ID{2}); err == nil {
		t.Error("a link to nobody")
	}
	ls.wanted = map[p2p.ID]bool{}
	if _, err := ls.need(t.Context(), p2p.ID{3}); err == nil {
		t.Error("a link to a stranger")
	}
	go func() {
		<-ls.kicked // it is asked for
		ls.mu.Lock()
		defer ls.mu.Unlock()
		if !ls.wants(p2p.ID{2}, time.Now()) {
			t.Error("it would not be dialled")
		}
		ls.peers[p2p.ID{2}].link = newStub(p2p.ID{2})
		close(ls.up)
		ls.up = make(chan struct{})
	}()
	if l, err := ls.need(t.Context(), p2p.ID{2}); err != nil || l.Peer() != (p2p.ID{2}) {
		t.Errorf("%v, %v", l, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ls.roster = &people{members: map[p2p.ID]bool{{4}: true}}
	if _, err := ls.need(ctx, p2p.ID{4}); err == nil {
		t.Error("a link after the end")
	}
}
