package node

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/dht"
	"github.com/shoal-p2p/shoal/p2p/member"
	"github.com/shoal-p2p/shoal/p2p/search"
)

// TestOpenNetwork: five real nodes. Anybody is admitted by whom it meets, finds what was shared
// with all, and nothing else; who was removed stays out.
func TestOpenNetwork(t *testing.T) {
	t.Parallel()
	ann := startNode(t, Options{Name: "ann", Mode: member.ModeOpen, Roster: 2})
	if ann.DHT().Replicas() != dht.OpenReplicas {
		t.Errorf("%d copies in an open network", ann.DHT().Replicas())
	}
	link := func(n *Node) string {
		t.Helper()
		inv, err := n.Invite(t.Context(), member.InviteOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if !inv.Public() || inv.Secret != (member.Secret{}) {
			t.Error("an invitation with a secret to an open network")
		}
		return inv.Link("")
	}
	nodes := []*Node{ann}
	var diary *kept
	for i, name := range []string{"bob", "cid", "dee", "eve"} {
		n := startNode(t, Options{Name: name})
		if name == "cid" { // which had shared something where nobody else was
			diary = shares(t, n, "diary", p2p.AccessWrite)
			diary.put("today.md", "chalcedony in my diary")
		}
		// Each by the one before, not by the founder.
		joined, err := n.Join(t.Context(), link(nodes[i]))
		if err != nil || joined.Network.Mode != member.ModeOpen {
			t.Fatalf("%s joins: %+v, %v", name, joined, err)
		}
		nodes = append(nodes, n)
	}
	bob, cid, eve := nodes[1], nodes[2], nodes[4]
	for _, n := range nodes {
		await(t, n, "links", linkedTo(n, len(nodes)-1))
		if n.DHT().Replicas() != dht.OpenReplicas || !n.members.Wide() {
			t.Errorf("%s wants %d copies", n.Name(), n.DHT().Replicas())
		}
	}
	if !eve.members.Self().Certified || bob.members.Self().Certified {
		t.Error("the roster names two, and the others have certificates")
	}

	// What was shared elsewhere is shared with nobody here, and what is shared from now on neither.
	f, err := cid.folders.Get(diary.id)
	if err != nil || f.Access != p2p.AccessNone {
		t.Errorf("cid's diary has the access %q, %v", f.Access, err)
	}
	quiet := shares(t, bob, "quiet", "")
	quiet.put("a.md", "heliotrope that nobody was shown")
	public := shares(t, eve, "public", p2p.AccessRead)
	public.put("b.md", "labradorite for everybody")
	if _, err := cid.AddDocument(t.Context(), search.Document{Title: "note", Text: "sodalite for everybody"}); err != nil {
		t.Fatal(err)
	}
	a, b, c, e := &kept{Node: ann, t: t}, &kept{Node: bob, t: t}, &kept{Node: cid, t: t}, &kept{Node: eve, t: t}
	eventually(t, "each finds its own", func() bool {
		return c.finds("chalcedony", cid) && b.finds("heliotrope", bob) && e.finds("labradorite", eve)
	})
	eventually(t, "what is for everybody", func() bool { return a.finds("labradorite", eve) && a.finds("sodalite", cid) })
	if a.finds("chalcedony", cid) || a.finds("heliotrope", bob) {
		t.Error("strangers find what nobody has shared with them")
	}
	// eve has a place in the roster by now, or she could not offer a folder.
	await(t, ann, "the offer", func() bool {
		return slices.ContainsFunc(ann.members.Offers(), func(o member.Offer) bool { return o.Folder == public.id && o.By == eve.ID() })
	})
	if _, err := ann.JoinFolder(t.Context(), diary.id, cid.ID(), t.TempDir()); !errors.Is(err, ErrNotFound) {
		t.Errorf("a stranger keeps the diary: %v", err)
	}

	// The table works among them.
	put := dht.Put{Address: dht.Address{Location: dht.KeyOf("stone")}, Value: []byte("agate")}
	results, _, err := bob.DHT().MultiPut(t.Context(), []dht.Put{put})
	if err != nil || results[0].Copies != len(nodes) {
		t.Errorf("put: %+v, %v", results, err)
	}
	for _, n := range nodes {
		found, _, err := n.DHT().MultiGet(t.Context(), []dht.Query{{Location: put.Location}}, dht.ReadOptions{})
		if err != nil || len(found[0].Records) != 1 {
			t.Errorf("%s gets %+v, %v", n.Name(), found, err)
		}
	}

	// Members may not remove anybody. The founder may, for good.
	if err := bob.Revoke(t.Context(), cid.ID()); !errors.Is(err, member.ErrNotAdmin) {
		t.Errorf("a member removes another one: %v", err)
	}
	if err := ann.Revoke(t.Context(), cid.ID()); err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes {
		if n != cid {
			await(t, n, "the end of the link to cid", func() bool { return !n.Connected(cid.ID()) && !n.isMember(cid.ID()) })
		}
	}
	await(t, cid, "the news", func() bool { return cid.Status().Revoked })
	for _, n := range []*Node{ann, bob, eve} {
		if _, err := cid.Join(t.Context(), link(n)); !errors.Is(err, member.ErrRefused) {
			t.Errorf("%s admits who was removed: %v", n.Name(), err)
		}
	}
}

// TestRestored: who cannot join an open network shares what it has shared before.
func TestRestored(t *testing.T) {
	t.Parallel()
	ann := startNode(t, Options{Name: "ann", Mode: member.ModeOpen})
	inv, err := ann.Invite(t.Context(), member.InviteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	bob := startNode(t, Options{Name: "bob"})
	diary := shares(t, bob, "diary", p2p.AccessRead)
	inv.Network = p2p.ID{1}
	if _, err := bob.Join(t.Context(), inv.Link("")); err == nil {
		t.Fatal("joined another network than that of the invitation")
	}
	if f, err := bob.folders.Get(diary.id); err != nil || f.Access != p2p.AccessRead {
		t.Errorf("the folder has the access %q, %v", f.Access, err)
	}
}

// TestCertifiedMembers: in a closed network that has as many members as its roster names, the
// others are members as all are: they keep folders the same, offer their own, are found, and are
// dropped by everybody when they are removed. Who has no invitation is as far out as ever.
func TestCertifiedMembers(t *testing.T) {
	t.Parallel()
	nodes := []*Node{startNode(t, Options{Name: "ann", Roster: 2})}
	ann := nodes[0]
	for i := range 5 {
		n := startNode(t, Options{Name: fmt.Sprint("node ", i)})
		inv, err := ann.Invite(t.Context(), member.InviteOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if inv.Public() {
			t.Fatal("an invitation without a secret")
		}
		if _, err := n.Join(t.Context(), inv.Link("")); err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, n)
	}
	for _, n := range nodes {
		await(t, n, "links", linkedTo(n, len(nodes)-1))
	}
	last := nodes[5]
	if !last.members.Self().Certified {
		t.Fatal("the roster names more than it is to")
	}
	first := shares(t, ann, "of ann", p2p.AccessWrite)
	first.put("a.txt", "one")
	eventually(t, "the offer", func() bool { return len(last.members.Offers()) == 1 })
	second := join(t, last, first, t.TempDir())
	second.awaitFile("a.txt", "one")
	second.put("b.txt", "of a holder")
	first.awaitFile("b.txt", "of a holder")

	own := shares(t, last, "of a holder", p2p.AccessWrite)
	own.put("c.txt", "three")
	eventually(t, "the offer", func() bool { return len(nodes[3].members.Offers()) == 2 })
	third := join(t, nodes[3], own, t.TempDir())
	third.awaitFile("c.txt", "three")

	stranger := startNode(t, Options{Name: "stranger"})
	inv, err := ann.Invite(t.Context(), member.InviteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	public := inv
	public.ID, public.Secret = [16]byte{}, member.Secret{}
	if _, err := stranger.Join(t.Context(), public.Link("")); !errors.Is(err, member.ErrRefused) {
		t.Errorf("without the secret: %v", err)
	}
	gone := nodes[4]
	if err := ann.Revoke(t.Context(), gone.ID()); err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes {
		if n != gone {
			await(t, n, "the end of the link", func() bool { return !n.Connected(gone.ID()) && !n.isMember(gone.ID()) })
		}
	}
	await(t, gone, "the news", func() bool { return gone.Status().Revoked })
}

// TestJoinOpenByHand: whichever way somebody comes into an open network, what he has shared before is
// nobody's there.
func TestJoinOpenByHand(t *testing.T) {
	t.Parallel()
	// As many as the roster names are there, so that bob gets a certificate, and offers nothing.
	ann := startNode(t, Options{Name: "ann", Mode: member.ModeOpen, Roster: 1})
	bob := startNode(t, Options{Name: "bob"})
	diary := shares(t, bob, "diary", p2p.AccessWrite)
	inv, err := ann.Invite(t.Context(), member.InviteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	off, err := bob.OfferByInvitation(t.Context(), inv.Link(""))
	if err != nil {
		t.Fatal(err)
	}
	ans, err := ann.AnswerByHand(t.Context(), off.Text)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := bob.FinishByHand(t.Context(), off.ID, ans.Text); err != nil || out.Joined == nil {
		t.Fatalf("%+v, %v", out, err)
	}
	if f, err := bob.folders.Get(diary.id); err != nil || f.Access != p2p.AccessNone {
		t.Errorf("the folder has the access %q, %v", f.Access, err)
	}
	if bob.readableTo(ann.ID())[diary.id] || bob.openToAll(diary.id) || bob.readable(ann.ID(), diary.id) {
		t.Error("a stranger may read what was shared before")
	}
}
