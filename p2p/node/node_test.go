package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/extract"
	"github.com/shoal-p2p/shoal/p2p/folder"
	"github.com/shoal-p2p/shoal/p2p/link"
	"github.com/shoal-p2p/shoal/p2p/member"
	"github.com/shoal-p2p/shoal/p2p/search"
	"github.com/shoal-p2p/shoal/p2p/sim"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == extract.Verb { // TestDocumentsAreFound starts it so
		os.Exit(extract.Main())
	}
	goleak.VerifyTestMain(m)
}

// startNode starts a node that ends with the test.
func startNode(t *testing.T, o Options) *Node {
	t.Helper()
	t.TempDir() // what is registered first goes last: the node may write in a folder until it is closed
	n, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Errorf("close %s: %v", n.Name(), err)
		}
	})
	return n
}

// await reads n's events until ok is true of its state, or the test's patience ends.
func await(t *testing.T, n *Node, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	position := n.Events().Position()
	for !ok() {
		if n.Events().Wait(ctx, position) != nil {
			t.Fatalf("%s: %s: it did not happen", n.Name(), what)
		}
		position = n.Events().Position()
	}
}

func linkedTo(n *Node, others int) func() bool {
	return func() bool { return n.Status().Peers == others }
}

// class starts nodes that are members of the first one's network and linked.
func class(t *testing.T, names ...string) []*Node {
	t.Helper()
	var nodes []*Node
	for _, name := range names {
		nodes = append(nodes, startNode(t, Options{Name: name}))
	}
	inv, err := nodes[0].Invite(t.Context(), member.InviteOptions{MaxUses: len(names)})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes[1:] {
		if _, err := n.Join(t.Context(), inv.Link("")); err != nil {
			t.Fatalf("%s joins: %v", n.Name(), err)
		}
	}
	for _, n := range nodes {
		await(t, n, "links", linkedTo(n, len(names)-1))
	}
	return nodes
}

