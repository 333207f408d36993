package search_test

import (
	"context"
	"fmt"

	"github.com/shoal-p2p/shoal/p2p/search"
)

func ExampleIndex_Query() {
	ctx := context.Background()
	index, err := search.Open(ctx, search.NewMemory())
	if err != nil {
		panic(err)
	}
	index.Put(ctx, []search.Document{
		{ID: "1", Title: "Chord", Text: "A scalable lookup service for peer-to-peer networks."},
		{ID: "2", Title: "Overlay network", Text: "A network on top of another one."},
	})
	answer, err := index.Query(ctx, search.Query{Text: "netwrk", Fuzz: search.Auto})
	if err != nil {
		panic(err)
	}
	fmt.Println("assumed:", answer.Corrections[0].To)
	for _, h := range answer.Hits {
		fmt.Println(h.Title, h.Distance, h.Snippet.Text)
	}
	// Output:
	// assumed: network
	// Overlay network 1 A network on top of another one.
	// Chord 1 A scalable lookup service for peer-to-peer networks.
}
