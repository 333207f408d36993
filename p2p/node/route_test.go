package node

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/link"
	"github.com/shoal-p2p/shoal/p2p/member"
	"github.com/shoal-p2p/shoal/p2p/route"
	"github.com/shoal-p2p/shoal/p2p/search"
	"github.com/shoal-p2p/shoal/p2p/sim"
)

// simulated starts nodes in one simulated network, members of the first one's. The second
// and the third can never be linked, if they are apart.
func simulated(t *testing.T, apart bool, names ...string) []*Node {
	t.Helper()
	net := sim.New(sim.Options{})
	var nodes []*Node
	for _, name := range names {
		nodes = append(nodes, startNode(t, Options{Name: name, Transport: func(l link.Local) (p2p.Transport, error) { return net.Transport(l), nil }}))
	}
	t.Cleanup(func() { // all at once: otherwise those that are left would go on looking for the others
		var closing sync.WaitGroup
		for _, n := range nodes {
			closing.Go(func() { _ = n.Close() }) // startNode looks at what it returns
		}
		closing.Wait()
	})
	if apart {
		net.Partition(nodes[1].ID(), nodes[2].ID())
	}
	for _, n := range nodes { // as in a lab
		n.links.hold(true)
		defer n.links.hold(false)
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
	return nodes
}

// Two members that can never be linked search and read each other through a third, and
// what one may see is what it may see, not what the third may.
func TestSearchThroughOthers(t *testing.T) {
	nodes := simulated(t, true, "bob", "alice", "chiara")
	bob, alice, chiara := nodes[0], nodes[1], nodes[2]
	for i, n := range nodes {
		await(t, n, "links", linkedTo(n, []int{2, 1, 1}[i]))
		await(t, n, "the roster", func() bool { return n.Status().Members == 3 })
	}
	id, err := chiara.AddDocument(t.Context(), search.Document{Title: "minutes", Text: "lepidolite for everybody"})
	if err != nil {
		t.Fatal(err)
	}
	common, secret := shares(t, chiara, "common", p2p.AccessRead), shares(t, chiara, "secret", p2p.AccessRead)
	common.put("plan.md", "tourmaline for alice and not for bob")
	secret.put("salaries.md", "rhodochrosite for bob and not for alice")
	common.grant(p2p.AccessRead, p2p.Grants(nil).With(bob.ID(), p2p.AccessNone))
	secret.grant(p2p.AccessRead, p2p.Grants(nil).With(alice.ID(), p2p.AccessNone))
	a, b, c := &kept{Node: alice, t: t}, &kept{Node: bob, t: t}, &kept{Node: chiara, t: t}
	eventually(t, "the index", func() bool { return c.finds("tourmaline", chiara) && c.finds("rhodochrosite", chiara) })

	if alice.Connected(chiara.ID()) {
		t.Fatal("alice and chiara are linked")
	}
	for word, who := range map[string]*kept{"lepidolite": a, "tourmaline": a, "rhodochrosite": b} {
		if !who.finds(word, chiara) {
			t.Errorf("%s does not find %q of chiara", who.Name(), word)
		}
	}
	for word, who := range map[string]*kept{"tourmaline": b, "rhodochrosite": a} {
		if who.finds(word, chiara) {
			t.Errorf("%s finds %q of chiara, and may not", who.Name(), word)
		}
	}
	d, from, err := alice.Document(t.Context(), id, p2p.ID{})
	if err != nil || d.Text != "lepidolite for everybody" || from != chiara.ID() {
		t.Errorf("the document by any way: %q of %s, %v", d.Text, from.Short(), err)
	}
	if _, _, err := alice.Document(t.Context(), search.FileID(secret.id, "salaries.md"), chiara.ID()); !errors.Is(err, search.ErrNotFound) {
		t.Errorf("a file of a folder that alice may not see: %v", err)
	}
	if d, _, err := alice.Document(t.Context(), search.FileID(common.id, "plan.md"), chiara.ID()); err != nil || d.Path != "plan.md" {
		t.Errorf("a file that alice may see: %+v, %v", d, err)
	}
	eventually(t, "alice hears of the folder", func() bool {
		_, _, err := alice.Entries(t.Context(), common.id, chiara.ID(), "", "", 10)
		return err == nil
	})
	entries, _, err := alice.Entries(t.Context(), common.id, chiara.ID(), "", "", 10)
	if err != nil || len(entries) != 1 || entries[0].Path != "plan.md" {
		t.Errorf("entries: %v, %v", entries, err)
	}
	if entries, _, err := alice.Entries(t.Context(), secret.id, chiara.ID(), "", "", 10); err == nil {
		t.Errorf("alice reads the entries of a folder that she may not see: %v", entries)
	}
	var hop *route.Hop
	after, _, _ := bob.Events().Since(bob.Events().id(0))
	for _, m := range after {
		if h, ok := m.Data.(route.Hop); ok && h.From == alice.ID() && h.To == chiara.ID() && h.Proto == search.Proto {
			hop = &h
		}
	}
	if hop == nil || hop.Via != chiara.ID() {
		t.Errorf("bob tells of no hop from alice to chiara: %+v", hop)
	}

	// Nothing is passed on any more, and nothing served, once the origin is no member.
	if err := bob.Revoke(t.Context(), alice.ID()); err != nil {
		t.Fatal(err)
	}
	await(t, chiara, "the revocation", func() bool { return chiara.Status().Members == 2 })
	if _, err := alice.route.Call(t.Context(), chiara.ID(), search.Proto, nil); err == nil {
		t.Error("a node that was revoked is still served")
	}
}

// In a network of more than 50 members nobody keeps links to all, everybody reads what
// all have, a file is read from whoever has it, and who has no link to somebody says so.
func TestLargeNetwork(t *testing.T) {
	if testing.Short() || raced {
		t.Skip("it starts 70 nodes, which takes too long with the race detector")
	}
	const size = 70
	var names []string
	for i := range size {
		names = append(names, fmt.Sprintf("n%02d", i))
	}
	nodes := simulated(t, false, names...)
	for _, n := range nodes {
		patiently(t, n.Name()+": the roster", func() bool { return n.Status().Members == size })
	}
	last := &kept{Node: nodes[size-1], t: t}
	var far *Node
	patiently(t, "a member without a link", func() bool {
		for i, n := range nodes[1 : size-1] {
			if p := last.links.state(n.ID()); p.Through && !p.Connected && p.Error == "" {
				far = nodes[i+1]
				return true
			}
		}
		return false
	})
	id, err := far.AddDocument(t.Context(), search.Document{Title: "far", Text: "lepidolite"})
	if err != nil {
		t.Fatal(err)
	}
	// Not by a search of all: 70 nodes in one process may not answer within its two seconds.
	patiently(t, "the document is read", func() bool {
		d, _, err := last.Document(t.Context(), id, far.ID())
		return err == nil && d.Text == "lepidolite"
	})
	f := shares(t, far, "files", p2p.AccessRead)
	f.put("a.txt", "over a link that is made for it")
	patiently(t, "the offer", func() bool { _, err := last.Folder(f.id, far.ID()); return err == nil })
	var text string
	patiently(t, "the file", func() bool {
		var err error
		text, err = readAll(t, last.Node, f.id, far.ID(), "a.txt")
		return err == nil
	})
	if text != "over a link that is made for it" {
		t.Errorf("the file is %q", text)
	}
}

// patiently is eventually for what 70 nodes in one process do on a computer that has other
// work.
func patiently(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick, late := time.NewTicker(50*time.Millisecond), time.NewTimer(4*time.Minute)
	defer tick.Stop()
	defer late.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-late.C:
			t.Fatalf("%s: it did not happen", what)
		}
	}
}
