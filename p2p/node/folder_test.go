package node

import (
	"testing"

	"github.com/shoal-p2p/shoal/p2p/folder"
	"github.com/shoal-p2p/shoal/p2p/search"
)

// TestOrphansAreForgotten starts a node that was killed between forgetting a
// folder and removing its documents from the index.
func TestOrphansAreForgotten(t *testing.T) {
	store, err := newMemory()
	if err != nil {
		t.Fatal(err)
	}
	n, err := Start(t.Context(), Options{Store: store})
	if err != nil {
		t.Fatal(err)
	}
	f, err := n.AddFolder(t.Context(), folder.AddOptions{Path: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	published, err := n.AddDocument(t.Context(), search.Document{Title: "network"})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	index, err := search.Open(t.Context(), store.Search())
	if err != nil {
		t.Fatal(err)
	}
	err = index.Put(t.Context(), []search.Document{
		{ID: "orphan", Folder: "removed", Path: "network.txt"},
		{ID: "other", Folder: "removed", Path: "network.md"},
	})
	if err != nil {
		t.Fatal(err)
	}
	n = startNode(t, Options{Store: store})
	a, err := n.Search(t.Context(), search.Query{Text: "network"}, nil)
	if err != nil || len(a.Hits) != 1 || a.Hits[0].ID != published {
		t.Errorf("found %v, %v", a.Hits, err)
	}
	if got := n.Folders(); len(got) != 1 || got[0].ID != f.ID {
		t.Errorf("folders %v", got)
	}
}
