package node

import (
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/folder"
	"github.com/shoal-p2p/shoal/p2p/member"
	"github.com/shoal-p2p/shoal/p2p/search"
)

// stub is a link that carries nothing.
type stub struct {
	peer p2p.ID
	once sync.Once
	done chan struct{}
}

func newStub(peer p2p.ID) *stub { return &stub{peer: peer, done: make(chan struct{})} }

func (s *stub) Peer() p2p.ID                 { return s.peer }
func (s *stub) PublicKey() ed25519.PublicKey { return nil }
func (s *stub) Path() p2p.Path               { return p2p.Path{Kind: p2p.PathMemory} }
func (s *stub) Stats() p2p.Stats             { return p2p.Stats{} }
func (s *stub) Binding() [32]byte            { return [32]byte{} }
func (s *stub) Done() <-chan struct{}        { return s.done }
func (s *stub) Err() error                   { return p2p.ErrClosed }
func (s *stub) Close() error                 { s.once.Do(func() { close(s.done) }); return nil }

func (s *stub) Call(context.Context, string, []byte) ([]byte, error) { return nil, p2p.ErrClosed }
func (s *stub) Open(context.Context, string) (net.Conn, error)       { return nil, p2p.ErrClosed }

func (s *stub) Accept(ctx context.Context) (string, net.Conn, error) {
	select {
	case <-s.done:
		return "", nil, p2p.ErrClosed
	case <-ctx.Done():
		return "", nil, ctx.Err()
	}
}

// people is a roster for tests of links.
type people struct {
	mu      sync.Mutex
	members map[p2p.ID]bool
	told    []p2p.ID
}

func (p *people) want([]p2p.ID, map[p2p.ID]bool) map[p2p.ID]bool { return nil }

func (p *people) meet(p2p.Link) {}

func (p *people) isMember(id p2p.ID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.members[id]
}

func (p *people) set(id p2p.ID, member bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.members[id] = member
}

func (p *people) farewell(_ context.Context, l p2p.Link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.told = append(p.told, l.Peer())
}

func (p *people) nameOf(id p2p.ID) string { return id.Short() }
func (p *people) contacts() []p2p.Contact { return nil }

// quiet is a transport to which nobody comes.
type quiet struct{ p2p.Transport }

func (quiet) Accept(ctx context.Context) (p2p.Link, error) {
	<-ctx.Done()
	return nil, p2p.ErrClosed
}

// newTestLinks runs links until the returned function is called.
func newTestLinks(t *testing.T) (*links, *people, context.Context, func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	who := &people{members: map[p2p.ID]bool{}}
	ls := newLinks(p2p.ID{1}, slog.New(slog.DiscardHandler), nil)
	ls.transport, ls.roster = quiet{}, who
	ls.serve = func(ctx context.Context, l p2p.Link) { _, _, _ = l.Accept(ctx) }
	ls.greet = func(context.Context, p2p.Link) {}
	var running sync.WaitGroup
	running.Go(func() {
		if err := ls.run(ctx); err != nil {
			t.Error(err)
		}
	})
	stop := func() { cancel(); running.Wait() }
	t.Cleanup(stop)
	return ls, who, ctx, stop
}