func TestJoin(t *testing.T) {
	alice, bob := startNode(t, Options{Name: "alice"}), startNode(t, Options{Name: "bob"})
	inv, err := alice.Invite(t.Context(), member.InviteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	start := alice.Events().Position()
	j, err := bob.Join(t.Context(), inv.Link(""))
	if err != nil {
		t.Fatal(err)
	}
	if j.Members != 2 || len(j.Words) != 4 || j.Network.ID != alice.Status().Network.ID {
		t.Errorf("joined %+v", j)
	}
	var words []string
	await(t, alice, "the words", func() bool {
		after, _, _ := alice.Events().Since(start)
		for _, m := range after {
			if e, ok := m.Data.(member.MemberJoined); ok {
				words = e.Words
			}
		}
		return words != nil
	})
	if !slices.Equal(words, j.Words) {
		t.Errorf("the inviter sees %v, the joiner %v", words, j.Words)
	}
	await(t, bob, "link", linkedTo(bob, 1))
	if again, err := bob.Join(t.Context(), inv.Link("")); err != nil || len(again.Words) != 0 || again.Members != 2 {
		t.Errorf("joining again: %+v, %v", again, err)
	}
	other := startNode(t, Options{})
	theirs, err := other.Invite(t.Context(), member.InviteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := alice.Join(t.Context(), theirs.Link("")); !errors.Is(err, member.ErrNotEmpty) {
		t.Errorf("joining with members of one's own: %v", err)
	}
	if _, err := other.Join(t.Context(), inv.Link("")); !errors.Is(err, member.ErrRefused) && !errors.Is(err, p2p.ErrRefused) {
		t.Errorf("a used invitation: %v", err)
	}
	if _, err := other.Join(t.Context(), "nonsense"); !errors.Is(err, member.ErrMalformed) {
		t.Errorf("nonsense: %v", err)
	}
}

// lossy loses the first dial on its way: the peer has answered, and no packets go through.
type lossy struct {
	p2p.Transport
	dials *atomic.Int32
}

func (l lossy) Dial(ctx context.Context, to p2p.Contact, pass *p2p.Pass) (p2p.Link, error) {
	if pass != nil && l.dials.Add(1) == 1 {
		return nil, fmt.Errorf("dial %s: %w", to.ID().Short(), p2p.ErrNoPath)
	}
	return l.Transport.Dial(ctx, to, pass)
}

// A join whose packets were lost is tried once more.
func TestJoinAgain(t *testing.T) {
	net, dials := sim.New(sim.Options{}), &atomic.Int32{}
	alice := startNode(t, Options{Name: "alice", Transport: func(l link.Local) (p2p.Transport, error) { return net.Transport(l), nil }})
	bob := startNode(t, Options{Name: "bob", Transport: func(l link.Local) (p2p.Transport, error) { return lossy{net.Transport(l), dials}, nil }})
	inv, err := alice.Invite(t.Context(), member.InviteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if j, err := bob.Join(t.Context(), inv.Link("")); err != nil || j.Members != 2 || dials.Load() != 2 {
		t.Errorf("%d dials: %+v, %v", dials.Load(), j, err)
	}
}

// A node knows whom it joins at as a member a moment before their link is a member's. It
// must not dial meanwhile: the second link would end what goes over the first.
func TestTheLinkOfAJoinIsNotReplaced(t *testing.T) {
	nodes := class(t, "alice", "bob")
	alice, bob := nodes[0], nodes[1]
	alice.links.hold(true)
	arrived := bob.links.arrives(alice.ID())
	l, err := bob.links.to(alice.ID())
	if err != nil {
		t.Fatal(err)
	}
	bob.links.close(l)
	await(t, bob, "the end of the link", linkedTo(bob, 0))
	bob.links.found(alice.ID()) // else it waits a moment after the loss
	time.Sleep(firstRetry + yieldToSmaller)
	if bob.Connected(alice.ID()) {
		t.Error("it was dialled")
	}
	arrived()
	await(t, bob, "a link", linkedTo(bob, 1))
}

// Who admits somebody over a link that is only about to come in must not dial meanwhile: the
// second link would end what goes over the first.
func TestAdmissionAwaitsItsLink(t *testing.T) {
	ls, who, ctx, _ := newTestLinks(t)
	l := newStub(p2p.ID{2})
	admit := ls.afterAdd(func(_ context.Context, from p2p.Link, _ []byte) ([]byte, error) {
		who.set(from.Peer(), true)
		return nil, nil
	})
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		if _, err := admit(ctx, l, nil); err != nil {
			t.Error(err)
		}
	}()
	time.Sleep(20 * time.Millisecond)
	if who.isMember(l.peer) {
		t.Error("admitted before its link was added")
	}
	ls.add(ctx, newStub(p2p.ID{3}))
	ls.add(ctx, l)
	<-answered
	if !who.isMember(l.peer) {
		t.Error("not admitted")
	}
	gone := newStub(p2p.ID{4})
	if err := gone.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := admit(ctx, gone, nil); err != nil {
		t.Error(err)
	}
}

// The second and the third never spoke before; their signalling goes through the
// first or straight to each other's port.
func TestMembersLinkToEachOther(t *testing.T) {
	nodes := class(t, "alice", "bob", "chiara")
	for _, p := range nodes[1].Peers() {
		if !p.Connected || p.Path.Kind != p2p.PathDirect || p.Path.Why == "" {
			t.Errorf("bob's link to %s: %+v", p.Name, p.Path)
		}
	}
}

func TestSearchAndContentOfAnotherNode(t *testing.T) {
	nodes := class(t, "alice", "bob")
	alice, bob := nodes[0], nodes[1]
	dir := t.TempDir()
	const text = "# Plan\n\nThe network in the attic.\n"
	if err := os.WriteFile(filepath.Join(dir, "plan.md"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := alice.AddFolder(t.Context(), folder.AddOptions{Path: dir, Label: "notes"})
	if err != nil {
		t.Fatal(err)
	}
	await(t, alice, "indexed", func() bool { return alice.Status().Documents == 1 })
	a, err := bob.Search(t.Context(), search.Query{Text: "netwrk", Fuzz: search.Auto}, nil)
	if err != nil || len(a.Hits) != 1 || a.Partial || a.NodesAnswered != 2 {
		t.Fatalf("answer %+v, %v", a, err)
	}
	if h := a.Hits[0]; h.Folder != f.ID || h.Path != "plan.md" || h.NodeName != "alice" || h.Local || h.Distance != 1 {
		t.Errorf("hit %+v", h)
	}
	await(t, bob, "the offer", func() bool { _, err := bob.Folder("notes", p2p.ID{}); return err == nil })
	for _, n := range nodes {
		c, err := n.Content(t.Context(), f.ID, p2p.ID{}, "plan.md")
		if err != nil {
			t.Fatalf("%s: %v", n.Name(), err)
		}
		r, err := c.ReadRange(t.Context(), 2, 4)
		if err != nil {
			t.Fatalf("%s: %v", n.Name(), err)
		}
		b, err := io.ReadAll(r)
		if err := errors.Join(err, r.Close()); err != nil || string(b) != "Plan" || c.Size != int64(len(text)) {
			t.Errorf("%s: %q of %d bytes, %v", n.Name(), b, c.Size, err)
		}
		if _, err := n.Content(t.Context(), f.ID, p2p.ID{}, "../plan.md"); err == nil {
			t.Errorf("%s: a path that leads out was read", n.Name())
		}
	}
	if err := alice.RemoveFolder(t.Context(), "notes"); err != nil {
		t.Fatal(err)
	}
	await(t, bob, "the offer's end", func() bool { _, err := bob.Folder("notes", p2p.ID{}); return err != nil })
	if a, err := bob.Search(t.Context(), search.Query{Text: "network", Fuzz: search.Auto}, nil); err != nil || len(a.Hits) != 0 {
		t.Errorf("after the folder's removal: %+v, %v", a.Hits, err)
	}
}

func TestDocuments(t *testing.T) {
	nodes := class(t, "alice", "bob")
	id, err := nodes[0].AddDocument(t.Context(), search.Document{Title: "Milk", Text: "two litres"})
	if err != nil {
		t.Fatal(err)
	}
	d, holder, err := nodes[1].Document(t.Context(), id, p2p.ID{})
	if err != nil || d.Title != "Milk" || holder != nodes[0].ID() {
		t.Errorf("document %+v of %s, %v", d, holder.Short(), err)
	}
	if err := nodes[1].RemoveDocument(t.Context(), id); !errors.Is(err, search.ErrNotFound) {
		t.Errorf("removing another node's document: %v", err)
	}
	if err := nodes[0].RemoveDocument(t.Context(), id); err != nil {
		t.Error(err)
	}
	if _, _, err := nodes[1].Document(t.Context(), id, p2p.ID{}); !errors.Is(err, search.ErrNotFound) {
		t.Errorf("after its removal: %v", err)
	}
	if n, err := nodes[0].AddSamples(t.Context()); err != nil || n != nodes[0].Status().Documents {
		t.Errorf("%d samples, %d documents, %v", n, nodes[0].Status().Documents, err)
	}
}

// A node with a lasting store is back in its network after a restart, although
// the one who invited it is gone and all its own ports are others.
func TestRestartWithoutTheInviter(t *testing.T) {
	stores := make([]*memory, 3)
	nodes := make([]*Node, 3)
	for i := range nodes {
		var err error
		if stores[i], err = newMemory(); err != nil {
			t.Fatal(err)
		}
		nodes[i] = startNode(t, Options{Name: string(rune('a' + i)), Store: stores[i]})
	}
	inv, err := nodes[0].Invite(t.Context(), member.InviteOptions{MaxUses: 2})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes[1:] {
		if _, err := n.Join(t.Context(), inv.Link("")); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range nodes {
		await(t, n, "links", linkedTo(n, 2))
	}
	if err := errors.Join(nodes[0].Close(), nodes[2].Close()); err != nil {
		t.Fatal(err)
	}
	await(t, nodes[1], "the others' end", linkedTo(nodes[1], 0))
	back := startNode(t, Options{Name: "c", Store: stores[2]})
	await(t, back, "the link", linkedTo(back, 1))
	if p := nodes[1].Peers(); p[0].Error == "" || p[0].Connected {
		t.Errorf("the one that is gone: %+v", p[0])
	}
}

func TestRevoke(t *testing.T) {
	nodes := class(t, "alice", "bob", "chiara")
	if err := nodes[0].Revoke(t.Context(), nodes[2].ID()); err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes[:2] {
		await(t, n, "the end of the link", linkedTo(n, 1))
		// The one who is removed may hear of it, and hang up, before the others do.
		await(t, n, "the end of her membership", func() bool { _, ok := n.Member(nodes[2].ID()); return !ok })
	}
	await(t, nodes[2], "the end of the links", linkedTo(nodes[2], 0))
	if err := nodes[1].Revoke(t.Context(), nodes[0].ID()); !errors.Is(err, member.ErrNotAdmin) {
		t.Errorf("a member revokes: %v", err)
	}
	if err := nodes[0].Revoke(t.Context(), nodes[0].ID()); !errors.Is(err, member.ErrLastAdmin) {
		t.Errorf("the last admin revokes itself: %v", err)
	}
}

func TestLab(t *testing.T) {
	lab, err := StartLab(t.Context(), LabOptions{Nodes: 4})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := lab.Close(); err != nil {
			t.Error(err)
		}
	}()
	last := lab.Nodes[3]
	await(t, last, "links", linkedTo(last, 3))
	a, err := last.Search(t.Context(), search.Query{Text: "kademlai", Fuzz: search.Auto}, nil)
	if err != nil || len(a.Hits) == 0 || !strings.Contains(a.Hits[0].Title, "Kademlia") {
		t.Errorf("answer %+v, %v", a, err)
	}
	if _, err := StartLab(t.Context(), LabOptions{Nodes: MaxLab + 1}); err == nil {
		t.Error("a lab without bounds")
	}
}
