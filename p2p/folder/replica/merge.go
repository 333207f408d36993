package replica

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
)

// Limits of what others may have this node keep.
const (
	MaxEntries = 8 << 20 // of a folder
	MaxClaims  = 4096    // of a folder
)

// node is a member's incarnation.
type node struct {
	member      p2p.ID
	incarnation uint64
}

func nodeOf(d reconcile.Dot) node { return node{d.Member, d.Incarnation} }

// Batch is a piece of another member's index.
type Batch struct {
	Claims  []Claim
	Entries []reconcile.Entry
	// Incarnation is that of the member's replica, and Upto how far the batch leads in
	// its numbers.
	Incarnation, Upto uint64
}

// Refusal is an entry that was not taken over.
type Refusal struct {
	Member p2p.ID // who sent it
	Path   string // or the name alone
	Why    string
}

// ErrNotSettled: what is on the disk has to be recorded first.
var ErrNotSettled = errors.New("not ready to merge")

// Merge takes over what another member knows, in one transaction with the cursor.
// What nobody honest sends is left out and reported. Errors: ErrNotSettled.
func (c *Core) Merge(ctx context.Context, from p2p.ID, b Batch) ([]Refusal, error) {
	if !c.Settled() {
		return nil, c.errorf("merge", ErrNotSettled)
	}
	claims := map[node]uint64{}
	var refused []Refusal
	var cur Cursor
	err := c.o.Store.Write(ctx, c.o.Folder, func(w Writer) error {
		refused = nil
		clear(claims)
		for _, x := range b.Claims {
			why, err := c.claim(w, x, claims)
			if err != nil {
				return err
			}
			if why != "" {
				refused = append(refused, Refusal{Member: from, Why: why})
			}
		}
		counter := func(d reconcile.Dot) uint64 { return max(claims[nodeOf(d)], c.counter(d)) }
		for _, e := range b.Entries {
			why, err := c.mergeEntry(w, from, e, counter)
			if err != nil {
				return err
			}
			if why != "" {
				refused = append(refused, Refusal{Member: from, Path: nameOf(e), Why: why})
			}
		}
		cur = c.cursors[from]
		cur.Member, cur.Incarnation, cur.Seq = from, b.Incarnation, b.Upto
		return w.SetCursor(cur)
	})
	if err != nil {
		return nil, c.errorf("merge entries of "+from.Short(), err)
	}
	c.cursors[from] = cur
	for n, x := range claims {
		c.claims[n] = max(c.claims[n], x)
	}
	return refused, nil
}

// counter is how many events of a node are vouched for.
func (c *Core) counter(d reconcile.Dot) uint64 {
	if d.Member == c.author.Member && d.Incarnation == c.author.Incarnation {
		return c.author.Counter
	}
	return c.claims[nodeOf(d)]
}

// claim checks a claim and stores it if it says more than is known.
func (c *Core) claim(w Writer, x Claim, claims map[node]uint64) (why string, err error) {
	n := nodeOf(x.Dot)
	known := max(claims[n], c.counter(x.Dot))
	switch {
	case x.Dot.Counter <= known:
		return "", nil
	case n.member == c.o.Self && n.incarnation == c.author.Incarnation:
		return "it knows events of this computer that there are not", nil
	case !c.o.Known(n.member):
		return fmt.Sprintf("it speaks for %s, who is not a member", n.member.Short()), nil
	case x.Dot.Counter > reconcile.MaxCounter || x.Dot.Counter-known > reconcile.MaxJump:
		return fmt.Sprintf("member %s claims %d events, %d were known", n.member.Short(), x.Dot.Counter, known), nil
	case !c.o.Verify(x):
		return fmt.Sprintf("the signature of member %s is not valid", n.member.Short()), nil
	case known == 0 && len(c.claims)+len(claims) >= MaxClaims:
		return "there are too many members and incarnations", nil
	case known == 0 && c.incarnations(n.member, claims) >= reconcile.MaxIncarnations:
		return fmt.Sprintf("member %s has too many incarnations", n.member.Short()), nil
	}
	claims[n] = x.Dot.Counter
	return "", w.SetClaim(x)
}

// incarnations counts those of a member: nobody uses up the room for others.
func (c *Core) incarnations(member p2p.ID, claims map[node]uint64) (count int) {
	for n := range c.claims {
		if n.member == member {
			count++
		}
	}
	for n := range claims {
		if n.member == member && c.claims[n] == 0 {
			count++
		}
	}
	return count
}