// However many knock, only some are in, and who came last is among them.
func TestGuestsAreFew(t *testing.T) {
	ls, who, ctx, _ := newTestLinks(t)
	var all []*stub
	for i := range 3 * maxGuests {
		l := newStub(p2p.ID{2, byte(i)})
		all = append(all, l)
		ls.add(ctx, l)
	}
	for _, l := range all[:2*maxGuests] {
		<-l.done
	}
	for i, l := range all[2*maxGuests:] {
		if ended(l) {
			t.Errorf("guest %d of the last %d was dropped", i, maxGuests)
		}
	}
	last := all[len(all)-1]
	who.set(last.peer, true)
	ls.kick()
	for l, err := ls.to(last.peer); l != p2p.Link(last); l, err = ls.to(last.peer) {
		if err != nil && !errors.Is(err, p2p.ErrUnreachable) {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
	}
	// Somebody who is a member already does not count, and is not dropped.
	for i := range maxGuests + 1 {
		ls.add(ctx, newStub(p2p.ID{3, byte(i)}))
	}
	if ended(last) {
		t.Error("a member was dropped for a guest")
	}
}

// Of the links of a guest that becomes a member the newest is kept, and none that
// has ended.
func TestPromoteTheNewest(t *testing.T) {
	ls, who, ctx, _ := newTestLinks(t)
	id := p2p.ID{2}
	older, newer, dead := newStub(id), newStub(id), newStub(p2p.ID{3})
	for _, l := range []*stub{older, newer, dead} {
		ls.add(ctx, l)
	}
	ls.mu.Lock()
	who.set(id, true)
	who.set(dead.peer, true)
	if err := dead.Close(); err != nil {
		t.Error(err)
	}
	ls.sortOut(ctx)
	_, taken := ls.peers[dead.peer]
	kept := ls.peers[id].link
	ls.mu.Unlock()
	if kept != p2p.Link(newer) || taken {
		t.Errorf("kept the newest: %v; took a dead link: %v", kept == p2p.Link(newer), taken)
	}
	<-older.done
	// One that came before the present link is no better.
	who.set(id, false)
	ls.mu.Lock()
	ls.receive(ctx, newStub(id))
	stale := ls.guests[0]
	stale.since = ls.peers[id].since.Add(-time.Second)
	who.set(id, true)
	ls.sortOut(ctx)
	kept = ls.peers[id].link
	ls.mu.Unlock()
	if kept != p2p.Link(newer) {
		t.Error("an older link replaced the present one")
	}
	<-stale.link.Done()
}

// A node that is no member any more is told so once, and cannot be asked meanwhile.
func TestLeaving(t *testing.T) {
	ls, who, ctx, stop := newTestLinks(t)
	l := newStub(p2p.ID{2})
	who.set(l.peer, true)
	ls.add(ctx, l)
	who.set(l.peer, false)
	ls.mu.Lock()
	ls.sortOut(ctx)
	ls.sortOut(ctx)
	ls.mu.Unlock()
	if _, err := ls.to(l.peer); !errors.Is(err, p2p.ErrUnreachable) || len(ls.linked()) != 0 {
		t.Errorf("still in use: %v", err)
	}
	<-l.done
	stop()
	if len(who.told) != 1 {
		t.Errorf("told %d times", len(who.told))
	}
}

// What comes after the end is closed before add returns.
func TestAddAfterTheEnd(t *testing.T) {
	ls, who, ctx, stop := newTestLinks(t)
	stop()
	for i, member := range []bool{true, false} {
		l := newStub(p2p.ID{2, byte(i)})
		who.set(l.peer, member)
		ls.add(ctx, l)
		if !ended(l) {
			t.Errorf("member %v: the link is open", member)
		}
	}
}

// A guest may call join/1 and nothing else, may open no stream, and is out when it
// was refused.
func TestGuestOfANode(t *testing.T) {
	alice, eve := startNode(t, Options{Name: "alice"}), startNode(t, Options{Name: "eve"})
	inv, err := alice.Invite(t.Context(), member.InviteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	l, err := eve.knock(t.Context(), inv)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), guestTimeout/2)
	defer cancel()
	var refused *p2p.CallError
	for _, proto := range []string{search.Proto, search.FetchProto, folder.ListProtocol, "signal/1"} {
		if _, err := l.Call(ctx, proto, []byte{0xa0}); !errors.As(err, &refused) || refused.Code != codeForbidden {
			t.Errorf("%s: %v", proto, err)
		}
	}
	conn, err := l.Open(ctx, folder.ContentProtocol)
	if err != nil {
		t.Fatal(err)
	}
	deadline, _ := ctx.Deadline()
	if err := conn.SetReadDeadline(deadline); err != nil {
		t.Fatal(err)
	}
	var timeout net.Error
	if n, err := conn.Read(make([]byte, 1)); err == nil || errors.As(err, &timeout) && timeout.Timeout() {
		t.Errorf("a stream was served: %d bytes, %v", n, err)
	}
	if _, err := l.Call(ctx, member.ProtoJoin, []byte{0xa0}); !errors.As(err, &refused) || refused.Code != member.CodeMalformed {
		t.Errorf("join: %v", err)
	}
	select {
	case <-l.Done():
	case <-ctx.Done():
		t.Error("the link is open long after the refusal")
	}
}
