package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/shoal-p2p/shoal/p2p/node"
	"github.com/shoal-p2p/shoal/p2p/search"
	"github.com/shoal-p2p/shoal/server"
)

// A program that embeds a node can serve its API too.
func Example() {
	ctx := context.Background()
	n, err := node.Start(ctx, node.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = n.Close() }()
	s, err := server.New(server.Options{Node: n})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	h := httptest.NewServer(s.Handler())
	defer h.Close()
	s.SetReady(true)

	if _, err := n.AddDocument(ctx, search.Document{Title: "How a network heals"}); err != nil {
		log.Fatal(err)
	}
	resp, err := http.Get(h.URL + "/api/search?q=netwrk")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var answer struct{ Hits []struct{ Title string } }
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		log.Fatal(err)
	}
	fmt.Println(resp.Status, answer.Hits[0].Title)
	// Output: 200 OK How a network heals
}
