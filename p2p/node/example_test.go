package node_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"

	"github.com/shoal-p2p/shoal/p2p/member"
	"github.com/shoal-p2p/shoal/p2p/node"
	"github.com/shoal-p2p/shoal/p2p/search"
	"github.com/shoal-p2p/shoal/server"
	"github.com/shoal-p2p/shoal/store"
	"github.com/shoal-p2p/shoal/web"
)

// must ends the example when something fails.
func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

// Two nodes in one process: one publishes a document, the other finds it, although
// the query has a typo.
func ExampleStart() {
	ctx := context.Background()
	alice := must(node.Start(ctx, node.Options{Name: "alice"}))
	defer alice.Close()
	bob := must(node.Start(ctx, node.Options{Name: "bob"}))
	defer bob.Close()

	invitation := must(alice.Invite(ctx, member.InviteOptions{}))
	must(bob.Join(ctx, invitation.Link("")))

	must(alice.AddDocument(ctx, search.Document{Title: "Notes", Text: "a network of peers"}))
	answer := must(bob.Search(ctx, search.Query{Text: "netwrk", Fuzz: search.Auto}, nil))
	fmt.Println(answer.Hits[0].Title, "of", answer.Hits[0].NodeName)
	fmt.Println(answer.Corrections[0].From, "→", answer.Corrections[0].To)
	// Output:
	// Notes of alice
	// netwrk → network
}

// A node that keeps what it has in a directory, and has the dashboard.
func ExampleStart_dashboard() {
	ctx := context.Background()
	dir := must(os.MkdirTemp("", "shoal-example-"))
	defer os.RemoveAll(dir)

	s := must(store.Open(ctx, dir, store.Options{}))
	defer s.Close()
	n := must(node.Start(ctx, node.Options{Name: "alice", Store: s, DataDir: s.Dir()}))
	defer n.Close()

	dashboard := must(server.New(server.Options{Node: n, UI: web.Dist()}))
	defer dashboard.Close()
	dashboard.SetReady(true)
	listener := httptest.NewServer(dashboard.Handler()) // or dashboard.Serve(a net.Listener)
	defer listener.Close()

	page := must(http.Get(listener.URL))
	defer page.Body.Close()
	fmt.Println(page.Status, page.Header.Get("Content-Type"))
	// Output: 200 OK text/html; charset=utf-8
}
