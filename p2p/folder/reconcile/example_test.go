package reconcile_test

import (
	"crypto/sha256"
	"fmt"

	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
)

// A file was edited here, while another member's edit of it was on its way.
func ExampleReconcile() {
	here := reconcile.Author{Member: sha256.Sum256([]byte("here")), Incarnation: 1}
	there := reconcile.Author{Member: sha256.Sum256([]byte("there")), Incarnation: 1}
	file := func(text string) reconcile.Item {
		return reconcile.Item{Kind: reconcile.KindFile, Size: int64(len(text)), Mode: 0o644, Hash: sha256.Sum256([]byte(text))}
	}

	// Both have the first version.
	first := reconcile.Reconcile(nil, reconcile.Disk{"poem.txt": file("roses")}, nil, reconcile.Options{Author: here})
	base, global := reconcile.Base{}, reconcile.Global{}
	for _, p := range first.Set {
		base[p.Path] = p.Row
	}
	for _, e := range first.Entries {
		global.Merge(e)
	}

	// The other one's edit.
	other := reconcile.Reconcile(base, reconcile.Disk{"poem.txt": file("violets")}, global, reconcile.Options{Author: there})
	for _, e := range other.Entries {
		global.Merge(e)
	}

	// Ours, with what has arrived.
	plan := reconcile.Reconcile(base, reconcile.Disk{"poem.txt": file("lilies")}, global, reconcile.Options{Author: first.Author})
	for _, c := range plan.Changes {
		fmt.Println("recorded:", c.Kind, c.Path)
	}
	for _, s := range plan.Steps {
		fmt.Printf("step: %s %q %q\n", s.Do, s.From, s.Path)
	}
	// Output:
	// recorded: edit poem.txt
	// step: copy "poem.txt" "poem (conflict 7twjcuexlgwz 788911f6).txt"
	// step: replace "" "poem.txt"
}
