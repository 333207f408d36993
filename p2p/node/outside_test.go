package node

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/direct"
	"github.com/shoal-p2p/shoal/p2p/folder"
	"github.com/shoal-p2p/shoal/p2p/folder/exchange"
	"github.com/shoal-p2p/shoal/p2p/link"
	"github.com/shoal-p2p/shoal/p2p/member"
	"github.com/shoal-p2p/shoal/p2p/route"
	"github.com/shoal-p2p/shoal/p2p/search"
	"github.com/shoal-p2p/shoal/p2p/swarm"
	"github.com/shoal-p2p/shoal/p2p/swarm/pass"
	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
	"github.com/shoal-p2p/shoal/p2p/swarm/tracker"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// shareFile shares a new file of a node.
func shareFile(t *testing.T, n *Node, name string, size int) (seed.Seed, []byte) {
	t.Helper()
	data := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{byte(size), name[0]}).Read(data) // never fails (rand.ChaCha8)
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	st, err := n.Swarm().Make(t.Context(), path, swarm.MakeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return st.Seed, data
}

// passTo makes a link for others, and returns what they read in it.
func passTo(t *testing.T, n *Node, id seed.ID, o pass.MakeOptions) (seed.Link, pass.Pass) {
	t.Helper()
	l, _, err := n.PassFor(t.Context(), id, o)
	if err != nil {
		t.Fatal(err)
	}
	read, err := seed.ParseLink(l.String())
	if err != nil {
		t.Fatal(err)
	}
	p, ok, err := pass.Of(read)
	if err != nil || !ok {
		t.Fatalf("the link has no pass: %v", err)
	}
	return read, p
}

