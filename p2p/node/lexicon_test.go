package node

import (
	"slices"
	"testing"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/member"
	"github.com/shoal-p2p/shoal/p2p/search"
)

// completes reports whether a node would complete what is typed by a word.
func completes(n *Node, typed, word string) bool {
	for _, w := range n.Complete(typed, 8) {
		if w.Word == word {
			return true
		}
	}
	return false
}

// Each member knows the words of the others before anything is asked: those of folders that
// it may read, and no others; and nobody's any more that has been removed.
func TestWordsOfOthers(t *testing.T) {
	t.Parallel()
	nodes := class(t, "alice", "bob", "dora")
	alice, bob, dora := shares(t, nodes[0], "minerals", p2p.AccessRead), nodes[1], nodes[2]
	grants := p2p.Grants(nil).With(dora.ID(), p2p.AccessNone)
	alice.grant(p2p.AccessRead, grants)
	alice.knows(p2p.AccessRead, grants)
	alice.put("alice.txt", "lepidolite of alice")
	if _, err := alice.AddDocument(t.Context(), search.Document{Title: "Quartzite", Text: "published"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the index", func() bool { return completes(alice.Node, "lepid", "lepidolite") })
	eventually(t, "the words at bob", func() bool { return completes(bob, "of lepid", "lepidolite") && completes(bob, "quar", "quartzite") })
	eventually(t, "the words at dora", func() bool { return completes(dora, "quar", "quartzite") })
	if completes(dora, "lepid", "lepidolite") || completes(dora, "lepidolit", "lepidolite") || completes(dora, "lepidlite", "lepidolite") {
		t.Error("who may not read a folder knows its words")
	}
	if s := bob.Lexicon(); s.Members != 2 || s.Words < 3 || s.Cut {
		t.Errorf("%+v", s)
	}
	m, err := alice.SetRole(t.Context(), bob.ID(), member.RoleAdmin)
	if err != nil || m.ID != bob.ID() {
		t.Fatal(err)
	}
	await(t, bob, "the role", func() bool { return bob.Status().Role == member.RoleAdmin })
	if err := bob.Revoke(t.Context(), alice.ID()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end of alice's words at bob", func() bool { return !completes(bob, "quar", "quartzite") })
	if slices.ContainsFunc(bob.others(), func(m member.Member) bool { return m.ID == alice.ID() }) {
		t.Error("alice is a member")
	}
}
