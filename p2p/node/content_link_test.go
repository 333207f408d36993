package node

import (
	"testing"

	"github.com/shoal-p2p/shoal/p2p"
)

// TestContentOverNewerLink: a link that ends while a file is asked for, because there is another
// one, does not keep the file back.
func TestContentOverNewerLink(t *testing.T) {
	nodes := class(t, "alice", "bob")
	alice, bob := nodes[0], nodes[1]
	f := shares(t, alice, "files", p2p.AccessRead)
	f.put("a.txt", "what is in it")
	eventually(t, "the file is there", func() bool {
		text, err := readAll(t, bob, f.id, alice.ID(), "a.txt")
		return err == nil && text == "what is in it"
	})
	m, _ := bob.members.Member(alice.ID())
	for range 20 {
		first, err := bob.links.to(alice.ID())
		if err != nil {
			t.Fatal(err)
		}
		c, err := bob.Content(t.Context(), f.id, alice.ID(), "a.txt")
		if err != nil {
			t.Fatal(err)
		}
		second, err := bob.transport.Dial(t.Context(), m.Contact, nil)
		if err != nil {
			t.Fatal(err)
		}
		bob.links.add(bob.ctx, second)
		<-first.Done()
		if got, err := c.ReadRange(t.Context(), 0, c.Size); err != nil {
			t.Fatalf("over the newer link: %v", err)
		} else if err := got.Close(); err != nil {
			t.Error(err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}
