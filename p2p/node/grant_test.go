package node

import (
	"strings"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/folder"
	"github.com/shoal-p2p/shoal/p2p/member"
	"github.com/shoal-p2p/shoal/p2p/search"
)

// shares has a node share a new directory.
func shares(t *testing.T, n *Node, label, access string) *kept {
	t.Helper()
	k := &kept{Node: n, t: t, dir: t.TempDir()}
	f, err := n.AddFolder(t.Context(), folder.AddOptions{Path: k.dir, Label: label, Access: access})
	if err != nil {
		t.Fatal(err)
	}
	k.id = f.ID
	return k
}

// grant says what members may do with the folder, through k.
func (k *kept) grant(access string, grants p2p.Grants) {
	k.t.Helper()
	if _, err := k.UpdateFolder(k.t.Context(), k.id, folder.Changes{Access: &access, Grants: &grants}); err != nil {
		k.t.Fatal(err)
	}
}

// knows waits until a node's folder has the grants.
func (k *kept) knows(access string, grants p2p.Grants) {
	k.t.Helper()
	eventually(k.t, "the grants", func() bool {
		f, err := k.Folder(k.id, k.ID())
		return err == nil && f.Access == access && len(f.Grants) == len(grants) && (len(grants) == 0 || f.Grants[0] == grants[0])
	})
}

// finds reports whether k finds a word on the node from.
func (k *kept) finds(word string, from *Node) bool {
	k.t.Helper()
	a, err := k.Search(k.t.Context(), search.Query{Text: word, Fuzz: search.Auto}, nil)
	if err != nil {
		k.t.Fatal(err)
	}
	for _, h := range a.Hits {
		if h.Node == from.ID() {
			return true
		}
	}
	if len(a.Corrections) > 0 {
		k.t.Errorf("the answer tells of %v", a.Corrections)
	}
	return false
}

// One member may write where all may read; one sees nothing: not by synchronising, not by
// search, not by the list of entries; and all that comes back with a word.
func TestGrants(t *testing.T) {
	t.Parallel()
	nodes := class(t, "alice", "bob", "chiara", "dora")
	first := shares(t, nodes[0], "common", p2p.AccessRead)
	alice, bob, chiara, dora := first, join(t, nodes[1], first, t.TempDir()), join(t, nodes[2], first, t.TempDir()), nodes[3]
	await(t, dora, "the offer", func() bool { _, err := dora.Folder(first.id, alice.ID()); return err == nil })

	grants := p2p.Grants(nil).With(bob.ID(), p2p.AccessWrite).With(chiara.ID(), p2p.AccessNone).With(dora.ID(), p2p.AccessNone)
	alice.grant(p2p.AccessRead, grants)
	bob.knows(p2p.AccessRead, grants)
	bob.put("bob.txt", "quartzite of bob")
	alice.awaitFile("bob.txt", "quartzite of bob")
	alice.put("alice.txt", "lepidolite of alice")
	bob.awaitFile("alice.txt", "lepidolite of alice")
	await(t, chiara.Node, "that chiara is told why", func() bool {
		f, err := chiara.Folder(chiara.id, chiara.ID())
		return err == nil && f.State == folder.StateError && strings.Contains(f.Error, "may not read")
	})
	await(t, dora, "the end of the offer", func() bool { _, err := dora.Folder(first.id, alice.ID()); return err != nil })
	await(t, alice.Node, "the index", func() bool { return bob.finds("lepidolite", alice.Node) && alice.finds("quartzite", bob.Node) })
	if chiara.finds("lepidolite", alice.Node) || chiara.finds("lepidolite", bob.Node) || (&kept{Node: dora, t: t}).finds("quartzite", bob.Node) {
		t.Error("who may not read finds what is in the folder")
	}
	if list, _, err := folder.FetchEntries(t.Context(), dora.links, alice.ID(), first.id, "", "", 10); err == nil {
		t.Errorf("dora is given the list %v", list)
	}
	doc := search.FileID(first.id, "alice.txt")
	if d, err := search.Fetch(t.Context(), dora.links, alice.ID(), doc); err == nil {
		t.Errorf("dora is given the text %q", d.Text)
	}
	chiara.put("chiara.txt", "of chiara")
	alice.put("later.txt", "later")
	bob.awaitFile("later.txt", "later")
	if !chiara.lacks("alice.txt") || !chiara.lacks("later.txt") || !alice.lacks("chiara.txt") || !bob.lacks("chiara.txt") {
		t.Error("who may not read is kept in line")
	}

	grants = grants.With(chiara.ID(), "").With(dora.ID(), p2p.AccessRead)
	alice.grant(p2p.AccessRead, grants)
	chiara.awaitFile("later.txt", "later")
	d := join(t, dora, first, t.TempDir())
	d.awaitFile("later.txt", "later")
	await(t, chiara.Node, "what can be found", func() bool { return chiara.finds("lepidolite", bob.Node) })
	if !alice.lacks("chiara.txt") {
		t.Error("what a reader has made was told")
	}
	grants = grants.With(chiara.ID(), p2p.AccessNone)
	alice.grant(p2p.AccessRead, grants)
	chiara.lets(chiara.ID(), false)
	alice.grant(p2p.AccessRead, grants.With(chiara.ID(), p2p.AccessWrite))
	for _, k := range []*kept{alice, bob, d} {
		k.awaitFile("chiara.txt", "of chiara")
	}
}

