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

// fewEntries is up to how many entries in one page count as what people do now.
const fewEntries = 64

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
	var changed []reconcile.EntryID
	var cur Cursor
	err := c.o.Store.Write(ctx, c.o.Folder, func(w Writer) error {
		refused, changed = nil, nil
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
			news, why, err := c.mergeEntry(w, from, e, counter)
			if err != nil {
				return err
			}
			if news {
				changed = append(changed, e.ID)
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
	// Not before: what is not committed is not pending with a new number, and an entry that is not
	// parked any more would be found by none.
	//
	// What comes in small numbers goes before the rest of what is pending: it is what people do
	// now, and a first synchronisation can take long.
	for _, id := range changed {
		delete(c.parked, id)
		if len(b.Entries) <= fewEntries {
			c.again[id] = true
		}
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
	case c.own(x.Dot) && c.o.Verify(x) && c.o.Sign != nil:
		// Database and folder were put back together, to a moment before this claim.
		c.relapsed = true
		return "", nil
	case c.own(x.Dot):
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

// mergeEntry merges one entry. news: it says something that was not known; why says what is
// wrong with it.
func (c *Core) mergeEntry(w Writer, from p2p.ID, e reconcile.Entry, counter func(reconcile.Dot) uint64) (news bool, why string, err error) {
	if err := e.Check(reconcile.Rules{Member: c.o.Known}); err != nil {
		return false, err.Error(), nil
	}
	old, found, err := w.Entry(e.ID)
	if err != nil {
		return false, "", err
	}
	if found && old.Entry.Kind != e.Kind {
		return false, "it is of another kind than it was", nil
	}
	if why := c.vouched(from, e, old.Entry, counter); why != "" {
		return false, why, nil
	}
	if !found {
		if c.entries >= MaxEntries {
			return false, fmt.Sprintf("there are more than %d entries", MaxEntries), nil
		}
		c.entries++ // one more is counted if the transaction fails: it is an upper bound
	}
	joined := e
	if found {
		joined = reconcile.Join(old.Entry, e)
		if same(joined, old.Entry) {
			return false, "", nil
		}
	}
	if len(joined.Places) > reconcile.MaxSiblings || len(joined.Contents) > reconcile.MaxSiblings {
		return false, fmt.Sprintf("it has more than %d versions", reconcile.MaxSiblings), nil
	}
	if found {
		if err := c.vacated(w, old.Entry, joined); err != nil {
			return false, "", err
		}
	}
	if e.Kind == reconcile.KindDir && len(c.parked) > 0 {
		if err := c.awaited(w, e.ID); err != nil {
			return false, "", err
		}
	}
	return true, "", w.PutEntry(joined, true, sizeOf(joined))
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

// vacated has what contests a name that an entry gives up planned again, and the
// directory that it leaves: neither can be found from where the entry is now.
func (c *Core) vacated(w Writer, old, joined reconcile.Entry) error {
	for _, p := range old.Places {
		if slices.ContainsFunc(joined.Places, func(q reconcile.Place) bool { return q.Spot == p.Spot }) {
			continue
		}
		ids, err := w.At(p.Spot)
		if err != nil {
			return err
		}
		for _, id := range append(ids, p.Parent) {
			if id == old.ID || id.IsZero() {
				continue
			}
			if err := w.SetPending(id, true, 0); err != nil {
				return err
			}
			c.again[id] = true
		}
	}
	return nil
}

// vouched checks that all events in e are claimed by their members, and that what is new
// comes from somebody who may change the folder: versions are not signed, so that it is
// the sender who answers for them, whosever they are said to be. Of this node's own
// events nobody else knows more than this node.
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
	for _, p := range e.Places {
		i := slices.IndexFunc(old.Places, func(q reconcile.Place) bool { return q.Dot == p.Dot })
		covered := slices.ContainsFunc(old.Places, func(q reconcile.Place) bool { return q.Vector.Covers(p.Vector) })
		same := i >= 0 && samePlace(old.Places[i], p)
		if why := c.trusted(from, p.Dot, len(old.Places) > 0, same, covered && i < 0); why != "" {
			return why
		}
	}
	for _, x := range e.Contents {
		i := slices.IndexFunc(old.Contents, func(y reconcile.Content) bool { return y.Dot == x.Dot })
		covered := slices.ContainsFunc(old.Contents, func(y reconcile.Content) bool { return y.Vector.Covers(x.Vector) })
		same := i >= 0 && sameContent(old.Contents[i], x)
		if why := c.trusted(from, x.Dot, len(old.Contents) > 0, same, covered && i < 0); why != "" {
			return why
		}
	}
	return ""
}

// trusted says why a version is not taken over, or nothing: it is the same as is known,
// it is older, or it is new and comes from who may bring new ones. A version of this node
// in an entry that is new here is one that lost, which somebody has given an entry of its
// own.
func (c *Core) trusted(from p2p.ID, d reconcile.Dot, known, same, older bool) string {
	switch {
	case same || older:
		return ""
	case known && c.own(d):
		return "it has an event of this computer that there was not"
	case !c.o.Writer(from):
		return fmt.Sprintf("member %s may not change this folder", from.Short())
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
	return slices.EqualFunc(a.Places, b.Places, samePlace) && slices.EqualFunc(a.Contents, b.Contents, sameContent)
}

func samePlace(p, q reconcile.Place) bool {
	return p.Dot == q.Dot && slices.Equal(p.Vector, q.Vector) && p.Spot == q.Spot && p.Was == q.Was && p.Had == q.Had && p.Auto == q.Auto
}

func sameContent(x, y reconcile.Content) bool {
	return x.Dot == y.Dot && slices.Equal(x.Vector, y.Vector) && x.Made == y.Made && x.Deleted == y.Deleted &&
		slices.Equal(x.Seen, y.Seen) && x.Hash == y.Hash && x.Parent == y.Parent && x.Size == y.Size &&
		x.Modified == y.Modified && x.Mode == y.Mode
}
