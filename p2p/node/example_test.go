package node_test

import (
	"context"
	"fmt"
	"log"

	"github.com/shoal-p2p/shoal/p2p/member"
	"github.com/shoal-p2p/shoal/p2p/node"
	"github.com/shoal-p2p/shoal/p2p/search"
)

// Two nodes in one process: one publishes a document, the other finds it, although
// the query has a typo.
func ExampleStart() {
	ctx := context.Background()
	alice, err := node.Start(ctx, node.Options{Name: "alice"})
	if err != nil {
		log.Fatal(err)
	}
	defer alice.Close()
	bob, err := node.Start(ctx, node.Options{Name: "bob"})
	if err != nil {
		log.Fatal(err)
	}
	defer bob.Close()
	invitation, err := alice.Invite(ctx, member.InviteOptions{})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := bob.Join(ctx, invitation.Link("")); err != nil {
		log.Fatal(err)
	}
	alice.AddDocument(ctx, search.Document{Title: "Notes", Text: "a network of peers"})
	answer, err := bob.Search(ctx, search.Query{Text: "netwrk", Fuzz: search.Auto}, nil)
	fmt.Println(answer.Hits[0].Title, answer.Hits[0].NodeName, answer.Corrections[0].To, err)
	// Output: Notes alice network <nil>
}
