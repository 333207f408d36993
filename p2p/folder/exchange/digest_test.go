package exchange

import (
	"context"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p/folder/replica"
)

// Nodes with equal states have equal digests; one that believes, wrongly, that it has
// everything, notices and gets what is missing.
func TestDigest(t *testing.T) {
	t.Parallel()
	w := newTown()
	often := Times{Digest: 50 * time.Millisecond, Again: 20 * time.Millisecond, Retry: 10 * time.Millisecond}
	a := w.keep(t, nil, often)
	b := w.keep(t, a, often)
	a.write("dir/one.txt", "one")
	b.write("two.txt", "two")
	a.meet(b)
	a.await("two", a.has("two.txt", "two"))
	b.await("one", b.has("dir/one.txt", "one"))
	digestOf := func(k *keeper) digest {
		r, err := k.s.runner(k.folder.ID)
		if err != nil {
			t.Fatal(err)
		}
		d, err := r.digest(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	a.await("equal digests", func() bool { return digestOf(a).Entries == 3 && digestOf(a).equal(digestOf(b)) })
	// A third one's store says, before it has ever met a, that all of a is known.
	c := w.keep(t, a, often)
	c.ready()
	r, err := a.s.runner(a.folder.ID)
	if err != nil {
		t.Fatal(err)
	}
	last, err := r.lastSeq(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	rc, err := c.s.runner(c.folder.ID)
	if err != nil {
		t.Fatal(err)
	}
	stale := replica.Batch{Incarnation: r.incarnation.Load(), Upto: last}
	if err := c.s.with(t.Context(), c.folder.ID, func(ctx context.Context, core *replica.Core) error {
		_, err := core.Merge(ctx, a.identity.ID(), stale)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if d, err := rc.digest(t.Context()); err != nil || d.Entries != 0 {
		t.Fatalf("digest %+v, %v", d, err)
	}
	c.meet(a)
	c.await("what it thought to have", c.has("dir/one.txt", "one"))
	c.await("equal digests", func() bool { return digestOf(c).equal(digestOf(a)) })
}