// mergeEntry merges one entry. why says what is wrong with it.
func (c *Core) mergeEntry(w Writer, from p2p.ID, e reconcile.Entry, counter func(reconcile.Dot) uint64) (why string, err error) {
	if err := e.Check(reconcile.Rules{Member: c.o.Known}); err != nil {
		return err.Error(), nil
	}
	old, found, err := w.Entry(e.ID)
	if err != nil {
		return "", err
	}
	if found && old.Entry.Kind != e.Kind {
		return "it is of another kind than it was", nil
	}
	if why := c.vouched(from, e, old.Entry, counter); why != "" {
		return why, nil
	}
	if !found {
		s, err := w.State()
		if err != nil {
			return "", err
		}
		if s.Seq > MaxEntries*4 { // each entry changes a few times; a closer count is not worth a query
			return fmt.Sprintf("there are more than %d entries", MaxEntries), nil
		}
	}
	joined := e
	if found {
		joined = reconcile.Join(old.Entry, e)
		if same(joined, old.Entry) {
			return "", nil
		}
	}
	if len(joined.Places) > reconcile.MaxSiblings || len(joined.Contents) > reconcile.MaxSiblings {
		return fmt.Sprintf("it has more than %d versions", reconcile.MaxSiblings), nil
	}
	delete(c.parked, e.ID)
	if e.Kind == reconcile.KindDir && len(c.parked) > 0 {
		if err := c.awaited(w, e.ID); err != nil {
			return "", err
		}
	}
	return "", w.PutEntry(joined, true, sizeOf(joined))
}

// awaited has what waits for a directory tried again.
func (c *Core) awaited(w Writer, dir reconcile.EntryID) error {
	ids, err := w.In(dir)
	for _, id := range ids {
		if p, ok := c.parked[id]; ok && p.path == "" {
			c.again[id] = true
		}
	}
	return err
}

// vouched checks that all events in e are claimed by their members, and that those that
// are new may have been made by them: who may not change the folder can
// pass on what others have done, but what such a member has done itself is taken from one who may
// only, for it was made when it was still allowed.
func (c *Core) vouched(from p2p.ID, e, old reconcile.Entry, counter func(reconcile.Dot) uint64) string {
	if d := reconcile.Dot(e.ID); d.Counter > counter(d) {
		return fmt.Sprintf("member %s has not said that it made it", d.Member.Short())
	}
	for _, v := range e.Vectors() {
		for _, d := range v {
			if d.Counter > counter(d) {
				return fmt.Sprintf("it has event %d of member %s, who has claimed %d", d.Counter, d.Member.Short(), counter(d))
			}
		}
	}
	allowed := func(d reconcile.Dot) bool {
		return c.o.Writer(d.Member) || c.o.Writer(from) && from != d.Member
	}
	for _, p := range e.Places {
		known := slices.ContainsFunc(old.Places, func(q reconcile.Place) bool { return q.Dot == p.Dot })
		if !known && !allowed(p.Dot) {
			return fmt.Sprintf("member %s may not change this folder", p.Dot.Member.Short())
		}
	}
	for _, x := range e.Contents {
		known := slices.ContainsFunc(old.Contents, func(y reconcile.Content) bool { return y.Dot == x.Dot })
		if !known && !allowed(x.Dot) {
			return fmt.Sprintf("member %s may not change this folder", x.Dot.Member.Short())
		}
	}
	return ""
}

func nameOf(e reconcile.Entry) string {
	if len(e.Places) == 0 {
		return ""
	}
	return e.Places[0].Name
}

// sizeOf is how many bytes an entry may need; the plan knows better.
func sizeOf(e reconcile.Entry) (n int64) {
	for _, x := range e.Contents {
		if !x.Deleted {
			n = max(n, x.Size)
		}
	}
	return n
}

// same reports whether two states of an entry are the same.
func same(a, b reconcile.Entry) bool {
	return slices.EqualFunc(a.Places, b.Places, func(p, q reconcile.Place) bool {
		return p.Dot == q.Dot && slices.Equal(p.Vector, q.Vector) && p.Spot == q.Spot && p.Was == q.Was && p.Had == q.Had && p.Auto == q.Auto
	}) && slices.EqualFunc(a.Contents, b.Contents, func(x, y reconcile.Content) bool {
		return x.Dot == y.Dot && slices.Equal(x.Vector, y.Vector) && x.Made == y.Made && x.Deleted == y.Deleted &&
			slices.Equal(x.Seen, y.Seen) && x.Hash == y.Hash && x.Parent == y.Parent && x.Size == y.Size &&
			x.Modified == y.Modified && x.Mode == y.Mode
	})
}
