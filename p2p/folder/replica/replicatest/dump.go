package replicatest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
	"github.com/shoal-p2p/shoal/p2p/folder/replica"
)

// dump returns all that r says of what tests put into stores.
func dump(t *testing.T, r replica.Reader) string {
	t.Helper()
	var b strings.Builder
	say := func(what string, v any) { fmt.Fprintf(&b, "%s: %+v\n", what, v) }
	say("state", must(r.State())(t))
	entries := must(r.Since(0, 1000))(t)
	say("entries", entries)
	say("from the second", must(r.Since(2, 2))(t))
	say("pending", must(r.Pending(0, 1000))(t))
	say("pending from the second", must(r.Pending(2, 1))(t))
	n, bytes, err := r.Needs()
	say("needs", []any{n, bytes, err})
	for _, s := range entries {
		again, found, err := r.Entry(s.Entry.ID)
		say("entry", []any{again, found, err})
		for _, p := range s.Entry.Places {
			say("at", must(r.At(p.Spot))(t))
			say("in", must(r.In(p.Parent))(t))
		}
	}
	say("rows", listing(t, r))
	say("files", must(r.CountRows())(t))
	for m := byte(1); m < 4; m++ {
		for c := uint64(1); c < 15; c++ {
			who := reconcile.EntryID(dot(m, c))
			say("rows of", must(r.RowsOf(who))(t))
			say("in", must(r.In(who))(t))
		}
	}
	say("first rows", must(r.RowsIn("", 3))(t))
	say("cursors", must(r.Cursors())(t))
	say("claims", must(r.Claims())(t))
	say("journal", must(r.Journal())(t))
	discarded := must(r.Discarded(0, 1000))(t)
	say("discarded", discarded)
	if len(discarded) > 1 {
		say("discarded before", must(r.Discarded(discarded[0].N, 2))(t))
	}
	for h := range byte(8) {
		say("discarded as", must(r.DiscardedAs(reconcile.Hash{h}))(t))
	}
	say("conflicts", must(r.Conflicts())(t))
	say("holds", must(r.Holds())(t))
	return b.String()
}