// An admin decides about another's folder, and the creator follows, also after a restart of
// neither; a member that is no admin may not.
func TestGrantsOfAnAdmin(t *testing.T) {
	t.Parallel()
	all := together(t, p2p.AccessWrite, "alice", "bob", "chiara")
	alice, bob, chiara := all[0], all[1], all[2]
	// The folder is bob's.
	own := shares(t, bob.Node, "bob's", p2p.AccessWrite)
	atAlice, atChiara := join(t, alice.Node, own, t.TempDir()), join(t, chiara.Node, own, t.TempDir())
	grants := p2p.Grants(nil).With(chiara.ID(), p2p.AccessRead)
	access := p2p.AccessWrite
	if _, err := chiara.UpdateFolder(t.Context(), own.id, folder.Changes{Grants: &grants}); err == nil {
		t.Error("a member decides about another's folder")
	}
	atAlice.grant(access, grants) // alice has founded the network
	for _, k := range []*kept{own, atAlice, atChiara} {
		k.knows(access, grants)
	}
	atChiara.put("no.txt", "of a reader")
	own.put("yes.txt", "of bob")
	atChiara.awaitFile("yes.txt", "of bob")
	if !own.lacks("no.txt") {
		t.Error("a reader's file has come")
	}
	label := "another name"
	if _, err := bob.UpdateFolder(t.Context(), own.id, folder.Changes{Label: &label}); err != nil {
		t.Fatal(err)
	}
	await(t, chiara.Node, "the label", func() bool { f, err := chiara.Folder("another name", p2p.ID{}); return err == nil || len(f.Grants) > 0 })
	own.knows(access, grants) // what the admin has decided is not undone by a new label
	atChiara.knows(access, grants)
}

// Of an offer that is hidden from it a node tells nothing, or that it has ended.
func TestHiddenOffers(t *testing.T) {
	self, by := p2p.ID{1}, p2p.ID{2}
	var heard heardOffers
	heard.start(self, []member.Offer{{Folder: "old", By: by, Access: p2p.AccessRead}, {Folder: "secret", By: by, Access: p2p.AccessNone}})
	none := p2p.Grants{{Member: self, Access: p2p.AccessNone}}
	for i, row := range []struct {
		event       member.OfferChanged
		kept        bool
		tells, gone bool
	}{
		{member.OfferChanged{Folder: "old", By: by, Access: p2p.AccessWrite}, false, true, false},
		{member.OfferChanged{Folder: "old", By: by, Access: p2p.AccessWrite, Grants: none}, false, true, true},
		{member.OfferChanged{Folder: "old", By: by, Access: p2p.AccessRead, Grants: none}, false, false, false},
		{member.OfferChanged{Folder: "old", By: by, Access: p2p.AccessRead, Grants: none}, true, true, false},
		{member.OfferChanged{Folder: "old", By: by, Access: p2p.AccessRead}, false, true, false},
		{member.OfferChanged{Folder: "secret", By: by, Access: p2p.AccessNone, Label: "x"}, false, false, false},
		{member.OfferChanged{Folder: "secret", By: by, Access: p2p.AccessNone, Gone: true}, false, false, false},
		{member.OfferChanged{Folder: "secret", By: by, Access: p2p.AccessRead}, false, true, false},
		{member.OfferChanged{Folder: "own", By: self, Access: p2p.AccessNone}, true, true, false},
	} {
		got, ok := heard.told(self, row.event, row.kept)
		if ok != row.tells || ok && got.Gone != row.gone {
			t.Errorf("%d: %+v, %v", i, got, ok)
		}
	}
}

// lets waits until the node k lets somebody read the folder, or not.
func (k *kept) lets(who p2p.ID, read bool) {
	k.t.Helper()
	eventually(k.t, k.Name()+" follows", func() bool { return k.folderAccess(k.id, k.creator(), who).Read == read })
}

func (k *kept) creator() p2p.ID {
	f, err := k.folders.Get(k.id)
	if err != nil {
		k.t.Fatal(err)
	}
	return k.shared(f).By()
}