// fetch begins to get what a link leads to.
func fetch(t *testing.T, n *Node, l seed.Link, dir string) {
	t.Helper()
	p, err := n.PassIn(l)
	if err != nil {
		t.Fatal(err)
	}
	known, err := n.Swarm().Resolve(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.Swarm().Download(t.Context(), swarm.GetOptions{Seed: known, Dir: dir, Pass: p}); err != nil {
		t.Fatal(err)
	}
}

func hasAll(n *Node, id seed.ID) func() bool {
	return func() bool {
		st, err := n.Swarm().Get(id)
		return err == nil && st.State == swarm.StateSeeding
	}
}

// endsSoon fails unless a link ends by itself, sooner than one that nobody uses.
func endsSoon(t *testing.T, l p2p.Link) {
	t.Helper()
	select {
	case <-l.Done():
	case <-time.After(visitorIdle / 2):
		t.Error("the link has outlived its pass")
	}
}

func (ls *links) visits() int {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	return len(ls.visitors)
}

// TestOutsiderGetsAFile: by a link with a pass, a node of another network fetches a file over WebRTC, while the
// member that let it in is still downloading that itself; and neither network learns more.
func TestOutsiderGetsAFile(t *testing.T) {
	store, err := newMemory()
	if err != nil {
		t.Fatal(err)
	}
	ada, eve := startNode(t, Options{Name: "ada"}), startNode(t, Options{Name: "eve", Store: store})
	ben := startNode(t, Options{Name: "ben", Limits: link.Rates{Up: 4 << 20}})
	inv, err := ada.Invite(t.Context(), member.InviteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ben.Join(t.Context(), inv.Link("")); err != nil {
		t.Fatal(err)
	}
	s, data := shareFile(t, ben, "lecture.mp4", 4<<20)
	if _, err := ada.Swarm().Download(t.Context(), swarm.GetOptions{Seed: s, Dir: t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the download has begun", func() bool {
		st, err := ada.Swarm().Get(s.ID())
		return err == nil && st.Here > 0
	})
	l, p := passTo(t, ada, s.ID(), pass.MakeOptions{})
	position := ada.Events().Position()
	dir := t.TempDir()
	fetch(t, eve, l, dir)
	var seen []swarm.Party
	eventually(t, "all is there", func() bool {
		if pic, err := ada.Swarm().Picture(s.ID()); err == nil {
			for _, m := range pic.Members {
				if m.Outside {
					seen = append(seen, m)
				}
			}
		}
		return hasAll(eve, s.ID())()
	})
	if got, err := os.ReadFile(filepath.Join(dir, "lecture.mp4")); err != nil || !bytes.Equal(got, data) {
		t.Fatalf("%d bytes: %v", len(got), err)
	}
	if len(seen) == 0 || seen[0].ID != eve.ID() {
		t.Errorf("the picture of the member has no guest: %v", seen)
	}
	pic, err := eve.Swarm().Picture(s.ID())
	if err != nil || len(pic.Members) != 1 || pic.Members[0].ID != ada.ID() || !pic.Members[0].Outside {
		t.Errorf("the picture of the guest: %+v, %v", pic.Members, err)
	}
	eventually(t, "the link has ended", func() bool { return ada.links.visits() == 0 })
	if len(eve.Members()) != 1 || len(eve.Peers()) != 0 || len(eve.links.all()) != 0 || eve.Connected(ada.ID()) {
		t.Error("the guest knows members of the other network")
	}
	if len(ada.Members()) != 2 || ada.Connected(eve.ID()) {
		t.Error("the guest has become a member")
	}
	infos, err := ada.PassesFor(s.ID())
	if err != nil || len(infos) != 1 || len(infos[0].Uses) != 1 || infos[0].Uses[0].Guest != eve.ID() || infos[0].ID != p.ID {
		t.Errorf("what became of the pass: %+v, %v", infos, err)
	}
	var came []swarm.Guest
	after, _, _ := ada.Events().Since(position)
	for _, e := range after {
		if g, ok := e.Data.(swarm.Guest); ok {
			came = append(came, g)
		}
	}
	if len(came) != 1 || came[0].Guest != eve.ID() || came[0].Name != "lecture.mp4" || came[0].Seed != s.ID() {
		t.Errorf("events of guests: %+v", came)
	}
	if _, err := eve.swarm.Get(s.ID()); err != nil {
		t.Error(err)
	}
	rows, err := store.Seeds().Rows(t.Context())
	if err != nil || len(rows) != 1 || rows[0].Via != "" {
		t.Errorf("the pass is kept after its use: %v", err)
	}
}

// TestPassesAreRefused: nobody is let in by a pass that is not his, or is none any more, and a person is told.
func TestPassesAreRefused(t *testing.T) {
	ada, eve, mal := startNode(t, Options{Name: "ada"}), startNode(t, Options{Name: "eve"}), startNode(t, Options{Name: "mal"})
	s, _ := shareFile(t, ada, "lecture.mp4", 100<<10)
	knock := func(n *Node, p pass.Pass) error {
		l, release, err := n.through(t.Context(), p)
		if err == nil {
			release()
			<-l.Done()
		}
		return err
	}
	refused := func(what string, n *Node, p pass.Pass) {
		t.Helper()
		if err := knock(n, p); !errors.Is(err, pass.ErrRefused) {
			t.Errorf("%s: %v", what, err)
		}
	}
	l, p := passTo(t, ada, s.ID(), pass.MakeOptions{Expires: time.Hour})
	wrong := p
	wrong.Secret[0]++
	refused("a wrong secret", eve, wrong)
	unknown := p
	unknown.ID[0]++
	refused("a pass that does not exist", eve, unknown)
	if err := knock(eve, p); err != nil {
		t.Fatalf("the first: %v", err)
	}
	if err := knock(eve, p); err != nil {
		t.Errorf("the first again: %v", err)
	}
	refused("the second", mal, p)

	// The second is told by what becomes of its download.
	fetch(t, mal, l, t.TempDir())
	eventually(t, "the download stands still", func() bool {
		st, err := mal.Swarm().Get(s.ID())
		return err == nil && st.State == swarm.StateError && st.Error == pass.ErrRefused.Error()
	})
	// One that was withdrawn ends what it had begun.
	out, release, err := eve.through(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if err := ada.WithdrawPass(t.Context(), s.ID(), p.ID); err != nil {
		t.Fatal(err)
	}
	endsSoon(t, out)
	refused("one that was withdrawn", eve, p)
	if err := ada.WithdrawPass(t.Context(), seed.ID{1}, p.ID); !errors.Is(err, pass.ErrUnknown) {
		t.Errorf("of another seed: %v", err)
	}
	// One that has expired ends what it had begun too; a link that has expired is not even tried.
	short, q := passTo(t, ada, s.ID(), pass.MakeOptions{Expires: time.Second, Uses: 2})
	out, release, err = eve.through(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	endsSoon(t, out)
	if _, err := eve.PassIn(short); !errors.Is(err, pass.ErrExpired) {
		t.Errorf("expired: %v", err)
	}
	refused("one that has expired", mal, q)
	// To a member a pass is nothing, and with the seed its passes go.
	if p, err := ada.PassIn(short); p != nil || err != nil {
		t.Errorf("at home: %v, %v", p, err)
	}
	_, q = passTo(t, ada, s.ID(), pass.MakeOptions{})
	if err := ada.Swarm().Forget(t.Context(), s.ID(), false); err != nil {
		t.Fatal(err)
	}
	refused("of a seed that is not there any more", eve, q)
	if _, _, err := ada.PassFor(t.Context(), s.ID(), pass.MakeOptions{}); !errors.Is(err, swarm.ErrNotFound) {
		t.Errorf("a pass for what is not there: %v", err)
	}
}

// greeting asks for a seed as the protocol has it, and returns the code of the answer.
func greeting(t *testing.T, l p2p.Link, id seed.ID, size int64) (string, net.Conn) {
	t.Helper()
	conn, err := l.Open(t.Context(), swarm.Protocol)
	if err != nil {
		t.Fatal(err)
	}
	hello := struct {
		ID   seed.ID `cbor:"1,keyasint"`
		Size int64   `cbor:"2,keyasint"`
	}{id, size}
	var welcome struct {
		Code string `cbor:"1,keyasint,omitempty"`
	}
	if err := wire.WriteMsg(conn, hello); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if err := wire.ReadMsg(conn, &welcome); err != nil {
		t.Fatal(err)
	}
	return welcome.Code, conn
}

// TestVisitorMayNothingElse: whom a pass has let in gets its seed, and nothing else; who goes on trying is out.
func TestVisitorMayNothingElse(t *testing.T) {
	ada, eve := startNode(t, Options{Name: "ada"}), startNode(t, Options{Name: "eve"})
	s, _ := shareFile(t, ada, "lecture.mp4", 100<<10)
	other, _ := shareFile(t, ada, "diary.txt", 200<<10)
	_, p := passTo(t, ada, s.ID(), pass.MakeOptions{})
	l, release, err := eve.through(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	protos := []string{
		member.ProtoJoin, member.ProtoMember, search.Proto, search.FetchProto, folder.ListProtocol, exchange.DigestProtocol,
		tracker.Proto, direct.Proto, "signal/1", "nat/1", pathProto, "dht/1",
	}
	for proto := range ada.handlers {
		protos = append(protos, proto)
	}
	var refused *p2p.CallError
	for _, proto := range protos {
		if _, err := l.Call(ctx, proto, []byte{0xa0}); !errors.As(err, &refused) || refused.Code != codeForbidden && refused.Code != "no_protocol" {
			t.Errorf("%s: %v", proto, err)
		}
	}
	isReset := func(proto string, conn net.Conn) {
		t.Helper()
		if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		var timeout net.Error
		if n, err := conn.Read(make([]byte, 1)); err == nil || errors.As(err, &timeout) && timeout.Timeout() {
			t.Errorf("%s was served: %d bytes, %v", proto, n, err)
		}
	}
	for _, proto := range []string{folder.ContentProtocol, exchange.IndexProtocol, exchange.FilesProtocol, route.ExchangeProtocol, direct.StreamProto} {
		conn, err := l.Open(ctx, proto)
		if err != nil {
			t.Fatal(err)
		}
		isReset(proto, conn)
	}
	if code, conn := greeting(t, l, other.ID(), other.Size); code != "not_here" {
		t.Errorf("another seed: %q", code)
	} else if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("after the refusal: %v", err)
	}
	if code, _ := greeting(t, l, seed.ID{9}, 1); code != "not_here" {
		t.Errorf("a seed that nobody has is told apart: %q", code)
	}
	code, _ := greeting(t, l, s.ID(), s.Size)
	if code != "" {
		t.Fatalf("its seed: %q", code)
	}
	if ended(l) {
		t.Fatal("the link has ended")
	}
	// What the host opens to the guest is closed to it as well.
	back := ada.links.visitors[0].link
	if _, err := back.Call(ctx, search.Proto, []byte{0xa0}); !errors.As(err, &refused) || refused.Code != codeForbidden {
		t.Errorf("the host calls the guest: %v", err)
	}
	conn, err := back.Open(ctx, swarm.Protocol)
	if err != nil {
		t.Fatal(err)
	}
	isReset("the host's own stream", conn)
	for i := 0; !ended(l) && i < 4*visitorFaults; i++ {
		if conn, err := l.Open(ctx, swarm.Protocol); err == nil {
			defer reset(conn)
		}
		_, _ = l.Call(ctx, member.ProtoJoin, []byte{0xa0})
	}
	select {
	case <-l.Done():
	case <-ctx.Done():
		t.Error("who only disturbs is still there")
	}
}

// TestVisitorsAreFew: those whom passes let in take the places of nobody else, and of one node there is one link.
func TestVisitorsAreFew(t *testing.T) {
	ls, who, ctx, _ := newTestLinks(t)
	ls.byPass = func(l p2p.Link) bool { return l.Peer()[0] == 4 }
	ls.grants = func(p2p.ID) map[seed.ID]time.Time { return map[seed.ID]time.Time{{1}: time.Now().Add(time.Hour)} }
	guest := newStub(p2p.ID{2})
	ls.add(ctx, guest)
	first, again := newStub(p2p.ID{4}), newStub(p2p.ID{4})
	ls.add(ctx, first)
	ls.add(ctx, again)
	<-first.done
	for i := range 2 * maxVisitors {
		ls.add(ctx, newStub(p2p.ID{4, byte(i + 1)}))
	}
	if n := ls.visits(); n != maxVisitors || ended(again) || ended(guest) {
		t.Errorf("%d visitors; the first is gone: %v, a guest: %v", n, ended(again), ended(guest))
	}
	if len(ls.linked()) != 0 {
		t.Error("a visitor counts as a member")
	}
	ls.dismissAll(again.peer)
	<-again.done
	who.set(p2p.ID{4, 1}, true)
	ls.mu.Lock()
	gone := ls.visitors[slices.IndexFunc(ls.visitors, func(v *visitor) bool { return v.link.Peer() == p2p.ID{4, 1} })].link
	ls.mu.Unlock()
	ls.kick()
	<-gone.Done() // it has become a member, and dials as one
}

// TestGuestGoesOn: a download by a pass goes on after a restart, with several seeds of one host over one link.
func TestGuestGoesOn(t *testing.T) {
	store, err := newMemory()
	if err != nil {
		t.Fatal(err)
	}
	ada := startNode(t, Options{Name: "ada", Limits: link.Rates{Up: 2 << 20}})
	eve := startNode(t, Options{Name: "eve", Store: store})
	dir := t.TempDir()
	var ids []seed.ID
	for _, name := range []string{"one", "two"} {
		s, _ := shareFile(t, ada, name, 2<<20)
		l, _ := passTo(t, ada, s.ID(), pass.MakeOptions{})
		fetch(t, eve, l, dir)
		ids = append(ids, s.ID())
	}
	eventually(t, "both have begun", func() bool {
		for _, id := range ids {
			if st, err := eve.Swarm().Get(id); err != nil || st.Here == 0 {
				return false
			}
		}
		return true
	})
	if err := eve.Close(); err != nil {
		t.Fatal(err)
	}
	eve = startNode(t, Options{Name: "eve", Store: store})
	for _, id := range ids {
		eventually(t, "all is there", hasAll(eve, id))
	}
}