// What an admin has decided about another's folder holds when the admin is none any more.
func TestDecisionOutlivesTheAdmin(t *testing.T) {
	t.Parallel()
	for _, away := range []bool{false, true} { // the creator, when it is decided
		nodes := class(t, "alice", "bob", "chiara", "dora")
		alice, bob, dora := nodes[0], nodes[1], nodes[3]
		own := shares(t, nodes[2], "chiara's", p2p.AccessRead)
		if _, err := alice.SetRole(t.Context(), bob.ID(), member.RoleAdmin); err != nil {
			t.Fatal(err)
		}
		atBob := join(t, bob, own, t.TempDir())
		eventually(t, "bob is an admin", func() bool { m, _ := bob.Member(bob.ID()); return m.Role == member.RoleAdmin })
		if away { // it has heard of the decision, and has not come to it yet
			own.granting.Lock()
		}
		atBob.grant(p2p.AccessRead, p2p.Grants(nil).With(dora.ID(), p2p.AccessNone))
		own.lets(dora.ID(), false)
		eventually(t, "alice knows", func() bool { o, found := alice.offerOf(own.id, own.ID()); return found && len(o.Grants) == 1 })
		if _, err := alice.SetRole(t.Context(), bob.ID(), member.RoleMember); err != nil {
			t.Fatal(err)
		}
		eventually(t, "bob is none", func() bool { m, _ := own.Member(bob.ID()); return m.Role == member.RoleMember })
		if away {
			own.granting.Unlock()
		}
		if _, err := own.AddFolder(t.Context(), folder.AddOptions{Path: t.TempDir(), Label: "another"}); err != nil {
			t.Fatal(err)
		}
		own.lets(dora.ID(), false)
		atBob.lets(dora.ID(), false)
		if o, found := own.offerOf(own.id, own.ID()); !found || len(o.Grants) != 1 {
			t.Errorf("away %v: the offer is %+v", away, o)
		}
	}
}

// Whatever a creator does before it has noted what an admin has decided does not undo that,
// and two who decide at once about two members both have their way.
func TestGrantsAtOnce(t *testing.T) {
	t.Parallel()
	all := together(t, p2p.AccessWrite, "alice", "bob", "chiara")
	alice, bob, chiara := all[0], all[1], all[2]
	own := shares(t, bob.Node, "bob's", p2p.AccessWrite)
	atAlice := join(t, alice.Node, own, t.TempDir())
	// Both wait already when the admin decides, so that they are the first who come to it.
	bob.granting.Lock()
	done := make(chan error, 2)
	go func() {
		paused := false
		_, err := bob.UpdateFolder(t.Context(), own.id, folder.Changes{Paused: &paused})
		done <- err
	}()
	go func() {
		_, err := bob.UpdateFolder(t.Context(), own.id, folder.Changes{Grant: map[p2p.ID]string{alice.ID(): p2p.AccessRead}})
		done <- err
	}()
	time.Sleep(100 * time.Millisecond) // nothing shows that they wait
	if _, err := atAlice.UpdateFolder(t.Context(), own.id, folder.Changes{Grant: map[p2p.ID]string{chiara.ID(): p2p.AccessNone}}); err != nil {
		t.Fatal(err)
	}
	own.lets(chiara.ID(), false)
	bob.granting.Unlock()
	for range 2 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	for _, k := range []*kept{own, atAlice} {
		eventually(t, "both decisions", func() bool {
			o, found := k.offerOf(own.id, bob.ID())
			return found && o.AccessOf(chiara.ID()) == p2p.AccessNone && o.AccessOf(alice.ID()) == p2p.AccessRead
		})
		k.lets(chiara.ID(), false)
	}
}

// While a folder is removed here, nobody finds what is left of it.
func TestRemovedIsHidden(t *testing.T) {
	t.Parallel()
	all := together(t, p2p.AccessWrite, "alice", "bob")
	alice, bob := all[0], all[1]
	alice.put("a.txt", "lepidolite")
	eventually(t, "bob finds it", func() bool { return bob.finds("lepidolite", alice.Node) })
	if err := alice.folders.Remove(t.Context(), alice.id); err != nil { // the first part of RemoveFolder
		t.Fatal(err)
	}
	if bob.finds("lepidolite", alice.Node) {
		t.Error("it is found")
	}
}

// What is put into the table is for all, and for those who come later: a folder that the next
// member could not read is not, though nobody is there who may not.
func TestOpenToAll(t *testing.T) {
	t.Parallel()
	alone := class(t, "alice")[0]
	stranger := p2p.ID{42}
	for _, c := range []struct {
		access string
		grants p2p.Grants
		open   bool
	}{
		{access: p2p.AccessNone},
		{access: p2p.AccessNone, grants: p2p.Grants{}.With(stranger, p2p.AccessRead)},
		{access: p2p.AccessWrite, grants: p2p.Grants{}.With(stranger, p2p.AccessNone)},
		{access: p2p.AccessRead, open: true},
		{access: p2p.AccessWrite, grants: p2p.Grants{}.With(stranger, p2p.AccessRead), open: true},
	} {
		k := shares(t, alone, "folder", p2p.AccessNone)
		if alone.openToAll(k.id) {
			t.Error("open before it is")
		}
		k.grant(c.access, c.grants)
		eventually(t, "the access", func() bool { return alone.openToAll(k.id) == c.open })
	}
	if alone.openToAll("no such folder") {
		t.Error("what is not there is open")
	}
}
